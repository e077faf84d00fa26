"""Runs in a table: the list of a kind's runs, leases; what stands beside each."""

import json
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from typing import Any

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, NotFoundError, TryLaterError
from shared.imports.plan.model import Action
from shared.imports.plan.safety import Brake, Losses
from shared.imports.runs.entries import EntryRepository
from shared.imports.runs.model import (
    SUCCESS_EXPECTED_WITHIN,
    SUCCESSFUL,
    Mode,
    Outcome,
    OutcomeChange,
    Run,
    RunState,
    Withheld,
)
from shared.imports.runs.parts import PartRepository, cut, without_empty
from shared.imports.runs.readings import Readings
from shared.reasons import Reason
from shared.storage.rows import Create, Delete, Operation, Replace, Row, Value, in_transactions
from shared.storage.tables import AnyOf, Condition, Table, partition, scan
from shared.text import KEY_FORBIDDEN, descending

RUNS_PARTITION = "runs"
# What follows from a run stands behind them.
_IS_RUN = Condition("RowKey", "lt", "~")
_LEASES = "leases"
_OUTCOMES = "outcomes"
_TRIES = 20
_LONGEST_SENTENCE = 2_000
_LONGEST_ID = 200
# A query of the table service takes 15 comparisons.
_MOST_NAMES_ASKED = 6


@dataclass(frozen=True)
class Lease:
    """Which run may import a document."""

    run_id: str
    etag: str


