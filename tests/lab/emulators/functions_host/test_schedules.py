"""Schedules mean what NCRONTAB and .NET time spans mean in Azure."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.emulators.functions_host.schedules import parse_schedule
from lab.emulators.functions_host.timespan import parse_timespan, write_time

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive

EXPRESSIONS = ["0 */7 * * * *", "15 30 4 * * *", "0 0 0 1 */3 *", "0 0 12 * * MON-FRI", "*/9 * * * * *"]


def after(text: str, *moment: int) -> str:
    return parse_schedule(text).next_after(datetime(*moment, tzinfo=UTC)).isoformat()[:19]  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "moment", "following"),
    [
        ("0 */5 * * * *", (2024, 1, 1, 0, 5), "2024-01-01T00:10:00"),
        ("*/5 * * * *", (2024, 1, 1, 0, 5), "2024-01-01T00:10:00"),
        ("30 0 2 * * *", (2024, 1, 1, 2, 0, 30), "2024-01-02T02:00:30"),
        ("0 0 9-17 * * 1-5", (2024, 1, 5, 17), "2024-01-08T09:00:00"),
        ("0 0 0 1 JAN,jul *", (2024, 1, 1), "2024-07-01T00:00:00"),
        ("0 0 0 29 2 *", (2024, 3, 1), "2028-02-29T00:00:00"),
        # Both the day and the day of the week must fit, unlike in cron.
        ("0 0 0 13 * FRI", (2024, 1, 1), "2024-09-13T00:00:00"),
        ("0 0 0 * * 0", (2024, 1, 1), "2024-01-07T00:00:00"),
        ("00:05:00", (2024, 1, 1), "2024-01-01T00:05:00"),
        ("1.00:00:00", (2024, 1, 1), "2024-01-02T00:00:00"),
    ],
)
def test_the_next_occurrence(text: str, moment: tuple[int, ...], following: str) -> None:
    assert after(text, *moment) == following


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 0 0 * * * 2024", "7 fields"),
        ("0 60 * * * *", "not a valid cron expression"),
        ("0 0 24 * * *", "not a valid cron expression"),
        ("0 0 0 31 2 *", "not a valid cron expression"),
        ("0 0 0 * * 7", "Sunday is 0"),
        ("0 0 22-2 * * *", "must go up"),
        ("0 0 0 L * *", "not a valid day"),
        ("0 0 0 ? * *", "not a valid day"),
        ("0 0 0 * * 5#2", "not a valid day of the week"),
        ("0 0 MON * * *", "not a valid hour"),
        ("@daily", "1 fields"),
        ("00:00:00", "longer than nothing"),
        ("-00:05:00", "longer than nothing"),
        ("24:00:00", "days"),
        ("00:99:00", "59 minutes"),
        ("00:x:00", "not a time span"),
    ],
)
def test_what_azure_would_refuse_or_misread_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_schedule(text)


@given(
    MOMENTS, st.sampled_from(["0 */7 * * * *", "15 30 4 * * *", "0 0 0 1 */3 *", "0 0 12 * * MON-FRI", "*/9 * * * * *"])
)
def test_an_occurrence_is_later_in_utc_and_none_is_skipped(moment: datetime, text: str) -> None:
    schedule = parse_schedule(text)
    following = schedule.next_after(moment)
    assert following > moment
    assert following.utcoffset() == timedelta(0)
    assert following.microsecond == 0
    # Anything between the two leads to the same occurrence, whatever the time zone it is given in.
    between = moment + (following - moment) / 2
    assert schedule.next_after(between.astimezone(timezone(timedelta(hours=5)))) == following


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:00", 0), ("00:00:00.2", 0.2), ("01:02:03", 3723), ("2.00:00:01", 172801), ("00:10", 600)],
)
def test_time_spans(text: str, seconds: float) -> None:
    assert parse_timespan(text).total_seconds() == seconds


def test_times_are_written_with_seven_digits() -> None:
    assert write_time(datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) == "2024-01-02T03:04:05.0000060+00:00"
