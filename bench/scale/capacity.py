"""What many share over time: a limit that refuses, and a processor that makes wait. Both by pieces of time.

Executions are played one after the other, each at its own moments. So any moment is asked about, in any order.
"""

from collections import defaultdict

from bench.scale.stated import LIMITS

_PIECE = 0.1
_NOTHING = 1e-9


class Processor:
    """One core: a second of work takes a second, or longer beside other work."""

    def __init__(self) -> None:
        self._used: dict[int, float] = defaultdict(float)

    def spend(self, at: float, seconds: float) -> float:
        """When the work is done that begins `at`."""
        while seconds > _NOTHING:
            piece = int(at / _PIECE + _NOTHING)
            ends = (piece + 1) * _PIECE
            part = min(seconds, _PIECE - self._used[piece], ends - at)
            if part <= _NOTHING:
                at = ends
                continue
            self._used[piece] += part
            seconds -= part
            at += part
        return at


class Buckets:
    """The buckets of every limit, by the limit's name and whose bucket it is."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._refused: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))

    def take(self, at: float, asked: "tuple[tuple[str, str, int], ...]") -> str:
        """Take units of limits, all or none; the name of the limit that refuses, or ""."""
        for name, whose, units in asked:
            limit, piece = LIMITS[name], int(at / LIMITS[name].seconds)
            # What is larger than the limit itself takes all of it, and is served.
            if self._used[name, whose][piece] and self._used[name, whose][piece] + units > limit.units:
                self._refused[name, whose][piece] += 1
                return name
        for name, whose, units in asked:
            self._used[name, whose][int(at / LIMITS[name].seconds)] += units
        return ""

    def refused(self) -> int:
        return sum(sum(pieces.values()) for pieces in self._refused.values())

    def busiest(self) -> dict[str, tuple[str, float]]:
        """Of each limit: whose bucket was the fullest, and to what share."""
        found: dict[str, tuple[str, float]] = {}
        for (name, whose), pieces in self._used.items():
            share = max(pieces.values()) / LIMITS[name].units
            if name not in found or share > found[name][1]:
                found[name] = (whose, share)
        return found

    def longest_over(self) -> tuple[float, str]:
        """The longest time on end in which a bucket refused, in seconds; and whose it was."""
        longest, of = 0.0, ""
        for (name, whose), pieces in self._refused.items():
            run, before = 0, -2
            for piece in sorted(pieces):
                run = run + 1 if piece == before + 1 else 1
                before = piece
                if run * LIMITS[name].seconds > longest:
                    longest, of = run * LIMITS[name].seconds, f"{name}: {whose}"
        return longest, of
