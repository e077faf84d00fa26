"""What the vault lists decides over what events said, whatever the clocks: order, dates, use, and what there is."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.tickets.domain.model import ObjectType
from tests.tickets.desk import Desk
from tests.tickets.test_decide import kv_event
from tests.tickets.test_sweep import CREATED, EXPIRES, NOW, Swept

DAY = timedelta(days=1)
LATER = NOW + timedelta(days=300)


def statuses(desk: Swept, kind: str = "expiry", name: str = "mail") -> dict[str, str]:
    """The status of each version's ticket."""
    found = [row for row in desk.desk.tickets() if (row["kind"], row["object_name"]) == (kind, name)]
    return {str(row["version"]): str(row["status"]) for row in found}


def change(desk: Swept, index: int, **members: Any) -> None:
    """Change the properties of a version of `mail`."""
    versions = desk.vault.content[ObjectType.SECRET]["mail"]
    versions[index] = replace(versions[index], **members)


def near(desk: Swept) -> None:
    desk.desk.post([kv_event("NearExpiry", "aa", NOW - DAY, expires=EXPIRES)])


# Dates and order


def test_a_date_that_was_changed_in_the_second_of_creation_is_the_vaults_and_not_the_events() -> None:
    desk = Swept()
    created = (NOW - timedelta(hours=5)).replace(microsecond=0)
    desk.desk.post([kv_event("NewVersionCreated", "aa", created + timedelta(seconds=0.8), expires=LATER)])
    desk.vault.put("mail", "aa", created_at=created)
    for _ in range(2):
        desk.sweep()
        ticket = desk.desk.ticket("mail")
        assert (ticket["status"], ticket["expires_at"]) == ("open", EXPIRES)


@pytest.mark.parametrize("seconds", [1, 23, 64, 128, -0.5, -60])
@pytest.mark.parametrize("told", [timedelta(days=-200), timedelta(seconds=-1)])
def test_an_expiry_date_that_was_rounded_on_its_way_is_no_other_date(seconds: float, told: timedelta) -> None:
    desk = Swept()
    rounded = EXPIRES + timedelta(seconds=seconds)
    desk.desk.post([kv_event("NewVersionCreated", "aa", NOW + told, expires=rounded)])
    desk.vault.put("mail", "aa", created_at=NOW + told - DAY)
    desk.sweep()
    ticket = desk.desk.ticket("mail")
    assert (ticket["status"], ticket["expires_at"]) == ("open", EXPIRES)
    desk.desk.post([kv_event("NearExpiry", "aa", NOW, expires=rounded)])
    people = desk.desk.editor(lambda: desk.now)
    people.change(str(ticket["ticket_id"]), {"status": "resolved"}, by="kim", if_match="*")
    desk.sweep()
    assert desk.desk.ticket("mail")["status"] == "resolved"
    assert not any("now expires" in text for text in desk.desk.texts(ticket["ticket_id"]))


def test_an_event_after_the_sweep_tells_of_a_moved_date_at_once_and_the_next_sweep_decides() -> None:
    desk = Swept()
    near(desk)
    desk.vault.put("mail", "aa")
    desk.sweep()
    moved = EXPIRES + timedelta(days=20)
    desk.desk.post([kv_event("NearExpiry", "aa", NOW, expires=moved)])
    assert desk.desk.ticket("mail")["expires_at"] == moved
    desk.sweep()
    assert desk.desk.ticket("mail")["expires_at"] == EXPIRES


def test_of_two_versions_of_one_second_the_one_that_the_list_shows_is_the_current_one() -> None:
    desk = Swept()
    second = NOW - timedelta(days=2)
    desk.desk.post(
        [
            # The events came in the wrong order, each by a clock of its own.
            kv_event("NewVersionCreated", "aa", second + timedelta(minutes=3), expires=EXPIRES),
            kv_event("NewVersionCreated", "bb", second - timedelta(minutes=3), expires=LATER),
        ]
    )
    desk.vault.put("mail", "aa", created_at=second)
    desk.vault.put("mail", "bb", created_at=second, expires_at=LATER)
    desk.sweep()
    assert statuses(desk) == {}
    assert statuses(desk, "new_version") == {"aa": "resolved", "bb": "open"}


def test_a_version_that_the_vault_does_not_have_replaces_nothing() -> None:
    desk = Swept()
    near(desk)
    desk.desk.post([kv_event("NewVersionCreated", "bb", NOW, expires=LATER)])
    assert statuses(desk) == {"aa": "resolved"}
    desk.vault.put("mail", "aa")
    for _ in range(2):
        desk.sweep()
        assert statuses(desk) == {"aa": "open"}
        assert statuses(desk, "new_version") == {"bb": "closed"}
    texts = desk.desk.texts(desk.desk.ticket("mail")["ticket_id"])
    assert texts[-2:] == [
        "Resolved: version bb replaced this one.",
        "Opened again: version bb, which had replaced this one, is not in the vault.",
    ]


# Replaced means usable


