"""What goes wrong in one schedule: how often, of which kind, at which call. All of it follows from the seed."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Fault(StrEnum):
    """What can happen to a storage call."""

    REFUSED = "refused"  # nothing took place, and the caller is told so
    ANSWER_LOST = "answer_lost"  # it took place, and the caller hears nothing
    REPEATED = "repeated"  # it took place, and the client library sent it again
    SLOW = "slow"  # it takes seconds, sometimes longer than a message stays hidden
    SHORT_PAGE = "short_page"  # a page ends early, with a continuation
    EMPTY_PAGE = "empty_page"  # a page has no rows at all, with a continuation
    KILLED_BEFORE = "killed_before"  # the process dies, nothing took place
    KILLED_AFTER = "killed_after"  # it took place, and the process dies


_OF_PAGES = (Fault.SHORT_PAGE, Fault.EMPTY_PAGE)
_DEADLY = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)


@dataclass(frozen=True)
class Rates:
    """Chances, each between 0 and 1."""

    storage: float = 0.0
    kills: float = 0.0
    far_side: float = 0.0
    vaults: float = 0.0
    queue: float = 0.0
    skew_seconds: float = 0.0


CALM = Rates()
# From a bad day to a week that no operator has seen.
_PROFILES: Sequence[tuple[str, Rates]] = (
    ("storage", Rates(storage=0.06, queue=0.02)),
    ("kills", Rates(kills=0.03, queue=0.05)),
    ("far side", Rates(far_side=0.4, vaults=0.15)),
    ("queue", Rates(queue=0.3, kills=0.005)),
    ("everything", Rates(storage=0.03, kills=0.01, far_side=0.1, vaults=0.05, queue=0.08, skew_seconds=90)),
    ("storm", Rates(storage=0.2, kills=0.03, far_side=0.3, vaults=0.2, queue=0.2, skew_seconds=300)),
    ("races", Rates(storage=0.002)),
)


@dataclass
class Disturbances:
    """Decides at every step whether something goes wrong; counts what did. `kill_at` kills at that storage call."""

    chances: random.Random
    rates: Rates
    profile: str = "calm"
    kill_at: int | None = None
    storage_calls: int = 0
    injected: Counter[str] = field(default_factory=Counter[str])

    @classmethod
    def of(cls, chances: random.Random) -> "Disturbances":
        profile, rates = chances.choice(_PROFILES)
        return cls(chances, rates, profile)

    @property
    def skewed(self) -> bool:
        """Whether the workers' clocks differ."""
        return self.rates.skew_seconds > 0

    def calm_down(self) -> None:
        """From now on all goes well."""
        self.rates = replace(CALM, skew_seconds=self.rates.skew_seconds)
        self.kill_at = None

    def begin_again(self, rates: Rates) -> None:
        """The bad days are back."""
        self.rates = rates

    def at_storage_call(self, *, page: bool) -> Fault | None:
        self.storage_calls += 1
        if self.kill_at is not None and self.storage_calls == self.kill_at:
            return self._note(self.chances.choice(_DEADLY))
        if self.rates.kills and self.chances.random() < self.rates.kills:
            return self._note(self.chances.choice(_DEADLY))
        if self.rates.storage and self.chances.random() < self.rates.storage:
            kinds = [Fault.REFUSED, Fault.ANSWER_LOST, Fault.SLOW]
            kinds += _OF_PAGES if page else [Fault.REPEATED]
            return self._note(self.chances.choice(kinds))
        return None

    def happens(self, what: str, rate: float, among: Sequence[str] = ("",)) -> str | None:
        """Whether something goes wrong now, and which of `among`."""
        if not rate or self.chances.random() >= rate:
            return None
        kind = self.chances.choice(among)
        self.injected[f"{what} {kind}".strip()] += 1
        return kind

    def slowness(self) -> float:
        """Seconds; now and then longer than the queue hides a message."""
        return self.chances.choice((0.5, 5.0, 40.0, 700.0, 1300.0))

    def _note(self, fault: Fault) -> Fault:
        self.injected[f"storage {fault}"] += 1
        return fault
