"""The simulator as a Python object: one subscription, its handshake, its deliveries, its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from lab.emulators.event_grid.delivery_plan import Disorder
from lab.emulators.event_grid.delivery_run import Pace, Run
from lab.emulators.event_grid.destinations import Answer, Destination, Webhook
from lab.emulators.event_grid.events import KeyVaultEvent
from lab.emulators.event_grid.handshake import HandshakeResult, ProvisioningState, announce_deletion, shake_hands
from lab.emulators.event_grid.report import DeliveryNotice, Report
from lab.emulators.event_grid.subscription import EventSubscription


class EventGrid:
    """Event Grid for one subscription. Close it, or use it with `with`.

    Waits (retries, delays, the five minutes before a dead letter) are divided by `speed`; the endpoint's own time is
    not. An event's age, which decides about its time to live, counts the full waits: at any speed a run ends alike.
    `workers` deliver at the same time. `destination` takes the deliveries instead of the webhook (a storage queue).
    `on_delivery` is called after every answer, from the worker's thread.

        with EventGrid(EventSubscription("http://localhost:7071/api/events/key-vault")) as grid:
            assert grid.subscribe().accepted
            report = grid.deliver([make_event("SecretNearExpiry", vault="acorn-vault", name="mail-password")])
            assert report.all_delivered
    """

    def __init__(
        self,
        subscription: EventSubscription,
        *,
        speed: float = 1.0,
        workers: int = 1,
        disorder: Disorder | None = None,
        destination: Destination | None = None,
        on_delivery: Callable[[DeliveryNotice], None] | None = None,
    ) -> None:
        self.subscription = subscription
        self._pace = Pace(speed=speed, workers=workers, disorder=disorder)
        self._webhook = Webhook(subscription)
        self._destination: Destination = destination or self._webhook
        self._on_delivery = on_delivery
        self._lock = threading.Lock()
        self._stopped = False
        self._run: Run | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._webhook.close()
        if self._destination is not self._webhook:
            self._destination.close()

    def subscribe(self, *, validation_url: str | None = None) -> HandshakeResult:
        """The handshake of the subscription's schema.

        `validation_url` replaces the address for manual validation, so that a test can watch that nobody calls it.
        """
        if self._destination is not self._webhook:
            return HandshakeResult(ProvisioningState.SUCCEEDED, "a storage queue is not asked", None)
        return shake_hands(self._webhook, self.subscription, validation_url=validation_url)

    def unsubscribe(self) -> Answer:
        """Send the notice that the subscription was deleted; Event Grid sends it once and ignores the answer."""
        return announce_deletion(self._webhook, self.subscription)

    def deliver(self, events: Sequence[KeyVaultEvent | Any]) -> Report:
        """Deliver events until each is delivered, dropped or dead-lettered, or until `stop`.

        What is no KeyVaultEvent is sent as it is: that is how to send a malformed one.
        """
        schema = self.subscription.schema
        bodies = [event.to_json(schema) if isinstance(event, KeyVaultEvent) else event for event in events]
        run = Run(self.subscription, self._destination, bodies, pace=self._pace, on_delivery=self._on_delivery)
        with self._lock:
            self._run = run
            if self._stopped:
                run.stop()
        return run.finish()

    def stop(self) -> None:
        """End a running `deliver` after the requests under way, and every later one; what has not ended is pending."""
        with self._lock:
            self._stopped = True
            if self._run is not None:
                self._run.stop()
