"""Matching asks the index: exact, at once, at the same cost among a thousand parts as among ten, and never in vain."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import MisconfiguredError
from shared.imports.plan.model import MatchOn
from shared.index.index import Index
from shared.records.comparison import MATCHED_FIELDS, MOST_ALIKE, comparable
from shared.records.match_rows import MatchRows
from shared.records.model import Key, column_of
from shared.storage.rows import Create, Row, Value
from shared.storage.tables import Condition, Page, Table, Where
from tests.fakes.tables import MemoryTable, MemoryTables, WatchedTables
from tests.imports.worlds import BEGINNING, Ec2Case, SourceCase, World


class _NoScans:
    """Tables that count what is asked of each, and refuse a page over all partitions."""

    def __init__(self, inner: MemoryTables) -> None:
        self._inner = inner
        self.calls: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    def table(self, name: str) -> Table:
        return _NoScan(self._inner.table(name), self)


class _NoScan:
    def __init__(self, inner: Table, counted: _NoScans) -> None:
        self._inner = inner
        self._counted = counted
        self.name = inner.name
        self.transact = inner.transact

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        self._counted.calls[self.name] += 1
        self._counted.rows[self.name] += 1
        return self._inner.find(partition_key, row_key, select)

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        keys = [one.comparison for one in where if isinstance(one, Condition) and one.column == "PartitionKey"]
        assert keys == ["eq"], f"{self.name} is read over all partitions"
        self._counted.calls[self.name] += 1
        page = self._inner.page(where, select=select, size=size, after=after)
        self._counted.rows[self.name] += len(page.rows)
        return page


def _fill(world: World, partitions: int) -> None:
    """One record in each of so many other parts, as their imports left it."""
    matches = MatchRows(Index(world.tables.table("index")), world.case.table)
    for number in range(partitions):
        key = Key(f"{world.case.partition}-{number}", "one")
        values: dict[str, Value] = {world.column("number"): f"N-{number}", "active": True, "source_id": "one"}
        matches.announce([(key, values)], BEGINNING)
        world.tables.table(world.case.table).transact(key.partition, [Create(Row(*key, values))])


def _costs(case: SourceCase, partitions: int) -> tuple[Counter[str], Counter[str]]:
    world = World(case)
    world.settle()
    _fill(world, partitions)
    world.add("M-1", name="by hand", number="M-1")
    world.far.put("i-found", number="M-1")
    world.far.put("i-alike", number="N-1")
    for number in range(20):
        world.far.put(f"i-new-{number}", number=f"S-{number}")
    _, messages = world.start()
    counted = _NoScans(world.tables)  # type: ignore[arg-type] # in memory, here
    world.rebuild(counted)
    world.work(messages)
    assert world.rows()["M-1"]["claimed_by"] == world.key("i-found").text
    world.far.put("i-new-1", number="S-2")
    world.work(world.start()[1])
    assert len(world.rows()) == 24
    return counted.calls, counted.rows


def test_a_part_that_matches_reads_no_table_and_costs_the_same_among_a_thousand_parts_as_among_ten(
    case: Callable[[], SourceCase],
) -> None:
    few, many = _costs(case(), 10), _costs(case(), 1_000)
    # One reading of the part and one of each hit; of the index at most one call for each of the sixteen places a page.
    assert few[0] == many[0]
    assert many[1][case().table] == few[1][case().table]
    assert many[0][case().table] <= 12
    assert many[0]["index"] <= 60


def test_a_record_is_found_whichever_moment_before_the_look_it_was_made(case: Callable[[], SourceCase]) -> None:
    """A person makes the record that an import is about to match: before any storage call of the part."""
    outcomes: list[bool] = []
    number = 0
    while True:
        world = World(case())
        world.settle()
        _, messages = world.start()
        tables, left, looked = world.tables, [number], list[bool]()
        second = World(world.case, tables=tables, far=world.far, clock=world.clock)

        def meanwhile(
            table: str,
            verb: str,
            when: str,
            left: list[int] = left,
            second: World = second,
            looked: list[bool] = looked,
        ) -> None:
            left[0] -= when == "before"
            if left[0] == -1 and when == "before":
                second.add("M-1", name="by hand", number="S-1")
                left[0] = -2
            elif left[0] >= 0 and when == "after" and (table, verb) == ("index", "page"):
                looked.append(True)

        world.far.put("i-1", number="S-1")
        world.rebuild(WatchedTables(tables, meanwhile))  # type: ignore[arg-type] # in memory, here
        world.work(messages)
        world.rebuild(tables)
        if left[0] > -1:
            break
        claimed = world.rows()["M-1"].get("claimed_by") == world.key("i-1").text
        # It was made after the look: it is as if the import had been before.
        assert claimed or looked, number
        outcomes.append(claimed)
        before = world.comparable()
        assert not world.run().counts.get("update")
        assert world.comparable() == before
        number += 1
    assert outcomes[0]
    assert not outcomes[-1]


def test_what_was_announced_and_never_written_is_not_matched(world: World) -> None:
    matches = MatchRows(Index(world.tables.table("index")), world.case.table)
    number = world.column("number")
    matches.announce([(Key("manual", "M-9"), {number: "S-1"})], BEGINNING)
    world.settle()
    # What had the value, and has another by now, is not matched by it either.
    world.add("M-1", name="by hand", number="S-1")
    world.edit_by_hand("M-1", number="S-2")
    world.far.put("i-1", number="S-1")
    preview = world.run(preview=True)
    assert (preview.counts["create"], world.run().counts["create"]) == (1, 1)
    assert "claimed_by" not in world.rows()["M-1"]


def test_a_record_that_another_part_let_go_a_moment_ago_is_taken_over() -> None:
    case = Ec2Case()
    case.regions = ("eu-west-1", "eu-west-2")
    world = World(case)
    world.settle(at_least=50)
    world.far.put("i-old", number="S-1", region="eu-west-1")
    world.run()
    world.clock.advance(days=1)
    del world.far.records["i-old"]
    world.far.put("i-new", number="S-1", region="eu-west-2")
    first, second = world.start()[1]
    world.work([first, second])
    rows = world.rows()
    assert rows["i-new"]["alias_of"] == "aws:111122223333:eu-west-1|i-old"
    assert rows["i-old"]["claimed_by"] == "aws:111122223333:eu-west-2|i-new"


@pytest.mark.parametrize("many", [MOST_ALIKE, MOST_ALIKE + 1])
def test_a_value_that_many_records_have_finds_none_of_them_and_says_so(world: World, many: int) -> None:
    world.settle()
    _fill(world, 0)
    for number in range(many):
        world.add(f"M-{number}", name="by hand", number="fleet")
    world.far.put("i-1", number="fleet")
    preview = world.run(preview=True)
    counts = world.run().counts
    if many == MOST_ALIKE:
        assert (preview.counts["error"], counts["error"]) == (1, 1)
        return
    [entry] = world.entries(preview.run.id, "create")
    assert f"More than {MOST_ALIKE} records have 'fleet'" in entry["message"]
    assert counts["create"] == 1


_VALUES = st.sampled_from(["S-1", "s-1", " S-1 ", "S-2", "Bu\u0308ro", "B\u00fcro", "5", "~|}", "\ud800"])


class _ShortPages(MemoryTable):
    """Answers a few rows at a time, as a service may."""

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        return super().page(where, select=select, size=min(size, 3), after=after)


@given(
    stored=st.lists(st.tuples(st.sampled_from(["p", "q|", "r}"]), st.integers(0, 9), _VALUES), max_size=30),
    asked=st.sets(_VALUES, min_size=1),
)
def test_the_index_finds_each_record_by_each_way_to_write_its_value(
    stored: list[tuple[str, int, str]], asked: set[str]
) -> None:
    matches = MatchRows(Index(_ShortPages("index")), "assets")
    column = column_of(MATCHED_FIELDS["assets"][1])
    for partition_key, row, value in stored:
        matches.announce([(Key(partition_key, str(row)), {column: value, "f_name": value})], BEGINNING)
    found = matches.find(column, asked)
    folded = {comparable(one, ignore_case=True) for one in asked}
    expected = {
        value: {Key(p, str(row)) for p, row, one in stored if comparable(one, ignore_case=True) == value}
        for value in folded
    }
    assert {value: set(keys) for value, keys in found.items()} == {v: keys for v, keys in expected.items() if keys}


def test_an_asset_made_by_hand_is_found_by_its_name_at_once() -> None:
    case = Ec2Case()
    case.changes = {"matching_field": "name"}
    world = World(case)
    world.settle()
    world.add("M-1", name="Payroll")
    world.far.put("i-1", name="Payroll")
    assert world.run(preview=True).counts["update"] == 1
    world.run()
    assert world.rows()["M-1"]["claimed_by"] == world.key("i-1").text


def test_by_a_field_that_the_index_has_not_nothing_is_matched_in_silence(world: World) -> None:
    rows = world.runner.sources[world.case.kind].rows
    with pytest.raises(MisconfiguredError, match="cannot be matched by notes"):
        rows.find(MatchOn(column_of("notes")), ["x"])
