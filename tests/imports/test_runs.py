"""Runs: one at a time, taken up when they stall, previews and what applying one means, success and retention."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import pytest

from shared.errors import ConflictError, InvalidInputError, MisconfiguredError, RowRefusedError, TryLaterError
from shared.imports.plan.model import Trigger
from shared.imports.runs.model import PartState, Run, RunState
from shared.imports.runs.parts import PartRepository
from shared.imports.runs.reports import RunReports
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.runner import ImportRunner
from shared.imports.runs.starter import RunStarter
from shared.reasons import Reason
from shared.storage.rows import Operation
from tests.fakes.tables import WatchedTables
from tests.imports.worlds import Ec2Case, World


def test_a_second_import_of_a_document_is_refused_while_one_runs(world: World) -> None:
    first, messages = world.start()
    with pytest.raises(ConflictError) as refused:
        world.start()
    assert refused.value.reason is Reason.IMPORT_RUNNING
    assert first in refused.value.message
    world.run(preview=True)
    world.work(messages)
    assert world.run().state is RunState.SUCCEEDED


class _Raced(RunRepository):
    """Lets somebody else start the same import between the look at the lease and its taking."""

    def __init__(self, world: World) -> None:
        super().__init__(world.tables.table("runs"))
        self._world = world
        self.winner = ""

    def add(self, run: Run, beside: Sequence[Operation] = ()) -> Run:
        added = super().add(run, beside)
        if not self.winner:
            self.winner, _ = self._world.start()
        return added


def test_a_start_that_loses_a_race_is_refused_and_leaves_no_run_behind(world: World) -> None:
    raced = _Raced(world)
    late = RunStarter(ImportRunner(raced, world.runner.sources, world.clock))
    with pytest.raises(ConflictError) as refused:
        late.start(world.case.kind, world.case.document, trigger=Trigger.MANUAL, by="b")
    assert refused.value.reason is Reason.IMPORT_RUNNING
    assert raced.winner in refused.value.message
    assert [run.id for run in world.runs.page("", "", 10, None)[0]] == [raced.winner]


def test_a_lease_whose_taking_was_answered_into_the_void_is_still_had(world: World) -> None:
    run_id, _ = world.start()
    run = world.runs.get(run_id)
    # As the client sends it again: the first time was written, and nobody heard of it.
    assert world.runs.take_lease(run, None)
    assert not world.runs.take_lease(replace(run, id="another"), None)


def test_a_part_whose_message_was_lost_is_sent_again(world: World) -> None:
    world.far.put("i-1")
    run_id, [message] = world.start()
    world.clock.advance(minutes=5)
    assert world.keeper.run() == []
    world.clock.advance(minutes=11)
    assert world.keeper.run() == [message]
    assert world.keeper.run() == []
    world.work([message])
    assert world.runner.summary(run_id).state is RunState.SUCCEEDED


def test_a_part_whose_worker_died_is_done_by_another(world: World) -> None:
    world.far.put("i-1")
    run_id, [message] = world.start()
    world.far.fails_after, world.far.failure = 0, KeyboardInterrupt()  # type: ignore[assignment] # as a killed worker
    with pytest.raises(KeyboardInterrupt):
        world.runner.do_part(message)
    world.far.fails_after = None
    world.clock.advance(minutes=5)
    assert world.keeper.run() == []
    world.clock.advance(minutes=11)
    world.work(world.keeper.run())
    assert world.runner.summary(run_id).state is RunState.SUCCEEDED
    assert world.active() == {"i-1"}


def test_no_run_stays_open_for_ever(world: World) -> None:
    world.far.put("i-1")
    run_id, [message] = world.start()
    world.far.fails_after, world.far.failure = 0, KeyboardInterrupt()  # type: ignore[assignment] # as a killed worker
    for _ in range(20):
        world.clock.advance(minutes=16)
        for again in world.keeper.run():
            with pytest.raises(KeyboardInterrupt):
                world.runner.do_part(again)
    summary = world.runner.summary(run_id)
    assert summary.state is RunState.FAILED
    assert world.runs.open_runs() == []
    [part] = summary.parts
    assert part.reason == "part_abandoned"
    world.far.fails_after = None
    world.runner.do_part(message, redelivered=True)
    assert world.rows() == {}
    assert world.run().state is RunState.SUCCEEDED


def test_a_start_that_housekeeping_was_faster_than_does_nothing_twice(world: World) -> None:
    world.far.put("i-1")
    housekeeper = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
    written: list[int] = []

    def stand_still(table: str, verb: str, when: str) -> None:
        # The run and its lease are written; its first part is about to be.
        if (table, verb, when) == ("runs", "transact", "before"):
            written.append(1)
            if len(written) == 3:
                world.clock.advance(minutes=16)
                housekeeper.work(housekeeper.keeper.run())

    world.rebuild(WatchedTables(world.tables, stand_still))  # type: ignore[arg-type] # in memory, here
    run_id, message = world.begin()
    before = world.runs.get(run_id)
    assert (before.state, before.counts["create"], len(written)) == (RunState.SUCCEEDED, 1, 3)
    contents = world.contents()
    world.work([message])
    assert (world.runs.get(run_id), world.contents()) == (before, contents)
    assert not world.runs.parts.any_open(run_id)


def test_a_run_whose_parts_cannot_be_told_fails_with_the_reason(world: World) -> None:
    run_id, message = world.begin()
    refusal = MisconfiguredError(Reason.DOCUMENT_INVALID, "Its site is not there.", remedy="Make it.")
    source: Any = SimpleNamespace(scheduled=list, source=Mock(side_effect=refusal))
    world.runner.sources = {world.case.kind: source}
    world.work([message])
    shown = RunReports(world.runner).run(run_id)
    assert (shown["status"], shown["reason"], shown["message"], shown["remedy"]) == (
        "failed",
        "document_invalid",
        "Its site is not there.",
        "Make it.",
    )
    assert [(part["name"], part["state"]) for part in shown["parts"]] == [("list of parts", "failed")]
    assert RunReports(world.runner).errors(run_id, 10, None)[0][0]["reason"] == "document_invalid"
    assert not world.runs.parts.any_open(run_id)


def test_an_old_message_of_an_overtaken_run_writes_nothing(world: World) -> None:
    world.far.put("i-1")
    _, [message] = world.start()
    world.clock.advance(hours=25)
    world.keeper.run()
    world.run()
    world.far.put("i-1", name="newer")
    world.runner.do_part(message, redelivered=True)
    assert world.field("i-1", "name") == "i-1"


def test_a_message_of_a_run_that_is_not_there_any_more_is_dropped(world: World) -> None:
    assert world.runner.do_part({"run_id": "000-ec2-abc", "part": "x"}) == []
    world.runner.fail_part({"run_id": "000-ec2-abc", "part": "x"})


def test_a_run_whose_parts_cannot_be_stored_fails_and_keeps_no_other_from_starting(world: World) -> None:
    world.far.put("i-1")
    refusal = RowRefusedError(Reason.STORAGE_LIMIT, "They do not fit.")
    with patch.object(PartRepository, "fan_out", side_effect=refusal):
        world.start()
    [run] = world.runs.page("", "", 10, None)[0]
    assert (run.state, run.reason, run.message) == (RunState.FAILED, "storage_limit", "They do not fit.")
    assert world.run().state is RunState.SUCCEEDED


# Previews


def _settled(world: World) -> None:
    world.far.put("i-1", name="one")
    world.far.put("i-2", name="two")
    world.far.put("i-3", name="three")
    world.run()
    world.far.put("i-1", name="changed")
    world.far.put("i-4", name="four")
    del world.far.records["i-3"]


def _plan(world: World, run_id: str) -> dict[str, str]:
    return {entry["id"]: entry["action"] for entry in world.entries(run_id)}


def test_a_preview_shows_every_record_with_its_changes_and_writes_none(world: World) -> None:  # AWS-70
    _settled(world)
    before = world.contents()
    summary = world.run(Trigger.SCHEDULED, preview=True)
    assert world.contents() == before
    assert _plan(world, summary.run.id) == {"i-1": "update", "i-2": "unchanged", "i-3": "deactivate", "i-4": "create"}
    [update] = world.entries(summary.run.id, "update")
    field = world.case.fields["name"]
    assert update["changes"] == [{"field": field, "before": "one", "after": "changed"}]
    assert update["part"] == world.case.part
    assert summary.counts["update"] == 1


def test_the_import_after_a_preview_does_what_the_preview_showed(world: World) -> None:
    _settled(world)
    preview = world.run(Trigger.SCHEDULED, preview=True)
    summary = world.run(Trigger.SCHEDULED)
    names = ("create", "update", "unchanged", "deactivate")
    assert {name: preview.counts[name] for name in names} == {name: summary.counts[name] for name in names}


def test_applying_a_preview_writes_exactly_its_plan_and_lists_what_changed_since(world: World) -> None:
    _settled(world)
    preview = world.run(Trigger.SCHEDULED, preview=True)
    # Since: one changes again, one is new, one of the plan disappears, and a person edits another.
    world.far.put("i-1", name="changed again")
    world.far.put("i-5", name="five")
    world.far.put("i-2", name="two, changed since")
    applied = world.run(Trigger.MANUAL, apply=preview.run.id)
    left = {entry["id"]: entry["message"] for entry in world.entries(applied.run.id, "changed_since_preview")}
    assert set(left) == {"i-1", "i-2", "i-5"}
    assert "not as the preview showed it" in left["i-1"]
    assert world.field("i-1", "name") == "one"
    assert world.field("i-2", "name") == "two"
    assert world.active() == {"i-1", "i-2", "i-4"}


def test_what_the_preview_showed_and_is_gone_since_is_listed(world: World) -> None:
    world.far.put("i-1")
    preview = world.run(preview=True)
    world.far.records.clear()
    applied = world.run(apply=preview.run.id)
    assert [entry["id"] for entry in world.entries(applied.run.id, "changed_since_preview")] == ["i-1"]
    assert world.rows() == {}


def test_a_preview_by_hand_of_what_is_gone_says_who_would_deactivate_it() -> None:
    # AWS-50 is a rule of the AWS guide alone: users leave by hand too.
    world = World(Ec2Case())
    world.settle()
    _settled(world)
    preview = world.run(Trigger.MANUAL, preview=True)
    [entry] = [entry for entry in world.entries(preview.run.id) if entry["id"] == "i-3"]
    assert entry["action"] == "skip"
    assert "Only a scheduled import deactivates" in entry["message"]


def test_only_a_finished_preview_of_the_same_document_can_be_applied(world: World) -> None:
    world.far.put("i-1")
    imported = world.run()
    with pytest.raises(ConflictError):
        world.start(apply=imported.run.id)
    open_preview, _ = world.start(preview=True)
    with pytest.raises(ConflictError):
        world.start(apply=open_preview)
    with pytest.raises(InvalidInputError):
        world.start(preview=True, apply=imported.run.id)


def test_a_preview_of_a_failed_part_cannot_be_applied(world: World) -> None:
    world.far.put("i-1")
    world.far.fails_after, world.far.failure = 0, MisconfiguredError(Reason.AWS_FAILED, "No.")
    preview = world.run(preview=True)
    world.far.fails_after = None
    with pytest.raises(ConflictError) as refused:
        world.start(apply=preview.run.id)
    assert refused.value.reason is Reason.PREVIEW_UNUSABLE


def test_a_plan_is_read_page_by_page_and_by_action(world: World) -> None:
    world.far.page_size = 100
    for number in range(520):
        world.far.put(f"i-{number:03}")
    world.run()
    for number in range(0, 520, 2):
        world.far.put(f"i-{number:03}", name="changed")
    preview = world.run(preview=True)
    reports = RunReports(world.runner)
    found: list[dict[str, Any]] = []
    pages = 0
    after: str | None = None
    while True:
        items, after = reports.plan(preview.run.id, ["update"], "", 60, after)
        assert len(items) <= 60
        found += items
        pages += 1
        if after is None:
            break
    assert pages == 5
    assert sorted(entry["id"] for entry in found) == [f"i-{number:03}" for number in range(0, 520, 2)]
    assert len(world.entries(preview.run.id)) == 520


# What is kept, and for how long


def test_the_entries_of_a_killed_attempt_are_not_shown(world: World) -> None:
    world.far.put("i-1", name="x" * 40_000)
    run_id, [message] = world.start()
    world.far.fails_after, world.far.failure = 1, KeyboardInterrupt()  # type: ignore[assignment] # as a killed worker
    with pytest.raises(KeyboardInterrupt):
        world.runner.do_part(message)
    world.far.fails_after = None
    world.runner.do_part(message, redelivered=True)
    assert len(world.entries(run_id, "error")) == 1


def test_errors_of_a_run_name_failed_parts_and_records(world: World) -> None:  # AWS-72
    world.far.put("i-1", name="x" * 40_000)
    reports = RunReports(world.runner)
    summary = world.run()
    [record], _ = reports.errors(summary.run.id, 50, None)
    assert record["id"] == "i-1"
    world.far.fails_after, world.far.failure = 0, MisconfiguredError(Reason.AWS_FAILED, "No.", remedy="Yes.")
    summary = world.run()
    part, *_ = reports.errors(summary.run.id, 50, None)[0]
    assert (part["part"], part["reason"], part["message"], part["remedy"]) == (
        world.case.part,
        "aws_failed",
        "No.",
        "Yes.",
    )


def test_the_last_success_is_known_and_an_overdue_import_warned_of(world: World) -> None:
    [status] = world.statuses.all()
    assert (status.last_success_at, status.warning) == (None, "")
    world.clock.advance(hours=27)
    [status] = world.statuses.all()
    assert "has never been" in status.warning
    summary = world.run()
    [status] = world.statuses.all()
    assert (status.last_success_at, status.last_success_run) == (world.clock(), summary.run.id)
    assert status.warning == ""
    world.clock.advance(hours=20)
    world.far.fails_after, world.far.failure = 0, MisconfiguredError(Reason.AWS_FAILED, "No.")
    world.run()
    world.clock.advance(hours=7)
    [status] = world.statuses.all()
    assert status.last_success_at is not None
    assert f"was at {status.last_success_at:%Y-%m-%d %H:%M} UTC" in status.warning


def test_previews_are_kept_for_a_day_and_runs_for_the_set_time(world: World) -> None:
    world.far.put("i-1")
    preview = world.run(preview=True)
    imported = world.run()
    world.clock.advance(hours=23)
    world.keeper.run()
    assert world.runs.find(preview.run.id) is not None
    world.clock.advance(hours=2)
    world.keeper.run()
    assert world.runs.find(preview.run.id) is None
    assert world.runs.find(imported.run.id) is not None
    world.clock.advance(days=90)
    world.keeper.run()
    assert world.runs.find(imported.run.id) is None
    kept = {key[0].partition(":")[0] for key in world.tables.contents()["runs"]}  # type: ignore[attr-defined] # in memory
    assert kept == {"leases", "outcomes", "read"}


def test_a_document_that_cannot_start_does_not_keep_the_others_from_it(world: World) -> None:
    world.far.put("i-1")
    run_id, _ = world.start()
    assert world.starter.start_scheduled(world.case.kind) == []
    world.work([{"run_id": run_id, "part": world.case.part}])
    world.work(world.starter.start_scheduled(world.case.kind))
    assert world.active() == {"i-1"}


def test_progress_can_be_followed_while_a_part_is_at_work(world: World) -> None:  # AWS-71
    for number in range(6):
        world.far.put(f"i-{number}")
    run_id, [message] = world.start()
    seen: list[int] = []

    def look() -> None:
        world.clock.advance(seconds=30)
        part = world.runner.summary(run_id).parts[0]
        assert part.state is PartState.RUNNING
        seen.append(part.counts.get("read", 0))

    world.far.before_page = look
    world.runner.do_part(message)
    assert seen == [0, 2, 4]


def test_a_schedule_whose_storage_failed_is_retried_and_imports_once(world: World) -> None:
    world.far.put("i-1")
    for failing in range(12):
        world.clock.advance(days=1)
        calls = [failing]

        def fail(table: str, verb: str, when: str, calls: list[int] = calls) -> None:
            calls[0] -= when == "before"
            if calls[0] == -1:
                raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "The table did not answer.")

        world.rebuild(WatchedTables(world.tables, fail))  # type: ignore[arg-type] # in memory, here
        messages = []
        try:
            messages += world.starter.start_scheduled(world.case.kind)
        except TryLaterError:
            # The host calls the timer's function again.
            world.rebuild(world.tables)
            messages += world.starter.start_scheduled(world.case.kind)
        world.rebuild(world.tables)
        world.work(messages)
        world.clock.advance(minutes=31)
        world.work(world.keeper.run())
        assert world.runs.open_runs() == []
        [status] = world.statuses.all()
        assert status.last_success_at is not None, failing
        assert world.clock() - status.last_success_at < timedelta(hours=1), failing
    assert world.active() == {"i-1"}


def test_a_record_that_changes_while_its_preview_is_applied_is_left_alone(world: World) -> None:
    world.settle(on_create=False)
    world.far.put("i-1", name="old", note="old")
    world.run()
    world.far.put("i-1", name="new", note="new")
    preview = world.run(preview=True)
    _, [message] = world.start(apply=preview.run.id)
    second = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
    written: list[int] = []

    def meet(table: str, verb: str, when: str) -> None:
        # Between the planning and the writing a person takes one of the two fields.
        if (table, verb, when) == (world.case.table, "transact", "before") and not written:
            written.append(1)
            second.edit("i-1", note="Jim's")

    world.rebuild(WatchedTables(world.tables, meet))  # type: ignore[arg-type] # in memory, here
    world.runner.do_part(message)
    assert written
    assert [entry["id"] for entry in world.entries(message["run_id"], "changed_since_preview")] == ["i-1"]
    world.rebuild(world.tables)
    assert (world.field("i-1", "name"), world.field("i-1", "note")) == ("old", "Jim's")
