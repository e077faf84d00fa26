"""Many schedules over the machine's cores, and what they came to, in figures."""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from lab.faults.schedule import Outcome, run_seed

N = TypeVar("N")


@dataclass
class Total:
    """The sum of many outcomes."""

    schedules: int = 0
    seconds: float = 0.0
    storage_calls: int = 0
    switches: int = 0
    invocations: int = 0
    injected: Counter[str] = field(default_factory=Counter[str])
    by_flow: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    flows: Counter[str] = field(default_factory=Counter[str])
    profiles: Counter[str] = field(default_factory=Counter[str])
    failed: list[Outcome] = field(default_factory=list[Outcome])

    def add(self, outcome: Outcome) -> None:
        self.schedules += 1
        self.storage_calls += outcome.storage_calls
        self.switches += outcome.switches
        self.invocations += outcome.invocations
        self.injected.update(outcome.injected)
        self.by_flow.update(outcome.by_flow)
        self.flows.update([" + ".join(outcome.flows)])
        self.profiles.update([outcome.profile])
        if outcome.findings:
            self.failed.append(outcome)


def spread(work: Callable[[N], Outcome], numbers: Sequence[N], jobs: int) -> Iterator[Outcome]:
    """Do the work for each number in processes of its own, so that a seed does the same wherever it runs."""
    # Sets are walked in the order of hashes, which differs between processes unless it is told not to.
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"
    try:
        # Spawned, not forked: the parent may have threads, and a child begins clean.
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            yield from pool.imap_unordered(work, numbers, chunksize=4)
    finally:
        del os.environ["PYTHONHASHSEED"]
        if before is not None:
            os.environ["PYTHONHASHSEED"] = before


def run_many(
    seeds: Sequence[int],
    *,
    jobs: int,
    flows: Sequence[str] = (),
    profile: str = "",
    seen: Callable[[Outcome], None] = lambda _outcome: None,
) -> Total:
    """Run these seeds, on days of one kind if `profile` names it; `seen` is told of each as it ends."""
    total = Total()
    began = time.monotonic()
    for outcome in spread(partial(run_seed, flows=tuple(flows), profile=profile), seeds, jobs):
        total.add(outcome)
        seen(outcome)
    total.seconds = time.monotonic() - began
    return total
