"""Counts come to the top whatever order they are copied in, whoever is killed, and whoever else is at it."""

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.counts.cells import Cell, Counts, summed
from shared.counts.levels import STALE, CountsLevels
from shared.counts.partition_row import COUNTS_ROW, counts_in, save_counts
from shared.counts.trees import Node, shares_of, shown_in
from shared.storage.names import INDEX_TABLE
from shared.storage.tables import Tables
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SITES = ("", "london", "leeds")
PARTITIONS = ("aws:1:a", "aws:2:b", "manual")


def levels_on(tables: Tables) -> CountsLevels:
    return CountsLevels(tables, lambda: NOW, lambda: 0.0)


def change(tables: Tables, partition: str, *changes: Counts) -> frozenset[int]:
    """Change a partition's counts; the shares that have to follow."""
    table = tables.table("assets")
    present = table.find(partition, COUNTS_ROW)
    table.transact(partition, [save_counts(partition, present, summed([counts_in(present), *changes]))])
    return shares_of(partition, [cell for counts in changes for cell in counts])


def copied(tables: Tables, partition: str, *changes: Counts) -> None:
    levels_on(tables).copy("assets", partition, change(tables, partition, *changes))


def record(site: str, status: str = "active") -> Cell:
    return ("record", site, "server", status)


def at(site: str, counts: Counts) -> Counts:
    return {cell: count for cell, count in counts.items() if cell[1] == site}


def full_count(tables: MemoryTables) -> dict[str, Counts]:
    """What must stand above, by the partitions' rows alone."""
    rows = [(key[0], counts_in(row)) for key, row in tables.table("assets").rows.items()]
    shown = [shown_in(share, name, counts) for name, counts in rows for share in shares_of(name, counts.keys())]
    total = summed(shown)
    return {"": Node("assets").sum_of([total]), **{site: at(site, total) for site in SITES[1:]}}


def found(tables: Tables) -> dict[str, Counts]:
    levels = levels_on(tables)
    return {
        "": levels.desk()[1].get("assets", {}),
        **{site: levels.of_sites("assets", [site]) for site in SITES[1:]},
    }


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from(PARTITIONS), st.sampled_from(SITES), st.integers(-2, 5)),
        st.tuples(st.just("copy"), st.sampled_from(PARTITIONS), st.just(""), st.just(0)),
        st.tuples(st.just("refresh"), st.just(""), st.just(""), st.just(0)),
    ),
    max_size=14,
)


@given(STEPS, st.lists(st.integers(0, 60), max_size=3))
def test_the_top_is_a_full_count_once_all_is_copied(
    steps: list[tuple[str, str, str, int]], killed_at: list[int]
) -> None:
    tables = MemoryTables()
    calls = itertools.count()

    def kill(table: str, verb: str, moment: str) -> None:
        if next(calls) in killed_at:
            raise KilledError

    watched = WatchedTables(tables, kill)
    owed: list[tuple[str, str]] = []
    for what, partition, site, count in steps:
        try:
            if what == "change":
                # Whoever changes owes a copy, and is told so until it is made.
                owed.append((partition, site))
                change(watched, partition, {record(site): count} if count else {})
            elif what == "copy":
                shares = shares_of(partition, [record(where) for name, where in owed if name == partition])
                levels_on(watched).copy("assets", partition, shares)
                owed = [each for each in owed if each[0] != partition]
            else:
                levels_on(watched).refresh(seconds=1)
        except KilledError:
            continue
    for partition, site in owed:
        levels_on(tables).copy("assets", partition, shares_of(partition, [record(site)]))
    assert levels_on(tables).refresh(seconds=1)
    assert found(tables) == full_count(tables)
    assert [key for key in tables.table(INDEX_TABLE).rows if key[0] == STALE] == []


def once(table: str, verb: str, moment: str, do: Callable[[], None]) -> Callable[[str, str, str], None]:
    """Do something at the first such call."""
    done: list[str] = []

    def look(*at: str) -> None:
        if at == (table, verb, moment) and not done:
            done.append(verb)
            do()

    return look


