"""In what role, and from where, the work at hand is done: set once a request, read where a change is audited.

A context variable, because every service on the way would otherwise hand it through without looking at it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import NamedTuple


class Origin(StrEnum):
    """Where a change came from: a request to the API, the console in a browser, or the desk by itself."""

    REQUEST = "request"
    CONSOLE = "console"
    SYSTEM = "system"


class Actor(NamedTuple):
    """`role` is empty where nobody had to have one."""

    role: str = ""
    origin: Origin = Origin.SYSTEM


_present: ContextVar[Actor | None] = ContextVar("acting", default=None)


@contextmanager
def acting(role: str, origin: Origin) -> Iterator[None]:
    """Within it, changes are made in this role and from there."""
    before = _present.set(Actor(role, origin))
    try:
        yield
    finally:
        _present.reset(before)


def present() -> Actor:
    """Who is at work: the desk itself unless a request says otherwise."""
    return _present.get() or Actor()
