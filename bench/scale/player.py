"""Who plays a message: the real code, or, once enough of its kind ran so, what the real code did for another one.

A message that is played after another takes the same calls and the same processor time, through the same shared limits.
"""

import logging
import random
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from bench.scale.app import functions
from bench.scale.capacity import Processor
from bench.scale.engine import Call, Engine, Trace
from bench.scale.host import Message, Ran
from bench.scale.stated import PROCESSOR_A_MESSAGE
from shared import bootstrap

logger = logging.getLogger(__name__)

# As the product's table client waits and gives up.
_TRIES, _FIRST_WAIT = 4, 0.3


class Flow(Protocol):
    """What runs at scale. It knows the messages of its queues and timers."""

    @property
    def name(self) -> str:
        """Whose work it is, in a word or two."""
        ...

    @property
    def begins_with(self) -> frozenset[str]:
        """The queues and timers that start its functions."""
        ...

    def kind_of(self, message: Message) -> str:
        """What may be played after another of the same kind; "" for what always runs in truth."""
        ...

    def places_of(self, message: Message) -> tuple[str, ...]:
        """Texts that stand in the name of whatever is this message's own: no other one meets it there."""
        ...

    def prepare(self, message: Message) -> None:
        """Have there what the message finds, as the product left it the day before."""
        ...

    def forget(self, message: Message) -> None:
        """Keep what changed, and no more."""
        ...

    def settle(self, message: Message) -> None:
        """Have there what the rest must find of a message that was played after another."""
        ...

    def elsewhere(self, call: Call, chance: random.Random) -> Call:
        """The call as one of another message of the kind: whose bucket it takes may differ by chance."""
        ...


class Player:
    """`sample` of each kind run in truth, on the first `real_instances` of their function."""

    def __init__(self, engine: Engine, flows: Sequence[Flow], sample: int, real_instances: int, seed: int) -> None:
        self._engine = engine
        self._flows = {queue: flow for flow in flows for queue in flow.begins_with}
        self._sample = sample
        self._real_instances = real_instances
        self._random = random.Random(seed)
        self._objects: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
        self._known: dict[str, list[Trace]] = defaultdict(list)
        self._memory: dict[str, float] = {}
        # How many messages wait in a queue.
        self.left: Callable[[str], int] = lambda _: 0
        self._begun: set[tuple[str, int]] = set()
        self.real: Counter[str] = Counter()
        self.played: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        # By key of the message: what the run of another number of instances plays again.
        self.ran: dict[tuple[int, ...], tuple[Trace, Ran]] = {}

    def flow_of(self, queue: str) -> str:
        """The name of the flow that a queue or timer belongs to."""
        return self._flows[queue].name

    def play(self, message: Message, instance: int, processor: Processor) -> Ran:
        flow = self._flows[message.queue]
        kind = flow.kind_of(message)
        first = bool(kind) and (message.queue, instance) not in self._begun
        if kind:
            self._begun.add((message.queue, instance))
            kind = f"{kind}, first of its instance" if first else kind
        known = self._known.get(kind, ())
        # The last one of all finds out that nothing is left, and does what follows from that.
        last = self.left(message.queue) == 0
        wanted = last or (instance < self._real_instances and self.real[kind] < self._sample)
        if kind and known and not wanted:
            trace = [
                (worked, None if call is None else flow.elsewhere(call, self._random))
                for worked, call in self._random.choice(known)
            ]
            ran = self.replay(trace, Ran([], memory=self._memory.get(kind, 0)), processor)
            if not ran.failed:
                # What failed comes again, and has left nothing.
                flow.settle(message)
            self.played[kind] += 1
        else:
            trace, ran = self._in_truth(flow, message, instance, processor, kind)
        self.ran[message.key] = (trace, ran)
        return ran

    def replay(self, trace: Trace, ran: Ran, processor: Processor) -> Ran:
        """The calls and the processor time of an execution that was."""
        engine = self._engine
        engine.spend(PROCESSOR_A_MESSAGE, processor)
        for worked, call in trace:
            engine.spend(worked, processor)
            tries = 0
            while call is not None and not engine.call(call):
                tries += 1
                if tries == _TRIES:
                    return replace(ran, sent=[], failed=True)
                engine.at += _FIRST_WAIT * 2 ** (tries - 1)
        return ran

    def _in_truth(
        self, flow: Flow, message: Message, instance: int, processor: Processor, kind: str
    ) -> tuple[Trace, Ran]:
        flow.prepare(message)
        weighed = bool(kind) and kind not in self._memory and self.real[kind] > 0
        # What always runs in truth does so with the objects of a few instances: those of each cost memory here.
        own = (message.queue, instance if kind else instance % self._real_instances)
        before = bootstrap.swap_instances(self._objects[own])
        if weighed:
            tracemalloc.start()
        ran = Ran([])
        self._engine.spend(PROCESSOR_A_MESSAGE, processor)
        try:
            with self._engine.playing(self._engine.at, processor) as trace:
                try:
                    ran.sent = functions()[message.queue].run(message.text, self.real[kind], message.deliveries)
                except Exception as error:
                    # As the host catches everything, and gives the message again.
                    logger.debug("a failed execution", exc_info=True)
                    self.errors[f"{type(error).__name__}: {error}"[:200]] += 1
                    ran.failed = True
        finally:
            if weighed:
                self._memory[kind] = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            self._objects[own] = bootstrap.swap_instances(before)
        ran.sent_itself = self._engine.sent
        flow.forget(message)
        self.real[kind] += 1
        ran.memory = self._memory.get(kind, 0)
        shared = self._shared(trace, flow.places_of(message))
        # What was weighed took longer for it; what failed is nobody's example.
        if kind and not ran.failed and not weighed:
            self._known[kind].append(shared)
        return shared, ran

    @staticmethod
    def _shared(trace: Trace, places: tuple[str, ...]) -> Trace:
        """The trace without what it asked of buckets of its own."""
        return [
            (
                worked,
                None
                if call is None
                else replace(call, asked=tuple(one for one in call.asked if not any(at in one[1] for at in places))),
            )
            for worked, call in trace
        ]


def again(player: Player, recorded: Mapping[tuple[int, ...], tuple[Trace, Ran]]) -> Any:
    """A `Play` that plays what is recorded, and runs nothing."""

    def play(message: Message, instance: int, processor: Processor) -> Ran:
        del instance
        trace, ran = recorded[message.key]
        return player.replay(trace, ran, processor)

    return play
