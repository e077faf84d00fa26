"""What follows from a change follows once, wherever a worker dies, and never from a change that was refused."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import (
    AlreadyExistsError,
    ChangedMeanwhileError,
    DeskbridgeError,
    InvalidInputError,
    MisconfiguredError,
    NotFoundError,
    RowRefusedError,
    TryLaterError,
)
from shared.outbox.model import OUTBOX, PENDING, DueFollowUp, FollowUp, Handler, OutboxMessage, OutboxState
from shared.outbox.outbox import ATTEMPTS, Outbox
from shared.reasons import Reason
from shared.storage.rows import Create, Row, Save
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
THINGS, PARTITION = "things", "acorn"


@dataclass
class World:
    """Tables, a clock, and the messages that were sent."""

    tables: MemoryTables = field(default_factory=MemoryTables)
    at: datetime = NOON
    sent: list[str] = field(default_factory=list[str])
    fails: DeskbridgeError | None = None

    def now(self) -> datetime:
        return self.at

    def copy_out(self, due: DueFollowUp) -> None:
        """A follow-up of the plainest kind: a row elsewhere, keyed by the follow-up's id."""
        if self.fails is not None:
            raise self.fails
        self.tables.table("elsewhere").transact("copies", [Save(Row("copies", due.id, {"of": due.content["name"]}))])

    def outbox(self, watch: Callable[[str, str, str], None] | None = None) -> Outbox:
        tables: Any = self.tables if watch is None else WatchedTables(self.tables, watch)

        def copy_out(due: DueFollowUp) -> None:
            if watch is not None:
                watch("elsewhere", "transact", "before")
            self.copy_out(due)
            if watch is not None:
                watch("elsewhere", "transact", "after")

        handlers: Mapping[str, Handler] = {"copy": copy_out}
        return Outbox(tables, handlers, self.now, self.sent.append)

    def change(self, name: str, outbox: Outbox, tables: Any = None) -> None:
        """Make a thing; a copy of it is to follow."""
        with outbox.following(THINGS, PARTITION, FollowUp("copy", {"name": name})) as operations:
            thing = Create(Row(PARTITION, name, {"name": name}))
            (tables or self.tables).table(THINGS).transact(PARTITION, [thing, *operations])

    def work(self) -> None:
        """What the queue does with all that was sent."""
        while self.sent:
            self.outbox().carry_out(message_of(self.sent.pop(0)))

    def settle(self) -> None:
        """What some hours of timers do."""
        self.work()
        for _ in range(4):
            self.at += timedelta(hours=1)
            for message in self.outbox().overdue():
                self.outbox().carry_out(message)

    @property
    def things(self) -> set[str]:
        return {key[1] for key in self.tables.table(THINGS).rows if not key[1].startswith(OUTBOX)}

    @property
    def copies(self) -> list[str]:
        return sorted(row.text("of") for row in self.tables.table("elsewhere").rows.values())

    @property
    def left(self) -> list[tuple[str, str]]:
        outbox_rows = [key for key in self.tables.table(THINGS).rows if key[1].startswith(OUTBOX)]
        return [*outbox_rows, *self.tables.table("outbox").rows]


def message_of(text: str) -> OutboxMessage:
    return OutboxMessage.parse(json.loads(text))


class Killer:
    """Kills at the n-th call, before it takes place or after."""

    def __init__(self, number: int, when: str) -> None:
        self._left = number
        self._when = when

    def __call__(self, table: str, verb: str, when: str) -> None:
        if when == self._when:
            self._left -= 1
            if self._left < 0:
                raise KilledError


def test_a_change_and_what_follows_from_it_are_there_and_nothing_is_left_to_do() -> None:
    world = World()
    world.change("one", world.outbox())
    assert (world.things, world.copies) == ({"one"}, [])
    world.work()
    assert (world.copies, world.left) == (["one"], [])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_at_any_call_loses_nothing_and_doubles_nothing(when: str) -> None:
    number = 0
    while True:
        world = World()
        killer = Killer(number, when)
        watched = WatchedTables(world.tables, killer)
        try:
            outbox = world.outbox(killer)
            world.change("one", outbox, watched)
            outbox.carry_out(message_of(world.sent[0]))
            killed = False
        except KilledError:
            killed = True
        world.settle()
        # Either all of it or none: a change that never was has no copy.
        assert world.copies == sorted(world.things), number
        assert world.left == [], number
        if not killed:
            break
        number += 1
    assert number >= 6, "fewer calls than there must be"


def test_a_worker_killed_again_and_again_carries_it_out_once() -> None:
    world = World()
    world.change("one", world.outbox())
    for number in range(8):
        for when in ("before", "after"):
            with suppress(KilledError):
                world.outbox(Killer(number, when)).carry_out(message_of(world.sent[0]))
    world.settle()
    assert (world.copies, world.left) == (["one"], [])


