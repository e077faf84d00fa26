"""The tables of two plays of the same scenario, held against each other in all that is not of the moment."""

import re
from collections.abc import Mapping

from lab.fakes.tables import MemoryTables
from lab.faults.histories import HISTORY
from lab.faults.operator_access import OPERATOR
from lab.faults.scenario import REALM_ID, Scenario
from shared.counts.partition_row import COUNTS_ROW
from shared.imports.runs.readings import READING
from shared.outbox.gathered import LATER
from shared.records.history import is_history
from shared.records.model import MANUAL_PARTITION
from shared.storage.names import (
    ASSETS_TABLE,
    AUDIT_TABLE,
    INDEX_TABLE,
    OUTBOX_TABLE,
    RUNS_TABLE,
    SETTINGS_TABLE,
    TICKETS_TABLE,
    USERS_TABLE,
    VAULTS_TABLE,
)
from shared.storage.rows import Value
from shared.tickets.store.index_rows import DESK
from shared.tickets.store.repository import SCOPES_PARTITION

# When and by which run something was done differs between two runs of a scenario; what was done does not.
_OF_THE_MOMENT: Mapping[str, frozenset[str]] = {
    TICKETS_TABLE: frozenset({"received_at"}),
    SETTINGS_TABLE: frozenset({"changed_at", "changed_by", "named_at"}),
}
# Beside what people did, the moment when they did it is gone too.
_OF_PEOPLE = frozenset({"updated_at", "finished_at"})
# How notes begin that follow from what a person had said.
_FOLLOWS_OVERRIDES = ("Reopened, because", "Woken, because")
_OF_THE_RUN = frozenset(
    {
        "created_at",
        "changed_at",
        "deactivated_at",
        "gone_since",
        # The record as last read when something of it was written: what no field shows may have changed since.
        "source",
        "source_read_at",
        "last_run",
        "last_action",
    }
)
_ENTITIES = (ASSETS_TABLE, USERS_TABLE)
_MADE_BY_IMPORTS = frozenset({"asset-types", "asset-fields"})
_MOST_SHOWN = 5

Rows = dict[tuple[str, str], dict[str, Value]]


def differences(scenario: Scenario, calm: MemoryTables, played: MemoryTables) -> list[str]:
    """Where the tables of two runs of the same scenario differ in what is not of the moment."""
    expected, found = _comparable(scenario, calm), _comparable(scenario, played)
    for table in _ENTITIES:
        # What left the other side keeps the values of the last import that saw it, if one did: only that it is not
        # active, if it is not held active by the brake, may be compared.
        before, after = expected.get(table, {}), found.get(table, {})
        left = {key for key in {*before, *after} if not _stays(scenario, key)}
        gone = {
            key
            for key in left
            if key not in after or key[0] == MANUAL_PARTITION or _is_active(before, key) == _is_active(after, key)
        }
        # What a person made inactive is not updated any more: its values are those of the day when they did.
        held = {key for key in {*before} & {*after} if not _is_active(before, key) and not _is_active(after, key)}
        for rows in (expected, found):
            rows[table] = {
                key: {"locks": values.get("locks", "")} if key in held else values
                for key, values in rows.get(table, {}).items()
                if key not in gone
            }
    # A type or field that only such a record had need not be there; what a record names must be.
    made = {key: values for key, values in expected.get(SETTINGS_TABLE, {}).items() if key[0] in _MADE_BY_IMPORTS}
    for key in made:
        if key not in found.get(SETTINGS_TABLE, {}):
            del expected[SETTINGS_TABLE][key]
    types = {key[1].removeprefix("d:") for key in played.table(SETTINGS_TABLE).rows if key[0] == "asset-types"}
    findings = [
        f"{key} is of a type that is not there: {values['type']!r}"
        for key, values in found.get(ASSETS_TABLE, {}).items()
        if values.get("type", "server") not in types
    ]
    for table in sorted(set(expected) | set(found)):
        before, after = expected.get(table, {}), found.get(table, {})
        findings += [f"lost from {table}: {key}" for key in sorted(set(before) - set(after))[:_MOST_SHOWN]]
        findings += [f"too much in {table}: {key}" for key in sorted(set(after) - set(before))[:_MOST_SHOWN]]
        differing = [key for key in sorted(set(before) & set(after)) if before[key] != after[key]]
        for key in differing[:_MOST_SHOWN]:
            columns = [
                f"{column}: {before[key].get(column)!r} became {after[key].get(column)!r}"
                for column in sorted(set(before[key]) | set(after[key]))
                if before[key].get(column) != after[key].get(column)
            ]
            findings.append(f"different in {table}: {key}: {'; '.join(columns)[:600]}")
    return findings


def _stays(scenario: Scenario, key: tuple[str, str]) -> bool:
    """Whether the other side has the record, alive, in the end; of a manual asset, the one of its number."""
    if key[0] == MANUAL_PARTITION:
        number = scenario.manual_assets.get(key[1])
        return any(
            record.number == number and not record.gone
            for part in scenario.days[-1]
            for record in scenario.final_records(part).values()
        )
    part = REALM_ID if key[0].startswith("authrocket:") else key[0].removeprefix("aws:")
    record = scenario.final_records(part).get(key[1])
    return part not in scenario.parts or (record is not None and not record.gone)


