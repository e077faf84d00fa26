"""The row of counts in a partition of records or tickets: changed in the transaction that takes the change's word for
it out of the outbox, so that each change is counted once.

Changes do not write this row themselves: hundreds of events of one vault would wait for each other at it, and each
would read it first. Each writes what it adds and takes away into its row of the outbox, in its own transaction and so
under its own ETags. Whoever carries that out sums up the rows that are there, and writes the sum and removes them
together: of two workers, one is refused whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.counts.cells import Counts, from_json, summed, to_json
from shared.counts.trees import shares_of
from shared.outbox.gathered import Carried
from shared.outbox.model import FollowUp
from shared.storage.rows import Create, Operation, Replace, Row, Value, pack, unpack
from shared.storage.tables import Tables

# Behind all other rows of a partition, where no list and no import looks.
COUNTS_ROW = "~~counts"
# What follows once the row is written, by its name in the outbox.
COPY = "counts-copy"
_COUNTS = "counts"


class PartitionCounts:
    """Carries out what the outbox of a partition says of counts."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def carry_out(self, table: str, partition_key: str, contents: Sequence[Mapping[str, Any]]) -> Carried:
        """What counts the changes, to be written while they are removed, and that it is to be copied upward."""
        present = self._tables.table(table).find(partition_key, COUNTS_ROW)
        changes = summed(map(from_json, contents))
        # Written even when the changes together change nothing: its ETag tells a full count that something moved.
        operation = save_counts(partition_key, present, summed([counts_in(present), changes]))
        shares = {share for content in contents for share in shares_of(partition_key, from_json(content))}
        return Carried((operation,), (copy_of(shares),) if shares else ())


def copy_of(shares: set[int] | frozenset[int]) -> FollowUp:
    """That these parts of the counts are to be copied upward."""
    return FollowUp(COPY, {"shares": sorted(shares)})


def save_counts(partition_key: str, present: Row | None, counts: Counts) -> Operation:
    """The operation that makes these the partition's counts, unless somebody wrote others since `present` was read."""
    row = Row(partition_key, COUNTS_ROW, columns_of(counts), "" if present is None else present.etag)
    return Create(row) if present is None else Replace(row)


def counts_in(row: Row | None) -> Counts:
    """The counts that a row holds; nothing is counted while there is none."""
    return {} if row is None else from_json(unpack(row, _COUNTS, {}))


def columns_of(counts: Counts) -> dict[str, Value]:
    """The columns that hold counts."""
    return pack(_COUNTS, to_json(counts))
