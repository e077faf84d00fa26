"""What can go wrong on the way to EC2 and STS: on the n-th page of a read, for the next n requests, or for good."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypedDict

Kind = Literal[
    "refuse",  # answer with the error `code`
    "slow",  # wait `seconds`, then answer
    "reset",  # the connection is reset without an answer
    "truncated",  # half the body, then the end of the connection
    "malformed",  # 200 with XML that ends in the middle
    "html",  # 503 with a page of HTML, as a proxy or load balancer gives
    "repeat_token",  # the page's token leads to the same page again
    "call",  # run `action` (the instances change), then answer as usual
]


@dataclass
class Script:
    """One fault. `times` None: until cleared. What is left out concerns every account, region, action and page."""

    kind: Kind
    code: str = "InternalError"
    message: str | None = None
    account: str | None = None
    region: str | None = None
    action: str | None = None
    page: int | None = None
    times: int | None = 1
    skip: int = 0
    seconds: float = 30
    run: Callable[[], object] | None = None

    def concerns(self, account: str, region: str, action: str, page: int | None) -> bool:
        given = ((self.account, account), (self.region, region), (self.action, action), (self.page, page))
        return all(wanted is None or wanted == found for wanted, found in given)


class ScriptOptions(TypedDict, total=False):
    """The fields of a Script beside its kind."""

    code: str
    message: str | None
    account: str | None
    region: str | None
    action: str | None
    page: int | None
    times: int | None
    skip: int
    seconds: float
    run: Callable[[], object] | None


class Faults:
    """The scripts that are waiting, in order, and the request rate that the account allows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: list[Script] = []
        self._rate: tuple[float, float] | None = None
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self.cleared = threading.Event()

    def add(self, script: Script) -> None:
        with self._lock:
            self.cleared.clear()
            self._scripts.append(script)

    def remove(self, script: Script) -> None:
        """End one script; one that has ended already is no fault."""
        with self._lock:
            if script in self._scripts:
                self._scripts.remove(script)

    def clear(self) -> None:
        """Forget scripts and rate, and wake what is slow."""
        with self._lock:
            self._scripts.clear()
            self._rate = None
            self.cleared.set()

    def take(self, account: str, region: str, action: str, page: int | None) -> Script | None:
        with self._lock:
            for script in self._scripts:
                if not script.concerns(account, region, action, page):
                    continue
                if script.skip:
                    script.skip -= 1
                    continue
                if script.times is not None:
                    script.times -= 1
                    if script.times <= 0:
                        self._scripts.remove(script)
                return script
        return None

    def limit(self, requests_per_second: float | None, burst: int = 1) -> None:
        """Throttle as EC2 does: a bucket for each account and region, refilled at this rate. None: no limit."""
        with self._lock:
            self._rate = None if requests_per_second is None else (requests_per_second, burst)
            self._buckets.clear()

    def throttled(self, account: str, region: str) -> bool:
        with self._lock:
            if self._rate is None:
                return False
            rate, burst = self._rate
            now = time.monotonic()
            left, at = self._buckets.get((account, region), (burst, now))
            left = min(burst, left + (now - at) * rate)
            self._buckets[account, region] = (left - 1 if left >= 1 else left, now)
            return left < 1
