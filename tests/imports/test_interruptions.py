"""Killed between any two storage calls and delivered again, or done by two workers at once: always the same end."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from shared.imports.plan.model import Trigger
from shared.imports.runs.model import RunState
from tests.fakes.tables import KilledError, WatchedTables
from tests.imports.worlds import SourceCase, World


def _before(case: Callable[[], SourceCase]) -> World:
    """A part in which everything happens: new, changed, gone, back, matched, taken over, held by a person, and same."""
    world = World(case())
    world.settle(at_least=50)
    for number in range(4):
        world.far.put(f"i-same-{number}", number=f"S-{number}")
    world.far.put("i-changed", name="old", number="C-1")
    world.far.put("i-held", name="old", number="H-1")
    world.far.put("i-gone", number="G-1")
    world.far.put("i-listed-gone", number="G-2")
    world.far.put("i-replaced", number="R-1")
    world.far.put("i-back", number="B-1")
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
    world.far.put("i-new", number="N-1")
    world.far.put("i-matching", name="found", number="M-1")
    world.far.put("i-replacing", number="R-1")
    world.far.records["i-listed-gone"].gone = True
    del world.far.records["i-gone"], world.far.records["i-replaced"]
    world.clock.advance(days=1)
    return world


def _undisturbed(case: Callable[[], SourceCase]) -> tuple[World, str]:
    world = _before(case)
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


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_part_killed_at_any_storage_call_and_delivered_again_ends_as_if_undisturbed(
    case: Callable[[], SourceCase], when: str
) -> None:
    calm, calm_run = _undisturbed(case)
    expected = calm.comparable()
    expected_counts = calm.runner.summary(calm_run).counts
    assert expected_counts["deactivate"] == 2
    number = 0
    while True:
        world = _before(case)
        run_id, [message] = world.start()
        killer = _Killer(number, when)
        world.rebuild(WatchedTables(world.tables, killer))  # type: ignore[arg-type] # in memory, here
        try:
            world.runner.do_part(message)
            killed = False
        except KilledError:
            killed = True
        world.rebuild(world.tables)
        world.runner.do_part(message, redelivered=True)
        summary = world.runner.summary(run_id)
        assert summary.state is RunState.SUCCEEDED, (number, summary.parts)
        assert world.comparable() == expected, number
        assert dict(summary.counts) == dict(expected_counts), number
        if not killed:
            break
        number += 1
    assert number > 12, "the part made fewer storage calls than it must"


def test_a_part_killed_again_and_again_still_ends_as_if_undisturbed(case: Callable[[], SourceCase]) -> None:
    calm, _ = _undisturbed(case)
    world = _before(case)
    run_id, [message] = world.start()
    for number in range(30):
        world.rebuild(WatchedTables(world.tables, _Killer(number, "after")))  # type: ignore[arg-type] # in memory
        try:
            world.runner.do_part(message, redelivered=True)
        except KilledError:
            continue
    assert world.runner.summary(run_id).state is RunState.SUCCEEDED
    assert world.comparable() == calm.comparable()


def test_two_workers_on_one_part_end_as_one_wherever_they_meet(case: Callable[[], SourceCase]) -> None:
    calm, _ = _undisturbed(case)
    expected = calm.comparable()
    met = 0
    for number in range(60):
        world = _before(case)
        run_id, [message] = world.start()
        second = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
        left = [number]

        def meet(table: str, verb: str, when: str, left: list[int] = left, second: World = second) -> None:
            if when == "before":
                left[0] -= 1
                if left[0] == -1:
                    second.runner.do_part(message, redelivered=True)  # noqa: B023 - runs within this turn

        world.rebuild(WatchedTables(world.tables, meet))  # type: ignore[arg-type] # in memory, here
        world.runner.do_part(message)
        world.rebuild(world.tables)
        met += left[0] < 0
        assert world.runner.summary(run_id).state is RunState.SUCCEEDED, number
        assert world.comparable() == expected, number
    assert met > 12


def test_a_second_message_of_a_part_at_work_leaves_it_to_the_first(case: Callable[[], SourceCase]) -> None:
    world = _before(case)
    run_id, [message] = world.start()
    duplicate_did: list[object] = []
    world.far.before_page = lambda: duplicate_did.append(world.runner.do_part(message))
    world.runner.do_part(message)
    assert duplicate_did
    assert world.runner.summary(run_id).parts[0].attempts == 1


def test_a_person_and_the_import_never_undo_each_other_wherever_they_meet(case: Callable[[], SourceCase]) -> None:
    for number in range(40):
        world = _before(case)
        _, [message] = world.start()
        second = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
        left = [number]

        def meet(table: str, verb: str, when: str, left: list[int] = left, second: World = second) -> None:
            if when == "before":
                left[0] -= 1
                if left[0] == -1:
                    second.edit("i-changed", name="Jim's own")

        world.rebuild(WatchedTables(world.tables, meet))  # type: ignore[arg-type] # in memory, here
        world.runner.do_part(message)
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
        run_id, [message] = world.start()
        world.rebuild(WatchedTables(world.tables, _Killer(number, "after")))  # type: ignore[arg-type] # in memory
        with suppress(KilledError):
            world.runner.do_part(message)
        world.rebuild(world.tables)
        # Among the twenty that are active now the four would be few; among the ten of the beginning they are not.
        world.runner.do_part(message, redelivered=True)
        counts = world.runner.summary(run_id).counts
        assert (counts.get("held_back"), counts.get("deactivate"), counts.get("create")) == (4, None, 10), number
