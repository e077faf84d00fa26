"""The collector is put off while a page is in work, and is as it was before when none is, whatever happens."""

import gc
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from shared.imports.collector import collector_put_off, page_by_page


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    assert gc.isenabled()
    yield
    assert gc.isenabled()


def test_it_is_off_while_a_page_is_got_and_worked_on_and_on_between() -> None:
    states: list[tuple[str, bool]] = []

    def pages() -> Iterator[int]:
        for number in range(2):
            states.append(("getting", gc.isenabled()))
            yield number
        states.append(("getting", gc.isenabled()))

    states.extend(("working", gc.isenabled()) for _ in page_by_page(pages()))
    assert states == [(what, False) for what in ("getting", "working", "getting", "working", "getting")]
    assert gc.isenabled()


def test_it_comes_on_again_when_getting_or_working_on_a_page_fails() -> None:
    def pages() -> Iterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError), closing(page_by_page(pages())) as found:
        list(found)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), closing(page_by_page([1, 2])) as found:
        sum(1 // 0 for _ in found)
    assert gc.isenabled()


def test_who_had_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        assert list(page_by_page([1, 2])) == [1, 2]
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_stays_off_until_the_last_of_several_threads_is_done() -> None:
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    seen: list[bool] = []

    def first() -> None:
        with collector_put_off():
            first_in.set()
            second_in.wait(5)
        seen.append(gc.isenabled())
        first_out.set()

    def second() -> None:
        first_in.wait(5)
        with collector_put_off():
            second_in.set()
            first_out.wait(5)
            seen.append(gc.isenabled())

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert seen == [False, False]


def test_many_threads_leave_it_on() -> None:
    def work() -> None:
        for _ in page_by_page(range(200)):
            pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert gc.isenabled()
