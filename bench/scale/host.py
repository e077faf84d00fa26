"""The host at any number of instances: queues in order, so many messages at once, each at its virtual moment.

Each function has instances of its own, as Flex Consumption scales them. Executions are played one after the
other, in the order of their beginnings: limits and processors are shared, and races are not looked for here.
"""

import heapq
import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.scale.app import functions
from bench.scale.capacity import Processor
from bench.scale.engine import Engine
from bench.scale.stated import FIRST_LOOK, FUNCTION_SECONDS
from bench.scale.storage import message_to
from functions.import_parts import PARTS_AT_ONCE
from shared.storage.names import IMPORT_PARTS_QUEUE

_QUEUES = json.loads((Path(__file__).resolve().parents[2] / "host.json").read_text("utf-8"))["extensions"]["queues"]
# So many messages of a queue at once; what the function itself lets in, where that is less.
AT_ONCE: int = _QUEUES["batchSize"]
_LET_IN = {IMPORT_PARTS_QUEUE: PARTS_AT_ONCE}
_LONGEST_LOOK = sum(
    float(part) * unit for part, unit in zip(_QUEUES["maxPollingInterval"].split(":"), (3600, 60, 1), strict=True)
)
_HIDDEN = sum(
    float(part) * unit for part, unit in zip(_QUEUES["visibilityTimeout"].split(":"), (3600, 60, 1), strict=True)
)
# So long an instance stays that has nothing to do.
_STAYS = 60.0
_DELIVERIES: int = _QUEUES["maxDequeueCount"]


@dataclass
class Message:
    """One message. `key` names it over several runs of the host: where it came from, and as the how manieth.
    `at_hand` says that the function that it starts sent it itself, by its queue output."""

    queue: str
    text: str
    key: tuple[int, ...]
    at_hand: bool = False
    deliveries: int = 0


@dataclass
class Ran:
    """How an execution went: the messages that its outputs sent, those that it sent itself with the seconds that each
    is hidden, whether it failed, and the most memory it held."""

    sent: list[tuple[str, str]]
    sent_itself: list[tuple[str, str, float]] = field(default_factory=list[tuple[str, str, float]])
    failed: bool = False
    memory: float = 0


# From the moment of the next execution, None when there is none: a timer that comes before it, and its moment.
Wakes = Callable[[float | None], tuple[float, Message] | None]
# Plays a message on an instance of its function; the engine's moment is then its end.
Play = Callable[[Message, int, Processor], Ran]


@dataclass
class _Pool:
    """The instances of one function, and what waits for them."""

    flow: str
    instances: int
    free: list[tuple[float, int, int]]
    waiting: list[tuple[float, int, Message]] = field(default_factory=list[tuple[float, int, Message]])
    processors: dict[int, Processor] = field(default_factory=lambda: defaultdict(Processor))
    running: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[int, float] = field(default_factory=dict[int, float])
    begins: float = -1.0
    paid: float = 0

    def pay(self, instance: int, begins: float, ends: float) -> None:
        """An instance is paid for while it works, and between two messages unless it went meanwhile."""
        before = self.ends.get(instance)
        self.paid += ends - begins if before is None or begins - before > _STAYS else max(0.0, ends - before)
        self.ends[instance] = ends if before is None else max(before, ends)

    def next(self) -> float:
        return max(self.free[0][0], self.waiting[0][0])

    def looks_after(self, idle_since: float, message: Message, visible: float) -> float:
        """How long it takes until an idle instance looks at the queue."""
        if self.begins < 0:
            return FIRST_LOOK
        if message.at_hand:
            # The host tells its own listener what its outputs send (SharedQueueWatcher of the WebJobs SDK).
            return 0.0
        # Whoever found nothing looks again after twice the time. The first of all that are idle finds the message.
        longest = min(_LONGEST_LOOK, visible - idle_since)
        if longest < FIRST_LOOK:
            return longest / 2
        idle = sum(1 for slot in range(self.instances) if self.ends.get(slot, 0.0) <= visible)
        return longest / (idle + 1)


