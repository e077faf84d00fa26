"""Records in a table, for people: found, listed, changed, each with its history.

The history stands in the record's row, and what no longer fits there behind `~h:` of the same partition, so that a
change and its history are one transaction. A row that is an alias only says which record is meant by its key.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from shared.access.audit import UNAUDITED, Audit, AuditedChange, AuditedField, AuditKind
from shared.errors import DeskbridgeError, NotFoundError, RowRefusedError, TooLargeError
from shared.index.index import Index
from shared.outbox.gathered import GatheredOutbox, MarkedPartition
from shared.reasons import Reason
from shared.records import history
from shared.records.history import HISTORY, HistoryEntry
from shared.records.index_rows import follow_ups_of, moved_by
from shared.records.match_rows import MatchRows
from shared.records.model import FieldChange, Key, merged
from shared.storage.rows import CHARACTERS_PER_KEY, Create, Replace, Row, Value, check_row
from shared.storage.tables import Condition, Page, Table, Where, find_rows, partition, scan
from shared.text import KEY_FORBIDDEN

IS_RECORD = Condition("RowKey", "lt", HISTORY)


def records_of(partition_key: str) -> Where:
    """All rows of a partition that are records."""
    return [partition(partition_key), IS_RECORD]


def is_alias(row: Row) -> bool:
    return bool(row.values.get("alias_of"))


class RecordTable:
    """The rows of one kind of record (assets, users)."""

    def __init__(
        self,
        table: Table,
        audit: Audit = UNAUDITED,
        outbox: GatheredOutbox | None = None,
        index: Index | None = None,
    ) -> None:
        self._table = table
        self._audit = audit
        self._outbox = outbox
        self._matches = None if index is None else MatchRows(index, table.name)

    def get(self, key: Key) -> Row:
        """The row of a record; raises NotFoundError."""
        is_key = all(part and len(part) <= CHARACTERS_PER_KEY and not KEY_FORBIDDEN.search(part) for part in key)
        row = self._table.find(key.partition, key.row) if is_key else None
        if row is None or key.row >= HISTORY:
            raise NotFoundError(Reason.NOT_FOUND, f"There is no record {key.row!r} in {key.partition!r}.")
        return row

    def is_used(self, column: str) -> bool:
        """Whether a record has anything in the column. Reads the whole table."""
        return any(column in row.values for row in scan(self._table, [IS_RECORD], select=(column,)))

    def page(self, where: Where, size: int, after: str | None) -> Page:
        """Records that are no aliases; a page may be short."""
        page = self._table.page([*where, IS_RECORD], size=size, after=after)
        return Page([row for row in page.rows if not is_alias(row)], page.next)

    def find_all(self, keys: Sequence[Key]) -> dict[Key, Row]:
        """Those of the records that are there; of each partition, all by one call where they stand close together."""
        found: dict[Key, Row] = {}
        for partition_key in dict.fromkeys(key.partition for key in keys):
            left = sorted({key.row for key in keys if key.partition == partition_key})
            rows: dict[str, Row] = {}
            if len(left) > 1:
                between = [Condition("RowKey", "ge", left[0]), Condition("RowKey", "le", left[-1])]
                page = self._table.page([partition(partition_key), *between])
                rows = {row.row_key: row for row in page.rows}
                left = [row_key for row_key in left if page.next and row_key not in rows]
            rows |= find_rows(self._table, partition_key, left)
            found.update((Key(partition_key, row_key), row) for row_key, row in rows.items() if not is_alias(row))
        return found

    def history(self, key: Key) -> Iterator[HistoryEntry]:
        """All changes of a record, newest first."""
        return history.entries_of(self._table, self._table.find(*key) or Row(*key))

    def history_page(self, row: Row, size: int, after: str | None) -> tuple[list[HistoryEntry], str | None]:
        """A page of a record's changes, newest first, and where to go on; it may be short."""
        return history.page_of(self._table, row, size, after)

    def save_edit(
        self, before: Row, values: Mapping[str, Value | None], changes: Sequence[FieldChange], by: str, now: datetime
    ) -> Row:
        """A person's change, with its history; the row as it was written. Raises ChangedMeanwhileError."""
        line = history.line_of("edit", changes, by, now)
        row, moved = with_line(before, {**values, "changed_at": now}, line)
        operation = Replace(row) if before.etag else Create(row)
        change = self._audited(before, changes, by)
        changed = moved_by(before.row_key, before.values, values, is_new=not before.etag)
        told = [] if self._outbox is None or changed is None else follow_ups_of([changed])
        follows = []
        if self._outbox is not None and told:
            follows = [self._outbox.following(self._table.name, before.partition_key, told)]
        if self._matches is not None:
            self._matches.announce([(Key(before.partition_key, before.row_key), values)], now)
        with self._audit.recording(self._table.name, before.partition_key, change) as audited:
            etag = self._table.transact(before.partition_key, [operation, *moved, *follows, *audited])[0]
        if self._outbox is not None and follows:
            # At once, for whoever looks for it now; what fails here follows by the timer.
            with suppress(DeskbridgeError):
                self._outbox.carry_out_at(MarkedPartition(self._table.name, before.partition_key))
        return replace(row, etag=etag)

    def _audited(self, before: Row, changes: Sequence[FieldChange], by: str) -> AuditedChange:
        told = [change.as_json() for change in changes]
        fields = tuple(AuditedField(str(one["field"]), one["before"], one["after"]) for one in told)
        thing = f"{self._table.name}/{before.partition_key}:{before.row_key}"
        return AuditedChange(AuditKind.RECORD, "edited" if before.etag else "added", thing, by, fields)


def with_line(target: Row, assign: Mapping[str, Value | None], line: str) -> tuple[Row, list[Create]]:
    """The whole row as it becomes, with a line of history unless that is empty, and rows that older lines move to."""
    if not line:
        return replace(target, values=merged(target.values, assign)), []
    told, moved = history.added(target, line)
    row = replace(target, values=merged(target.values, {**assign, **told}))
    if not _is_storable(row):
        told, moved = history.added(target, line, gather=True)
        row = replace(target, values=merged(target.values, {**assign, **told}))
    return row, moved


def _is_storable(row: Row) -> bool:
    try:
        check_row(row)
    except (RowRefusedError, TooLargeError):
        return False
    return True
