"""The bench's table service answers the product's client and the SDK's own way as the contract of tables says."""

from collections.abc import Iterator

import pytest

from bench.table_service import TableProcess
from shared.errors import AlreadyExistsError, ChangedMeanwhileError
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Create, Delete, Replace, Row, Save
from shared.storage.tables import AnyOf, Condition, partition, row_key_prefix, scan
from tests.storage.sdk_tables import SdkTables


@pytest.fixture(scope="module")
def service() -> Iterator[TableProcess]:
    with TableProcess() as running:
        yield running


@pytest.mark.parametrize("kind", [SdkTables, RestTables])
def test_it_behaves_as_tables_do_for_what_is_measured(
    service: TableProcess, kind: type[SdkTables | RestTables]
) -> None:
    service.clear()
    table = kind.from_connection_string(service.connection_string).table("things")
    rows = [Row("p'q", f"k{number:03}", {"n": number, "kind": "a" if number % 2 else "b'c"}) for number in range(100)]
    etags = table.transact("p'q", [Create(row) for row in rows])
    assert [(row.row_key, row.etag, row.number("n")) for row in scan(table, [partition("p'q")])] == [
        (row.row_key, etag, row.number("n")) for row, etag in zip(rows, etags, strict=True)
    ]
    page = table.page([partition("p'q")], size=30)
    assert len(page.rows) == 30
    assert len(table.page([partition("p'q")], after=page.next).rows) == 70
    either = AnyOf([Condition("n", "le", 12), Condition("n", "eq", 18)])
    where: list[Condition | AnyOf] = [partition("p'q"), *row_key_prefix("k01"), either]
    assert [row.number("n") for row in scan(table, [*where, Condition("kind", "eq", "b'c")])] == [10, 12, 18]
    found = table.find("p'q", "k007")
    assert found is not None
    table.transact("p'q", [Replace(Row("p'q", "k007", {"n": 0}, found.etag)), Delete("k008")])
    with pytest.raises(ChangedMeanwhileError):
        table.transact("p'q", [Save(Row("p'q", "new")), Replace(found)])
    with pytest.raises(AlreadyExistsError):
        table.transact("p'q", [Create(Row("p'q", "k001"))])
    assert table.find("p'q", "new") is None
    assert table.find("p'q", "k008") is None


def test_it_counts_and_goes_back_to_what_was_kept(service: TableProcess) -> None:
    service.clear()
    table = RestTables.from_connection_string(service.connection_string).table("things")
    table.transact("p", [Create(Row("p", "a")), Create(Row("p", "b"))])
    service.keep("two rows")
    service.counts()
    table.transact("p", [Delete("a")])
    assert service.counts() == {"transactions": 1, "rows written": 1}
    service.restore("two rows")
    assert [row.row_key for row in scan(table, [])] == ["a", "b"]
