"""What happens in the world in one schedule, whatever goes wrong beside it.

Days of EC2 instances and of AuthRocket users, events of both, vaults, and people who edit and operate. A story ends in
one state only, however late or often its parts arrive: that is what makes two runs of it comparable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

BEGINS = datetime(2026, 3, 1, tzinfo=UTC)
ACCOUNTS = ("111122223333", "444455556666")
REGIONS = ("eu-west-2", "us-east-1")
VAULTS = ("acorn-vault", "oak-vault")
TENANT = "acorn"
REALM, REALM_ID = "customers", "rl_0vSimulated000000000001"
FLOWS = ("tickets", "ec2", "users")
_SUBSCRIPTION = "00000000-1111-4222-8333-00000000c0de"

Event = dict[str, Any]


@dataclass(frozen=True)
class Thing:
    """An instance or a user of the far side. `gone`: still listed, as terminated or inactive. `owns` are the
    organisations that a user may administer."""

    name: str
    number: str = ""
    note: str = ""
    kind: str = ""
    gone: bool = False
    owns: tuple[str, ...] = ()


# By part (account:region, or the realm) the things by id.
Day = Mapping[str, Mapping[str, Thing]]


@dataclass(frozen=True)
class Edit:
    """What a person does with one record from `at` on: fields to set, then perhaps to release again."""

    at: datetime
    feature: str
    part: str
    thing: str
    fields: Mapping[str, Any]
    releases: bool


@dataclass(frozen=True)
class SweptObject:
    """A secret, key or certificate that a vault lists: the same all through the story, until it is deleted."""

    object_type: str
    name: str
    version: str
    created_at: datetime
    expires_at: datetime | None
    enabled: bool
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class UserEvent:
    """An event of AuthRocket, and when it is delivered, perhaps twice."""

    id: str
    type: str
    user: str
    at: datetime
    delivered_at: Sequence[datetime]


@dataclass(frozen=True)
class Rotation:
    """A secret that is changed: when the vault has the new one, and from when on the other side knows it alone."""

    stored_at: datetime
    revoked_at: datetime


@dataclass(frozen=True)
class Reform:
    """An operator's change of a settings document: members that are set, in the middle of whatever runs."""

    at: datetime
    kind: str
    name: str
    members: Mapping[str, Any]


@dataclass(frozen=True)
class Rivalry:
    """Two people who count in the same field of one record, each on what they have just read."""

    at: datetime
    feature: str
    record: str


@dataclass(frozen=True)
class Chapters:
    """What else happens in a story.

    `grants` are the admin permissions (user, organisation) that are new in it, and when. `dead_letters` are blobs that
    lie there whatever happens, `gives_up_after` is the number of tries after which Event Grid makes one of a delivery,
    0 for never. `late_vault_at` is when the second vault becomes an allowed one. Users change so long after midnight:
    perhaps while they are imported. `returned` are things (part, id) that were gone in the morning's import, and when
    they were there again on the same day.
    """

    user_events: Sequence[UserEvent] = ()
    users_change_after: timedelta = timedelta(0)
    organisations: bool = False
    grants: Mapping[tuple[str, str], datetime] = field(default_factory=dict[tuple[str, str], datetime])
    dead_letters: Sequence[tuple[datetime, str, bytes]] = ()
    gives_up_after: int = 0
    keeps_dead_letters: bool = False
    late_vault_at: datetime | None = None
    confirms_brake: bool = False
    rotations: Mapping[str, Rotation] = field(default_factory=dict[str, Rotation])
    reforms: Sequence[Reform] = ()
    rivalries: Sequence[Rivalry] = ()
    busy_people: Sequence[datetime] = ()
    returned: Mapping[tuple[str, str], datetime] = field(default_factory=dict[tuple[str, str], datetime])


@dataclass(frozen=True)
class Story:
    """`days` holds the far sides' state from each midnight on; `calm_from` is when nothing goes wrong any more."""

    flows: Sequence[str]
    days: Sequence[Day]
    events: Sequence[Event]
    deliveries: Sequence[tuple[datetime, Sequence[Event], str]]
    edits: Sequence[Edit]
    by_hand: Mapping[str, str]
    previews: Sequence[datetime]
    policies: Mapping[str, Any]
    calm_from: datetime
    ends_at: datetime
    parts: Sequence[str] = field(default=())
    people_on_tickets: bool = False
    swept: Mapping[str, Sequence[SweptObject]] = field(default_factory=dict[str, "Sequence[SweptObject]"])
    also: Chapters = field(default_factory=Chapters)

    def there_at(self, part: str, moment: datetime) -> Mapping[str, Thing]:
        """What a part has at a time."""
        index = (moment - self._begins(part)) // timedelta(days=1)
        there = self.days[min(max(index, 0), len(self.days) - 1)].get(part, {})
        back = [thing for (place, thing), at in self.also.returned.items() if place == part and at <= moment]
        return {**{thing: self._as_it_was(part, thing) for thing in back}, **there} if back else there

    def in_the_end(self, part: str) -> Mapping[str, Thing]:
        """What a part has when all is over."""
        return self.there_at(part, self.ends_at)

    def present_between(self, part: str, thing: str, begin: datetime, end: datetime) -> bool:
        """Whether the thing was there and alive on every day from `begin` to `end`."""
        if begin >= self.also.returned.get((part, thing), self.ends_at):
            return True
        first, last = ((moment - self._begins(part)) // timedelta(days=1) for moment in (begin, end))
        days = self.days[max(first, 0) : max(last, 0) + 1] or self.days[-1:]
        found = [day.get(part, {}).get(thing) for day in days]
        return all(one is not None and not one.gone for one in found)

    def turning_points(self) -> list[datetime]:
        """When settings change, or users while they are imported: attempts before and after do different things."""
        shift = self.also.users_change_after
        days = [BEGINS + number * timedelta(days=1) + shift for number in range(1, len(self.days))] if shift else []
        return [*(reform.at for reform in self.also.reforms), *days, *self.also.returned.values()]

    def _as_it_was(self, part: str, thing: str) -> Thing:
        return next(day[part][thing] for day in reversed(self.days) if thing in day[part])

    def _begins(self, part: str) -> datetime:
        return BEGINS + self.also.users_change_after if part == REALM_ID else BEGINS


def resource_id(vault: str) -> str:
    return f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rg-acorn/providers/Microsoft.KeyVault/vaults/{vault}"
