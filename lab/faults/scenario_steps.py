"""What a scenario has besides its days: users' events, grants, deletions, dead letters, rotations, changed settings,
two people in one field.

Each is made so that the scenario still ends in one state only.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from lab.faults.scenario import (
    BEGINS,
    REALM,
    REALM_ID,
    TENANT,
    VAULTS,
    ConcurrentEdit,
    Day,
    Event,
    Rotation,
    Scenario,
    ScenarioSteps,
    SettingsChange,
    SimulatedRecord,
    SweptObject,
    UserEvent,
    resource_id,
)

ORGANISATIONS = {"org_a": "Acorn", "org_b": "Beech"}
_DAY = timedelta(days=1)
_SECRETS_OF = {"tickets": ("webhook",), "ec2": ("aws",), "users": ("authrocket", "authrocket-webhook")}
# When the daily imports begin, in hours after midnight: what happens during an import is timed by them.
_IMPORT_AT = {"ec2": 2.0, "users": 2.1}


def add_steps(rng: random.Random, scenario: Scenario) -> Scenario:
    """The scenario with what else happens in it."""
    steps = ScenarioSteps(
        confirms_brake=bool(scenario.policies["braking"]) and rng.random() < 0.7,
        rotations=_rotations(rng, scenario) if rng.random() < 0.4 else {},
        settings_changes=_settings_changes(rng, scenario) if rng.random() < 0.4 else (),
    )
    if "users" in scenario.flows:
        scenario, steps = _with_users(rng, scenario, steps)
    if "tickets" in scenario.flows:
        scenario, steps = _with_tickets(rng, scenario, steps)
    if rng.random() < 0.5:
        steps = replace(steps, concurrent_edits=_concurrent_edits(rng, scenario, steps))
    if steps.confirms_brake and rng.random() < 0.7:
        steps = replace(steps, returned=_returned(rng, scenario))
    if scenario.previews and rng.random() < 0.5:
        # Read before midnight and applied after it, when the plan would be another one.
        first, *rest = scenario.previews
        scenario = replace(scenario, previews=[first.replace(hour=23, minute=52), *rest])
    return replace(scenario, steps=steps)


def staying(scenario: Scenario, *, unedited: bool = True) -> list[tuple[str, str]]:
    """Parts and ids of what is there and alive on every day, and perhaps edited by nobody."""
    edited = {(edit.part, edit.record) for edit in scenario.edits} if unedited else set[tuple[str, str]]()
    return [
        (part, record)
        for part, records in sorted(scenario.days[0].items())
        for record in sorted(records)
        if (part, record) not in edited
        and all(record in day[part] and not day[part][record].gone for day in scenario.days)
    ]


def moment_in(rng: random.Random, day: int, flow: str) -> datetime:
    """Some time of a day, as often as not while its import runs."""
    if rng.random() < 0.5:
        # An undisturbed part is read and written within a fifth of a second; a disturbed one may take an hour.
        seconds = rng.choice((rng.uniform(0, 0.2), rng.uniform(0.05, 0.2), 60))
        return BEGINS + day * _DAY + timedelta(hours=_IMPORT_AT[flow], seconds=seconds)
    return BEGINS + day * _DAY + timedelta(hours=rng.uniform(3, 23))


def _returned(rng: random.Random, scenario: Scenario) -> dict[tuple[str, str], datetime]:
    """In each part one record that the brake held, and that is back before somebody confirms it."""
    found: dict[tuple[str, str], datetime] = {}
    for part in scenario.parts:
        for number, (before, after) in enumerate(zip(scenario.days, scenario.days[1:], strict=False), 1):
            gone = sorted({*before[part]} - {*after[part]})
            if gone:
                found[part, rng.choice(gone)] = BEGINS + number * _DAY + timedelta(hours=5)
    return found


# Users


def _with_users(rng: random.Random, scenario: Scenario, steps: ScenarioSteps) -> tuple[Scenario, ScenarioSteps]:
    if rng.random() < 0.6:
        days, grants = _granted(rng, scenario)
        scenario = replace(scenario, days=days)
        steps = replace(steps, organisations=True, grants=grants)
    # What a brake holds depends on how many were deactivated one by one before it; once it is confirmed, all are.
    if rng.random() < 0.8 and (steps.confirms_brake or not scenario.policies["braking"]):
        reading = timedelta(hours=_IMPORT_AT["users"], seconds=rng.uniform(0.05, 0.12))
        shift = reading if rng.random() < 0.5 else timedelta(0)
        steps = replace(steps, users_change_after=shift, user_events=_user_events(rng, scenario, shift))
    return scenario, steps


def _granted(rng: random.Random, scenario: Scenario) -> tuple[Sequence[Day], dict[tuple[str, str], datetime]]:
    """Permissions that come on some day and stay: one that goes again might never be seen."""
    users = [record for part, record in staying(scenario) if part == REALM_ID]
    days = [{part: dict(records) for part, records in day.items()} for day in scenario.days]
    grants: dict[tuple[str, str], datetime] = {}
    for user in rng.sample(users, min(len(users), rng.randint(1, 5))):
        org = rng.choice(sorted(ORGANISATIONS))
        first = rng.randint(0, len(days) - 1)
        for day in days[first:]:
            day[REALM_ID][user] = replace(day[REALM_ID][user], owns=(org,))
        if first:
            grants[user, org] = BEGINS + first * _DAY
    return days, grants


def _user_events(rng: random.Random, scenario: Scenario, shift: timedelta) -> list[UserEvent]:
    events: list[UserEvent] = []
    for number in range(1, len(scenario.days)):
        before, after = scenario.days[number - 1][REALM_ID], scenario.days[number][REALM_ID]
        for user in sorted({*before, *after}):
            kind = _change_of(before.get(user), after.get(user))
            if kind is None or rng.random() < 0.2:
                continue
            at = BEGINS + number * _DAY + shift
            # Late by two days at most, as AuthRocket tries; some twice, some while the import runs.
            times = [max(at, _delivered(rng, number, scenario.calm_from)) for _ in range(rng.choice((1, 1, 2)))]
            events.append(UserEvent(f"ev_{number}{user}", kind, user, at, sorted(times)))
    return events


def _change_of(before: SimulatedRecord | None, after: SimulatedRecord | None) -> str | None:
    if before == after:
        return None
    if before is None:
        return "user.created"
    if after is None:
        return "user.deleted"
    return "membership.updated" if before.owns != after.owns else "user.updated"


def _delivered(rng: random.Random, number: int, calm_from: datetime) -> datetime:
    at = moment_in(rng, number, "users") if rng.random() < 0.8 else BEGINS + number * _DAY
    return min(at + _DAY * rng.choice((0, 0, 0, 1)), calm_from + timedelta(hours=6))


# Tickets


def _with_tickets(rng: random.Random, scenario: Scenario, steps: ScenarioSteps) -> tuple[Scenario, ScenarioSteps]:
    if rng.random() < 0.35:
        scenario = _crowded(rng, scenario)
    if rng.random() < 0.5:
        steps = replace(
            steps,
            dead_letters=make_dead_letters(rng, scenario),
            gives_up_after=rng.choice((0, 2, 3)),
            keeps_dead_letters=rng.random() < 0.3,
        )
    if scenario.swept and rng.random() < 0.6:
        swept = {vault: _deleted(rng, scenario, vault, steps.dead_letters) for vault in scenario.swept}
        scenario = replace(scenario, swept=swept)
    if "webhook" in steps.rotations:
        scenario = replace(scenario, deliveries=[*scenario.deliveries, *_around(scenario, steps.rotations["webhook"])])
    if rng.random() < 0.4:
        steps = replace(steps, late_vault_at=BEGINS + rng.random() * (scenario.calm_from - BEGINS))
    if not scenario.people_on_tickets and rng.random() < 0.6:
        span = scenario.calm_from - BEGINS
        busy = tuple(sorted(BEGINS + rng.random() * span for _ in range(rng.randint(2, 6))))
        steps = replace(steps, busy_people=busy)
    return scenario, steps


def _around(scenario: Scenario, rotation: Rotation) -> Sequence[tuple[datetime, Sequence[Event], str]]:
    """Deliveries just before and just after a password is changed, so that the old one is held."""
    moments = (rotation.stored_at - timedelta(seconds=30), rotation.revoked_at + timedelta(seconds=5))
    return [
        (at, [event], "webhook")
        for at in moments
        for event in scenario.events
        if datetime.fromisoformat(str(event["eventTime"])) <= at
    ][:12]


def _crowded(rng: random.Random, scenario: Scenario) -> Scenario:
    """Everything is said of one object, and by many deliveries at once."""
    vault, kind = rng.choice(VAULTS), rng.choice(("Secret", "Key", "Certificate"))
    events: dict[str, Event] = {}
    for event in scenario.events:
        said = str(event["eventType"]).removeprefix("Microsoft.KeyVault.")
        for one in ("Secret", "Key", "Certificate"):
            said = said.replace(one, kind)
        data = {**event["data"], "ObjectName": "mail"}
        told = {"topic": resource_id(vault), "eventType": f"Microsoft.KeyVault.{said}", "data": data}
        events[str(event["id"])] = {**event, **told}
    moments = [BEGINS + rng.random() * (scenario.calm_from - BEGINS) for _ in range(2)]
    deliveries: list[tuple[datetime, Sequence[Event], str]] = []
    for _, batch, channel in scenario.deliveries:
        said_at = max(datetime.fromisoformat(str(event["eventTime"])) for event in batch)
        at = max(rng.choice(moments), said_at)
        deliveries.append((at, [events[str(event["id"])] for event in batch], channel))
    return replace(scenario, events=list(events.values()), deliveries=deliveries)


def _deleted(
    rng: random.Random, scenario: Scenario, vault: str, letters: Sequence[tuple[datetime, str, bytes]]
) -> list[SweptObject]:
    """Objects that are deleted between two sweeps, each after the last event that speaks of it."""
    updated: dict[tuple[str, str], datetime] = {}
    lost = [event for _, _, content in letters if content.startswith(b"[") for event in json.loads(content)]
    for event in [*scenario.events, *lost]:
        kind = str(event["eventType"]).removeprefix("Microsoft.KeyVault.")
        object_type = next((one for one in ("Secret", "Key", "Certificate") if kind.startswith(one)), None)
        if event["topic"] == resource_id(vault) and object_type is not None:
            key = (object_type.lower(), str(event["data"]["ObjectName"]).casefold())
            updated[key] = max(updated.get(key, BEGINS), datetime.fromisoformat(str(event["eventTime"])))
    found: list[SweptObject] = []
    for one in scenario.swept[vault]:
        earliest = updated.get((one.object_type, one.name), BEGINS) + timedelta(minutes=5)
        left = max(scenario.calm_from - earliest, timedelta(0))
        found.append(replace(one, deleted_at=earliest + rng.random() * left) if rng.random() < 0.3 else one)
    return found


def make_dead_letters(rng: random.Random, scenario: Scenario) -> list[tuple[datetime, str, bytes]]:
    """Blobs of events that no other delivery brings, now and then one that is no JSON."""
    letters: list[tuple[datetime, str, bytes]] = []
    for number in range(rng.randint(1, 3)):
        at = BEGINS + rng.random() * (scenario.calm_from - BEGINS)
        events = [_lost_event(rng, f"{number}-{one}", at) for one in range(rng.randint(1, 3))]
        content = b"\xff no JSON" if rng.random() < 0.2 else json.dumps(events).encode()
        letters.append((at, f"kv/{number}.json", content))
    return letters


def _lost_event(rng: random.Random, label: str, at: datetime) -> Event:
    data: dict[str, Any] = {"ObjectName": rng.choice(("mail", "disk")), "Version": rng.choice(("aa", "bb"))}
    return {
        "id": f"lost-{label}",
        "topic": resource_id(rng.choice(VAULTS)),
        "subject": "of no meaning",
        "eventType": f"Microsoft.KeyVault.Secret{rng.choice(('NearExpiry', 'NewVersionCreated'))}",
        "data": {**data, "EXP": int((BEGINS + timedelta(days=31)).timestamp())},
        "dataVersion": "1",
        "metadataVersion": "1",
        "eventTime": (at - timedelta(hours=1)).isoformat(),
        "deadLetterReason": "MaxDeliveryAttemptsExceeded",
        "deliveryAttempts": 3,
    }


# Operators and people


def _rotations(rng: random.Random, scenario: Scenario) -> Mapping[str, Rotation]:
    rotations: dict[str, Rotation] = {}
    for flow in scenario.flows:
        for name in _SECRETS_OF[flow]:
            # A key of an import is changed while it runs, as often as not; a webhook's password at any time.
            day = rng.randint(0, len(scenario.days) - 2)
            at = moment_in(rng, day, flow if flow in _IMPORT_AT else "ec2")
            rotations[name] = Rotation(at, at + timedelta(seconds=rng.choice((0, 5, 600, 7200))))
    return rotations


def _settings_changes(rng: random.Random, scenario: Scenario) -> list[SettingsChange]:
    """Changes of settings while imports run. What they do to a record does not depend on when they came."""
    settings_changes: list[SettingsChange] = []
    for flow, kind, name in (("ec2", "aws-tenants", TENANT), ("users", "authrocket-realms", REALM)):
        if flow in scenario.flows:
            members = rng.choice(({"default_site": "york"}, {"title": "Another title"}, {"default_site": "york"}))
            settings_changes.append(SettingsChange(moment_in(rng, rng.randint(0, 1), flow), kind, name, members))
    return settings_changes


def _concurrent_edits(rng: random.Random, scenario: Scenario, steps: ScenarioSteps) -> list[ConcurrentEdit]:
    granted = {user for user, _ in steps.grants}
    found = [(part, record) for part, record in staying(scenario) if record not in granted]
    concurrent_edits: list[ConcurrentEdit] = []
    for part, record in rng.sample(found, min(len(found), 2)):
        users = part == REALM_ID
        full_id = f"{'authrocket' if users else 'aws'}:{part}:{record}"
        for day in range(rng.randint(1, len(scenario.days) - 1)):
            # After the first import: there is nothing to edit before it.
            at = max(moment_in(rng, day, "users" if users else "ec2"), BEGINS + timedelta(hours=4))
            concurrent_edits.append(ConcurrentEdit(at, "users" if users else "assets", full_id))
    return concurrent_edits


__all__ = ["ORGANISATIONS", "add_steps", "make_dead_letters", "moment_in", "staying"]
