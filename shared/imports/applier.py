"""A plan becomes transactions: a record and its history as one, up to 100 rows at a time, only what differs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from shared.errors import (
    AlreadyExistsError,
    ChangedMeanwhileError,
    DeskbridgeError,
    RowRefusedError,
    TooLargeError,
    TryLaterError,
)
from shared.imports.part_rows import Groups, PartRows
from shared.imports.plan.model import DONE_AS, Action, ExistingRecord, PlanEntry
from shared.reasons import Reason
from shared.records.index_rows import RecordMoved, moved_by, removed
from shared.storage.rows import Delete, Merge, Operation, check_row, in_transactions

# What a transaction carries beside the records: what index and counts have to follow.
ROWS_BESIDE = 1
# Another writer of the same rows is a person or a second worker on the same part: a few rounds always end.
_ROUNDS = 8


class PreparedEntry(NamedTuple):
    """An entry, and what it writes: groups of operations, each in its partition."""

    entry: PlanEntry
    groups: Groups


class Applier:
    """Writes the entries of one part."""

    def __init__(
        self,
        rows: PartRows,
        partition_key: str,
        run_id: str,
        document: str,
        now: Callable[[], datetime],
        again: Callable[[PlanEntry], PlanEntry],
    ) -> None:
        self._rows = rows
        self._partition = partition_key
        self._run_id = run_id
        self._document = document
        self._now = now
        self._again = again

    def prepare(self, entry: PlanEntry) -> PreparedEntry:
        """The entry with what it writes, or the error that it becomes because its row would not fit. A preview shows
        the same."""
        entry = self._ours(entry)
        if not entry.assign:
            return PreparedEntry(entry, [])
        try:
            groups = self._rows.operations(self._partition, entry, self._run_id, self._document, self._now())
            for _, operations in groups:
                for operation in operations:
                    if not isinstance(operation, Delete):
                        check_row(operation.row)
        except (RowRefusedError, TooLargeError) as error:
            return PreparedEntry(_refused(entry, error), [])
        return PreparedEntry(entry, groups)

    def _ours(self, entry: PlanEntry) -> PlanEntry:
        """What is as it should be because this very run wrote it, in a call whose answer was lost or in another
        attempt, is counted as what the run did."""
        values = entry.existing.values if entry.existing is not None else {}
        if (entry.action, entry.reason) != (Action.UNCHANGED, "unchanged") or values.get("last_run") != self._run_id:
            return entry
        action = DONE_AS.get(str(values.get("last_action")))
        return entry if action is None else replace(entry, action=action, reason="done")

    def apply(self, entries: Iterable[PreparedEntry]) -> list[PlanEntry]:
        """Write what the entries say; the entries as they came out.

        Raises TryLaterError when storage does not answer: what is written stays, and a repetition goes on from there.
        """
        results: list[PlanEntry] = []
        writing = list(entries)
        for _ in range(_ROUNDS):
            # Before anything is written: who looks for a record by what it will hold then finds it.
            if found_by := [entry for entry, _ in writing if not self._rows.announced.isdisjoint(entry.assign)]:
                self._rows.announce(self._partition, found_by, self._now())
            done, conflicted = self._round(writing)
            results += done
            if not conflicted:
                return results
            writing = [self.prepare(self._again(entry)) for entry in conflicted]
        raise TryLaterError(Reason.CONTENDED, f"{len(writing)} rows of {self._partition} keep changing.")

    def _round(self, entries: Sequence[PreparedEntry]) -> tuple[list[PlanEntry], list[PlanEntry]]:
        """Entries written or with nothing to write, and entries that somebody else was faster with."""
        done: list[PlanEntry] = []
        conflicted: list[PlanEntry] = []
        together: list[tuple[PlanEntry, list[Operation]]] = []
        touched: set[str] = set()
        for entry, groups in entries:
            if len(groups) == 1 and groups[0][0] == self._partition:
                row_keys = {_row_key_of(operation) for operation in groups[0][1]}
                if touched.isdisjoint(row_keys):
                    touched |= row_keys
                    together.append((entry, groups[0][1]))
                else:
                    # Two records that lead to one row: the second is decided anew, once the first has written it.
                    conflicted.append(entry)
            else:
                own = entry.existing.key.partition if entry.existing is not None else self._partition
                written = all(
                    self._write(partition_key, operations, [entry] if partition_key == own else [], entry.merged)
                    for partition_key, operations in groups
                )
                (done if written else conflicted).append(entry)
        for members in in_transactions([(member, member[1]) for member in together], reserved=ROWS_BESIDE):
            operations = [operation for _, operations in members for operation in operations]
            if self._write(self._partition, operations, [entry for entry, _ in members]):
                done += [entry for entry, _ in members]
                continue
            # One row of the hundred changed: each alone, so that the others are not held up by it.
            for entry, operations in members:
                (done if self._write(self._partition, operations, [entry]) else conflicted).append(entry)
        return done, conflicted

    def _write(
        self,
        partition_key: str,
        operations: Sequence[Operation],
        entries: Sequence[PlanEntry],
        merged: ExistingRecord | None = None,
    ) -> bool:
        moved = [one for entry in entries if (one := _moved(entry))]
        if merged is not None and merged.key.partition == partition_key:
            moved.append(removed(merged.key.row, merged.values))
        try:
            self._rows.write(partition_key, operations, moved)
        except (AlreadyExistsError, ChangedMeanwhileError):
            return False
        except (RowRefusedError, TooLargeError):
            # A row that was written in part outgrew the table: decided anew, and whole, it is told as what it is.
            if any(isinstance(operation, Merge) for operation in operations):
                return False
            raise
        return True


def _moved(entry: PlanEntry) -> RecordMoved | None:
    existing = entry.existing
    if existing is None:
        return moved_by(entry.row_key, {}, entry.assign, is_new=True)
    return moved_by(existing.key.row, existing.values, entry.assign, is_new=not existing.is_record)


def _row_key_of(operation: Operation) -> str:
    return operation.row_key if isinstance(operation, Delete) else operation.row.row_key


def _refused(entry: PlanEntry, error: DeskbridgeError) -> PlanEntry:
    message = f"It does not fit into a row: {error.message}"
    return replace(
        entry,
        action=Action.ERROR,
        reason=str(Reason.STORAGE_LIMIT),
        message=message,
        assign={},
        differences=(),
        withdraws=(),
    )
