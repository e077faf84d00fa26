"""What is known about one object of a vault, and how it grows: the same facts whatever the order and the repetition.

Every fact is a set, an earliest or a latest, so taking facts in is commutative, associative and idempotent. Nothing
here decides about tickets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from shared.tickets.domain.model import ChangeType, KeyVaultEvent, ObjectType

T = TypeVar("T")

BY_EVENT = "event"
BY_SWEEP = "sweep"
_BY_EVENT = frozenset({BY_EVENT})
# Near expiry comes 30 days ahead; an event without an expiry date is taken to say so.
NEAR_EXPIRY_DAYS = 30
_SECONDS_PER_DAY = 86_400
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# A row has room for these; what is beyond them lies years back or is an attack.
_MOST_STAGES = 40
_MOST_CHANGES = 40
_MOST_VERSIONS = 200


@dataclass(frozen=True)
class Dated(Generic[T]):
    """A value that can change, and the moment it was true: the latest wins."""

    value: T
    stamp: datetime

    def joined(self, other: "Dated[T] | None") -> "Dated[T]":
        if other is None:
            return self
        return max(self, other, key=lambda dated: (dated.stamp, str(dated.value)))


# Like those below with `Final`, never changed, and the type checker sees to it: to make a frozen one takes three times
# as long.
@dataclass
class Occurrence:
    """Something was said about a version: a new version, near expiry, or expired.

    `days` is the whole number of days left to the expiry, rounded up; 0 once expired. `at` is the earliest moment it
    was said, `by` who said it: Key Vault's events, the sweep, or both.
    """

    change: Final[ChangeType]
    days: Final[int]
    expires_at: Final[datetime | None]
    at: Final[datetime]
    by: Final[frozenset[str]]

    @property
    def key(self) -> tuple[datetime, bool, int]:
        """What makes it one and the same."""
        return (self.expires_at or _BEGINNING, self.change is ChangeType.EXPIRED, -self.days)

    @property
    def pressing(self) -> tuple[bool, int, datetime]:
        """Sorts by how pressing it is."""
        return (self.change is ChangeType.EXPIRED, -self.days, self.expires_at or _BEGINNING)

    def joined(self, other: "Occurrence") -> "Occurrence":
        return replace(self, at=min(self.at, other.at), by=self.by | other.by)


@dataclass
class Version:
    """What is known about one version. For a vault's access policies a "version" is a day."""

    first_seen_at: Final[datetime]
    listed_created_at: Final[datetime | None] = None
    announced: Final[tuple[Occurrence, ...]] = ()
    stages: Final[tuple[Occurrence, ...]] = ()
    expires: Final[Dated[datetime | None] | None] = None
    enabled: Final[Dated[bool] | None] = None
    changes: Final[tuple[tuple[datetime, str], ...]] = ()
    last_change_at: Final[datetime | None] = None

    @property
    def created_at(self) -> datetime | None:
        """By the event, if there was one; else by what the sweep read. The two differ by moments."""
        return self.announced[0].at if self.announced else self.listed_created_at


@dataclass
class ObjectState:
    """All that is known about one object. `name` is its name in one of the spellings that were seen."""

    object_type: Final[ObjectType]
    name: Final[str]
    versions: Final[Mapping[str, Version]] = field(default_factory=dict)
    last_seen_at: Final[datetime | None] = None
    gone_at: Final[datetime | None] = None
    listed: Final[Dated[tuple[tuple[str, datetime], ...]] | None] = None
    forgotten_until: Final[datetime | None] = None

    @property
    def gone(self) -> bool:
        return self.gone_at is not None and (self.last_seen_at is None or self.gone_at > self.last_seen_at)


@dataclass(frozen=True)
class VersionListed:
    """The sweep saw a version. `stamp` is when its properties were last changed."""

    version: str
    created_at: datetime
    stamp: datetime
    expires_at: datetime | None
    enabled: bool


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


Observation = KeyVaultEvent | VersionListed | ThresholdCrossed | ObjectGone | ObjectSeen | WithoutExpiryListed


def merge_observations(state: ObjectState, observations: Iterable[Observation]) -> ObjectState:
    """The state with the observations taken in."""
    for observation in observations:
        state = _absorb(state, observation)
    return _forget(state)


