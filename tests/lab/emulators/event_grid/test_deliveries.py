"""Deliveries against a real HTTP endpoint: form, retries, ends, disorder."""

import threading
import time
from collections import Counter
from typing import Any

import pytest

from lab.emulators.event_grid import (
    DeliveryNotice,
    Disorder,
    EventGrid,
    EventSubscription,
    KeyVaultEvent,
    Outcome,
    Report,
    RetryPolicy,
    Schema,
    SubscriptionError,
    basic_authorization,
    make_event,
    one_of_each_type,
)
from lab.emulators.event_grid.retries import Delivered, Retry
from tests.lab.emulators.event_grid.endpoint import Endpoint, Received, Reply, serving, validating

SPEED = 1_000_000.0


def secret_events(count: int) -> list[KeyVaultEvent]:
    return [make_event("SecretNearExpiry", vault="acorn-vault", name=f"secret-{number}") for number in range(count)]


def deliver(
    endpoint: Endpoint,
    events: list[Any],
    *,
    speed: float = SPEED,
    workers: int = 1,
    disorder: Disorder | None = None,
    **subscription: Any,
) -> Report:
    with EventGrid(
        EventSubscription(endpoint.url, **subscription), speed=speed, workers=workers, disorder=disorder
    ) as grid:
        return grid.deliver(events)


def test_an_event_is_delivered_alone_in_an_array_with_the_headers_of_event_grid() -> None:
    [event] = secret_events(1)
    headers = {"Authorization": basic_authorization("username", "password")}
    with serving(200) as endpoint:
        report = deliver(endpoint, [event], headers=headers)
    [request] = endpoint.received
    assert report.all_delivered
    assert request.body == [event.to_json(Schema.EVENT_GRID)]
    assert b"\n" not in request.raw
    assert b'": ' not in request.raw
    expected = {
        "content-type": "application/json; charset=utf-8",
        "aeg-event-type": "Notification",
        "aeg-subscription-name": "DESKBRIDGE-KV",
        "aeg-delivery-count": "0",
        "aeg-data-version": "1",
        "aeg-metadata-version": "1",
        "aeg-output-event-id": event.event_id,
        "authorization": "Basic dXNlcm5hbWU6cGFzc3dvcmQ=",  # KV-12
    }
    assert {name: request.headers.get(name) for name in expected} == expected


def test_a_cloud_event_is_delivered_as_an_object() -> None:
    [event] = secret_events(1)
    with serving(200) as endpoint:
        deliver(endpoint, [event], schema=Schema.CLOUD_EVENTS)
    [request] = endpoint.received
    assert request.body == event.to_json(Schema.CLOUD_EVENTS)
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"


@pytest.mark.parametrize(
    ("schema", "content_type"),
    [
        (Schema.EVENT_GRID, "application/json; charset=utf-8"),
        (Schema.CLOUD_EVENTS, "application/cloudevents-batch+json; charset=utf-8"),
    ],
)
def test_batches_are_arrays_of_at_most_the_asked_number(schema: Schema, content_type: str) -> None:
    with serving(200) as endpoint:
        report = deliver(endpoint, secret_events(10), schema=schema, max_events_per_batch=4)
    assert [len(body) for body in endpoint.bodies] == [4, 4, 2]
    assert {request.headers["content-type"] for request in endpoint.received} == {content_type}
    assert report.requests == 3
    assert report.all_delivered


def test_all_ten_types_arrive_in_both_schemas() -> None:
    for schema in Schema:
        with serving(200) as endpoint:
            report = deliver(endpoint, [*one_of_each_type("acorn-vault")], schema=schema, max_events_per_batch=50)
        assert len(report.delivered) == 10


def test_a_passing_failure_is_tried_again_until_the_endpoint_takes_the_event() -> None:
    with serving([503, 500, 429, 200]) as endpoint:
        report = deliver(endpoint, secret_events(1))
    [event] = report.events
    assert event.outcome is Outcome.DELIVERED
    assert event.statuses == [503, 500, 429, 200]
    assert [request.headers["aeg-delivery-count"] for request in endpoint.received] == ["0", "1", "2", "3"]
    ages = [round(attempt.age_seconds) for attempt in event.attempts]
    assert ages == [0, 30, 60, 120]


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_a_refusal_for_good_drops_the_event_after_one_attempt(status: int) -> None:
    with serving([status, 200]) as endpoint:
        report = deliver(endpoint, secret_events(1))
    [event] = report.dropped
    assert event.statuses == [status]
    assert event.reason is not None
    assert event.reason.startswith("UndeliverableDueToHttp")


