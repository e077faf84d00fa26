"""Parts of large runs: created by queue, each once, and the last one closes the run."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import Mock, patch

import pytest

from shared.assets.source import TenantSource
from shared.errors import MisconfiguredError
from shared.imports.plan.model import Trigger
from shared.imports.runs import fan_out, housekeeping, parts, runner
from shared.imports.runs.model import Run, RunState
from shared.imports.runs.reports import RunReports
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.runner import PartMessage
from shared.imports.sources import Expansion
from shared.reasons import Reason
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.imports.worlds import Ec2Case, World

REGIONS = ("eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "us-east-1", "us-east-2", "us-west-1", "us-west-2")


def tenant_of(accounts: int, tables: Any = None) -> World:
    """A tenant with a part for each account and each of eight regions, and one instance in every part."""
    case = Ec2Case()
    ids = [f"{number:012}" for number in range(1, accounts + 1)]
    case.accounts = [{"account": one, "role": f"arn:aws:iam::{one}:role/desk"} for one in ids]
    case.regions = REGIONS
    world = World(case, tables=tables or MemoryTables())
    world.settle(match=False)
    world.far.put("i-1")
    return world


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces so small that nine parts are created by queue, over several turns."""
    monkeypatch.setattr(fan_out, "PARTS_AT_ONCE", 2)
    monkeypatch.setattr(fan_out, "PIECES_AT_ONCE", 2)


def nine_parts() -> World:
    world = tenant_of(3)
    world.case.regions = REGIONS[:3]  # type: ignore[attr-defined] # a tenant's
    world.settle(match=False)
    return world


def part_names(world: World) -> list[str]:
    return sorted(f"{one['account']}:{region}" for one in world.case.accounts for region in world.case.regions)  # type: ignore[attr-defined] # a tenant's


def names_created(world: World, run_id: str) -> list[str]:
    return [part.name for part in world.runs.parts.all(run_id)]


@pytest.mark.usefixtures("pieces")
def test_the_parts_of_a_large_run_are_created_in_pieces_and_each_once() -> None:
    world = nine_parts()
    run_id, messages = world.start()
    assert [message["part"] for message in messages] == [
        "list of parts up to 000000000001:eu-west-1",
        "list of parts after 000000000001:eu-west-1 up to 000000000002:eu-central-1",
        "list of parts after 000000000002:eu-central-1",
    ]
    done: list[str] = []
    todo = list(messages)
    while todo:
        message = todo.pop(0)
        done.append(message["part"])
        todo += world.runner.do_part(message)
    run = world.runs.get(run_id)
    assert (run.state, run.counts["parts"], run.counts["create"]) == (RunState.SUCCEEDED, 9, 9)
    assert names_created(world, run_id) == part_names(world)
    assert Counter(name for name in done if not name.startswith("list of")) == Counter(part_names(world))


def records_of(world: World) -> dict[tuple[str, str], tuple[Any, ...]]:
    """What stands in the records, whenever it was written."""
    return {
        key: (row["f_name"], row["active"], row["last_action"])
        for key, row in world.contents().items()
        if "f_name" in row
    }


def drain(world: World, messages: Sequence[PartMessage], broken: Callable[[], None] = lambda: None) -> None:
    """As the queue does it: a message whose reader was killed comes again, what the reader would have sent is lost."""
    todo = deque((message, False) for message in messages)
    while todo:
        message, redelivered = todo.popleft()
        try:
            todo += ((one, False) for one in world.runner.do_part(message, redelivered=redelivered))
        except KilledError:
            broken()
            todo.append((message, True))


