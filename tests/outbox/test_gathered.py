"""Gathered follow-ups: killed anywhere, at once, late: what is to follow follows, and then nothing is left."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from lab.fakes.tables import encode_continuation
from shared.errors import InvalidInputError, TryLaterError
from shared.outbox.gathered import LATER, MARKED, SETTLED, GatheredOutbox, MarkedPartition, MarkersMessage
from shared.outbox.model import FollowUp
from shared.reasons import Reason
from shared.storage.rows import Row, Save
from shared.storage.tables import Page, Tables, scan
from tests.fakes.tables import KilledError, MemoryTable, MemoryTables, WatchedTables

NOW = datetime(2026, 12, 2, 8, 0, 30, tzinfo=UTC)
PARTITION = "acorn"
Watch = Callable[[str, str, str], None]


class World:
    """Things, and copies of them in another partition, which follow."""

    def __init__(self) -> None:
        self.tables = MemoryTables()
        self.time = NOW

    def outbox(self, watch: Watch | None = None) -> GatheredOutbox:
        """A worker's."""
        tables = cast("Tables", self.tables if watch is None else WatchedTables(self.tables, watch))

        def copy(table: str, partition_key: str, contents: Sequence[Mapping[str, Any]]) -> None:
            things = tables.table(table)
            for name in {str(content["name"]) for content in contents}:
                row = things.find(partition_key, name)
                if row is not None:
                    tables.table("copies").transact("all", [Save(Row("all", f"{partition_key}:{name}", row.values))])

        return GatheredOutbox(tables, {"copy": copy}, lambda: self.time)

    def change(self, outbox: GatheredOutbox, name: str, value: int, partition_key: str = PARTITION) -> None:
        follows = outbox.following("things", partition_key, [FollowUp("copy", {"name": name})])
        thing = Row(partition_key, name, {"value": value})
        self.tables.table("things").transact(partition_key, [Save(thing), follows])

    def carry_out(self, watch: Watch | None = None) -> None:
        """One turn of the timer, and of the queue."""
        outbox = self.outbox(watch)
        for message in outbox.due():
            outbox.carry_out(message)

    def copies(self) -> dict[str, Any]:
        return {row.row_key: row.values["value"] for row in scan(self.tables.table("copies"), [])}

    def left(self) -> list[str]:
        """Rows that wait, and markers."""
        rows = [*scan(self.tables.table("things"), []), *scan(self.tables.table("outbox"), [])]
        return [
            row.partition_key if row.partition_key in {f"{MARKED}things", SETTLED} else row.row_key
            for row in rows
            if row.partition_key in {f"{MARKED}things", SETTLED} or row.row_key.startswith(LATER)
        ]


def test_changes_of_a_minute_cost_one_marker_and_are_carried_out_together() -> None:
    world, calls = World(), list[str]()
    outbox = world.outbox(lambda table, verb, when: calls.append(f"{table} {verb}") if when == "before" else None)
    for number in range(5):
        world.change(outbox, f"t{number}", number)
    assert calls == ["outbox transact"]
    world.carry_out()
    assert world.copies() == {f"acorn:t{number}": number for number in range(5)}
    assert world.left() == [f"{MARKED}things"]


def test_a_marker_settles_after_three_minutes_and_goes_after_two_hours() -> None:
    world = World()
    world.change(world.outbox(), "t", 1)
    world.carry_out()
    assert world.outbox().unsettled("things").holds(MarkedPartition("things", PARTITION))
    assert world.outbox().unsettled("things").as_of == NOW.replace(second=0)
    world.time += timedelta(minutes=3)
    world.carry_out()
    assert world.left() == [SETTLED]
    assert world.outbox().unsettled("things").as_of == world.time
    assert not world.outbox().unsettled("things").holds(MarkedPartition("things", PARTITION))
    assert world.outbox().due() == []
    world.time += timedelta(hours=2)
    world.carry_out()
    assert world.left() == []


def test_a_change_that_comes_long_after_its_marker_is_found_by_the_last_look() -> None:
    world = World()
    follows = world.outbox().following("things", PARTITION, [FollowUp("copy", {"name": "t"})])
    world.time += timedelta(minutes=5)
    world.carry_out()
    assert world.left() == [SETTLED]
    world.tables.table("things").transact(PARTITION, [Save(Row(PARTITION, "t", {"value": 1})), follows])
    world.time += timedelta(hours=2)
    world.carry_out()
    assert (world.copies(), world.left()) == ({"acorn:t": 1}, [])


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_storage_call_everything_follows_in_the_end(when: str) -> None:
    number = 0
    while True:
        number += 1
        world, left = World(), number

        def kill(_table: str, _verb: str, at: str) -> None:
            nonlocal left
            left -= at == when
            if left == 0 and at == when:
                raise KilledError

        outbox = world.outbox(kill)
        for name in ("a", "b"):
            try:
                world.change(outbox, name, 1)
                world.time += timedelta(minutes=4)
                world.carry_out(kill)
            except KilledError:
                outbox = world.outbox()
                world.change(outbox, name, 1)
        if left > 0:
            break
        # The lease of the dead ends by itself.
        for _ in range(3):
            world.time += timedelta(hours=1)
            world.carry_out()
        assert (world.copies(), world.left()) == ({"acorn:a": 1, "acorn:b": 1}, []), number
    assert number > 10


