"""Values are found as people write them, whatever type their column has: in memory, and on the real emulator."""

import pytest

from shared.records.look_ups import stored_as
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Row, Save, Value
from shared.storage.tables import AnyOf, Condition, Tables, partition, scan
from tests.fakes.tables import MemoryTables
from tests.storage_emulator import Storage

VALUES: dict[str, Value] = {
    "text": "12",
    "whole": 12,
    "decimal": 12.0,
    "half": 12.5,
    "yes": True,
    "no": False,
    "words": "true",
    "zeros": "007",
    "seven": 7,
    "quoted": "it's",
}


@pytest.mark.parametrize("real", [False, True])
def test_what_people_write_finds_texts_numbers_and_truths(real: bool, storage: Storage) -> None:
    tables: Tables = RestTables.from_connection_string(storage.connection_string) if real else MemoryTables()
    table = tables.table("assets")
    table.transact("written", [Save(Row("written", name, {"f_x": value})) for name, value in VALUES.items()])

    def found(text: str) -> set[str]:
        asked = AnyOf([Condition("f_x", "eq", value) for value in stored_as([text])])
        return {row.row_key for row in scan(table, [partition("written"), asked])}

    assert found("12") == {"text", "whole", "decimal"}
    assert found("12.5") == {"half"}
    assert found("true") == {"yes", "words"}
    assert found("false") == {"no"}
    assert found("it's") == {"quoted"}
    assert found("nothing") == set()
    assert found("7") == {"seven"}
    assert "zeros" in found("007")
