"""What takes away is decided once, over the whole run, and carried out where it still holds."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.imports.plan.model import Action, ExistingRecord, PlanEntry
from shared.imports.plan.safety import Brake, Losses, why_held
from shared.imports.plan.withdrawals import ACTIVE_GOES, UNSETTLED, Withdrawal
from shared.imports.runs import fan_out, runner
from shared.imports.runs.fan_out import FIRST_SETTLING
from shared.imports.runs.model import PartState, RunState
from shared.imports.runs.reports import RunReports
from shared.imports.runs.runner import PartMessage
from shared.records.model import MANUAL_PARTITION, FieldChange, Key
from tests.fakes.tables import KilledError, WatchedTables
from tests.imports.worlds import Ec2Case, SourceCase, World

REGIONS = ("ap-east-1", "ap-southeast-3", "ap-southeast-4")
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def three_regions(each: int = 9, **policies: Any) -> World:
    """A tenant of three regions, with as many machines in each."""
    case = Ec2Case()
    case.regions = REGIONS
    world = World(case)
    world.settle(match=False, believe_empty_answers=False, **policies)
    for region in REGIONS:
        for number in range(each):
            world.far.put(machine(region, number), note="rack", region=region)
    assert world.run().counts["create"] == 3 * each
    world.clock.advance(days=1)
    return world


def machine(region: str, number: int) -> str:
    return f"i-{region}-{number:02}"


def lose(world: World, region: str, count: int) -> None:
    for number in range(count):
        del world.far.records[machine(region, number)]


def names_held(world: World, run_id: str) -> list[str]:
    return [entry["id"] for entry in world.entries(run_id, "held_back")]


def test_nine_of_nine_in_three_regions_are_twenty_seven_of_twenty_seven() -> None:
    world = three_regions()
    for region in REGIONS:
        lose(world, region, 9)
        world.far.put(f"i-stranger-{region}", region=region)
    preview = world.run(preview=True)
    summary = world.run()
    assert preview.counts["held_back"] == summary.counts["held_back"] == 27
    assert len(names_held(world, summary.run.id)) == 27
    assert (summary.state, summary.run.reason) == (RunState.WITHHELD, "import_withheld")
    assert "Of 27 active records 27 are not there any more" in summary.run.message
    assert machine(REGIONS[0], 0) in summary.run.message
    [entry, *_] = world.entries(summary.run.id, "held_back")
    assert (entry["reason"], "27 of 27 active records of the run" in entry["message"]) == ("brake", True)
    assert len(world.active()) == 30
    # One call confirms the whole run.
    confirmed = world.run(confirm=summary.run.id)
    assert confirmed.counts["deactivate"] == 27
    assert world.active() == {f"i-stranger-{region}" for region in REGIONS}


def test_three_regions_that_list_nothing_are_withheld_until_a_later_day() -> None:
    world = three_regions(2)
    world.far.records.clear()
    for _ in range(2):
        assert world.run().counts["held_back"] == 6
    world.clock.advance(days=1)
    assert world.run().counts["deactivate"] == 6


def test_a_region_that_lists_nothing_counts_for_what_the_others_lose() -> None:
    world = three_regions()
    lose(world, REGIONS[0], 9)
    lose(world, REGIONS[1], 8)
    summary = world.run()
    assert summary.counts["held_back"] == 17
    assert "17 of 27 active records of the run" in world.entries(summary.run.id, "held_back")[-1]["message"]


def test_what_is_few_in_the_run_is_carried_out() -> None:
    world = three_regions()
    for region in REGIONS:
        lose(world, region, 2)
    assert world.run(preview=True).counts["deactivate"] == 6
    summary = world.run()
    assert (summary.state, summary.counts["deactivate"]) == (RunState.SUCCEEDED, 6)
    assert len(world.active()) == 21


def test_one_region_that_is_held_back_does_not_stop_the_others() -> None:
    world = three_regions(40)
    lose(world, REGIONS[0], 20)
    lose(world, REGIONS[1], 1)
    summary = world.run()
    assert (summary.counts["held_back"], summary.counts["deactivate"]) == (20, 1)
    assert "20 of 40 active records of the part" in world.entries(summary.run.id, "held_back")[0]["message"]


def test_values_that_are_missing_in_a_few_of_each_region_are_many_in_the_run() -> None:
    world = three_regions()
    for region in REGIONS:
        for number in range(4):
            world.far.put(machine(region, number), name="renamed", region=region)
    preview = world.run(preview=True)
    summary = world.run()
    assert preview.counts["held_back"] == summary.counts["held_back"] == 12
    # All else of these records is written, and counted.
    assert preview.counts["update"] == summary.counts["update"] == 12
    assert "notes of 12 of 27 active records of the run" in world.entries(summary.run.id, "held_back")[0]["message"]
    assert "12 have no notes" in summary.run.message
    one = machine(REGIONS[0], 0)
    assert (world.field(one, "note"), world.field(one, "name")) == ("rack", "renamed")
    # What is withheld is not written again, nor forgotten.
    before = world.rows()
    world.clock.advance(days=1)
    again = world.run()
    assert (again.counts["held_back"], "update" in again.counts, world.rows()) == (12, False, before)
    assert world.run(confirm=again.run.id).counts["update"] == 12
    assert world.field(one, "note") is None
    assert world.run().counts["unchanged"] == 27


def test_an_applied_preview_takes_away_what_it_showed_and_nothing_that_it_showed_as_withheld() -> None:
    world = three_regions()
    lose(world, REGIONS[0], 9)
    world.far.put("i-stranger", region=REGIONS[0])
    lose(world, REGIONS[1], 8)
    held = world.run(preview=True)
    assert held.counts["held_back"] == 17
    world.settle(match=False, believe_empty_answers=False, at_least=50)
    applied = world.run(apply=held.run.id)
    assert (applied.counts["changed_since_preview"], "deactivate" in applied.counts) == (17, False)
    shown = world.run(preview=True)
    assert world.run(apply=shown.run.id).counts["deactivate"] == shown.counts["deactivate"] == 17


# Between the reading and the end


def read(world: World, **how: Any) -> tuple[str, list[PartMessage]]:
    """A run whose parts are read, and the messages by which it goes on."""
    run_id, messages = world.start(**how)
    todo = deque(messages)
    while todo:
        if todo[0]["part"] == FIRST_SETTLING:
            return run_id, list(todo)
        todo += world.runner.do_part(todo.popleft())
    pytest.fail("nothing was to be settled")


@pytest.fixture
def waiting(case: Callable[[], SourceCase]) -> tuple[World, str, list[PartMessage]]:
    """A run that would deactivate one record, and empty a value of another."""
    world = World(case())
    world.settle()
    for name in ("i-gone", "i-less", "i-same"):
        world.far.put(name, note="rack")
    world.run()
    del world.far.records["i-gone"]
    world.far.put("i-less")
    world.clock.advance(days=1)
    return world, *read(world)


def test_nothing_is_taken_away_before_the_run_has_decided(waiting: tuple[World, str, list[PartMessage]]) -> None:
    world, run_id, messages = waiting
    assert world.active() == {"i-gone", "i-less", "i-same"}
    assert world.field("i-less", "note") == "rack"
    shown = RunReports(world.runner).run(run_id)
    assert (shown["status"], shown["counts"]["unchanged"]) == ("running", 1)
    world.work(messages)
    assert world.active() == {"i-less", "i-same"}
    assert world.field("i-less", "note") is None
    wanted = {"read": 2, "deactivate": 1, "update": 1, "unchanged": 1, "parts": 1, "parts_done": 1, "parts_failed": 0}
    assert world.runner.summary(run_id).counts == wanted


def test_a_person_who_was_faster_keeps_what_they_said(waiting: tuple[World, str, list[PartMessage]]) -> None:
    world, run_id, messages = waiting
    world.edit("i-gone", active=True)
    world.edit("i-less", note="cellar")
    world.work(messages)
    counts = world.runner.summary(run_id).counts
    assert (counts.get("deactivate"), counts["skip"]) == (None, 1)
    assert "i-gone" in world.active()
    assert world.field("i-less", "note") == "cellar"


def test_an_edit_of_something_else_does_not_keep_a_record_active(waiting: tuple[World, str, list[PartMessage]]) -> None:
    world, _, messages = waiting
    world.edit("i-gone", name="Jim's")
    world.edit("i-less", name="Jim's")
    world.work(messages)
    assert world.active() == {"i-less", "i-same"}
    assert world.field("i-less", "note") is None


def test_messages_that_come_twice_or_late_do_nothing_more(waiting: tuple[World, str, list[PartMessage]]) -> None:
    world, run_id, messages = waiting
    todo, seen = list(messages), list(messages)
    while todo:
        sent = world.runner.do_part(todo.pop(0))
        todo += sent
        seen += sent
    rows, counts = world.rows(), world.runner.summary(run_id).counts
    world.clock.advance(hours=1)
    for message in seen * 2:
        world.work([message], redelivered=True)
    assert (world.rows(), world.runner.summary(run_id).counts) == (rows, counts)


def test_a_newer_run_is_not_undone_by_a_late_message(waiting: tuple[World, str, list[PartMessage]]) -> None:
    world, run_id, messages = waiting
    children = world.runner.do_part(messages[0])
    world.clock.advance(hours=25)
    world.work(world.keeper.run())
    assert world.runner.summary(run_id).state in {RunState.FAILED, RunState.PARTLY_FAILED}
    world.far.put("i-gone", note="rack")
    world.far.put("i-less", note="rack")
    world.run()
    world.work([*messages, *children], redelivered=True)
    assert world.active() == {"i-gone", "i-less", "i-same"}
    assert world.field("i-less", "note") == "rack"


def test_a_run_that_lost_its_lease_takes_nothing_away(waiting: tuple[World, str, list[PartMessage]]) -> None:
    world, run_id, messages = waiting
    children = world.runner.do_part(messages[0])
    lease = world.runs.find_lease(world.case.kind, world.case.document)
    assert world.runs.take_lease(replace(world.runs.get(run_id), id="another"), lease)
    world.work(children)
    summary = world.runner.summary(run_id)
    assert [(part.state, part.reason) for part in summary.parts] == [(PartState.FAILED, "run_superseded")]
    assert "i-gone" in world.active()


def test_messages_that_are_lost_are_sent_again_by_housekeeping(waiting: tuple[World, str, list[PartMessage]]) -> None:
    world, run_id, _ = waiting
    for _ in range(3):
        world.clock.advance(minutes=16)
        world.work(world.keeper.run())
    assert world.runner.summary(run_id).state is RunState.SUCCEEDED
    assert world.active() == {"i-less", "i-same"}


def test_a_document_that_is_gone_before_the_end_takes_nothing_away(case: Callable[[], SourceCase]) -> None:
    world = World(case())
    world.settle()
    world.far.put("i-gone")
    world.far.put("i-same")
    world.run()
    del world.far.records["i-gone"]
    run_id, messages = read(world)
    world.settings.delete(world.case.kind, world.case.document, by="test", if_match="*")
    world.work(messages)
    summary = world.runner.summary(run_id)
    assert summary.state is RunState.FAILED
    assert [part.reason for part in summary.parts if part.reason] == ["not_found"]
    assert "i-gone" in world.active()


def test_what_the_queue_gives_up_on_last_is_followed_by_the_end_of_the_run(
    waiting: tuple[World, str, list[PartMessage]],
) -> None:
    world, run_id, messages = waiting
    [child] = world.runner.do_part(messages[0])
    assert world.runner.fail_part(child) == []
    assert world.runner.summary(run_id).state is RunState.FAILED


def test_a_part_that_the_queue_gives_up_on_last_lets_the_others_settle() -> None:
    world = three_regions()
    lose(world, REGIONS[0], 1)
    run_id, messages = world.start()
    *others, last = sorted(messages, key=lambda one: one["part"])
    for message in others:
        assert world.runner.do_part(message) == []
    [following] = world.runner.fail_part(last)
    assert following["part"] == FIRST_SETTLING
    world.work([following])
    summary = world.runner.summary(run_id)
    assert (summary.state, summary.counts["deactivate"]) == (RunState.PARTLY_FAILED, 1)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at_least", [1, 50])
def test_a_run_of_several_parts_killed_at_any_storage_call_ends_as_if_undisturbed(
    when: str, at_least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "PARTS_AT_ONCE", 1)
    monkeypatch.setattr(fan_out, "PIECES_AT_ONCE", 2)
    monkeypatch.setattr(runner, "PARTS_COUNTED", 2)

    def before() -> World:
        world = three_regions(2, at_least=at_least)
        for region in REGIONS:
            lose(world, region, 1)
            world.far.put(machine(region, 1), name="renamed", region=region)
        return world

    calm = before()
    expected = calm.run()
    wanted = {"deactivate": 3, "update": 3} if at_least == 50 else {"held_back": 6, "update": 3}
    assert {name: expected.counts.get(name) for name in wanted} == wanted
    number, killed = 0, True
    while killed:
        world = before()
        run_id, messages = world.start()
        left, killed = number, False

        def kill(table: str, verb: str, moment: str) -> None:
            nonlocal left, killed
            left -= moment == when
            if left == -1 and not killed:
                killed = True
                raise KilledError

        world.rebuild(WatchedTables(world.tables, kill))  # type: ignore[arg-type] # in memory, here
        todo = deque((message, False) for message in messages)
        while todo:
            message, redelivered = todo.popleft()
            try:
                todo += ((one, False) for one in world.runner.do_part(message, redelivered=redelivered))
            except KilledError:
                todo.append((message, True))
        world.rebuild(world.tables)
        for _ in range(5):
            world.clock.advance(minutes=16)
            world.work(world.keeper.run())
        run = world.runs.get(run_id)
        assert (run.state, run.counts) == (expected.state, expected.counts), number
        assert states(world) == states(calm), number
        number += 3
    assert number > 100


def states(world: World) -> dict[str, Sequence[Any]]:
    columns = ("active", "hash", "last_action", world.column("name"), world.column("note"))
    return {key: [row.get(column) for column in columns] for key, row in world.rows().items()}


# What still holds


def deactivation() -> Withdrawal:
    entry = PlanEntry("i-1", Action.DEACTIVATE, "gone", "It is gone.", label="web", withdraws=(ACTIVE_GOES,))
    return Withdrawal.of(entry, "", "run", held_in_preview=False)


def emptying() -> Withdrawal:
    changes = (FieldChange("f_notes", "rack", None), FieldChange("f_owner", "Ann", None))
    entry = PlanEntry("i-1", Action.UPDATE, "changed", "The source changed.", label="web", withdraws=changes)
    return Withdrawal.of(entry, "h", "run", held_in_preview=False)


OWN = Key("aws:1:eu", "i-1")
WAITING: dict[str, Any] = {"source_id": "i-1", "gone_since": NOW, "hash": f"h{UNSETTLED}", "f_notes": "rack"}


@pytest.mark.parametrize(
    ("withdrawal", "values", "action", "assigned"),
    [
        (deactivation(), {}, "deactivate", {"active", "deactivated_at", "gone_since"}),
        (deactivation(), {"gone_since": None}, "unchanged", set()),
        (deactivation(), {"active": False}, "unchanged", set()),
        (deactivation(), {"locks": "active"}, "skip", set()),
        (deactivation(), {"claimed_by": "aws:1:us|i-2"}, "unchanged", set()),
        (emptying(), {}, "update", {"f_notes", "hash"}),
        (emptying(), {"f_owner": "Bob", "locks": "f_owner"}, "update", {"f_notes", "hash"}),
        (emptying(), {"locks": "f_notes"}, "unchanged", {"hash"}),
        (emptying(), {"hash": "h"}, "unchanged", set()),
        (emptying(), {"hash": "another"}, "unchanged", set()),
        (emptying(), {"hash": ""}, "unchanged", set()),
        (emptying(), {"active": False}, "unchanged", set()),
        (emptying(), {"claimed_by": "aws:1:us|i-2"}, "unchanged", set()),
    ],
)
def test_what_is_taken_away_is_only_what_the_row_still_says(
    withdrawal: Withdrawal, values: dict[str, Any], action: str, assigned: set[str]
) -> None:
    row = {column: value for column, value in {**WAITING, **values}.items() if value is not None}
    read_again = Withdrawal.parse(withdrawal.as_json())
    entry = read_again.carry_out(OWN, {OWN: ExistingRecord(OWN, row, OWN, "i-1")}, NOW)
    assert (entry.action, set(entry.assign)) == (action, assigned)


def test_of_a_record_that_is_not_there_nothing_is_taken_away() -> None:
    assert deactivation().carry_out(OWN, {}, NOW).action is Action.UNCHANGED


def test_a_row_that_a_record_follows_is_taken_away_from_as_long_as_it_does() -> None:
    target = Key(MANUAL_PARTITION, "M-1")
    for holder, action in ((OWN.text, Action.DEACTIVATE), ("", Action.UNCHANGED)):
        existing = ExistingRecord(target, {**WAITING, "claimed_by": holder}, OWN, "i-1")
        assert deactivation().carry_out(OWN, {OWN: existing}, NOW).action is action


def test_the_brake_looks_at_the_part_and_at_the_run() -> None:
    brake = Brake(0.3, 10)
    small, large = Losses(20, 9, {"notes": 9}), Losses(40, 13, {"notes": 12})
    assert why_held((), (small, small), brake) == ""
    assert "13 of 40 active records of the run would be deactivated" in why_held((), (small, large), brake)
    assert why_held(("notes",), (small, large), brake) == ""
    assert why_held(("notes", "owner"), (small, Losses(40, 0, {"notes": 13})), brake).startswith(
        "The brake holds: notes of 13 of 40 active records of the run would be emptied"
    )
