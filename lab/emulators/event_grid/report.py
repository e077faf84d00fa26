"""What became of every event of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lab.emulators.event_grid.retries import NextStep


class Outcome(StrEnum):
    """How an event ended. `PENDING` only when the run was stopped."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DROPPED = "dropped"
    DEAD_LETTERED = "dead-lettered"


@dataclass(frozen=True)
class Attempt:
    """One sending of one event. `age_seconds` counts from its publication in Event Grid's time."""

    number: int
    status: int | None
    outcome: str
    seconds: float
    age_seconds: float
    batch_size: int
    duplicate: bool
    said: str = ""


@dataclass
class EventReport:
    """The story of one event. `reason` is the `deadLetterReason` when it was given up."""

    event: Any
    attempts: list[Attempt] = field(default_factory=list)
    outcome: Outcome = Outcome.PENDING
    reason: str | None = None
    dead_letter_blob: str | None = None

    @property
    def event_id(self) -> str | None:
        value = self.event.get("id") if isinstance(self.event, dict) else None
        return value if isinstance(value, str) else None

    @property
    def title(self) -> str:
        """Event type and subject, for a person."""
        if not isinstance(self.event, dict):
            return "something that is no event"
        kind = str(self.event.get("eventType") or self.event.get("type") or "event without a type")
        return f"{kind.removeprefix('Microsoft.KeyVault.')} {self.event.get('subject') or ''}".strip()

    @property
    def statuses(self) -> list[int | None]:
        return [attempt.status for attempt in self.attempts]

    @property
    def accepted(self) -> int:
        """How often the endpoint took this event: more than once with duplicates."""
        return sum(attempt.outcome == "Delivered" for attempt in self.attempts)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.event_id,
            "title": self.title,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "dead_letter_blob": self.dead_letter_blob,
            "attempts": [attempt.__dict__ for attempt in self.attempts],
        }


@dataclass(frozen=True)
class DeliveryNotice:
    """One answered request, for who watches a run: the events in it, the attempt, and what comes next."""

    events: tuple[EventReport, ...]
    attempt: Attempt
    next_step: NextStep
    dead_lettering: bool


@dataclass
class Report:
    """A whole run; `requests` counts the deliveries, duplicates and retries included."""

    events: list[EventReport]
    requests: int = 0

    def _with(self, outcome: Outcome) -> list[EventReport]:
        return [event for event in self.events if event.outcome is outcome]

    @property
    def delivered(self) -> list[EventReport]:
        return self._with(Outcome.DELIVERED)

    @property
    def dropped(self) -> list[EventReport]:
        return self._with(Outcome.DROPPED)

    @property
    def dead_lettered(self) -> list[EventReport]:
        return self._with(Outcome.DEAD_LETTERED)

    @property
    def pending(self) -> list[EventReport]:
        return self._with(Outcome.PENDING)

    @property
    def all_delivered(self) -> bool:
        return all(event.outcome is Outcome.DELIVERED for event in self.events)

    def summary(self) -> str:
        """One line: how many events, how they ended, in how many requests."""
        counts = Counter(event.outcome.value for event in self.events)
        ends = ", ".join(f"{counts[outcome.value]} {outcome.value}" for outcome in Outcome if counts[outcome.value])
        events = "1 event" if len(self.events) == 1 else f"{len(self.events)} events"
        requests = "1 request" if self.requests == 1 else f"{self.requests} requests"
        return f"{events}: {ends or 'nothing to do'}; {requests}"

    def to_json(self) -> dict[str, Any]:
        return {"summary": self.summary(), "requests": self.requests, "events": [e.to_json() for e in self.events]}
