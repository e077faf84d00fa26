"""Housekeeping of runs, however large and many they are: a turn ends in time, and the next one goes on."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.imports.plan.model import Trigger
from shared.imports.runs.housekeeping import _TIME_FOR_EACH
from shared.imports.runs.model import Mode, Part, PartState, Run, RunState
from shared.imports.runs.runner import PartMessage
from shared.storage.rows import Row, Save, Value
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.imports.test_parts import tenant_of
from tests.imports.worlds import World

# What a call of the table service takes.
CALL = timedelta(milliseconds=10)
PARTS = 5_000


class Turns:
    """Turns of housekeeping, each call of which takes its time."""

    def __init__(self, world: World, call: timedelta = CALL) -> None:
        self.world = world
        self.calls: Counter[str] = Counter()
        assert isinstance(world.tables, MemoryTables)

        def count(table: str, verb: str, when: str) -> None:
            if when == "after":
                self.calls[verb] += 1
                world.clock.at += call

        world.rebuild(WatchedTables(world.tables, count))

    def turn(self) -> list[PartMessage]:
        self.calls.clear()
        began = self.world.clock.at
        messages = self.world.keeper.run()
        # The longest step between two looks at the clock is ten transactions.
        assert self.world.clock.at - began <= 2 * _TIME_FOR_EACH + 20 * CALL
        return messages


def run_of(world: World, parts: int, mode: Mode = Mode.IMPORT, state: RunState = RunState.RUNNING) -> Run:
    """A run with so many parts, all queued or, of a closed run, done."""
    run = world.starter._new_run(world.case.kind, world.case.document, Trigger.MANUAL, "test")
    run = world.runs.add(replace(run, mode=mode, state=state))
    open_ = state is RunState.RUNNING
    made = [
        Part(run.id, f"{number:05}", PartState.QUEUED if open_ else PartState.DONE, run.started_at)
        for number in range(parts)
    ]
    if open_:
        [message] = world.starter.resume(run)
        first = world.runs.parts.find(run.id, message["part"])
        assert first is not None
        world.runs.parts.fan_out(first, made)
        return run
    table = world.tables.table("runs")
    values: dict[str, Value] = {
        "name": "x",
        "state": "done",
        "queued_at": run.started_at,
        "attempts": 1,
        "counts": "{}",
    }
    for start in range(0, parts, 100):
        table.transact(run.id, [Save(Row(run.id, f"part:{one.name}", values)) for one in made[start : start + 100]])
    return run


def test_all_lost_messages_of_a_large_run_are_sent_again_in_a_few_turns_and_each_once() -> None:
    world = tenant_of(1)
    run_of(world, PARTS)
    turns = Turns(world)
    sent: list[str] = []
    for _ in range(3):
        world.clock.advance(minutes=16 if not sent else 0.5)
        sent += [message["part"] for message in turns.turn()]
        # For each part a read and a transaction.
        assert turns.calls["find"] + turns.calls["transact"] <= 2 * 2_000 + 20
    assert sent == [f"{number:05}" for number in range(PARTS)]
    world.clock.advance(minutes=1)
    assert turns.turn() == []


def test_a_turn_ends_in_time_when_storage_is_slow_and_no_run_comes_always_last() -> None:
    world = tenant_of(1)
    runs = [run_of(world, 300) for _ in range(4)]
    turns = Turns(world, call=timedelta(seconds=1))
    world.clock.advance(minutes=16)
    served: Counter[str] = Counter()
    for _ in range(8):
        began = world.clock.at
        served.update(message["run_id"] for message in world.keeper.run())
        # A part begun is a read and a transaction.
        assert world.clock.at - began <= 2 * _TIME_FOR_EACH + timedelta(seconds=20)
        world.clock.advance(minutes=15)
    assert set(served) == {run.id for run in runs}
    assert turns.calls


def test_a_turn_costs_the_same_beside_a_healthy_run_of_fifty_parts_as_of_thousands() -> None:
    costs: list[Counter[str]] = []
    for parts in (50, PARTS):
        world = tenant_of(1)
        run_of(world, parts)
        turns = Turns(world)
        assert turns.turn() == []
        costs.append(Counter(turns.calls))
    assert costs[0] == costs[1]


@pytest.mark.parametrize("mode", [Mode.IMPORT, Mode.PREVIEW])
def test_an_old_run_of_any_size_goes_over_several_turns(mode: Mode) -> None:
    world = tenant_of(1)
    run = run_of(world, PARTS, mode, RunState.SUCCEEDED)
    world.clock.advance(days=91 if mode is Mode.IMPORT else 2)
    turns = Turns(world, call=timedelta(seconds=20))
    numbers: list[int] = []
    while world.runs.find(run.id) is not None:
        began = world.clock.at
        world.keeper.run()
        assert world.clock.at - began <= 2 * _TIME_FOR_EACH + timedelta(seconds=20 * 20)
        numbers.append(turns.calls["transact"])
        turns.calls.clear()
    assert len(numbers) > 2
    # A transaction for each hundred rows, and one for the run's own.
    assert sum(numbers) == PARTS // 100 + 1
    assert not isinstance(world.tables, MemoryTables) or not world.tables.table("runs").rows


def test_removing_killed_at_any_call_is_finished_by_the_next_turn() -> None:
    number, killed = 0, True
    while killed:
        world = tenant_of(1)
        run = run_of(world, 250, state=RunState.SUCCEEDED)
        world.clock.advance(days=91)
        left, killed = number, False

        def kill(table: str, verb: str, when: str) -> None:
            nonlocal left, killed
            left -= 1
            if left == -1:
                killed = True
                raise KilledError

        world.rebuild(WatchedTables(world.tables, kill))  # type: ignore[arg-type] # in memory, here
        try:
            world.keeper.run()
        except KilledError:
            assert killed
        world.rebuild(world.tables)
        world.keeper.run()
        assert world.runs.find(run.id) is None
        number += 1
    assert number > 10


def test_the_status_of_imports_costs_the_same_for_ten_documents_as_for_a_thousand() -> None:
    costs: list[int] = []
    for documents in (10, 900):
        world = tenant_of(1)
        for one in range(documents):
            run = world.starter._new_run(world.case.kind, f"t{one}", Trigger.MANUAL, "test")
            world.runs.save_outcome(replace(run, state=RunState.SUCCEEDED), world.clock())
        turns = Turns(world)
        source = world.runner.sources[world.case.kind]
        source.scheduled = lambda number=documents: [(f"t{one}", world.clock()) for one in range(number)]  # type: ignore[method-assign, misc] # noqa: B023 - called within this turn
        assert len(world.statuses.all()) == documents
        costs.append(sum(turns.calls.values()))
    # The outcomes, what nobody reads any more, and the documents that left it.
    assert costs == [3, 3]
