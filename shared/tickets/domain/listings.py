"""What a sweep observes, and what a vault lists of a version: that decides over what events said. Pure.

A list has no moment of its own: each reading takes the place of the one before, and outweighs what events had told
until then. So neither the vault's clock nor that of the events has to be right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.moments import LONG_AGO, same_date

_MOST_SPELLS = 20


@dataclass(frozen=True)
class VersionListed:
    """The sweep read a version at `read_at`. `created_at` None: it was known, and the vault does not have it.

    `changed_at` is when its properties were last changed. `current`: the list of objects shows this version.
    """

    version: str
    read_at: datetime
    created_at: datetime | None = None
    changed_at: datetime | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    enabled: bool = False
    current: bool = False


@dataclass(frozen=True)
class ThresholdCrossed:
    """The sweep found that a version has at most `days` days left; 0 is expired."""

    version: str
    days: int
    expires_at: datetime


@dataclass(frozen=True)
class ObjectGone:
    """The sweep read the vault to its end at `at` and the object was not there."""

    at: datetime


@dataclass(frozen=True)
class ObjectSeen:
    """The sweep saw an object at `at` that had been taken for gone."""

    at: datetime


@dataclass(frozen=True)
class WithoutExpiryListed:
    """All objects without an expiry date that the sweep found at `at`, as `secret/name`."""

    names: tuple[str, ...]
    at: datetime


@dataclass(frozen=True)
class ObjectListed:
    """How the list of a vault's objects shows one: by its current version, whose name many lists leave out."""

    created_at: datetime
    changed_at: datetime
    not_before: datetime | None
    expires_at: datetime | None
    enabled: bool


@dataclass(frozen=True)
class ListedAsManaged:
    """The vault listed the object as a certificate's own."""


@dataclass(frozen=True)
class Listing:
    """What the vault said last of a version. Dates that events told until `told_until` are outweighed."""

    created_at: datetime | None
    changed_at: datetime
    expires_at: datetime | None
    enabled: bool
    current: bool
    told_until: datetime | None = None

    def is_older_than(self, told_at: datetime) -> bool:
        """Whether an event of that moment tells of what came after the list."""
        return self.told_until is None or told_at > self.told_until


@dataclass(frozen=True)
class Spell:
    """A time in which a version could not be used. `until` None: it still cannot."""

    since: datetime
    why: str
    until: datetime | None = None


EXPIRED = "has expired"
_EARLY = "is not valid yet"


def relisted(before: Listing | None, listed: VersionListed, told: tuple[datetime, datetime] | None) -> Listing:
    """The listing after a version was read. `told` is the expiry date that events tell, and the moment they did."""
    created_at = listed.created_at
    if created_at is not None and before is not None and before.created_at is not None:
        # What a clock that runs ahead says is cut to each sweep's own moment; the first counts.
        created_at = min(created_at, before.created_at)
    # The same date in other digits needs no outweighing: whether event or sweep came first is then all the same.
    told_until = told[1] if told is not None and not same_date(told[0], listed.expires_at) else None
    # When a sweep misses a version is chance: whatever is told of one that is not there, it never was.
    changed_at = listed.changed_at or LONG_AGO
    return Listing(created_at, changed_at, listed.expires_at, listed.enabled, listed.current, told_until)


def spells_with(spells: Sequence[Spell], listed: VersionListed) -> tuple[Spell, ...]:
    """The times of no use, after a version was read."""
    began = _no_use(listed)
    last = spells[-1] if spells and spells[-1].until is None else None
    if last is not None and began is not None and last.why == began.why:
        return tuple(spells)
    if last is not None:
        ended_at = listed.changed_at or listed.read_at
        if began is not None:
            ended_at = began.since
        elif last.why == _EARLY and listed.not_before is not None:
            ended_at = listed.not_before
        spells = [*spells[:-1], replace(last, until=max(last.since, ended_at))]
    return tuple(spells if began is None else [*spells, began])[-_MOST_SPELLS:]


def _no_use(listed: VersionListed) -> Spell | None:
    if listed.created_at is None:
        return Spell(LONG_AGO, "is not in the vault")
    if not listed.enabled:
        return Spell(listed.changed_at or listed.read_at, "is disabled")
    if listed.expires_at is not None and listed.expires_at <= listed.read_at:
        return Spell(max(listed.created_at, listed.expires_at), EXPIRED)
    if listed.not_before is not None and listed.not_before > listed.read_at:
        return Spell(listed.created_at, _EARLY)
    return None
