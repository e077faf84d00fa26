"""The virtual clock of the execution under way: calls move it by what is stated, its own work by what was measured."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bench.scale.capacity import Buckets, Processor
from bench.scale.stated import LATENCIES

# A refusal comes quicker than an answer.
_REFUSED_AFTER = 0.005


@dataclass(frozen=True)
class Call:
    """One call of a service. `asked` are units of limits: of which, of whose bucket, how many. `of` is a table."""

    service: str
    asked: tuple[tuple[str, str, int], ...] = ()
    rows: int = 0
    of: str = ""

    @property
    def seconds(self) -> float:
        latency = LATENCIES[self.service]
        return latency.seconds + latency.per_row * self.rows


@dataclass
class Counts:
    """What the executions of one flow did."""

    calls: Counter[str] = field(default_factory=Counter[str])
    rows: int = 0
    refused: int = 0
    processor: float = 0


@dataclass
class Tally:
    """What all executions did together, by flow. The buckets are shared."""

    buckets: Buckets = field(default_factory=Buckets)
    of: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))

    @property
    def refused(self) -> int:
        return sum(counts.refused for counts in self.of.values())


# Of an execution: processor seconds before a call, and the call; the last one has none.
Trace = list[tuple[float, Call | None]]


class Engine:
    """Plays one execution at a time. What happens while it is `off` takes no time and counts nowhere."""

    def __init__(self, begins: datetime) -> None:
        self.begins = begins
        self.at = 0.0
        self.on = False
        self.tally = Tally()
        # Whose execution it is.
        self.flow = ""
        self.trace: Trace = []
        # What the execution sends beside its bindings: queue, text, and how long it is hidden.
        self.sent: list[tuple[str, str, float]] = []
        self._processor = Processor()
        self._mark = 0.0
        self._worked = 0.0

    def now(self) -> datetime:
        return self.begins + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at + 1_000_000

    def sleep(self, seconds: float) -> None:
        """What waits is the execution, and nobody in truth."""
        if self.on:
            self._work()
            self.at += max(0.0, seconds)
            self._mark = time.thread_time()

    @contextmanager
    def playing(self, at: float, processor: Processor) -> Iterator[Trace]:
        """An execution that begins `at`, on this processor; its trace."""
        self.at, self._processor, self.trace, self._worked, self.sent = at, processor, [], 0.0, []
        self.on, self._mark = True, time.thread_time()
        try:
            yield self.trace
        finally:
            self._work()
            self.trace.append((self._worked, None))
            self.on = False

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What a stand-in does is nobody's work."""
        if self.on:
            self._work()
        try:
            yield
        finally:
            self._mark = time.thread_time()

    def send(self, queue: str, text: str, seconds: float) -> None:
        """A message that the product itself sends. What settings send while they are written was yesterday's."""
        if self.on:
            self.sent.append((queue, text, seconds))

    def charge(self, call: Call) -> bool:
        """Move the clock by a call; whether the service took it."""
        if not self.on:
            return True
        self.trace.append((self._worked, call))
        self._worked = 0.0
        return self.call(call)

    def call(self, call: Call) -> bool:
        """As `charge`, of a trace that is there."""
        counts = self.tally.of[self.flow]
        counts.calls[f"{call.service} {call.of}".strip()] += 1
        if self.tally.buckets.take(self.at, call.asked):
            counts.refused += 1
            self.at += _REFUSED_AFTER
            return False
        counts.rows += call.rows
        self.at += call.seconds
        return True

    def spend(self, seconds: float, processor: Processor) -> None:
        """Processor time that was measured before."""
        self.tally.of[self.flow].processor += seconds
        self.at = processor.spend(self.at, seconds)

    def _work(self) -> None:
        seconds = max(0.0, time.thread_time() - self._mark)
        self._worked += seconds
        self.spend(seconds, self._processor)
