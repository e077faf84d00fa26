"""What happens in the world in one schedule, whatever goes wrong beside it.

Days of EC2 instances and of AuthRocket users, events of both, vaults, and people who edit and operate. A scenario ends
in one state only, however late or often its parts arrive: that is what makes two runs of it comparable.
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
class SimulatedRecord:
    """An instance or a user of the other side. `gone`: still listed, as terminated or inactive. `owns` are the
    organisations that a user may administer."""

    name: str
    number: str = ""
    note: str = ""
    kind: str = ""
    gone: bool = False
    owns: tuple[str, ...] = ()


# By part (account:region, or the realm) the records by id.
Day = Mapping[str, Mapping[str, SimulatedRecord]]


@dataclass(frozen=True)
class Edit:
    """What a person does with one record from `at` on: fields to set, then perhaps to release again."""

    at: datetime
    feature: str
    part: str
    record: str
    fields: Mapping[str, Any]
    releases: bool


@dataclass(frozen=True)
class SweptObject:
    """A secret, key or certificate that a vault lists: the same all through the scenario, until it is deleted."""

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
class SettingsChange:
    """An operator's change of a settings document: members that are set, in the middle of whatever runs."""

    at: datetime
    kind: str
    name: str
    members: Mapping[str, Any]


@dataclass(frozen=True)
class ConcurrentEdit:
    """Two people who count in the same field of one record, each on what they have just read."""

    at: datetime
    feature: str
    record: str


@dataclass(frozen=True)
class ScenarioSteps:
    """What else happens in a scenario.

    `grants` are the admin permissions (user, organisation) that are new in it, and when. `dead_letters` are blobs that
    lie there whatever happens, `gives_up_after` is the number of tries after which Event Grid makes one of a delivery,
    0 for never. `late_vault_at` is when the second vault becomes an allowed one. Users change so long after midnight:
    perhaps while they are imported. `returned` are records (part, id) that were gone in the morning's import, and when
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
    settings_changes: Sequence[SettingsChange] = ()
    concurrent_edits: Sequence[ConcurrentEdit] = ()
    busy_people: Sequence[datetime] = ()
    returned: Mapping[tuple[str, str], datetime] = field(default_factory=dict[tuple[str, str], datetime])


@dataclass(frozen=True)
class Scenario:
    """`days` holds the other sides' state from each midnight on; `calm_from` is when nothing goes wrong any more."""

    flows: Sequence[str]
    days: Sequence[Day]
    events: Sequence[Event]
    deliveries: Sequence[tuple[datetime, Sequence[Event], str]]
    edits: Sequence[Edit]
    manual_assets: Mapping[str, str]
    previews: Sequence[datetime]
    policies: Mapping[str, Any]
    calm_from: datetime
    ends_at: datetime
    parts: Sequence[str] = field(default=())
    people_on_tickets: bool = False
    swept: Mapping[str, Sequence[SweptObject]] = field(default_factory=dict[str, "Sequence[SweptObject]"])
    steps: ScenarioSteps = field(default_factory=ScenarioSteps)

    def records_at(self, part: str, moment: datetime) -> Mapping[str, SimulatedRecord]:
        """What a part has at a time."""
        index = (moment - self._begins(part)) // timedelta(days=1)
        there = self.days[min(max(index, 0), len(self.days) - 1)].get(part, {})
        back = [record for (place, record), at in self.steps.returned.items() if place == part and at <= moment]
        return {**{record: self._as_it_was(part, record) for record in back}, **there} if back else there

    def final_records(self, part: str) -> Mapping[str, SimulatedRecord]:
        """What a part has when all is over."""
        return self.records_at(part, self.ends_at)

    def present_between(self, part: str, record: str, begin: datetime, end: datetime) -> bool:
        """Whether the record was there and alive on every day from `begin` to `end`."""
        if begin >= self.steps.returned.get((part, record), self.ends_at):
            return True
        first, last = ((moment - self._begins(part)) // timedelta(days=1) for moment in (begin, end))
        days = self.days[max(first, 0) : max(last, 0) + 1] or self.days[-1:]
        found = [day.get(part, {}).get(record) for day in days]
        return all(one is not None and not one.gone for one in found)

    def turning_points(self) -> list[datetime]:
        """When settings change, or users while they are imported: attempts before and after do different things."""
        shift = self.steps.users_change_after
        days = [BEGINS + number * timedelta(days=1) + shift for number in range(1, len(self.days))] if shift else []
        return [
            *(change.at for change in self.steps.settings_changes),
            *days,
            *self.steps.returned.values(),
        ]

    def _as_it_was(self, part: str, record: str) -> SimulatedRecord:
        return next(day[part][record] for day in reversed(self.days) if record in day[part])

    def _begins(self, part: str) -> datetime:
        return BEGINS + self.steps.users_change_after if part == REALM_ID else BEGINS


def resource_id(vault: str) -> str:
    return f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rg-acorn/providers/Microsoft.KeyVault/vaults/{vault}"
