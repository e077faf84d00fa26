"""Counts come to the top whatever order they are copied in, whoever is killed, and whoever else is at it."""

import itertools
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.counts.cells import Cell, Counts, summed
from shared.counts.levels import CountsLevels
from shared.counts.partition_row import COUNTS_ROW, changed, counts_of
from shared.counts.trees import Tree, share_of, shown_in, sum_in
from shared.storage.names import COUNTS_TABLE
from shared.storage.tables import Tables
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SITES = ("", "london", "leeds")


def levels_on(tables: Tables) -> CountsLevels:
    return CountsLevels(tables, lambda: NOW, lambda: 0.0)


def change(tables: Tables, partition: str, *changes: Counts) -> None:
    table = tables.table("assets")
    operation = changed(counts_of(partition, table.find(partition, COUNTS_ROW)), changes)
    if operation is not None:
        table.transact(partition, [operation])


def record(site: str, status: str = "active") -> Cell:
    return ("record", site, "server", status)


def full_count(tables: MemoryTables) -> dict[str, Counts]:
    """The tops as the partitions' rows alone would have them."""
    rows = [(key[0], counts_of(key[0], row).counts) for key, row in tables.table("assets").rows.items()]
    found = {"": sum_in(shown_in(Tree("assets"), name, counts) for name, counts in rows)}
    for site in SITES[1:]:
        found[site] = summed(shown_in(Tree("assets", share_of(site)), name, counts) for name, counts in rows)
    return found


def tops(tables: Tables) -> dict[str, Counts]:
    levels = levels_on(tables)
    found = {"": levels.tops()[1].get("assets", {})}
    for site in SITES[1:]:
        found[site] = summed(levels.tops_of_sites("assets", [share_of(site)]))
    return found


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("change"),
            st.sampled_from(["aws:1:a", "aws:2:b", "manual"]),
            st.sampled_from(SITES),
            st.integers(-2, 5),
        ),
        st.tuples(st.just("copy"), st.sampled_from(["aws:1:a", "aws:2:b", "manual"]), st.just(""), st.just(0)),
        st.tuples(st.just("refresh"), st.just(""), st.just(""), st.just(0)),
    ),
    max_size=14,
)


@given(STEPS, st.lists(st.integers(0, 60), max_size=3))
def test_the_tops_are_a_full_count_once_all_is_copied(
    steps: list[tuple[str, str, str, int]], killed_at: list[int]
) -> None:
    tables = MemoryTables()
    calls = itertools.count()

    def kill(table: str, verb: str, moment: str) -> None:
        if next(calls) in killed_at:
            raise KilledError

    watched = WatchedTables(tables, kill)
    owed: list[str] = []
    for what, partition, site, count in steps:
        try:
            if what == "change":
                # Whoever changes owes a copy, and is told so until it is made.
                owed.append(partition)
                change(watched, partition, {record(site): count} if count else {})
            elif what == "copy":
                levels_on(watched).copy("assets", partition)
                owed = [each for each in owed if each != partition]
            else:
                levels_on(watched).refresh(seconds=1)
        except KilledError:
            continue
    for partition in dict.fromkeys(owed):
        levels_on(tables).copy("assets", partition)
    assert levels_on(tables).refresh(seconds=1)
    assert tops(tables) == full_count(tables)
    assert [key for key in tables.table(COUNTS_TABLE).rows if key[0] == "stale"] == []


def test_an_older_copy_never_comes_over_a_younger_one() -> None:
    tables = MemoryTables()
    change(tables, "manual", {record("london"): 1})
    levels_on(tables).copy("assets", "manual")
    overtaken: list[str] = []

    def overtake(table: str, verb: str, moment: str) -> None:
        # Once the slow worker has read the partition, another one changes it and copies that.
        if (table, verb, moment) == ("assets", "find", "after") and len(overtaken) < 2:
            overtaken.append(table)
            if len(overtaken) == 2:
                change(tables, "manual", {record("london"): 1})
                levels_on(tables).copy("assets", "manual")

    change(tables, "manual", {record("london"): 5})
    levels_on(WatchedTables(tables, overtake)).copy("assets", "manual")
    assert levels_on(tables).refresh(seconds=1)
    assert tops(tables)["london"] == {record("london"): 7}
    assert tops(tables) == full_count(tables)


def test_a_mark_that_is_set_again_while_its_node_is_summed_stays() -> None:
    tables = MemoryTables()
    change(tables, "manual", {record("london"): 1})
    levels_on(tables).copy("assets", "manual")
    done: list[str] = []

    def meanwhile(table: str, verb: str, moment: str) -> None:
        if (table, verb, moment) == (COUNTS_TABLE, "transact", "before") and not done:
            done.append(verb)
            change(tables, "manual", {record("london"): 1})
            levels_on(tables).copy("assets", "manual")

    levels_on(WatchedTables(tables, meanwhile)).refresh(seconds=1)
    assert done
    levels_on(tables).refresh(seconds=1)
    assert tops(tables) == full_count(tables)
    assert tops(tables)["london"] == {record("london"): 2}


@pytest.mark.parametrize("partitions", [10, 1_000])
def test_a_parent_is_refreshed_once_however_many_children_changed_and_reads_no_more_than_its_children(
    partitions: int,
) -> None:
    tables = MemoryTables()
    for number in range(partitions):
        change(tables, f"aws:{number}:a", {record("london"): 1})
        levels_on(tables).copy("assets", f"aws:{number}:a")
    levels_on(tables).refresh(seconds=1)
    for _ in range(10):
        change(tables, "aws:0:a", {record("london"): 1})
        levels_on(tables).copy("assets", "aws:0:a")
    calls: Counter[tuple[str, str]] = Counter()

    def count(table: str, verb: str, moment: str) -> None:
        calls[table, verb] += moment == "before"

    levels_on(WatchedTables(tables, count)).refresh(seconds=1)
    # Five nodes: three levels of the desk's tree, two of the site's. Each reads its row and a page of its children,
    # writes its row, marks its parent (but the two tops) and takes its own mark away. Three levels' marks are listed.
    assert calls == {(COUNTS_TABLE, "find"): 5, (COUNTS_TABLE, "page"): 8, (COUNTS_TABLE, "transact"): 5 + 3 + 5 + 1}
    assert tops(tables)[""]["site", "london"] == partitions + 10


def test_a_pass_that_runs_out_of_time_says_so_and_the_next_one_goes_on() -> None:
    tables = MemoryTables()
    change(tables, "manual", {record("london"): 1})
    seconds = itertools.count()
    slow = CountsLevels(tables, lambda: NOW, lambda: float(next(seconds)))
    slow.copy("assets", "manual")
    assert not slow.refresh(seconds=2)
    assert slow.tops()[0] is None
    while not slow.refresh(seconds=2):
        pass
    assert slow.tops() == (NOW, {"assets": full_count(tables)[""]})
