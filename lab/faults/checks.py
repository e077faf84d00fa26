"""What must hold after a schedule, and while it runs: nothing lost, doubled, wrongly deactivated or left open."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from lab.fakes.tables import MemoryTables
from lab.faults.histories import Told, histories, moment_of, without_record
from lab.faults.story import REALM_ID, Story
from shared.imports.columns import column_of
from shared.imports.model import Key
from shared.imports.records import HISTORY, MANUAL_PARTITION
from shared.storage.documents import unpack
from shared.storage.names import ASSETS_TABLE, RUNS_TABLE, SETTINGS_TABLE, TICKETS_TABLE, USERS_TABLE
from shared.storage.rows import Delete, Operation, Row, Value
from shared.tickets.sweeping import SWEEPS_PARTITION

# When and by which run something was done differs between two runs of a story; what was done does not.
_OF_THE_MOMENT: Mapping[str, frozenset[str]] = {
    TICKETS_TABLE: frozenset({"received_at"}),
    SETTINGS_TABLE: frozenset({"changed_at", "changed_by"}),
}
# Beside what people did, the moment when they did it is gone too.
_OF_PEOPLE = frozenset({"updated_at", "finished_at"})
_PERSON = "operator"
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
# Clocks of workers differ by so much at most.
_SKEW = timedelta(minutes=10)

Rows = dict[tuple[str, str], dict[str, Value]]


class Watch:
    """Looks at every transaction as it takes place."""

    def __init__(self, story: Story, tables: MemoryTables, now: Callable[[], datetime]) -> None:
        self._story = story
        self._tables = tables
        self._now = now
        self.findings: list[str] = []

    def committed(self, table: str, partition_key: str, operations: Sequence[Operation]) -> None:
        if table not in _ENTITIES:
            return
        rows = [operation.row for operation in operations if not isinstance(operation, Delete)]
        left = {
            row.row_key.removeprefix(HISTORY).split(":")[0]
            for row in rows
            if row.row_key.startswith(HISTORY) and row.text("action") == "deactivate"
        }
        for row in rows:
            if row.row_key in left:
                self._deactivated(partition_key, row)

    def _deactivated(self, partition_key: str, row: Row) -> None:
        partition, _, thing = (row.text("bound_to") or f"{partition_key}|{row.row_key}").partition("|")
        part = REALM_ID if partition.startswith("authrocket:") else partition.removeprefix("aws:")
        run = self._tables.table(RUNS_TABLE).find("runs", row.text("last_run"))
        began = run.time("started_at") if run is not None else None
        if began is None:
            self.findings.append(f"{thing} was deactivated by a run that is not there: {row.text('last_run')}")
        elif self._story.present_between(part, thing, began - _SKEW, self._now() + _SKEW):
            run_id = row.text("last_run")
            self.findings.append(f"wrongly deactivated: {thing} of {part} was there all the time of {run_id}")


def differences(story: Story, calm: MemoryTables, played: MemoryTables) -> list[str]:
    """Where the tables of two runs of the same story differ in what is not of the moment."""
    expected, found = _comparable(story, calm), _comparable(story, played)
    for table in _ENTITIES:
        # What left the far side keeps the values of the last import that saw it, if one did: only that it is not
        # active, if it is not held active by the brake, may be compared.
        before, after = expected.get(table, {}), found.get(table, {})
        left = {key for key in {*before, *after} if not _stays(story, key)}
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
    # A type or field that only such a thing had need not be there; what a record names must be.
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


def _stays(story: Story, key: tuple[str, str]) -> bool:
    """Whether the record's thing is there, alive, in the end; of a record made by hand, the one of its number."""
    if key[0] == MANUAL_PARTITION:
        number = story.by_hand.get(key[1])
        return any(
            thing.number == number and not thing.gone for things in story.days[-1].values() for thing in things.values()
        )
    part = REALM_ID if key[0].startswith("authrocket:") else key[0].removeprefix("aws:")
    thing = story.days[-1].get(part, {}).get(key[1])
    return part not in story.parts or (thing is not None and not thing.gone)


