"""Runs in a table: the list of a kind's runs, each run's parts, leases, and last successes."""

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, NotFoundError
from shared.imports.runs.entries import PART, EntryRepository
from shared.imports.runs.model import Mode, Part, PartState, Run, RunState
from shared.reasons import Reason
from shared.storage.keys import descending
from shared.storage.limits import split_transactions
from shared.storage.rows import (
    Condition,
    Create,
    Delete,
    Operation,
    Replace,
    Row,
    Save,
    Value,
    partition,
    row_key_prefix,
)
from shared.storage.tables import Table, scan
from shared.text import KEY_FORBIDDEN, escape_key

RUNS_PARTITION = "runs"
# What follows from a run stands behind them.
_IS_RUN = Condition("RowKey", "lt", "~")
_LEASES = "leases"
_SUCCESSES = "successes"
_LONGEST_SENTENCE = 4_000
_LONGEST_ID = 200


@dataclass(frozen=True)
class Lease:
    """Which run may import a document."""

    run_id: str
    etag: str


@dataclass(frozen=True)
class Success:
    """The last import of a document that went through."""

    at: datetime
    run_id: str


class RunRepository:
    """Runs and their parts; `entries` are what they tell of single records."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.entries = EntryRepository(table)

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

    def page(self, kind: str, name: str, size: int, after: str | None) -> tuple[Sequence[Run], str | None]:
        """Newest first; `kind` and `name` may be empty."""
        where: list[Condition] = [partition(RUNS_PARTITION), _IS_RUN]
        if kind:
            where.append(Condition("kind", "eq", kind))
        if name:
            where.append(Condition("name", "eq", name))
        page = self._table.page(where, size=size, after=after)
        return [_to_run(row) for row in page.rows], page.next

    def open_runs(self) -> list[Run]:
        """Those that are not closed yet."""
        return self._all(Condition("state", "eq", str(RunState.RUNNING)))

    def closed_before(self, moment: datetime, mode: Mode | None = None) -> list[Run]:
        """Those that started before, and are closed."""
        older = Condition("RowKey", "gt", descending(moment))
        runs = self._all(older) if mode is None else self._all(older, Condition("mode", "eq", str(mode)))
        return [run for run in runs if not run.is_open]

    def remove(self, run: Run, beside: Sequence[Operation] = ()) -> None:
        """The run with all its rows; the run's own row last, so that a kill leaves it to be removed again.

        `beside` are operations of the last transaction.
        """
        self.entries.remove(run.id)
        rows = list(scan(self._table, [partition(run.id)], select=()))
        for transaction in split_transactions([[Delete(row.row_key)] for row in rows]):
            self._table.transact(run.id, transaction)
        self._table.transact(RUNS_PARTITION, [Delete(run.id), *beside])

    def _all(self, *conditions: Condition) -> list[Run]:
        return [_to_run(row) for row in scan(self._table, [partition(RUNS_PARTITION), _IS_RUN, *conditions])]

    # Parts

    def add_parts(self, run_id: str, names: Sequence[str], now: datetime) -> None:
        """Those that are not there yet."""
        there = {part.name for part in self.parts(run_id)}
        rows = [_part_row(Part(run_id, name, PartState.QUEUED, now)) for name in names if name not in there]
        for transaction in split_transactions([[Create(row)] for row in rows]):
            try:
                self._table.transact(run_id, transaction)
            except AlreadyExistsError:
                # Another worker creates the same parts: one by one, so that none is left out.
                for operation in transaction:
                    with suppress(AlreadyExistsError):
                        self._table.transact(run_id, [operation])

    def parts(self, run_id: str) -> list[Part]:
        return [_to_part(row) for row in scan(self._table, [partition(run_id), *row_key_prefix(PART)])]

    def parts_page(self, run_id: str, size: int, after: str | None) -> tuple[Sequence[Part], str | None]:
        """At most `size` parts of a run, by name; `after` is an earlier page's second answer."""
        page = self._table.page([partition(run_id), *row_key_prefix(PART)], size=size, after=after)
        return [_to_part(row) for row in page.rows], page.next

    def find_part(self, run_id: str, name: str) -> Part | None:
        row = self._table.find(run_id, PART + escape_key(name))
        return None if row is None else _to_part(row)

    def save_part(self, part: Part) -> Part:
        """Raises ChangedMeanwhileError: another attempt has the part."""
        etag = self._table.transact(part.run_id, [Replace(_part_row(part))])[0]
        return replace(part, etag=etag)

    # Leases and successes

    def find_lease(self, kind: str, name: str) -> Lease | None:
        row = self._table.find(_LEASES, f"{kind}:{name}")
        return None if row is None else Lease(str(row.values["run_id"]), row.etag)

    def take_lease(self, run: Run, before: Lease | None) -> bool:
        """Whether the run has it now; not when somebody else was faster."""
        row = Row(_LEASES, f"{run.kind}:{run.name}", {"run_id": run.id}, before.etag if before else "")
        try:
            self._table.transact(_LEASES, [Replace(row) if before else Create(row)])
        except (AlreadyExistsError, ChangedMeanwhileError):
            # Or this one was, and the answer was lost: what is sent again is then refused because of itself.
            lease = self.find_lease(run.kind, run.name)
            return lease is not None and lease.run_id == run.id
        return True

    def find_success(self, kind: str, name: str) -> Success | None:
        row = self._table.find(_SUCCESSES, f"{kind}:{name}")
        values: Mapping[str, Any] | None = None if row is None else row.values
        return None if values is None else Success(values["at"], values["run_id"])

    def save_success(self, run: Run, at: datetime) -> None:
        before = self.find_success(run.kind, run.name)
        if before is None or before.at < at:
            row = Row(_SUCCESSES, f"{run.kind}:{run.name}", {"at": at, "run_id": run.id})
            self._table.transact(_SUCCESSES, [Save(row)])


