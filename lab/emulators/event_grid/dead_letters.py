"""What Event Grid could not deliver: the form of a dead letter, the name of its blob, and where blobs go."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import ContainerClient

from lab.emulators.event_grid.destinations import compact
from lab.emulators.event_grid.events import Schema, seven_digits


class DeadLetterContainerMissingError(RuntimeError):
    """The container does not exist: Event Grid then drops the events."""


class DeadLetterStoreUnavailableError(RuntimeError):
    """The storage account does not answer: Event Grid tries for four hours."""


@dataclass(frozen=True)
class Failure:
    """Why and when an event was given up; `last_status` is None when there was no HTTP answer."""

    reason: str
    attempts: int
    last_outcome: str
    last_status: int | None
    published_at: datetime
    last_attempt_at: datetime | None


def dead_letter(event: Any, failure: Failure, schema: Schema) -> Any:
    """The event with the properties that Event Grid adds: camel case in its own schema, lower case in CloudEvents."""
    added: dict[str, Any] = {
        "deadLetterReason": failure.reason,
        "deliveryAttempts": failure.attempts,
        "lastDeliveryOutcome": failure.last_outcome,
    }
    if failure.last_status is not None:
        added["lastHttpStatusCode"] = failure.last_status
    added["publishTime"] = seven_digits(failure.published_at)
    if failure.last_attempt_at is not None:
        added["lastDeliveryAttemptTime"] = seven_digits(failure.last_attempt_at)
    if schema is Schema.CLOUD_EVENTS:
        added = {name.lower(): value for name, value in added.items()}
    # What is no object cannot carry properties. The real service never accepts such an event in the first place.
    return {**event, **added} if isinstance(event, Mapping) else {"event": event, **added}


def blob_name(subscription_name: str, written_at: datetime) -> str:
    """`<SUBSCRIPTION NAME>/2026/8/1/5/<guid>.json`: upper case, UTC, numbers without leading zeros."""
    moment = written_at.astimezone(UTC)
    folder = f"{moment.year}/{moment.month}/{moment.day}/{moment.hour}"
    return f"{subscription_name.upper()}/{folder}/{uuid.uuid4()}.json"


class DeadLetters(Protocol):
    """A place for dead-letter blobs."""

    def put(self, name: str, events: list[Any]) -> None:
        """Write one blob.

        Raises:
            DeadLetterContainerMissingError: there is no such place.
            DeadLetterStoreUnavailableError: it may work later.
        """
        ...


class DeadLetterBlobs:
    """Dead letters in a blob container, which must exist."""

    def __init__(self, connection_string: str, container: str) -> None:
        self._container = container
        self._client = ContainerClient.from_connection_string(connection_string, container, retry_total=1)

    def put(self, name: str, events: list[Any]) -> None:
        try:
            self._client.upload_blob(name, compact(events), overwrite=False)
        except ResourceNotFoundError as error:
            raise DeadLetterContainerMissingError(f"no blob container named {self._container!r}") from error
        except AzureError as error:
            raise DeadLetterStoreUnavailableError(f"{type(error).__name__} on writing {name}") from error

    def close(self) -> None:
        self._client.close()


class DeadLettersInMemory:
    """Dead letters in a dictionary, for a run without storage."""

    def __init__(self) -> None:
        self.blobs: dict[str, list[Any]] = {}

    def put(self, name: str, events: list[Any]) -> None:
        self.blobs[name] = events

    @property
    def events(self) -> list[Any]:
        return [event for events in self.blobs.values() for event in events]
