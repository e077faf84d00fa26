"""The request headers that Event Grid sends. Forms as seen in recorded deliveries."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from lab.emulators.event_grid.events import Schema

if TYPE_CHECKING:
    from lab.emulators.event_grid.subscription import EventSubscription

ORIGIN: Final = "eventgrid.azure.net"
JSON: Final = "application/json; charset=utf-8"
CLOUD_EVENT: Final = "application/cloudevents+json; charset=utf-8"
CLOUD_EVENTS_BATCH: Final = "application/cloudevents-batch+json; charset=utf-8"


class MessageKind(StrEnum):
    """The values of `aeg-event-type`."""

    VALIDATION = "SubscriptionValidation"
    NOTIFICATION = "Notification"
    DELETION = "SubscriptionDeletion"


def content_type(schema: Schema, *, batched: bool) -> str:
    """CloudEvents have a type for a single event and one for an array; the Event Grid schema is always an array."""
    if schema is Schema.EVENT_GRID:
        return JSON
    return CLOUD_EVENTS_BATCH if batched else CLOUD_EVENT


def system_headers(subscription: EventSubscription, kind: MessageKind, *, event_id: str) -> dict[str, str]:
    """Headers of a message that Event Grid itself sends; always in the Event Grid schema, whatever is delivered."""
    return {
        "Content-Type": JSON,
        "aeg-subscription-name": subscription.wire_name,
        "aeg-delivery-count": "0",
        "aeg-data-version": "2" if kind is MessageKind.VALIDATION else "1",
        "aeg-metadata-version": "1",
        "aeg-event-type": kind.value,
        "aeg-output-event-id": event_id,
    }


def notification_headers(
    subscription: EventSubscription, *, earlier_attempts: int, event_id: str | None
) -> dict[str, str]:
    """Headers of a delivery, the static ones included.

    Args:
        subscription: whose name, schema and static headers they carry.
        earlier_attempts: `aeg-delivery-count`, 0 the first time.
        event_id: `aeg-output-event-id`; None for a batch, which has no single id.
    """
    cloud = subscription.schema is Schema.CLOUD_EVENTS
    made = {
        "Content-Type": content_type(subscription.schema, batched=subscription.batched),
        "aeg-subscription-name": subscription.wire_name,
        "aeg-delivery-count": str(earlier_attempts),
        "aeg-data-version": "" if cloud else "1",
        "aeg-metadata-version": "1.0" if cloud else "1",
        "aeg-event-type": MessageKind.NOTIFICATION.value,
    }
    if event_id is not None:
        made["aeg-output-event-id"] = event_id
    if cloud:
        made["Origin"] = ORIGIN
    return {**made, **subscription.headers}
