"""A row is refused exactly when one that counts every part of it would refuse it."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import RowRefusedError, TooLargeError
from shared.storage.multipart import to_batch
from shared.storage.rows import (
    BYTES_PER_ROW,
    Create,
    Delete,
    Merge,
    Operation,
    Replace,
    Row,
    Save,
    Value,
    check_row,
    size_in_transaction,
    size_of_row,
)

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
def test_a_rows_size_is_the_sum_of_its_parts(values: dict[str, Value], key: str) -> None:
    row = Row("p", key, values)
    expected = 4 + 2 + len(key.encode("utf-16-le"))
    expected += sum(8 + 2 * len(column) + _size(value) for column, value in values.items())
    assert size_of_row(row) == expected


@given(st.sampled_from(["x", "ü", "東", "😀", "\n", "\x00"]), st.integers(-2, 2), st.booleans())
def test_a_text_of_up_to_64_kib_is_taken_and_a_longer_one_refused(character: str, more: int, first: bool) -> None:
    fits = 65_536 // len(character.encode("utf-16-le"))
    text = character * (fits + more)
    row = Row("p", "r", {"text": text, "other": 1} if first else {"other": 1, "text": text})
    if more > 0:
        with pytest.raises(RowRefusedError):
            check_row(row)
    else:
        check_row(row)


@given(st.sampled_from(["x", "ü", "😀"]), st.integers(-3, 3))
def test_a_row_of_up_to_one_mebibyte_is_taken_and_a_larger_one_refused(character: str, more: int) -> None:
    width = len(character.encode("utf-16-le"))
    values: dict[str, Value] = {f"c{number:02}": character * (60_000 // width) for number in range(17)}
    missing = BYTES_PER_ROW - size_of_row(Row("p", "r", {**values, "last": ""}))
    row = Row("p", "r", {**values, "last": character * (missing // width + more)})
    if size_of_row(row) > BYTES_PER_ROW:
        with pytest.raises(TooLargeError):
            check_row(row)
    else:
        check_row(row)


@pytest.mark.parametrize(
    "value",
    ["ab\ud800", 2**63, -(2**63) - 1, datetime(2026, 1, 1), datetime(1600, 12, 31, tzinfo=UTC), b"x" * 65_537],  # noqa: DTZ001 - a time without a zone is what is refused
    ids=["an unpaired surrogate (invalid Unicode)", "number", "negative", "no zone", "too early", "bytes"],
)
def test_a_row_that_is_refused_is_refused_each_time(value: Value) -> None:
    row = Row("p", "r", {"column": value})
    for _ in range(2):
        with pytest.raises(RowRefusedError, match="'r'"):
            check_row(row)


@pytest.mark.parametrize(
    "name", ["with-dash", "", "1st", "Timestamp", "PartitionKey", "RowKey", "x" * 256, "new\n", "ü"]
)
def test_a_name_that_no_column_can_have_is_refused(name: str) -> None:
    with pytest.raises(RowRefusedError):
        check_row(Row("p", "r", {name: "x"}))


@given(
    key=st.text("a'é:", max_size=400),
    text=st.sampled_from(["", "a" * 5_000, "é" * 3_000]),
    how=st.sampled_from([Create, Replace, Merge, Save, Delete]),
)
@example(key="'" * 400, text="a" * 5_000, how=Create)
@example(key="'" * 400, text="a" * 5_000, how=Replace)
@example(key="'" * 400, text="", how=Delete)
def test_no_operation_takes_more_than_it_is_weighed(key: str, text: str, how: type[Operation]) -> None:
    row = Row("aws:111122223333:eu-west-2", key, {"text": text}, "W/\"datetime'2026-11-22T06%3A00%3A07.1047290Z'\"")
    operation = Delete(key, row.etag) if how is Delete else how(row)  # type: ignore[arg-type] # the others
    address = f"https://{'a' * 24}.table.core.windows.net/"
    one, two = (
        len(to_batch(address, "assets", row.partition_key, [operation] * count, f"batch_{0:032}", f"changeset_{0:032}"))
        for count in (1, 2)
    )
    assert two - one <= size_in_transaction(operation)
