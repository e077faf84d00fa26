"""Counts are compared with a full count, and repaired: whatever is wrong, whoever writes meanwhile, killed anywhere."""

import itertools
import logging
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from lab.faults.counts_checks import counts_faults
from shared import bootstrap
from shared.counts import housekeeping
from shared.counts.partition_row import COUNTS_ROW, columns_of
from shared.storage.names import ASSETS_TABLE, INDEX_TABLE
from shared.storage.rows import Delete, Row, Save
from shared.storage.tables import scan
from tests.api.calling import call
from tests.api.conftest import tables
from tests.api.seeding import asset, secrets_of_two_vaults, sites_and_types, user
from tests.counts.writing import PLACE, Clock, clock, some_records, worker, write, write_together
from tests.fakes.tables import KilledError, MemoryTables
from tests.outbox.settling import settle_counts

__all__ = ["clock", "tables"]

NAMES = ("counts:tickets", "counts:assets", "counts:users", "counts")


@pytest.fixture
def filled(tables: MemoryTables) -> MemoryTables:
    """Some of everything, and counts as they should be."""
    secrets_of_two_vaults(tables)
    sites_and_types()
    asset(1, site="london-hq")
    user(1)
    some_records()
    settle_counts()
    assert counts_faults(tables) == []
    return tables


def compare() -> int:
    """All passes over counts, to their end; how much was repaired."""
    work = bootstrap.index_housekeeping()
    for name in NAMES:
        while work.compare(name):
            pass
    settle_counts()
    return sum(one.last_repaired for one in work.passes() if one.name in NAMES)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "(counts_differed)" in record.getMessage()]


def shown(tables: MemoryTables) -> dict[tuple[str, ...], object]:
    """All counts that are stored."""
    return {
        (name, *key): row.values["counts"]
        for name in ("tickets", "assets", "users", "index")
        for key, row in tables.table(name).rows.items()
        if "counts" in row.values
    }


def save(tables: MemoryTables, table: str, partition: str, row_key: str, counts: dict[tuple[str, ...], int]) -> None:
    row = tables.table(table).find(partition, row_key)
    values = {**(row.values if row is not None else {}), **columns_of(counts)}
    tables.table(table).transact(partition, [Save(Row(partition, row_key, values))])


def test_a_comparison_of_what_is_right_finds_nothing(filled: MemoryTables, caplog: pytest.LogCaptureFixture) -> None:
    before = shown(filled)
    assert compare() == 0
    assert shown(filled) == before
    assert told(caplog) == []


WRONG: dict[str, Callable[[MemoryTables], None]] = {
    "more than there are": lambda tables: save(tables, *PLACE, COUNTS_ROW, {("record", "london", "", "active"): 99}),
    "no row": lambda tables: remove(tables, *PLACE, COUNTS_ROW),
    "none of a vault": lambda tables: remove(tables, "tickets", "acorn-vault", COUNTS_ROW),
    "a copy is another": lambda tables: save(tables, INDEX_TABLE, *copy_of(tables), {("record", "x", "", "active"): 1}),
    "no copy": lambda tables: remove(tables, INDEX_TABLE, *copy_of(tables)),
}


def copy_of(tables: MemoryTables) -> tuple[str, str]:
    return next(
        key
        for key, row in tables.table(INDEX_TABLE).rows.items()
        if row.values.get("scope") == PLACE.partition and row.values["counts"] != "{}"
    )


