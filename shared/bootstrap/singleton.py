"""What is built, each thing once, and how a test or a driver puts something else in its place."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

T = TypeVar("T")

_lock = threading.RLock()
_built: dict[str, Any] = {}


def singleton(build: Callable[[], T]) -> Callable[[], T]:
    # functools.cache under 8 threads builds 8 objects: a trigger's first calls come together.
    @wraps(build)
    def built() -> T:
        name = build.__name__
        if name not in _built:
            with _lock:
                if name not in _built:
                    _built[name] = build()
        return cast("T", _built[name])

    return built


class LazyProxy:
    """Stands in for an object that is built when the first of its members is asked for."""

    def __init__(self, build: Callable[[], object]) -> None:
        self._build = build

    def __getattr__(self, name: str) -> Any:
        return getattr(self._build(), name)


def replace(name: str, value: object) -> None:
    """Stand `value` in for what the function `name` builds, until `reset`. For tests and the lab's drivers."""
    with _lock:
        _built[name] = value


def reset() -> None:
    """Forget everything that was built."""
    with _lock:
        _built.clear()


def swap_instances(built: dict[str, Any]) -> dict[str, Any]:
    """Put what another process built in place of this; answers with this. For a driver that plays several workers."""
    global _built
    with _lock:
        before, _built = _built, built
    return before
