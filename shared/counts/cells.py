"""Counts as values: how many things there are of each cell. It knows no table.

A cell is a kind of thing with what it is counted by, such as `("record", "london-hq", "server", "active")`. What a
change adds and takes away is such counts too, some of them below nothing. They may be summed in any order.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Cell = tuple[str, ...]
Counts = Mapping[Cell, int]

RECORD, TICKET, OBJECT = "record", "ticket", "object"
ACTIVE, INACTIVE = "active", "inactive"
# The day of an object that has no expiry date.
NEVER = ""


def record_cell(values: Mapping[str, Any]) -> Cell:
    """What a record is counted as, by the columns of its row."""
    status = ACTIVE if values.get("active", True) else INACTIVE
    return (RECORD, str(values.get("site") or ""), str(values.get("type") or ""), status)


def ticket_cell(site: str | None, priority: str, kind: str, status: str) -> Cell:
    """What an open ticket is counted as; finished ones are not counted."""
    return (TICKET, site or "", priority, kind, status)


def object_cell(site: str | None, expires_at: datetime | None) -> Cell:
    """What an object is counted as: by the day of its expiry, so that time alone changes no count."""
    return (OBJECT, site or "", NEVER if expires_at is None else expires_at.astimezone(UTC).date().isoformat())


def difference(before: Iterable[Cell], after: Iterable[Cell]) -> Counts:
    """What a change of things adds and takes away; empty when they are counted as before."""
    found = Counter(after)
    found.subtract(before)
    return _without_zeros(found)


def summed(all_counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    total: Counter[Cell] = Counter()
    for counts in all_counts:
        for cell, count in counts.items():
            total[cell] += count
    return _without_zeros(total)


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


def _without_zeros(counts: Mapping[Cell, int]) -> Counts:
    return {cell: count for cell, count in counts.items() if count}
