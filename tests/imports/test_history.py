"""The history of a record: every change once, newest first, however many there are and however they are read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInputError
from shared.imports.applier import ROWS_BESIDE
from shared.records import history
from shared.records.history import HISTORY, HistoryEntry
from shared.records.model import FieldChange, Key, column_of
from shared.records.table import RecordTable
from shared.storage.rows import OPERATIONS_PER_TRANSACTION, Create, Operation, Replace, Row, Value, pack
from shared.text import descending
from tests.fakes.tables import MemoryTable
from tests.imports.worlds import World

TOGETHER = OPERATIONS_PER_TRANSACTION - ROWS_BESIDE
_NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_KEY = Key("manual", "till-1")


class _Watched(MemoryTable):
    """Keeps the size of the largest transaction."""

    largest = 0

    def transact(self, partition_key: str, operations: Any) -> Any:
        self.largest = max(self.largest, len(operations))
        return super().transact(partition_key, operations)


def _edit(table: MemoryTable, number: int, text: str, at: datetime) -> None:
    row = table.find(*_KEY) or Row(*_KEY, {"active": True})
    change = FieldChange("f_notes", row.values.get("f_notes"), text)
    RecordTable(table).save_edit(row, {"f_notes": text}, [change], f"ann {number}", at)


def _paged(table: MemoryTable, size: int) -> list[HistoryEntry]:
    records, found = RecordTable(table), list[HistoryEntry]()
    after: str | None = None
    while True:
        entries, after = records.history_page(records.get(_KEY), size, after)
        assert len(entries) <= size
        found += entries
        if after is None:
            return found


@given(
    lengths=st.lists(st.sampled_from([1, 20, 150, 5_000, 9_000, 30_000]), min_size=1, max_size=60)
    | st.integers(40, 130).map(lambda count: [2] * count),
    # Clocks of two workers disagree, and one that was not asked again stands still.
    seconds=st.lists(st.integers(-3, 3), min_size=130, max_size=130),
    size=st.sampled_from([1, 3, 7, 50, 200]),
)
def test_every_change_is_told_once_and_in_order_however_it_is_paged(
    lengths: list[int], seconds: list[int], size: int
) -> None:
    table, at = _Watched("assets"), _NOON
    wanted: list[tuple[str, object, object, datetime]] = []
    text: str | None = None
    for number, length in enumerate(lengths):
        before, text = text, f"{number}:" + "x" * length
        at += timedelta(seconds=seconds[number])
        _edit(table, number, text, at)
        wanted.insert(0, (f"ann {number}", before, text, at))
    for entries in (_paged(table, size), list(RecordTable(table).history(_KEY))):
        assert [(one.by, one.changes[0]["before"], one.changes[0]["after"], one.at) for one in entries] == wanted
    assert table.largest <= OPERATIONS_PER_TRANSACTION
    assert len(table.find(*_KEY).text("history")) <= 8_000  # type: ignore[union-attr] # it is there


def test_what_moves_out_of_the_row_between_two_pages_is_shown_once() -> None:
    table = MemoryTable("assets")
    for number in range(50):
        _edit(table, number, f"text {number}", _NOON + timedelta(minutes=number))
    records = RecordTable(table)
    first, after = records.history_page(records.get(_KEY), 10, None)
    assert not any(row_key.startswith(HISTORY) for _, row_key in table.rows)
    _edit(table, 50, "one more", _NOON + timedelta(hours=1))
    assert any(row_key.startswith(HISTORY) for _, row_key in table.rows)
    rest: list[HistoryEntry] = []
    while after is not None:
        page, after = records.history_page(records.get(_KEY), 10, after)
        rest += page
    assert [one.by for one in [*first, *rest]] == [f"ann {number}" for number in reversed(range(50))]


def test_rows_of_history_that_an_earlier_release_wrote_are_read_behind_the_newer_lines() -> None:
    table = MemoryTable("assets")
    key = f"{HISTORY}till-1:{descending(_NOON)}:8f12ab"
    old = {**pack("changes", [{"field": "notes", "before": None, "after": "old"}]), "action": "edit", "at": _NOON}
    rows: list[Operation] = [
        Create(Row(*_KEY, {"active": True, "f_notes": "old"})),
        Create(Row(_KEY.partition, key, {**old, "by": "jim"})),
    ]
    table.transact(_KEY.partition, rows)
    _edit(table, 1, "new", _NOON + timedelta(days=1))
    for size in (1, 2, 50):
        assert [(one.by, one.changes[0]["after"]) for one in _paged(table, size)] == [("ann 1", "new"), ("jim", "old")]


def test_what_an_earlier_release_writes_beside_this_one_is_not_lost() -> None:
    table = MemoryTable("assets")
    _edit(table, 1, "first", _NOON)
    at = _NOON + timedelta(hours=1)
    old = {**pack("changes", [{"field": "notes", "before": "first", "after": "old"}]), "action": "edit", "at": at}
    key = f"{HISTORY}till-1:{descending(at)}:8f12ab"
    table.transact(_KEY.partition, [Create(Row(_KEY.partition, key, {**old, "by": "jim"}))])
    for size in (1, 2, 50):
        assert sorted(one.by for one in _paged(table, size)) == ["ann 1", "jim"]


def test_the_first_line_has_the_values_of_the_beginning_after_later_changes(world: World) -> None:
    world.far.put("i-1", name="web", number="SERV-1")
    world.run()
    begun = next(iter(world.records.history(world.key("i-1"))))
    assert {"field": world.case.fields["name"], "before": None, "after": "web"} in begun.changes
    assert {"field": "site", "before": None, "after": "leeds"} in begun.changes
    for name in ("db", "mail"):
        world.clock.advance(days=1)
        world.far.put("i-1", name=name, number="SERV-1")
        world.run()
    world.edit("i-1", name="ours")
    *later, first = world.records.history(world.key("i-1"))
    assert first == begun
    assert [one.action for one in later] == ["edit", "update", "update"]


@pytest.mark.parametrize("field", ["alias-of", "document", "source", "history", "changes", "change-1", "hash", "locks"])
def test_a_record_began_with_what_its_fields_had_whatever_they_are_called(field: str) -> None:
    table, column = MemoryTable("assets"), column_of(field)
    begun: dict[str, Value] = {"active": True, column: "first", "history": history.beginning("create", "run 1", _NOON)}
    table.transact(_KEY.partition, [Create(Row(*_KEY, begun))])
    records = RecordTable(table)
    for before, after in (("first", "second"), ("second", None)):
        at = _NOON + timedelta(hours=1)
        records.save_edit(records.get(_KEY), {column: after}, [FieldChange(column, before, after)], "ann", at)
    *_, first = records.history(_KEY)
    assert first.changes == [{"field": field, "before": None, "after": "first"}]


def test_a_change_is_one_row_and_a_hundred_of_them_one_transaction(world: World) -> None:
    world.far.page_size = 30
    for number in range(250):
        world.far.put(f"i-{number:03}")
    sizes: list[int] = []
    table = world.tables.table(world.case.table)
    transact = table.transact

    def watched(partition_key: str, operations: Any) -> Any:
        sizes.append(len(operations))
        return transact(partition_key, operations)

    table.transact = watched  # type: ignore[method-assign] # counts what the engine sends
    world.run()
    # The last one is how the part was read.
    assert sizes == [TOGETHER, TOGETHER, 250 - 2 * TOGETHER, 1]
    sizes.clear()
    for number in range(120):
        world.far.put(f"i-{number:03}", name="renamed")
    world.run()
    assert sizes == [TOGETHER, 120 - TOGETHER]
    assert len(world.rows()) == 250


def test_a_record_whose_values_fill_a_row_is_created_and_changed(world: World) -> None:
    fields = {f"f_big_{number}": '"' * 32_000 for number in range(12)}
    table = world.tables.table(world.case.table)
    world.far.put("i-1", name="web")
    world.run()
    row = table.find(*world.key("i-1"))
    assert row is not None
    table.transact(row.partition_key, [Replace(Row(*world.key("i-1"), {**row.values, **fields}, row.etag))])
    world.far.put("i-1", name="db")
    assert world.run().counts["update"] == 1
    world.edit("i-1", name="ours")
    *_, first = world.records.history(world.key("i-1"))
    big = next(change for change in first.changes if change["field"] == "big-3")
    assert big["after"] == '"' * 500 + "…"


@pytest.mark.parametrize("after", ["", "x", "W10=", "WzEsMl0=", "bnVsbA==", "WyJhIiwgbnVsbF0="])
def test_a_made_up_continuation_is_refused(after: str) -> None:
    table = MemoryTable("assets")
    _edit(table, 1, "text", _NOON)
    records = RecordTable(table)
    with pytest.raises(InvalidInputError):
        records.history_page(records.get(_KEY), 10, after)
