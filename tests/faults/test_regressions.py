"""What the seeded schedules found, each as the smallest test that shows it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import DecodeError

from lab.fakes.tables import MemoryTables
from shared.errors import TryLaterError
from shared.imports.runs.model import RunState
from shared.storage.errors import translated
from shared.storage.rows import Create, Operation, Row, Value, pack
from shared.storage.tables import Table
from shared.users.grants import NOTE, GrantTickets
from tests.imports.worlds import WORLDS, SourceCase, World


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> World:
    case: Callable[[], SourceCase] = WORLDS[request.param]
    new = World(case())
    new.settle()
    return new


class _RepeatingTables:
    """A client library that sends each transaction of one table again, because its first answer was lost."""

    def __init__(self, inner: MemoryTables, table: str) -> None:
        self._inner = inner
        self._table = table

    def table(self, name: str) -> Table:
        table = self._inner.table(name)
        return _Repeating(table) if name == self._table else table


class _Repeating:
    def __init__(self, inner: Table) -> None:
        self._inner = inner
        self.name = inner.name
        self.find = inner.find
        self.page = inner.page

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        self._inner.transact(partition_key, operations)
        return self._inner.transact(partition_key, operations)


def test_what_a_run_wrote_itself_counts_as_done_by_it_though_the_answer_was_lost(world: World) -> None:
    """Seed 5 of the EC2 flow: the run said that it had found unchanged what it had just created."""
    for number in range(3):
        world.far.put(f"i-{number}")
    world.rebuild(_RepeatingTables(world.tables, world.case.table))  # type: ignore[arg-type] # in memory, here
    assert world.run().counts["create"] == 3
    world.far.put("i-0", name="other")
    world.clock.advance(hours=1)
    assert world.run().counts["update"] == 1
    del world.far.records["i-1"]
    world.clock.advance(hours=1)
    summary = world.run()
    assert summary.state is RunState.SUCCEEDED
    assert summary.counts["deactivate"] == 1


def test_two_attempts_at_one_part_deactivate_a_record_once(world: World) -> None:
    """Seed 251 of the EC2 flow: the slower attempt deactivated again what the faster one had deactivated."""
    world.far.put("i-1")
    world.far.put("i-2")
    world.run()
    del world.far.records["i-1"]
    world.clock.advance(days=1)
    run_id, (message,) = world.start()

    def overtake() -> None:
        world.far.before_page = lambda: None
        world.clock.advance(seconds=1)
        world.work(world.runner.do_part(message, redelivered=True))
        world.clock.advance(seconds=1)

    world.far.before_page = overtake
    world.work([message])
    actions = [entry.action for entry in world.records.history(world.key("i-1"))]
    assert actions == ["deactivate", "create"]
    assert world.runner.summary(run_id).counts["deactivate"] == 1


def test_a_worker_that_stood_still_writes_nothing_over_what_came_since(world: World) -> None:
    """Seed 64: its part was long done by another one, an event had brought a newer name, and it wrote the old one."""
    for number in range(3):
        world.far.put(f"i-{number}")
    world.run()
    world.far.put("i-0", name="new")
    world.clock.advance(days=1)
    run_id, (message,) = world.start()
    pages: list[int] = []

    def overtake() -> None:
        pages.append(1)
        # The first page has been read, and nothing of it is written yet.
        if len(pages) == 2:
            world.far.before_page = lambda: None
            world.far.put("i-0", name="newer")
            world.runner.do_part(message, redelivered=True)

    world.far.before_page = overtake
    world.runner.do_part(message)
    assert world.field("i-0", "name") == "newer"
    assert world.runner.summary(run_id).counts["update"] == 1


def test_a_refusal_whose_body_broke_off_is_tried_again() -> None:
    """Wire: a 404 that could not be read came out as an error of the client library, without a reason."""
    error = DecodeError("JSON is invalid")
    error.status_code = 404
    with pytest.raises(TryLaterError), translated("runs"):
        raise error


def test_two_workers_that_tell_of_one_grant_open_one_ticket_and_neither_fails() -> None:
    """Seed 1107: the slower one found its note gone, and answered the webhook with 412."""
    table = MemoryTables().table("users")
    note: dict[str, Any] = {"user_id": "usr_1", "user_name": "Ann", "user_email": "", "site": "", "occasion": "ev_1"}
    note["grants"] = [["org_1", "Oak", "ar:owner"]]
    values: dict[str, Value] = {**pack("note", note), "at": datetime(2026, 3, 1, tzinfo=UTC)}
    row = Row("authrocket:rl_1", f"{NOTE}usr_1:ev_1:0", values)
    table.transact(row.partition_key, [Create(row)])
    opened: list[str] = []

    def open_ticket(**asked: Any) -> None:
        opened.append(asked["condition"])
        if len(opened) == 1:
            assert GrantTickets(table, open_ticket).deliver(row.partition_key) == 1

    assert GrantTickets(table, open_ticket).deliver(row.partition_key) == 1
    assert len(set(opened)) == 1
    assert not table.rows
