"""One run: a queue of deliveries that are due, the workers that empty it, and what each answer leads to."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lab.emulators.event_grid import retries
from lab.emulators.event_grid.dead_letters import (
    DeadLetterContainerMissingError,
    DeadLetterStoreUnavailableError,
    Failure,
    blob_name,
    dead_letter,
)
from lab.emulators.event_grid.delivery_plan import Copy, Disorder, plan_deliveries
from lab.emulators.event_grid.destinations import Answer, Destination, compact
from lab.emulators.event_grid.report import Attempt, DeliveryNotice, EventReport, Outcome, Report
from lab.emulators.event_grid.retries import Delivered, GiveUp, Retry
from lab.emulators.event_grid.subscription import EventSubscription

DEAD_LETTER_PATIENCE_SECONDS: Final = 4 * retries.HOUR
_SAID_KEPT: Final = 300


@dataclass(frozen=True)
class Pace:
    """How fast Event Grid's waits pass, how many deliver at once, and in what disorder."""

    speed: float = 1.0
    workers: int = 1
    disorder: Disorder | None = None

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError("speed must be above 0")
        if self.workers < 1:
            raise ValueError("workers must be at least 1")


@dataclass
class _Delivery:
    """Copies on their way together. Ages are Event Grid's time since the publication, in seconds."""

    copies: tuple[Copy, ...]
    age: float
    attempts: int = 0
    last: Answer | None = None
    last_attempt_age: float | None = None


@dataclass
class _DeadLetterBlob:
    """Dead letters that wait to be written together."""

    letters: list[tuple[EventReport, Any]]
    age: float
    waited: float = 0.0


