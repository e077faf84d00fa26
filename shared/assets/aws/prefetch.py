"""The next page is asked for while the one before it is worked on: one thread waits for EC2, and does little else.

Asking has to wait for a page's token, and the token stands at the end of the page. So the asking thread unpacks a page,
looks for the token there and goes on asking, while the page's parts are read where the work is done.
"""

import threading
from collections.abc import Generator, Iterable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _LeftError(Exception):
    """Nobody wants the pages any more."""


class Turn:
    """Lets the asking thread unpack a page only when the page before it is done with: there are never two in memory."""

    def __init__(self) -> None:
        self._turns = threading.Semaphore(0)
        self._left = False

    def give(self) -> None:
        self._turns.release()

    def leave(self) -> None:
        """End the asking at its next page."""
        self._left = True
        self._turns.release()

    def wait(self) -> None:
        """Until it is the asking thread's turn to unpack a page; every page that is handed over has had one."""
        self._turns.acquire()
        if self._left:
            raise _LeftError


def ahead(pages: Iterable[T], turn: Turn) -> Generator[T, None, None]:
    """The pages, each asked for in a thread while the one before it is worked on. Raises what asking raises."""
    found: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()

    def ask() -> None:
        try:
            for page in pages:
                found.put((page,))
                del page
        except _LeftError:
            return
        except BaseException as error:  # noqa: BLE001 - raised where the pages are worked on
            found.put(error)
            return
        found.put(None)

    # A daemon: a page that nobody waits for any more must not keep the worker from ending.
    threading.Thread(target=ask, name="ec2-pages", daemon=True).start()
    try:
        while True:
            turn.give()
            page = found.get()
            if page is None:
                return
            if isinstance(page, BaseException):
                try:
                    raise page
                finally:
                    # Else the error holds this frame, which holds the error: a circle with all that was read.
                    del page
            yield page[0]
            del page
    finally:
        turn.leave()
