"""Times as row keys that sort."""

from datetime import datetime

# Table Storage sorts ascending only, so newest first needs a number that falls with time.
_LAST_MICROSECOND = 10**18


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)


def ascending(moment: datetime) -> str:
    """A text that sorts with time: earliest first."""
    return f"{microseconds(moment):018d}"


def descending(moment: datetime | int) -> str:
    """A text that sorts against time: newest first. A number is of microseconds since 1970."""
    number = moment if isinstance(moment, int) else microseconds(moment)
    return f"{_LAST_MICROSECOND - number:018d}"