def _without_empty(columns: Mapping[str, Value | None]) -> dict[str, Value]:
    return {column: value for column, value in columns.items() if value is not None and value != ""}


def _cut(sentence: str) -> str:
    """A sentence as a row holds it: it may quote what another service said at length."""
    return sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[:_LONGEST_SENTENCE]}…"


def _run_row(run: Run) -> Row:
    values = _without_empty(
        {
            "kind": run.kind,
            "name": run.name,
            "mode": str(run.mode),
            "trigger": run.trigger,
            "started_at": run.started_at,
            "started_by": run.started_by,
            "applies": run.applies,
            "confirms": run.confirms,
            "parts_created": run.parts_created,
            "state": str(run.state),
            "finished_at": run.finished_at,
            "counts": json.dumps(run.counts),
            "reason": run.reason,
            "message": _cut(run.message),
            "remedy": _cut(run.remedy),
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
        parts_created=values["parts_created"],
        state=RunState(values["state"]),
        finished_at=values.get("finished_at"),
        counts=json.loads(values["counts"]),
        reason=values.get("reason", ""),
        message=values.get("message", ""),
        remedy=values.get("remedy", ""),
        etag=row.etag,
    )


def _part_row(part: Part) -> Row:
    values = _without_empty(
        {
            "name": part.name,
            "state": str(part.state),
            "queued_at": part.queued_at,
            "attempt_id": part.attempt_id,
            "attempts": part.attempts,
            "started_at": part.started_at,
            "heartbeat_at": part.heartbeat_at,
            "finished_at": part.finished_at,
            "expanded": part.expanded,
            "counts": json.dumps(part.counts),
            "reason": part.reason,
            "message": _cut(part.message),
            "remedy": _cut(part.remedy),
        }
    )
    return Row(part.run_id, PART + escape_key(part.name), values, part.etag)


def _to_part(row: Row) -> Part:
    values: Mapping[str, Any] = row.values
    return Part(
        run_id=row.partition_key,
        name=values["name"],
        state=PartState(values["state"]),
        queued_at=values["queued_at"],
        etag=row.etag,
        attempt_id=values.get("attempt_id", ""),
        attempts=values["attempts"],
        started_at=values.get("started_at"),
        heartbeat_at=values.get("heartbeat_at"),
        finished_at=values.get("finished_at"),
        expanded=values["expanded"],
        counts=json.loads(values["counts"]),
        reason=values.get("reason", ""),
        message=values.get("message", ""),
        remedy=values.get("remedy", ""),
    )
