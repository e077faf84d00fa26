"""Regular expressions of rules: what each costs before it is compiled, and each compiled once for all who use it.

Rust's engine works in linear time, so no pattern and no value can make an import hang. But a pattern of a few
characters can compile to megabytes: `\\w{100}` knows all letters of all alphabets a hundred times.
"""

import re
import threading
from collections import OrderedDict

from pydantic_core import SchemaError, SchemaValidator, core_schema

LONGEST_PATTERN = 1_000
# Of one document: estimated bytes of all its patterns together, and how many there may be.
LARGEST_PATTERNS = 16 * 1024 * 1024
MOST_PATTERNS = 500
# Estimated bytes of the compiled patterns that a worker keeps.
_KEPT = 64 * 1024 * 1024
# Bytes of a compiled atom, measured, rounded up. A shorthand holds the letters or digits of all alphabets.
_SHORTHAND = {"w": 72_000, "d": 7_200, "s": 1_400, "p": 60_000}
_DOT, _CLASS, _LITERAL, _BEYOND_ASCII = 1_100, 1_000, 64, 600
_REPEAT = re.compile(r"\{(\d{1,6})(,(\d{0,6}))?\}")


class PatternError(ValueError):
    """The message is a sentence about the pattern."""


def estimated_size(pattern: str) -> int:
    """About how many bytes the pattern compiles to. Repetitions within repetitions multiply."""
    # Of each group that is open: its size so far, and that of its last atom.
    open_groups = [[0, 0]]
    place = 0
    while place < len(pattern):
        group = open_groups[-1]
        character = pattern[place]
        repeat = _REPEAT.match(pattern, place) if character == "{" else None
        if repeat is not None:
            times = max(int(repeat[1]), int(repeat[3] or 0)) + (1 if repeat[2] and not repeat[3] else 0)
            group[0] += group[1] * max(0, times - 1)
            group[1] *= max(1, times)
            place = repeat.end()
            continue
        if character == "(":
            open_groups.append([0, 0])
        elif character == ")" and len(open_groups) > 1:
            size = open_groups.pop()[0]
            open_groups[-1][0] += size
            open_groups[-1][1] = size
        else:
            group[1], place = _atom(pattern, place)
            group[0] += group[1]
            continue
        place += 1
    return sum(size for size, _ in open_groups)


def _atom(pattern: str, place: int) -> tuple[int, int]:
    """The size of the atom at a place, and where the next one begins. A class counts all that stands in it."""
    character = pattern[place]
    if character == "\\" and place + 1 < len(pattern):
        return _SHORTHAND.get(pattern[place + 1].lower(), _LITERAL), place + 2
    if character == ".":
        return _DOT, place + 1
    size = _CLASS if character == "[" else _LITERAL if character.isascii() else _BEYOND_ASCII
    if character != "[":
        return size, place + 1
    depth = 0
    while place < len(pattern):
        if pattern[place] == "\\":
            size += _SHORTHAND.get(pattern[place + 1 : place + 2].lower(), _LITERAL)
            place += 2
            continue
        depth += {"[": 1, "]": -1}.get(pattern[place], 0)
        size += _LITERAL if pattern[place].isascii() else _BEYOND_ASCII
        place += 1
        if depth == 0:
            break
    return size, place


class PatternCache:
    """Compiled patterns, the ones used last, up to a size. Safe to share between threads."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, tuple[SchemaValidator, int]] = OrderedDict()
        self._size = 0

    def get(self, pattern: str) -> SchemaValidator:
        """The compiled pattern. Raises PatternError."""
        with self._lock:
            if pattern in self._compiled:
                self._compiled.move_to_end(pattern)
                return self._compiled[pattern][0]
        compiled, size = _compile(pattern), estimated_size(pattern)
        with self._lock:
            if pattern not in self._compiled:
                self._compiled[pattern] = (compiled, size)
                self._size += size
            while self._size > self._kept and len(self._compiled) > 1:
                _, (_, dropped) = self._compiled.popitem(last=False)
                self._size -= dropped
        return compiled


def _compile(pattern: str) -> SchemaValidator:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        detail = next((line for line in lines if line.startswith("error:")), lines[-1])
        raise PatternError(f"is not a regular expression: {detail.removeprefix('error:').strip()}") from error


PATTERNS = PatternCache()
