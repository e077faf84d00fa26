"""Which values of matching fields there are at all: enough to tell at once that a new record matches nothing.

A record that may match waits until its part has been read to the end. Without this all new ones would, each with its
source: some 4 KB of memory a record.
"""

from collections.abc import Iterable

from shared.imports.plan.model import MatchOn
from shared.storage.rows import Row

# 2 MiB, however many rows there are. Of a million rows one new record in 17 waits for nothing, which harms nobody.
_BITS = 2**24


class MatchPrefilter:
    """The folded values of some columns, a bit each: an absent value may seem present, a present one never absent."""

    def __init__(self, matching: Iterable[MatchOn], rows: Iterable[Row]) -> None:
        self._matching = tuple(matching)
        self._bits = bytearray(_BITS // 8)
        for row in rows:
            for match in self._matching:
                value = match.fold(row.values.get(match.column))
                if value:
                    place = _place(match, value)
                    self._bits[place >> 3] |= 1 << (place & 7)

    def may_match(self, match: MatchOn, value: str) -> bool:
        """Whether a row may have this folded value in the column."""
        place = _place(match, value)
        return bool(value) and bool(self._bits[place >> 3] & 1 << (place & 7))


def _place(match: MatchOn, value: str) -> int:
    return hash((match.column, value)) % _BITS
