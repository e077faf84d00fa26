"""The cache of values: fresh, stale, refused, dropped, and one fetch at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.vaults.cache import ValueCache
from tests.vaults.conftest import Clock


class Vault:
    """Answers with a number that counts the fetches, or fails."""

    def __init__(self) -> None:
        self.fetches = 0
        self.fails: Exception | None = None

    def __call__(self) -> str:
        self.fetches += 1
        if self.fails is not None:
            raise self.fails
        return f"value {self.fetches}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> ValueCache[str, str]:
    return ValueCache(clock)


def trouble(retry_after: float | None = None) -> TryLaterError:
    return TryLaterError(Reason.VAULT_THROTTLED, "The vault is busy.", retry_after=retry_after)


def get(cache: ValueCache[str, str], fetch: Callable[[], str], key: str = "a") -> str:
    return cache.get(key, fetch, cache_seconds=60, stale_seconds=600)


def test_a_value_is_held_for_its_time_and_then_fetched_anew(cache: ValueCache[str, str], clock: Clock) -> None:
    vault = Vault()
    assert get(cache, vault) == "value 1"
    clock.seconds += 59
    assert get(cache, vault) == "value 1"
    clock.seconds += 1
    assert get(cache, vault) == "value 2"


def test_a_stale_value_serves_while_the_vault_is_in_trouble_and_not_for_ever(
    cache: ValueCache[str, str], clock: Clock
) -> None:
    vault = Vault()
    get(cache, vault)
    vault.fails = trouble()
    clock.seconds += 100
    assert get(cache, vault) == "value 1"
    clock.seconds += 559
    assert get(cache, vault) == "value 1"
    clock.seconds += 1
    with pytest.raises(TryLaterError):
        get(cache, vault)


def test_a_throttled_vault_is_left_alone_for_as_long_as_it_asks(cache: ValueCache[str, str], clock: Clock) -> None:
    vault = Vault()
    vault.fails = trouble(retry_after=30)
    for _ in range(5):
        with pytest.raises(TryLaterError):
            get(cache, vault)
    assert vault.fetches == 1
    vault.fails = None
    clock.seconds += 30
    assert get(cache, vault) == "value 2"


def test_a_vault_that_asks_for_an_hour_is_asked_again_after_a_minute(cache: ValueCache[str, str], clock: Clock) -> None:
    vault = Vault()
    vault.fails = trouble(retry_after=3_600)
    with pytest.raises(TryLaterError):
        get(cache, vault)
    vault.fails = None
    clock.seconds += 60
    assert get(cache, vault) == "value 2"


def test_what_must_be_mended_is_told_at_once_even_when_an_old_value_is_held(
    cache: ValueCache[str, str], clock: Clock
) -> None:
    vault = Vault()
    get(cache, vault)
    clock.seconds += 100
    vault.fails = MisconfiguredError(Reason.SECRET_DISABLED, "It is disabled.")
    with pytest.raises(MisconfiguredError):
        get(cache, vault)
    vault.fails = None
    clock.seconds += 16
    assert get(cache, vault) == "value 3"


def test_a_refused_value_is_fetched_anew_once(cache: ValueCache[str, str]) -> None:
    answers = iter(["old", "old", "new", "new"])
    fetched: list[str] = []

    def fetch() -> str:
        fetched.append(next(answers))
        return fetched[-1]

    def refused() -> None:
        cache.invalidate("a", lambda one, other: one == other)

    assert get(cache, fetch) == "old"
    refused()
    assert get(cache, fetch) == "old"
    refused()
    assert get(cache, fetch) == "old"
    assert fetched == ["old", "old"]


def test_a_refused_value_is_not_served_when_the_vault_is_in_trouble(cache: ValueCache[str, str]) -> None:
    vault = Vault()
    get(cache, vault)
    cache.invalidate("a", lambda one, other: one == other)
    vault.fails = trouble()
    with pytest.raises(TryLaterError):
        get(cache, vault)


def test_a_dropped_value_is_fetched_anew_and_others_stay(cache: ValueCache[str, str]) -> None:
    vault, other = Vault(), Vault()
    get(cache, vault)
    get(cache, other, "b")
    assert cache.drop(lambda key: key == "a") == 1
    get(cache, vault)
    get(cache, other, "b")
    assert (vault.fetches, other.fetches) == (2, 1)


def test_a_value_that_was_on_its_way_when_it_changed_is_not_kept(cache: ValueCache[str, str]) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        started.set()
        go_on.wait(5)
        return "old"

    with ThreadPoolExecutor() as pool:
        first = pool.submit(get, cache, slow)
        started.wait(5)
        cache.drop(lambda _: True)
        # It does not wait for the old fetch either.
        assert get(cache, lambda: "new") == "new"
        go_on.set()
        assert first.result(5) == "old"
    assert get(cache, Vault()) == "new"


def test_64_threads_that_ask_at_once_make_one_fetch(cache: ValueCache[str, str]) -> None:
    together = threading.Barrier(64)
    fetches = 0
    go_on = threading.Event()

    def fetch() -> str:
        nonlocal fetches
        fetches += 1
        go_on.wait(5)
        return "value"

    def ask() -> str:
        together.wait(5)
        return cache.get("a", fetch, cache_seconds=60, stale_seconds=0)

    with ThreadPoolExecutor(64) as pool:
        asked = [pool.submit(ask) for _ in range(64)]
        threading.Timer(0.2, go_on.set).start()
        assert {one.result(10) for one in asked} == {"value"}
    assert fetches == 1


def test_what_somebody_must_mend_is_asked_for_once_in_a_while_however_many_ask(
    cache: ValueCache[str, str], clock: Clock
) -> None:
    vault = Vault()
    vault.fails = MisconfiguredError(Reason.SECRET_NOT_FOUND, "There is none.")
    for _ in range(100):
        with pytest.raises(MisconfiguredError):
            get(cache, vault)
    assert vault.fetches == 1
    clock.seconds += 16
    with pytest.raises(MisconfiguredError):
        get(cache, vault)
    assert vault.fetches == 2


def test_an_error_reaches_every_thread_that_waits_and_is_asked_for_again_when_mended(
    cache: ValueCache[str, str], clock: Clock
) -> None:
    together = threading.Barrier(8)
    vault = Vault()
    vault.fails = MisconfiguredError(Reason.SECRET_NOT_FOUND, "There is none.")
    started = threading.Event()

    def fetch() -> str:
        started.wait(1)
        return vault()

    def ask() -> str:
        together.wait(5)
        return get(cache, fetch)

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(8)]
        threading.Timer(0.1, started.set).start()
        for one in asked:
            with pytest.raises(MisconfiguredError):
                one.result(5)
    vault.fails = None
    clock.seconds += 16
    assert get(cache, vault) == f"value {vault.fetches}"


def test_thousands_of_keys_do_not_pile_up(cache: ValueCache[str, str], clock: Clock) -> None:
    for number in range(5_000):
        get(cache, lambda: "x", str(number))
        clock.seconds += 1
    assert len(cache._entries) <= 2_000