def test_a_redirect_is_a_failure_and_not_followed() -> None:
    def script(received: Received, number: int) -> Reply:
        return Reply(302, headers={"Location": "/elsewhere"}) if number == 0 else Reply(200)

    with serving(script) as endpoint:
        report = deliver(endpoint, secret_events(1))
    assert report.events[0].statuses == [302, 200]
    assert {request.path for request in endpoint.received} == {"/api/events/key-vault"}


def test_attempts_end_at_the_maximum() -> None:
    with serving(503) as endpoint:
        report = deliver(endpoint, secret_events(1), retry=RetryPolicy(max_attempts=3))
    [event] = report.dropped
    assert event.statuses == [503, 503, 503]
    assert event.reason == "MaxDeliveryAttemptsExceeded"


def test_attempts_end_with_the_time_to_live() -> None:
    with serving(500) as endpoint:
        report = deliver(endpoint, secret_events(1), retry=RetryPolicy(ttl_minutes=30))
    [event] = report.dropped
    assert len(event.attempts) == 6
    assert event.reason == "TimeToLiveExceeded"


def test_an_endpoint_that_answers_too_late_has_not_answered() -> None:
    def script(received: Received, number: int) -> Reply:
        return Reply(200, after_seconds=0.4 if number == 0 else 0)

    with serving(script) as endpoint:
        report = deliver(endpoint, secret_events(1), response_timeout_seconds=0.1)
    [event] = report.events
    assert event.statuses == [None, 200]
    assert event.attempts[0].outcome == "TimedOut"
    assert len(endpoint.received) == 2  # the endpoint has seen the event twice, as with the real service


def test_an_endpoint_that_is_down_is_tried_again() -> None:
    with serving(200) as endpoint:
        pass
    report = deliver(endpoint, secret_events(1), retry=RetryPolicy(max_attempts=2))
    assert [attempt.outcome for attempt in report.events[0].attempts] == ["SocketError", "SocketError"]


def test_a_failed_batch_is_delivered_again_as_a_whole() -> None:
    with serving([503, 200]) as endpoint:
        report = deliver(endpoint, secret_events(3), max_events_per_batch=10)
    assert endpoint.bodies[0] == endpoint.bodies[1]
    assert [event.statuses for event in report.events] == [[503, 200]] * 3


def test_a_malformed_event_is_sent_as_it_is() -> None:
    bad: list[Any] = [{"no": "event"}, "not an event", None]
    with serving(200) as endpoint:
        report = deliver(endpoint, bad, max_events_per_batch=10)
    assert endpoint.bodies == [bad]
    assert report.all_delivered


def test_duplicates_are_delivered_again_after_success_in_another_batch() -> None:
    with serving(200) as endpoint:
        report = deliver(endpoint, secret_events(20), max_events_per_batch=8, disorder=Disorder(seed=7, duplicates=1.0))
    seen = Counter(event["id"] for body in endpoint.bodies for event in body)
    assert set(seen.values()) == {2}
    assert all(len({event["id"] for event in body}) == len(body) for body in endpoint.bodies)
    assert all(event.accepted == 2 for event in report.events)
    assert report.all_delivered


def test_the_same_seed_gives_the_same_bodies_in_the_same_order() -> None:
    events = secret_events(30)
    disorder = Disorder(seed=3, duplicates=0.3, shuffle=True)
    bodies = []
    for _ in range(2):
        with serving(200) as endpoint:
            deliver(endpoint, [*events], max_events_per_batch=4, disorder=disorder)
        bodies.append(endpoint.bodies)
    assert bodies[0] == bodies[1]
    assert [event["id"] for body in bodies[0] for event in body][:30] != [event.event_id for event in events]


def test_delays_reorder_what_was_in_order() -> None:
    events = secret_events(12)
    with serving(200) as endpoint:
        report = deliver(endpoint, [*events], speed=100.0, disorder=Disorder(seed=5, max_delay_seconds=30.0))
    arrived = [body[0]["id"] for body in endpoint.bodies]
    assert sorted(arrived) == sorted(event.event_id for event in events)
    assert arrived != [event.event_id for event in events]
    assert all(0 <= event.attempts[0].age_seconds <= 30 for event in report.events)