class RunRepository:
    """Runs, with their `parts`; `entries` are what they tell of single records, `readings` who reads which."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.parts = PartRepository(table)
        self.entries = EntryRepository(table)
        self.readings = Readings(table)

    # Runs

    def new_id(self, kind: str, now: datetime) -> str:
        """Newest first in key order."""
        return f"{descending(now)}-{kind}-{secrets.token_hex(3)}"

    def add(self, run: Run, beside: Sequence[Operation] = ()) -> Run:
        """The run with its ETag; `beside` are operations of the same transaction."""
        etag = self._table.transact(RUNS_PARTITION, [Create(_run_row(run)), *beside])[0]
        return replace(run, etag=etag)

    def find(self, run_id: str) -> Run | None:
        if not 0 < len(run_id) <= _LONGEST_ID or KEY_FORBIDDEN.search(run_id):
            return None
        row = self._table.find(RUNS_PARTITION, run_id)
        return None if row is None else _to_run(row)

    def get(self, run_id: str) -> Run:
        run = self.find(run_id)
        if run is None:
            raise NotFoundError(
                Reason.NOT_FOUND, f"There is no run {run_id!r}.", remedy="Runs are kept for a set time."
            )
        return run

    def save(self, run: Run) -> Run:
        """Raises ChangedMeanwhileError."""
        etag = self._table.transact(RUNS_PARTITION, [Replace(_run_row(run))])[0]
        return replace(run, etag=etag)

    def save_brake(self, run: Run, brake: Brake) -> Run:
        """The run with the brake that all of its parts are settled under: as its document had it first."""
        while run.brake is None:
            try:
                return self.save(replace(run, brake=brake))
            except ChangedMeanwhileError:
                run = self.get(run.id)
        return run

    def page(
        self,
        kind: str,
        name: str,
        size: int,
        after: str | None,
        documents: Collection[tuple[str, str]] | None = None,
        states: Collection[str] = (),
    ) -> tuple[Sequence[Run], str | None]:
        """Newest first; `kind`, `name` and `states` may be empty. With `documents`, only their runs: the page may be
        short."""
        if documents is not None and not documents:
            return [], None
        where: list[Condition | AnyOf] = [partition(RUNS_PARTITION), _IS_RUN]
        if documents is not None and len(documents) <= _MOST_NAMES_ASKED:
            where.append(AnyOf([Condition("name", "eq", one) for one in sorted({one for _, one in documents})]))
        if states:
            where.append(AnyOf([Condition("state", "eq", one) for one in sorted(states)]))
        if kind:
            where.append(Condition("kind", "eq", kind))
        if name:
            where.append(Condition("name", "eq", name))
        page = self._table.page(where, size=size, after=after)
        runs = map(_to_run, page.rows)
        return [run for run in runs if documents is None or (run.kind, run.name) in documents], page.next

    def open_runs(self) -> list[Run]:
        """Those that are not closed yet."""
        return list(self._all(Condition("state", "eq", str(RunState.RUNNING))))

    def closed_before(self, moment: datetime, mode: Mode | None = None) -> Iterator[Run]:
        """Those that started before, and are closed; page after page."""
        older = Condition("RowKey", "gt", descending(moment))
        runs = self._all(older) if mode is None else self._all(older, Condition("mode", "eq", str(mode)))
        return (run for run in runs if not run.is_open)

    def remove_rows(self, run: Run) -> bool:
        """Some of the rows that a run has beside its own; whether there may be more."""
        page = self._table.page([partition(run.id)], select=())
        for row_keys in in_transactions((row.row_key, [Delete(row.row_key)]) for row in page.rows):
            self._table.transact(run.id, [Delete(row_key) for row_key in row_keys])
        return page.next is not None

    def remove(self, run: Run, beside: Sequence[Operation] = ()) -> None:
        """The run with all its rows; the run's own row last, so that a kill leaves it to be removed again.

        `beside` are operations of the last transaction.
        """
        while self.remove_rows(run):
            pass
        self._table.transact(RUNS_PARTITION, [Delete(run.id), *beside])

    def _all(self, *conditions: Condition) -> Iterator[Run]:
        return map(_to_run, scan(self._table, [partition(RUNS_PARTITION), _IS_RUN, *conditions]))

    # Leases

    def find_lease(self, kind: str, name: str) -> Lease | None:
        row = self._table.find(_LEASES, f"{kind}:{name}")
        return None if row is None else Lease(str(row.values["run_id"]), row.etag)

    def has_lease(self, run: Run) -> bool:
        """Whether the run may import its document."""
        lease = self.find_lease(run.kind, run.name)
        return lease is not None and lease.run_id == run.id

    def take_lease(self, run: Run, before: Lease | None) -> bool:
        """Whether the run has it now; not when somebody else was faster."""
        row = Row(_LEASES, f"{run.kind}:{run.name}", {"run_id": run.id}, before.etag if before else "")
        try:
            self._table.transact(_LEASES, [Replace(row) if before else Create(row)])
        except (AlreadyExistsError, ChangedMeanwhileError):
            # Or this one was, and the answer was lost: what is sent again is then refused because of itself.
            return self.has_lease(run)
        return True

    # Outcomes

    def find_outcome(self, kind: str, name: str) -> Outcome | None:
        row = self._table.find(_OUTCOMES, f"{kind}:{name}")
        return None if row is None else _to_outcome(row)

    def outcomes(self) -> Mapping[tuple[str, str], Outcome]:
        """All of them, by kind and name."""
        rows = scan(self._table, [partition(_OUTCOMES)])
        return {(row.text("kind"), row.text("name")): _to_outcome(row) for row in rows}

    def save_outcome(
        self,
        run: Run,
        at: datetime,
        names: Sequence[str] = (),
        why: str = "",
        decides: Callable[[], bool] = lambda: True,
    ) -> OutcomeChange | None:
        """Keep what an import came to that ended at that moment; of two the later one stands. None where there is
        nothing to be told: it left nothing to look at, and neither had the one before, which came in time."""
        for _ in range(_TRIES):
            before = self.find_outcome(run.kind, run.name)
            if before is not None and (before.run_id == run.id or before.at > at):
                return None if before.state is RunState.SUCCEEDED else OutcomeChange(before, before)
            outcome = _after_run(before, run, at, names, why, decides)
            row = _outcome_row(run.kind, run.name, outcome)
            try:
                etag = self._table.transact(_OUTCOMES, [Replace(row) if row.etag else Create(row)])[0]
            except (AlreadyExistsError, ChangedMeanwhileError):
                continue
            return None if _were_well(before, outcome) else OutcomeChange(before, replace(outcome, etag=etag))
        raise TryLaterError(Reason.CONTENDED, "Others write the outcome of the same import all the time.")


def _were_well(before: Outcome | None, after: Outcome) -> bool:
    """Whether neither of two imports left anything to look at, and the second came in time."""
    well = (RunState.SUCCEEDED, None)
    if before is None or (after.state, after.withheld) != well:
        return (after.state, after.withheld) == well
    in_time = before.success_at is not None and after.at - before.success_at <= SUCCESS_EXPECTED_WITHIN
    return in_time and (before.state, before.withheld) == well


def _after_run(
    before: Outcome | None, run: Run, at: datetime, names: Sequence[str], why: str, decides: Callable[[], bool]
) -> Outcome:
    """The outcome with an import that ended; `names` and `why` tell of what it withheld. That nothing is withheld
    counts of an import that `decides` on it."""
    same = before is not None and before.state is run.state
    outcome = Outcome(
        run.id,
        run.state,
        at,
        before.since if before is not None and same else at,
        run.counts,
        run.reason,
        run.message,
        run.remedy,
        before.success_at if before is not None else None,
        before.success_run if before is not None else "",
        before.withheld if before is not None else None,
        before.etag if before is not None else "",
    )
    if run.state in SUCCESSFUL:
        outcome = replace(outcome, success_at=at, success_run=run.id)
    held = run.counts.get(Action.HELD_BACK, 0)
    if held:
        since = outcome.withheld.since if outcome.withheld is not None else at
        return replace(outcome, withheld=Withheld(held, run.id, since, tuple(names), why))
    if outcome.withheld is not None and run.state in SUCCESSFUL and decides():
        return replace(outcome, withheld=None)
    return outcome


def _run_row(run: Run) -> Row:
    values = without_empty(
        {
            "kind": run.kind,
            "name": run.name,
            "mode": str(run.mode),
            "trigger": run.trigger,
            "started_at": run.started_at,
            "started_by": run.started_by,
            "applies": run.applies,
            "confirms": run.confirms,
            "state": str(run.state),
            "finished_at": run.finished_at,
            "counts": json.dumps(run.counts),
            "counted_to": run.counted_to,
            "settles": run.settles or None,
            "losses": json.dumps(astuple(run.losses)),
            "brake": json.dumps(astuple(run.brake)) if run.brake else None,
            "reason": run.reason,
            "message": cut(run.message),
            "remedy": cut(run.remedy),
        }
    )
    return Row(RUNS_PARTITION, run.id, values, run.etag)


def _to_run(row: Row) -> Run:
    values: Mapping[str, Any] = row.values
    return Run(
        id=row.row_key,
        kind=values["kind"],
        name=values["name"],
        mode=Mode(values["mode"]),
        trigger=values["trigger"],
        started_at=values["started_at"],
        started_by=values["started_by"],
        applies=values.get("applies", ""),
        confirms=values.get("confirms", ""),
        state=RunState(values["state"]),
        finished_at=values.get("finished_at"),
        counts=json.loads(values["counts"]),
        counted_to=values.get("counted_to", ""),
        settles=values.get("settles", False),
        losses=Losses(*json.loads(values.get("losses", "[]"))),
        brake=Brake(*json.loads(values["brake"])) if "brake" in values else None,
        reason=values.get("reason", ""),
        message=values.get("message", ""),
        remedy=values.get("remedy", ""),
        etag=row.etag,
    )


def _outcome_row(kind: str, name: str, outcome: Outcome) -> Row:
    values: dict[str, Value] = {
        "kind": kind,
        "name": name,
        "run_id": outcome.run_id,
        "state": str(outcome.state),
        "at": outcome.at,
        "since": outcome.since,
        "counts": json.dumps(outcome.counts),
        "reason": outcome.reason,
        "message": outcome.message[:_LONGEST_SENTENCE],
        "remedy": outcome.remedy[:_LONGEST_SENTENCE],
        "success_run": outcome.success_run,
    }
    if outcome.success_at is not None:
        values["success_at"] = outcome.success_at
    held = outcome.withheld
    if held is not None:
        values |= {
            "held": held.count,
            "held_run": held.run_id,
            "held_since": held.since,
            "held_why": held.why[:_LONGEST_SENTENCE],
        }
        values["held_names"] = json.dumps(held.names)
    return Row(_OUTCOMES, f"{kind}:{name}", values, outcome.etag)


def _to_outcome(row: Row) -> Outcome:
    values: Mapping[str, Any] = row.values
    held = None
    if "held" in values:
        names = tuple(json.loads(values["held_names"]))
        held = Withheld(values["held"], values["held_run"], values["held_since"], names, values["held_why"])
    return Outcome(
        run_id=values["run_id"],
        state=RunState(values["state"]),
        at=values["at"],
        since=values["since"],
        counts=json.loads(values["counts"]),
        reason=values["reason"],
        message=values["message"],
        remedy=values["remedy"],
        success_at=values.get("success_at"),
        success_run=values["success_run"],
        withheld=held,
        etag=row.etag,
    )
