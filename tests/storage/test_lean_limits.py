"""A row is measured once and quickly, and weighs what it weighs when every part of it is counted by itself."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage.limits import RowRefusedError, check_row
from shared.storage.rows import Row, Value

_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
_VALUES: st.SearchStrategy[Value] = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    st.binary(),
    st.datetimes(datetime(1601, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
)


def _size(value: Value) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-16-le")) + 4
    if isinstance(value, bytes):
        return len(value) + 4
    return 1 if isinstance(value, bool) else 8


@given(st.dictionaries(_NAMES, _VALUES, max_size=8), st.text("aü😀", max_size=5))
def test_a_rows_size_is_the_sum_of_its_parts_however_often_it_is_asked(values: dict[str, Value], key: str) -> None:
    row = Row("p", key, values)
    expected = 4 + 2 + len(key.encode("utf-16-le"))
    expected += sum(8 + 2 * len(column) + _size(value) for column, value in values.items())
    assert [check_row(row), check_row(row)] == [expected, expected]
    assert row == Row("p", key, values)


def test_a_row_that_is_refused_is_refused_each_time() -> None:
    row = Row("p", "r", {"half": "ab\ud800"})
    for _ in range(2):
        with pytest.raises(RowRefusedError):
            check_row(row)
