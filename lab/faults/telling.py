"""Makes the story of a seed: the same for the same seed."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from lab.faults.chapters import make_chapters, moment_in
from lab.faults.story import (
    ACCOUNTS,
    BEGINS,
    FLOWS,
    REALM_ID,
    REGIONS,
    VAULTS,
    Day,
    Edit,
    Event,
    Story,
    SweptObject,
    Thing,
    resource_id,
)

_EVENTS = (
    "SecretNewVersionCreated",
    "SecretNearExpiry",
    "SecretExpired",
    "KeyNewVersionCreated",
    "KeyNearExpiry",
    "CertificateExpired",
    "VaultAccessPolicyChanged",
)


def make_story(chances: random.Random, flows: Sequence[str] = ()) -> Story:
    """A story of the given flows, or of some that chance chooses."""
    if not flows:
        flows = chances.choice((("tickets",), ("ec2",), ("ec2",), ("users",), ("tickets", "ec2"), FLOWS))
    count = chances.randint(2, 3)
    parts: list[str] = []
    if "ec2" in flows:
        places = [f"{account}:{region}" for account in ACCOUNTS for region in REGIONS]
        parts += sorted(chances.sample(places, chances.randint(1, 3)))
    if "users" in flows:
        parts.append(REALM_ID)
    policies: dict[str, Any] = {
        "grace_days": chances.choice((0, 0, 1)),
        "matching": chances.random() < 0.5,
        "braking": chances.random() < 0.2,
        "types_by_field": chances.random() < 0.3,
        "new_fields": chances.random() < 0.3,
        "all_regions": chances.random() < 0.2,
    }
    days = _days(chances, parts, count, braking=bool(policies["braking"]))
    calm_from = BEGINS + timedelta(days=count)
    events = _events(chances, count) if "tickets" in flows else []
    story = Story(
        flows=flows,
        days=days,
        events=events,
        deliveries=_deliveries(chances, events, calm_from),
        edits=_edits(chances, days, calm_from),
        by_hand=_by_hand(chances, parts, days) if policies["matching"] else {},
        previews=_previews(chances, count) if {"ec2", "users"} & set(flows) else (),
        policies=policies,
        calm_from=calm_from,
        # Long enough for housekeeping to give up on whatever was left lying, and for two imports after that.
        ends_at=calm_from + timedelta(days=3 + policies["grace_days"]),
        parts=tuple(parts),
        people_on_tickets="tickets" in flows and chances.random() < 0.5,
        swept=swept_objects(chances) if "tickets" in flows and chances.random() < 0.6 else {},
    )
    return make_chapters(chances, story)


def _days(chances: random.Random, parts: Sequence[str], count: int, *, braking: bool) -> list[Day]:
    now: dict[str, dict[str, Thing]] = {}
    for number, part in enumerate(parts):
        now[part] = {
            _id(part, number, place): _thing(chances, f"{number}-{place}") for place in range(chances.randint(2, 8))
        }
    days: list[Day] = [{part: dict(things) for part, things in now.items()}]
    # Gone all at once, on one day, so that the brake sees the same in whichever import it looks.
    brake_day = chances.randint(1, count) if braking else 0
    for day in range(1, count + 1):
        for number, part in enumerate(parts):
            things = now[part]
            for thing_id in list(things):
                if chances.random() < 0.25:
                    things[thing_id] = replace(things[thing_id], name=f"renamed-{day}-{chances.randint(0, 9)}")
                if chances.random() < 0.15:
                    note = chances.choice(("", "moved", "first floor"))
                    things[thing_id] = replace(things[thing_id], note=note)
                if not braking and chances.random() < 0.12:
                    things[thing_id] = replace(things[thing_id], gone=not things[thing_id].gone)
                elif not braking and chances.random() < 0.1:
                    del things[thing_id]
            if day == brake_day:
                for thing_id in sorted(things)[: max(2, (len(things) * 2 + 2) // 3)]:
                    del things[thing_id]
            # In a story of the brake nothing joins: the share that is gone must be the same in every import.
            for _ in range(0 if braking else chances.randint(0, 2)):
                place = chances.randint(0, 12)
                things.setdefault(_id(part, number, place), _thing(chances, f"{number}-{place}"))
        days.append({part: dict(things) for part, things in now.items()})
    return days


def _id(part: str, number: int, place: int) -> str:
    return f"usr_{number}{place:02d}" if part == REALM_ID else f"i-{number:03d}{place:05d}"


def _thing(chances: random.Random, label: str) -> Thing:
    return Thing(
        name=f"web-{label}", number=f"SERV-{label}", note=chances.choice(("", "rack")), kind=chances.choice("abc")
    )


def _by_hand(chances: random.Random, parts: Sequence[str], days: Sequence[Day]) -> dict[str, str]:
    """Assets that stood in the desk before the first import, by the number that one instance has too."""
    numbers = sorted(
        {thing.number for day in days for part in parts if part != REALM_ID for thing in day[part].values()}
    )
    return {f"hand-{place}": number for place, number in enumerate(chances.sample(numbers, min(2, len(numbers))))}


def _edits(chances: random.Random, days: Sequence[Day], calm_from: datetime) -> list[Edit]:
    edits: list[Edit] = []
    # Those that stay: of one that came and went while nothing could be read, the desk may rightly know nothing.
    everywhere = [
        (part, thing)
        for part, things in sorted(days[0].items())
        for thing in sorted(things)
        if all(thing in day[part] and not day[part][thing].gone for day in days)
    ]
    for part, thing in chances.sample(everywhere, min(len(everywhere), chances.randint(0, 4))):
        feature = "users" if part == REALM_ID else "assets"
        fields = chances.choice(({"name": f"Jim's {thing}"}, {"active": False}, {"active": True}, {"name": "Kim's"}))
        at = BEGINS + chances.random() * (calm_from - BEGINS)
        if chances.random() < 0.5:
            at = moment_in(chances, chances.randint(1, len(days) - 1), "users" if part == REALM_ID else "ec2")
        edits.append(Edit(at, feature, part, thing, fields, releases=chances.random() < 0.4))
    return edits


def _previews(chances: random.Random, count: int) -> list[datetime]:
    return [
        BEGINS + timedelta(days=day, hours=chances.choice((1, 2, 9)), minutes=chances.randint(0, 5))
        for day in range(count)
        if chances.random() < 0.4
    ]


def _events(chances: random.Random, count: int) -> list[Event]:
    events: list[Event] = []
    for number in range(chances.randint(4, 14)):
        at = BEGINS + timedelta(hours=chances.choice((0, 1, 2, 24, 30, 24 * count - 6)), minutes=chances.randint(0, 1))
        expires = chances.choice((None, 31, 61))
        vault = chances.choice(VAULTS)
        events.append(
            {
                "id": f"event-{number}",
                "topic": resource_id(vault),
                "subject": "of no meaning",
                "eventType": f"Microsoft.KeyVault.{chances.choice(_EVENTS)}",
                "data": {
                    "ObjectName": chances.choice(("mail", "Mail", "disk")),
                    "Version": chances.choice(("aa", "bb", "cc")),
                    "EXP": None if expires is None else int((BEGINS + timedelta(days=expires)).timestamp()),
                },
                "dataVersion": "1",
                "metadataVersion": "1",
                "eventTime": at.isoformat(),
            }
        )
    return events


def swept_objects(chances: random.Random) -> dict[str, Sequence[SweptObject]]:
    """What the vaults hold: all that events tell of, and some that they are silent about.

    An expiry stays on the same side of every threshold all through the story: a sweep that could not read is then made
    good by the next one.
    """
    swept: dict[str, Sequence[SweptObject]] = {}
    for vault in VAULTS:
        found: list[SweptObject] = []
        for object_type in ("secret", "key", "certificate"):
            for name in ("mail", "disk", *(f"silent-{number}" for number in range(chances.randint(0, 2)))):
                expires = chances.choice((None, 26, 28, 200))
                expires_at = None if expires is None else BEGINS + timedelta(days=expires)
                created_at = BEGINS - timedelta(days=chances.randint(100, 300))
                version = chances.choice(("aa", "bb", "old"))
                found.append(SweptObject(object_type, name, version, created_at, expires_at, chances.random() < 0.8))
        swept[vault] = found
    return swept


def _deliveries(
    chances: random.Random, events: Sequence[Event], calm_from: datetime
) -> list[tuple[datetime, Sequence[Event], str]]:
    """The events in any order, some twice, in batches cut anywhere, through the webhook or the queue."""
    again = [event for event in events if chances.random() < 0.3]
    shuffled = [*events, *again]
    chances.shuffle(shuffled)
    deliveries: list[tuple[datetime, Sequence[Event], str]] = []
    while shuffled:
        size = chances.choice((1, 1, 2, 5))
        batch, shuffled = shuffled[:size], shuffled[size:]
        latest = max(datetime.fromisoformat(str(event["eventTime"])) for event in batch)
        at = latest + chances.random() * max(calm_from - latest, timedelta(minutes=5)) * chances.choice((0.0, 0.01, 1))
        if chances.random() < 0.25:
            deliveries += [(at, [event], "queue") for event in batch]
        else:
            deliveries.append((at, batch, "webhook"))
    return deliveries