@dataclass
class Work:
    """What the host did of one flow."""

    ends: float = 0
    executions: int = 0
    poisoned: int = 0
    retried: int = 0
    too_long: int = 0
    instance_seconds: float = 0


@dataclass
class Outcome:
    """What a run of the host came to, by flow; the most memory that an instance held."""

    of: dict[str, Work] = field(default_factory=lambda: defaultdict(Work))
    memory: float = 0


class Host:
    """`instances` of every function that a queue starts, one of those that a timer starts; `play` does the work.

    `flow_of` a queue or timer is whose work it is; `wakes` tells of timers.
    """

    def __init__(
        self, engine: Engine, instances: int, play: Play, flow_of: Callable[[str], str], wakes: "Wakes"
    ) -> None:
        self._engine = engine
        self._instances = instances
        self._play = play
        self._flow_of = flow_of
        self._wakes = wakes
        self._pools: dict[str, _Pool] = {}
        self._numbers = itertools.count()
        self.outcome = Outcome()

    def put(self, message: Message, at: float) -> None:
        if message.queue not in self._pools:
            instances = self._instances if functions()[message.queue].queue else 1
            # Slot by slot: the first messages go to different instances, as they do in truth.
            free = [(0.0, one, slot) for slot in range(_LET_IN.get(message.queue, AT_ONCE)) for one in range(instances)]
            heapq.heapify(free)
            self._pools[message.queue] = _Pool(self._flow_of(message.queue), instances, free)
        heapq.heappush(self._pools[message.queue].waiting, (at, next(self._numbers), message))

    def left(self, queue: str) -> int:
        return len(self._pools[queue].waiting)

    def run(self) -> Outcome:
        """Until no message is left, and no timer wakes."""
        while True:
            due = min(((pool.next(), name) for name, pool in self._pools.items() if pool.waiting), default=None)
            timer = self._wakes(None if due is None else due[0])
            if timer is not None:
                self.put(timer[1], timer[0])
            elif due is None:
                break
            else:
                self._step(self._pools[due[1]])
        for pool in self._pools.values():
            self.outcome.of[pool.flow].instance_seconds += pool.paid
        return self.outcome

    def _step(self, pool: _Pool) -> None:
        visible, _, message = heapq.heappop(pool.waiting)
        free, instance, slot = heapq.heappop(pool.free)
        begins = free if free > visible else visible + pool.looks_after(free, message, visible)
        if pool.begins < 0:
            pool.begins = begins
        engine, work = self._engine, self.outcome.of[pool.flow]
        engine.at, engine.flow = begins, pool.flow
        # Fetched and, at the end, deleted.
        engine.call(message_to(message.queue))
        started = engine.at
        message.deliveries += 1
        ran = self._play(message, instance, pool.processors[instance])
        self._remember_memory(pool, instance, started, ran.memory)
        work.executions += 1
        work.too_long += engine.at - started > FUNCTION_SECONDS
        for number, (queue, text, seconds) in enumerate(ran.sent_itself):
            self.put(Message(queue, text, (*message.key, -1 - number)), engine.at + seconds)
        if ran.failed:
            self._again(message, work, engine.at)
        else:
            for number, (queue, text) in enumerate(ran.sent):
                # The host sends them one after the other.
                engine.call(message_to(queue))
                self.put(Message(queue, text, (*message.key, number), at_hand=queue == message.queue), engine.at)
            engine.call(message_to(message.queue))
        pool.pay(instance, begins, engine.at)
        work.ends = max(work.ends, engine.at)
        heapq.heappush(pool.free, (engine.at, instance, slot))

    def _again(self, message: Message, work: Work, at: float) -> None:
        if message.deliveries >= _DELIVERIES:
            work.poisoned += 1
            return
        work.retried += 1
        message.at_hand = False
        self.put(message, at + _HIDDEN)

    def _remember_memory(self, pool: _Pool, instance: int, started: float, memory: float) -> None:
        running = [one for one in pool.running[instance] if one[0] > started]
        running.append((self._engine.at, memory))
        pool.running[instance] = running
        self.outcome.memory = max(self.outcome.memory, sum(held for _, held in running))
