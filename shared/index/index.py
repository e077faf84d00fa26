"""The rows of the table `index`: written as what follows from changes, read in order over several partitions."""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from shared.errors import ChangedMeanwhileError
from shared.storage.continuation import invalid_continuation_token
from shared.storage.rows import Delete, Operation, Row, Save, Value, in_transactions
from shared.storage.tables import Condition, Table, find_rows, partition

# Where a filter lets little through, a short page must not take a thousand readings.
_GROWTH = 4
# What ends the beginning of a row key, and what sorts behind all keys that begin so.
_BEHIND, _BEYOND = "|", "}"


class IndexKey(NamedTuple):
    """Where a row of the index stands."""

    partition: str
    row: str


class Stream(NamedTuple):
    """A part of a partition, in order: from a row key (without it, unless `including`) up to another."""

    partition: str
    begin: str
    end: str
    including: bool = True


# Where a list goes on: the key of the last row that was looked at, and its partition.
Place = tuple[str, str]


def going_on(streams: Sequence[Stream], last: Place | None) -> list[Stream]:
    """The streams behind that place. Raises InvalidInputError for a place of another list."""
    if last is None:
        return list(streams)
    if last[1] not in {one.partition for one in streams}:
        raise invalid_continuation_token()
    # Of rows with one key, those of partitions up to the last one have been given out.
    return [
        one._replace(begin=last[0], including=one.partition > last[1]) if last[0] >= one.begin else one
        for one in streams
    ]


class Index:
    """The table `index`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def replace(self, rows: Mapping[IndexKey, Mapping[str, Value]], gone: Collection[IndexKey]) -> None:
        """Save rows, and take away those that are gone unless they are saved. Doing it again changes nothing."""
        by_partition: dict[str, list[Operation]] = {}
        for key, values in rows.items():
            by_partition.setdefault(key.partition, []).append(Save(Row(*key, values)))
        for key in sorted({*gone} - rows.keys()):
            by_partition.setdefault(key.partition, []).append(Delete(key.row))
        for partition_key, operations in by_partition.items():
            for together in in_transactions((one, [one]) for one in operations):
                self._write(partition_key, together)

    def find_all(self, keys: Iterable[IndexKey]) -> dict[IndexKey, Row]:
        """Those of the rows that are there."""
        by_partition: dict[str, list[str]] = {}
        for key in keys:
            by_partition.setdefault(key.partition, []).append(key.row)
        return {
            IndexKey(partition_key, row_key): row
            for partition_key, row_keys in by_partition.items()
            for row_key, row in find_rows(self._table, partition_key, row_keys).items()
        }

    def remove(self, rows: Iterable[Row]) -> int:
        """Take away rows that are still as they were read; how many."""
        removed = 0
        for row in rows:
            with suppress(ChangedMeanwhileError):
                self._table.transact(row.partition_key, [Delete(row.row_key, row.etag)])
                removed += 1
        return removed

    def merged(self, streams: Sequence[Stream], size: int) -> Iterator[Row]:
        """The rows of all streams in the order of their row keys; `size` is how many are likely asked for."""
        yield from heapq.merge(
            *(self._rows(one, size) for one in streams), key=lambda row: (row.row_key, row.partition_key)
        )

    def beginning_with(self, partition_key: str, beginnings: Collection[str], most: int) -> dict[str, list[Row]]:
        """The first rows of a partition whose keys begin so, with a `|` behind; nothing for a beginning without rows.

        One call answers for as many as stand close together: the calls are never more than the beginnings, nor many
        more than the partition has pages.
        """
        left = sorted(beginnings)
        found: dict[str, list[Row]] = {}
        reach = len(left)
        while left:
            asked = answered = left[:reach]
            where = [partition(partition_key), Condition("RowKey", "ge", asked[0] + _BEHIND)]
            page = self._table.page([*where, Condition("RowKey", "lt", asked[-1] + _BEYOND)])
            rows: dict[str, list[Row]] = {}
            for row in page.rows:
                rows.setdefault(row.row_key.partition(_BEHIND)[0], []).append(row)
            if page.next is not None:
                # As it is further on, so it was until here: rows are hashed, and stand as close everywhere.
                answered = [one for one in asked if one < max(rows, default="")]
                reach = max(1, len(answered))
            if not answered:
                answered, alone = asked[:1], Stream(partition_key, asked[0] + _BEHIND, asked[0] + _BEYOND)
                rows = {asked[0]: list(islice(self._rows(alone, most), most))}
            found.update((one, rows[one][:most]) for one in answered if rows.get(one))
            left = left[len(answered) :]
        return found

    # Within

    def _write(self, partition_key: str, operations: list[Operation]) -> None:
        while operations:
            try:
                self._table.transact(partition_key, operations)
            except ChangedMeanwhileError as error:
                # Carried out before: the row is gone already.
                left = [one for one in operations if not (isinstance(one, Delete) and one.row_key == error.row_key)]
                if len(left) == len(operations):
                    raise
                operations = left
            else:
                return

    def _rows(self, stream: Stream, size: int) -> Iterator[Row]:
        begin = Condition("RowKey", "ge" if stream.including else "gt", stream.begin)
        where = [partition(stream.partition), begin, Condition("RowKey", "lt", stream.end)]
        after: str | None = None
        while True:
            page = self._table.page(where, size=min(1000, size), after=after)
            size *= _GROWTH
            yield from page.rows
            after = page.next
            if after is None:
                return
