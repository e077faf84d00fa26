"""The row of counts in a partition of records or tickets: changed in the transaction that takes the change's word for
it out of the outbox, so that each change is counted once.

Changes do not write this row themselves: hundreds of events of one vault would wait for each other at it. Each writes
what it adds and takes away into its outbox row, under the same ETags as the change. Whoever carries that out sums up
the rows that are there, and writes the sum and removes them together: of two workers, one is refused whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.counts.cells import Counts, from_json, summed, to_json
from shared.counts.trees import shares_of
from shared.storage.rows import Create, Operation, Replace, Row, Value, pack, unpack

# Behind all other rows of a partition, where no list and no import looks.
COUNTS_ROW = "~~counts"
_COUNTS = "counts"


@dataclass(frozen=True)
class PartitionCounts:
    """The counts of a partition. `version` grows with each change; `shares` are the trees of sites that it was ever
    copied to."""

    partition: str
    counts: Counts
    version: int = 0
    shares: frozenset[int] = frozenset()
    etag: str = ""


def counts_of(partition: str, row: Row | None) -> PartitionCounts:
    """What the row says; nothing is counted while there is none."""
    if row is None:
        return PartitionCounts(partition, {})
    shares = frozenset(int(share) for share in row.text("shares").split())
    return PartitionCounts(partition, read_counts(row), row.number("version"), shares, row.etag)


def changed(present: PartitionCounts, changes: Iterable[Counts]) -> Operation | None:
    """The operation that counts the changes; none when together they change nothing."""
    total = summed((present.counts, *changes))
    return None if total == present.counts else replaced(present, total)


def replaced(present: PartitionCounts, counts: Counts) -> Operation:
    """The operation that makes these the partition's counts, unless somebody wrote them since they were read."""
    shares = present.shares | shares_of(counts)
    values: dict[str, Value] = {
        "version": present.version + 1,
        "shares": " ".join(map(str, sorted(shares))),
        **write_counts(counts),
    }
    row = Row(present.partition, COUNTS_ROW, values, present.etag)
    return Replace(row) if present.etag else Create(row)


def read_counts(row: Row) -> Counts:
    """The counts in a row."""
    return from_json(unpack(row, _COUNTS, {}))


def write_counts(counts: Counts) -> dict[str, Value]:
    """The columns that hold counts."""
    return pack(_COUNTS, to_json(counts))
