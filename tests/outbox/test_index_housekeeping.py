"""The index is compared with what is stored, and repaired: killed anywhere, by two at once, bounded a message."""

import json
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import azure.functions as func
import pytest

from lab.faults.index_checks import index_faults
from shared import bootstrap
from shared.index import housekeeping
from shared.index.housekeeping import PASSES, IndexHousekeeping
from shared.index.index import Index
from shared.outbox.gathered import GatheredOutbox
from shared.records.index_rows import RecordIndex, indexed_records
from shared.records.match_rows import MatchRows
from shared.records.model import Key
from shared.storage.names import ASSETS_TABLE, INDEX_TABLE, TICKETS_TABLE, USERS_TABLE
from shared.storage.rows import Delete, Replace, Row, Save
from shared.storage.tables import Tables
from shared.tickets.store.index_rows import RECEIPTS
from shared.tickets.store.ticket_index import INDEXED_TICKETS, TicketIndex
from tests.api.calling import Sent, call
from tests.api.conftest import tables
from tests.api.seeding import secrets_of_two_vaults, sites_and_types, user
from tests.api.test_search import put
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.outbox.settling import settle
from tests.registered import FUNCTIONS

__all__ = ["tables"]

NAMES = (TICKETS_TABLE, ASSETS_TABLE, USERS_TABLE, INDEX_TABLE)
carry_out, begin, drop = (
    FUNCTIONS[name].get_user_function() for name in ("carry_out_follow_ups", "compare_index", "drop_follow_up_message")
)
Watch = Callable[[str, str, str], None]


class Keeper:
    """A worker's housekeeping, by a clock of its own."""

    def __init__(self, tables: MemoryTables, watch: Watch | None = None, ahead: timedelta = timedelta(0)) -> None:
        seen = cast("Tables", tables if watch is None else WatchedTables(tables, watch))
        index = Index(seen.table(INDEX_TABLE))
        self.time = datetime.now(UTC) + ahead
        handlers = {
            "tickets": TicketIndex(index, seen, self.now).carry_out,
            "records": RecordIndex(index, seen, self.now).carry_out,
        }
        outbox = GatheredOutbox(seen, handlers, self.now)
        indexed = (INDEXED_TICKETS, indexed_records(ASSETS_TABLE), indexed_records(USERS_TABLE))
        self.work = IndexHousekeeping(seen, index, outbox, indexed, self.now)

    def now(self) -> datetime:
        return self.time

    def turn(self) -> dict[str, int]:
        """All that is due, to its end; what each pass repaired."""
        for name in self.work.due():
            while self.work.compare(name):
                pass
        return {one.name: one.last_repaired for one in self.work.passes()}


@pytest.fixture
def filled(tables: MemoryTables) -> MemoryTables:
    """Some of everything, and the index as it should be."""
    secrets_of_two_vaults(tables)
    sites_and_types()
    for number in range(12):
        columns = {"f_name": f"Web {number}", "f_asset_number": f"SERV-{number}", "site": "london-hq"}
        put(tables, ASSETS_TABLE, f"aws:111122223333:{number % 3}", f"i-0{number:016}", **columns)
        values = {"f_asset_number": f"SERV-{number}"}
        key = Key(f"aws:111122223333:{number % 3}", f"i-0{number:016}")
        MatchRows(bootstrap.index(), ASSETS_TABLE).announce([(key, values)], bootstrap.now())
    user(1, email="kim@acorn.example")
    settle(bootstrap.gathered_outbox())
    assert faults(tables) == []
    return tables


def message_of(text: str) -> func.QueueMessage:
    return func.QueueMessage(id="1", body=text.encode())


def faults(tables: MemoryTables) -> list[str]:
    return [one for one in index_faults(tables) if "still to follow" not in one]


def shown(tables: MemoryTables) -> dict[tuple[str, str], Any]:
    """The index, but for what is of the moment."""
    return {
        key: {column: value for column, value in row.values.items() if column != "at"}
        for key, row in tables.table(INDEX_TABLE).rows.items()
        if key[0] not in (PASSES, RECEIPTS) and not key[0].startswith("counts:")
    }


