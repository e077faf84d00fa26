"""What is known about one object of a vault: the same state in whatever order and how often events are observed.

Each part that events tell is a set, an earliest or a latest, so merging them is commutative, associative and
idempotent. Beside it stands what the vault listed last, and that decides: which versions there are, their order, the
current one, their dates, whether they are enabled. No two clocks are compared for it. Nothing here decides on tickets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from shared.moments import same_date
from shared.tickets.domain.desk_reports import Reports
from shared.tickets.domain.listings import (
    ListedAsManaged,
    Listing,
    ObjectGone,
    ObjectListed,
    ObjectSeen,
    Spell,
    ThresholdCrossed,
    VersionListed,
    WithoutExpiryListed,
    relisted,
    spells_with,
)
from shared.tickets.domain.model import ChangeType, KeyVaultEvent, ObjectType

T = TypeVar("T")

BY_EVENT = "event"
BY_SWEEP = "sweep"
AUTHORS = {BY_EVENT: "Key Vault event", BY_SWEEP: "daily sweep"}
# Near expiry comes 30 days ahead; an event without an expiry date is taken to say so.
NEAR_EXPIRY_DAYS = 30
_SECONDS_PER_DAY = 86_400
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# A row has room for these; what is beyond them lies years back or is an attack.
_MOST_EXPIRY_OCCURRENCES = 40
_MOST_CHANGES = 40
_MOST_VERSIONS = 200
_MOST_ABSENCES = 20


@dataclass(frozen=True)
class Dated(Generic[T]):
    """A value that can change, and the moment it was true: the latest wins."""

    value: T
    stamp: datetime

    def merge(self, other: "Dated[T] | None") -> "Dated[T]":
        if other is None:
            return self
        return max(self, other, key=lambda dated: (dated.stamp, str(dated.value)))


@dataclass(frozen=True)
class Occurrence:
    """What happened to a version: it was created, came near its expiry, or expired.

    `days` is the whole number of days left to the expiry, rounded up; 0 once expired. `at` is the earliest moment at
    which it was reported, `reported_by` by whom: Key Vault's events, the sweep, or both.
    """

    change: ChangeType
    days: int
    expires_at: datetime | None
    at: datetime
    reported_by: tuple[str, ...]
    not_before: datetime | None = None

    @property
    def key(self) -> tuple[datetime, bool, int]:
        """What makes it one and the same."""
        return (self.expires_at or _BEGINNING, self.change is ChangeType.EXPIRED, -self.days)

    @property
    def severity(self) -> tuple[bool, int, datetime]:
        """Sorts by how urgent it is."""
        return (self.change is ChangeType.EXPIRED, -self.days, self.expires_at or _BEGINNING)

    def merge(self, other: "Occurrence") -> "Occurrence":
        return replace(
            self, at=min(self.at, other.at), reported_by=tuple(sorted({*self.reported_by, *other.reported_by}))
        )


@dataclass(frozen=True)
class Version:
    """What is known about one version. For a vault's access policies a "version" is a day.

    `told_expires` is what events say; `listing` is what the vault says, and `spells` are when it could not be used.
    `of_certificate` marks the version of a certificate's own key or secret. `aged_at` is when its tickets grew old.
    """

    first_seen_at: datetime
    creation: Occurrence | None = None
    expiry_occurrences: tuple[Occurrence, ...] = ()
    told_expires: Dated[datetime] | None = None
    listing: Listing | None = None
    spells: tuple[Spell, ...] = ()
    of_certificate: bool = False
    aged_at: datetime | None = None
    changes: tuple[tuple[datetime, str], ...] = ()
    last_change_at: datetime | None = None

    @property
    def absent(self) -> bool:
        """Whether the vault does not have it, whatever events said."""
        return self.listing is not None and self.listing.created_at is None

    @property
    def created_at(self) -> datetime | None:
        """By the vault, if it was listed; else by the event."""
        if self.listing is not None and self.listing.created_at is not None:
            return self.listing.created_at
        return self.creation.at if self.creation is not None else None

    @property
    def expires_at(self) -> datetime | None:
        """By the vault, unless an event told of another date since it was listed."""
        listing, told = self.listing, self.told_expires
        if listing is None or listing.created_at is None:
            return None if told is None else told.value
        newer = told is not None and listing.is_older_than(told.stamp) and not same_date(told.value, listing.expires_at)
        return told.value if told is not None and newer else listing.expires_at

    def outdated_and_current(self) -> tuple[list[Occurrence], list[Occurrence]]:
        """The occurrences of another expiry date than the present one, and those of this one; each by urgency."""
        by_urgency = sorted(self.expiry_occurrences, key=lambda one: one.severity)
        current = [one for one in by_urgency if self._confirms(one)]
        return [one for one in by_urgency if one not in current], current

    def _confirms(self, occurrence: Occurrence) -> bool:
        """Whether the occurrence speaks of the expiry date that the version has now, as far as that is known."""
        if occurrence.expires_at is None or (self.listing is None and self.told_expires is None):
            return True
        return same_date(occurrence.expires_at, self.expires_at)


@dataclass(frozen=True)
class ObjectState:
    """All that is known about one object. `name` is its name in one of the spellings that were seen.

    `absences` are when it was not in the vault: from when to when. `managed`: it is a certificate's own key or secret.
    `listed` is how the vault's list showed it last.
    """

    object_type: ObjectType
    name: str
    versions: Mapping[str, Version] = field(default_factory=dict)
    last_seen_at: datetime | None = None
    gone_at: datetime | None = None
    without_expiry: Dated[tuple[tuple[str, datetime], ...]] | None = None
    forgotten_until: datetime | None = None
    absences: tuple[tuple[datetime, datetime | None], ...] = ()
    managed: bool = False
    listed: ObjectListed | None = None
    reports: Reports = field(default_factory=dict)

    @property
    def gone(self) -> bool:
        return self.gone_at is not None and (self.last_seen_at is None or self.gone_at > self.last_seen_at)


@dataclass(frozen=True)
class NamedByCertificate:
    """A certificate of the object's name has the version: the object's own is part of it."""

    version: str
    at: datetime


@dataclass(frozen=True)
class Aged:
    """What is said of the version has grown old at that moment."""

    version: str
    at: datetime


Observation = (
    KeyVaultEvent
    | VersionListed
    | ThresholdCrossed
    | ObjectGone
    | ObjectSeen
    | WithoutExpiryListed
    | NamedByCertificate
    | ObjectListed
    | ListedAsManaged
    | Aged
)


def merge_observations(state: ObjectState, observations: Iterable[Observation]) -> ObjectState:
    """The state with the observations merged into it."""
    for observation in observations:
        state = _merge(state, observation)
    return _forget(state)


def days_left(at: datetime, expires_at: datetime | None) -> int:
    """Whole days from `at` to the expiry, rounded up, not below 0; 30 when no expiry date is known."""
    if expires_at is None:
        return NEAR_EXPIRY_DAYS
    return max(0, -int((at - expires_at).total_seconds() // _SECONDS_PER_DAY))


def _merge(state: ObjectState, observation: Observation) -> ObjectState:
    match observation:
        case KeyVaultEvent():
            return _merge_event(state, observation)
        case VersionListed():
            return _merge_version(state, observation)
        case ThresholdCrossed():
            return _merge_threshold(state, observation)
        case ObjectGone(at):
            absences = state.absences if state.gone else (*state.absences, (at, None))[-_MOST_ABSENCES:]
            return replace(state, gone_at=_latest(state.gone_at, at), absences=absences)
        case ObjectSeen(at):
            absences = tuple([(gone_at, back_at or at) for gone_at, back_at in state.absences])
            return replace(state, last_seen_at=_latest(state.last_seen_at, at), absences=absences)
        case NamedByCertificate(name, at):
            version = state.versions.get(name) or Version(first_seen_at=at)
            named = replace(version, first_seen_at=min(version.first_seen_at, at), of_certificate=True)
            return _with_version(state, name, named)
        case ObjectListed():
            return replace(state, listed=observation)
        case ListedAsManaged():
            return replace(state, managed=True)
        case Aged(name, at):
            if name not in state.versions:
                return state
            version = state.versions[name]
            return _with_version(state, name, replace(version, aged_at=min(version.aged_at or at, at)))
        case WithoutExpiryListed():
            return _merge_without_expiry(state, observation)


def _merge_event(state: ObjectState, event: KeyVaultEvent) -> ObjectState:
    version = state.versions.get(event.version) or Version(first_seen_at=event.at)
    by_policy = event.change is ChangeType.ACCESS_POLICY_CHANGED
    return replace(
        state,
        name=min(state.name, event.object_name),
        versions={**state.versions, event.version: _observed(version, event)},
        last_seen_at=state.last_seen_at if by_policy else _latest(state.last_seen_at, event.at),
    )


def _observed(version: Version, event: KeyVaultEvent) -> Version:
    first_seen_at = min(version.first_seen_at, event.at)
    if event.change is ChangeType.ACCESS_POLICY_CHANGED:
        # The earliest of a day are kept one by one, so that a loop somewhere cannot fill the row.
        changes = tuple(sorted({*version.changes, (event.at, event.receipt)})[:_MOST_CHANGES])
        last_change_at = _latest(version.last_change_at, event.at)
        return replace(version, first_seen_at=first_seen_at, changes=changes, last_change_at=last_change_at)
    told = version.told_expires
    if event.expires_at is not None:
        told = Dated(event.expires_at, event.at).merge(told)
    days = 0 if event.change is ChangeType.EXPIRED else days_left(event.at, event.expires_at)
    occurrence = Occurrence(event.change, days, event.expires_at, event.at, (BY_EVENT,))
    if event.change is ChangeType.NEW_VERSION_CREATED:
        occurrence = replace(occurrence, not_before=event.not_before)
        known = [occurrence] if version.creation is None else [version.creation, occurrence]
        creation = min(known, key=lambda one: (one.at, one.key))
        return replace(version, first_seen_at=first_seen_at, told_expires=told, creation=creation)
    occurrences = _with_occurrence(version.expiry_occurrences, occurrence)
    return replace(version, first_seen_at=first_seen_at, told_expires=told, expiry_occurrences=occurrences)


def _merge_version(state: ObjectState, listed: VersionListed) -> ObjectState:
    version = state.versions.get(listed.version) or Version(first_seen_at=listed.created_at or listed.read_at)
    told = version.told_expires
    version = replace(
        version,
        first_seen_at=min(version.first_seen_at, listed.created_at or version.first_seen_at),
        listing=relisted(version.listing, listed, None if told is None else (told.value, told.stamp)),
        spells=spells_with(version.spells, listed),
    )
    return _with_version(state, listed.version, version)


def _merge_threshold(state: ObjectState, crossed: ThresholdCrossed) -> ObjectState:
    change = ChangeType.NEAR_EXPIRY if crossed.days else ChangeType.EXPIRED
    # The moment of the threshold and not of the sweep: two sweeps, or one a day late, report the same.
    at = _days_before(crossed.expires_at, crossed.days)
    version = state.versions.get(crossed.version) or Version(first_seen_at=at)
    occurrence = Occurrence(change, crossed.days, crossed.expires_at, at, (BY_SWEEP,))
    occurrences = _with_occurrence(version.expiry_occurrences, occurrence)
    return _with_version(state, crossed.version, replace(version, expiry_occurrences=occurrences))


def _merge_without_expiry(state: ObjectState, listing: WithoutExpiryListed) -> ObjectState:
    present = state.without_expiry
    if present is not None and listing.at <= present.stamp:
        return state
    first_listed = dict(present.value) if present is not None else {}
    names = tuple((name, first_listed.get(name, listing.at)) for name in sorted(set(listing.names)))
    if present is not None and names == present.value:
        return state
    return replace(state, without_expiry=Dated(names, listing.at))


def _with_version(state: ObjectState, name: str, version: Version) -> ObjectState:
    return replace(state, versions={**state.versions, name: version})


def _with_occurrence(occurrences: Iterable[Occurrence], occurrence: Occurrence) -> tuple[Occurrence, ...]:
    by_key = {one.key: one for one in occurrences}
    present = by_key.get(occurrence.key)
    by_key[occurrence.key] = occurrence if present is None else present.merge(occurrence)
    # The latest are kept: a key that falls out stays out, so the order of arrival does not matter.
    return tuple([by_key[key] for key in sorted(by_key)[-_MOST_EXPIRY_OCCURRENCES:]])


def _forget(state: ObjectState) -> ObjectState:
    excess = len(state.versions) - _MOST_VERSIONS
    if excess <= 0:
        return state
    oldest = sorted(state.versions, key=lambda name: rank(state, name))[:excess]
    until = max(rank(state, name)[0] for name in oldest)
    kept = {name: version for name, version in state.versions.items() if name not in set(oldest)}
    return replace(state, versions=kept, forgotten_until=_latest(state.forgotten_until, until))


def rank(state: ObjectState, name: str) -> tuple[datetime, bool, datetime, str]:
    """Where a version stands among the others: by its creation, and in one second of the vault's the current one last.

    A version whose creation was not seen is as old as the first thing that is known of it; and where versions
    have been forgotten, it is taken for one of those.
    """
    version = state.versions[name]
    created_at = version.created_at
    if created_at is None:
        created_at = min(version.first_seen_at, state.forgotten_until or version.first_seen_at)
    current = version.listing is not None and version.listing.current
    return (created_at, current, version.creation.at if version.creation is not None else created_at, name)


def _days_before(moment: datetime, days: int) -> datetime:
    seconds = max(0.0, moment.timestamp() - days * _SECONDS_PER_DAY)
    return datetime.fromtimestamp(seconds, UTC)


def _latest(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
