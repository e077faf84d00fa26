"""Counts follow what is written: each change is counted once, whoever is killed at whatever moment."""

import itertools
from collections.abc import Iterator

import pytest
from azure.functions.queue import QueueMessage

from lab.faults.counts_checks import counts_faults
from shared import bootstrap
from shared.counts.cells import Counts
from shared.counts.partition_row import COUNTS_ROW, counts_in
from shared.counts.trees import STATUS
from shared.errors import DeskbridgeError
from shared.records.model import Key
from tests.api.calling import Sent
from tests.counts.writing import PLACE, Clock, clock, some_records, worker, write
from tests.fakes.tables import KilledError, MemoryTables
from tests.outbox.settling import settle_counts
from tests.registered import FUNCTIONS

__all__ = ["clock"]


def counts(tables: MemoryTables) -> Counts:
    return counts_in(tables.table("assets").find(PLACE.partition, COUNTS_ROW))


EXPECTED: Counts = {
    ("record", "london", "server", "active"): 10,
    ("record", "london", "server", "inactive"): 2,
    ("record", "leeds", "server", "active"): 11,
    ("record", "leeds", "server", "inactive"): 1,
}


def test_each_change_is_counted_once_whoever_is_killed_at_whatever_call(clock: Clock) -> None:
    killed_at = 0
    for killed_at in itertools.count():
        tables = MemoryTables()
        worker(tables)
        some_records()
        calls = itertools.count()

        def kill(*_: str, calls: Iterator[int] = calls, at: int = killed_at) -> None:
            if next(calls) == at:
                raise KilledError

        worker(tables, kill)
        try:
            settle_counts()
        except KilledError:
            pass
        else:
            break
        worker(tables)
        clock.pass_by(minutes=16)
        settle_counts()
        assert counts(tables) == EXPECTED, killed_at
        assert counts_faults(tables) == [], killed_at
    assert killed_at > 60


def test_two_who_carry_out_at_once_count_each_change_once(clock: Clock) -> None:
    """One stands still for longer than its lease lasts, once it has read what to carry out."""
    tables = MemoryTables()
    worker(tables)
    some_records()
    done: list[str] = []

    def stand_still(table: str, verb: str, moment: str) -> None:
        if (table, verb, moment) == ("assets", "find", "after") and not done:
            done.append(verb)
            clock.pass_by(minutes=16)
            slow = bootstrap.swap_instances({})
            worker(tables)
            settle_counts()
            bootstrap.swap_instances(slow)

    worker(tables, stand_still)
    outbox = bootstrap.gathered_outbox()
    with pytest.raises(DeskbridgeError):
        outbox.carry_out_at(PLACE)
    assert counts(tables) == EXPECTED
    worker(tables)
    settle_counts()
    assert counts(tables) == EXPECTED
    assert counts_faults(tables) == []


def test_the_functions_of_the_outbox_bring_a_change_to_the_desk(clock: Clock) -> None:
    tables = MemoryTables()
    worker(tables)
    timer, carry_out, drop = (
        FUNCTIONS[name].get_user_function()
        for name in ("follow_marked_partitions", "carry_out_follow_ups", "drop_follow_up_message")
    )

    def turn() -> list[str]:
        sent = Sent()
        timer(timer=None, messages=sent)
        texts = [str(text) for text in sent.value or []]
        for text in texts:
            carry_out(message=QueueMessage(id="m", body=text.encode()))
        return texts

    assert turn() == []
    write("i-0", {"site": "london", "active": True})
    assert len(turn()) == 1
    assert bootstrap.counts_levels().desk()[0] is None
    *_, sum_up = turn()
    as_of, desk = bootstrap.counts_levels().desk()
    assert desk["assets"][STATUS, "active"] == 1
    # Something of the marker's minute may not be there yet.
    assert as_of == clock.now().replace(second=0)
    clock.pass_by(minutes=4)
    turn()
    assert turn() == []
    assert bootstrap.counts_levels().desk()[0] == clock.now()
    # The queue gave up on it: nothing is lost, and no stranger's message goes into quarantine.
    drop(message=QueueMessage(id="m", body=sum_up.encode()))
    assert tables.table("tickets").rows == {}


def test_what_a_person_changes_is_counted_too(clock: Clock) -> None:
    tables = MemoryTables()
    worker(tables)
    bootstrap.settings().put("customers", "acorn", {"title": "Acorn"}, by="tests")
    bootstrap.settings().put("sites", "leeds", {"title": "Leeds", "customer": "acorn"}, by="tests")
    made, _ = bootstrap.asset_desk().add("SERV-1", {"name": "web", "site": "leeds"}, by="ada")
    bootstrap.asset_desk().edit(made["id"], {"active": False}, [], by="ada", if_match="*")
    row = tables.table("assets").find(*Key("manual", COUNTS_ROW))
    assert counts_in(row) == {("record", "leeds", "", "inactive"): 1}
    settle_counts()
    assert counts_faults(tables) == []
