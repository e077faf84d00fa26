"""What must hold while a schedule runs and after it: nothing wrongly deactivated, doubled or left open."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from lab.fakes.tables import MemoryTables
from lab.faults.histories import RecordHistory, histories, moment_of, without_record
from lab.faults.scenario import REALM_ID, Scenario
from shared.imports.runs.model import SUCCESSFUL, PartState
from shared.imports.runs.repository import RunRepository
from shared.outbox.model import OUTBOX
from shared.records.model import Key, column_of
from shared.records.table import RecordTable
from shared.storage.names import ASSETS_TABLE, RUNS_TABLE, USERS_TABLE
from shared.storage.rows import Delete, Operation, Row, unpack

_ENTITIES = (ASSETS_TABLE, USERS_TABLE)
# Clocks of workers differ by so much at most.
_SKEW = timedelta(minutes=10)


class Watch:
    """Looks at every transaction as it takes place. `following` says since when events of a user are dealt with."""

    def __init__(
        self,
        scenario: Scenario,
        tables: MemoryTables,
        now: Callable[[], datetime],
        deliveries_under_way: Mapping[str, Sequence[datetime]],
    ) -> None:
        self._scenario = scenario
        self._tables = tables
        self._now = now
        self._deliveries_under_way = deliveries_under_way
        self._inactive: set[tuple[str, Key]] = set()
        self.findings: list[str] = []

    def committed(self, table: str, partition_key: str, operations: Sequence[Operation]) -> None:
        """Told of a transaction that took place."""
        if table not in _ENTITIES:
            return
        for operation in operations:
            if isinstance(operation, Delete) or operation.row.row_key.startswith("~"):
                continue
            row, key = operation.row, Key(partition_key, operation.row.row_key)
            if row.values.get("active", True):
                self._inactive.discard((table, key))
            elif (table, key) not in self._inactive:
                self._inactive.add((table, key))
                newest = next(RecordTable(self._tables.table(table)).history(key), None)
                if newest is not None and newest.action == "deactivate":
                    self._deactivated(partition_key, row)

    def _deactivated(self, partition_key: str, row: Row) -> None:
        partition, _, record = (row.text("claimed_by") or f"{partition_key}|{row.row_key}").partition("|")
        part = REALM_ID if partition.startswith("authrocket:") else partition.removeprefix("aws:")
        began = self._began(row.text("last_run"))
        if began is None:
            self.findings.append(f"{record} was deactivated by a run that is not there: {row.text('last_run')}")
        elif self._scenario.present_between(part, record, began - _SKEW, self._now() + _SKEW):
            run_id = row.text("last_run")
            self.findings.append(f"wrongly deactivated: {record} of {part} was there all the time of {run_id}")

    def _began(self, run_id: str) -> datetime | None:
        if run_id in self._deliveries_under_way:
            return min(self._deliveries_under_way[run_id], default=None)
        run = self._tables.table(RUNS_TABLE).find("runs", run_id)
        return run.time("started_at") if run is not None else None


def run_faults(tables: MemoryTables, *, one_clock: bool, changed_at: Sequence[datetime] = ()) -> list[str]:
    """Runs that are open for ever, that do not say what they did, and records whose history does not tell them.

    `changed_at` is when settings or users were changed: an attempt before and one after it do different things.
    """
    rows = tables.contents().get(RUNS_TABLE, {})
    told = histories(tables)
    changes = [change for records in told.values() for one in records.values() for change in one.changes]
    # What a run takes away of a record stands in a line of its own, when all of the run is read.
    once = {
        (key, str(change["by"]), str(change["action"]))
        for records in told.values()
        for key, one in records.items()
        for change in one.changes
    }
    written = Counter((by.removeprefix("run "), action) for _, by, action in once)
    # By people, and by events of users.
    edited = [moment_of(one) for one in changes if one["action"] == "edit" or one["by"].startswith("run ev_")]
    runs = RunRepository(tables.table(RUNS_TABLE))
    findings: list[str] = []
    for run_id, run in _runs(tables).items():
        if run.text("state") == "running":
            findings.append(f"the run {run_id} is open for ever")
        parts = [values for key, values in rows.items() if key[0] == run_id and key[1].startswith("part:")]
        findings += _untrue(runs, run_id)
        if run.text("mode") != "import" or any(values["state"] != "done" for values in parts):
            continue
        began, ended = run.time("started_at"), run.time("finished_at")
        if began is None or ended is None or any(began - _SKEW <= at <= ended + _SKEW for at in changed_at):
            continue
        # What somebody changed between two attempts is rightly counted as the second one met it.
        slack = sum(began - _SKEW <= at <= ended + _SKEW for at in edited)
        counts = unpack(run, "counts", {})
        findings += [
            f"the run {run_id} counts {counts.get(action, 0)} of {action}, its history has {written[run_id, action]}: "
            f"{counts}"
            for action in ("create", "update", "deactivate")
            if abs(counts.get(action, 0) - written[run_id, action]) > slack
        ]
    findings += [f"a history without its record: {key}" for key in without_record(tables)]
    if one_clock:
        findings += [
            fault for records in told.values() for key, one in records.items() for fault in _contradictions(key, one)
        ]
    return findings


def _runs(tables: MemoryTables) -> dict[str, Row]:
    # What is still to follow from a run's start stands beside the runs.
    return {
        key[1]: row
        for key, row in tables.table(RUNS_TABLE).rows.items()
        if key[0] == "runs" and not key[1].startswith(OUTBOX)
    }


def _untrue(runs: RunRepository, run_id: str) -> list[str]:
    """Where an operator who looks at a run sees a part that nobody does, or a failure without a word."""
    run, parts = runs.get(run_id), list(runs.parts.all(run_id))
    findings = [f"the run {run_id} left a part open: {part.name}" for part in parts if part.is_open]
    if runs.parts.any_open(run_id):
        findings.append(f"the run {run_id} left the row of an open part")
    failed = [part for part in parts if part.state is PartState.FAILED]
    findings += [f"a part failed without a reason: {part}" for part in failed if not (part.reason and part.message)]
    if failed and run.state in SUCCESSFUL:
        findings.append(f"the run {run_id} says that it succeeded, and of its parts there failed {failed}")
    return findings


def _contradictions(key: Key, told: RecordHistory) -> list[str]:
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
        # What is no field of a person's stands in a column of its own name.
        stored = told.row.values.get(column_of(name), told.row.values.get(name))
        if stored != value:
            findings.append(f"{key} says {name} is {stored!r}, its history says {value!r}")
    return findings
