"""An event subscription: where events go, in which form, and what happens when they cannot be delivered."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from lab.emulators.event_grid.events import Schema, vault_resource_id
from lab.emulators.event_grid.retries import RESPONSE_TIMEOUT_SECONDS, RetryPolicy

if TYPE_CHECKING:
    from lab.emulators.event_grid.dead_letters import DeadLetters

MAX_HEADERS: Final = 10
MAX_HEADER_BYTES: Final = 4096
MAX_EVENTS_PER_BATCH: Final = 5000
MAX_PREFERRED_KIB: Final = 1024

_NAME = re.compile(r"[A-Za-z0-9-]{3,64}")


class SubscriptionError(ValueError):
    """The real Event Grid would not accept such a subscription; the message says why."""


def basic_authorization(user: str, password: str) -> str:
    """The value of an `Authorization` header for HTTP Basic, as an operator enters it in the portal."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


@dataclass(frozen=True)
class EventSubscription:
    """A subscription of a webhook, within the limits that Azure sets.

    `headers` are the static delivery properties; they ride on every notification, and on the handshake when
    `headers_on_handshake` says so (Microsoft does not document whether they do). `max_events_per_batch` 1 is Event
    Grid's default: batching is off. `dead_letters` None is the default too: what fails for good is dropped.
    `response_timeout_seconds` is real time, never sped up. `ca_file` verifies an endpoint with a private authority.
    """

    endpoint: str
    name: str = "deskbridge-kv"
    schema: Schema = Schema.EVENT_GRID
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers_on_handshake: bool = True
    max_events_per_batch: int = 1
    preferred_batch_kib: int = 64
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    dead_letters: DeadLetters | None = None
    response_timeout_seconds: float = RESPONSE_TIMEOUT_SECONDS
    ca_file: str | None = None
    topic: str = field(default_factory=lambda: vault_resource_id("acorn-vault"))

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SubscriptionError(f"subscription name {self.name!r}: 3 to 64 letters, digits or hyphens")
        _check_endpoint(self.endpoint)
        if not 1 <= self.max_events_per_batch <= MAX_EVENTS_PER_BATCH:
            raise SubscriptionError(f"the maximum of events per batch must be 1 to {MAX_EVENTS_PER_BATCH}")
        if not 1 <= self.preferred_batch_kib <= MAX_PREFERRED_KIB:
            raise SubscriptionError(f"the preferred batch size must be 1 to {MAX_PREFERRED_KIB} KiB")
        if len(self.headers) > MAX_HEADERS:
            raise SubscriptionError(f"at most {MAX_HEADERS} delivery headers, not {len(self.headers)}")
        for name, value in self.headers.items():
            if name.lower().startswith("aeg-"):
                raise SubscriptionError(f"delivery header {name!r}: names with aeg- belong to Event Grid")
            if len(value.encode()) > MAX_HEADER_BYTES:
                raise SubscriptionError(f"delivery header {name!r} is over {MAX_HEADER_BYTES} bytes")

    @property
    def wire_name(self) -> str:
        """The name as it travels in headers and blob names: in upper case."""
        return self.name.upper()

    @property
    def resource_id(self) -> str:
        """The ARM id of the subscription, which is a child of its topic."""
        return f"{self.topic}/providers/Microsoft.EventGrid/eventSubscriptions/{self.name}"

    @property
    def batched(self) -> bool:
        return self.max_events_per_batch > 1

    def delivery_body(self, events: Sequence[Any]) -> Any:
        """The events as one request body: a CloudEvent alone is an object, everything else an array."""
        if self.schema is Schema.CLOUD_EVENTS and not self.batched:
            return events[0]
        return list(events)


def _check_endpoint(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SubscriptionError(f"{endpoint!r} is no http or https address")
    if parts.username or parts.password:
        raise SubscriptionError("the endpoint must not contain a user or password: use the delivery headers")
    loopback = parts.hostname in {"localhost", "::1"} or parts.hostname.startswith("127.")
    if parts.scheme == "http" and not loopback:
        raise SubscriptionError(f"{endpoint!r}: Event Grid delivers to https only; http is for loopback addresses")
