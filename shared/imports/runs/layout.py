"""Laying the parts of a run, piece by piece: a large run's names are split until a piece of them fits into one step."""

from collections.abc import Sequence
from datetime import datetime

from shared.imports.runs.model import Part, PartState, Run
from shared.imports.runs.parts import PartRepository
from shared.imports.sources import SyncSource
from shared.text import escape_key

# So many parts one step lays: a step sends a message a part, and the host sends them one after the other.
PARTS_AT_ONCE = 200
# So many pieces one step splits off, and leaves the rest to another step.
PIECES_AT_ONCE = 5
# What the parts that lay are called, and no part of a source.
FIRST = "list of parts"


def first_laying(run_id: str, now: datetime) -> Part:
    """The part that a run begins with."""
    return _laying(run_id, now, "", "")


def children_of(parts: PartRepository, run: Run, laying: Part, source: SyncSource, now: datetime) -> Sequence[Part]:
    """What a part that lays leads to: the parts of its piece, or smaller pieces."""
    most = PARTS_AT_ONCE * PIECES_AT_ONCE
    before = run.applies or run.confirms
    names = (
        parts.names(before, laying.after, laying.until, most + 1)
        if before
        else _names_between(source.parts(), laying.after, laying.until)[: most + 1]
    )
    if len(names) <= PARTS_AT_ONCE:
        return queued(run.id, names, now)
    ends = names[PARTS_AT_ONCE - 1 : most : PARTS_AT_ONCE]
    if len(names) <= most:
        # The last piece goes to the end of the range: a name that comes to it meanwhile is laid too.
        ends = ends[: (len(names) - 1) // PARTS_AT_ONCE]
    begins = [laying.after, *ends]
    return [_laying(run.id, now, *piece) for piece in zip(begins, [*ends, laying.until], strict=True)]


def queued(run_id: str, names: Sequence[str], now: datetime) -> Sequence[Part]:
    """The parts of these names, each once, to be done."""
    return [Part(run_id, name, PartState.QUEUED, now) for name in dict.fromkeys(names)]


def _laying(run_id: str, now: datetime, after: str, until: str) -> Part:
    name = FIRST + (f" after {after}" if after else "") + (f" up to {until}" if until else "")
    return Part(run_id, name, PartState.QUEUED, now, lays=True, after=after, until=until)


def _names_between(names: Sequence[str], after: str, until: str) -> list[str]:
    """In the order of their keys, in which a table lists them."""
    begin, end = escape_key(after), escape_key(until)
    keys = {escape_key(name): name for name in names}
    return [keys[key] for key in sorted(keys) if key > begin and (not until or key <= end)]