def test_an_older_copy_never_comes_over_a_younger_one() -> None:
    tables = MemoryTables()
    copied(tables, "manual", {record("london"): 1})
    shares = change(tables, "manual", {record("london"): 5})
    # Once the slow worker has read the partition, another one changes it and copies that.
    overtake = once("assets", "find", "after", lambda: copied(tables, "manual", {record("london"): 1}))
    levels_on(WatchedTables(tables, overtake)).copy("assets", "manual", shares)
    assert levels_on(tables).refresh(seconds=1)
    assert found(tables)["london"] == {record("london"): 7}
    assert found(tables) == full_count(tables)


def test_what_becomes_empty_and_comes_again_is_not_overtaken_by_what_was_read_before() -> None:
    tables = MemoryTables()
    copied(tables, "manual", {record("london"): 1})
    shares = shares_of("manual", [record("london")])

    def meanwhile() -> None:
        copied(tables, "manual", {record("london"): -1})
        copied(tables, "manual", {record("london"): 1})
        copied(tables, "manual", {record("london"): -1})

    overtake = once("assets", "find", "after", meanwhile)
    levels_on(WatchedTables(tables, overtake)).copy("assets", "manual", shares)
    levels_on(tables).refresh(seconds=1)
    assert found(tables) == full_count(tables)
    assert found(tables)["london"] == {}


def test_a_mark_that_is_set_again_while_its_node_is_summed_stays() -> None:
    tables = MemoryTables()
    copied(tables, "manual", {record("london"): 1})
    meanwhile = once(INDEX_TABLE, "transact", "before", lambda: copied(tables, "manual", {record("london"): 1}))
    levels_on(WatchedTables(tables, meanwhile)).refresh(seconds=1)
    levels_on(tables).refresh(seconds=1)
    assert found(tables) == full_count(tables)
    assert found(tables)["london"] == {record("london"): 2}


@pytest.mark.parametrize("partitions", [10, 1_000])
def test_a_change_comes_to_the_top_in_as_many_calls_however_many_partitions_there_are(partitions: int) -> None:
    tables = MemoryTables()
    for number in range(partitions):
        copied(tables, f"aws:{number}:a", {record("london"): 1})
    levels_on(tables).refresh(seconds=1)
    for _ in range(10):
        copied(tables, "aws:0:a", {record("london"): 1})
    calls: Counter[tuple[str, str]] = Counter()

    def count(table: str, verb: str, moment: str) -> None:
        calls[table, verb] += moment == "before"

    levels_on(WatchedTables(tables, count)).refresh(seconds=1)
    # Three nodes: each reads its row and a page of its children, writes its row, and takes its mark away. Three levels'
    # marks are listed, and the desk says up to when all is there.
    assert calls == {(INDEX_TABLE, "find"): 3, (INDEX_TABLE, "page"): 6, (INDEX_TABLE, "transact"): 7}
    assert found(tables)[""]["site", "london"] == partitions + 10


def test_no_row_is_the_sum_of_more_than_a_page_with_as_many_partitions_as_a_provider_has() -> None:
    below = Counter(
        Node.above("assets", f"aws:{account:012}:{region}", 0) for account in range(5_000) for region in range(17)
    )
    assert len(below) <= 128
    assert max(below.values()) <= 1_000


def test_a_pass_that_runs_out_of_time_says_so_and_the_next_one_goes_on() -> None:
    tables = MemoryTables()
    for number in range(200):
        copied(tables, f"aws:{number}:a", {record("london"): 1})
    seconds = itertools.count()
    slow = CountsLevels(tables, lambda: NOW, lambda: float(next(seconds)))
    assert not slow.refresh(seconds=1)
    passed, shown = slow.desk()
    assert passed is None
    # What has come up is shown all the same.
    assert 0 < shown["assets"]["site", "london"] < 200
    while not slow.refresh(seconds=1):
        pass
    assert slow.desk() == (NOW, {"assets": full_count(tables)[""]})
