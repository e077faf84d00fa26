"""Tables in memory, with the rules of the real ones; and a wrapper that fails, delays or kills at a chosen call.

`tests/storage/test_tables_contract.py` runs the same tests on this and on Azurite, so that it cannot drift.
"""

import base64
import itertools
import operator
import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, InvalidInputError
from shared.reasons import Reason
from shared.storage.rows import (
    Create,
    Delete,
    Merge,
    Operation,
    Replace,
    Row,
    Value,
    check_key,
    check_row,
    check_transaction,
)
from shared.storage.tables import AnyOf, Condition, Page, Table, Where

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


class MemoryTable:
    """One table. Safe under threads; a transaction is atomic."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._partitions: dict[str, dict[str, Row]] = {}
        # The row keys of each partition, in order.
        self._row_keys: dict[str, list[str]] = {}
        self._versions = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def rows(self) -> dict[tuple[str, str], Row]:
        """A copy of all rows, in key order."""
        with self._lock:
            found = [(key, row_key, row) for key, rows in self._partitions.items() for row_key, row in rows.items()]
        return {(key, row_key): row for key, row_key, row in sorted(found, key=lambda one: one[:2])}

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        check_key("partition key", partition_key)
        check_key("row key", row_key)
        with self._lock:
            row = self._partitions.get(partition_key, {}).get(row_key)
        return None if row is None else _narrowed(row, select)

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        check_transaction(partition_key, operations)
        with self._lock:
            rows = self._partitions.setdefault(partition_key, {})
            touched = [one.row_key if isinstance(one, Delete) else one.row.row_key for one in operations]
            before = {row_key: rows[row_key] for row_key in touched if row_key in rows}
            try:
                etags = [self._apply(rows, partition_key, operation) for operation in operations]
            except BaseException:
                for row_key in touched:
                    rows.pop(row_key, None)
                rows.update(before)
                raise
            keys = self._row_keys.setdefault(partition_key, [])
            for row_key in touched:
                if row_key in rows and row_key not in before:
                    insort(keys, row_key)
                elif row_key in before and row_key not in rows:
                    del keys[bisect_left(keys, row_key)]
        return etags

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        start = _decode(after)
        with self._lock:
            found = list(itertools.islice(self._found(where, start), size + 1))
        following = _key(found[size]) if len(found) > size else None
        rows = [_narrowed(row, select) for row in found[:size]]
        return Page(rows, None if following is None else encode_continuation(following))

    def _found(self, where: Where, start: tuple[str, str]) -> Iterator[Row]:
        """The rows that are asked for, in key order, from `start` on. Looks at no row before the range asked for."""
        only = _bound(where, "PartitionKey", "eq")
        for partition_key in sorted(self._partitions) if only is None else [only]:
            if partition_key < start[0]:
                continue
            rows = self._partitions.get(partition_key, {})
            keys = self._row_keys.get(partition_key, [])
            least = max(_bound(where, "RowKey", "ge") or "", start[1] if partition_key == start[0] else "")
            most = _bound(where, "RowKey", "lt")
            for row_key in itertools.islice(keys, bisect_left(keys, least), None):
                if most is not None and row_key >= most:
                    break
                if _matches(rows[row_key], where):
                    yield rows[row_key]

    def _apply(self, rows: dict[str, Row], partition_key: str, operation: Operation) -> str:
        row_key = operation.row_key if isinstance(operation, Delete) else operation.row.row_key
        present = rows.get(row_key)
        if isinstance(operation, Create) and present is not None:
            raise AlreadyExistsError(f"The row {row_key!r} of {self.name} is there already.", row_key=row_key)
        expected = operation.etag if isinstance(operation, Delete) else operation.row.etag
        if isinstance(operation, Replace | Merge | Delete) and (
            present is None or (expected and present.etag != expected)
        ):
            raise ChangedMeanwhileError(f"The row {row_key!r} of {self.name} changed meanwhile.", row_key=row_key)
        if isinstance(operation, Delete):
            del rows[row_key]
            return ""
        etag = f'W/"{next(self._versions)}"'
        values = dict(operation.row.values)
        if isinstance(operation, Merge) and present is not None:
            values = {**present.values, **values}
        rows[row_key] = Row(partition_key, row_key, values, etag)
        if isinstance(operation, Merge):
            check_row(rows[row_key])
        return etag


class MemoryTables:
    """The tables of one account, in memory."""

    def __init__(self) -> None:
        self.tables: dict[str, MemoryTable] = {}

    def table(self, name: str) -> MemoryTable:
        return self.tables.setdefault(name, MemoryTable(name))

    def contents(self) -> dict[str, dict[tuple[str, str], dict[str, Value]]]:
        """All that is stored, without ETags: what two histories are compared by."""
        return {
            name: {key: dict(row.values) for key, row in table.rows.items()}
            for name, table in self.tables.items()
            if table.rows
        }


class KilledError(BaseException):
    """The worker is gone: not an Exception, so nothing in the product can catch it."""


class WatchedTables:
    """Tables that call `watch(table, verb, when)` before and after every call; it may raise, wait or count.

    `when` is "before" or "after"; raising "after" is a call that took place and whose answer was lost.
    """

    def __init__(self, inner: MemoryTables, watch: Callable[[str, str, str], None]) -> None:
        self.inner = inner
        self._watch = watch

    def table(self, name: str) -> Table:
        return _WatchedTable(self.inner.table(name), self._watch)


class _WatchedTable:
    def __init__(self, inner: MemoryTable, watch: Callable[[str, str, str], None]) -> None:
        self._inner = inner
        self._watch = watch

    @property
    def name(self) -> str:
        return self._inner.name

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        self._watch(self.name, "find", "before")
        row = self._inner.find(partition_key, row_key, select)
        self._watch(self.name, "find", "after")
        return row

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        self._watch(self.name, "transact", "before")
        etags = self._inner.transact(partition_key, operations)
        self._watch(self.name, "transact", "after")
        return etags

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        self._watch(self.name, "page", "before")
        page = self._inner.page(where, select=select, size=size, after=after)
        self._watch(self.name, "page", "after")
        return page


def _key(row: Row) -> tuple[str, str]:
    return (row.partition_key, row.row_key)


def _bound(where: Where, column: str, comparison: str) -> str | None:
    """What a key is compared with, if it is."""
    for part in where:
        if isinstance(part, Condition) and (part.column, part.comparison) == (column, comparison):
            return str(part.value)
    return None


def _narrowed(row: Row, select: Sequence[str] | None) -> Row:
    if select is None:
        return row
    return Row(row.partition_key, row.row_key, {c: v for c, v in row.values.items() if c in select}, row.etag)


def _matches(row: Row, where: Where) -> bool:
    def holds(condition: Condition) -> bool:
        value: Any
        if condition.column == "PartitionKey":
            value = row.partition_key
        elif condition.column == "RowKey":
            value = row.row_key
        else:
            value = row.values.get(condition.column)
        if value is None:
            return False
        return _COMPARISONS[condition.comparison](value, condition.value)

    return all(any(map(holds, part.conditions)) if isinstance(part, AnyOf) else holds(part) for part in where)


def encode_continuation(key: tuple[str, str]) -> str:
    """The token that leads to the rows from this key on."""
    return base64.urlsafe_b64encode("\x00".join(key).encode()).decode()


def _decode(after: str | None) -> tuple[str, str]:
    if after is None:
        return ("", "")
    try:
        partition_key, row_key = base64.urlsafe_b64decode(after.encode()).decode().split("\x00")
    except ValueError as error:
        raise InvalidInputError(Reason.CONTINUATION_INVALID, "No list returned this continuation token.") from error
    return partition_key, row_key