def test_messages_that_come_twice_late_and_in_any_order_have_one_outcome() -> None:
    world = World()
    for name in ("one", "two", "three"):
        world.change(name, world.outbox())
    world.sent = [*reversed(world.sent), *world.sent, world.sent[1]]
    messages = list(world.sent)
    world.work()
    world.at += timedelta(days=1)
    world.sent = messages
    world.work()
    assert (world.copies, world.left) == (["one", "three", "two"], [])


class Meeting:
    """Another worker carries the same out in between, at the n-th moment."""

    def __init__(self, world: World, message: OutboxMessage, number: int) -> None:
        self._world = world
        self._message = message
        self._left = number
        self.met = False

    def __call__(self, table: str, verb: str, when: str) -> None:
        self._left -= 1
        if self._left == -1:
            self.met = True
            self._world.outbox().carry_out(self._message)


def test_two_workers_at_one_entry_end_as_one_wherever_they_meet() -> None:
    number, met = 0, True
    while met:
        world = World()
        world.change("one", world.outbox())
        message = message_of(world.sent[0])
        meeting = Meeting(world, message, number)
        world.outbox(meeting).carry_out(message)
        assert (world.copies, world.left) == (["one"], []), number
        number, met = number + 1, meeting.met
    assert number > 8


def test_a_lost_message_is_made_up_for_by_the_timer_once_it_is_overdue() -> None:
    world = World()
    world.change("one", world.outbox())
    world.sent.clear()
    assert world.outbox().overdue() == []
    world.at += timedelta(minutes=3)
    [message] = world.outbox().overdue()
    world.outbox().carry_out(message)
    assert (world.copies, world.left) == (["one"], [])


def test_the_timer_reads_two_pages_however_many_partitions_have_changed() -> None:
    world = World()
    for number in range(200):
        with world.outbox().following(THINGS, f"p{number}", FollowUp("copy", {"name": "x"})) as operations:
            world.tables.table(THINGS).transact(f"p{number}", list(operations))
    world.at += timedelta(minutes=3)
    calls: list[str] = []
    overdue = world.outbox(lambda table, verb, when: calls.append(f"{table} {verb} {when}")).overdue()
    assert len(overdue) == 200
    assert calls == 2 * ["outbox page before", "outbox page after"]


def test_a_message_that_cannot_be_sent_fails_no_change() -> None:
    world = World()

    def refuse(_text: str) -> None:
        raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "The queue service did not answer.")

    world.change("one", Outbox(world.tables, {"copy": world.copy_out}, world.now, refuse))
    world.settle()
    assert (world.things, world.copies, world.left) == ({"one"}, ["one"], [])


def test_nothing_follows_from_a_change_that_was_refused() -> None:
    world = World()
    world.change("one", world.outbox())
    world.work()
    with pytest.raises(AlreadyExistsError):
        world.change("one", world.outbox())
    assert world.sent == []
    assert world.left == []
    assert world.copies == ["one"]


def _change_and_raise(world: World, error: DeskbridgeError) -> None:
    with world.outbox().following(THINGS, PARTITION, FollowUp("copy", {"name": "one"})) as operations:
        world.tables.table(THINGS).transact(PARTITION, [Create(Row(PARTITION, "one", {})), *operations])
        raise error


def test_a_change_whose_answer_was_lost_is_followed_up_all_the_same() -> None:
    world = World()
    with pytest.raises(TryLaterError):
        _change_and_raise(world, TryLaterError(Reason.STORAGE_UNAVAILABLE, "The answer was lost."))
    world.settle()
    assert (world.copies, world.left) == (["one"], [])


def test_a_change_that_was_written_before_something_else_was_refused_is_followed_up() -> None:
    world = World()
    with pytest.raises(ChangedMeanwhileError):
        _change_and_raise(world, ChangedMeanwhileError("Something else changed."))
    world.work()
    assert (world.copies, world.left) == (["one"], [])


def test_what_fails_for_good_stands_in_the_list_with_its_reason_and_is_not_tried_for_ever() -> None:
    world = World(fails=MisconfiguredError(Reason.SETTING_MISSING, "There is no address.", remedy="Set one."))
    world.change("one", world.outbox())
    message = message_of(world.sent[0])
    for _ in range(ATTEMPTS):
        with pytest.raises(MisconfiguredError):
            world.outbox().carry_out(message)
    world.at += timedelta(days=1)
    assert world.outbox().overdue() == []
    [failed] = world.outbox().page(OutboxState.FAILED, 10, None)[0]
    assert (failed.attempts, failed.reason) == (ATTEMPTS, "setting_missing")
    assert failed.explanation == "There is no address. Set one."
    assert world.outbox().page(OutboxState.PENDING, 10, None)[0] == []
    world.fails = None
    assert world.outbox().retry(failed.message.id) == message
    assert [entry.attempts for entry in world.outbox().page(OutboxState.PENDING, 10, None)[0]] == [0]
    world.outbox().carry_out(message)
    assert (world.copies, world.left) == (["one"], [])