def days_left(at: datetime, expires_at: datetime | None) -> int:
    """Whole days from `at` to the expiry, rounded up, not below 0; 30 when no expiry date is known."""
    if expires_at is None:
        return NEAR_EXPIRY_DAYS
    return max(0, -int((at - expires_at).total_seconds() // _SECONDS_PER_DAY))


def _absorb(state: ObjectState, observation: Observation) -> ObjectState:
    if isinstance(observation, KeyVaultEvent):
        return _absorb_event(state, observation)
    if isinstance(observation, VersionListed):
        return _absorb_version(state, observation)
    if isinstance(observation, ThresholdCrossed):
        change = ChangeType.NEAR_EXPIRY if observation.days else ChangeType.EXPIRED
        # The moment of the threshold and not of the sweep: two sweeps, or one a day late, say the same.
        at = _days_before(observation.expires_at, observation.days)
        said = Occurrence(change, observation.days, observation.expires_at, at, frozenset({BY_SWEEP}))
        version = state.versions.get(observation.version) or Version(first_seen_at=at)
        return _with_version(state, observation.version, replace(version, stages=_with_stage(version.stages, said)))
    if isinstance(observation, ObjectGone):
        return replace(state, gone_at=_latest(state.gone_at, observation.at))
    if isinstance(observation, ObjectSeen):
        return replace(state, last_seen_at=_latest(state.last_seen_at, observation.at))
    return _absorb_listing(state, observation)


def _absorb_event(state: ObjectState, event: KeyVaultEvent) -> ObjectState:
    version = state.versions.get(event.version) or Version(first_seen_at=event.at)
    first_seen_at = min(version.first_seen_at, event.at)
    name = min(state.name, event.object_name)
    if event.change is ChangeType.ACCESS_POLICY_CHANGED:
        # The earliest of a day are told one by one, so that a loop somewhere cannot fill the row.
        changes = tuple(sorted({*version.changes, (event.at, event.receipt)})[:_MOST_CHANGES])
        last_change_at = _latest(version.last_change_at, event.at)
        version = replace(version, first_seen_at=first_seen_at, changes=changes, last_change_at=last_change_at)
        return replace(state, name=name, versions={**state.versions, event.version: version})
    expires, announced, stages = version.expires, version.announced, version.stages
    if event.expires_at is not None:
        told: Dated[datetime | None] = Dated(event.expires_at, event.at)
        expires = told.joined(expires)
    days = 0 if event.change is ChangeType.EXPIRED else days_left(event.at, event.expires_at)
    said = Occurrence(event.change, days, event.expires_at, event.at, _BY_EVENT)
    if event.change is ChangeType.NEW_VERSION_CREATED:
        announced = (min((*announced, said), key=lambda one: (one.at, one.key)),)
    else:
        stages = _with_stage(stages, said)
    # Of every event, so without `replace`, which takes three times as long.
    version = Version(
        first_seen_at,
        version.listed_created_at,
        announced,
        stages,
        expires,
        version.enabled,
        version.changes,
        version.last_change_at,
    )
    return ObjectState(
        state.object_type,
        name,
        {**state.versions, event.version: version},
        _latest(state.last_seen_at, event.at),
        state.gone_at,
        state.listed,
        state.forgotten_until,
    )


def _absorb_version(state: ObjectState, listed: VersionListed) -> ObjectState:
    version = state.versions.get(listed.version) or Version(first_seen_at=listed.created_at)
    version = replace(
        version,
        first_seen_at=min(version.first_seen_at, listed.created_at),
        listed_created_at=_earliest(version.listed_created_at, listed.created_at),
        expires=Dated(listed.expires_at, listed.stamp).joined(version.expires),
        enabled=Dated(listed.enabled, listed.stamp).joined(version.enabled),
    )
    return _with_version(state, listed.version, version)


def _absorb_listing(state: ObjectState, listing: WithoutExpiryListed) -> ObjectState:
    present = state.listed
    if present is not None and listing.at <= present.stamp:
        return state
    first_listed = dict(present.value) if present is not None else {}
    names = tuple((name, first_listed.get(name, listing.at)) for name in sorted(set(listing.names)))
    if present is not None and names == present.value:
        return state
    return replace(state, listed=Dated(names, listing.at))


def _with_version(state: ObjectState, name: str, version: Version) -> ObjectState:
    return replace(state, versions={**state.versions, name: version})


def _with_stage(stages: tuple[Occurrence, ...], said: Occurrence) -> tuple[Occurrence, ...]:
    if not stages:
        return (said,)
    by_key = {stage.key: stage for stage in stages}
    present = by_key.get(said.key)
    by_key[said.key] = said if present is None else present.joined(said)
    # The latest are kept: a key that falls out stays out, so the order of arrival does not matter.
    return tuple(by_key[key] for key in sorted(by_key)[-_MOST_STAGES:])


def _forget(state: ObjectState) -> ObjectState:
    excess = len(state.versions) - _MOST_VERSIONS
    if excess <= 0:
        return state
    oldest = sorted(state.versions, key=lambda name: rank(state, name))[:excess]
    until = max(rank(state, name)[0] for name in oldest)
    kept = {name: version for name, version in state.versions.items() if name not in set(oldest)}
    return replace(state, versions=kept, forgotten_until=_latest(state.forgotten_until, until))


def rank(state: ObjectState, name: str) -> tuple[datetime, str]:
    """Where a version stands among the others: by its creation.

    A version whose creation was not seen is as old as the first thing that was said about it; and where versions
    have been forgotten, it is taken for one of those.
    """
    version = state.versions[name]
    if version.created_at is not None:
        return (version.created_at, name)
    if state.forgotten_until is not None:
        return (min(version.first_seen_at, state.forgotten_until), name)
    return (version.first_seen_at, name)


def _days_before(moment: datetime, days: int) -> datetime:
    seconds = max(0.0, moment.timestamp() - days * _SECONDS_PER_DAY)
    return datetime.fromtimestamp(seconds, UTC)


def _earliest(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)


def _latest(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
