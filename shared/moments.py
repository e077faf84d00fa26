"""Dates as other services say them: seconds, texts, any number, or nothing that can be read. One place reads them all.

A date that lies beyond any calendar is far away; what no reading makes a date of is none, and nothing depends on it.
"""

from datetime import UTC, datetime, timedelta

# What table columns and ISO dates can hold, with room for a calculation beyond either end.
LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)
FAR_AWAY = datetime(9990, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A date that came through a float of 32 bits is off by up to this part of its seconds.
_SINGLE_PRECISION = 2**23


def date_of(said: object) -> datetime | None:
    """The date that a service says, in whole seconds and between LONG_AGO and FAR_AWAY; None for what is no date.

    Seconds since 1970 as a number or a text, an ISO date, or what a client library has made of either.
    """
    if isinstance(said, datetime):
        return _within(said)
    if isinstance(said, str):
        try:
            said = float(said)
        except ValueError:
            return _of_text(str(said))
    if isinstance(said, bool) or not isinstance(said, int | float) or said != said:
        return None
    # Compared as it is: not every number is one that a date can be made of.
    if said >= FAR_AWAY.timestamp():
        return FAR_AWAY
    return LONG_AGO if said <= LONG_AGO.timestamp() else _EPOCH + timedelta(seconds=int(said))


def same_date(one: datetime | None, other: datetime | None) -> bool:
    """Whether two services can mean one date: a difference of rounding, to seconds or to 32 bits, is none."""
    if one is None or other is None:
        return one is other
    seconds = abs((one - other).total_seconds())
    return seconds <= 1 + abs(other.timestamp()) / _SINGLE_PRECISION


def _of_text(said: str) -> datetime | None:
    try:
        return _within(datetime.fromisoformat(said.strip()))
    except ValueError:
        return None


def _within(moment: datetime) -> datetime:
    # Near either end of the calendar a change of zone leaves it, so the year comes first.
    if moment.year < LONG_AGO.year:
        return LONG_AGO
    if moment.year >= FAR_AWAY.year:
        return FAR_AWAY
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return max(LONG_AGO, min(FAR_AWAY, moment)).replace(microsecond=0)