UNUSABLE: dict[str, dict[str, Any]] = {
    "disabled": {"enabled": False, "expires_at": LATER},
    "not valid yet": {"not_before": NOW + timedelta(days=30), "expires_at": LATER},
    "expired": {"expires_at": NOW - timedelta(hours=1)},
}


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("how", UNUSABLE)
def test_a_newer_version_that_cannot_be_used_replaces_nothing(how: str, told: bool) -> None:
    desk = Swept()
    near(desk)
    if told:
        desk.desk.post([kv_event("NewVersionCreated", "bb", NOW - DAY, expires=LATER)])
    desk.vault.put("mail", "aa")
    desk.vault.put("mail", "bb", created_at=NOW - DAY, **UNUSABLE[how])
    desk.sweep()
    assert statuses(desk)["aa"] == "open"


def test_an_older_version_still_expires_behind_a_newer_one_that_is_disabled() -> None:
    desk = Swept()
    desk.desk.post([kv_event("NewVersionCreated", "bb", NOW - DAY, expires=LATER)])
    desk.vault.put("mail", "aa")
    desk.vault.put("mail", "bb", created_at=NOW - DAY, enabled=False, expires_at=LATER)
    desk.sweep()
    assert statuses(desk) == {"aa": "open"}
    desk.sweep(EXPIRES + DAY)
    assert desk.desk.ticket("mail")["priority"] == "high"
    assert "expired" in desk.desk.texts(desk.desk.ticket("mail")["ticket_id"])[-1]
    change(desk, 1, enabled=True, updated_at=EXPIRES + DAY)
    desk.sweep(EXPIRES + 2 * DAY)
    assert statuses(desk) == {"aa": "resolved"}


def test_a_successor_that_is_disabled_later_opens_the_ticket_again_with_a_note_and_ends_it_when_it_is_back() -> None:
    desk = Swept()
    near(desk)
    desk.vault.put("mail", "aa")
    desk.vault.put("mail", "bb", created_at=NOW - DAY / 2, expires_at=LATER)
    desk.sweep()
    assert statuses(desk) == {"aa": "resolved"}
    change(desk, 1, enabled=False, updated_at=NOW + DAY)
    desk.sweep(NOW + 2 * DAY)
    assert statuses(desk) == {"aa": "open"}
    change(desk, 1, enabled=True, updated_at=NOW + 3 * DAY)
    desk.sweep(NOW + 4 * DAY)
    ticket = desk.desk.ticket("mail")
    assert ticket["status"] == "resolved"
    texts = [text for text in desk.desk.texts(ticket["ticket_id"]) if "expires" not in text]
    assert texts == [
        "Resolved: version bb replaced this one.",
        "Opened again: version bb, which had replaced this one, is disabled.",
        "Resolved: version bb replaced this one.",
    ]


def test_what_a_person_resolved_opens_again_when_the_successor_that_came_then_turns_bad() -> None:
    desk = Swept()
    near(desk)
    desk.vault.put("mail", "aa")
    desk.sweep()
    ticket_id = str(desk.desk.ticket("mail")["ticket_id"])
    people = desk.desk.editor(lambda: desk.now)
    people.change(ticket_id, {"status": "resolved"}, by="kim", if_match="*")
    desk.vault.put("mail", "bb", created_at=NOW + DAY, expires_at=LATER)
    desk.sweep(NOW + 2 * DAY)
    assert statuses(desk) == {"aa": "resolved"}
    change(desk, 1, enabled=False, updated_at=NOW + 2.5 * DAY)
    for _ in range(2):
        desk.sweep(desk.now + DAY)
        assert statuses(desk) == {"aa": "open"}
    bad = "Opened again: version bb, which had replaced this one, is disabled."
    assert desk.desk.texts(ticket_id)[-2:] == [bad, f"Reopened, because something new occurred: {bad}"]
    # Who decides now, knows it.
    people.change(ticket_id, {"status": "closed"}, by="kim", if_match="*")
    desk.sweep(desk.now + timedelta(hours=1))
    assert statuses(desk) == {"aa": "closed"}
    change(desk, 1, enabled=True, updated_at=NOW + 5 * DAY)
    desk.sweep(NOW + 6 * DAY)
    assert statuses(desk) == {"aa": "closed"}
    change(desk, 1, enabled=False, updated_at=NOW + 7 * DAY)
    desk.sweep(NOW + 8 * DAY)
    assert statuses(desk) == {"aa": "open"}


def test_a_version_that_becomes_valid_replaces_the_one_before_from_then_on() -> None:
    desk = Swept()
    near(desk)
    begins = NOW + 5 * DAY
    event = kv_event("NewVersionCreated", "bb", NOW - DAY, expires=LATER)
    desk.desk.post([{**event, "data": {**event["data"], "NBF": int(begins.timestamp())}}])
    assert statuses(desk) == {"aa": "open"}
    desk.vault.put("mail", "aa")
    desk.vault.put("mail", "bb", created_at=NOW - DAY, not_before=begins, expires_at=LATER)
    desk.sweep()
    assert statuses(desk) == {"aa": "open"}
    desk.sweep(begins + DAY)
    assert statuses(desk) == {"aa": "resolved"}


