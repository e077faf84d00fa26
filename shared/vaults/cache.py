"""Values kept for a set time: one fetch at a time per secret, a stale one while the vault is in trouble."""

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError

logger = logging.getLogger(__name__)

V = TypeVar("V")
K = TypeVar("K", bound=Hashable)

# A vault in trouble is asked again after what it says, or this; in seconds.
_PAUSE = 2.0
_LONGEST_PAUSE = 60.0
# A missing secret or right needs somebody's hand: until then whoever asks, anybody at all at a webhook, costs nothing.
_UNTIL_MENDED = 15.0
# Far more than any deployment has secrets: the bound only keeps old versions of settings from piling up.
_MOST_ENTRIES = 2_000


@dataclass
class _Fetch(Generic[V]):
    """A fetch under way, which any number of threads wait for."""

    done: threading.Event = field(default_factory=threading.Event)
    value: V | None = None
    error: BaseException | None = None


@dataclass
class _Entry(Generic[V]):
    value: V | None = None
    fresh_until: float = 0.0
    stale_until: float = 0.0
    ask_again_at: float = 0.0
    failure: DeskbridgeError | None = None
    refused: V | None = None
    under_way: _Fetch[V] | None = None


class ValueCache(Generic[K, V]):
    """`clock` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[K, _Entry[V]] = {}

    def get(self, key: K, fetch: Callable[[], V], *, cache_seconds: float, stale_seconds: float) -> V:
        """The cached value, or the fetched one.

        When fetching fails with TryLaterError, a value that was fresh less than `stale_seconds` ago is given instead.
        Every other error is raised, in all threads that waited for this fetch; MisconfiguredError for some seconds
        more, without another fetch.
        """
        with self._lock:
            entry = self._entry(key)
            now = self._clock()
            if entry.value is not None and now < entry.fresh_until:
                return entry.value
            fetching, first = entry.under_way, False
            if fetching is None:
                if entry.failure is not None and now < entry.ask_again_at:
                    return self._stale_or_raise(entry, entry.failure, now)
                fetching, first = _Fetch[V](), True
                entry.under_way = fetching
        if first:
            return self._fetch(entry, fetching, fetch, cache_seconds, stale_seconds)
        return self._wait(entry, fetching)

    def invalidate(self, key: K, same: Callable[[V, V], bool]) -> None:
        """The next `get` fetches anew; once for a value, so that a wrong password cannot become a flood of fetches."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.value is None:
                return
            if entry.refused is not None and same(entry.refused, entry.value):
                return
            entry.refused = entry.value
            entry.fresh_until = entry.stale_until = 0.0

    def drop(self, concerns: Callable[[K], bool]) -> int:
        """Forget what concerns; a fetch that is under way keeps nothing. Returns how many were forgotten."""
        with self._lock:
            gone = [key for key in self._entries if concerns(key)]
            for key in gone:
                del self._entries[key]
            return len(gone)

    def _entry(self, key: K) -> _Entry[V]:
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= _MOST_ENTRIES:
                now = self._clock()
                self._entries = {k: e for k, e in self._entries.items() if e.under_way or now < e.fresh_until}
            if len(self._entries) >= _MOST_ENTRIES:
                self._entries = {k: e for k, e in self._entries.items() if e.under_way}
            entry = self._entries[key] = _Entry[V]()
        return entry

    def _wait(self, entry: _Entry[V], fetching: _Fetch[V]) -> V:
        fetching.done.wait()
        if fetching.value is not None:
            return fetching.value
        error = fetching.error
        assert error is not None  # noqa: S101 - a fetch ends with one of the two
        if isinstance(error, TryLaterError):
            with self._lock:
                return self._stale_or_raise(entry, error, self._clock())
        raise error

    def _fetch(
        self, entry: _Entry[V], own: _Fetch[V], fetch: Callable[[], V], cache_seconds: float, stale_seconds: float
    ) -> V:
        try:
            value = fetch()
        except BaseException as error:
            with self._lock:
                entry.under_way = None
                own.error = error
                now = self._clock()
                if isinstance(error, TryLaterError):
                    entry.failure = error
                    entry.ask_again_at = now + min(error.retry_after or _PAUSE, _LONGEST_PAUSE)
                    own.done.set()
                    return self._stale_or_raise(entry, error, now)
                if isinstance(error, MisconfiguredError):
                    entry.failure = error
                    entry.ask_again_at = now + _UNTIL_MENDED
                own.done.set()
            raise
        with self._lock:
            now = self._clock()
            entry.value, entry.failure, entry.under_way = value, None, None
            entry.fresh_until = now + cache_seconds
            entry.stale_until = entry.fresh_until + stale_seconds
            own.value = value
            own.done.set()
        return value

    @staticmethod
    def _stale_or_raise(entry: _Entry[V], error: DeskbridgeError, now: float) -> V:
        if isinstance(error, TryLaterError) and entry.value is not None and now < entry.stale_until:
            logger.warning(
                "A cached value is used %.0f s longer than it is fresh. %s", now - entry.fresh_until, error.message
            )
            return entry.value
        # One error is raised in many threads and more than once: its old traceback must not grow with each.
        raise error.with_traceback(None)
