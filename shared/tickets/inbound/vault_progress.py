"""How far the reading of one vault has come: what is kept between two steps, and what the vault refused. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.errors import DeskbridgeError
from shared.tickets.domain.model import ObjectType

SWEPT_TYPES = (ObjectType.SECRET, ObjectType.KEY, ObjectType.CERTIFICATE)
# So many objects that a vault refuses are named in the report.
_MOST_NAMED = 20


@dataclass(frozen=True)
class TypeRefused:
    """A type of object that the vault did not list to the end."""

    object_type: str
    reason: str
    message: str


@dataclass(frozen=True)
class ObjectRefused:
    """An object that the vault listed, and whose versions it did not give."""

    object_type: str
    name: str
    reason: str
    message: str


@dataclass(frozen=True)
class VaultProgress:
    """How far the reading of one vault has come: kept between two steps, and the result after the last.

    `unlisted` are the known objects of the present type that the list has not named yet; None before it began. `many`
    says that more are known.
    `refused_objects` are the first of `refused` that the vault listed and did not show; `failed` are those of the
    present type that failed by what passes.
    """

    began_at: datetime
    types_done: int = 0
    after: str = ""
    listed: bool = False
    unlisted: tuple[str, ...] | None = None
    many: bool = False
    objects: int = 0
    near_or_past_expiry: int = 0
    gone: int = 0
    without_expiry: tuple[str, ...] = ()
    refusals: tuple[TypeRefused, ...] = ()
    refused_objects: tuple[ObjectRefused, ...] = ()
    refused: int = 0
    failed: int = 0
    waits: int = 0
    done: bool = False


def next_type(progress: VaultProgress) -> VaultProgress:
    """The present type is done."""
    return replace(progress, types_done=progress.types_done + 1, after="", listed=False, unlisted=None, failed=0)


def without_type(progress: VaultProgress, error: DeskbridgeError) -> VaultProgress:
    """The present type is given up; what was read of it stands."""
    refusal = TypeRefused(str(SWEPT_TYPES[progress.types_done]), str(error.reason), str(error))
    return next_type(replace(progress, refusals=(*progress.refusals, refusal)))


def without_objects(progress: VaultProgress, refused: Sequence[ObjectRefused]) -> VaultProgress:
    """These objects are left out, and the others of their type are read."""
    named = (*progress.refused_objects, *refused)[:_MOST_NAMED]
    return replace(progress, refused_objects=named, refused=progress.refused + len(refused))


def refused_whole(progress: VaultProgress, error: DeskbridgeError) -> VaultProgress:
    """The vault could not be opened at all."""
    return replace(progress, refusals=(TypeRefused("", str(error.reason), str(error)),))


def reason_of(progress: VaultProgress) -> str:
    """Why the vault was not read whole; empty when it was."""
    reasons = [one.reason for one in progress.refusals] or [one.reason for one in progress.refused_objects]
    return reasons[0] if reasons else ""


def message_of(progress: VaultProgress) -> str:
    """What the vault refused, for a person: each sentence once."""
    return " ".join(dict.fromkeys([*(one.message for one in progress.refusals), *_left_out(progress)]))


def _left_out(progress: VaultProgress) -> list[str]:
    named = progress.refused_objects
    if not named:
        return []
    names = [f"{one.object_type} {one.name}" for one in named]
    more = [f"{progress.refused - len(named)} more"] if progress.refused > len(named) else []
    return [f"Left out: {', '.join([*names, *more])}.", *dict.fromkeys(one.message for one in named[:3])]
