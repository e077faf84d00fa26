"""The same tests on the tables in memory, and on the emulator through the product's client and the SDK's own way."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, InvalidInputError, RowRefusedError, TooLargeError
from shared.storage.rest_tables import RestTables
from shared.storage.rows import (
    Create,
    Delete,
    Merge,
    Operation,
    Replace,
    Row,
    Save,
    Value,
    in_transactions,
    pack,
    unpack,
)
from shared.storage.tables import AnyOf, Condition, Table, Where, partition, row_key_prefix, scan
from shared.text import escape_key
from tests.fakes.tables import MemoryTables
from tests.storage.sdk_tables import SdkTables
from tests.storage_emulator import Storage


@pytest.fixture(params=["memory", "sdk", "rest"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        yield MemoryTables().table("things")
        return
    account: Storage = request.getfixturevalue("storage")
    tables = RestTables if request.param == "rest" else SdkTables
    yield tables.from_connection_string(account.connection_string).table("things")


def test_a_row_comes_back_as_it_was_written(table: Table) -> None:
    values: dict[str, Value] = {
        "text": "Zürich 東京 'quoted'",
        "empty": "",
        "small": 7,
        "large": 2**40,
        "fraction": 1.5,
        "flag": True,
        "raw": b"\x00\xff",
        "at": datetime(2026, 11, 21, 8, 30, 15, 123456, tzinfo=UTC),
    }
    (etag,) = table.transact("p", [Create(Row("p", "r", values))])
    row = table.find("p", "r")
    assert row is not None
    assert dict(row.values) == values
    assert row.etag == etag
    assert {column: type(value) for column, value in row.values.items()} == {c: type(v) for c, v in values.items()}


def test_a_missing_row_is_none_and_a_missing_table_is_empty(table: Table) -> None:
    assert table.find("p", "nothing") is None
    assert list(scan(table, [partition("p")])) == []


def test_a_create_that_meets_a_row_fails_and_takes_its_transaction_with_it(table: Table) -> None:
    table.transact("p", [Create(Row("p", "second"))])
    with pytest.raises(AlreadyExistsError) as caught:
        table.transact("p", [Create(Row("p", "first")), Create(Row("p", "second")), Create(Row("p", "third"))])
    assert caught.value.row_key == "second"
    assert table.find("p", "first") is None


def test_a_replacement_needs_the_version_that_was_read(table: Table) -> None:
    (first,) = table.transact("p", [Create(Row("p", "r", {"a": 1, "b": 2}))])
    (second,) = table.transact("p", [Replace(Row("p", "r", {"a": 3}, first))])
    row = table.find("p", "r")
    assert row is not None
    assert (dict(row.values), row.etag) == ({"a": 3}, second)
    with pytest.raises(ChangedMeanwhileError) as caught:
        table.transact("p", [Save(Row("p", "other")), Replace(Row("p", "r", {"a": 4}, first))])
    assert caught.value.row_key == "r"
    assert table.find("p", "other") is None


def test_a_replacement_of_nothing_is_a_change_meanwhile(table: Table) -> None:
    table.transact("p", [Create(Row("p", "other"))])
    with pytest.raises(ChangedMeanwhileError):
        table.transact("p", [Replace(Row("p", "gone", {}, "W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\""))])


def test_a_merge_writes_the_columns_it_names_and_needs_the_version_that_was_read(table: Table) -> None:
    at = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
    (first,) = table.transact("p", [Create(Row("p", "it's r", {"a": 1, "b": "two", "at": at}))])
    [read] = table.page([partition("p")], select=["b"]).rows
    assert (dict(read.values), read.etag) == ({"b": "two"}, first)
    (second,) = table.transact("p", [Merge(Row("p", read.row_key, {"b": "three", "c": 2**40}, read.etag))])
    row = table.find("p", read.row_key)
    assert row is not None
    assert (dict(row.values), row.etag) == ({"a": 1, "b": "three", "at": at, "c": 2**40}, second)
    with pytest.raises(ChangedMeanwhileError) as caught:
        table.transact("p", [Save(Row("p", "other")), Merge(Row("p", read.row_key, {"a": 4}, first))])
    assert caught.value.row_key == read.row_key
    assert table.find("p", "other") is None


def test_a_merge_into_nothing_is_a_change_meanwhile(table: Table) -> None:
    table.transact("p", [Create(Row("p", "other"))])
    with pytest.raises(ChangedMeanwhileError):
        table.transact("p", [Merge(Row("p", "gone", {}, "W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\""))])


def test_a_deletion_keeps_to_its_etag(table: Table) -> None:
    (first,) = table.transact("p", [Create(Row("p", "r"))])
    (second,) = table.transact("p", [Save(Row("p", "r", {"a": 1}))])
    with pytest.raises(ChangedMeanwhileError):
        table.transact("p", [Delete("r", first)])
    table.transact("p", [Delete("r", second)])
    assert table.find("p", "r") is None
    with pytest.raises(ChangedMeanwhileError):
        table.transact("p", [Delete("r")])


def test_pages_follow_each_other_in_key_order(table: Table) -> None:
    table.transact("p", [Create(Row("p", f"k{number:03d}", {"n": number})) for number in range(100)])
    table.transact("q", [Create(Row("q", "k000"))])
    seen = []
    after = None
    while True:
        page = table.page([partition("p")], size=30, after=after, select=["n"])
        seen += [row.number("n") for row in page.rows]
        after = page.next
        if after is None:
            break
    assert seen == list(range(100))


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\r\n--changeset", "\u0085", "\ufeff", "\x00", "\U0001f600"])
def test_a_text_comes_back_whatever_ends_a_line_in_it(table: Table, odd: str) -> None:
    text = f"before{odd}after"
    table.transact("p", [Create(Row("p", "r", {"text": text}))])
    found = table.find("p", "r")
    assert found is not None
    assert found.text("text") == text


def test_conditions_narrow_a_page(table: Table) -> None:
    rows = [Row("p", f"open:{n}", {"n": n, "kind": "a" if n % 2 else "b'c"}) for n in range(10)]
    table.transact("p", [Create(row) for row in rows] + [Create(Row("p", "closed:1", {"n": 1, "kind": "a"}))])
    where: Where = [
        partition("p"),
        *row_key_prefix("open:"),
        AnyOf([Condition("n", "le", 3), Condition("n", "eq", 8)]),
        Condition("kind", "eq", "b'c"),
    ]
    assert [row.number("n") for row in scan(table, where)] == [0, 2, 8]


def test_a_foreign_continuation_token_is_refused(table: Table) -> None:
    table.transact("p", [Create(Row("p", "r"))])
    with pytest.raises(InvalidInputError):
        table.page([partition("p")], after="bm90IG91cnM")


@pytest.mark.parametrize(
    "row",
    [
        Row("p", "a/b"),
        Row("p", "x" * 1025),
        Row("p", "r", {"with-dash": 1}),
        Row("p", "r", {f"c{n}": n for n in range(253)}),
        Row("p", "r", {"long": "x" * 32_769}),
        Row("p", "r", {"half": "\ud800"}),
        Row("p", "r", {"number": 2**63}),
        Row("other", "r"),
    ],
    ids=["slash", "long key", "dash", "columns", "text", "surrogate", "number", "partition"],
)
def test_what_azure_refuses_is_refused_before_the_call(table: Table, row: Row) -> None:
    with pytest.raises(RowRefusedError):
        table.transact("p", [Create(row)])


def test_a_row_over_one_mebibyte_is_refused(table: Table) -> None:
    with pytest.raises(TooLargeError):
        table.transact("p", [Create(Row("p", "r", {f"c{n}": "x" * 32_768 for n in range(17)}))])


def test_a_transaction_has_one_to_a_hundred_operations_on_different_rows(table: Table) -> None:
    refused: list[list[Operation]] = [
        [],
        [Create(Row("p", f"r{n}")) for n in range(101)],
        [Create(Row("p", "r")), Save(Row("p", "r"))],
        [Replace(Row("p", "r"))],
    ]
    for operations in refused:
        with pytest.raises(RowRefusedError):
            table.transact("p", operations)


def test_a_long_document_is_packed_into_columns_and_back(table: Table) -> None:
    document = {"text": "東" * 40_000, "list": [1, None, {"a": "b"}]}
    table.transact("p", [Create(Row("p", "r", pack("document", document)))])
    row = table.find("p", "r")
    assert row is not None
    assert unpack(row, "document") == document


def test_any_text_fits_as_a_key(table: Table) -> None:
    for text in ("a/b\\c#d?e%f", "tab\tnewline\n", "~2f", "x" * 5000, "x" * 400, "Ünïcode 東京", "'quote'"):
        table.transact(escape_key(text), [Save(Row(escape_key(text), escape_key(text), {"text": text}))])
        row = table.find(escape_key(text), escape_key(text))
        assert row is not None
        assert row.text("text") == text


# Packed for the product's own client: the SDK writes the same text in twice as many bytes.
@pytest.mark.parametrize("table", ["memory", "rest"], indirect=True)
def test_operations_are_packed_so_that_each_transaction_is_taken(table: Table) -> None:
    rows = [Row("p", f"r{n}", {f"c{column}": "東" * 30_000 for column in range(17)}) for n in range(6)]
    small = [Row("p", f"s{n}", {"n": n}) for n in range(150)]
    creates = [Create(row) for row in rows + small]
    packed = list(in_transactions((create, [create]) for create in creates))
    assert [operation for transaction in packed for operation in transaction] == creates
    assert 4 <= len(packed) <= 6
    for transaction in packed:
        table.transact("p", transaction)
    assert len(list(scan(table, [partition("p")], select=[]))) == 156


def test_a_group_stays_whole_when_operations_are_packed() -> None:
    groups = [[Create(Row("p", f"{group}-{n}")) for n in range(3)] for group in range(50)]
    packed = in_transactions((group, group) for group in groups)
    assert [len(together) for together in packed] == [33, 17]
