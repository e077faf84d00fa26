"""In which deliveries events go out: batches, and on request duplicates, another order and delays. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True)
class Disorder:
    """What Event Grid may do to the order and number of deliveries, repeatable by its `seed`.

    `duplicates` is the share of events (0 to 1) that are delivered a second time, in another delivery than the first.
    `max_delay_seconds` holds each delivery back by a random time, in Event Grid's time (see `speed`).
    """

    seed: int = 0
    duplicates: float = 0.0
    shuffle: bool = False
    max_delay_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.duplicates <= 1:
            raise ValueError(f"duplicates is a share from 0 to 1, not {self.duplicates}")
        if self.max_delay_seconds < 0:
            raise ValueError("max_delay_seconds cannot be negative")


@dataclass(frozen=True)
class Copy:
    """One sending of the event number `event`; `duplicate` when Event Grid would not have needed it."""

    event: int
    duplicate: bool = False


@dataclass(frozen=True)
class PlannedDelivery:
    """Copies that travel in one request, first tried `after_seconds` after their publication."""

    copies: tuple[Copy, ...]
    after_seconds: float = 0.0


def plan_deliveries(
    sizes: Sequence[int], *, max_events: int = 1, preferred_kib: int = 64, disorder: Disorder | None = None
) -> list[PlannedDelivery]:
    """The deliveries for events of these sizes in bytes.

    No delivery has more than `max_events`, or holds the same event twice; one is over `preferred_kib` only when a
    single event is.
    """
    disorder = disorder or Disorder()
    # Not for secrets: a seed must give the same deliveries again.
    chance = random.Random(disorder.seed)
    order = [Copy(number) for number in range(len(sizes))]
    if disorder.shuffle:
        chance.shuffle(order)
    for first in [copy for copy in order if chance.random() < disorder.duplicates]:
        # A duplicate comes later than its original, unless all order is given up.
        earliest = 0 if disorder.shuffle else order.index(first) + 1
        order.insert(chance.randint(earliest, len(order)), Copy(first.event, duplicate=True))
    return [
        PlannedDelivery(copies, chance.uniform(0, disorder.max_delay_seconds) if disorder.max_delay_seconds else 0.0)
        for copies in _batches(order, sizes, max_events, preferred_kib * KIB)
    ]


def _batches(
    order: Sequence[Copy], sizes: Sequence[int], max_events: int, preferred_bytes: int
) -> list[tuple[Copy, ...]]:
    batches: list[tuple[Copy, ...]] = []
    waiting = list(order)
    while waiting:
        batch: list[Copy] = []
        rest: list[Copy] = []
        used = 0
        taken: set[int] = set()
        for position, copy in enumerate(waiting):
            if len(batch) == max_events or (batch and used + sizes[copy.event] > preferred_bytes):
                rest.extend(waiting[position:])
                break
            if copy.event in taken:
                rest.append(copy)
                continue
            batch.append(copy)
            taken.add(copy.event)
            used += sizes[copy.event] + 1
        batches.append(tuple(batch))
        waiting = rest
    return batches
