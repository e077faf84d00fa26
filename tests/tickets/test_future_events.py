"""Events that are dated ahead of the clock: none may stay in what is known of an object, whichever door it came by."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.tickets.inbound.dead_letters import DeadLetters
from shared.tickets.inbound.queue import QueuedEvents
from tests.storage_emulator import Storage
from tests.tickets.desk import NOW, Desk, resource_id
from tests.tickets.test_queue import reasons

YEAR_2100 = "2100-01-01T00:00:00Z"
Send = Callable[[Desk, list[dict[str, Any]]], None]


def event(kind: str, at: str, version: str = "aa", expires: int | None = 1_797_000_000) -> dict[str, Any]:
    return {
        "id": f"{kind}-{at}",
        "topic": resource_id("acorn-vault"),
        "subject": "mail",
        "eventType": f"Microsoft.KeyVault.Secret{kind}",
        "data": {"ObjectName": "mail", "Version": version, "EXP": expires},
        "eventTime": at,
    }


def by_webhook(desk: Desk, events: list[dict[str, Any]]) -> None:
    assert desk.post(events).status == 200


def by_queue(desk: Desk, events: list[dict[str, Any]]) -> None:
    QueuedEvents(lambda: desk.configured, desk.ingestor, desk.quarantine).record(json.dumps(events).encode())


def by_poison_queue(desk: Desk, events: list[dict[str, Any]]) -> None:
    QueuedEvents(lambda: desk.configured, desk.ingestor, desk.quarantine).give_up(json.dumps(events).encode())


@pytest.mark.parametrize("send", [by_webhook, by_queue, by_poison_queue])
@pytest.mark.parametrize("kind", ["NewVersionCreated", "NearExpiry", "Expired"])
def test_an_event_of_the_year_2100_silences_nothing(send: Send, kind: str) -> None:
    desk, clean = Desk(), Desk()
    send(desk, [event(kind, YEAR_2100, version="bb", expires=None)])
    send(desk, [event(kind, YEAR_2100, expires=9_999_999_999)])
    assert reasons(desk) == ["event_from_the_future"] * 2
    assert desk.tickets() == []
    for one in (desk, clean):
        send(one, [event("NearExpiry", "2026-12-01T08:00:00Z")])
    assert desk.ticket("mail")["status"] == "open"
    assert desk.tickets() == clean.tickets()


def test_an_event_of_the_year_2100_in_a_dead_letter_is_quarantined(storage: Storage) -> None:
    from azure.storage.blob import ContainerClient

    desk = Desk()
    with ContainerClient.from_connection_string(storage.connection_string, "future-letters") as container:
        container.create_container()
        container.upload_blob("one.json", json.dumps([event("NewVersionCreated", YEAR_2100)]).encode())
        done = DeadLetters(container, lambda: desk.configured, desk.ingestor, desk.quarantine).replay()
    assert (done.recorded, done.quarantined) == (0, 1)
    assert reasons(desk) == ["event_from_the_future"]
    assert desk.rows("object:") == []


def test_a_replay_before_its_time_stays_and_afterwards_it_is_recorded() -> None:
    desk = Desk()
    desk.post([event("NearExpiry", (NOW + timedelta(hours=1)).isoformat())])
    item = desk.quarantine.get(str(desk.rows("at:")[0]["item_id"]))
    assert desk.configured is not None
    assert not desk.ingestor.replay(item, desk.configured)
    assert desk.tickets() == []
    desk.now += timedelta(hours=1)
    assert desk.ingestor.replay(item, desk.configured)
    assert desk.ticket("mail")["status"] == "open"
    assert desk.rows("item:") == []


def test_clocks_may_differ_by_fifteen_minutes() -> None:
    desk = Desk()
    desk.post([event("NearExpiry", (NOW + timedelta(minutes=15)).isoformat())])
    assert desk.ticket("mail")["status"] == "open"
    desk.post([event("Expired", (NOW + timedelta(minutes=15, seconds=1)).isoformat())])
    assert reasons(desk) == ["event_from_the_future"]


def test_the_log_and_the_quarantine_say_when_it_claims_to_have_happened(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.post([event("NewVersionCreated", YEAR_2100)])
    assert "2100-01-01 00:00 UTC" in caplog.text
    assert "2100-01-01 00:00 UTC" in str(desk.rows("item:")[0]["message"])


def test_an_access_policy_change_of_tomorrow_is_quarantined_too() -> None:
    desk = Desk()
    desk.post([{**event("NearExpiry", YEAR_2100), "eventType": "Microsoft.KeyVault.VaultAccessPolicyChanged"}])
    assert (reasons(desk), desk.tickets()) == (["event_from_the_future"], [])
