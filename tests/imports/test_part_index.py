"""What an import keeps of a part while it works: enough to change a row without reading it again, in few bytes."""

import itertools
import tracemalloc
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.imports.part_rows import PartIndex, PartRows
from shared.index.index import Index
from shared.records.model import Key
from shared.storage.rows import Create, Replace, Row, Value
from shared.storage.tables import Page
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.imports.worlds import AuthRocketCase, World

_COLUMNS = ("f_name", "f_note", "f_at")
_VALUES: st.SearchStrategy[Value | None] = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year > 1600).map(lambda at: at.replace(fold=0)),
)
_STATES: st.SearchStrategy[dict[str, Value]] = st.sampled_from(
    [
        {},
        {},
        {"active": False},
        {"claimed_by": "aws:1|i-9"},
        {"last_run": "run", "last_action": "update"},
        {"gone_since": datetime(2026, 11, 1, tzinfo=UTC)},
    ]
)


def _index(rows: Iterable[Row], columns: Collection[str]) -> PartIndex:
    table = MemoryTables().table("assets")
    for row in rows:
        table.transact("p", [Create(row)])
    return PartRows(table, Index(table)).index("p", "run", columns)


@given(rows=st.lists(st.tuples(_STATES, st.dictionaries(st.sampled_from(_COLUMNS), _VALUES)), max_size=30))
def test_what_ordinary_rows_hold_comes_back(
    rows: list[tuple[dict[str, Value], dict[str, Value | None]]],
) -> None:
    put = {f"i-{number:03}": one for number, one in enumerate(rows)}
    index = _index(
        [
            Row("p", row_key, {"hash": row_key, **state, **{c: v for c, v in values.items() if v is not None}})
            for row_key, (state, values) in put.items()
        ],
        _COLUMNS,
    )
    assert list(index) == list(put)
    for row_key, (state, values) in put.items():
        assert index[row_key].hash == row_key
        found = index.recall(Key("p", row_key), ["f_name"])
        if state:
            assert found is None
            continue
        assert found is not None
        expected = {column: value for column, value in values.items() if value is not None}
        assert repr(dict(sorted(found.values.items()))) == repr(
            dict(sorted({**expected, "active": True, "hash": row_key}.items()))
        )
        assert found.key == found.own == Key("p", row_key)
        assert found.etag
        assert not found.whole
    assert index.recall(Key("p", "i-000"), ["f_other"]) is None
    assert index.recall(Key("p", "i-999")) is None
    assert index.recall(Key("q", "i-000")) is None


def test_a_row_takes_less_than_eight_hundred_bytes() -> None:
    count = 20_000

    def rows() -> Iterator[Row]:
        for number in range(count):
            address = f"10.{number >> 8 & 255}.{number & 255}.{number * 7 % 256}"
            row_key = f"i-{number * 2_654_435_761 % 2**68:017x}"
            values: dict[str, Value] = {
                "hash": f"{number:024x}",
                "source_id": row_key,
                "f_name": f"ACORN-LDN-{number * 7919 % 1_000_000:06}",
                "f_asset_number": f"SERV-{number:06}",
                "f_model": ("m5.large", "c5.xlarge", "t3.micro")[number % 3],
                "f_ip_address": address,
                "f_host_name": f"ip-{address.replace('.', '-')}.eu-west-2.compute.internal",
                "f_owner": f"team-{number * 31 % 40}@acorn.example",
                "type": "server",
                "site": "leeds",
            }
            etag = f"W/\"datetime'2026-11-22T06%3A{number // 400:02}%3A07.{number * 104_729 % 10_000_000:07}Z'\""
            yield Row("p", row_key, values, etag)

    table: Any = _Lists(rows())
    columns = ("f_name", "f_asset_number", "f_model", "f_ip_address", "f_host_name", "f_owner", "type", "site")
    tracemalloc.start()
    try:
        index = PartRows(table, Index(table)).index("p", "run", columns)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index) == count
    assert taken / count < 800


class _Lists:
    """A table of these rows, read once."""

    name = "assets"

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows

    def find(self, *_key: str) -> None:
        return None

    def page(self, where: object, **_how: object) -> Page:
        del where
        page = list(itertools.islice(self._rows, 1_000))
        return Page(page, "more" if page else None)


def _watched(world: World) -> Counter[str]:
    calls: Counter[str] = Counter()

    def watch(table: str, verb: str, when: str) -> None:
        if when == "before" and table == world.case.table:
            calls[verb] += 1

    world.rebuild(WatchedTables(world.tables, watch))  # type: ignore[arg-type] # in memory, here
    return calls


def test_changed_rows_cost_the_reading_of_the_part_and_a_transaction_a_hundred(world: World) -> None:
    for number in range(1_200):
        world.far.put(f"i-{number:04}", name=f"web-{number}")
    world.run()
    for number in range(0, 1_200, 8):
        world.far.put(f"i-{number:04}", name=f"db-{number}")
    calls = _watched(world)
    assert world.run().counts["update"] == 150
    assert calls == {"find": 1, "page": 2, "transact": 2}


