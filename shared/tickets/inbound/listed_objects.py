"""One object as a sweep finds it in a vault's lists: whether its versions have to be read, and what is observed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.moments import LONG_AGO
from shared.tickets.documents import SweepSettings
from shared.tickets.domain.decide import ObjectRecord
from shared.tickets.domain.listings import ListedAsManaged, ObjectListed, ObjectSeen, ThresholdCrossed, VersionListed
from shared.tickets.domain.model import ObjectType
from shared.tickets.domain.observations import Observation


@dataclass(frozen=True)
class ObjectProperties:
    """The properties of an object's current version, or of one version. `version` is empty where a list leaves it out.

    `managed` marks the key and the secret that belong to a certificate.
    """

    name: str
    enabled: bool
    created_at: datetime
    updated_at: datetime
    version: str = ""
    not_before: datetime | None = None
    expires_at: datetime | None = None
    managed: bool = False


@dataclass(frozen=True)
class ListedObject:
    """An object of a list, and what was known of it before the list was read; None for nothing."""

    object_type: ObjectType
    listed: ObjectProperties
    record: ObjectRecord | None
    settings: SweepSettings
    now: datetime

    @property
    def days(self) -> int | None:
        """The threshold that the current version has crossed."""
        return threshold(self.object_type, self.listed, self.settings, self.now)

    @property
    def needs_versions(self) -> bool:
        """Whether a near date or an event makes the versions matter, or the current one may hide one that is in use."""
        if self.listed.managed:
            return False
        known = () if self.record is None else self.record.state.versions.values()
        told = any(one.expiry_occurrences or one.listing is None for one in known)
        return told or not self._in_use(self.listed) or self.days is not None

    def observations(self, versions: Sequence[ObjectProperties]) -> tuple[Observation, ...]:
        """What is observed; `versions` are all of the object when they were needed."""
        return tuple(self._observations(versions))

    def _observations(self, versions: Sequence[ObjectProperties]) -> Iterator[Observation]:
        state = None if self.record is None else self.record.state
        if state is not None and state.absences and state.absences[-1][1] is None:
            yield ObjectSeen(after_what_is_known(self.now, state.gone_at))
        before = None if state is None else state.listed
        if before != (shown := self._shown(before)):
            yield shown
        if self.listed.managed:
            # Events do not say so: what they tell later has to find it.
            if state is None or not state.managed:
                yield ListedAsManaged()
            return
        if not versions:
            return
        known = {} if state is None else state.versions
        newest_first = sorted(versions, key=self._place, reverse=True)
        current = newest_first[0]
        reminded = list(self._reminded(newest_first))
        for one in newest_first:
            if one is current or one.version in known or one in reminded:
                yield self._listed(one, current=one is current)
        for version in sorted(known.keys() - {one.version for one in versions}):
            yield VersionListed(version, self.now)
        for one in reminded:
            days = threshold(self.object_type, one, self.settings, self.now)
            if days is not None and one.expires_at is not None:
                yield ThresholdCrossed(one.version, days, one.expires_at)

    def _shown(self, before: ObjectListed | None) -> ObjectListed:
        # What a clock that runs ahead says is cut to the first sweep's moment.
        created_at, changed_at = self.listed.created_at, self.listed.updated_at
        if created_at > self.now:
            created_at = self.now if before is None else before.created_at
        if changed_at > self.now:
            changed_at = self.now if before is None else before.changed_at
        dates = (self.listed.not_before, self.listed.expires_at)
        return ObjectListed(created_at, changed_at, *dates, self.listed.enabled)

    def _place(self, one: ObjectProperties) -> tuple[datetime, int, datetime, str]:
        """By creation; of one second that which the list of objects shows, and then what events told last."""
        alike = sum(
            getattr(one, member) == getattr(self.listed, member) for member in ("expires_at", "enabled", "updated_at")
        )
        known = None if self.record is None else self.record.state.versions.get(one.version)
        creation = known.creation if known is not None else None
        return (one.created_at, alike, creation.at if creation is not None else LONG_AGO, one.version)

    def _reminded(self, newest_first: Sequence[ObjectProperties]) -> Iterator[ObjectProperties]:
        """The current version, and where that is not in use or has expired, those that are used in its place."""
        current = newest_first[0]
        begun = [one for one in newest_first if self._in_use(one)]
        lasting = [one for one in begun if one.expires_at is None or one.expires_at > self.now]
        first = [current] if current.enabled or self.settings.include_disabled else []
        yield from {one.version: one for one in (*first, *begun[:1], *lasting[:1])}.values()

    def _in_use(self, one: ObjectProperties) -> bool:
        return one.enabled and (one.not_before is None or one.not_before <= self.now)

    def _listed(self, one: ObjectProperties, *, current: bool) -> VersionListed:
        # A vault whose clock runs ahead must not outweigh what happens until then.
        created_at, changed_at = min(one.created_at, self.now), min(one.updated_at, self.now)
        dates = (one.not_before, one.expires_at)
        return VersionListed(one.version, self.now, created_at, changed_at, *dates, one.enabled, current)


def after_what_is_known(now: datetime, known: datetime | None) -> datetime:
    """The moment of a reading: after what was known before it, though another's clock may run ahead."""
    return now if known is None else max(now, known + timedelta(microseconds=1))


def threshold(object_type: ObjectType, listed: ObjectProperties, settings: SweepSettings, now: datetime) -> int | None:
    """The smallest threshold that the object has crossed, in days before its expiry; 0 when it has expired."""
    if listed.expires_at is None:
        return None
    left = listed.expires_at - now
    if left <= timedelta(0):
        return 0
    lifetime = listed.expires_at - (listed.not_before or listed.created_at)
    days = list(settings.thresholds_days)
    short = bool(days) and timedelta(0) < lifetime < timedelta(days=2 * max(days))
    if short and object_type is ObjectType.CERTIFICATE:
        # 60 days ahead says nothing of a certificate that lives for 90.
        days = [max(1, -int(-lifetime * percent / 100 // timedelta(days=1))) for percent in settings.thresholds_percent]
    crossed = [one for one in days if left <= timedelta(days=one)]
    return min(crossed) if crossed else None
