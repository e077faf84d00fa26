"""Where the counts of a partition are copied to, level by level. Pure.

    partition → node (128 a share) → share (256 a table) → desk

A share has the cells of some of the sites, all of them: so whoever asks for a customer reads the rows of that
customer's sites, and whose a site is, only the settings say. No row is the sum of more than some hundred rows, with
85,000 partitions at one site, and none grows with the whole desk: the desk's own has totals by one thing each.
"""

import zlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from shared.counts.cells import ACTIVE, OBJECT, RECORD, TICKET, Cell, Counts, summed

SHARES = 256
_NODES = 128
# The partition of the desk's rows, one a table.
DESK = "counts:desk"
# Open tickets of a scope, by priority. Of scopes and sites, rows keep those with most: each scope is below one node
# alone and each site in one share, so the largest of all are among the largest of each.
SCOPE = "scope"
SCOPES_SHOWN = 20
SITES_SHOWN = 50
STATUS, TYPE, SITE, PRIORITY, EXPIRES = "status", "type", "site", "priority", "expires"


class Node(NamedTuple):
    """A row that is the sum of those in the partition `children`."""

    table: str
    share: int | None = None
    number: int | None = None

    @classmethod
    def above(cls, table: str, partition_key: str, share: int) -> "Node":
        """The node that a partition's copy stands below."""
        return cls(table, share, _number_of(partition_key, _NODES))

    @classmethod
    def parse(cls, children: str) -> "Node":
        _, table, *numbers = children.split(":")
        return cls(table, *map(int, numbers))

    @property
    def level(self) -> int:
        return 3 - sum(number is not None for number in self[1:])

    @property
    def children(self) -> str:
        """The partition of the rows that it is the sum of."""
        return ":".join(["counts", self.table, *(f"{number:03}" for number in self[1:] if number is not None)])

    @property
    def parent(self) -> "Node | None":
        if self.number is not None:
            return Node(self.table, self.share)
        return Node(self.table) if self.share is not None else None

    @property
    def place(self) -> tuple[str, str]:
        """Where its own row stands: among its siblings, where its parent reads it."""
        parent = self.parent
        if parent is None:
            return DESK, self.table
        return parent.children, self.children.rpartition(":")[2]

    def sum_of(self, children: Iterable[Counts]) -> Counts:
        """What it has of its children."""
        total = summed(children)
        if self.share is not None:
            return _largest(total, SCOPE, SCOPES_SHOWN)
        totals: Counter[Cell] = Counter()
        for cell, count in total.items():
            for shown in _totals_of(cell):
                totals[shown] += count
        kept = _largest({cell: count for cell, count in totals.items() if count}, SCOPE, SCOPES_SHOWN)
        return _largest(kept, SITE, SITES_SHOWN)


def share_of(name: str) -> int:
    """Which share has this site, or the tickets of this scope."""
    return _number_of(name, SHARES)


def shares_of(partition_key: str, cells: Iterable[Cell]) -> frozenset[int]:
    """Which shares have something of these cells of a partition."""
    found = list(cells)
    own = {share_of(partition_key)} if any(cell[0] == TICKET for cell in found) else set[int]()
    return frozenset({share_of(cell[1]) for cell in found} | own)


def shown_in(share: int, partition_key: str, counts: Counts) -> Counts:
    """What a share has of a partition's counts."""
    shown: Counter[Cell] = Counter()
    for cell, count in counts.items():
        if share_of(cell[1]) == share:
            shown[cell] += count
        if cell[0] == TICKET and share_of(partition_key) == share:
            shown[SCOPE, partition_key, cell[2]] += count
    return {cell: count for cell, count in shown.items() if count}


def _totals_of(cell: Cell) -> Iterable[Cell]:
    if cell[0] == RECORD:
        _, site, kind, status = cell
        yield (STATUS, status)
        if status == ACTIVE:
            yield (TYPE, kind)
            yield (SITE, site)
    elif cell[0] == TICKET:
        yield (PRIORITY, cell[2])
    elif cell[0] == OBJECT:
        yield (EXPIRES, cell[2])
    else:
        yield cell


def _largest(counts: Counts, kind: str, most: int) -> Counts:
    """All cells, but of this kind only those of the names with most."""
    by_name: Counter[str] = Counter()
    for cell, count in counts.items():
        if cell[0] == kind:
            by_name[cell[1]] += count
    if len(by_name) <= most:
        return counts
    kept = {name for name, _ in sorted(by_name.items(), key=lambda one: (-one[1], one[0]))[:most]}
    return {cell: count for cell, count in counts.items() if cell[0] != kind or cell[1] in kept}


def _number_of(name: str, most: int) -> int:
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % most