class Run:
    """Delivers `bodies` to the destination until each has ended. Used once."""

    def __init__(
        self,
        subscription: EventSubscription,
        destination: Destination,
        bodies: list[Any],
        *,
        pace: Pace,
        on_delivery: Callable[[DeliveryNotice], None] | None = None,
    ) -> None:
        self._subscription = subscription
        self._destination = destination
        self._pace = pace
        self._on_delivery = on_delivery
        self._report = Report([EventReport(body) for body in bodies])
        self._published_at = datetime.now(UTC)
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, _Delivery | _DeadLetterBlob]] = []
        self._sequence = itertools.count()
        self._in_progress = 0
        self._stopped = False
        self._blob: _DeadLetterBlob | None = None
        planned = plan_deliveries(
            [len(compact(body)) for body in bodies],
            max_events=subscription.max_events_per_batch,
            preferred_kib=subscription.preferred_batch_kib,
            disorder=pace.disorder,
        )
        for delivery in planned:
            self._schedule(_Delivery(delivery.copies, delivery.after_seconds), delivery.after_seconds)

    def stop(self) -> None:
        """End after the requests under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def finish(self) -> Report:
        """Work until nothing is left, or until stopped; an exception in a worker ends the run and is raised here."""
        with ThreadPoolExecutor(self._pace.workers, thread_name_prefix="event-grid") as pool:
            try:
                for future in [pool.submit(self._work) for _ in range(self._pace.workers)]:
                    future.result()
            except BaseException:
                self.stop()
                raise
        return self._report

    def _schedule(self, item: _Delivery | _DeadLetterBlob, after_seconds: float) -> None:
        with self._changed:
            due_at = time.monotonic() + after_seconds / self._pace.speed
            heapq.heappush(self._due, (due_at, next(self._sequence), item))
            self._changed.notify_all()

    def _work(self) -> None:
        while (item := self._next()) is not None:
            try:
                if isinstance(item, _DeadLetterBlob):
                    self._write(item)
                else:
                    self._attempt(item)
            except BaseException:
                self.stop()
                raise
            finally:
                with self._changed:
                    self._in_progress -= 1
                    self._changed.notify_all()

    def _next(self) -> _Delivery | _DeadLetterBlob | None:
        """Wait for the next item that is due; None when there is nothing more to come."""
        with self._changed:
            while not self._stopped:
                if not self._due:
                    if not self._in_progress:
                        return None
                    self._changed.wait()
                    continue
                wait = self._due[0][0] - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                item = heapq.heappop(self._due)[2]
                if item is self._blob:
                    self._blob = None
                self._in_progress += 1
                return item
            return None

    def _attempt(self, delivery: _Delivery) -> None:
        policy = self._subscription.retry
        if retries.expired(delivery.age, policy):
            self._give_up(delivery, retries.TTL_EXCEEDED)
            return
        events = tuple(self._report.events[copy.event] for copy in delivery.copies)
        answer = self._destination.deliver([event.event for event in events], earlier_attempts=delivery.attempts)
        delivery.attempts += 1
        delivery.last, delivery.last_attempt_age = answer, delivery.age
        step = retries.next_step(answer.result, delivery.attempts, policy)
        self._note(delivery, answer, events, step)
        delivery.age += answer.seconds
        match step:
            case Delivered():
                with self._changed:
                    for event, copy in zip(events, delivery.copies, strict=True):
                        if not copy.duplicate:
                            event.outcome = Outcome.DELIVERED
            case Retry(after_seconds):
                delivery.age += after_seconds
                self._schedule(delivery, after_seconds)
            case GiveUp(reason):
                self._give_up(delivery, reason)

    def _note(
        self, delivery: _Delivery, answer: Answer, events: tuple[EventReport, ...], step: retries.NextStep
    ) -> None:
        with self._changed:
            self._report.requests += 1
            for event, copy in zip(events, delivery.copies, strict=True):
                attempt = Attempt(
                    number=delivery.attempts,
                    status=answer.status,
                    outcome=retries.outcome(answer.result),
                    seconds=answer.seconds,
                    age_seconds=delivery.age,
                    batch_size=len(events),
                    duplicate=copy.duplicate,
                    said=answer.body[:_SAID_KEPT],
                )
                event.attempts.append(attempt)
        if self._on_delivery is not None:
            dead_lettering = self._subscription.dead_letters is not None
            self._on_delivery(DeliveryNotice(events, events[0].attempts[-1], step, dead_lettering))

    def _give_up(self, delivery: _Delivery, reason: str) -> None:
        # A duplicate that fails is only noted: its original tells the event's end.
        events = [self._report.events[copy.event] for copy in delivery.copies if not copy.duplicate]
        if self._subscription.dead_letters is None:
            with self._changed:
                for event in events:
                    event.outcome, event.reason = Outcome.DROPPED, reason
            return
        failure = Failure(
            reason=reason,
            attempts=delivery.attempts,
            last_outcome=retries.outcome(delivery.last.result) if delivery.last else "Aborted",
            last_status=delivery.last.status if delivery.last else None,
            published_at=self._published_at,
            last_attempt_at=None if delivery.last_attempt_age is None else self._at(delivery.last_attempt_age),
        )
        with self._changed:
            for event in events:
                event.reason = reason
            letters = [(event, dead_letter(event.event, failure, self._subscription.schema)) for event in events]
            if self._blob is not None:
                self._blob.letters.extend(letters)
            elif letters:
                self._blob = _DeadLetterBlob(letters, delivery.age + retries.DEAD_LETTER_DELAY_SECONDS)
                self._schedule(self._blob, retries.DEAD_LETTER_DELAY_SECONDS)

    def _write(self, blob: _DeadLetterBlob) -> None:
        store = self._subscription.dead_letters
        assert store is not None, "dead letters are only gathered when there is a place for them"
        name = blob_name(self._subscription.name, self._at(blob.age))
        try:
            store.put(name, [letter for _, letter in blob.letters])
        except DeadLetterContainerMissingError as error:
            self._lose(blob, str(error))
        except DeadLetterStoreUnavailableError as error:
            if blob.waited >= DEAD_LETTER_PATIENCE_SECONDS:
                self._lose(blob, f"dead letters could not be written for four hours: {error}")
                return
            pause = retries.DEAD_LETTER_DELAY_SECONDS
            blob.waited += pause
            blob.age += pause
            self._schedule(blob, pause)
        else:
            with self._changed:
                for event, _ in blob.letters:
                    event.outcome, event.dead_letter_blob = Outcome.DEAD_LETTERED, name

    def _lose(self, blob: _DeadLetterBlob, why: str) -> None:
        with self._changed:
            for event, _ in blob.letters:
                event.outcome, event.reason = Outcome.DROPPED, f"{event.reason}; {why}"

    def _at(self, age: float) -> datetime:
        return self._published_at + timedelta(seconds=age)
