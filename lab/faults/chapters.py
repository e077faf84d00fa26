"""What a story has besides its days: events of users, grants, deletions, dead letters, rotations, reforms, rivals.

Each is made so that the story still ends in one state only.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from lab.faults.story import (
    BEGINS,
    REALM,
    REALM_ID,
    TENANT,
    VAULTS,
    Chapters,
    Day,
    Event,
    Reform,
    Rivalry,
    Rotation,
    Story,
    SweptObject,
    Thing,
    UserEvent,
    resource_id,
)

ORGANISATIONS = {"org_a": "Acorn", "org_b": "Beech"}
_DAY = timedelta(days=1)
_SECRETS_OF = {"tickets": ("webhook",), "ec2": ("aws",), "users": ("authrocket", "authrocket-webhook")}
# When the daily imports begin, in hours after midnight: what happens meanwhile is asked of them.
_IMPORT_AT = {"ec2": 2.0, "users": 2.1}


def make_chapters(chances: random.Random, story: Story) -> Story:
    """The story with what else happens in it."""
    also = Chapters(
        confirms_brake=bool(story.policies["braking"]) and chances.random() < 0.7,
        rotations=_rotations(chances, story) if chances.random() < 0.4 else {},
        reforms=_reforms(chances, story) if chances.random() < 0.4 else (),
    )
    if "users" in story.flows:
        story, also = _with_users(chances, story, also)
    if "tickets" in story.flows:
        story, also = _with_tickets(chances, story, also)
    if chances.random() < 0.5:
        also = replace(also, rivalries=_rivalries(chances, story, also))
    if also.confirms_brake and chances.random() < 0.7:
        also = replace(also, returned=_returned(chances, story))
    if story.previews and chances.random() < 0.5:
        # Read before midnight and applied after it, when other things are wanted than it showed.
        first, *rest = story.previews
        story = replace(story, previews=[first.replace(hour=23, minute=52), *rest])
    return replace(story, also=also)


def staying(story: Story, *, unedited: bool = True) -> list[tuple[str, str]]:
    """Parts and ids of what is there and alive on every day, and perhaps edited by nobody."""
    edited = {(edit.part, edit.thing) for edit in story.edits} if unedited else set[tuple[str, str]]()
    return [
        (part, thing)
        for part, things in sorted(story.days[0].items())
        for thing in sorted(things)
        if (part, thing) not in edited and all(thing in day[part] and not day[part][thing].gone for day in story.days)
    ]


def moment_in(chances: random.Random, day: int, flow: str) -> datetime:
    """Some time of a day, as often as not while its import runs."""
    if chances.random() < 0.5:
        # An undisturbed part is read and written within a fifth of a second; a disturbed one may take an hour.
        seconds = chances.choice((chances.uniform(0, 0.2), chances.uniform(0.05, 0.2), 60))
        return BEGINS + day * _DAY + timedelta(hours=_IMPORT_AT[flow], seconds=seconds)
    return BEGINS + day * _DAY + timedelta(hours=chances.uniform(3, 23))


def _returned(chances: random.Random, story: Story) -> dict[tuple[str, str], datetime]:
    """In each part one thing that the brake held, and that is back before somebody confirms it."""
    found: dict[tuple[str, str], datetime] = {}
    for part in story.parts:
        for number, (before, after) in enumerate(zip(story.days, story.days[1:], strict=False), 1):
            gone = sorted({*before[part]} - {*after[part]})
            if gone:
                found[part, chances.choice(gone)] = BEGINS + number * _DAY + timedelta(hours=5)
    return found


# Users


def _with_users(chances: random.Random, story: Story, also: Chapters) -> tuple[Story, Chapters]:
    if chances.random() < 0.6:
        days, grants = _granted(chances, story)
        story = replace(story, days=days)
        also = replace(also, organisations=True, grants=grants)
    # What a brake holds depends on how many were deactivated one by one before it; once it is confirmed, all are.
    if chances.random() < 0.8 and (also.confirms_brake or not story.policies["braking"]):
        reading = timedelta(hours=_IMPORT_AT["users"], seconds=chances.uniform(0.05, 0.12))
        shift = reading if chances.random() < 0.5 else timedelta(0)
        also = replace(also, users_change_after=shift, user_events=_user_events(chances, story, shift))
    return story, also


def _granted(chances: random.Random, story: Story) -> tuple[Sequence[Day], dict[tuple[str, str], datetime]]:
    """Permissions that come on some day and stay: one that goes again might never be seen."""
    users = [thing for part, thing in staying(story) if part == REALM_ID]
    days = [{part: dict(things) for part, things in day.items()} for day in story.days]
    grants: dict[tuple[str, str], datetime] = {}
    for user in chances.sample(users, min(len(users), chances.randint(1, 5))):
        org = chances.choice(sorted(ORGANISATIONS))
        first = chances.randint(0, len(days) - 1)
        for day in days[first:]:
            day[REALM_ID][user] = replace(day[REALM_ID][user], owns=(org,))
        if first:
            grants[user, org] = BEGINS + first * _DAY
    return days, grants


def _user_events(chances: random.Random, story: Story, shift: timedelta) -> list[UserEvent]:
    events: list[UserEvent] = []
    for number in range(1, len(story.days)):
        before, after = story.days[number - 1][REALM_ID], story.days[number][REALM_ID]
        for user in sorted({*before, *after}):
            kind = _change_of(before.get(user), after.get(user))
            if kind is None or chances.random() < 0.2:
                continue
            at = BEGINS + number * _DAY + shift
            # Late by two days at most, as AuthRocket tries; some twice, some while the import runs.
            times = [max(at, _delivered(chances, number, story.calm_from)) for _ in range(chances.choice((1, 1, 2)))]
            events.append(UserEvent(f"ev_{number}{user}", kind, user, at, sorted(times)))
    return events


def _change_of(before: Thing | None, after: Thing | None) -> str | None:
    if before == after:
        return None
    if before is None:
        return "user.created"
    if after is None:
        return "user.deleted"
    return "membership.updated" if before.owns != after.owns else "user.updated"


def _delivered(chances: random.Random, number: int, calm_from: datetime) -> datetime:
    at = moment_in(chances, number, "users") if chances.random() < 0.8 else BEGINS + number * _DAY
    return min(at + _DAY * chances.choice((0, 0, 0, 1)), calm_from + timedelta(hours=6))


# Tickets


def _with_tickets(chances: random.Random, story: Story, also: Chapters) -> tuple[Story, Chapters]:
    if chances.random() < 0.35:
        story = _crowded(chances, story)
    if chances.random() < 0.5:
        also = replace(
            also,
            dead_letters=make_dead_letters(chances, story),
            gives_up_after=chances.choice((0, 2, 3)),
            keeps_dead_letters=chances.random() < 0.3,
        )
    if story.swept and chances.random() < 0.6:
        swept = {vault: _deleted(chances, story, vault, also.dead_letters) for vault in story.swept}
        story = replace(story, swept=swept)
    if "webhook" in also.rotations:
        story = replace(story, deliveries=[*story.deliveries, *_around(story, also.rotations["webhook"])])
    if chances.random() < 0.4:
        also = replace(also, late_vault_at=BEGINS + chances.random() * (story.calm_from - BEGINS))
    if not story.people_on_tickets and chances.random() < 0.6:
        span = story.calm_from - BEGINS
        busy = tuple(sorted(BEGINS + chances.random() * span for _ in range(chances.randint(2, 6))))
        also = replace(also, busy_people=busy)
    return story, also


def _around(story: Story, rotation: Rotation) -> Sequence[tuple[datetime, Sequence[Event], str]]:
    """Deliveries just before and just after a password is changed, so that the old one is held."""
    moments = (rotation.stored_at - timedelta(seconds=30), rotation.revoked_at + timedelta(seconds=5))
    return [
        (at, [event], "webhook")
        for at in moments
        for event in story.events
        if datetime.fromisoformat(str(event["eventTime"])) <= at
    ][:12]


def _crowded(chances: random.Random, story: Story) -> Story:
    """Everything is said of one object, and by many deliveries at once."""
    vault, kind = chances.choice(VAULTS), chances.choice(("Secret", "Key", "Certificate"))
    events: dict[str, Event] = {}
    for event in story.events:
        said = str(event["eventType"]).removeprefix("Microsoft.KeyVault.")
        for one in ("Secret", "Key", "Certificate"):
            said = said.replace(one, kind)
        data = {**event["data"], "ObjectName": "mail"}
        told = {"topic": resource_id(vault), "eventType": f"Microsoft.KeyVault.{said}", "data": data}
        events[str(event["id"])] = {**event, **told}
    moments = [BEGINS + chances.random() * (story.calm_from - BEGINS) for _ in range(2)]
    deliveries: list[tuple[datetime, Sequence[Event], str]] = []
    for _, batch, door in story.deliveries:
        said_at = max(datetime.fromisoformat(str(event["eventTime"])) for event in batch)
        at = max(chances.choice(moments), said_at)
        deliveries.append((at, [events[str(event["id"])] for event in batch], door))
    return replace(story, events=list(events.values()), deliveries=deliveries)


def _deleted(
    chances: random.Random, story: Story, vault: str, letters: Sequence[tuple[datetime, str, bytes]]
) -> list[SweptObject]:
    """Objects that are deleted between two sweeps, each after the last event that speaks of it."""
    updated: dict[tuple[str, str], datetime] = {}
    lost = [event for _, _, content in letters if content.startswith(b"[") for event in json.loads(content)]
    for event in [*story.events, *lost]:
        kind = str(event["eventType"]).removeprefix("Microsoft.KeyVault.")
        object_type = next((one for one in ("Secret", "Key", "Certificate") if kind.startswith(one)), None)
        if event["topic"] == resource_id(vault) and object_type is not None:
            key = (object_type.lower(), str(event["data"]["ObjectName"]).casefold())
            updated[key] = max(updated.get(key, BEGINS), datetime.fromisoformat(str(event["eventTime"])))
    found: list[SweptObject] = []
    for one in story.swept[vault]:
        earliest = updated.get((one.object_type, one.name), BEGINS) + timedelta(minutes=5)
        left = max(story.calm_from - earliest, timedelta(0))
        found.append(replace(one, deleted_at=earliest + chances.random() * left) if chances.random() < 0.3 else one)
    return found


def make_dead_letters(chances: random.Random, story: Story) -> list[tuple[datetime, str, bytes]]:
    """Blobs of events that no other delivery brings, now and then one that is no JSON."""
    letters: list[tuple[datetime, str, bytes]] = []
    for number in range(chances.randint(1, 3)):
        at = BEGINS + chances.random() * (story.calm_from - BEGINS)
        events = [_lost_event(chances, f"{number}-{one}", at) for one in range(chances.randint(1, 3))]
        content = b"\xff no JSON" if chances.random() < 0.2 else json.dumps(events).encode()
        letters.append((at, f"kv/{number}.json", content))
    return letters


def _lost_event(chances: random.Random, label: str, at: datetime) -> Event:
    data: dict[str, Any] = {"ObjectName": chances.choice(("mail", "disk")), "Version": chances.choice(("aa", "bb"))}
    return {
        "id": f"lost-{label}",
        "topic": resource_id(chances.choice(VAULTS)),
        "subject": "of no meaning",
        "eventType": f"Microsoft.KeyVault.Secret{chances.choice(('NearExpiry', 'NewVersionCreated'))}",
        "data": {**data, "EXP": int((BEGINS + timedelta(days=31)).timestamp())},
        "dataVersion": "1",
        "metadataVersion": "1",
        "eventTime": (at - timedelta(hours=1)).isoformat(),
        "deadLetterReason": "MaxDeliveryAttemptsExceeded",
        "deliveryAttempts": 3,
    }


# Operators and people


def _rotations(chances: random.Random, story: Story) -> Mapping[str, Rotation]:
    rotations: dict[str, Rotation] = {}
    for flow in story.flows:
        for name in _SECRETS_OF[flow]:
            # A key of an import is changed while it runs, as often as not; a webhook's password at any time.
            day = chances.randint(0, len(story.days) - 2)
            at = moment_in(chances, day, flow if flow in _IMPORT_AT else "ec2")
            rotations[name] = Rotation(at, at + timedelta(seconds=chances.choice((0, 5, 600, 7200))))
    return rotations


def _reforms(chances: random.Random, story: Story) -> list[Reform]:
    """Changes of settings while imports run. What they do to a record does not depend on when they came."""
    reforms: list[Reform] = []
    for flow, kind, name in (("ec2", "aws-tenants", TENANT), ("users", "authrocket-realms", REALM)):
        if flow in story.flows:
            members = chances.choice(({"default_site": "york"}, {"title": "Another title"}, {"default_site": "york"}))
            reforms.append(Reform(moment_in(chances, chances.randint(0, 1), flow), kind, name, members))
    return reforms


def _rivalries(chances: random.Random, story: Story, also: Chapters) -> list[Rivalry]:
    granted = {user for user, _ in also.grants}
    found = [(part, thing) for part, thing in staying(story) if thing not in granted]
    rivalries: list[Rivalry] = []
    for part, thing in chances.sample(found, min(len(found), 2)):
        users = part == REALM_ID
        record = f"{'authrocket' if users else 'aws'}:{part}:{thing}"
        for day in range(chances.randint(1, len(story.days) - 1)):
            # After the first import: there is nothing to edit before it.
            at = max(moment_in(chances, day, "users" if users else "ec2"), BEGINS + timedelta(hours=4))
            rivalries.append(Rivalry(at, "users" if users else "assets", record))
    return rivalries


__all__ = ["ORGANISATIONS", "make_chapters", "make_dead_letters", "moment_in", "staying"]