def _is_active(rows: Rows, key: tuple[str, str]) -> bool:
    return bool(rows.get(key, {}).get("active", False))


def run_faults(tables: MemoryTables, *, one_clock: bool) -> list[str]:
    """Runs that are open for ever, that do not say what they did, and records whose history does not tell them."""
    rows = tables.contents().get(RUNS_TABLE, {})
    told = histories(tables)
    changes = [change for records in told.values() for one in records.values() for change in one.changes]
    written = Counter((str(change["by"]).removeprefix("run "), str(change["action"])) for change in changes)
    edited = [moment_of(change) for change in changes if change["action"] == "edit"]
    findings: list[str] = []
    for run_id, run in _runs(tables).items():
        if run.text("state") == "running":
            findings.append(f"the run {run_id} is open for ever")
        parts = [values for key, values in rows.items() if key[0] == run_id and key[1].startswith("part:")]
        open_parts = [values["name"] for values in parts if values["state"] in {"queued", "running"}]
        if open_parts:
            findings.append(f"the run {run_id} left parts open: {open_parts}")
        if run.text("mode") != "import" or any(values["state"] != "done" for values in parts):
            continue
        began, ended = run.time("started_at"), run.time("finished_at")
        if began is None or ended is None or any(began - _SKEW <= at <= ended + _SKEW for at in edited):
            # What a person changed between two attempts is rightly counted as the second one met it.
            continue
        counts = unpack(run, "counts", {})
        findings += [
            f"the run {run_id} counts {counts.get(action, 0)} of {action}, its history has {written[run_id, action]}: "
            f"{counts}"
            for action in ("create", "update", "deactivate")
            if counts.get(action, 0) != written[run_id, action]
        ]
    findings += [f"a history without its record: {key}" for key in without_record(tables)]
    if one_clock:
        findings += [fault for records in told.values() for key, one in records.items() for fault in _untold(key, one)]
    return findings


def _runs(tables: MemoryTables) -> dict[str, Row]:
    return {key[1]: row for key, row in tables.table(RUNS_TABLE).rows.items() if key[0] == "runs"}


def _untold(key: Key, told: Told) -> list[str]:
    """Where a record is not what its history, told from its beginning, makes of it."""
    findings: list[str] = []
    values: dict[str, Any] = {}
    for one in told.changes:
        for change in one["changes"]:
            name, before, after = change["field"], change.get("before"), change.get("after")
            if name.startswith("lock:"):
                continue
            if name in values and values[name] != before:
                findings.append(
                    f"the history of {key} is broken at {one['at']}: {name} was {values[name]!r}, not {before!r}"
                )
            values[name] = after
    for name, value in values.items():
        stored = told.row.values.get(name if name == "bound_to" else column_of(name))
        if stored != value:
            findings.append(f"{key} says {name} is {stored!r}, its history says {value!r}")
    return findings


def _comparable(story: Story, tables: MemoryTables) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for table, rows in tables.contents().items():
        if table == RUNS_TABLE:
            continue
        dropped = _OF_THE_RUN if table in _ENTITIES else _OF_THE_MOMENT.get(table, frozenset())
        found[table] = {
            _key(key): {column: value for column, value in values.items() if column not in dropped}
            for key, values in rows.items()
            if not (table == TICKETS_TABLE and key[0] == SWEEPS_PARTITION)
            # Histories are held against their records instead: their steps differ where one import did two days' work.
            if not key[1].startswith((HISTORY, "h:"))
        }
    if story.people_on_tickets:
        found[TICKETS_TABLE] = _with_people(found.get(TICKETS_TABLE, {}))
    return found


def _with_people(rows: Rows) -> Rows:
    """Tickets as people left them: when they spoke differs, what they said, and how often, does not."""
    told: Rows = {}
    for key, values in sorted(rows.items()):
        if key[1].startswith("object:"):
            continue
        place, dropped = key, _OF_PEOPLE
        if key[1].startswith("note:") and values.get("author") == _PERSON:
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
