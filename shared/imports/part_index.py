"""All that is stored of a part, small: what tells that nothing changed, and packed, what was there before a change.

There is an entry for each row of a part, so every byte counts: an ordinary row takes a number in a dictionary, and of
its values some fifty bytes in a compressed block of neighbours.
"""

import marshal
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.imports.plan.model import IndexEntry
from shared.storage.rows import Row, Value

_DIGEST_BYTES = 12
# The lower bits of an ordinary row's number are its place, the others its digest.
_PLACE_BITS = 32
_PLACE = 2**_PLACE_BITS - 1
# Rows that are packed together: more take less memory and more time to find one of them again.
_BLOCK = 32
# Rows with so much in them are not kept: few of them change, and those are read again.
_LARGEST_BLOCK = _BLOCK * 250

_Kept = tuple[tuple[Any, ...], str] | None


class PartIndex(Mapping[str, IndexEntry]):
    """What is known of a partition's records, by row key. `columns` are those whose values are kept."""

    def __init__(self, partition_key: str, columns: Sequence[str] = ()) -> None:
        self._partition = partition_key
        self._columns = tuple(columns)
        self._covered = frozenset(columns)
        # Of an ordinary row its digest and place, of another one the complement of its place.
        self._numbers: dict[str, int] = {}
        self._others: dict[int, IndexEntry] = {}
        self._blocks: list[bytes] = []
        self._filling: list[_Kept] = []

    def put(self, row_key: str, known: IndexEntry, row: Row | None = None) -> None:
        """Add a row that is not there yet, with what was read of it, if that is enough to change the row by."""
        place = len(self._numbers)
        if _is_ordinary(known):
            self._numbers[row_key] = int.from_bytes(known.digest, "big") << _PLACE_BITS | place
        else:
            self._numbers[row_key] = ~place
            self._others[place] = known
            row = None
        if not self._columns:
            return
        self._filling.append((tuple(map(row.values.get, self._columns)), row.etag) if row and row.etag else None)
        if len(self._filling) == _BLOCK:
            self._blocks.append(_packed(self._filling))
            self._filling = []

    def __getitem__(self, row_key: str) -> IndexEntry:
        number = self._numbers[row_key]
        if number < 0:
            return self._others[~number]
        return IndexEntry((number >> _PLACE_BITS).to_bytes(_DIGEST_BYTES, "big"))

    def __contains__(self, row_key: object) -> bool:
        return row_key in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def unusual(self) -> Collection[IndexEntry]:
        """Those that are not ordinary: inactive, linked, taken over, gone, or handled by this run already."""
        return self._others.values()

    def place(self, row_key: str) -> int | None:
        """A number of the row's own below the length of the index; None for what is not there."""
        number = self._numbers.get(row_key)
        return None if number is None else ~number if number < 0 else number & _PLACE

    def recall(self, row_key: str, columns: Collection[str] = ()) -> Row | None:
        """The row as it was read, in all of these columns and those that every change needs. None when that is not
        known: then it has to be read again."""
        number = self._numbers.get(row_key)
        if number is None or number < 0 or not self._columns or not self._covered.issuperset(columns):
            return None
        block, position = divmod(number & _PLACE, _BLOCK)
        rows = _unpacked(self._blocks[block]) if block < len(self._blocks) else self._filling
        kept = rows[position] if rows else None
        if kept is None:
            return None
        values: dict[str, Value] = {"active": True, "hash": self[row_key].digest.hex()}
        for column, value in zip(self._columns, kept[0], strict=True):
            if value is not None:
                values[column] = datetime.fromisoformat(value[0]) if isinstance(value, tuple) else value
        return Row(self._partition, row_key, values, kept[1])


class SeenRows:
    """The row keys that were seen of a part: those of its index take a bit each."""

    def __init__(self, index: PartIndex) -> None:
        self._index = index
        self._marks = bytearray(len(index) // 8 + 1)
        self._others: set[str] = set()

    def add(self, row_key: str) -> None:
        place = self._index.place(row_key)
        if place is None:
            self._others.add(row_key)
        else:
            self._marks[place >> 3] |= 1 << (place & 7)

    def __contains__(self, row_key: str) -> bool:
        place = self._index.place(row_key)
        return row_key in self._others if place is None else bool(self._marks[place >> 3] & 1 << (place & 7))


def _is_ordinary(known: IndexEntry) -> bool:
    return known == IndexEntry(known.digest) and len(known.digest) == _DIGEST_BYTES


def _packed(rows: Sequence[_Kept]) -> bytes:
    """The rows in few bytes; none when they would take too many."""
    block: list[Any] = list(rows)
    try:
        plain = marshal.dumps(block)
    except ValueError:
        # Times are not among what `marshal` knows: each stands as a text in a tuple.
        plain = marshal.dumps([row and (tuple(map(_plain, row[0])), row[1]) for row in block])
    packed = zlib.compress(plain, 1)
    return packed if len(packed) <= _LARGEST_BLOCK else b""


def _plain(value: Any) -> Any:
    return (value.isoformat(),) if isinstance(value, datetime) else value


def _unpacked(block: bytes) -> list[_Kept]:
    if not block:
        return []
    # Written by this very process a moment ago.
    rows: list[_Kept] = marshal.loads(zlib.decompress(block))  # noqa: S302 - see above
    return rows