def finish(world: World) -> None:
    """Housekeeping, until nothing is open."""
    for _ in range(10):
        if not world.runs.open_runs():
            return
        world.clock.advance(minutes=16)
        drain(world, world.keeper.run())
    pytest.fail("a run stays open")


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_of_many_parts_killed_at_any_storage_call_ends_as_if_undisturbed(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = nine_parts()
    expected = calm.run().run.counts
    monkeypatch.setattr(runner, "PARTS_COUNTED", 4)
    number, killed = 0, True
    while killed:
        world = nine_parts()
        run_id, messages = world.start()
        left, killed = number, False

        def kill(table: str, verb: str, moment: str) -> None:
            nonlocal left, killed
            left -= moment == when
            if left == -1 and not killed:
                killed = True
                raise KilledError

        world.rebuild(WatchedTables(world.tables, kill))  # type: ignore[arg-type] # in memory, here
        drain(world, messages)
        world.rebuild(world.tables)
        finish(world)
        run = world.runs.get(run_id)
        assert (run.state, run.counts) == (RunState.SUCCEEDED, expected), number
        assert names_created(world, run_id) == part_names(world), number
        assert not world.runs.parts.any_open(run_id), number
        assert records_of(world) == records_of(calm), number
        number += 1
    assert number > 100, "the run made fewer storage calls than it must"


@pytest.mark.usefixtures("pieces")
def test_two_workers_on_one_piece_create_each_part_once() -> None:
    number, met = 0, True
    while met:
        world = nine_parts()
        run_id, [message, *others] = world.start()
        second = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
        left, met, sent = number, False, list[PartMessage]()

        def meet(table: str, verb: str, moment: str) -> None:
            nonlocal left, met
            left -= moment == "before"
            if left == -1 and not met:
                met = True
                sent.extend(second.runner.do_part(message, redelivered=True))  # noqa: B023 - runs within this turn

        world.rebuild(WatchedTables(world.tables, meet))  # type: ignore[arg-type] # in memory, here
        sent += world.runner.do_part(message)
        world.rebuild(world.tables)
        drain(world, [*sent, *others])
        # Nothing was lost between the two: without housekeeping all is done.
        run = world.runs.get(run_id)
        assert (run.state, run.counts["parts"], run.counts["create"]) == (RunState.SUCCEEDED, 9, 9), number
        assert names_created(world, run_id) == part_names(world), number
        number += 1
    assert number > 5


def test_a_host_killed_while_it_sends_the_messages_of_a_fan_out_sends_the_others_when_it_is_back() -> None:
    world = nine_parts()
    run_id, message = world.begin()
    sent = world.runner.do_part(message)
    assert [one["part"] for one in sent] == part_names(world)
    # Four were sent, and two of those parts are done, when the host dies. What it had is given again.
    drain(world, sent[:2])
    again = world.runner.do_part(message, redelivered=True)
    assert [one["part"] for one in again] == part_names(world)[2:]
    drain(world, [*sent[2:4], *again])
    run = world.runs.get(run_id)
    assert (run.state, run.counts["parts"], run.counts["create"]) == (RunState.SUCCEEDED, 9, 9)
    assert world.runner.do_part(message, redelivered=True) == []


def test_a_host_killed_while_it_sends_the_messages_of_a_part_that_led_to_others_sends_the_others_too() -> None:
    world = tenant_of(1)
    [account] = world.case.accounts  # type: ignore[attr-defined] # a tenant's
    names = [f"{account['account']}:{region}" for region in REGIONS]
    with patch.multiple(
        TenantSource,
        parts=lambda _: ["regions of the account"],
        expand=lambda _, part, **_how: Expansion(names) if part.startswith("regions") else None,
    ):
        run_id, [message] = world.start()
        assert [one["part"] for one in world.runner.do_part(message)] == names
        drain(world, world.runner.do_part(message, redelivered=True))
    run = world.runs.get(run_id)
    assert (run.state, run.counts["parts"], run.counts["create"]) == (RunState.SUCCEEDED, 8, 8)


def test_a_start_sends_one_message_so_that_no_part_is_at_work_before_all_are_sent() -> None:
    world = nine_parts()
    [message] = world.starter.start_scheduled(world.case.kind)
    assert message["part"] == "list of parts"


class _Closings(RunRepository):
    """Counts how often a run was closed."""

    closed = 0

    def save(self, run: Run) -> Run:
        saved = super().save(run)
        _Closings.closed += not run.is_open
        return saved


def test_of_two_workers_that_finish_the_last_two_parts_at_once_exactly_one_closes_the_run() -> None:
    number, met = 0, True
    while met:
        world = tenant_of(1)
        world.case.regions = REGIONS[:2]  # type: ignore[attr-defined] # a tenant's
        world.settle(match=False)
        run_id, [first, second] = world.start()
        other = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
        other.runner.runs = _Closings(world.tables.table("runs"))
        left, met, _Closings.closed = number, False, 0

        def meet(table: str, verb: str, moment: str) -> None:
            nonlocal left, met
            left -= 1
            if left == -1 and not met:
                met = True
                other.runner.do_part(second)  # noqa: B023 - runs within this turn

        watched = WatchedTables(world.tables, meet)  # type: ignore[arg-type] # in memory, here
        world.rebuild(watched)
        world.runner.runs = _Closings(watched.table("runs"))
        world.runner.do_part(first)
        if not met:
            other.runner.do_part(second)
        for message in (first, second):
            other.runner.do_part(message, redelivered=True)
        run = world.runs.get(run_id)
        assert (run.state, run.counts["parts_done"], _Closings.closed) == (RunState.SUCCEEDED, 2, 1), number
        number += 1
    assert number > 15


@pytest.mark.usefixtures("pieces")
def test_a_piece_whose_parts_cannot_be_told_is_a_failed_part_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    world = nine_parts()
    run_id, [first, *others] = world.start()
    drain(world, [first])
    refusal = MisconfiguredError(Reason.DOCUMENT_INVALID, "Its site is not there.", remedy="Make it.")
    monkeypatch.setattr(TenantSource, "parts", Mock(side_effect=refusal))
    drain(world, others)
    run = world.runs.get(run_id)
    assert (run.state, run.counts["parts_done"], run.counts["parts_failed"]) == (RunState.PARTLY_FAILED, 2, 2)
    errors, _ = RunReports(world.runner).errors(run_id, 10, None)
    assert [(one["part"], one["message"], one["remedy"]) for one in errors] == [
        ("list of parts after 000000000001:eu-west-1 up to 000000000002:eu-central-1", refusal.message, "Make it."),
        ("list of parts after 000000000002:eu-central-1", refusal.message, "Make it."),
    ]


def test_lost_messages_are_sent_again_so_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "_PARTS_AT_ONCE", 4)
    world = nine_parts()
    world.start()
    world.clock.advance(minutes=16)
    sent = [message["part"] for _ in range(4) for message in world.keeper.run()]
    assert sent == part_names(world)
    world.clock.advance(minutes=16)
    assert len(world.keeper.run()) == 4