def test_a_row_that_cannot_be_read_fails_for_good_too() -> None:
    world = World()
    world.change("one", world.outbox())
    message = message_of(world.sent[0])
    row_key = f"{OUTBOX}{message.id}"
    world.tables.table(THINGS).transact(PARTITION, [Save(Row(PARTITION, row_key, {"follow_ups": "[{}]"}))])
    for _ in range(ATTEMPTS):
        with pytest.raises(KeyError):
            world.outbox().carry_out(message)
    assert [one.message for one in world.outbox().page(OutboxState.FAILED, 10, None)[0]] == [message]
    world.at += timedelta(days=1)
    assert world.outbox().overdue() == []


def test_what_passes_by_itself_is_tried_for_as_long_as_it_takes() -> None:
    world = World(fails=TryLaterError(Reason.STORAGE_UNAVAILABLE, "The table service did not answer."))
    world.change("one", world.outbox())
    message = message_of(world.sent[0])
    for _ in range(3 * ATTEMPTS):
        with pytest.raises(TryLaterError):
            world.outbox().carry_out(message)
    world.fails = None
    world.settle()
    assert (world.copies, world.left) == (["one"], [])


def test_one_that_fails_stops_no_other() -> None:
    world = World(fails=MisconfiguredError(Reason.SETTING_MISSING, "There is no address."))
    world.change("bad", world.outbox())
    bad = message_of(world.sent.pop())
    with pytest.raises(MisconfiguredError):
        world.outbox().carry_out(bad)
    world.fails = None
    world.change("good", world.outbox())
    world.work()
    assert world.copies == ["good"]


DAMAGES: dict[str, Mapping[str, Any]] = {
    "no columns": {},
    "no time": {"at": ""},
    "a time of another form": {"at": "yesterday"},
    "no state": {"state": ""},
    "an unknown state": {"state": "done"},
    "no table": {"table": ""},
    "a table that no account has": {"table": "../settings"},
    "a partition that no key may be": {"scope": "a/b"},
    "a partition that no message holds": {"scope": "\u20ac" * 30_000},
    "numbers for texts": {"table": 7, "kinds": 7, "reason": 7},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_pending_row_costs_itself_alone(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.change("bad", world.outbox())
    world.at += timedelta(seconds=1)
    world.change("good", world.outbox())
    bad, good = map(message_of, world.sent)
    world.sent.clear()
    row = world.tables.table("outbox").find(PENDING, bad.id)
    assert row is not None
    values = {**row.values, **DAMAGES[damage]} if DAMAGES[damage] else {}
    world.tables.table("outbox").transact(PENDING, [Save(Row(PENDING, bad.id, values))])
    world.at += timedelta(minutes=3)
    entries, _ = world.outbox().page(None, 10, None)
    assert [(one.message.id, one.state, one.reason) for one in entries] == [
        (bad.id, OutboxState.FAILED, "pending_row_damaged"),
        (good.id, OutboxState.PENDING, ""),
    ]
    assert world.outbox().overdue() == [good]
    assert world.outbox().overdue() == [good]
    assert len([one for one in caplog.records if "pending_row_damaged" in one.getMessage()]) == 1
    world.settle()
    assert world.copies == ["good"]


def test_damaged_rows_never_fill_the_page_of_the_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.outbox.outbox._MOST_AT_ONCE", 3)
    world = World()
    for number in range(6):
        row = Row(PENDING, f"{number:018d}-0", {"state": "pending", "table": "", "at": NOON})
        world.tables.table("outbox").transact(PENDING, [Save(row)])
    world.change("good", world.outbox())
    world.sent.clear()
    world.settle()
    assert world.copies == ["good"]


def test_an_entry_whose_partition_cannot_be_asked_for_fails_for_good() -> None:
    world = World()
    world.change("one", world.outbox())
    message = replace(message_of(world.sent[0]), partition="a/b")
    for _ in range(ATTEMPTS):
        with pytest.raises(RowRefusedError):
            world.outbox().carry_out(message)
    assert [one.message.id for one in world.outbox().page(OutboxState.FAILED, 10, None)[0]] == [message.id]


def test_a_mistake_of_ours_tells_no_values() -> None:
    world = World()
    outbox = Outbox(world.tables, {}, world.now, world.sent.append)
    world.change("hunter2", outbox)
    with pytest.raises(KeyError):
        outbox.carry_out(message_of(world.sent[0]))
    row = world.tables.table("outbox").find(PENDING, message_of(world.sent[0]).id)
    assert row is not None
    assert (row.text("reason"), row.number("attempts")) == ("internal", 1)
    assert "hunter2" not in str(row.values)


@pytest.mark.parametrize("entry_id", ["", "nothing", "a/b", "x" * 500, "\x00"])
def test_what_does_not_wait_cannot_be_tried_again(entry_id: str) -> None:
    with pytest.raises(NotFoundError):
        World().outbox().retry(entry_id)


@pytest.mark.parametrize("content", [None, [], "text", {}, {"table": "a", "partition": "b"}, {"table": 1}])
def test_a_message_of_somebody_else_is_refused(content: Any) -> None:
    with pytest.raises(InvalidInputError):
        OutboxMessage.parse(content)
