"""How Event Grid asks an endpoint whether it wants the events. Each schema has a way of its own."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lab.emulators.event_grid.destinations import Answer, Webhook
from lab.emulators.event_grid.events import JsonObject, Schema, seven_digits
from lab.emulators.event_grid.headers import ORIGIN, MessageKind, system_headers

if TYPE_CHECKING:
    from lab.emulators.event_grid.subscription import EventSubscription

REQUEST_RATE = "120"


class ProvisioningState(StrEnum):
    """The state that Azure would show for the subscription."""

    SUCCEEDED = "Succeeded"
    AWAITING_MANUAL_ACTION = "AwaitingManualAction"
    FAILED = "Failed"


@dataclass(frozen=True)
class HandshakeResult:
    """How the handshake ended, in Azure's words and in a sentence."""

    state: ProvisioningState
    explanation: str
    answer: Answer | None
    validation_code: str | None = None

    @property
    def accepted(self) -> bool:
        return self.state is ProvisioningState.SUCCEEDED


def validation_event(subscription: EventSubscription, *, code: str, validation_url: str, now: datetime) -> JsonObject:
    """The SubscriptionValidationEvent, the only member of the array that is posted."""
    return {
        "id": str(uuid.uuid4()),
        "topic": subscription.topic,
        "subject": "",
        "data": {"validationCode": code, "validationUrl": validation_url},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": seven_digits(now),
        "metadataVersion": "1",
        "dataVersion": "2",
    }


def manual_validation_url(subscription: EventSubscription, code: str) -> str:
    """An address of the form that Azure sends. It leads nowhere; a webhook must not call it."""
    return (
        "https://rp-lab.eventgrid.azure.invalid:553/eventsubscriptions/"
        f"{subscription.name.lower()}/validate?id={code}&t=lab&apiVersion=2022-06-15&token=lab"
    )


def shake_hands(
    webhook: Webhook, subscription: EventSubscription, *, validation_url: str | None = None
) -> HandshakeResult:
    """Ask the endpoint, and judge its answer as the real service does.

    `validation_url` replaces the address for manual validation, so that a test can watch that nobody calls it.
    """
    code = str(uuid.uuid4()).upper()
    url = validation_url or manual_validation_url(subscription, code)
    static = dict(subscription.headers) if subscription.headers_on_handshake else {}
    if subscription.schema is Schema.CLOUD_EVENTS:
        asked = {
            "WebHook-Request-Origin": ORIGIN,
            "WebHook-Request-Callback": url,
            "WebHook-Request-Rate": REQUEST_RATE,
        }
        return _judge_options(webhook.send("OPTIONS", {**asked, **static}))
    event = validation_event(subscription, code=code, validation_url=url, now=datetime.now(UTC))
    headers = system_headers(subscription, MessageKind.VALIDATION, event_id=event["id"])
    return _judge_validation(webhook.send("POST", {**headers, **static}, [event]), code)


def announce_deletion(webhook: Webhook, subscription: EventSubscription) -> Answer:
    """Tell the endpoint that the subscription is gone. Event Grid does not mind what it answers.

    In the Event Grid schema whatever the subscription delivers: reported by users, not documented by Microsoft.
    """
    event_id = str(uuid.uuid4())
    event = {
        "id": event_id,
        "topic": subscription.topic,
        "subject": "",
        "data": {"eventSubscriptionId": subscription.resource_id},
        "eventType": "Microsoft.EventGrid.SubscriptionDeletedEvent",
        "eventTime": seven_digits(datetime.now(UTC)),
        "metadataVersion": "1",
        "dataVersion": "1",
    }
    headers = system_headers(subscription, MessageKind.DELETION, event_id=event_id)
    return webhook.send("POST", {**headers, **subscription.headers}, [event])


def _judge_validation(answer: Answer, code: str) -> HandshakeResult:
    def failed(why: str) -> HandshakeResult:
        return HandshakeResult(ProvisioningState.FAILED, why, answer, code)

    if answer.status is None:
        return failed(f"no answer: {answer.result}")
    if answer.status != 200:
        return failed(f"the endpoint must answer 200, it answered {answer.status}")
    returned = _validation_response(answer.body)
    if returned is None:
        return HandshakeResult(
            ProvisioningState.AWAITING_MANUAL_ACTION,
            "200 without a validationResponse: Event Grid now waits five minutes for a call of the validationUrl",
            answer,
            code,
        )
    if returned != code:
        return failed("the validationResponse is not the validationCode that was sent")
    return HandshakeResult(ProvisioningState.SUCCEEDED, "the endpoint returned the validation code", answer, code)


def _validation_response(body: str) -> Any:
    """The code in the answer. Its name is matched in any case: Microsoft's own samples write it in two ways."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    return next((value for name, value in content.items() if name.lower() == "validationresponse"), None)


def _judge_options(answer: Answer) -> HandshakeResult:
    if answer.status is None:
        return HandshakeResult(ProvisioningState.FAILED, f"no answer: {answer.result}", answer)
    if answer.status != 200:
        return HandshakeResult(
            ProvisioningState.FAILED, f"the endpoint must answer OPTIONS with 200, it answered {answer.status}", answer
        )
    allowed = next((value for name, value in answer.headers.items() if name.lower() == "webhook-allowed-origin"), None)
    if allowed is None:
        return HandshakeResult(
            ProvisioningState.AWAITING_MANUAL_ACTION,
            "200 without WebHook-Allowed-Origin: not agreed; Event Grid waits for a call of WebHook-Request-Callback",
            answer,
        )
    if allowed.strip() not in {"*", ORIGIN}:
        return HandshakeResult(
            ProvisioningState.FAILED, f"WebHook-Allowed-Origin is {allowed!r}, it must be {ORIGIN} or *", answer
        )
    return HandshakeResult(ProvisioningState.SUCCEEDED, f"the endpoint allows {allowed.strip()}", answer)