def test_what_another_worker_carries_out_is_left_to_it() -> None:
    world, met = World(), list[bool]()
    world.change(world.outbox(), "t", 1)

    def meet(table: str, verb: str, when: str) -> None:
        if (table, verb, when) == ("copies", "transact", "before") and not met:
            met.append(True)
            met.append(world.outbox().carry_out_at(MarkedPartition("things", PARTITION)))

    assert world.outbox(meet).carry_out_at(MarkedPartition("things", PARTITION))
    assert met == [True, False]


def test_what_changes_while_it_is_carried_out_follows_too() -> None:
    world, met = World(), list[bool]()
    world.change(world.outbox(), "t", 1)

    def change(table: str, verb: str, when: str) -> None:
        if (table, verb, when) == ("copies", "transact", "before") and not met:
            met.append(True)
            world.change(world.outbox(), "t", 2)

    assert world.outbox(change).carry_out_at(MarkedPartition("things", PARTITION))
    assert world.copies() == {"acorn:t": 2}


def test_a_partition_that_fails_keeps_its_marker_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    for name in ("acorn", "elm", "oak"):
        world.change(world.outbox(), "t", 1, name)
    world.time += timedelta(minutes=4)

    def fail(_table: str, partition_key: str, _contents: object) -> None:
        if partition_key == "elm":
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "No.")

    outbox = GatheredOutbox(cast("Tables", world.tables), {"copy": fail}, lambda: world.time)
    [message] = outbox.due()
    with pytest.raises(TryLaterError):
        outbox.carry_out(message)
    assert "elm of things" in caplog.text
    assert [marked.place.partition for marked in outbox.marked("things")] == ["elm"]
    world.time += timedelta(minutes=20)
    assert outbox.behind() is not None
    world.carry_out()
    assert (outbox.behind(), world.copies()) == (None, {"elm:t": 1})


def test_an_empty_page_before_the_rows_is_not_taken_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service may answer with an empty page while there is more."""
    world = World()
    world.change(world.outbox(), "t", 1)
    world.time += timedelta(minutes=4)
    whole, answered = MemoryTable.page, set[str]()

    def empty_first(self: MemoryTable, where: Any, **how: Any) -> Page:
        page = whole(self, where, **how)
        if how.get("after") is None and self.name not in answered and page.rows:
            answered.add(self.name)
            row = page.rows[0]
            return Page([], encode_continuation((row.partition_key, row.row_key)))
        return page

    monkeypatch.setattr(MemoryTable, "page", empty_first)
    assert world.outbox().unsettled("things").as_of < world.time
    world.carry_out()
    assert (world.copies(), world.left()) == ({"acorn:t": 1}, [SETTLED])


def test_what_changed_elsewhere_makes_no_list_of_a_table_older() -> None:
    world = World()
    world.change(world.outbox(), "t", 1)
    began, world.time = world.time, world.time + timedelta(minutes=2)
    world.outbox().following("others", PARTITION, [])
    outbox = world.outbox()
    assert (outbox.as_of("things"), outbox.as_of("none")) == (began.replace(second=0), world.time)
    assert (outbox.as_of("others"), outbox.as_of()) == (world.time.replace(second=0), began.replace(second=0))
    assert {one.place.table for message in outbox.due() for one in message.markers} == {"things", "others"}


def test_a_message_says_the_same_after_the_queue_and_others_are_refused() -> None:
    world = World()
    world.change(world.outbox(), "t", 1)
    [message] = world.outbox().due()

    assert MarkersMessage.parse(json.loads(message.text)) == message
    for odd in (None, {}, {"markers": 1}, {"markers": [["a"]]}, {"markers": [["a", "b", "x", False]]}):
        with pytest.raises(InvalidInputError):
            MarkersMessage.parse(odd)


def test_the_timer_reads_pages_and_sends_a_message_for_twenty_partitions() -> None:
    world, calls = World(), list[str]()
    for number in range(2_500):
        world.change(world.outbox(), "t", 1, f"p{number}")
    outbox = world.outbox(lambda _table, verb, when: calls.append(verb) if when == "before" else None)
    messages = outbox.due()
    assert (len(messages), sum(len(one.markers) for one in messages)) == (125, 2_500)
    # Which tables have markers, three pages of those, and what is settled.
    assert calls == ["page"] * (2 + 3 + 1)
    # Of so many a list is not told each: all of them are in doubt.
    assert outbox.unsettled("things").places is None
