"""How a document stands: one function says it, from one row that its imports keep."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from shared.errors import MisconfiguredError
from shared.imports.plan.model import Trigger
from shared.imports.runs.model import RunState
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.statuses import ImportStatus, trouble_of
from shared.reasons import Reason
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.imports.worlds import WORLDS, FarRecord, World


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> World:
    world = World(WORLDS[request.param]())
    world.settle(deactivate=True)
    for number in range(20):
        world.far.put(f"i-{number:02}")
    return world


def _status(world: World) -> ImportStatus:
    [status] = world.statuses.all()
    assert world.statuses.page(10, None) == ([status], None)
    return status


def _lose(world: World, left: int) -> dict[str, FarRecord]:
    lost = dict(world.far.records)
    for number in range(left, 20):
        del world.far.records[f"i-{number:02}"]
    return lost


def test_a_night_in_which_the_brake_holds_does_not_say_succeeded(world: World) -> None:
    world.run()
    whole = _lose(world, 5)
    world.clock.advance(days=1)
    summary = world.run()
    assert summary.state is RunState.WITHHELD
    first, since = _status(world), world.clock()
    assert (first.status, first.reason, first.warning) == ("withheld", "", "")
    held = first.withheld
    assert held is not None
    assert (held.count, held.since, held.run_id) == (15, since, summary.run.id)
    assert len(held.names) == 5
    assert "The brake holds" in held.why
    # The next night it holds the same: since when is kept, and the run to confirm is the newest.
    world.clock.advance(days=1)
    again = world.run()
    status = _status(world)
    assert status.withheld is not None
    assert (status.withheld.since, status.withheld.run_id) == (since, again.run.id)
    assert status.last_success_at == world.clock()
    world.far.records = whole
    world.clock.advance(days=1)
    world.run()
    assert (_status(world).status, _status(world).withheld) == ("succeeded", None)


def test_what_is_withheld_stays_until_it_is_confirmed_or_seen_again(world: World) -> None:
    world.run()
    _lose(world, 5)
    held = world.run()
    # By hand an import of EC2 deactivates nothing: that it withholds nothing tells nothing.
    by_hand = world.run(trigger=Trigger.MANUAL)
    assert by_hand.state is (RunState.SUCCEEDED if world.case.kind == "aws-tenants" else RunState.WITHHELD)
    assert _status(world).withheld is not None
    world.run(preview=True)
    assert _status(world).withheld is not None
    world.run(confirm=held.run.id)
    assert _status(world).withheld is None
    assert len(world.active()) == 5


def test_a_failed_import_says_so_until_one_goes_through(world: World) -> None:
    assert (_status(world).status, _status(world).reason) == ("waiting", "")
    world.run()
    assert (_status(world).status, _status(world).reason) == ("succeeded", "")
    world.far.fails_after, world.far.failure = 0, MisconfiguredError(Reason.AWS_FAILED, "No.", remedy="Yes.")
    world.clock.advance(days=1)
    world.run()
    status, since = _status(world), world.clock()
    assert (status.status, status.reason) == ("failed", "import_failed")
    world.clock.advance(days=1)
    world.run()
    assert "it is expected every day" in _status(world).warning
    outcome = world.runs.find_outcome(world.case.kind, world.case.document)
    trouble = trouble_of(outcome, since, world.clock())
    assert trouble is not None
    assert trouble.since == since
    world.far.fails_after = None
    world.run()
    assert (_status(world).status, _status(world).warning) == ("succeeded", "")


def test_a_scheduled_import_that_could_not_start_is_a_failed_one(world: World) -> None:
    world.far.fails_after, world.far.failure = 0, MisconfiguredError(Reason.AWS_FAILED, "No.")
    world.runner.sources[world.case.kind].source = _refuse  # type: ignore[method-assign, assignment] # it only raises
    assert world.starter.start_scheduled(world.case.kind) == []
    assert (_status(world).status, _status(world).reason) == ("failed", "import_failed")
    assert "No store." in _status(world).warning


def _refuse(name: str) -> None:
    raise MisconfiguredError(Reason.CREDENTIAL_STORE_UNKNOWN, "No store.")


def test_any_order_and_repetition_of_ends_leaves_the_last_one(world: World) -> None:
    run = world.starter._new_run(world.case.kind, "acorn", Trigger.SCHEDULED, "test")
    ends = [
        (replace(run, id=f"run-{number}", state=state), world.clock() + timedelta(days=number))
        for number, state in enumerate((RunState.FAILED, RunState.SUCCEEDED, RunState.FAILED))
    ]
    stood: set[tuple[object, ...]] = set()
    for order in permutations(ends):
        runs = RunRepository(MemoryTables().table("runs"))
        for one, at in (*order, *order):
            runs.save_outcome(one, at)
        found = runs.find_outcome(world.case.kind, "acorn")
        assert found is not None
        stood.add((found.run_id, found.state, found.at))
    assert stood == {("run-2", RunState.FAILED, ends[2][1])}


def test_a_kill_at_any_call_of_a_run_leaves_the_status_of_its_end(world: World) -> None:
    world.run()
    whole = dict(world.far.records)
    number = 0
    while True:
        number += 1
        world.far.records = dict(whole)
        world.clock.advance(days=1)
        world.run()
        _lose(world, 5)
        calls = [0]

        def kill(table: str, verb: str, when: str, calls: list[int] = calls, at: int = number) -> None:
            calls[0] += table == "runs" and verb == "transact"
            if calls[0] == at:
                raise KilledError

        run_id, messages = world.start()
        world.rebuild(WatchedTables(world.tables, kill))  # type: ignore[arg-type] # in memory, here
        killed = False
        try:
            world.work(messages)
        except KilledError:
            killed = True
        world.rebuild(world.tables)
        world.clock.advance(minutes=31)
        world.work(messages)
        world.work(world.keeper.run())
        assert world.runs.get(run_id).state is RunState.WITHHELD, number
        status = _status(world)
        assert (status.status, status.last_run) == ("withheld", run_id), number
        if not killed:
            break
    assert number > 5
