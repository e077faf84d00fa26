"""Counts as values: how many things there are of each cell. It knows no table.

A cell is a kind of thing with what it is counted by: `("record", "london-hq", "server", "active")`. What a change adds
and takes away is such counts too, some of them below nothing. They may be summed in any order.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from shared.outbox.model import FollowUp

# The second member of each is the site, empty for none.
Cell = tuple[str, ...]
Counts = Mapping[Cell, int]

# Site, type, ACTIVE or INACTIVE.
RECORD = "record"
# Site, priority; of the open ones.
TICKET = "ticket"
# Site, day of the expiry date in UTC or NEVER: so time alone changes no count.
OBJECT = "object"
ACTIVE, INACTIVE = "active", "inactive"
NEVER = ""
# What follows from a change, by its name in the outbox.
FOLLOW_UP = "counts"


def summed(all_counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    total: Counter[Cell] = Counter()
    for counts in all_counts:
        for cell, count in counts.items():
            total[cell] += count
    return {cell: count for cell, count in total.items() if count}


def told_of_counts(moves: Iterable[tuple[Cell | None, Cell | None]]) -> list[FollowUp]:
    """What the outbox keeps of things that are counted otherwise than before; None is not at all.

    It says so even when they change nothing together: a full count has to know that something moved.
    """
    moved = [(before, after) for before, after in moves if before != after]
    if not moved:
        return []
    total: Counter[Cell] = Counter(after for _, after in moved if after is not None)
    total.subtract(before for before, _ in moved if before is not None)
    return [FollowUp(FOLLOW_UP, to_json({cell: count for cell, count in total.items() if count}))]


def to_json(counts: Counts) -> dict[str, Any]:
    """As nested objects, which say once what many cells share."""
    nested: dict[str, Any] = {}
    for cell, count in sorted(counts.items()):
        level = nested
        for name in cell[:-1]:
            level = level.setdefault(name, {})
        level[cell[-1]] = count
    return nested


def from_json(nested: Mapping[str, Any]) -> Counts:
    """What `to_json` made an object of."""
    return dict(_cells((), nested))


def _cells(above: Cell, nested: Mapping[str, Any]) -> Iterable[tuple[Cell, int]]:
    for name, below in nested.items():
        if isinstance(below, Mapping):
            yield from _cells((*above, name), below)
        else:
            yield (*above, name), int(below)
