"""The fan-out of a run: its parts are created piece by piece, each piece small enough for one step of the queue."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.imports.runs.model import Part, PartState, Run
from shared.imports.runs.parts import PartRepository
from shared.imports.sources import SyncSource
from shared.text import escape_key

# So many parts one step creates: a step sends a message a part, and the host sends them one after the other.
PARTS_AT_ONCE = 200
# So many pieces one step splits off, and leaves the rest to another step.
PIECES_AT_ONCE = 5
# What the parts that fan out are called, and no part of a source.
FIRST = "list of parts"
# Beneath it stand the pieces of a long list that is compared with what is read now.
UNREAD = "what nobody reads any more"
# Those that open parts again, to settle what they wrote down.
FIRST_SETTLING = f"{FIRST} to settle"


def first_fan_out(run_id: str, now: datetime) -> Part:
    """The part that a run begins with."""
    return _fan_out(run_id, now, "", "", "")


def first_to_settle(run_id: str, now: datetime) -> Part:
    """The part that opens parts again, once all are read."""
    return _fan_out(run_id, now, "", "", "", settles=True)


def children_of(parts: PartRepository, run: Run, part: Part, source: SyncSource, now: datetime) -> Sequence[Part]:
    """What a part that fans out leads to: the parts of its piece, or smaller pieces."""
    if part.beneath == UNREAD:
        return []
    before, most = run.applies or run.confirms, names_asked_for()
    if part.settles:
        return _split(
            part, [_opened_again(one, now) for one in parts.withdrawing(run.id, part.after, part.until, most)]
        )
    if before:
        return _split(part, queued(run.id, parts.names(before, part.after, part.until, most), now))
    if part.beneath:
        expansion = source.expand(part.beneath, part.after, most)
        names = expansion.parts if expansion is not None else ()
    else:
        names = source.parts()
    return _split(part, queued(run.id, _names_between(names, part.after, part.until)[:most], now))


def names_asked_for() -> int:
    """As many as one step splits, and one more, which says that there are others."""
    return PARTS_AT_ONCE * PIECES_AT_ONCE + 1


def children_of_expanded(part: Part, names: Sequence[str], now: datetime) -> Sequence[Part]:
    """What a part leads to that found these names: parts, or pieces when they are many."""
    if len(names) <= PARTS_AT_ONCE:
        return queued(part.run_id, names, now)
    whole = _fan_out(part.run_id, now, part.name, "", "")
    return _split(whole, queued(part.run_id, _names_between(names, "", "")[: names_asked_for()], now))


def _split(part: Part, children: Sequence[Part]) -> Sequence[Part]:
    """These parts, or pieces of them: `children` are the first of the piece, and one more than can be split at once
    when there are."""
    if len(children) <= PARTS_AT_ONCE:
        return children
    most, now = PARTS_AT_ONCE * PIECES_AT_ONCE, children[0].queued_at
    names = [child.name for child in children]
    ends = names[PARTS_AT_ONCE - 1 : most : PARTS_AT_ONCE]
    if len(names) <= most:
        # The last piece goes to the end of the range: a name that comes to it meanwhile is part of it too.
        ends = ends[: (len(names) - 1) // PARTS_AT_ONCE]
    pieces = zip([part.after, *ends], [*ends, part.until], strict=True)
    return [_fan_out(part.run_id, now, part.beneath, *piece, settles=part.settles) for piece in pieces]


def _opened_again(part: Part, now: datetime) -> Part:
    """The part, to settle what its last attempt wrote down."""
    return replace(
        part,
        state=PartState.QUEUED,
        queued_at=now,
        settles=True,
        reading=part.attempt_id,
        attempts=0,
        heartbeat_at=None,
        finished_at=None,
    )


def queued(run_id: str, names: Sequence[str], now: datetime) -> Sequence[Part]:
    """The parts of these names, each once, to be done."""
    return [Part(run_id, name, PartState.QUEUED, now) for name in dict.fromkeys(names)]


def fan_out_after(run_id: str, now: datetime, beneath: str, after: str) -> Part:
    """The part that goes on beneath another after a name."""
    return _fan_out(run_id, now, beneath, after, "")


def _fan_out(run_id: str, now: datetime, beneath: str, after: str, until: str, *, settles: bool = False) -> Part:
    name = (FIRST_SETTLING if settles else FIRST) + "".join(
        f" {word} {text}" for word, text in (("beneath", beneath), ("after", after), ("up to", until)) if text
    )
    first = Part(run_id, name, PartState.QUEUED, now, fans_out=True, after=after, until=until)
    return replace(first, beneath=beneath, settles=settles)


def _names_between(names: Sequence[str], after: str, until: str) -> list[str]:
    """In the order of their keys, in which a table lists them."""
    begin, end = escape_key(after), escape_key(until)
    keys = {escape_key(name): name for name in names}
    return [keys[key] for key in sorted(keys) if key > begin and (not until or key <= end)]