def remove(tables: MemoryTables, table: str, partition: str, row_key: str) -> None:
    tables.table(table).transact(partition, [Delete(row_key)])


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_found_told_and_repaired(
    filled: MemoryTables, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    before = shown(filled)
    WRONG[wrong](filled)
    assert compare() == 1
    assert counts_faults(filled) == []
    assert shown(filled) == before
    assert len(told(caplog)) == 1
    listed = call("GET", "index").json["items"]
    assert sum(one["last"]["repaired"] for one in listed if one["table"] in NAMES) == 1


def test_a_partition_that_is_gone_counts_nothing(filled: MemoryTables) -> None:
    table = filled.table(ASSETS_TABLE)
    for key in table.rows:
        if key[0] == PLACE.partition:
            table.transact(key[0], [Delete(key[1])])
    assert compare() > 0
    assert counts_faults(filled) == []
    assert bootstrap.overview().summary()["assets"]["by_status"] == {"active": 1, "inactive": 0}


@pytest.mark.parametrize("place", ["counts:assets", "counts:desk"])
def test_sums_are_made_anew(filled: MemoryTables, place: str) -> None:
    row = next(row for key, row in filled.table(INDEX_TABLE).rows.items() if key[0] == place and "counts" in row.values)
    save(filled, INDEX_TABLE, row.partition_key, row.row_key, {("record", "nowhere", "x", "active"): 5})
    assert counts_faults(filled) != []
    compare()
    assert counts_faults(filled) == []


def test_what_has_yet_to_follow_is_no_difference(filled: MemoryTables, caplog: pytest.LogCaptureFixture) -> None:
    write("i-0", {"active": True})
    write("i-new", {"site": "leeds", "type": "server"})
    assert compare() == 0
    assert told(caplog) == []
    assert counts_faults(filled) == []


def test_what_changes_meanwhile_is_no_difference_whenever_it_comes(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two records change places: together they change no count, and a full count may see one of both alone."""
    monkeypatch.setattr(housekeeping, "scan", partial(scan, size=4))
    at = 0
    for at in itertools.count():
        tables = MemoryTables()
        worker(tables)
        some_records()
        settle_counts()
        calls = itertools.count()

        def meanwhile(*_: str, calls: Iterator[int] = calls, at: int = at, tables: MemoryTables = tables) -> None:
            if next(calls) == at:
                present = bootstrap.swap_instances({})
                worker(tables)
                write_together({"i-0": {"active": True}, "i-8": {"active": False}})
                if at % 2:
                    settle_counts()
                bootstrap.swap_instances(present)

        worker(tables, meanwhile)
        assert not bootstrap.index_housekeeping().compare("counts:assets")
        reached = next(calls) > at
        worker(tables)
        settle_counts()
        assert counts_faults(tables) == [], at
        assert told(caplog) == [], at
        if not reached:
            break
        clock.pass_by(days=2)
    assert at > 10


def test_killed_anywhere_it_ends_well(clock: Clock) -> None:
    for killed_at in itertools.count():
        tables = MemoryTables()
        worker(tables)
        some_records()
        settle_counts()
        save(tables, *PLACE, COUNTS_ROW, {("record", "london", "", "active"): 99})
        calls = itertools.count()

        def kill(*_: str, calls: Iterator[int] = calls, at: int = killed_at) -> None:
            if next(calls) == at:
                raise KilledError

        worker(tables, kill)
        try:
            while bootstrap.index_housekeeping().compare("counts:assets"):
                pass
        except KilledError:
            pass
        else:
            break
        worker(tables)
        clock.pass_by(days=1, minutes=16)
        while bootstrap.index_housekeeping().compare("counts:assets"):
            pass
        settle_counts()
        assert counts_faults(tables) == [], killed_at


def test_a_slice_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = MemoryTables()
    worker(tables)
    for number in range(25):
        tables.table(ASSETS_TABLE).transact(f"p{number:02}", [Save(Row(f"p{number:02}", "i-0", {"active": True}))])
    monkeypatch.setattr(housekeeping, "_PARTITIONS_AT_ONCE", 1)
    slices = 1
    with_log: list[int] = []
    while bootstrap.index_housekeeping().compare("counts:assets"):
        slices += 1
        with_log += [one.compared for one in bootstrap.index_housekeeping().passes()]
    assert (slices, with_log) == (3, [10, 20])
    settle_counts()
    assert counts_faults(tables) == []
    assert bootstrap.counts_levels().desk()[1]["assets"]["status", "active"] == 25


def test_a_row_that_cannot_be_read_keeps_no_other_partition_waiting(
    filled: MemoryTables, caplog: pytest.LogCaptureFixture
) -> None:
    filled.table("tickets").transact("acorn-vault", [Save(Row("acorn-vault", "ticket:odd", {"status": "?"}))])
    save(filled, "tickets", "oak-vault", COUNTS_ROW, {})
    with caplog.at_level(logging.WARNING):
        work = bootstrap.index_housekeeping()
        while work.compare("counts:tickets"):
            pass
    assert "cannot be counted" in caplog.text
    assert len(told(caplog)) == 1