def _is_active(rows: Rows, key: tuple[str, str]) -> bool:
    return bool(rows.get(key, {}).get("active", False))


def _comparable(scenario: Scenario, tables: MemoryTables) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for table, rows in tables.contents().items():
        # What a sweep came to, and when, is of the moment, as a run is; its tickets are compared. What follows is held
        # against what it follows, in each play by itself.
        if table in {RUNS_TABLE, VAULTS_TABLE, OUTBOX_TABLE, INDEX_TABLE, AUDIT_TABLE}:
            continue
        dropped = _OF_THE_RUN if table in _ENTITIES else _OF_THE_MOMENT.get(table, frozenset())
        found[table] = {
            # A history is held against its record instead: its steps differ where one import did two days' work.
            _key(key): {c: value for c, value in values.items() if c not in dropped and not is_history(c)}
            for key, values in rows.items()
            # Histories are held against their records instead: their steps differ where one import did two days' work.
            # Counts, and how a part was read, are held against the records, in each play by itself.
            if not key[1].startswith((HISTORY, "h:", LATER, COUNTS_ROW, READING))
            # A writer that died leaves its guard of what it was about to name: it counts for minutes.
            if not (table == SETTINGS_TABLE and key[1].startswith("g:"))
        }
    tickets = found.get(TICKETS_TABLE, {})
    # Tickets about users bear the run or the event that found out; they are counted instead.
    # What was wrong with the desk on the way is what was disturbed: its tickets are held against what holds instead.
    apart = ("authrocket:", f"{DESK}:")
    tickets = {key: values for key, values in tickets.items() if not any(one.startswith(apart) for one in key)}
    tickets = without_deleted(scenario, tickets)
    if scenario.steps.busy_people:
        tickets = _without_overrides(tickets)
    if scenario.people_on_tickets or scenario.steps.busy_people:
        tickets = _with_people(tickets)
    found[TICKETS_TABLE] = tickets
    return found


def without_deleted(scenario: Scenario, rows: Rows) -> Rows:
    """Without what is about deleted objects: how far they were known depends on who came first, sweep or deletion."""
    gone = set(deleted_objects(scenario))
    if not gone:
        return rows
    ids = {
        (key[0], str(values["ticket_id"]))
        for key, values in rows.items()
        if key[1].startswith("ticket:") and object_of(key[0], values) in gone
    }
    left = {
        key: values
        for key, values in rows.items()
        if (key[0], str(values.get("ticket_id") or key[1].split(":")[1 if ":" in key[1] else 0])) not in ids
        and not (key[1].startswith("object:") and (key[0], *key[1].split(":")[1:3]) in gone)
    }
    # A vault of which nothing else was ever said need not be known.
    updated = {key[0] for key in left}
    return {key: values for key, values in left.items() if key[0] != SCOPES_PARTITION or key[1] in updated}


def deleted_objects(scenario: Scenario) -> list[tuple[str, str, str]]:
    """Vault, type and name of what the vaults have no more in the end. With a certificate go its own key and secret."""
    gone: list[tuple[str, str, str]] = []
    for vault, objects in scenario.swept.items():
        others = {(one.object_type, one.name) for one in objects}
        for one in objects:
            own = [(kind, one.name) for kind in ("secret", "key")] if one.object_type == "certificate" else []
            if one.deleted_at is not None:
                gone += [(vault, one.object_type, one.name), *((vault, *each) for each in own if each not in others)]
    return gone


def object_of(vault: str, values: Mapping[str, Value]) -> tuple[str, str, str]:
    """What the ticket of a row is about, as `deleted_objects` names it."""
    return (vault, str(values.get("object_type")), str(values.get("object_name")).casefold())


def _without_overrides(rows: Rows) -> Rows:
    """Without the notes of people, and of what their words led to and no longer holds: all words were taken back."""
    return {
        key: values
        for key, values in rows.items()
        if not key[1].startswith("note:")
        or (values.get("author") != OPERATOR and not str(values.get("text")).startswith(_FOLLOWS_OVERRIDES))
    }


def _with_people(rows: Rows) -> Rows:
    """Tickets as people left them: when they spoke differs, what they said, and how often, does not."""
    told: Rows = {}
    for key, values in sorted(rows.items()):
        if key[1].startswith("object:"):
            continue
        place, dropped = key, _OF_PEOPLE
        if key[1].startswith("note:") and values.get("author") == OPERATOR:
            ticket, number = key[1].split(":")[1], 0
            dropped = dropped | {"at"}
            while place in told or number == 0:
                number += 1
                place = (key[0], f"note:{ticket}:{values.get('text')!r}:{number}")
        told[place] = {column: value for column, value in values.items() if column not in dropped}
    return told


def _key(key: tuple[str, str]) -> tuple[str, str]:
    # The quarantine's list is by the moment of arrival.
    return (key[0], re.sub(r"^at:\d+:", "at:", key[1]))
