"""Times of the lab: absolute ones, ones relative to an anchor ("+20d"), and a clock that can be moved."""

import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RELATIVE = re.compile(r"([+-])(\d+(?:\.\d+)?)([smhdw])")


def _read(value: Any) -> Any:
    if isinstance(value, str):
        found = _RELATIVE.fullmatch(value.strip())
        if found:
            sign, amount, unit = found.groups()
            return timedelta(**{_UNITS[unit]: float(sign + amount)})
    elif not isinstance(value, datetime | timedelta):
        raise ValueError("write a time as ISO 8601 with its zone, or relative as +20d, -3h, +90s")  # noqa: TRY004 - pydantic
    return value


When = Annotated[AwareDatetime | timedelta, BeforeValidator(_read)]
"""An absolute time, or a distance from the lab's anchor."""


def resolve(when: datetime | timedelta | None, anchor: datetime) -> datetime | None:
    """The absolute time, in whole seconds as Key Vault keeps them."""
    if isinstance(when, timedelta):
        when = anchor + when
    return when.astimezone(UTC).replace(microsecond=0) if when else None


def written(when: datetime | timedelta | str | None) -> str | None:
    """The form that a document or a control request carries."""
    if isinstance(when, timedelta):
        seconds = when.total_seconds()
        return f"{'-' if seconds < 0 else '+'}{abs(seconds):f}s"
    return when.isoformat() if isinstance(when, datetime) else when


def epoch(when: datetime) -> int:
    """Seconds since 1970, as every field of these services counts."""
    return int(when.timestamp())


class Clock:
    """The lab's time of day: the machine's, plus an offset in seconds that a test may set."""

    def __init__(self, offset_seconds: float = 0) -> None:
        self._lock = threading.Lock()
        self._offset = timedelta(seconds=offset_seconds)

    @property
    def offset_seconds(self) -> float:
        with self._lock:
            return self._offset.total_seconds()

    @offset_seconds.setter
    def offset_seconds(self, seconds: float) -> None:
        with self._lock:
            self._offset = timedelta(seconds=seconds)

    def now(self) -> datetime:
        with self._lock:
            return datetime.now(UTC) + self._offset
