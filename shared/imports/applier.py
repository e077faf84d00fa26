"""A plan becomes transactions: a record and its history as one, up to 100 rows at a time, only what differs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from shared.errors import (
    AlreadyExistsError,
    ChangedMeanwhileError,
    DeskbridgeError,
    RowRefusedError,
    TooLargeError,
    TryLaterError,
)
from shared.imports.plan.model import DONE_AS, Action, PlanEntry
from shared.reasons import Reason
from shared.records.table import RecordTable
from shared.storage.limits import check_row, split_transactions
from shared.storage.rows import Delete, Merge, Operation

# Another writer of the same rows is a person or a second worker on the same part: a few rounds always end.
_ROUNDS = 8

Groups = list[tuple[str, list[Operation]]]


class Applier:
    """Writes the entries of one part."""

    def __init__(
        self,
        records: RecordTable,
        partition_key: str,
        run_id: str,
        document: str,
        now: Callable[[], datetime],
        again: Callable[[PlanEntry], PlanEntry],
    ) -> None:
        self._records = records
        self._partition = partition_key
        self._run_id = run_id
        self._document = document
        self._now = now
        self._again = again
        self._built: dict[str, Groups] = {}

    def checked(self, entry: PlanEntry) -> PlanEntry:
        """The entry, or the error that it becomes because its row would not fit. A preview shows the same."""
        entry = self._ours(entry)
        if not entry.writes:
            return entry
        try:
            groups = self._records.operations(self._partition, entry, self._run_id, self._document, self._now())
            for _, operations in groups:
                for operation in operations:
                    if not isinstance(operation, Delete):
                        check_row(operation.row)
        except (RowRefusedError, TooLargeError) as error:
            return _refused(entry, error)
        self._built[entry.row_key] = groups
        return entry

    def _ours(self, entry: PlanEntry) -> PlanEntry:
        """What is as it should be because this very run wrote it, in a call whose answer was lost or in another
        attempt, is counted as what the run did."""
        row = entry.present.row if entry.present is not None else None
        if entry.action is not Action.UNCHANGED or row is None or row.text("last_run") != self._run_id:
            return entry
        action = DONE_AS.get(row.text("last_action"))
        return entry if action is None else replace(entry, action=action, code="done")

    def forget(self, entry: PlanEntry) -> None:
        """Drop what `checked` built for an entry that is not going to be written."""
        self._built.pop(entry.row_key, None)

    def apply(self, entries: Iterable[PlanEntry]) -> list[PlanEntry]:
        """Write what the entries, each of them checked, say; the entries as they came out.

        Raises TryLaterError when storage does not answer: what is written stays, and a repetition goes on from there.
        """
        results: list[PlanEntry] = []
        writing = list(entries)
        for _ in range(_ROUNDS):
            conflicted: list[PlanEntry] = []
            done, conflicted = self._round(writing)
            results += done
            if not conflicted:
                return results
            writing = [self.checked(self._again(entry)) for entry in conflicted]
        raise TryLaterError(Reason.CONTENDED, f"{len(writing)} rows of {self._partition} keep changing.")

    def _round(self, entries: Sequence[PlanEntry]) -> tuple[list[PlanEntry], list[PlanEntry]]:
        """Entries written or with nothing to write, and entries that somebody else was faster with."""
        done = [entry for entry in entries if not entry.writes]
        conflicted: list[PlanEntry] = []
        plain: list[tuple[PlanEntry, list[Operation]]] = []
        touched: set[str] = set()
        for entry in entries:
            if not entry.writes:
                continue
            groups = self._built.pop(entry.row_key)
            if len(groups) == 1 and groups[0][0] == self._partition:
                row_keys = {_row_key_of(operation) for operation in groups[0][1]}
                if touched.isdisjoint(row_keys):
                    touched |= row_keys
                    plain.append((entry, groups[0][1]))
                else:
                    # Two records that lead to one row: the second is decided anew, once the first has written it.
                    conflicted.append(entry)
            else:
                (done if self._write_apart(groups) else conflicted).append(entry)
        start = 0
        for transaction in split_transactions([operations for _, operations in plain]):
            size = 0
            members: list[tuple[PlanEntry, list[Operation]]] = []
            while size < len(transaction):
                members.append(plain[start])
                size += len(plain[start][1])
                start += 1
            if self._write(self._partition, transaction):
                done += [entry for entry, _ in members]
                continue
            # One row of the hundred changed: each alone, so that the others are not held up by it.
            for entry, operations in members:
                (done if self._write(self._partition, operations) else conflicted).append(entry)
        return done, conflicted

    def _write_apart(self, groups: Groups) -> bool:
        return all(self._write(partition_key, operations) for partition_key, operations in groups)

    def _write(self, partition_key: str, operations: Sequence[Operation]) -> bool:
        try:
            self._records.write(partition_key, operations)
        except (AlreadyExistsError, ChangedMeanwhileError):
            return False
        except (RowRefusedError, TooLargeError):
            # A row that was written in part outgrew the table: decided anew, and whole, it is told as what it is.
            if any(isinstance(operation, Merge) for operation in operations):
                return False
            raise
        return True


def _row_key_of(operation: Operation) -> str:
    return operation.row_key if isinstance(operation, Delete) else operation.row.row_key


def _refused(entry: PlanEntry, error: DeskbridgeError) -> PlanEntry:
    message = f"It does not fit into a row: {error.message}"
    return replace(
        entry, action=Action.ERROR, code=str(Reason.STORAGE_LIMIT), message=message, assign={}, differences=()
    )
