"""Times and durations as .NET writes them, because host.json and the bindings are read by .NET in Azure."""

import re
from datetime import datetime, timedelta

_TIMESPAN = re.compile(
    r"^(?P<minus>-)?(?:(?P<days>\d+)\.)?(?P<hours>\d+):(?P<minutes>\d\d?)(?::(?P<seconds>\d\d?(?:\.\d{1,7})?))?$"
)
_SEVENTH_DIGIT = "0"  # .NET ticks are tenths of a microsecond


def parse_timespan(text: str) -> timedelta:
    """`[d.]hh:mm[:ss[.fffffff]]`. Raises ValueError with the reason.

    Hours above 23 are refused: .NET reads "24:00:00" as 24 days.
    """
    found = _TIMESPAN.match(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a time span such as 00:05:00")
    hours, minutes, seconds = int(found["hours"]), int(found["minutes"]), float(found["seconds"] or 0)
    if hours > 23:
        raise ValueError(f"{text!r} has more than 23 hours, which .NET would read as days: write days as 1.00:00:00")
    if minutes > 59 or seconds >= 60:
        raise ValueError(f"{text!r} has more than 59 minutes or seconds")
    span = timedelta(days=int(found["days"] or 0), hours=hours, minutes=minutes, seconds=seconds)
    return -span if found["minus"] else span


def is_timespan(text: str) -> bool:
    """Whether a schedule is a time span and no cron expression."""
    return ":" in text and " " not in text.strip()


def write_time(at: datetime) -> str:
    """ISO 8601 with seven fractional digits and the offset, as .NET's round-trip format."""
    body, offset = at.isoformat(timespec="microseconds")[:26], at.isoformat(timespec="microseconds")[26:]
    return f"{body}{_SEVENTH_DIGIT}{offset}"
