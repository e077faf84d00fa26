"""Timer schedules: NCRONTAB expressions (six fields with seconds, or five) and time spans, in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from croniter import CroniterError, croniter

from lab.emulators.functions_host.timespan import is_timespan, parse_timespan

# NCRONTAB knows fewer tricks than croniter (no L, #, ?, @daily, year): what Azure would refuse is refused here.
_FIELD = re.compile(r"[0-9A-Za-z*,/-]+")
_NAMES = {
    "month": ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    "day of the week": ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}
_FIELD_NAMES = ("second", "minute", "hour", "day", "month", "day of the week")


class Schedule(Protocol):
    """When a timer fires."""

    def next_after(self, moment: datetime) -> datetime:
        """The first occurrence after an aware moment, in UTC."""
        ...


@dataclass(frozen=True)
class _Cron:
    expression: str

    def next_after(self, moment: datetime) -> datetime:
        # NCRONTAB asks for both the day and the day of the week; plain cron for either.
        times = croniter(self.expression, moment.astimezone(UTC), second_at_beginning=True, day_or=False)
        following: datetime = times.get_next(datetime)
        return following


@dataclass(frozen=True)
class _Every:
    period: timedelta

    def next_after(self, moment: datetime) -> datetime:
        return moment.astimezone(UTC) + self.period


def parse_schedule(text: str) -> Schedule:
    """Raises ValueError with the reason."""
    if is_timespan(text):
        period = parse_timespan(text)
        if period <= timedelta(0):
            raise ValueError(f"{text!r} must be longer than nothing")
        return _Every(period)
    fields = text.split()
    if len(fields) not in (5, 6):
        raise ValueError(f"{text!r} has {len(fields)} fields, and a cron expression has 6 (or 5 without seconds)")
    for name, field in zip(_FIELD_NAMES[-len(fields) :], fields, strict=True):
        if (fault := _fault(name, field)) is not None:
            raise ValueError(f"{text!r}: {field!r} is not a valid {name}{fault}")
    schedule = _Cron(" ".join(fields if len(fields) == 6 else ["0", *fields]))
    try:
        schedule.next_after(datetime.now(UTC))
    except (CroniterError, ValueError, KeyError) as error:
        raise ValueError(f"{text!r} is not a valid cron expression: {error}") from error
    return schedule


def _fault(name: str, field: str) -> str | None:
    if not _FIELD.fullmatch(field):
        return ""
    for word in re.findall(r"[A-Za-z]+", field):
        if word.upper() not in _NAMES.get(name, ()):
            return ""
    if name == "day of the week" and re.search(r"(^|[,-])7", field):
        return " (0 to 6, Sunday is 0)"
    for low, high in re.findall(r"(\d+)-(\d+)", field):
        if int(low) > int(high):
            return " (a range must go up)"
    return None
