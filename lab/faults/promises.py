"""What else is promised, held against the scenario: previews are written as shown, grants told of, and the like."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lab.fakes.tables import MemoryTables
from lab.faults.comparison import deleted_objects, object_of
from lab.faults.histories import desks, histories
from lab.faults.operators import Applied
from lab.faults.scenario import REALM_ID, Scenario
from lab.faults.scenario_steps import ORGANISATIONS
from shared import bootstrap
from shared.imports.runs.model import SUCCESSFUL
from shared.records.model import Key
from shared.storage.names import RUNS_TABLE, TICKETS_TABLE, USERS_TABLE
from shared.storage.rows import Row, unpack
from shared.users.grants import NOTE

_MOST_SHOWN = 5
_BRAKED_FROM = 4
_TOLD = frozenset({"changed_since_preview", "held_back", "error"})
_FINISHED = frozenset({"resolved", "closed"})


def applied_as_shown(scenario: Scenario, tables: MemoryTables, applied: Sequence[Applied]) -> list[str]:
    """Where a run that applied a preview wrote something else than that showed, or was silent about what it left."""
    if not applied:
        return []
    findings: list[str] = []
    told = [(key, one) for records in histories(tables).values() for key, one in records.items()]
    for one in applied:
        run = tables.table(RUNS_TABLE).find("runs", one.run)
        planned = {(entry["id"], entry["action"]): entry for entry in one.plan.values()}
        written: set[str] = set()
        # Who else wrote a record: then it is as they left it, and nothing needs to be told.
        others: set[str] = set()
        for key, record in told:
            names = {record.row.text("source_id"), Key.parse(record.row.text("claimed_by")).row}
            for change in record.changes:
                if change["by"] != f"run {one.run}":
                    others |= names
                    continue
                entries = [planned[name, change["action"]] for name in names if (name, change["action"]) in planned]
                if not any(_among(change["changes"], entry["changes"]) for entry in entries):
                    findings.append(f"the run {one.run} wrote what its preview had not shown: {key} {change}")
                written |= names
        if run is None or run.text("state") not in SUCCESSFUL:
            continue
        left = _told_of(tables, one.run)
        changed = {record for day in zip(scenario.days, scenario.days[1:], strict=False) for record in _changed(*day)}
        changed |= {record for _, record in scenario.steps.returned}
        findings += [
            f"the run {one.run} neither wrote nor told of what its preview had shown: {entry}"
            for (name, _), entry in planned.items()
            if name not in written | left | others | changed
        ]
    return findings[:_MOST_SHOWN]


def grant_faults(scenario: Scenario, tables: MemoryTables) -> list[str]:
    """Admin permissions that are new, and whose tickets are not there once; and what is noted and never told."""
    findings = [
        f"a grant is noted and no ticket was made of it: {key}"
        for key in tables.table(USERS_TABLE).rows
        if key[1].startswith(NOTE)
    ]
    names = {name: org for org, name in ORGANISATIONS.items()}
    place = f"authrocket:{REALM_ID.casefold()}"
    rows = [row for key, row in tables.table(TICKETS_TABLE).rows.items() if key[0] == place]
    found = Counter(
        (row.text("object_name"), names.get(row.text("summary").rpartition(" in ")[2], "?"))
        for row in rows
        if row.row_key.startswith("ticket:")
    )
    first = _first_success(tables)
    ended = first.time("finished_at") if first is not None else None
    # What was there before the realm's first import is not new.
    wanted = Counter(grant for grant, at in scenario.steps.grants.items() if ended is not None and at >= ended)
    findings += [f"a grant without its ticket: {one}" for one in sorted((wanted - found).keys())]
    known = Counter(scenario.steps.grants.keys())
    if first is not None and not unpack(first, "counts", {}).get("read"):
        # It listed nobody: whoever is found later is new, once.
        known |= Counter(found.keys())
    if ended is not None:
        # Whom the first import did not list is new to the desk later, with what is old in the source: once each.
        users = tables.table(USERS_TABLE).rows.items()
        later = {key[1] for key, row in users if (row.time("created_at") or ended) > ended}
        known |= Counter({grant for grant in found if grant[0] in later})
    findings += [f"a grant with too many tickets: {one}" for one in sorted((found - known).keys())]
    return findings


def _first_success(tables: MemoryTables) -> Row | None:
    """The first import of the realm that went well."""
    runs = [row for key, row in tables.table(RUNS_TABLE).rows.items() if key[0] == "runs"]
    went_well = [
        (at, row)
        for row in runs
        if (row.text("kind"), row.text("mode")) == ("authrocket-realms", "import")
        and row.text("state") in SUCCESSFUL
        and (at := row.time("finished_at")) is not None
    ]
    return min(went_well, key=lambda one: one[0])[1] if went_well else None


def undisturbed_faults(scenario: Scenario, tables: MemoryTables) -> list[str]:
    """What an undisturbed play must come to, whatever it is compared with: runs that succeed, and a brake that holds
    until somebody confirms it."""
    runs = [(key[1], row) for key, row in tables.table(RUNS_TABLE).rows.items() if key[0] == "runs"]
    findings = [
        f"the run {run_id} is {row.text('state')}: {row.text('message')}"
        for run_id, row in runs
        if row.text("state") not in SUCCESSFUL
    ]
    if not scenario.policies["braking"]:
        return findings
    for records in histories(tables).values():
        for key, record in records.items():
            part = REALM_ID if key.partition.startswith("authrocket:") else key.partition.removeprefix("aws:")
            is_gone = (
                part in scenario.parts
                and key.row in scenario.days[0][part]
                and key.row not in scenario.final_records(part)
            )
            # Of few records, a brake says nothing.
            if not is_gone or len(scenario.days[0][part]) < _BRAKED_FROM:
                continue
            is_active = bool(record.row.values.get("active", True))
            if is_active is scenario.steps.confirms_brake:
                findings.append(f"the brake: {key} is {'active' if is_active else 'inactive'}")
    return findings


def deletion_faults(scenario: Scenario, tables: MemoryTables) -> list[str]:
    """Tickets that are still open though what they are about was deleted."""
    if scenario.people_on_tickets:
        # What people then want of a ticket stands.
        return []
    gone = set(deleted_objects(scenario))
    return [
        f"its object is deleted, and it is {row.text('status')}: {row.text('ticket_id')} {row.text('summary')}"
        for key, row in tables.table(TICKETS_TABLE).rows.items()
        if key[1].startswith("ticket:")
        and object_of(key[0], row.values) in gone
        and row.text("status") not in _FINISHED
    ]


def _among(changes: Any, shown: Any) -> bool:
    """Whether all of these changes were shown: what takes away is written apart from the rest."""

    def plain(one: Sequence[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
        return {(str(change["field"]), repr(change["before"]), repr(change["after"])) for change in one}

    return plain(changes) <= plain(shown)


def _told_of(tables: MemoryTables, run_id: str) -> set[str]:
    found: set[str] = set()
    after: str | None = None
    with desks(tables):
        while True:
            items, after = bootstrap.run_reports().errors(run_id, 200, after)
            found |= {str(item["id"]) for item in items if item["action"] in _TOLD}
            if after is None:
                return found


def _changed(before: Any, after: Any) -> set[str]:
    return {
        record
        for part in {*before, *after}
        for record in {*before.get(part, {}), *after.get(part, {})}
        if before.get(part, {}).get(record) != after.get(part, {}).get(record)
    }
