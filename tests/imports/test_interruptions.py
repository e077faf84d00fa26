"""Killed between any two storage calls and delivered again, or done by two workers at once: always the same end."""

from collections.abc import Callable

import pytest

from shared.imports.plan.model import Trigger
from shared.imports.runs.model import RunState
from shared.imports.runs.runner import PartMessage
from tests.fakes.tables import KilledError, WatchedTables
from tests.imports.worlds import SourceCase, World


def _before(case: Callable[[], SourceCase], at_least: int = 50) -> World:
    """A part in which everything happens: new, changed, gone, back, matched, taken over, held by a person, with values
    less, and same."""
    world = World(case())
    world.settle(at_least=at_least, share=0.0)
    for number in range(4):
        world.far.put(f"i-same-{number}", number=f"S-{number}")
    world.far.put("i-changed", name="old", number="C-1")
    world.far.put("i-held", name="old", number="H-1")
    world.far.put("i-gone", number="G-1")
    world.far.put("i-listed-gone", number="G-2")
    world.far.put("i-replaced", number="R-1")
    world.far.put("i-back", number="B-1")
    world.far.put("i-less", name="old", number="L-1", note="rack")
    world.far.put("i-bare", number="L-2", note="rack")
    world.run()
    del world.far.records["i-back"]
    world.clock.advance(days=1)
    world.run()
    world.clock.advance(days=1)
    world.edit("i-held", name="Jim's")
    world.add("M-1", name="by hand", number="M-1")
    world.far.put("i-back", number="B-1")
    world.far.put("i-changed", name="new", number="C-1")
    world.far.put("i-held", name="new", number="H-1", note="new")
    world.far.put("i-less", name="new", number="L-1")
    world.far.put("i-bare", number="L-2")
    world.far.put("i-new", number="N-1")
    world.far.put("i-matching", name="found", number="M-1")
    world.far.put("i-replacing", number="R-1")
    world.far.records["i-listed-gone"].gone = True
    del world.far.records["i-gone"], world.far.records["i-replaced"]
    world.clock.advance(days=1)
    return world


def _undisturbed(case: Callable[[], SourceCase], at_least: int = 50) -> tuple[World, str]:
    world = _before(case, at_least)
    run_id, messages = world.start()
    world.work(messages)
    return world, run_id


class _Killer:
    """Kills the worker at the given moment: the n-th call, before it takes place or after."""

    def __init__(self, number: int, when: str) -> None:
        self.left = number
        self._when = when

    def __call__(self, table: str, verb: str, when: str) -> None:
        if when == self._when:
            self.left -= 1
            if self.left < 0:
                raise KilledError


def _deliver(world: World, messages: list[PartMessage], kill: Callable[[], _Killer]) -> int:
    """As the queue does it: a message whose reader was killed comes again, and what that would have sent is lost. Each
    message has a worker of its own; how many were killed. No worker is killed at a message that comes again."""
    todo, killed = [(message, False) for message in messages], 0
    while todo:
        message, redelivered = todo.pop(0)
        if not redelivered:
            world.rebuild(WatchedTables(world.tables, kill()))  # type: ignore[arg-type] # in memory, here
        try:
            todo += [(one, False) for one in world.runner.do_part(message, redelivered=redelivered)]
        except KilledError:
            killed += 1
            todo.append((message, True))
        world.rebuild(world.tables)
    return killed


@pytest.mark.parametrize("at_least", [50, 1])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_part_killed_at_any_storage_call_and_delivered_again_ends_as_if_undisturbed(
    case: Callable[[], SourceCase], when: str, at_least: int
) -> None:
    calm, calm_run = _undisturbed(case, at_least)
    expected = calm.comparable()
    expected_counts = calm.runner.summary(calm_run).counts
    assert expected_counts["deactivate" if at_least == 50 else "held_back"] == (2 if at_least == 50 else 4)
    number = 0
    while True:
        world = _before(case, at_least)
        run_id, messages = world.start()
        killer = _Killer(number, when)
        killed = _deliver(world, messages, lambda: killer)  # noqa: B023 - runs within this turn
        summary = world.runner.summary(run_id)
        assert summary.state is (RunState.SUCCEEDED if at_least == 50 else RunState.WITHHELD), (number, summary.parts)
        assert world.comparable() == expected, number
        assert dict(summary.counts) == dict(expected_counts), number
        if not killed:
            break
        number += 1
    assert number > 40, "the run made fewer storage calls than it must"


@pytest.mark.parametrize("at_least", [50, 1])
@pytest.mark.parametrize("when", ["before", "after"])
def test_each_worker_killed_once_at_the_same_call_ends_as_if_undisturbed(
    case: Callable[[], SourceCase], when: str, at_least: int
) -> None:
    calm, calm_run = _undisturbed(case, at_least)
    number, killed = 0, 1
    while killed:
        world = _before(case, at_least)
        run_id, messages = world.start()
        killed = _deliver(world, messages, lambda: _Killer(number, when))  # noqa: B023 - runs within this turn
        assert dict(world.runner.summary(run_id).counts) == dict(calm.runner.summary(calm_run).counts), number
        assert world.comparable() == calm.comparable(), number
        number += 1
    assert number > 12


