"""Makes the scenario of a seed: the same for the same seed."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from lab.faults.scenario import (
    ACCOUNTS,
    BEGINS,
    FLOWS,
    REALM_ID,
    REGIONS,
    VAULTS,
    Day,
    Edit,
    Event,
    Scenario,
    SimulatedRecord,
    SweptObject,
    resource_id,
)
from lab.faults.scenario_steps import add_steps, moment_in

_EVENTS = (
    "SecretNewVersionCreated",
    "SecretNearExpiry",
    "SecretExpired",
    "KeyNewVersionCreated",
    "KeyNearExpiry",
    "CertificateExpired",
    "VaultAccessPolicyChanged",
)


# As people write, and as machines do: two that look alike, and a sign that nobody sees.
_NOTES = ("moved", "first floor", "\u00e9tage", "e\u0301tage", "ra\u200bck", "a\x07b")


def make_scenario(rng: random.Random, flows: Sequence[str] = ()) -> Scenario:
    """A scenario of the given flows, or of some chosen at random."""
    if not flows:
        flows = rng.choice((("tickets",), ("ec2",), ("ec2",), ("users",), ("tickets", "ec2"), FLOWS))
    count = rng.randint(2, 3)
    parts: list[str] = []
    if "ec2" in flows:
        places = [f"{account}:{region}" for account in ACCOUNTS for region in REGIONS]
        parts += sorted(rng.sample(places, rng.randint(1, 3)))
    if "users" in flows:
        parts.append(REALM_ID)
    policies: dict[str, Any] = {
        "grace_days": rng.choice((0, 0, 1)),
        "matching": rng.random() < 0.5,
        "braking": rng.random() < 0.2,
        "types_by_field": rng.random() < 0.3,
        "new_fields": rng.random() < 0.3,
        "all_regions": rng.random() < 0.2,
    }
    days = _days(rng, parts, count, braking=bool(policies["braking"]))
    calm_from = BEGINS + timedelta(days=count)
    events = _events(rng, count) if "tickets" in flows else []
    scenario = Scenario(
        flows=flows,
        days=days,
        events=events,
        deliveries=_deliveries(rng, events, calm_from),
        edits=_edits(rng, days, calm_from),
        manual_assets=_manual_assets(rng, parts, days) if policies["matching"] else {},
        previews=_previews(rng, count) if {"ec2", "users"} & set(flows) else (),
        policies=policies,
        calm_from=calm_from,
        # Long enough for housekeeping to give up on whatever was left lying, and for two imports after that.
        ends_at=calm_from + timedelta(days=3 + policies["grace_days"]),
        parts=tuple(parts),
        people_on_tickets="tickets" in flows and rng.random() < 0.5,
        swept=swept_objects(rng) if "tickets" in flows and rng.random() < 0.6 else {},
    )
    return add_steps(rng, scenario)


def _days(rng: random.Random, parts: Sequence[str], count: int, *, braking: bool) -> list[Day]:
    now: dict[str, dict[str, SimulatedRecord]] = {}
    for number, part in enumerate(parts):
        now[part] = {_id(part, number, place): _record(rng, f"{number}-{place}") for place in range(rng.randint(2, 8))}
    days: list[Day] = [{part: dict(records) for part, records in now.items()}]
    # Gone all at once, on one day, so that the brake sees the same in whichever import it looks.
    brake_day = rng.randint(1, count) if braking else 0
    for day in range(1, count + 1):
        for number, part in enumerate(parts):
            records = now[part]
            for record_id in list(records):
                if rng.random() < 0.25:
                    records[record_id] = replace(records[record_id], name=f"renamed-{day}-{rng.randint(0, 9)}")
                if rng.random() < 0.15:
                    # Nor is anything emptied: how many lose a value depends on which parts could be read.
                    note = rng.choice(("moved", *_NOTES) if braking else ("", *_NOTES))
                    records[record_id] = replace(records[record_id], note=note)
                if not braking and rng.random() < 0.12:
                    records[record_id] = replace(records[record_id], gone=not records[record_id].gone)
                elif not braking and rng.random() < 0.1:
                    del records[record_id]
            if day == brake_day:
                for record_id in sorted(records)[: max(2, (len(records) * 2 + 2) // 3)]:
                    del records[record_id]
            # In a scenario of the brake nothing joins: the share that is gone must be the same in every import.
            for _ in range(0 if braking else rng.randint(0, 2)):
                place = rng.randint(0, 12)
                records.setdefault(_id(part, number, place), _record(rng, f"{number}-{place}"))
        days.append({part: dict(records) for part, records in now.items()})
    return days


def _id(part: str, number: int, place: int) -> str:
    return f"usr_{number}{place:02d}" if part == REALM_ID else f"i-{number:03d}{place:05d}"


def _record(rng: random.Random, label: str) -> SimulatedRecord:
    return SimulatedRecord(
        name=f"web-{label}", number=f"SERV-{label}", note=rng.choice(("", "rack")), kind=rng.choice("abc")
    )


def _manual_assets(rng: random.Random, parts: Sequence[str], days: Sequence[Day]) -> dict[str, str]:
    """Assets that stood in the desk before the first import, by the number that one instance has too."""
    numbers = sorted(
        {record.number for day in days for part in parts if part != REALM_ID for record in day[part].values()}
    )
    return {f"hand-{place}": number for place, number in enumerate(rng.sample(numbers, min(2, len(numbers))))}


def _edits(rng: random.Random, days: Sequence[Day], calm_from: datetime) -> list[Edit]:
    edits: list[Edit] = []
    # Those that stay: of one that came and went while nothing could be read, the desk may rightly know nothing.
    everywhere = [
        (part, record)
        for part, records in sorted(days[0].items())
        for record in sorted(records)
        if all(record in day[part] and not day[part][record].gone for day in days)
    ]
    for part, record in rng.sample(everywhere, min(len(everywhere), rng.randint(0, 4))):
        feature = "users" if part == REALM_ID else "assets"
        fields = rng.choice(({"name": f"Jim's {record}"}, {"active": False}, {"active": True}, {"name": "Kim's"}))
        at = BEGINS + rng.random() * (calm_from - BEGINS)
        if rng.random() < 0.5:
            at = moment_in(rng, rng.randint(1, len(days) - 1), "users" if part == REALM_ID else "ec2")
        edits.append(Edit(at, feature, part, record, fields, releases=rng.random() < 0.4))
    return edits


def _previews(rng: random.Random, count: int) -> list[datetime]:
    return [
        BEGINS + timedelta(days=day, hours=rng.choice((1, 2, 9)), minutes=rng.randint(0, 5))
        for day in range(count)
        if rng.random() < 0.4
    ]


def _events(rng: random.Random, count: int) -> list[Event]:
    events: list[Event] = []
    for number in range(rng.randint(4, 14)):
        at = BEGINS + timedelta(hours=rng.choice((0, 1, 2, 24, 30, 24 * count - 6)), minutes=rng.randint(0, 1))
        expires = rng.choice((None, 31, 61))
        vault = rng.choice(VAULTS)
        events.append(
            {
                "id": f"event-{number}",
                "topic": resource_id(vault),
                "subject": "of no meaning",
                "eventType": f"Microsoft.KeyVault.{rng.choice(_EVENTS)}",
                "data": {
                    "ObjectName": rng.choice(("mail", "Mail", "disk")),
                    "Version": rng.choice(("aa", "bb", "cc")),
                    "EXP": None if expires is None else int((BEGINS + timedelta(days=expires)).timestamp()),
                },
                "dataVersion": "1",
                "metadataVersion": "1",
                "eventTime": at.isoformat(),
            }
        )
    return events


def swept_objects(rng: random.Random) -> dict[str, Sequence[SweptObject]]:
    """What the vaults hold: all that events tell of, and some that they are silent about.

    An expiry stays on the same side of every threshold all through the scenario. A sweep that could not read is
    then made good by the next one.
    """
    swept: dict[str, Sequence[SweptObject]] = {}
    for vault in VAULTS:
        found: list[SweptObject] = []
        for object_type in ("secret", "key", "certificate"):
            for name in ("mail", "disk", *(f"silent-{number}" for number in range(rng.randint(0, 2)))):
                expires = rng.choice((None, 26, 28, 200))
                expires_at = None if expires is None else BEGINS + timedelta(days=expires)
                created_at = BEGINS - timedelta(days=rng.randint(100, 300))
                version = rng.choice(("aa", "bb", "old"))
                found.append(SweptObject(object_type, name, version, created_at, expires_at, rng.random() < 0.8))
        swept[vault] = found
    return swept


def _deliveries(
    rng: random.Random, events: Sequence[Event], calm_from: datetime
) -> list[tuple[datetime, Sequence[Event], str]]:
    """The events in any order, some twice, in batches cut anywhere, through the webhook or the queue."""
    again = [event for event in events if rng.random() < 0.3]
    shuffled = [*events, *again]
    rng.shuffle(shuffled)
    deliveries: list[tuple[datetime, Sequence[Event], str]] = []
    while shuffled:
        size = rng.choice((1, 1, 2, 5))
        batch, shuffled = shuffled[:size], shuffled[size:]
        latest = max(datetime.fromisoformat(str(event["eventTime"])) for event in batch)
        at = latest + rng.random() * max(calm_from - latest, timedelta(minutes=5)) * rng.choice((0.0, 0.01, 1))
        if rng.random() < 0.25:
            deliveries += [(at, [event], "queue") for event in batch]
        else:
            deliveries.append((at, batch, "webhook"))
    return deliveries
