"""What a piece of work costs, to be compared with that of another: seconds differ from machine to machine."""

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from shared.errors import DeskbridgeError


@dataclass(frozen=True)
class Cost:
    """CPU seconds, and the bytes that were held at the most."""

    cpu: float
    memory: int


def measure(work: Callable[[], object]) -> Cost:
    """The least CPU of some tries, and the memory of one more. A refusal is a result too."""
    cpu = cpu_of(work)
    tracemalloc.start()
    try:
        with suppress(DeskbridgeError, ValueError):
            work()
        return Cost(cpu, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds: the least of five tries, and fewer once they have taken half a second."""
    tries: list[float] = []
    while len(tries) < 5 and sum(tries) < 0.5:
        before = time.process_time()
        with suppress(DeskbridgeError, ValueError):
            work()
        tries.append(time.process_time() - before)
    return min(tries)