def progress(world: World, run_id: str) -> tuple[int, int, bool]:
    shown = RunReports(world.runner).run(run_id)
    assert shown["status"] == "running"
    return shown["counts"]["parts"], shown["counts"]["parts_open"], shown["counts_at_least"]


@pytest.mark.parametrize("counted", [8, 9])
def test_the_progress_of_a_run_is_right_however_many_parts_it_has(
    monkeypatch: pytest.MonkeyPatch, counted: int
) -> None:
    monkeypatch.setattr(runner, "PARTS_COUNTED", counted)
    world = nine_parts()
    run_id, [message, *others] = world.start()
    assert progress(world, run_id) == (9, 9, False)
    drain(world, [message])
    assert progress(world, run_id) == (9, 8, False)
    drain(world, others)
    shown = RunReports(world.runner).run(run_id)
    assert (shown["counts"]["parts"], shown["counts"]["parts_done"], shown["counts_at_least"]) == (9, 9, False)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("counted", [1, 1_000])
def test_while_parts_are_created_there_are_at_least_so_many(monkeypatch: pytest.MonkeyPatch, counted: int) -> None:
    monkeypatch.setattr(runner, "PARTS_COUNTED", counted)
    world = nine_parts()
    run_id, messages = world.start()
    seen: list[tuple[int, int, bool]] = []
    while any(message["part"].startswith("list of") for message in messages):
        seen.append(progress(world, run_id))
        messages = [one for message in messages for one in world.runner.do_part(message)]
    assert all(at_least for _, _, at_least in seen)
    while messages and world.runs.get(run_id).is_open:
        left = len([part for part in world.runs.parts.all(run_id) if part.is_open])
        assert progress(world, run_id)[1] == left
        world.runner.do_part(messages.pop())


def test_what_was_not_counted_to_its_end_is_told_as_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PARTS_COUNTED", 1)
    monkeypatch.setattr(parts, "_ROWS_COUNTED", 5)
    world = nine_parts()
    run_id, messages = world.start()
    assert progress(world, run_id) == (9, 5, True)
    drain(world, messages[:5])
    assert progress(world, run_id) == (9, 4, False)


@pytest.mark.parametrize("counted", [2, 8, 9])
def test_a_run_of_many_parts_is_counted_in_pieces(monkeypatch: pytest.MonkeyPatch, counted: int) -> None:
    whole = nine_parts().run().run.counts
    monkeypatch.setattr(runner, "PARTS_COUNTED", counted)
    world = nine_parts()
    run_id, [*messages, last] = world.start()
    drain(world, messages)
    steps = 0
    todo = [last]
    while todo:
        steps += 1
        [message] = todo
        todo = world.runner.do_part(message)
        if todo:
            # Nothing that is half counted is shown.
            assert progress(world, run_id) == (9, 0, False)
    run = world.runs.get(run_id)
    assert (run.state, run.counts, run.counted_to) == (RunState.SUCCEEDED, whole, "")
    assert steps == -(-10 // counted) if counted == 2 else steps in {1, 2}


def test_housekeeping_goes_on_with_a_run_that_nobody_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nine_parts().run().run.counts
    monkeypatch.setattr(runner, "PARTS_COUNTED", 2)
    world = nine_parts()
    run_id, messages = world.start()
    for message in messages:
        # What counts on is lost.
        world.runner.do_part(message)
    assert world.runs.get(run_id).is_open
    drain(world, world.keeper.run())
    run = world.runs.get(run_id)
    assert (run.state, run.counts) == (RunState.SUCCEEDED, whole)


def test_a_run_that_is_begun_while_somebody_looks_whether_it_is_complete_stays_open() -> None:
    # Between two looks of one worker all its parts may come to be.
    number, met = 0, True
    while met:
        world = tenant_of(1)
        run = world.runs.add(world.starter._new_run(world.case.kind, world.case.document, Trigger.MANUAL, "anna"))
        other = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
        left, met = number, False

        def meet(table: str, verb: str, moment: str) -> None:
            nonlocal left, met
            left -= 1
            if left == -1 and not met:
                met = True
                assert other.starter.resume(run)  # noqa: B023 - runs within this turn

        world.rebuild(WatchedTables(world.tables, meet))  # type: ignore[arg-type] # in memory, here
        assert world.runner.close_if_complete(run).is_open, number
        number += 1
    assert number > 2
