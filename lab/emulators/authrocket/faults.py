"""What can go wrong on the way to AuthRocket, scripted for the n-th page of a read or the next n requests."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypedDict

Kind = Literal[
    "status",  # answer with `status`, `retry_after` and `errors`
    "hang",  # say nothing for `seconds`, then answer
    "reset",  # the connection is reset without an answer
    "truncated",  # half the body, then the end of the connection
    "malformed",  # 200 with a page of HTML, as a proxy gives
    "repeat_page",  # the page before once more
    "stuck_page",  # an empty page that says there are more
    "call",  # run `action` (the realm changes), then answer as usual
]


@dataclass
class Script:
    """One fault. `page` counts from 1 within a read; without it any request counts. `times` None: until cleared."""

    kind: Kind
    status: int = 500
    page: int | None = None
    path: str | None = None
    times: int | None = 1
    skip: int = 0
    seconds: float = 30
    retry_after: str | None = None
    errors: tuple[str, ...] = ()
    action: Callable[[], object] | None = None

    def concerns(self, path: str, page: int | None) -> bool:
        return (self.path is None or path.startswith(self.path)) and self.page in {None, page}


class ScriptOptions(TypedDict, total=False):
    """The fields of a Script beside its kind."""

    status: int
    page: int | None
    path: str | None
    times: int | None
    skip: int
    seconds: float
    retry_after: str | None
    errors: tuple[str, ...]
    action: Callable[[], object] | None


class Faults:
    """The scripts that are waiting, in order; the first that concerns a request is taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: list[Script] = []
        self.cleared = threading.Event()

    def add(self, script: Script) -> None:
        with self._lock:
            self.cleared.clear()
            self._scripts.append(script)

    def clear(self) -> None:
        """Forget all scripts, and wake those that hang."""
        with self._lock:
            self._scripts.clear()
            self.cleared.set()

    def take(self, path: str, page: int | None) -> Script | None:
        with self._lock:
            for script in self._scripts:
                if not script.concerns(path, page):
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