def test_rows_that_are_gone_are_read_once_more_before_they_are_deactivated(world: World) -> None:
    for number in range(50):
        world.far.put(f"i-{number:02}")
    world.run()
    for number in range(9):
        del world.far.records[f"i-{number:02}"]
    calls = _watched(world)
    assert world.run().counts["deactivate"] == 9
    # One transaction says that they are gone. When the run has decided, another one deactivates them.
    assert calls == {"find": 11, "page": 2, "transact": 2}
    newest, _ = world.records.history(world.key("i-03"))
    assert newest.changes == [{"field": "active", "before": True, "after": False}]


def test_the_lines_of_a_row_are_gathered_once_in_seventeen_changes_and_all_are_told(world: World) -> None:
    world.far.put("i-1", name="web 0")
    world.run()
    reads: list[int] = []
    for number in range(1, 41):
        world.clock.advance(days=1)
        world.far.put("i-1", name=f"web {number}")
        calls = _watched(world)
        world.run()
        # How the part was read last is found each time.
        if calls["find"] > 1:
            reads.append(number)
    assert reads == [17, 34]
    told = [one.changes[0] for one in world.records.history(world.key("i-1")) if one.action == "update"]
    assert [(one["before"], one["after"]) for one in told] == [
        (f"web {number - 1}", f"web {number}") for number in range(40, 0, -1)
    ]


def test_a_row_that_somebody_wrote_since_the_part_was_read_is_looked_at_again(world: World) -> None:
    world.far.put("i-1", name="web", note="first floor")
    world.run()
    world.far.put("i-1", name="db", note="second floor")
    world.far.before_page = lambda: world.edit("i-1", name="ours") if world.field("i-1", "name") == "web" else None
    assert world.run().counts["update"] == 1
    assert (world.field("i-1", "name"), world.field("i-1", "note")) == ("ours", "second floor")
    assert [one.action for one in world.records.history(world.key("i-1"))] == ["update", "edit", "create"]


@pytest.mark.parametrize("full", [False, True])
def test_a_row_that_a_change_would_make_too_large_is_an_error_of_its_own(world: World, full: bool) -> None:
    for name in ("i-1", "i-2"):
        world.far.put(name, name="web")
    world.run()
    row = world.tables.table(world.case.table).find(*world.key("i-1"))
    assert row is not None
    # What a person added since; at the limit of 1 MiB, or with more columns than a row may have.
    count = 16 if full else 252 - len(row.values)
    more: dict[str, Value] = {f"c_{number}": "x" * 32_000 if full else number for number in range(count)}
    world.tables.table(world.case.table).transact(
        row.partition_key, [Replace(Row(*world.key("i-1"), {**row.values, **more}, row.etag))]
    )
    for name in ("i-1", "i-2"):
        world.far.put(name, name="n" * 16_000 if full else "db", note="x")
    world.clock.advance(days=1)
    summary = world.run()
    assert (summary.counts["error"], summary.counts["update"]) == (1, 1)
    [entry] = world.entries(summary.run.id, "error")
    assert (entry["id"], entry["reason"]) == ("i-1", "storage_limit")
    assert world.field("i-2", "note") == "x"


def test_a_source_too_long_for_one_column_gives_way_to_a_shorter_one() -> None:
    world = World(AuthRocketCase())
    world.settle()
    table = world.tables.table(world.case.table)
    for number, note in enumerate(["x" * 9_000, "y" * 30_000, "z"]):
        world.far.put("i-1", note=note)
        world.clock.advance(days=1)
        assert "error" not in world.run().counts, number
        row = table.find(*world.key("i-1"))
        assert row is not None
        assert ("source_1" in row.values) == (len(note) > 20_000)
        assert note in "".join(str(row.values.get(column, "")) for column in ("source", "source_1", "source_2"))


@pytest.mark.parametrize(("count", "length", "reads"), [(2, 10, 0), (2, 2_500, 1), (200, 10, 1)])
def test_what_would_take_too_much_to_ask_for_is_read_again(world: World, count: int, length: int, reads: int) -> None:
    world.far.put("i-1", name="web")
    world.run()
    calls = _watched(world)
    columns = {"site", "type", *(world.column(name) for name in world.case.fields)}
    columns |= {f"c_{number}_{'x' * length}"[:length] for number in range(count)}
    index = world.runner.source_type(world.case.kind).rows.index(world.case.partition, "run", columns)
    assert (index.recall(world.key("i-1")) is None) == bool(reads)
    assert calls == {"find": 1, "page": 1}


def test_rows_of_much_text_are_not_kept() -> None:
    long = {number: 2_000 if 64 <= number < 128 else 20 for number in range(256)}
    index = _index((Row("p", f"{number}", {"f_name": "x" * length}) for number, length in long.items()), ("f_name",))
    assert [number for number in long if index.recall(Key("p", f"{number}")) is None] == list(range(64, 128))


def test_a_moment_is_kept_to_the_microsecond() -> None:
    at = datetime(2026, 11, 22, 6, 30, 1, 234_567, tzinfo=UTC)
    found = _index([Row("p", "i-1", {"f_at": at})], ("f_at", "f_name")).recall(Key("p", "i-1"))
    assert found is not None
    assert found.values["f_at"] == at
