"""Dead letters lie in the container as the real service writes them."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from lab.emulators.event_grid import (
    DeadLetterBlobs,
    DeadLettersInMemory,
    Disorder,
    EventGrid,
    EventSubscription,
    Outcome,
    Report,
    RetryPolicy,
    Schema,
    make_event,
)
from lab.emulators.event_grid.dead_letters import DeadLetters, DeadLetterStoreUnavailableError, blob_name
from tests.lab.emulators.event_grid.endpoint import Reply, serving
from tests.storage_emulator import Storage

SPEED = 1_000_000.0


@pytest.fixture
def container(storage: Storage) -> Iterator[ContainerClient]:
    with ContainerClient.from_connection_string(storage.connection_string, "dead-letters") as client:
        client.create_container()
        yield client


def blobs_in(container: ContainerClient) -> dict[str, list[Any]]:
    return {blob.name: json.loads(container.download_blob(blob.name).readall()) for blob in container.list_blobs()}


def deliver(
    status: int | list[int], dead_letters: DeadLetters, *, count: int = 1, speed: float = SPEED, **subscription: Any
) -> Report:
    with serving(status) as endpoint:
        made = EventSubscription(endpoint.url, dead_letters=dead_letters, **subscription)
        with EventGrid(made, speed=speed) as grid:
            return grid.deliver(
                [make_event("SecretExpired", vault="acorn-vault", name=f"s{number}") for number in range(count)]
            )


def test_an_event_refused_for_good_lies_in_the_container_with_its_reason(
    storage: Storage, container: ContainerClient
) -> None:
    with closing(DeadLetterBlobs(storage.connection_string, "dead-letters")) as dead_letters:
        report = deliver(400, dead_letters, name="Deskbridge-Kv")
    [event] = report.dead_lettered
    [(name, letters)] = blobs_in(container).items()
    assert event.dead_letter_blob == name
    assert re.fullmatch(r"DESKBRIDGE-KV/20\d\d/[1-9]\d?/[1-9]\d?/(0|[1-9]\d?)/[0-9a-f-]{36}\.json", name)
    [letter] = letters
    published = datetime.fromisoformat(letter.pop("publishTime"))
    attempted = datetime.fromisoformat(letter.pop("lastDeliveryAttemptTime"))
    assert published == attempted
    assert letter == {
        **event.event,
        "deadLetterReason": "UndeliverableDueToHttpBadRequest",
        "deliveryAttempts": 1,
        "lastDeliveryOutcome": "BadRequest",
        "lastHttpStatusCode": 400,
    }


def test_a_dead_cloud_event_carries_the_same_in_lower_case(storage: Storage, container: ContainerClient) -> None:
    with closing(DeadLetterBlobs(storage.connection_string, "dead-letters")) as dead_letters:
        deliver(503, dead_letters, schema=Schema.CLOUD_EVENTS, retry=RetryPolicy(max_attempts=2))
    [[letter]] = blobs_in(container).values()
    assert letter["deadletterreason"] == "MaxDeliveryAttemptsExceeded"
    assert letter["deliveryattempts"] == 2
    assert letter["lastdeliveryoutcome"] == "Busy"
    assert letter["lasthttpstatuscode"] == 503
    attempted = datetime.fromisoformat(letter["lastdeliveryattempttime"])
    waited = attempted - datetime.fromisoformat(letter["publishtime"])
    assert timedelta(seconds=30) <= waited < timedelta(seconds=40)
    assert letter["specversion"] == "1.0"


def test_events_given_up_within_five_minutes_share_a_blob() -> None:
    dead_letters = DeadLettersInMemory()
    report = deliver(403, dead_letters, count=5, speed=600)  # five minutes in half a second
    [(name, letters)] = dead_letters.blobs.items()
    assert len(letters) == 5
    assert {event.dead_letter_blob for event in report.dead_lettered} == {name}


def test_a_whole_batch_that_fails_is_one_blob(storage: Storage, container: ContainerClient) -> None:
    with closing(DeadLetterBlobs(storage.connection_string, "dead-letters")) as dead_letters:
        deliver(413, dead_letters, count=4, max_events_per_batch=10)
    [letters] = blobs_in(container).values()
    assert len(letters) == 4


def test_without_its_container_an_event_is_dropped_and_the_report_says_so(storage: Storage) -> None:
    with closing(DeadLetterBlobs(storage.connection_string, "nowhere")) as dead_letters:
        report = deliver(400, dead_letters)
    [event] = report.dropped
    assert event.reason == "UndeliverableDueToHttpBadRequest; no blob container named 'nowhere'"


class Unsteady(DeadLettersInMemory):
    """A store that fails so many times before it works."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def put(self, name: str, events: list[Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise DeadLetterStoreUnavailableError("storage is down")
        super().put(name, events)


def test_a_store_that_is_down_for_a_while_still_gets_the_dead_letters() -> None:
    dead_letters = Unsteady(failures=3)
    report = deliver(400, dead_letters)
    assert len(report.dead_lettered) == 1
    assert len(dead_letters.events) == 1


def test_a_store_that_is_down_for_over_four_hours_loses_them() -> None:
    dead_letters = Unsteady(failures=1000)
    report = deliver(400, dead_letters)
    [event] = report.dropped
    assert event.reason is not None
    assert "four hours" in event.reason
    assert dead_letters.failures == 1000 - 49  # at once, then every five minutes for four hours


def test_a_duplicate_that_fails_writes_no_dead_letter_for_a_delivered_event() -> None:
    dead_letters = DeadLettersInMemory()
    with serving([200, 400]) as endpoint:
        made = EventSubscription(endpoint.url, dead_letters=dead_letters)
        with EventGrid(made, speed=SPEED, disorder=Disorder(duplicates=1.0)) as grid:
            report = grid.deliver([make_event("KeyExpired", vault="v", name="k")])
    assert report.events[0].outcome is Outcome.DELIVERED
    assert report.events[0].statuses == [200, 400]
    assert dead_letters.events == []


def test_a_timeout_leaves_no_status_in_the_dead_letter() -> None:
    dead_letters = DeadLettersInMemory()
    with serving(lambda _received, _number: Reply(200, after_seconds=0.3)) as endpoint:
        made = EventSubscription(
            endpoint.url,
            dead_letters=dead_letters,
            response_timeout_seconds=0.05,
            retry=RetryPolicy(max_attempts=1),
        )
        with EventGrid(made, speed=SPEED) as grid:
            grid.deliver([make_event("KeyExpired", vault="v", name="k")])
    [letter] = dead_letters.events
    assert letter["lastDeliveryOutcome"] == "TimedOut"
    assert "lastHttpStatusCode" not in letter


def test_the_blob_name_is_in_utc_without_leading_zeros() -> None:
    moment = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert blob_name("my-Sub", moment).startswith("MY-SUB/2026/2/28/23/")
    assert blob_name("my-Sub", datetime(2026, 8, 5, 0, tzinfo=UTC)).startswith("MY-SUB/2026/8/5/0/")
