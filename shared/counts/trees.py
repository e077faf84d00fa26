"""Where the counts of a partition are copied to, level by level. Pure.

A tree has one row at its top. Below it, each node is the sum of at most some hundred rows that share a partition, so
that no change needs more than a page a level. A node's own row stands among its siblings, where its parent reads it.

Two kinds of trees hold the counts of one table. The desk's tree has totals by one thing each. The trees of sites have
all cells, each of a share of the sites: so whoever asks for a customer reads the rows of that customer's sites, and no
row grows with the whole desk. Whose a site is, only the settings say, so that a site may change hands at once.
"""

import zlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from shared.counts.cells import ACTIVE, OBJECT, RECORD, TICKET, Cell, Counts, summed

TOP, TOP_OF_SITES = "top", "top-of-sites"
# How many nodes each level has. 85,000 partitions are some 80 rows a node, then 32, then 32.
_DESK_LEVELS = (1024, 32, 1)
_SITE_LEVELS = (4, 1)
SITE_SHARES = 256
LEVELS = range(1, 4)
# The scopes with most open tickets that a summary shows. Each is below one node alone, so the largest of all are
# among the largest of each.
SCOPES_SHOWN = 20
SCOPE = "scope"
_OF_SITES = "@"


class Tree(NamedTuple):
    """The desk's counts of one table, or those of a share of the sites."""

    table: str
    share: int | None = None

    @property
    def name(self) -> str:
        return self.table if self.share is None else f"{self.table}{_OF_SITES}{self.share}"

    @classmethod
    def parse(cls, name: str) -> "Tree":
        table, _, share = name.partition(_OF_SITES)
        return cls(table, int(share) if share else None)

    @property
    def levels(self) -> tuple[int, ...]:
        return _DESK_LEVELS if self.share is None else _SITE_LEVELS


class Place(NamedTuple):
    """Where a row stands in the table `counts`."""

    partition: str
    row: str


class Node(NamedTuple):
    """The sum of some rows. Level 1 is above the partitions."""

    tree: Tree
    level: int
    number: int

    @property
    def children(self) -> str:
        """The partition of the rows that it is the sum of."""
        return f"{self.tree.name}:{self.level}:{self.number}"

    @classmethod
    def parse(cls, children: str) -> "Node":
        name, level, number = children.split(":")
        return cls(Tree.parse(name), int(level), int(number))

    @property
    def parent(self) -> "Node | None":
        levels = self.tree.levels
        if self.level == len(levels):
            return None
        return Node(self.tree, self.level + 1, self.number * levels[self.level] // levels[self.level - 1])

    @property
    def place(self) -> Place:
        """Where its own row stands."""
        parent = self.parent
        if parent is not None:
            return Place(parent.children, str(self.number))
        return top_of(self.tree)


def top_of(tree: Tree) -> Place:
    """The row that a summary reads."""
    return Place(TOP if tree.share is None else TOP_OF_SITES, tree.name)


def share_of(site: str) -> int:
    """Which of the trees of sites has this site."""
    return zlib.crc32(site.encode("utf-8", "surrogatepass")) % SITE_SHARES


def shares_of(counts: Counts) -> frozenset[int]:
    """Which of the trees of sites have something of these counts. What has no site is nobody's."""
    return frozenset(share_of(cell[1]) for cell in counts if cell[1])


def node_above(tree: Tree, partition: str) -> Node:
    """The node that a partition's copy in the tree stands below."""
    return Node(tree, 1, zlib.crc32(partition.encode("utf-8", "surrogatepass")) % tree.levels[0])


def shown_in(tree: Tree, partition: str, counts: Counts) -> Counts:
    """What a tree holds of a partition's counts."""
    if tree.share is not None:
        return {cell: count for cell, count in counts.items() if cell[1] and share_of(cell[1]) == tree.share}
    total: Counter[Cell] = Counter()
    for cell, count in counts.items():
        for shown in _totals_of(cell, partition):
            total[shown] += count
    return {cell: count for cell, count in total.items() if count}


def sum_in(children: Iterable[Counts]) -> Counts:
    """What a node has of its children: all, but of scopes only those with most open tickets."""
    total = summed(children)
    by_scope: Counter[str] = Counter()
    for cell, count in total.items():
        if cell[0] == SCOPE:
            by_scope[cell[1]] += count
    if len(by_scope) <= SCOPES_SHOWN:
        return total
    largest = {scope for scope, _ in sorted(by_scope.items(), key=lambda one: (-one[1], one[0]))[:SCOPES_SHOWN]}
    return {cell: count for cell, count in total.items() if cell[0] != SCOPE or cell[1] in largest}


def _totals_of(cell: Cell, partition: str) -> Iterable[Cell]:
    if cell[0] == RECORD:
        _, site, kind, status = cell
        yield ("status", status)
        if status == ACTIVE:
            yield ("type", kind)
            yield ("site", site)
    elif cell[0] == TICKET:
        _, site, priority, kind, status = cell
        yield ("priority", priority)
        yield ("kind", kind)
        yield ("status", status)
        yield ("site", site)
        yield (SCOPE, partition, priority)
    elif cell[0] == OBJECT:
        yield ("expires", cell[2])
