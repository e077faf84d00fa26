"""What a repository may ask of a table, and in which words. Azure's tables answer it, and in tests those in memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from shared.errors import ChangedMeanwhileError, NotFoundError
from shared.reasons import Reason
from shared.storage.rows import OPERATIONS_PER_TRANSACTION, Delete, Operation, Row, Value

ROWS_PER_PAGE = 1000


@dataclass(frozen=True)
class Condition:
    """`column comparison value`. The keys are columns too: `PartitionKey`, `RowKey`."""

    column: str
    comparison: Literal["eq", "ne", "gt", "ge", "lt", "le"]
    value: Value


@dataclass(frozen=True)
class AnyOf:
    """At least one of the conditions holds."""

    conditions: Sequence[Condition]


Where = Sequence[Condition | AnyOf]


@dataclass(frozen=True)
class Page:
    """Some rows in key order, and where to go on; `next` is None at the end. A page may be short, even empty."""

    rows: Sequence[Row]
    next: str | None = None


def partition(partition_key: str) -> Condition:
    """All rows of one partition."""
    return Condition("PartitionKey", "eq", partition_key)


def row_key_prefix(prefix: str) -> tuple[Condition, Condition]:
    """All row keys that begin with `prefix`. The prefix must not be empty, nor end with the last character there is."""
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return Condition("RowKey", "ge", prefix), Condition("RowKey", "lt", after)


class Table(Protocol):
    """One table. Every method raises TryLaterError when storage does not answer or throttles beyond the retries."""

    @property
    def name(self) -> str:
        """The table's name in the account."""
        ...

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        """The row, with its ETag, or None."""
        ...

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        """All of the operations, at most 100, or none of them; the new ETag of each, empty for a Delete.

        Raises AlreadyExistsError (a Create met a row) and ChangedMeanwhileError (a Replace, Merge or Delete met
        another version, or nothing), each with the row key of the operation that failed; RowRefusedError for what does
        not fit into the table, also for a Merge whose row would outgrow it. After TryLaterError the operations
        may or may not have taken place: read before repeating what is not idempotent.
        """
        ...

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        """At most `size` (1 to 1,000) rows in key order; `after` is an earlier page's `next`."""
        ...


class Tables(Protocol):
    """The tables of one storage account."""

    def table(self, name: str) -> Table:
        """The table of that name, whether it is there or not."""
        ...


def get(table: Table, partition_key: str, row_key: str) -> Row:
    """The row; raises NotFoundError."""
    row = table.find(partition_key, row_key)
    if row is None:
        raise NotFoundError(Reason.NOT_FOUND, f"There is no {row_key!r} in {table.name}.")
    return row


def scan(table: Table, where: Where, *, select: Sequence[str] | None = None, size: int = 1000) -> Iterator[Row]:
    """All rows, page after page of `size`; the memory of one page."""
    after: str | None = None
    while True:
        page = table.page(where, select=select, size=size, after=after)
        yield from page.rows
        after = page.next
        if after is None:
            return


# As much of a page as takes as long as asking for one row.
_ROWS_FOR_A_READ = 20
# So few are asked for one by one.
_FEW = 3


def find_rows(
    table: Table, partition_key: str, row_keys: Iterable[str], select: Sequence[str] | None = None
) -> dict[str, Row]:
    """Those of the rows that are there, by key: read from the first to the last of them, and one by one what stands
    too far apart."""
    left = sorted(set(row_keys))
    found: dict[str, Row] = {}
    pages = 0 if len(left) <= _FEW else 1 + len(left) // _ROWS_FOR_A_READ
    for _ in range(pages):
        where = [partition(partition_key), Condition("RowKey", "ge", left[0]), Condition("RowKey", "le", left[-1])]
        asked = set(left)
        page = table.page(where, select=select)
        found.update((row.row_key, row) for row in page.rows if row.row_key in asked)
        if page.next is None:
            return found
        left = [key for key in left if key > page.rows[-1].row_key] if page.rows else left
        if len(left) <= _FEW:
            break
    for row_key in left:
        row = table.find(partition_key, row_key, select)
        if row is not None:
            found[row_key] = row
    return found


def delete_present(table: Table, partition_key: str, row_keys: Sequence[str]) -> int:
    """Delete those of the rows that are there, a hundred at a time; how many. Two at once do no harm."""
    deleted = 0
    for start in range(0, len(row_keys), OPERATIONS_PER_TRANSACTION):
        left = list(row_keys[start : start + OPERATIONS_PER_TRANSACTION])
        while left:
            try:
                table.transact(partition_key, [Delete(key) for key in left])
            except ChangedMeanwhileError as error:
                # Somebody else was faster with this one.
                if error.row_key not in left:
                    raise
                left.remove(error.row_key)
            else:
                deleted += len(left)
                break
    return deleted
