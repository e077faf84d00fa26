"""Both validation handshakes, judged as the real service does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.emulators.event_grid import EventGrid, EventSubscription, HandshakeResult, ProvisioningState, Schema
from tests.lab.emulators.event_grid.endpoint import Endpoint, Received, Reply, serving, validating

PAYLOADS = Path(__file__).parents[3] / "payloads" / "event_grid"
SECRET = {"Authorization": "Basic dXNlcm5hbWU6cGFzc3dvcmQ="}  # KV-12


def shake(
    endpoint: Endpoint, schema: Schema = Schema.EVENT_GRID, *, headers_on_handshake: bool = True
) -> HandshakeResult:
    subscription = EventSubscription(
        endpoint.url, schema=schema, headers=SECRET, headers_on_handshake=headers_on_handshake
    )
    with EventGrid(subscription) as grid:
        return grid.subscribe()


@pytest.mark.parametrize("schema", list(Schema))
def test_an_endpoint_that_plays_by_the_rules_is_accepted(schema: Schema) -> None:  # KV-15
    with serving(validating) as endpoint:
        result = shake(endpoint, schema)
    assert result.accepted
    assert result.state is ProvisioningState.SUCCEEDED
    assert len(endpoint.received) == 1


def test_the_validation_event_has_the_headers_and_form_of_the_real_one() -> None:
    with serving(validating) as endpoint:
        result = shake(endpoint)
    [request] = endpoint.received
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["aeg-event-type"] == "SubscriptionValidation"
    assert request.headers["aeg-subscription-name"] == "DESKBRIDGE-KV"
    assert request.headers["aeg-delivery-count"] == "0"
    assert request.headers["aeg-data-version"] == "2"
    assert request.headers["aeg-metadata-version"] == "1"
    [event] = request.body
    assert request.headers["aeg-output-event-id"] == event["id"]
    assert event["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
    assert event["data"]["validationCode"] == result.validation_code
    [recorded] = json.loads((PAYLOADS / "subscription_validation.json").read_text())
    assert set(event) == set(recorded)
    assert set(event["data"]) == set(recorded["data"])


def test_the_cloud_events_handshake_is_an_options_request_without_a_body() -> None:
    with serving(validating) as endpoint:
        shake(endpoint, Schema.CLOUD_EVENTS)
    [request] = endpoint.received
    assert request.method == "OPTIONS"
    assert request.raw == b""
    assert request.headers["webhook-request-origin"] == "eventgrid.azure.net"
    assert request.headers["webhook-request-rate"] == "120"
    assert request.headers["webhook-request-callback"].startswith("https://")


@pytest.mark.parametrize("schema", list(Schema))
@pytest.mark.parametrize("ride", [True, False])
def test_static_headers_ride_on_the_handshake_or_not_as_asked(schema: Schema, ride: bool) -> None:
    with serving(validating) as endpoint:
        shake(endpoint, schema, headers_on_handshake=ride)
    assert endpoint.received[0].headers.get("authorization") == (SECRET["Authorization"] if ride else None)


def code_in(received: Received) -> str:
    code: str = received.body[0]["data"]["validationCode"]
    return code


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (lambda r: Reply(202, json.dumps({"validationResponse": code_in(r)}).encode()), ProvisioningState.FAILED),
        (lambda _: Reply(401), ProvisioningState.FAILED),
        (lambda _: Reply(200, b'{"validationResponse": "another"}'), ProvisioningState.FAILED),
        (lambda _: Reply(200), ProvisioningState.AWAITING_MANUAL_ACTION),
        (lambda _: Reply(200, b"[]"), ProvisioningState.AWAITING_MANUAL_ACTION),
        (
            lambda r: Reply(200, json.dumps({"ValidationResponse": code_in(r)}).encode()),
            ProvisioningState.SUCCEEDED,
        ),
    ],
)
def test_only_200_with_the_code_is_accepted(answer: Callable[[Received], Reply], state: ProvisioningState) -> None:
    with serving(lambda received, _number: answer(received)) as endpoint:
        assert shake(endpoint).state is state


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (Reply(200, headers={"WebHook-Allowed-Origin": "*"}), ProvisioningState.SUCCEEDED),
        (Reply(204, headers={"WebHook-Allowed-Origin": "*"}), ProvisioningState.FAILED),
        (Reply(200, headers={"WebHook-Allowed-Origin": "example.com"}), ProvisioningState.FAILED),
        (Reply(200), ProvisioningState.AWAITING_MANUAL_ACTION),
        (Reply(405), ProvisioningState.FAILED),
    ],
)
def test_only_200_that_allows_event_grid_is_accepted_for_cloud_events(reply: Reply, state: ProvisioningState) -> None:
    with serving(lambda _received, _number: reply) as endpoint:
        assert shake(endpoint, Schema.CLOUD_EVENTS).state is state


def test_an_endpoint_that_is_not_there_fails_the_handshake_with_a_reason() -> None:
    with serving(200) as endpoint:
        pass
    result = shake(endpoint)
    assert result.state is ProvisioningState.FAILED
    assert "SocketError" in result.explanation


def test_deletion_is_announced_in_the_event_grid_schema() -> None:
    with serving(200) as endpoint, EventGrid(EventSubscription(endpoint.url, headers=SECRET)) as grid:
        assert grid.unsubscribe().status == 200
    [request] = endpoint.received
    assert request.headers["aeg-event-type"] == "SubscriptionDeletion"
    assert request.headers["authorization"] == SECRET["Authorization"]
    [event] = request.body
    assert event["eventType"] == "Microsoft.EventGrid.SubscriptionDeletedEvent"
    assert event["data"]["eventSubscriptionId"].endswith("/eventSubscriptions/deskbridge-kv")