def test_two_workers_on_one_part_end_as_one_wherever_they_meet(case: Callable[[], SourceCase]) -> None:
    calm, _ = _undisturbed(case)
    expected = calm.comparable()
    number = 0
    while True:
        world = _before(case)
        run_id, todo = world.start()
        second = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
        at, left = [todo[0]], [number]

        def meet(
            table: str,
            verb: str,
            when: str,
            left: list[int] = left,
            second: World = second,
            at: list[PartMessage] = at,
        ) -> None:
            if when == "before":
                left[0] -= 1
                if left[0] == -1:
                    second.work(second.runner.do_part(at[0], redelivered=True))

        world.rebuild(WatchedTables(world.tables, meet))  # type: ignore[arg-type] # in memory, here
        while todo:
            at[0] = todo.pop(0)
            todo += world.runner.do_part(at[0])
        world.rebuild(world.tables)
        assert world.runner.summary(run_id).state is RunState.SUCCEEDED, number
        assert world.comparable() == expected, number
        if left[0] >= 0:
            break
        number += 1
    assert number > 40


def test_a_second_message_of_a_part_at_work_leaves_it_to_the_first(case: Callable[[], SourceCase]) -> None:
    world = _before(case)
    run_id, [message] = world.start()
    duplicate_did: list[object] = []
    world.far.before_page = lambda: duplicate_did.append(world.runner.do_part(message))
    world.work([message])
    assert duplicate_did
    assert world.runner.summary(run_id).parts[0].attempts == 1


def test_a_person_and_the_import_never_undo_each_other_wherever_they_meet(case: Callable[[], SourceCase]) -> None:
    for number in range(40):
        world = _before(case)
        _, messages = world.start()
        second = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
        left = [number]

        def meet(table: str, verb: str, when: str, left: list[int] = left, second: World = second) -> None:
            if when == "before":
                left[0] -= 1
                if left[0] == -1:
                    second.edit("i-changed", name="Jim's own")

        world.rebuild(WatchedTables(world.tables, meet))  # type: ignore[arg-type] # in memory, here
        world.work(messages)
        world.rebuild(world.tables)
        if left[0] >= 0:
            world.edit("i-changed", name="Jim's own")
        world.run()
        assert world.field("i-changed", "name") == "Jim's own", number


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_start_killed_at_any_storage_call_leaves_no_run_open_and_no_lease_behind(
    case: Callable[[], SourceCase], when: str
) -> None:
    number = 0
    while True:
        world = World(case())
        world.settle()
        world.far.put("i-1")
        world.rebuild(WatchedTables(world.tables, _Killer(number, when)))  # type: ignore[arg-type] # in memory
        try:
            world.start()
            killed = False
        except KilledError:
            killed = True
        world.rebuild(world.tables)
        # The messages are lost with the worker: housekeeping takes the run up.
        world.clock.advance(minutes=20)
        world.work(world.keeper.run())
        assert world.runs.open_runs() == [], number
        assert world.run().state is RunState.SUCCEEDED, number
        assert world.active() == {"i-1"}
        if not killed:
            break
        number += 1
    assert number >= 4


def test_a_scheduled_start_that_is_killed_after_its_run_was_written_still_imports(
    case: Callable[[], SourceCase],
) -> None:
    world = World(case())
    world.settle()
    world.far.put("i-1")

    class _Stop(_Killer):
        def __call__(self, table: str, verb: str, when: str) -> None:
            if table == "runs":
                super().__call__(table, verb, when)

    for number in range(3, 9):
        world.rebuild(WatchedTables(world.tables, _Stop(number, "after")))  # type: ignore[arg-type] # in memory
        try:
            world.starter.start(world.case.kind, world.case.document, trigger=Trigger.SCHEDULED, by="schedule")
        except KilledError:
            break
    world.rebuild(world.tables)
    world.clock.advance(minutes=20)
    world.work(world.keeper.run())
    assert world.active() == {"i-1"}


def test_the_brake_of_a_repeated_part_counts_as_it_did_the_first_time(case: Callable[[], SourceCase]) -> None:
    def before() -> World:
        world = World(case())
        world.settle(at_least=2, share=0.3)
        world.far.page_size = 100
        for number in range(10):
            world.far.put(f"i-{number}")
        world.run()
        for number in range(4):
            del world.far.records[f"i-{number}"]
        for number in range(10):
            world.far.put(f"n-{number}")
        return world

    for number in range(2, 12):
        world = before()
        run_id, messages = world.start()
        killer = _Killer(number, "after")
        # Among the twenty that are active then the four would be few; among the ten of the beginning they are not.
        assert _deliver(world, messages, lambda: killer)  # noqa: B023 - runs within this turn
        counts = world.runner.summary(run_id).counts
        assert (counts.get("held_back"), counts.get("deactivate"), counts.get("create")) == (4, None, 10), number