def test_workers_deliver_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=10)

    def script(_received: Received, _number: int) -> Reply:
        together.wait()  # breaks, and so fails, unless four requests are here at once
        return Reply(200)

    with serving(script) as endpoint:
        report = deliver(endpoint, secret_events(8), workers=4)
    assert report.all_delivered


def test_many_events_with_duplicates_shuffled_and_an_endpoint_that_fails_now_and_then_all_arrive() -> None:
    def script(_received: Received, number: int) -> Reply:
        return Reply(503 if number % 10 == 0 else 200)

    events = secret_events(300)
    with serving(script) as endpoint:
        report = deliver(
            endpoint,
            [*events],
            workers=4,
            max_events_per_batch=10,
            disorder=Disorder(seed=11, duplicates=0.2, shuffle=True),
        )
    assert report.all_delivered
    assert {event["id"] for body in endpoint.bodies for event in body} == {event.event_id for event in events}
    assert report.summary().startswith("300 events: 300 delivered")


def test_real_time_is_kept_at_speed_one_and_shortened_above() -> None:
    with serving([500, 200]) as endpoint:
        started = time.monotonic()
        deliver(endpoint, secret_events(1), speed=50.0)
        took = time.monotonic() - started
    assert 0.2 <= took < 5  # ten seconds, fifty times faster


def test_stop_leaves_what_has_not_ended_pending() -> None:
    with serving(503) as endpoint:
        grid = EventGrid(EventSubscription(endpoint.url), speed=1.0, on_delivery=lambda _notice: grid.stop())
        with grid:
            report = grid.deliver(secret_events(3))
    assert len(report.pending) == 3
    assert report.requests == 1


def test_who_watches_hears_of_every_answer_and_what_follows() -> None:
    notices: list[DeliveryNotice] = []
    with (
        serving([503, 200]) as endpoint,
        EventGrid(EventSubscription(endpoint.url), speed=SPEED, on_delivery=notices.append) as grid,
    ):
        grid.deliver(secret_events(1))
    assert [type(notice.next_step) for notice in notices] == [Retry, Delivered]


def test_an_exception_in_a_watcher_ends_the_run_instead_of_hanging_it() -> None:
    def broken(_notice: DeliveryNotice) -> None:
        raise RuntimeError("watcher")

    with (
        serving(200) as endpoint,
        EventGrid(EventSubscription(endpoint.url), speed=SPEED, workers=3, on_delivery=broken) as grid,
        pytest.raises(RuntimeError, match="watcher"),
    ):
        grid.deliver(secret_events(5))


def test_subscribe_deliver_and_unsubscribe_use_one_subscription() -> None:
    with serving(validating) as endpoint, EventGrid(EventSubscription(endpoint.url), speed=SPEED) as grid:
        assert grid.subscribe().accepted
        assert grid.deliver(secret_events(1)).all_delivered
        assert grid.unsubscribe().status == 200
    kinds = [request.headers["aeg-event-type"] for request in endpoint.received]
    assert kinds == ["SubscriptionValidation", "Notification", "SubscriptionDeletion"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"endpoint": "ftp://example.com"}, "no http or https"),
        ({"endpoint": "http://desk.example.com/x"}, "https only"),
        ({"endpoint": "https://user:pw@desk.example.com/x"}, "user or password"),
        ({"name": "a b"}, "3 to 64"),
        ({"max_events_per_batch": 5001}, "1 to 5000"),
        ({"preferred_batch_kib": 0}, "1 to 1024"),
        ({"headers": {f"X-{n}": "v" for n in range(11)}}, "at most 10"),
        ({"headers": {"X-Big": "v" * 4097}}, "4096 bytes"),
        ({"headers": {"aeg-event-type": "Notification"}}, "belong to Event Grid"),
    ],
)
def test_a_subscription_that_azure_would_refuse_is_refused(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(SubscriptionError, match=why):
        EventSubscription(**{"endpoint": "https://desk.example.com/x", **bad})


def test_a_subscription_does_not_show_its_secret_header() -> None:
    secret = basic_authorization("event-grid", "correct horse")
    assert secret not in repr(EventSubscription("https://desk.example.com/x", headers={"Authorization": secret}))
