"""The Functions host of a simulation: hands out timers, requests and queue messages, gives again, and gives up.

As host.json and the storage queues have it: a message that fails is hidden for a minute, one whose worker died for
ten; after five deliveries it goes to the poison queue. Output messages are sent after the function has returned.
"""

import heapq
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import azure.functions as func
from azure.functions.queue import QueueMessage

from lab.fakes.tables import KilledError
from lab.faults.disturbances import Disturbances
from lab.faults.flows import SKEWED, Flow
from lab.faults.operator_access import TOKEN
from lab.faults.simulation import Simulation, Worker
from shared.errors import DeskbridgeError, TryLaterError
from shared.reasons import Reason
from shared.storage.names import OUTBOX_QUEUE, poison_queue

logger = logging.getLogger(__name__)

_MOST_DELIVERIES = 5
_HIDDEN_AFTER_FAILURE = timedelta(minutes=1)
_LEASE = timedelta(minutes=10)

Act = Callable[[], None]


class Outputs:
    """What a function hands to its queue output binding."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def set(self, messages: Sequence[str]) -> None:
        self.messages = list(messages)

    def get(self) -> Sequence[str]:
        return self.messages


@dataclass
class Message:
    """One message of a queue. `receipt` changes with every delivery."""

    id: str
    body: str
    visible_at: datetime
    deliveries: int = 0
    receipt: int = 0


@dataclass
class Queue:
    """A storage queue and the function that it triggers."""

    name: str
    flow: Callable[[str], Flow]
    handle: Callable[[QueueMessage, Outputs], None]
    outputs_to: str = ""
    messages: list[Message] = field(default_factory=list[Message])


@dataclass(frozen=True)
class Called:
    """How an invocation ended: its answer, the error it raised, or that its worker died."""

    answer: Any = None
    error: Exception | None = None
    killed: bool = False


@dataclass(frozen=True)
class Bug:
    """An error that the product has no word for."""

    where: str
    error: str


class Host:
    """Workers and what there is for them to do, until `ends_at`."""

    def __init__(self, simulation: Simulation, disturbances: Disturbances, ends_at: datetime) -> None:
        self.simulation = simulation
        self.disturbances = disturbances
        self.ends_at = ends_at
        self.queues: dict[str, Queue] = {}
        self.bugs: list[Bug] = []
        self.sent: list[str] = []
        self.poisoned = 0
        self.invocations = 0
        self.prepare: Callable[[], None] = lambda: None
        self._agenda: list[tuple[datetime, int, Act]] = []
        self._numbers = itertools.count()

    def add_queue(
        self,
        name: str,
        flow: Callable[[str], Flow],
        handle: Callable[[QueueMessage, Outputs], None],
        poison: Callable[[QueueMessage, Outputs], None],
        outputs_to: str = "",
    ) -> None:
        """A queue with its poison queue. `flow` says of a message's body what it is part of."""
        self.queues[name] = Queue(name, flow, handle, outputs_to)
        self.queues[poison_queue(name)] = Queue(poison_queue(name), flow, poison, outputs_to)

    def at(self, moment: datetime, act: Act) -> None:
        """Have a worker do this then, or as soon as one is free."""
        heapq.heappush(self._agenda, (moment, next(self._numbers), act))
        self.simulation.wake_idle()

    def after(self, seconds: float, act: Act) -> None:
        self.at(self.simulation.at + timedelta(seconds=seconds), act)

    def send(self, queue: str, bodies: Sequence[str]) -> None:
        for body in bodies:
            self.sent.append(body)
            with self._doing(self.queues[queue].flow(body)):
                twice = self.disturbances.happens("queue", self.disturbances.rates.queue / 4, ("message doubled",))
                for _ in range(2 if twice else 1):
                    late = self.disturbances.happens("queue", self.disturbances.rates.queue, ("message late",))
                    wait = timedelta(seconds=self.disturbances.rng.choice((30, 700, 2000)) if late else 0.05)
                    message = Message(f"m{next(self._numbers)}", body, self.simulation.at + wait)
                    self.queues[queue].messages.append(message)
        self.simulation.wake_idle()

    def hurry(self, body: str) -> None:
        """As the outbox sends a message, in the middle of a function; it may fail, or the message be lost."""
        kind = self.disturbances.happens("queue", self.disturbances.rates.queue, ("outputs lost", "refused"))
        if kind == "refused":
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "The queue does not answer.")
        if kind is None:
            self.send(OUTBOX_QUEUE, [body])

    def later(self, queue: str, body: str, seconds: float) -> None:
        """As a vault is waited for: a message that is hidden so long. Sending it may fail, in the middle of a
        function."""
        if self.disturbances.happens("queue", self.disturbances.rates.queue, ("refused",)):
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "The queue does not answer.")
        self.sent.append(body)
        shown_at = self.simulation.at + timedelta(seconds=seconds)
        self.queues[queue].messages.append(Message(f"m{next(self._numbers)}", body, shown_at))
        self.simulation.wake_idle()

    def left(self) -> list[str]:
        """What was not done to the end, in words."""
        waiting = [f"{queue.name}: {message.body}" for queue in self.queues.values() for message in queue.messages]
        return waiting + [f"due at {moment:%d %H:%M}" for moment, _, _ in self._agenda]

    # What a worker does

    def live(self, _worker: Worker) -> None:
        self.prepare()
        while True:
            work = self._take()
            if work is not None:
                work()
            elif self.simulation.at >= self.ends_at:
                return
            else:
                self.simulation.idle_until(min(self._next_due(), self.ends_at))

    def call(self, flow: Flow, where: str, function: Callable[[], Any]) -> Called:
        """Invoke the product. A death of the worker costs it all that it held in memory."""
        self.invocations += 1
        with self._doing(flow):
            worker = self.simulation.current
            if worker is not None and worker.skew:
                self.disturbances.count(SKEWED)
            return self._called(where, function)

    @contextmanager
    def _doing(self, flow: Flow) -> Iterator[None]:
        """What goes wrong within is counted for this flow."""
        worker = self.simulation.current
        assert worker is not None
        before, worker.doing = worker.doing, flow
        try:
            yield
        finally:
            worker.doing = before

    def _called(self, where: str, function: Callable[[], Any]) -> Called:
        try:
            self.simulation.pause()
            return Called(function())
        except KilledError:
            self.die()
            return Called(killed=True)
        except DeskbridgeError as error:
            return Called(error=error)
        except Exception as error:
            # As the host catches everything; what is no refusal of the product's is a finding.
            logger.debug("a bug", exc_info=True)
            self.bugs.append(Bug(where, f"{type(error).__name__}: {error}"))
            return Called(error=error)

    def die(self) -> None:
        self.simulation.forget_objects()
        # A new process takes a while.
        self.simulation.sleep(2)
        self.prepare()

    def fire(self, flow: Flow, timer: Callable[[Outputs], None], outputs_to: str = "") -> None:
        """A timer. Nobody repeats it: what it could not do, the next one does."""
        with self._doing(flow):
            if self.disturbances.happens("timer", self.disturbances.rates.kills * 3, ("missed",)):
                return
        outputs = Outputs()
        called = self.call(flow, f"the timer of the {flow}", lambda: timer(outputs))
        if not called.killed and called.error is None:
            self.flush(flow, outputs, outputs_to)

    def flush(self, flow: Flow, outputs: Outputs, queue: str) -> bool:
        """Send what the function handed over; the worker may die before, or in the middle."""
        bodies = outputs.messages
        rate = self.disturbances.rates.queue
        with self._doing(flow):
            lost = bodies and self.disturbances.happens("queue", rate, ("outputs lost", "half the outputs"))
        if lost:
            self.send(queue, bodies[: len(bodies) // 2] if lost == "half the outputs" else [])
            self.die()
            return False
        if bodies:
            self.send(queue, bodies)
        return True

    def _deliver(self, queue: Queue, message: Message) -> None:
        message.deliveries += 1
        message.receipt += 1
        receipt = message.receipt
        message.visible_at = self.simulation.at + _LEASE
        if message.deliveries > _MOST_DELIVERIES and not queue.name.endswith("-poison"):
            self._give_up(queue, message)
            return
        outputs = Outputs()
        given = QueueMessage(
            id=message.id, body=message.body.encode(), dequeue_count=message.deliveries, pop_receipt=str(receipt)
        )
        flow = queue.flow(message.body)
        called = self.call(flow, f"the queue {queue.name}", lambda: queue.handle(given, outputs))
        if called.killed:
            return
        if message.receipt != receipt:
            # It took so long that the queue gave it to another worker, whose message it is now.
            if called.error is None:
                self.flush(flow, outputs, queue.outputs_to)
            return
        if called.error is not None:
            if message.deliveries >= _MOST_DELIVERIES:
                self._give_up(queue, message)
            else:
                message.visible_at = self.simulation.at + _HIDDEN_AFTER_FAILURE
                self.simulation.wake_idle()
            return
        if not self.flush(flow, outputs, queue.outputs_to):
            return
        with self._doing(flow):
            if self.disturbances.happens("queue", self.disturbances.rates.queue / 2, ("not removed",)):
                return
        if message in queue.messages:
            queue.messages.remove(message)

    def _give_up(self, queue: Queue, message: Message) -> None:
        if message not in queue.messages:
            return
        queue.messages.remove(message)
        if queue.name.endswith("-poison"):
            # There is no poison queue of a poison queue: the message stays, and comes again when its lease is over.
            queue.messages.append(message)
            return
        self.poisoned += 1
        self.queues[poison_queue(queue.name)].messages.append(
            Message(message.id, message.body, self.simulation.at + timedelta(seconds=1))
        )
        self.simulation.wake_idle()

    def _take(self) -> Act | None:
        at = self.simulation.at
        due: list[Act] = []
        if self._agenda and self._agenda[0][0] <= at:
            due.append(self._next_on_the_agenda)
        due += [
            partial(self._deliver, queue, message)
            for queue in self.queues.values()
            for message in queue.messages
            if message.visible_at <= at
        ]
        if not due:
            return None
        return due[self.disturbances.rng.randrange(len(due))]

    def _next_on_the_agenda(self) -> None:
        heapq.heappop(self._agenda)[2]()

    def _next_due(self) -> datetime:
        moments = [message.visible_at for queue in self.queues.values() for message in queue.messages]
        moments += [self._agenda[0][0]] if self._agenda else []
        return min(moments, default=self.ends_at)


def request(
    method: str,
    *,
    route: dict[str, str] | None = None,
    body: Any = None,
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
) -> func.HttpRequest:
    """A request as the worker hands it to a function; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return func.HttpRequest(
        method=method,
        url="https://desk.example/api",
        route_params=route or {},
        params=params or {},
        headers={"Content-Type": "application/json", "X-Api-Key": TOKEN, **(headers or {})},
        body=content,
    )
