"""Many schedules over the machine's cores, and what they came to, in figures."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from lab.faults.schedule import Outcome, run_seed


@dataclass
class Total:
    """The sum of many outcomes."""

    schedules: int = 0
    seconds: float = 0.0
    storage_calls: int = 0
    switches: int = 0
    invocations: int = 0
    injected: Counter[str] = field(default_factory=Counter[str])
    flows: Counter[str] = field(default_factory=Counter[str])
    profiles: Counter[str] = field(default_factory=Counter[str])
    failed: list[Outcome] = field(default_factory=list[Outcome])

    def add(self, outcome: Outcome) -> None:
        self.schedules += 1
        self.storage_calls += outcome.storage_calls
        self.switches += outcome.switches
        self.invocations += outcome.invocations
        self.injected.update(outcome.injected)
        self.flows.update([" + ".join(outcome.flows)])
        self.profiles.update([outcome.profile])
        if outcome.findings:
            self.failed.append(outcome)


def run_many(
    seeds: Sequence[int],
    *,
    jobs: int,
    flows: Sequence[str] = (),
    seen: Callable[[Outcome], None] = lambda _outcome: None,
) -> Total:
    """Run these seeds; `seen` is told of each as it ends."""
    total = Total()
    began = time.monotonic()
    work = partial(run_seed, flows=tuple(flows))
    if jobs <= 1:
        for seed in seeds:
            outcome = work(seed)
            total.add(outcome)
            seen(outcome)
    else:
        # Spawned, not forked: the parent may have threads, and a child begins clean.
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for outcome in pool.imap_unordered(work, seeds, chunksize=4):
                total.add(outcome)
                seen(outcome)
    total.seconds = time.monotonic() - began
    return total