def damage(tables: MemoryTables, seed: int) -> int:
    """Take rows of the index away, change some, add some; how many."""
    chance, index = random.Random(seed), tables.table(INDEX_TABLE)
    rows = [index.rows[key] for key in shown(tables)]
    chosen = chance.sample(rows, 24)
    for row in chosen[:8]:
        index.transact(row.partition_key, [Delete(row.row_key)])
    for row in chosen[8:16]:
        index.transact(
            row.partition_key, [Replace(Row(row.partition_key, row.row_key, {**row.values, "odd": 1}, row.etag))]
        )
    for row in chosen[16:]:
        other = {column: value for column, value in row.values.items() if column != "at"}
        index.transact(row.partition_key, [Save(Row(row.partition_key, f"{row.row_key}~odd", other))])
    return len(chosen)


def test_a_comparison_of_what_is_right_finds_nothing_and_comes_once_a_day(filled: MemoryTables) -> None:
    keeper, before = Keeper(filled), shown(filled)
    assert keeper.work.due() == list(NAMES)
    assert keeper.turn() == dict.fromkeys(NAMES, 0)
    assert shown(filled) == before
    assert keeper.work.due() == []
    # A message that comes late begins nothing.
    assert not keeper.work.compare(ASSETS_TABLE)
    keeper.time += timedelta(days=1)
    assert keeper.work.due() == list(NAMES)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_differs_is_found_told_and_repaired(
    filled: MemoryTables, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    before, damaged = shown(filled), damage(filled, seed)
    keeper = Keeper(filled)
    with caplog.at_level(logging.WARNING):
        repaired = keeper.turn()
    assert sum(repaired.values()) == damaged
    assert repaired[INDEX_TABLE] == 8
    assert shown(filled) == before
    told = [record.getMessage() for record in caplog.records if "(index_differed)" in record.getMessage()]
    assert told
    assert "now repaired" in told[0]
    # The next finds nothing any more.
    keeper.time += timedelta(days=1)
    assert keeper.turn() == dict.fromkeys(NAMES, 0)


def test_what_has_yet_to_follow_is_no_difference(filled: MemoryTables) -> None:
    put_later(filled, "f_name", "Another name")
    keeper = Keeper(filled)
    assert keeper.turn() == dict.fromkeys(NAMES, 0)
    assert faults(filled) == []


def put_later(tables: MemoryTables, column: str, value: str) -> None:
    """A change by an import, which the index has yet to follow."""
    from shared.records.index_rows import follow_ups_of, moved_by

    table, key = tables.table(ASSETS_TABLE), Key("aws:111122223333:0", "i-00000000000000000")
    row = table.find(*key)
    assert row is not None
    moved = moved_by(row.row_key, row.values, {column: value}, is_new=False)
    assert moved is not None
    follows = bootstrap.gathered_outbox().following(ASSETS_TABLE, key.partition, follow_ups_of([moved]))
    table.transact(key.partition, [Replace(Row(*key, {**row.values, column: value}, row.etag)), follows])


def test_a_row_of_matching_stays_while_its_record_may_be_on_its_way(filled: MemoryTables) -> None:
    matches = MatchRows(bootstrap.index(), ASSETS_TABLE)
    matches.announce([(Key("manual", "M-1"), {"f_asset_number": "COMING"})], bootstrap.now())
    assert Keeper(filled).turn()[INDEX_TABLE] == 0
    assert matches.find("f_asset_number", ["COMING"])
    # Later it is taken away without a word: it was never wrong.
    assert Keeper(filled, ahead=timedelta(hours=25)).turn()[INDEX_TABLE] == 0
    assert not matches.find("f_asset_number", ["COMING"])


def test_a_damaged_row_keeps_no_other_from_being_repaired(filled: MemoryTables) -> None:
    table = filled.table(TICKETS_TABLE)
    row = next(row for row in table.rows.values() if row.row_key.startswith("ticket:"))
    table.transact(row.partition_key, [Save(Row(row.partition_key, row.row_key, {"damaged": True}))])
    before, damaged = shown(filled), damage(filled, 7)
    repaired = Keeper(filled).turn()
    left = {key for key, values in before.items() if values.get("row") == row.row_key}
    assert sum(repaired.values()) <= damaged
    assert {key: one for key, one in shown(filled).items() if key not in left and one.get("row") != row.row_key} == {
        key: one for key, one in before.items() if key not in left
    }


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_storage_call_it_goes_on_and_ends_the_same(
    filled: MemoryTables, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(housekeeping, "_ROWS_OF_A_TABLE", 4)
    monkeypatch.setattr(housekeeping, "_ROWS_OF_THE_INDEX", 40)
    monkeypatch.setattr(housekeeping, "_PAGES_A_SLICE", 2)
    before = shown(filled)
    number = days = 0
    while True:
        damage(filled, number)
        left = [number]

        def kill(table: str, verb: str, at: str, left: list[int] = left) -> None:
            del table, verb
            left[0] -= at == when
            if left[0] < 0:
                raise KilledError

        days += 2
        killed = False
        try:
            Keeper(filled, kill, timedelta(days=days)).turn()
        except KilledError:
            killed = True
        # A quarter of an hour later, when the lease of a partition has ended too, the timer goes on.
        Keeper(filled, ahead=timedelta(days=days, minutes=16)).turn()
        assert shown(filled) == before, number
        if not killed:
            break
        number += 23
    assert number > 200


def test_two_that_meet_repair_the_same_and_one_of_them_stops(filled: MemoryTables) -> None:
    before = shown(filled)
    damage(filled, 3)
    second = Keeper(filled)
    met: list[bool] = []

    def meet(table: str, verb: str, when: str) -> None:
        if (table, verb, when) == (INDEX_TABLE, "transact", "before") and not met:
            met.append(True)
            second.turn()

    Keeper(filled, meet).turn()
    assert met
    # What one has the lease of, the other leaves to the next day.
    Keeper(filled, ahead=timedelta(days=1)).turn()
    assert shown(filled) == before


def test_a_partition_whose_follow_ups_fail_keeps_no_other_from_being_repaired(
    filled: MemoryTables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = "aws:111122223333:0"
    put_later(filled, "f_name", "Another name")
    before = shown(filled)
    damage(filled, 4)
    carried_out = RecordIndex.carry_out

    def fails_in_one(self: RecordIndex, table: str, partition_key: str, contents: Any) -> None:
        if partition_key == bad:
            raise RuntimeError("It fails here.")
        carried_out(self, table, partition_key, contents)

    monkeypatch.setattr(RecordIndex, "carry_out", fails_in_one)
    assert set(Keeper(filled).turn()) == set(NAMES)
    assert "It fails here." in caplog.text

    def others(rows: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
        return {key: values for key, values in rows.items() if values.get("partition") != bad}

    assert others(shown(filled)) == others(before)


def test_a_slice_is_bounded_and_the_next_is_sent_by_queue(
    filled: MemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_ROWS_OF_A_TABLE", 2)
    monkeypatch.setattr(housekeeping, "_PAGES_A_SLICE", 2)
    sent: list[str] = []
    bootstrap.replace("outbox_messages", sent.append)
    output = Sent()
    begin(cast("Any", None), output)
    messages = [one for one in output.value if f'"{ASSETS_TABLE}"' in one]
    assert messages == [json.dumps({"compare": ASSETS_TABLE})]
    compared: list[int] = []
    while messages:
        carry_out(message_of(messages.pop()))
        [one] = [one for one in bootstrap.index_housekeeping().passes() if one.name == ASSETS_TABLE]
        compared.append(one.compared)
        messages, sent[:] = list(sent), []
    assert compared == [4, 8, 12]


def test_what_it_found_is_shown(filled: MemoryTables) -> None:
    assert call("GET", "index").json == {"items": []}
    damaged = damage(filled, 1)
    for name in NAMES:
        while bootstrap.index_housekeeping().compare(name):
            pass
    items = call("GET", "index").json["items"]
    assert sorted(item["table"] for item in items) == sorted(NAMES)
    assert sum(item["last"]["repaired"] for item in items) == damaged
    assert all(item["running"] is None for item in items)


def test_a_message_that_the_queue_gave_up_on_is_told(filled: MemoryTables, caplog: pytest.LogCaptureFixture) -> None:
    drop(message_of(json.dumps({"compare": ASSETS_TABLE})))
    assert "gave up on comparing the index" in caplog.text
    assert bootstrap.index_housekeeping().due()[: len(NAMES)] == list(NAMES)
