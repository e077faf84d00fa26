"""What Event Grid does after a delivery attempt: pure rules, from "Event Grid message delivery and retry".

Not simulated: probation of an endpoint and the delaying of new events to one that fails, because Microsoft documents
both as best effort; and the small random part of each wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE

# Seconds from one attempt to the next; the last one repeats. Delays, not points in time: only so do the 6 attempts
# in 30 minutes come out that Microsoft's page counts.
RETRY_DELAYS: Final = (10.0, 30.0, MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR)
# "Retry after … or more": the shortest wait after a status. Microsoft's table names the 404 row for Azure resource
# endpoints; a webhook in a function app is treated so as well, which is the slower and so the safer reading.
LEAST_DELAY_AFTER: Final = {404: 5 * MINUTE, 408: 2 * MINUTE, 503: 30.0}
LEAST_DELAY: Final = 10.0

DELIVERED: Final = frozenset({200, 201, 202, 203, 204})
NEVER_RETRIED: Final = frozenset({400, 401, 403, 413})

RESPONSE_TIMEOUT_SECONDS: Final = 30.0
DEFAULT_MAX_ATTEMPTS: Final = 30
DEFAULT_TTL_MINUTES: Final = 1440
DEAD_LETTER_DELAY_SECONDS: Final = 5 * MINUTE

# Statuses with an outcome of their own. `GenericError` stands for all others: Microsoft's table of
# lastDeliveryOutcome has no word for a plain 500.
_OUTCOME_OF_STATUS: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "PayloadTooLarge",
    429: "Busy",
    503: "Busy",
    504: "TimedOut",
}
# Only the first was seen in public reports; the others are formed like it.
_REASON_OF_STATUS: Final = {
    400: "UndeliverableDueToHttpBadRequest",
    401: "UndeliverableDueToHttpUnauthorized",
    403: "UndeliverableDueToHttpForbidden",
    413: "UndeliverableDueToHttpRequestEntityTooLarge",
}
MAX_ATTEMPTS_EXCEEDED: Final = "MaxDeliveryAttemptsExceeded"
TTL_EXCEEDED: Final = "TimeToLiveExceeded"


class NoAnswer(StrEnum):
    """Why an attempt ended without an HTTP status; the values are those of `lastDeliveryOutcome`."""

    TIMED_OUT = "TimedOut"
    SOCKET_ERROR = "SocketError"
    RESOLUTION_ERROR = "ResolutionError"


@dataclass(frozen=True)
class RetryPolicy:
    """A subscription's retry policy: attempts 1 to 30, time to live 1 to 1440 minutes."""

    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    ttl_minutes: int = DEFAULT_TTL_MINUTES

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= DEFAULT_MAX_ATTEMPTS:
            raise ValueError(f"max_attempts must be 1 to {DEFAULT_MAX_ATTEMPTS}, not {self.max_attempts}")
        if not 1 <= self.ttl_minutes <= DEFAULT_TTL_MINUTES:
            raise ValueError(f"ttl_minutes must be 1 to {DEFAULT_TTL_MINUTES}, not {self.ttl_minutes}")


@dataclass(frozen=True)
class Delivered:
    """The endpoint took the delivery."""


@dataclass(frozen=True)
class Retry:
    """The delivery is tried again after so many seconds of Event Grid's time."""

    after_seconds: float


@dataclass(frozen=True)
class GiveUp:
    """The delivery failed for good; `reason` is the `deadLetterReason`."""

    reason: str


NextStep = Delivered | Retry | GiveUp


def outcome(answer: int | NoAnswer) -> str:
    """The `lastDeliveryOutcome` of an attempt."""
    if isinstance(answer, NoAnswer):
        return answer.value
    if answer in DELIVERED:
        return "Delivered"
    return _OUTCOME_OF_STATUS.get(answer, "GenericError")


def next_step(answer: int | NoAnswer, attempts: int, policy: RetryPolicy) -> NextStep:
    """What follows the attempt number `attempts` (from 1) that ended with `answer`.

    The time to live is not looked at here: Event Grid checks it only when the next attempt is due, see `expired`.
    """
    if answer in DELIVERED:
        return Delivered()
    if answer in NEVER_RETRIED:
        return GiveUp(_REASON_OF_STATUS[int(answer)])
    if attempts >= policy.max_attempts:
        return GiveUp(MAX_ATTEMPTS_EXCEEDED)
    scheduled = RETRY_DELAYS[min(attempts, len(RETRY_DELAYS)) - 1]
    least = LEAST_DELAY_AFTER.get(answer, LEAST_DELAY) if isinstance(answer, int) else LEAST_DELAY
    return Retry(max(scheduled, least))


def expired(age_seconds: float, policy: RetryPolicy) -> bool:
    """Whether an event is past its time to live when an attempt is due `age_seconds` after its publication."""
    return age_seconds >= policy.ttl_minutes * MINUTE


def in_words(seconds: float) -> str:
    """A wait as a person says it: `30 s`, `5 min`, `12 h`."""
    for unit, name in ((HOUR, "h"), (MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"
