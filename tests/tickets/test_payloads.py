"""Every payload file, in both schemas and every spelling: what becomes of it."""

import json
from datetime import UTC, datetime

import pytest

from tests.tickets.desk import AFTERWARDS, PAYLOADS, VAULT, Desk

FILES = sorted(path.name for path in PAYLOADS.glob("*.json"))
# A file that says the same as another in other words leaves the same tables.
SAME_AS_PLAIN = [
    name
    for name in FILES
    if name.startswith("secret_near_expiry")
    and "exp_null" not in name
    and "exp_absent" not in name
    and "exp_empty" not in name
    and "exp_no_date" not in name
    and "not_allowed" not in name
]
HANDSHAKES = [name for name in FILES if name.startswith("subscription_")]
BAD = [name for name in FILES if name.startswith("bad_") or "not_allowed" in name]


def test_there_are_payload_files_to_test() -> None:
    assert len(FILES) > 60
    assert len(SAME_AS_PLAIN) > 8


@pytest.mark.parametrize("name", [name for name in FILES if name not in HANDSHAKES])
def test_every_payload_file_is_answered_200_and_nothing_of_it_is_lost(name: str) -> None:
    desk = Desk()
    answer = desk.post_file(name)
    content = json.loads((PAYLOADS / name).read_bytes())
    members = content if isinstance(content, list) else [content]
    assert answer.status == 200
    assert answer.body is not None
    assert answer.body["recorded"] + answer.body["quarantined"] == len(members)


@pytest.mark.parametrize("name", SAME_AS_PLAIN)
def test_near_expiry_in_every_spelling_opens_the_same_ticket(name: str) -> None:
    desk = Desk()
    assert desk.post_file(name).body == {"recorded": 1, "quarantined": 0}
    ticket = desk.ticket("mail-password")
    assert (ticket["status"], ticket["priority"], ticket["object_type"]) == ("open", "medium", "secret")
    assert ticket["version"] == "5ec0e70000004000800000000000a001"
    assert ticket["expires_at"] == datetime(2027, 1, 1, tzinfo=UTC)
    assert ticket["summary"] == "Secret mail-password in acorn-vault expires on 2027-01-01"
    assert desk.tickets() == [ticket]


@pytest.mark.parametrize(
    "name",
    [
        "secret_near_expiry_exp_null.json",
        "secret_near_expiry_exp_absent.json",
        "secret_near_expiry_exp_empty_string.json",
        "secret_near_expiry_exp_no_date.json",
    ],
)
def test_near_expiry_without_a_date_opens_a_ticket_without_one(name: str) -> None:
    desk = Desk()
    desk.post_file(name)
    ticket = desk.ticket("mail-password")
    assert ticket["status"] == "open"
    assert "expires_at" not in ticket
    assert ticket["summary"] == "Secret mail-password in acorn-vault expires soon"


@pytest.mark.parametrize("name", ["batch_all_ten_types.json", "batch_all_ten_types_cloud_events.json"])
def test_all_ten_event_types_open_their_tickets(name: str) -> None:  # KV-01, KV-09
    desk = Desk(now=AFTERWARDS)
    assert desk.post_file(name).body == {"recorded": 10, "quarantined": 0}
    kinds = {(str(row["object_type"]), str(row["kind"])) for row in desk.tickets()}
    assert kinds == {
        *(
            (object_type, kind)
            for object_type in ("secret", "key", "certificate")
            for kind in ("new_version", "expiry")
        ),
        ("vault", "access_policy"),
    }


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_quarantined_with_its_reason_and_can_be_seen(name: str) -> None:
    desk = Desk()
    assert desk.post_file(name).body == {"recorded": 0, "quarantined": 1}
    assert desk.tickets() == []
    kept = desk.rows("item:")
    assert len(kept) == 1
    expected = "event_not_readable"
    if "other_source" in name or "another_source" in name:
        expected = "event_type_unknown"
    elif "not_allowed" in name:
        expected = "vault_not_allowed"
    assert kept[0]["reason"] == expected


def test_one_bad_event_in_a_batch_is_quarantined_and_the_rest_is_stored() -> None:
    desk = Desk()
    assert desk.post_file("batch_with_one_bad_event.json").body == {"recorded": 2, "quarantined": 1}
    assert len(desk.rows("event:")) == 2


def test_members_that_are_no_events_are_quarantined_and_the_rest_is_stored() -> None:
    desk = Desk(now=AFTERWARDS)
    assert desk.post_file("batch_with_members_that_are_no_events.json").body == {"recorded": 2, "quarantined": 2}


def test_the_life_of_one_secret_ends_with_its_expiry_ticket_resolved() -> None:
    desk = Desk(now=AFTERWARDS)
    desk.post_file("batch_life_of_one_secret.json")
    ticket = desk.ticket("db-password")
    assert (ticket["status"], ticket["priority"]) == ("resolved", "high")
    assert ticket["finished_at"] == datetime(2027, 1, 1, 8, 3, 51, 700021, tzinfo=UTC)
    assert desk.texts(ticket["ticket_id"]) == [
        "Near expiry: this version expires on 2027-01-01 00:00 UTC, 30 days ahead.",
        "This version expired on 2027-01-01 00:00 UTC.",
        "Resolved: version 11fe000000004000800000000000d002 replaced this one.",
    ]
    new = [row for row in desk.tickets() if row["kind"] == "new_version"]
    assert [(row["status"], row["priority"]) for row in new] == [("resolved", "low"), ("open", "low")]


def test_a_vault_is_taken_from_the_topic_in_any_case() -> None:
    desk = Desk()
    desk.post_file("secret_near_expiry_topic_in_upper_case.json")
    assert desk.ticket("mail-password")["scope"] == VAULT


def test_a_dead_letter_is_recorded_like_the_event_it_was() -> None:
    desk, twice = Desk(), Desk()
    desk.post_file("secret_near_expiry.json")
    twice.post_file("dead_letter_cloud_event.json")
    assert [row["ticket_id"] for row in desk.tickets()] == [row["ticket_id"] for row in twice.tickets()]
