"""Compares counts with what is stored, a slice after the other, and repairs what differs.

A partition is counted anew. While that goes on others may change it: each change leaves a row behind the records, or
another version of the counts row. So they are looked at before and after, and only where nothing moved is anything
told and repaired. What was moving is looked at again in the next pass.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from shared.counts.cells import FOLLOW_UP, Cell, Counts, from_json, summed
from shared.counts.levels import CountsLevels
from shared.counts.partition_row import COUNTS_ROW, copy_of, counts_in, save_counts
from shared.counts.trees import Node, shares_of, shown_in
from shared.errors import ConflictError
from shared.outbox.gathered import LATER, GatheredOutbox, MarkedPartition
from shared.outbox.model import follow_ups_of
from shared.reasons import Reason
from shared.storage.names import INDEX_TABLE, TABLES
from shared.storage.rows import Row
from shared.storage.tables import Condition, Tables, Where, partition, scan

logger = logging.getLogger(__name__)

# A partition is some calls, and one more for each thousand records.
_PARTITIONS_AT_ONCE = 10
_ROWS_AT_ONCE = 200
_TRIES = 3
_NUMBERS_OF_A_NODE = 2


@dataclass(frozen=True)
class CountedTable:
    """What is counted of a table: `where` and `columns` say which rows are read and what of them."""

    name: str
    where: Where
    columns: Sequence[str] | None
    cell_of: Callable[[Row], Cell | None]


@dataclass(frozen=True)
class _Tail:
    """What stands behind the records of a partition: its counts row, and changes that are not in it yet."""

    counts: Row | None
    waiting: tuple[Row, ...]

    @property
    def versions(self) -> list[tuple[str, str]]:
        rows = [*([self.counts] if self.counts is not None else []), *self.waiting]
        return [(row.row_key, row.etag) for row in rows]

    @property
    def to_come(self) -> Counts:
        """What the changes add to the counts row."""
        told = [follow_up for row in self.waiting for follow_up in follow_ups_of(row)]
        return summed(from_json(one.content) for one in told if one.kind == FOLLOW_UP)


class CountsHousekeeping:
    """Pages of passes over the tables, and over the copies of counts. A page may be repeated, and two may meet."""

    def __init__(self, tables: Tables, levels: CountsLevels, outbox: GatheredOutbox) -> None:
        self._tables = tables
        self._levels = levels
        self._outbox = outbox

    def compare(self, counted: CountedTable, after: str | None) -> tuple[str | None, int, int]:
        """The next partitions of a table: where to go on, how many were compared, how many rows repaired."""
        place, compared, repaired = after or "", 0, 0
        for _ in range(_PARTITIONS_AT_ONCE):
            where = [Condition("PartitionKey", "gt", place)]
            first = next(scan(self._tables.table(counted.name), where, select=("PartitionKey",), size=1), None)
            if first is None:
                return None, compared, repaired
            place = first.partition_key
            compared, repaired = compared + 1, repaired + self._compare(counted, place)
        return place, compared, repaired

    def compare_copies(self, after: str | None) -> tuple[str | None, int, int]:
        """The next copies of counts, as `compare`: those of partitions that are gone are found here. Nodes are summed
        up anew."""
        where = [Condition("PartitionKey", "ge", "counts:"), Condition("PartitionKey", "lt", "counts;")]
        page = self._tables.table(INDEX_TABLE).page(where, size=_ROWS_AT_ONCE, after=after)
        nodes, repaired = dict[Node, None](), 0
        for row in page.rows:
            _, table, *numbers = row.partition_key.split(":")
            if len(numbers) == _NUMBERS_OF_A_NODE:
                nodes[Node.parse(row.partition_key)] = None
                repaired += self._compare_copy(Node.parse(row.partition_key), row)
            elif table in TABLES:
                # It may be of a node that has nothing below it any more.
                nodes[Node.parse(f"{row.partition_key}:{row.row_key}")] = None
        self._levels.mark(list(nodes))
        return page.next, len(page.rows), repaired

    # Within

    def _compare(self, counted: CountedTable, partition_key: str) -> int:
        """Repair a partition's counts; how many rows differed."""
        for _ in range(_TRIES):
            before = self._tail(counted.name, partition_key)
            if before is None:
                # Too much is still to follow: it is counted in another pass.
                return 0
            try:
                full = self._full_count(counted, partition_key)
            except (AssertionError, LookupError, TypeError, ValueError) as error:
                # One that cannot be read keeps no other partition from being compared.
                logger.warning("The rows of %s in %s cannot be counted: %s", counted.name, partition_key, error)
                return 0
            tail = self._tail(counted.name, partition_key)
            if tail is None or before.versions != tail.versions:
                continue
            kept = counts_in(tail.counts)
            due = summed([full, {cell: -count for cell, count in tail.to_come.items()}])
            if kept != due:
                if self._repair(counted.name, partition_key, tail, due):
                    _tell(f"of {counted.name} in {partition_key}", kept, due)
                    return 1
                continue
            return 0 if tail.waiting else self._copies(counted.name, partition_key, tail)
        return 0

    def _full_count(self, counted: CountedTable, partition_key: str) -> Counts:
        where = [partition(partition_key), *counted.where]
        rows = scan(self._tables.table(counted.name), where, select=counted.columns)
        return Counter(cell for row in rows if (cell := counted.cell_of(row)) is not None)

    def _repair(self, table: str, partition_key: str, tail: _Tail, due: Counts) -> bool:
        shares = shares_of(partition_key, {**counts_in(tail.counts), **due})
        follows = self._outbox.following(table, partition_key, [copy_of(shares)])
        try:
            operations = [save_counts(partition_key, tail.counts, due), follows]
            self._tables.table(table).transact(partition_key, operations)
        except ConflictError:
            # Somebody counted a change meanwhile.
            return False
        self._outbox.carry_out_at(MarkedPartition(table, partition_key))
        return True

    def _copies(self, table: str, partition_key: str, tail: _Tail) -> int:
        """Copy again; how many of the copies differed."""
        differed = self._levels.copy(table, partition_key, shares_of(partition_key, counts_in(tail.counts)))
        now = self._tail(table, partition_key) if differed else None
        if now is None or now.versions != tail.versions:
            return 0
        logger.warning(
            "%d copies of counts of %s in %s differed (%s), now repaired.",
            *(differed, table, partition_key, Reason.COUNTS_DIFFERED),
        )
        return differed

    def _compare_copy(self, node: Node, copy: Row) -> int:
        partition_key, share = copy.text("scope"), node.share or 0
        tail = self._tail(node.table, partition_key)
        if tail is None or tail.waiting:
            return 0
        due, kept = shown_in(share, partition_key, counts_in(tail.counts)), counts_in(copy)
        if kept == due or not self._levels.copy(node.table, partition_key, [share]):
            return 0
        _tell(f"copied from {partition_key} of {node.table}", kept, due)
        return 1

    def _tail(self, table: str, partition_key: str) -> _Tail | None:
        """As of one moment; None when there is too much to be read at once."""
        page = self._tables.table(table).page([partition(partition_key), Condition("RowKey", "ge", LATER)])
        if page.next is not None:
            return None
        waiting = tuple(row for row in page.rows if row.row_key.startswith(f"{LATER}:"))
        return _Tail(next((row for row in page.rows if row.row_key == COUNTS_ROW), None), waiting)


def _tell(what: str, kept: Counts, due: Counts) -> None:
    cells = sorted(cell for cell in {*kept, *due} if kept.get(cell, 0) != due.get(cell, 0))
    named = [f"{' '.join(cell)}: {kept.get(cell, 0)} instead of {due.get(cell, 0)}" for cell in islice(cells, 5)]
    logger.warning("Counts %s differed (%s), now repaired: %s.", what, Reason.COUNTS_DIFFERED, "; ".join(named))
