"""Runs in a table: the list of a kind's runs, each run's parts and entries, leases, and last successes."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, NotFoundError
from shared.imports.runs.model import Mode, Part, PartState, Run, RunState
from shared.reasons import Reason
from shared.storage.continuation import invalid_continuation_token
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.documents import pack, unpack
from shared.storage.keys import descending
from shared.storage.limits import split_transactions
from shared.storage.rows import Condition, Create, Delete, Replace, Row, Save, Value, partition, row_key_prefix
from shared.storage.tables import Table, scan
from shared.text import escape_key

_RUNS = "runs"
_LEASES = "leases"
_SUCCESSES = "successes"
_PART = "part:"
_ENTRY = "entry:"
_ENTRIES_PER_ROW = 50
_LONGEST_SENTENCE = 4_000
# Rows of attempts that were killed, before a page ends short; and rows of one reading (of 50 entries each).
_MOST_PASSED_OVER = 200
_MOST_AT_ONCE = 64


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
    def __init__(self, table: Table) -> None:
        self._table = table

    # Runs

    def new_id(self, kind: str, now: datetime) -> str:
        """Newest first in key order."""
        return f"{descending(now)}-{kind}-{secrets.token_hex(3)}"

    def add(self, run: Run) -> Run:
        etag = self._table.transact(_RUNS, [Create(_run_row(run))])[0]
        return replace(run, etag=etag)

    def find(self, run_id: str) -> Run | None:
        if not run_id or escape_key(run_id) != run_id:
            return None
        row = self._table.find(_RUNS, run_id)
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
        etag = self._table.transact(_RUNS, [Replace(_run_row(run))])[0]
        return replace(run, etag=etag)

    def page(self, kind: str, name: str, size: int, after: str | None) -> tuple[Sequence[Run], str | None]:
        """Newest first; `kind` and `name` may be empty."""
        where: list[Condition] = [partition(_RUNS)]
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

    def remove(self, run: Run) -> None:
        """The run with all its rows; the run's own row last, so that a kill leaves it to be removed again."""
        self.remove_entries(run.id)
        rows = list(scan(self._table, [partition(run.id)], select=()))
        for transaction in split_transactions([[Delete(row.row_key)] for row in rows]):
            self._table.transact(run.id, transaction)
        self._table.transact(_RUNS, [Delete(run.id)])

    def _all(self, *conditions: Condition) -> list[Run]:
        return [_to_run(row) for row in scan(self._table, [partition(_RUNS), *conditions])]

    # Parts

    def add_parts(self, run_id: str, names: Sequence[str], now: datetime) -> None:
        """Those that are not there yet."""
        present = {part.name for part in self.parts(run_id)}
        rows = [_part_row(Part(run_id, name, PartState.QUEUED, now)) for name in names if name not in present]
        for transaction in split_transactions([[Create(row)] for row in rows]):
            try:
                self._table.transact(run_id, transaction)
            except AlreadyExistsError:
                # Another worker lays the same parts: one by one, so that none is left out.
                for operation in transaction:
                    with suppress(AlreadyExistsError):
                        self._table.transact(run_id, [operation])

    def parts(self, run_id: str) -> list[Part]:
        return [_to_part(row) for row in self._part_rows(run_id)]

    def parts_page(self, run_id: str, size: int, after: str | None) -> tuple[Sequence[Part], str | None]:
        """At most `size` parts of a run, by name; `after` is an earlier page's second answer."""
        page = self._table.page([partition(run_id), *row_key_prefix(_PART)], size=size, after=after)
        return [_to_part(row) for row in page.rows], page.next

    def find_part(self, run_id: str, name: str) -> Part | None:
        row = self._table.find(run_id, _PART + escape_key(name))
        return None if row is None else _to_part(row)

    def save_part(self, part: Part) -> Part:
        """Raises ChangedMeanwhileError: another attempt has the part."""
        etag = self._table.transact(part.run_id, [Replace(_part_row(part))])[0]
        return replace(part, etag=etag)

    # Entries

    def add_entries(self, part: Part, action: str, number: int, entries: Sequence[Mapping[str, Any]]) -> None:
        """One batch of a part's entries; `number` counts the batches of the attempt."""
        rows = [
            Row(
                part.run_id,
                f"{_ENTRY}{action}:{escape_key(part.name)}:{part.token}:{number:06d}:{start:03d}",
                {**pack("entries", list(entries[start : start + _ENTRIES_PER_ROW])), "part": part.name},
            )
            for start in range(0, len(entries), _ENTRIES_PER_ROW)
        ]
        for transaction in split_transactions([[Save(row)] for row in rows]):
            self._table.transact(part.run_id, transaction)

    def entries(
        self, run_id: str, actions: Sequence[str], *, part: str = "", size: int = 50, after: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """At most `size` entries of the attempts that count, by action and part; `after` is an earlier page's second
        answer. `actions` empty asks for all.

        A page costs the same wherever it stands. It is short, even empty, where it met much that does not count.
        Raises InvalidInputError.
        """
        begin, taken = _position(after)
        tokens = {row.text("name"): row.text("token") for row in self._part_rows(run_id, ("name", "token"))}
        prefixes = [f"{_ENTRY}{action}:{f'{escape_key(part)}:' if part else ''}" for action in sorted(actions)]
        found: list[dict[str, Any]] = []
        passed_over = 0
        for row in self._entry_rows(run_id, prefixes or [_ENTRY], begin, size // _ENTRIES_PER_ROW + 2):
            if not _counts(row, tokens) or part not in {"", row.text("part")}:
                passed_over += 1
                if passed_over == _MOST_PASSED_OVER:
                    return found, encode_cursor(row.row_key, _ENTRIES_PER_ROW)
                continue
            skipped = taken if row.row_key == begin else 0
            entries = unpack(row, "entries", [])[skipped:]
            room = size - len(found)
            found += [{"part": row.text("part"), **entry} for entry in entries[:room]]
            if len(entries) > room:
                return found, encode_cursor(row.row_key, skipped + room)
        return found, None

    def _entry_rows(self, run_id: str, prefixes: Sequence[str], begin: str, at_once: int) -> Iterator[Row]:
        """The rows with these prefixes, in order, from the row key `begin` on."""
        for prefix in prefixes:
            _, end = row_key_prefix(prefix)
            if begin >= str(end.value):
                continue
            where = [partition(run_id), Condition("RowKey", "ge", max(begin, prefix)), end]
            after: str | None = None
            while True:
                page = self._table.page(where, size=at_once, after=after)
                yield from page.rows
                after = page.next
                if after is None:
                    break
                # Whoever needs more than was thought of passes over what does not count.
                at_once = min(_MOST_AT_ONCE, at_once * 2)

    def _part_rows(self, run_id: str, select: Sequence[str] | None = None) -> Iterator[Row]:
        return scan(self._table, [partition(run_id), *row_key_prefix(_PART)], select=select)

    def all_entries(self, part: Part, action: str = "") -> Iterator[dict[str, Any]]:
        """The entries of one part."""
        prefix = f"{_ENTRY}{action}:{escape_key(part.name)}:" if action else _ENTRY
        for row in scan(self._table, [partition(part.run_id), *row_key_prefix(prefix)]):
            if row.text("part") == part.name and _counts(row, {part.name: part.token}):
                yield from unpack(row, "entries", [])

    def remove_entries(self, run_id: str) -> None:
        rows = list(scan(self._table, [partition(run_id), *row_key_prefix(_ENTRY)], select=()))
        for transaction in split_transactions([[Delete(row.row_key)] for row in rows]):
            self._table.transact(run_id, transaction)

    # Leases and successes

    def find_lease(self, kind: str, name: str) -> Lease | None:
        row = self._table.find(_LEASES, f"{kind}:{name}")
        return None if row is None else Lease(row.text("run_id"), row.etag)

    def take_lease(self, run: Run, before: Lease | None) -> bool:
        """Whether the run has it now; not when somebody else was faster."""
        row = Row(_LEASES, f"{run.kind}:{run.name}", {"run_id": run.id}, before.etag if before else "")
        try:
            self._table.transact(_LEASES, [Replace(row) if before else Create(row)])
        except (AlreadyExistsError, ChangedMeanwhileError):
            # Or this one was, and the answer was lost: what is sent again is then refused because of itself.
            present = self.find_lease(run.kind, run.name)
            return present is not None and present.run_id == run.id
        return True

    def find_success(self, kind: str, name: str) -> Success | None:
        row = self._table.find(_SUCCESSES, f"{kind}:{name}")
        at = row.time("at") if row is not None else None
        return None if row is None or at is None else Success(at, row.text("run_id"))

    def save_success(self, run: Run, at: datetime) -> None:
        before = self.find_success(run.kind, run.name)
        if before is None or before.at < at:
            row = Row(_SUCCESSES, f"{run.kind}:{run.name}", {"at": at, "run_id": run.id})
            self._table.transact(_SUCCESSES, [Save(row)])


def _position(after: str | None) -> tuple[str, int]:
    """The row key to go on at, and how many entries of that row have been given out."""
    if after is None:
        return "", 0
    row_key, taken = decode_cursor(after, str, int)
    if not row_key.startswith(_ENTRY) or taken < 0:
        raise invalid_continuation_token()
    return row_key, taken


def _counts(row: Row, tokens: Mapping[str, str]) -> bool:
    """Whether the row is of the attempt that has the part: an attempt that was killed leaves rows behind."""
    return f":{tokens.get(row.text('part'), '?')}:" in row.row_key


def _present(**columns: Value | None) -> dict[str, Value]:
    return {column: value for column, value in columns.items() if value is not None and value != ""}


def _cut(sentence: str) -> str:
    """A sentence as a row holds it: it may quote what another service said at length."""
    return sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[:_LONGEST_SENTENCE]}…"


def _run_row(run: Run) -> Row:
    values = _present(
        kind=run.kind,
        name=run.name,
        mode=str(run.mode),
        trigger=run.trigger,
        started_at=run.started_at,
        started_by=run.started_by,
        applies=run.applies,
        confirms=run.confirms,
        parts_created=run.parts_created,
        state=str(run.state),
        finished_at=run.finished_at,
        reason=run.reason,
        message=_cut(run.message),
        remedy=_cut(run.remedy),
    )
    return Row(_RUNS, run.id, {**values, **pack("counts", dict(run.counts))}, run.etag)


def _to_run(row: Row) -> Run:
    started_at = row.time("started_at")
    assert started_at is not None  # noqa: S101 - written with every row
    return Run(
        id=row.row_key,
        kind=row.text("kind"),
        name=row.text("name"),
        mode=Mode(row.text("mode")),
        trigger=row.text("trigger"),
        started_at=started_at,
        started_by=row.text("started_by"),
        applies=row.text("applies"),
        confirms=row.text("confirms"),
        parts_created=bool(row.values.get("parts_created")),
        state=RunState(row.text("state")),
        finished_at=row.time("finished_at"),
        counts=unpack(row, "counts", {}),
        reason=row.text("reason"),
        message=row.text("message"),
        remedy=row.text("remedy"),
        etag=row.etag,
    )


def _part_row(part: Part) -> Row:
    values = _present(
        name=part.name,
        state=str(part.state),
        queued_at=part.queued_at,
        token=part.token,
        attempts=part.attempts,
        started_at=part.started_at,
        heartbeat_at=part.heartbeat_at,
        finished_at=part.finished_at,
        expanded=part.expanded,
        reason=part.reason,
        message=_cut(part.message),
        remedy=_cut(part.remedy),
    )
    return Row(part.run_id, _PART + escape_key(part.name), {**values, **pack("counts", dict(part.counts))}, part.etag)


def _to_part(row: Row) -> Part:
    queued_at = row.time("queued_at")
    assert queued_at is not None  # noqa: S101 - written with every row
    return Part(
        run_id=row.partition_key,
        name=row.text("name"),
        state=PartState(row.text("state")),
        queued_at=queued_at,
        etag=row.etag,
        token=row.text("token"),
        attempts=row.number("attempts"),
        started_at=row.time("started_at"),
        heartbeat_at=row.time("heartbeat_at"),
        finished_at=row.time("finished_at"),
        expanded=bool(row.values.get("expanded")),
        counts=unpack(row, "counts", {}),
        reason=row.text("reason"),
        message=row.text("message"),
        remedy=row.text("remedy"),
    )
