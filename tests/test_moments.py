"""One reading of dates for all that services say: any number, any text, anything at all."""

import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.moments import FAR_AWAY, LONG_AGO, date_of, same_date

ANY_NUMBER = st.one_of(st.integers(), st.integers(min_value=-(10**400), max_value=10**400), st.floats())
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), ANY_NUMBER, st.text(), st.datetimes(), st.binary()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(ANYTHING)
def test_whatever_is_said_is_a_date_that_can_be_stored_or_none(said: Any) -> None:
    found = date_of(said)
    assert found is None or LONG_AGO <= found <= FAR_AWAY
    assert found is None or (found.tzinfo is UTC and not found.microsecond)


@given(ANY_NUMBER)
def test_a_number_and_its_text_are_one_date(said: float) -> None:
    assert date_of(str(said)) == date_of(said)


@given(st.integers(round(LONG_AGO.timestamp()), round(FAR_AWAY.timestamp())))
def test_seconds_text_iso_and_a_client_librarys_moment_are_one_date(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    east = moment.astimezone(timezone(timedelta(hours=2))) if seconds < FAR_AWAY.timestamp() - 86_400 else moment
    for said in (seconds, float(seconds), f" {seconds}\n", moment, moment.isoformat(), east, east.isoformat()):
        assert date_of(said) == moment


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (253_402_300_799, FAR_AWAY),
        ("253402300799", FAR_AWAY),
        (253_402_300_800, FAR_AWAY),
        (10**400, FAR_AWAY),
        (float("inf"), FAR_AWAY),
        ("9999-12-31T23:59:59-12:00", FAR_AWAY),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-1))), FAR_AWAY),
        (0, LONG_AGO),
        (-11_644_473_600, LONG_AGO),
        (-(10**400), LONG_AGO),
        ("0001-01-01T00:00:00+05:00", LONG_AGO),
        (float("nan"), None),
        ("NaN", None),
        (True, None),
        ("n/a", None),
        ("", None),
        (" ", None),
        (None, None),
        ([1_798_675_200], None),
        ({"exp": 1_798_675_200}, None),
    ],
)
def test_what_lies_beyond_the_calendar_is_far_away_and_what_is_no_date_is_none(
    said: object, expected: datetime | None
) -> None:
    assert date_of(said) == expected


def singly(seconds: float) -> float:
    """The number as a float of 32 bits keeps it."""
    rounded: float = struct.unpack("f", struct.pack("f", seconds))[0]
    return rounded


@given(st.integers(round(LONG_AGO.timestamp()), round(FAR_AWAY.timestamp())))
def test_a_difference_of_rounding_is_no_other_date(seconds: int) -> None:
    date = date_of(seconds)
    assert same_date(date_of(singly(seconds)), date)
    assert same_date(date_of(seconds + 0.999), date)


@given(st.integers(1_000_000_000, 4_000_000_000), st.integers(600, 10**9), st.booleans())
def test_ten_minutes_are_another_date(seconds: int, difference: int, later: bool) -> None:
    assert not same_date(date_of(seconds), date_of(seconds + (difference if later else -difference)))


def test_no_date_is_the_same_as_none_alone() -> None:
    assert same_date(None, None)
    assert not same_date(None, FAR_AWAY)
    assert not same_date(FAR_AWAY, None)
