"""What somebody may learn who has not shown a credential yet: a bare reason out of a short list, and nothing else.

Why it is so stands in the log, summed up, so that a stranger cannot fill it either.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.errors import (
    BodyNotArrivedError,
    DeskbridgeError,
    MethodNotAllowedError,
    NotAuthorisedError,
    NotFoundError,
    TooLargeError,
    TryLaterError,
)
from shared.reasons import Reason

logger = logging.getLogger(__name__)

# docs/security.md lists them; what is none of them is told as `not_ready`.
STRANGER_REASONS = frozenset(
    {
        Reason.CREDENTIAL_REFUSED,
        Reason.ORIGIN_NOT_ALLOWED,
        Reason.METHOD_NOT_ALLOWED,
        Reason.BODY_TOO_LARGE,
        Reason.BODY_NOT_ARRIVED,
        Reason.NOT_FOUND,
        Reason.WEBHOOK_PASSWORD_UNREADABLE,
        Reason.STORAGE_UNAVAILABLE,
        Reason.NOT_READY,
        Reason.SIGN_IN_EXPECTED,
        Reason.INTERNAL,
    }
)
_SAME_CLASS = (
    NotAuthorisedError,
    MethodNotAllowedError,
    NotFoundError,
    BodyNotArrivedError,
    TooLargeError,
    TryLaterError,
)
_SUMMED_UP_SECONDS = 60.0


def bare(error: DeskbridgeError) -> DeskbridgeError:
    """The refusal without its words, its remedy and its faults, and with a reason of the list."""
    cls = next((cls for cls in _SAME_CLASS if isinstance(error, cls)), TryLaterError)
    if cls is NotAuthorisedError and error.reason is not Reason.ORIGIN_NOT_ALLOWED:
        return NotAuthorisedError(Reason.CREDENTIAL_REFUSED, "")
    return cls(error.reason if error.reason in STRANGER_REASONS else Reason.NOT_READY, "")


class RefusalLog:
    """One line a minute for each door and reason; the next line says how many there were in between."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # Doors and reasons are few: nothing that a stranger sends adds to them.
        # When its last line was, and how many came since.
        self._seen: dict[tuple[str, Reason], tuple[float, int]] = {}

    def forget(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin anew, by this clock: the next of each kind is a line again."""
        with self._lock:
            self._clock = clock
            self._seen.clear()

    def note(self, door: str, error: DeskbridgeError, level: int = logging.WARNING) -> None:
        now = self._clock()
        with self._lock:
            since, more = self._seen.get((door, error.reason), (None, 0))
            if since is not None and now - since < _SUMMED_UP_SECONDS:
                self._seen[door, error.reason] = (since, more + 1)
                return
            self._seen[door, error.reason] = (now, 0)
        summed_up = f"; {more} more like it since its last line" if more else ""
        logger.log(level, "%s: %s (%s)%s", door, error, error.reason, summed_up)


# One for the process: two doors of one worker share its log.
REFUSALS = RefusalLog()


def told_to_stranger(door: str, error: DeskbridgeError) -> DeskbridgeError:
    """Log what is wrong; the error with a bare reason is what the stranger is told."""
    REFUSALS.note(door, error)
    return bare(error)


@contextmanager
def before_authorisation(door: str) -> Iterator[None]:
    """What is raised within is logged, and goes on as its bare reason."""
    try:
        yield
    except DeskbridgeError as error:
        raise told_to_stranger(door, error) from None
