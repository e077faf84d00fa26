"""What goes wrong in one schedule: how often, of which kind, at which call. All of it follows from the seed."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar

from lab.fakes.tables import KilledError

K = TypeVar("K")


class Fault(StrEnum):
    """What can happen to a storage call."""

    REFUSED = "refused"  # no connection: nothing took place
    RESET_BEFORE = "reset before"  # the connection is cut, and nothing took place
    TIMED_OUT_BEFORE = "timed out before"  # no answer, and nothing took place
    RESET_AFTER = "reset after"  # it took place, and the caller hears nothing
    TIMED_OUT_AFTER = "timed out after"
    THROTTLED = "429"
    BUSY = "503"
    BUSY_AFTER = "503 after"  # it took place, and the caller is told that it did not
    UNREADABLE = "unreadable"  # it took place, and what is answered cannot be read
    EXPIRED_TOKEN = "expired token"
    CLOCK_REFUSED = "clock refused"  # the signature's time is too far from the service's
    REPEATED = "repeated"  # it took place, and the client library sent it again
    SLOW = "slow"  # it takes seconds, sometimes longer than a message stays hidden
    SHORT_PAGE = "short page"  # a page ends early, with a continuation
    EMPTY_PAGE = "empty page"  # a page has no rows at all, with a continuation
    KILLED_BEFORE = "killed before"  # the process dies, nothing took place
    KILLED_AFTER = "killed after"  # it took place, and the process dies


BEFORE = frozenset(
    {
        Fault.REFUSED,
        Fault.RESET_BEFORE,
        Fault.TIMED_OUT_BEFORE,
        Fault.THROTTLED,
        Fault.BUSY,
        Fault.EXPIRED_TOKEN,
        Fault.CLOCK_REFUSED,
    }
)
AFTER = frozenset({Fault.RESET_AFTER, Fault.TIMED_OUT_AFTER, Fault.BUSY_AFTER, Fault.UNREADABLE})
OF_PAGES = (Fault.SHORT_PAGE, Fault.EMPTY_PAGE)
DEADLY = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
# Slow calls and short pages are as many as all that fail before, and all that fail after.
_OF_ALL = (
    *((Fault.SLOW,) * 4),
    *(fault for fault in Fault if fault in BEFORE),
    *(fault for fault in Fault if fault in AFTER),
    Fault.RESET_AFTER,
    Fault.TIMED_OUT_AFTER,
)


@dataclass(frozen=True)
class Rates:
    """Probabilities, each between 0 and 1."""

    storage: float = 0.0
    kills: float = 0.0
    services: float = 0.0
    vaults: float = 0.0
    queue: float = 0.0
    skew_seconds: float = 0.0
    interference: float = 0.0


CALM = Rates()
# From a bad day to a week that no operator has seen.
_PROFILES: Sequence[tuple[str, Rates]] = (
    ("storage", Rates(storage=0.06, queue=0.02)),
    ("kills", Rates(kills=0.03, queue=0.05)),
    ("services", Rates(services=0.4, vaults=0.15, interference=0.3)),
    ("queue", Rates(queue=0.3, kills=0.005, interference=0.3)),
    (
        "everything",
        Rates(storage=0.03, kills=0.01, services=0.1, vaults=0.05, queue=0.08, skew_seconds=90, interference=0.15),
    ),
    ("storm", Rates(storage=0.2, kills=0.03, services=0.3, vaults=0.2, queue=0.3, skew_seconds=300)),
    ("races", Rates(storage=0.002, interference=0.5)),
)


@dataclass
class Disturbances:
    """Decides at every step whether something goes wrong; counts what did, and in which flow.

    `kill_at` kills at that storage call, as `kill_as` or at random. `flow` tells what is being done,
    `calls_in_days` how many storage calls there were before all was well. `first` chooses the first fault of a flow,
    so that seeds that follow each other begin with each of them in turn; the others are random. `poor_days` are those
    of each part on which a reading listed nothing.
    """

    rng: random.Random
    rates: Rates
    profile: str = "calm"
    kill_at: int | None = None
    kill_as: Fault | None = None
    storage_calls: int = 0
    calls_in_days: int = 0
    injected: Counter[str] = field(default_factory=Counter[str])
    by_flow: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    flow: Callable[[], str] = field(default=lambda: "")
    first: int = 0
    poor_days: dict[str, date] = field(default_factory=dict[str, date])

    @classmethod
    def of(cls, rng: random.Random, profile: str = "", first: int = 0) -> "Disturbances":
        """Days of the kind chosen at random, or of the given one."""
        name, rates = rng.choice(_PROFILES)
        if profile:
            name, rates = profile, dict(_PROFILES)[profile]
        return cls(rng, rates, name, first=first)

    @property
    def skewed(self) -> bool:
        """Whether the workers' clocks differ."""
        return self.rates.skew_seconds > 0

    def calm_down(self) -> None:
        """From now on all goes well."""
        self.rates = replace(CALM, skew_seconds=self.rates.skew_seconds)
        self.calls_in_days = self.storage_calls

    def begin_again(self, rates: Rates) -> None:
        """The bad days are back."""
        self.rates = rates

    def at_storage_call(self, *, page: bool) -> Fault | None:
        self.storage_calls += 1
        if self.kill_at is not None and self.storage_calls == self.kill_at:
            return self._note(self.kill_as or self.rng.choice(DEADLY))
        if self.rates.kills and self.rng.random() < self.rates.kills:
            return self._note(self.rng.choice(DEADLY))
        if self.rates.storage and self.rng.random() < self.rates.storage:
            kinds = tuple(dict.fromkeys(_OF_ALL)) + (OF_PAGES if page else (Fault.REPEATED,))
            often = _OF_ALL + (OF_PAGES * 3 if page else (Fault.REPEATED,) * 4)
            return self._note(self._choose("storage", kinds, often))
        return None

    def perhaps_kill(self) -> None:
        """A call that is not to a table: the process may die before it."""
        if self.rates.kills and self.rng.random() < self.rates.kills:
            self._note(Fault.KILLED_BEFORE)
            raise KilledError

    def happens(self, what: str, rate: float, among: Sequence[str] = ("",)) -> str | None:
        """Whether something goes wrong now, and which of `among`."""
        if not rate or self.rng.random() >= rate:
            return None
        kind = self._choose(what, among, among)
        self.count(f"{what} {kind}".strip())
        return kind

    def count(self, fault: str) -> None:
        """One more of this kind, in what is being done."""
        self.injected[fault] += 1
        self.by_flow[self.flow(), fault] += 1

    def slowness(self) -> float:
        """Seconds; now and then longer than the queue hides a message."""
        return self.rng.choice((0.5, 5.0, 40.0, 700.0, 1300.0))

    def _choose(self, what: str, kinds: Sequence[K], often: Sequence[K]) -> K:
        """One of the kinds, as often as they stand in `often`."""
        is_first = not any(fault.startswith(f"{what} ") for flow, fault in self.by_flow if flow == self.flow())
        return kinds[self.first % len(kinds)] if is_first else self.rng.choice(often)

    def _note(self, fault: Fault) -> Fault:
        self.count(f"storage {fault}")
        return fault


# A reading that is whole, and lists nothing.
POOR = "nothing listed"


class PoorAnswers:
    """Readings that are whole, and list nothing of what there is: of each part on one day alone, since a moment. One of
    a later day would be believed, and after one that is the very first all users are new."""

    def __init__(self, disturbances: Disturbances, now: Callable[[], datetime], since: datetime) -> None:
        self._disturbances = disturbances
        self._now = now
        self._since = since

    def happens(self, part: str, service: str) -> bool:
        """Whether this reading of the part lists nothing."""
        rate = self._disturbances.rates.services
        today = self._now().date()
        days = self._disturbances.poor_days
        if self._now() < self._since or days.get(part, today) != today:
            return False
        if not self._disturbances.happens(service, rate, (POOR,)):
            return False
        days[part] = today
        return True