def test_a_successor_that_expires_opens_the_one_before_again_and_of_many_at_most_two() -> None:
    desk = Swept()
    names = ["aa", "bb", "cc", "dd"]
    for number, name in enumerate(names):
        created, expires = CREATED + number * DAY, EXPIRES + number * DAY
        desk.desk.post([kv_event("NearExpiry", name, NOW - DAY, expires=expires)])
        desk.vault.put("mail", name, created_at=created, expires_at=expires)
    desk.sweep()
    assert statuses(desk) == {"aa": "resolved", "bb": "resolved", "cc": "resolved", "dd": "open"}
    desk.sweep(EXPIRES + 10 * DAY)
    assert statuses(desk) == {"aa": "resolved", "bb": "resolved", "cc": "open", "dd": "open"}


# Soft delete and recovery


def test_an_object_that_is_recovered_says_so_after_it_said_that_it_was_gone() -> None:
    desk = Swept()
    near(desk)
    desk.sweep()
    desk.vault.put("mail", "aa")
    for _ in range(2):
        desk.sweep(desk.now + timedelta(hours=1))
        ticket = desk.desk.ticket("mail")
        assert ticket["status"] == "open"
        assert [text for text in desk.desk.texts(ticket["ticket_id"]) if "expires" not in text] == [
            "Closed: the secret is no longer in the vault.",
            "Opened again: the secret is back in the vault.",
        ]


# Whatever events said


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a vault holds of one secret, and events of it and of others: late, doubled, by clocks that are wrong."""
    versions = []
    ages = st.lists(st.sampled_from([301, 302, 360, 86_400, 30 * 86_400]), unique=True, min_size=4, max_size=4)
    names = draw(st.lists(st.sampled_from(["aa", "bb", "cc", "dd"]), unique=True, max_size=4))
    for name, age in zip(names, draw(ages), strict=False):
        created = NOW - timedelta(seconds=age)
        members: dict[str, Any] = {
            "created_at": created.replace(microsecond=0),
            "enabled": draw(st.booleans()),
            "expires_at": draw(st.sampled_from([None, EXPIRES, NOW - DAY, LATER, NOW + 9 * DAY])),
            "not_before": draw(st.sampled_from([None, None, NOW - DAY, NOW + 90 * DAY])),
        }
        versions.append({"version": name, **members})
    versions.sort(key=lambda one: one["created_at"])
    events = []
    for _ in range(draw(st.integers(0, 8))):
        at = NOW - timedelta(seconds=draw(st.sampled_from([0.1, 1.5, 59, 90_000])))
        at += timedelta(minutes=draw(st.integers(-5, 5)))
        change_type = draw(st.sampled_from(["NewVersionCreated", "NearExpiry", "Expired"]))
        expires = draw(st.sampled_from([None, EXPIRES, EXPIRES + timedelta(seconds=23), LATER, NOW - DAY]))
        name = draw(st.sampled_from(["aa", "bb", "cc", "dd", "ee"]))
        events.append(kv_event(change_type, name, at, expires=expires))
    return versions, events


def expected(versions: list[dict[str, Any]]) -> set[str]:
    """The versions with an open reminder, by the vault alone."""

    def warned(one: dict[str, Any], ahead: timedelta = timedelta(days=60)) -> bool:
        return one["expires_at"] is not None and one["expires_at"] - NOW <= ahead

    open_ones: set[str] = set()
    for place, one in enumerate(versions):
        later = versions[place + 1 :]
        begun = [each for each in later if each["enabled"] and (each["not_before"] or NOW) <= NOW]
        usable = [each for each in begun if each["expires_at"] is None or each["expires_at"] > NOW]
        own = not later or (one["not_before"] or NOW) <= NOW
        if one["enabled"] and warned(one) and own and not usable and not begun:
            open_ones.add(str(one["version"]))
    return open_ones


@given(worlds(), st.integers(-5, 5))
@settings(max_examples=150, deadline=None)
def test_after_one_sweep_the_open_tickets_are_those_of_the_vault_whatever_events_said_by_whatever_clock(
    world: tuple[list[dict[str, Any]], list[dict[str, Any]]], minutes: int
) -> None:
    versions, events = world
    desk, silent = Swept(), Swept()
    for each in (desk, silent):
        each.now = NOW + timedelta(minutes=minutes)
        for one in versions:
            each.vault.put("mail", **one)
    desk.desk.post(events)
    for each in (desk, silent):
        each.sweep()
    told = {version for version, status in statuses(desk).items() if status == "open"}
    untold = {version for version, status in statuses(silent).items() if status == "open"}
    present = {str(one["version"]) for one in versions}
    # What was told of may be reminded of where the vault alone would not: but never against what the vault says.
    assert untold <= told <= present, (versions, events, untold, told)
    assert expected(versions) <= told, (versions, events, told)
    assert {version for version, status in statuses(desk, "new_version").items() if status == "open"} <= present
    assert _due(desk.desk) <= {one["expires_at"] for one in versions}


def _due(desk: Desk) -> set[datetime | None]:
    open_ones = [row for row in desk.tickets() if (row["kind"], row["status"]) == ("expiry", "open")]
    dates = [row.get("expires_at") for row in open_ones]
    return {date for date in dates if isinstance(date, datetime)}
