"""What an import keeps of a part while it works: enough to change a row without reading it again, in few bytes."""

import random
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.imports.part_index import PartIndex, SeenRows
from shared.imports.plan.model import IndexEntry
from shared.records.model import Key
from shared.storage.rows import Replace, Row, Value
from tests.fakes.tables import WatchedTables
from tests.imports.worlds import AuthRocketCase, World

_COLUMNS = ("f_name", "f_note", "f_at", "locks")
_VALUES: st.SearchStrategy[Value | None] = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=9),
    st.datetimes(timezones=st.just(UTC)),
)
_KNOWN = st.builds(
    IndexEntry,
    st.binary(min_size=12, max_size=12),
    st.sampled_from([True, True, True, False]),
    link=st.sampled_from([None, None, None, Key("manual", "till-1")]),
    claimed_by=st.sampled_from(["", "", "aws:1|i-9"]),
    done=st.sampled_from(["", "", "update"]),
    gone_since=st.sampled_from([None, None, datetime(2026, 11, 1, tzinfo=UTC)]),
)
_ROWS = st.lists(
    st.tuples(_KNOWN, st.dictionaries(st.sampled_from(_COLUMNS), _VALUES), st.sampled_from(["", 'W/"1"', 'W/"2"'])),
    max_size=200,
)


@given(rows=_ROWS)
def test_all_that_was_put_is_known_and_what_was_read_of_ordinary_rows_comes_back(
    rows: list[tuple[IndexEntry, dict[str, Any], str]],
) -> None:
    index = PartIndex("p", _COLUMNS)
    put = {f"i-{number:03}": one for number, one in enumerate(rows)}
    for row_key, (known, values, etag) in put.items():
        index.put(row_key, known, Row("p", row_key, {c: v for c, v in values.items() if v is not None}, etag))
    assert list(index) == list(put)
    assert len(index) == len(put)
    assert {row_key: index[row_key] for row_key in index} == {row_key: known for row_key, (known, *_) in put.items()}
    assert sorted(map(repr, index.unusual)) == sorted(
        repr(known) for known, *_ in put.values() if known != IndexEntry(known.digest)
    )
    for row_key, (known, values, etag) in put.items():
        row = index.recall(row_key, ["f_name"])
        if known != IndexEntry(known.digest) or not etag:
            assert row is None
            continue
        assert row is not None
        expected = {column: value for column, value in values.items() if value is not None}
        assert repr(dict(sorted(row.values.items()))) == repr(
            dict(sorted({**expected, "active": True, "hash": known.digest.hex()}.items()))
        )
        assert (row.partition_key, row.row_key, row.etag) == ("p", row_key, etag)
    assert index.recall("i-000", ["f_other"]) is None
    assert index.recall("i-999") is None


@given(
    keys=st.lists(st.integers(0, 99).map(str), unique=True),
    seen=st.lists(st.integers(0, 120).map(str)),
)
def test_what_was_seen_is_told_from_what_was_not(keys: list[str], seen: list[str]) -> None:
    index = PartIndex("p")
    for key in keys:
        index.put(key, IndexEntry(b"\0" * 12 if int(key) % 3 else b""))
    one, other = SeenRows(index), SeenRows(index)
    for key in seen:
        one.add(key)
    assert {str(number) for number in range(121) if str(number) in one} == set(seen)
    assert not any(str(number) in other for number in range(121))


def test_a_row_takes_less_than_three_hundred_bytes() -> None:
    count = 20_000

    def rows() -> list[tuple[str, Row]]:
        found: list[tuple[str, Row]] = []
        for number in range(count):
            address = f"10.{number >> 8 & 255}.{number & 255}.{number * 7 % 256}"
            values: dict[str, Value] = {
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
            found.append((f"i-{number * 2_654_435_761 % 2**68:017x}", Row("p", "", values, etag)))
        return found

    read = rows()
    digests = [IndexEntry(number.to_bytes(12, "big")) for number in range(count)]
    tracemalloc.start()
    try:
        index = PartIndex("p", tuple(read[0][1].values))
        before, _ = tracemalloc.get_traced_memory()
        for (row_key, row), known in zip(read, digests, strict=True):
            # A key of its own, as the service's answer brings it.
            index.put("".join(row_key), known, row)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    keys = 80 * count
    assert (taken + keys) / count < 300


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
    assert calls == {"page": 2, "transact": 2}


def test_rows_that_are_gone_are_deactivated_without_reading_them_again(world: World) -> None:
    for number in range(50):
        world.far.put(f"i-{number:02}")
    world.run()
    for number in range(9):
        del world.far.records[f"i-{number:02}"]
    calls = _watched(world)
    assert world.run().counts["deactivate"] == 9
    assert calls == {"page": 1, "transact": 1}
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
        if calls["find"]:
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
    assert (entry["id"], entry["code"]) == ("i-1", "storage_limit")
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
def test_what_would_take_too_much_to_ask_for_or_to_keep_is_read_again(
    world: World, count: int, length: int, reads: int
) -> None:
    world.far.put("i-1", name="web")
    world.run()
    calls = _watched(world)
    columns = {"site", "type", *(world.column(name) for name in world.case.fields)}
    columns |= {f"c_{number}_{'x' * length}"[:length] for number in range(count)}
    index = world.records.index(world.case.partition, "run", columns)
    assert (index.recall("i-1") is None) == bool(reads)
    assert calls == {"page": 1}


def test_rows_of_very_much_text_are_not_kept() -> None:
    index = PartIndex("p", ("f_name",))
    for number in range(256):
        text = "".join(random.Random(number).choices("abcdefghij", k=2_000 if 64 <= number < 128 else 20))
        index.put(f"{number}", IndexEntry(b"x" * 12), Row("p", f"{number}", {"f_name": text}, "W/1"))
    assert [number for number in range(256) if index.recall(f"{number}") is None] == list(range(64, 128))


def test_a_moment_is_kept_to_the_microsecond() -> None:
    at = datetime(2026, 11, 22, 6, 30, 1, 234_567, tzinfo=UTC)
    index = PartIndex("p", ("f_at", "f_name"))
    for number in range(130):
        index.put(str(number), IndexEntry(b"x" * 12), Row("p", str(number), {"f_at": at + timedelta(number)}, "W/1"))
    for number in (0, 63, 64, 129):
        row = index.recall(str(number))
        assert row is not None
        assert row.values["f_at"] == at + timedelta(number)
