"""The virtual clock of the execution under way: calls move it by what is stated, its own work by what was measured."""

import time
from collections import Counter
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
class Tally:
    """What all executions did together."""

    buckets: Buckets = field(default_factory=Buckets)
    calls: Counter[str] = field(default_factory=Counter[str])
    rows: Counter[str] = field(default_factory=Counter[str])
    refused: int = 0
    processor: float = 0


# Of an execution: processor seconds before a call, and the call; the last one has none.
Trace = list[tuple[float, Call | None]]


class Engine:
    """Plays one execution at a time. What happens while it is `off` takes no time and counts nowhere."""

    def __init__(self, begins: datetime) -> None:
        self.begins = begins
        self.at = 0.0
        self.on = False
        self.tally = Tally()
        self.trace: Trace = []
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
        self.at, self._processor, self.trace, self._worked = at, processor, [], 0.0
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

    def charge(self, call: Call) -> bool:
        """Move the clock by a call; whether the service took it."""
        if not self.on:
            return True
        self.trace.append((self._worked, call))
        self._worked = 0.0
        return self.call(call)

    def call(self, call: Call) -> bool:
        """As `charge`, of a trace that is there."""
        self.tally.calls[f"{call.service} {call.of}".strip()] += 1
        if self.tally.buckets.take(self.at, call.asked):
            self.tally.refused += 1
            self.at += _REFUSED_AFTER
            return False
        self.tally.rows[call.of or call.service] += call.rows
        self.at += call.seconds
        return True

    def spend(self, seconds: float, processor: Processor) -> None:
        """Processor time that was measured before."""
        self.tally.processor += seconds
        self.at = processor.spend(self.at, seconds)

    def _work(self) -> None:
        seconds = max(0.0, time.thread_time() - self._mark)
        self._worked += seconds
        self.spend(seconds, self._processor)
