"""What other systems send, and what they are answered with."""

from typing import Any

from pydantic import BaseModel, Field

from functions.schemas.shapes import Answer
from shared.users.webhook import WebhookOutcome

# An array in Event Grid's schema, or one event or a batch of them in that of CloudEvents 1.0.
# What is in the array and is none is quarantined, so anything may be.
Events = list[Any] | dict[str, Any]


class DeliveryAnswer(Answer):
    """What became of a delivery, or the code of a validation handshake. The handshake of CloudEvents has no body."""

    recorded: int | None = None
    quarantined: int | None = None
    validationResponse: str | None = None  # noqa: N815 - Event Grid's own name


class WebhookRefusal(Answer):
    """A refusal. To a stranger, and for what is wrong inside, the reason is all: the sentences are in the log."""

    type: str = Field(pattern="^urn:deskbridge:reason:[a-z0-9_]+$")
    status: int
    reason: str
    detail: str = ""


class AuthRocketEvent(BaseModel):
    """An event as AuthRocket sends it; whatever else it holds is not looked at."""

    id: str
    event_type: str


class AuthRocketFollowed(Answer):
    """What the event led to."""

    outcome: WebhookOutcome
    message: str
