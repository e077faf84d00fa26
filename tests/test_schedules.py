"""When a timer fires next: as the host's own reading of the same expression has it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.emulators.functions_host.schedules import parse_schedule
from shared.schedules import next_after

_MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - a bound


def _field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    # A range of one number is another thing to croniter than to the host.
    span = st.tuples(number, number).filter(lambda two: two[0] < two[1]).map(lambda two: f"{two[0]}-{two[1]}")
    step = st.integers(2, 4).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), number.map(str), span, step, st.lists(number.map(str), min_size=1).map(",".join))


@given(
    st.tuples(_field(0, 59), _field(0, 59), _field(0, 23), st.just("*"), _field(1, 12), _field(0, 6)).map(" ".join),
    _MOMENTS,
)
def test_the_next_time_is_that_of_the_host(expression: str, moment: datetime) -> None:
    assert next_after(expression, moment) == parse_schedule(expression).next_after(moment)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 2 * * *", datetime(2026, 3, 2, 2, tzinfo=UTC)),
        ("0 30 2 * * MON-FRI", datetime(2026, 3, 2, 2, 30, tzinfo=UTC)),
        ("*/15 * * * *", datetime(2026, 3, 1, 2, 15, tzinfo=UTC)),
        ("0 0 0 29 FEB *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0 0 0 31 2 *", None),
        ("1.00:00:00", None),
        ("0 0 25 * * *", None),
        ("a b c d e f", None),
        ("", None),
    ],
)
def test_what_no_expression_says_is_not_known(expression: str, expected: datetime | None) -> None:
    moment = datetime(2026, 3, 1, 2, tzinfo=UTC)
    assert next_after(expression, moment) == expected
    assert expected is None or expected - moment > timedelta(0)
