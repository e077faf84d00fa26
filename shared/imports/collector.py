"""Cyclic garbage collection, put off while a page is in work: its thousands of values are looked through for nothing.

What an import makes has no cycles, so counting references frees it. Measured, the collector takes a third of the time
of reading a page. It is one for the whole process: it stays off while any thread has a page in work.
"""

import gc
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_at_work = 0
_was_on = False


@contextmanager
def collector_put_off() -> Iterator[None]:
    """No cyclic collection in the block, nor in others that overlap with it; afterwards as it was before."""
    global _at_work, _was_on  # noqa: PLW0603 - the collector is the process's, and so is this
    with _lock:
        if _at_work == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _at_work += 1
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            last = _at_work == 0
            if last and _was_on:
                gc.enable()
        if not last:
            # Where pages always overlap it would never come on again: what is young is looked through here.
            gc.collect(1)


def page_by_page(pages: Iterable[T]) -> Generator[T, None, None]:
    """The pages; neither getting nor working on one is held up by the collector. Close it when not read to its end."""
    iterator = iter(pages)
    while True:
        with collector_put_off():
            page = next(iterator, None)
            if page is None:
                return
            yield page
            del page
