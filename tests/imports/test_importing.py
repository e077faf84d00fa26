"""What an import does with one part: create, update, match, keep, deactivate, or say why not. For every source."""

import pytest

from shared.errors import InvalidInputError, MisconfiguredError, TryLaterError
from shared.imports.applier import ROWS_BESIDE
from shared.imports.plan.model import Trigger
from shared.imports.runs.model import RunState
from shared.reasons import Reason
from shared.storage.rows import OPERATIONS_PER_TRANSACTION
from tests.fakes.tables import WatchedTables
from tests.imports.worlds import World

TOGETHER = OPERATIONS_PER_TRANSACTION - ROWS_BESIDE


def _counts(world: World, trigger: Trigger = Trigger.SCHEDULED) -> dict[str, int]:
    summary = world.run(trigger)
    assert summary.state is RunState.SUCCEEDED, [part.message for part in summary.parts]
    return {name: count for name, count in summary.counts.items() if not name.startswith("parts") and name != "read"}


def test_new_records_are_created_and_a_second_import_changes_nothing(world: World) -> None:  # AWS-01, AWS-12
    for number in range(5):
        world.far.put(f"i-{number}", name=f"web-{number}", number=f"SERV-{number}")
    assert _counts(world) == {"create": 5}
    before = world.contents()
    assert _counts(world) == {"unchanged": 5}
    assert world.contents() == before
    assert world.field("i-3", "name") == "web-3"


def test_an_unchanged_part_is_read_and_never_written(world: World) -> None:
    for number in range(5):
        world.far.put(f"i-{number}")
    world.run()
    calls: list[tuple[str, str]] = []

    def watch(table: str, verb: str, when: str) -> None:
        if when == "before":
            calls.append((table, verb))

    world.rebuild(WatchedTables(world.tables, watch))  # type: ignore[arg-type] # in memory, here
    world.run()
    assert [verb for table, verb in calls if table == world.case.table] == ["find", "page"]


def test_a_changed_value_is_updated_with_its_history(world: World) -> None:  # AWS-02, AWS-12
    world.far.put("i-1", name="old", number="SERV-1")
    world.run()
    world.clock.advance(days=1)
    world.far.put("i-1", name="new", number="SERV-1")
    summary = world.run()
    assert summary.counts["update"] == 1
    assert world.field("i-1", "name") == "new"
    newest, oldest = world.records.history(world.key("i-1"))
    assert newest.action == "update"
    assert newest.changes == [{"field": world.case.fields["name"], "before": "old", "after": "new"}]
    assert newest.by == f"run {summary.run.id}"
    assert newest.at == world.clock()
    assert oldest.action == "create"


def test_new_records_that_match_nothing_are_written_while_the_part_is_read(world: World) -> None:
    world.add("till-1", number="SERV-7")
    world.far.page_size = 50
    for number in range(250):
        world.far.put(f"i-{number:03}", number=f"SERV-{number}")
    written: list[int] = []
    world.far.before_page = lambda: written.append(len(world.rows()) - 1)
    world.run()
    # The one that has a match waits, and finds it.
    assert written == [0, 0, TOGETHER, TOGETHER, 2 * TOGETHER]
    assert world.rows()["i-007"]["alias_of"] == "manual|till-1"


def test_a_value_that_the_source_lost_is_blanked_unless_it_is_to_be_kept(world: World) -> None:
    world.far.put("i-1", note="first floor")
    world.run()
    world.far.put("i-1", note="")
    world.run()
    assert world.field("i-1", "note") is None
    world.settle(keep=True)
    world.far.put("i-1", note="second floor")
    world.run()
    world.far.put("i-1", note="")
    assert _counts(world) == {"unchanged": 1}
    assert world.field("i-1", "note") == "second floor"


def test_a_field_set_on_create_only_keeps_its_first_value(world: World) -> None:
    world.settle(on_create=True)
    world.far.put("i-1", name="a", note="first")
    world.run()
    world.far.put("i-1", name="b", note="second")
    assert _counts(world) == {"update": 1}
    assert world.field("i-1", "note") == "first"
    assert world.field("i-1", "name") == "b"


def test_loosening_a_policy_brings_the_kept_values_at_the_next_import(world: World) -> None:
    world.settle(on_create=True)
    world.far.put("i-1", note="first")
    world.run()
    world.far.put("i-1", note="second")
    world.run()
    world.settle(on_create=False)
    assert _counts(world) == {"update": 1}
    assert world.field("i-1", "note") == "second"
    assert _counts(world) == {"unchanged": 1}


def test_nothing_is_created_when_creating_is_off_and_matches_are_still_updated(world: World) -> None:  # AWS-52
    world.far.put("i-1", name="old")
    world.run()
    world.settle(create=False)
    world.far.put("i-1", name="new")
    world.far.put("i-2", name="stranger")
    assert _counts(world) == {"update": 1, "skip": 1}
    assert set(world.rows()) == {"i-1"}


# A person's hand


def test_a_persons_value_stays_until_it_is_released(world: World) -> None:
    world.far.put("i-1", name="from the source", number="SERV-1")
    world.run()
    world.edit("i-1", name="from Jim")
    world.far.put("i-1", name="newer from the source", number="SERV-2")
    world.run()
    assert world.field("i-1", "name") == "from Jim"
    assert world.field("i-1", "number") == "SERV-2"
    assert _counts(world) == {"unchanged": 1}
    world.edit("i-1", release=["name"])
    assert _counts(world) == {"update": 1}
    assert world.field("i-1", "name") == "newer from the source"


def test_a_record_that_a_person_deactivated_is_not_reactivated(world: World) -> None:
    world.far.put("i-1")
    world.run()
    world.edit("i-1", active=False)
    world.far.put("i-1", name="changed")
    assert _counts(world) == {"skip": 1}
    assert world.active() == set()
    world.edit("i-1", release=["active"])
    world.run()
    assert world.active() == {"i-1"}


def test_a_record_that_a_person_keeps_active_is_not_deactivated(world: World) -> None:
    world.far.put("i-1")
    world.run()
    world.edit("i-1", active=True)
    world.far.records.clear()
    assert _counts(world) == {"skip": 1}
    assert world.active() == {"i-1"}


# Matching


def test_a_record_matches_one_made_by_hand_and_follows_it_from_then_on(world: World) -> None:  # AWS-11, AWS-12
    world.add("M-1", name="by hand", number="SERV-1", note="under the desk")
    world.far.put("i-1", name="web", number="SERV-1", note="rack 7")
    assert _counts(world) == {"update": 1}
    # What a person typed is theirs, until they let go of it.
    assert world.field("M-1", "name") == "by hand"
    assert _counts(world) == {"unchanged": 1}
    world.let_go("M-1")
    assert _counts(world) == {"update": 1}
    assert world.field("M-1", "name") == "web"
    assert world.field("M-1", "note") == "rack 7"
    assert world.active() == {"M-1"}
    assert _counts(world) == {"unchanged": 1}
    # AWS-13: from now on by its id, whatever the matching field says.
    world.far.put("i-1", name="web", number="SERV-9", note="rack 7")
    assert _counts(world) == {"update": 1}
    assert world.field("M-1", "number") == "SERV-9"


def test_matching_is_exact_unless_case_is_to_be_ignored(world: World) -> None:
    world.add("M-1", name="by hand", number="serv-1")
    world.far.put("i-1", name="web", number="SERV-1")
    assert _counts(world) == {"create": 1}
    world.settle(ignore_case=True)
    world.add("M-2", name="by hand", number="serv-2")
    world.far.put("i-2", name="web", number="SERV-2")
    world.run()
    assert world.rows()["M-2"]["claimed_by"] == world.key("i-2").text


def test_two_candidates_are_an_error_that_names_both_and_touches_neither(world: World) -> None:
    world.add("M-1", name="one", number="SERV-1")
    world.add("M-2", name="two", number="SERV-1")
    world.far.put("i-1", name="web", number="SERV-1")
    before = world.contents()
    summary = world.run()
    assert summary.counts["error"] == 1
    [entry] = world.entries(summary.run.id, "error")
    assert entry["reason"] == "ambiguous"
    assert "one (manual, M-1)" in entry["message"]
    assert "two (manual, M-2)" in entry["message"]
    assert world.contents() == before


def test_two_records_that_claim_one_are_an_error_that_names_both(world: World) -> None:
    world.add("M-1", name="one", number="SERV-1")
    world.far.put("i-1", number="SERV-1")
    world.far.put("i-2", number="SERV-1")
    world.far.put("i-3", number="SERV-3")
    summary = world.run()
    assert {entry["id"] for entry in world.entries(summary.run.id, "error")} == {"i-1", "i-2"}
    assert all("i-1 and i-2" in entry["message"] for entry in world.entries(summary.run.id, "error"))
    assert world.active() == {"M-1", "i-3"}


def test_a_record_cannot_claim_what_another_living_one_follows(world: World) -> None:
    world.add("M-1", name="one", number="SERV-1")
    world.far.put("i-1", number="SERV-1")
    world.run()
    world.far.put("i-2", number="SERV-1")
    summary = world.run()
    [entry] = world.entries(summary.run.id, "error")
    assert (entry["id"], entry["reason"]) == ("i-2", "claimed")
    assert "i-1" in entry["message"]


def test_records_with_the_same_value_and_no_match_are_both_created(world: World) -> None:
    world.far.put("i-1", number="SERV-1")
    world.far.put("i-2", number="SERV-1")
    assert _counts(world) == {"create": 2}
    assert _counts(world) == {"unchanged": 2}


def test_a_replacement_takes_over_the_record_of_the_one_that_is_gone(world: World) -> None:
    world.far.put("i-old", name="web", number="SERV-1")
    world.run()
    world.far.records.clear()
    world.far.put("i-new", name="web", number="SERV-1")
    world.run()
    assert world.active() == {"i-old"}
    assert world.rows()["i-old"]["claimed_by"] == f"{world.case.partition}|i-new"
    assert _counts(world) == {"unchanged": 1}
    world.far.records.clear()
    world.run()
    assert world.active() == set()
    assert world.rows()["i-old"]["active"] is False


def test_an_owner_that_returns_cannot_take_back_what_a_living_one_follows(world: World) -> None:
    world.far.put("i-old", number="SERV-1")
    world.run()
    world.far.records.clear()
    world.far.put("i-new", number="SERV-1")
    world.run()
    world.far.put("i-old", number="SERV-1")
    summary = world.run()
    [entry] = world.entries(summary.run.id, "error")
    assert (entry["id"], entry["reason"]) == ("i-old", "claimed")
    del world.far.records["i-new"]
    world.run()
    assert "claimed_by" not in world.rows()["i-old"]
    assert world.active() == {"i-old"}


# What is gone


@pytest.mark.parametrize("listed", [True, False])
def test_what_is_gone_is_deactivated_by_a_scheduled_import_only(world: World, listed: bool) -> None:
    # AWS-50, AWS-51, Q-09
    world.far.put("i-1")
    world.far.put("i-2")
    world.run()
    if listed:
        world.far.records["i-2"].gone = True
    else:
        del world.far.records["i-2"]
    if world.case.kind == "aws-tenants":
        assert _counts(world, Trigger.MANUAL) == {"unchanged": 1, "skip": 1}
        assert world.active() == {"i-1", "i-2"}
    assert _counts(world) == {"unchanged": 1, "deactivate": 1}
    assert world.active() == {"i-1"}
    assert world.rows()["i-2"][world.column("name")] == "i-2"
    assert "deactivated_at" in world.rows()["i-2"]


def test_nothing_is_deactivated_when_the_setting_is_off(world: World) -> None:
    world.settle(deactivate=False)
    world.far.put("i-1")
    world.run()
    world.far.records.clear()
    assert _counts(world) == {"skip": 1}
    assert world.active() == {"i-1"}


def test_what_was_gone_before_it_was_ever_imported_is_not_created(world: World) -> None:
    world.far.put("i-1", gone=True)
    assert _counts(world) == {"skip": 1}
    assert world.rows() == {}


def test_what_comes_back_is_active_again(world: World) -> None:
    world.far.put("i-1", name="before")
    world.run()
    world.far.records.clear()
    world.run()
    assert world.active() == set()
    world.far.put("i-1", name="after")
    assert _counts(world) == {"update": 1}
    assert world.active() == {"i-1"}
    assert world.field("i-1", "name") == "after"
    assert "deactivated_at" not in world.rows()["i-1"]


def test_within_the_grace_period_what_is_gone_stays_active(world: World) -> None:
    world.settle(grace_days=3)
    world.far.put("i-1")
    world.far.put("i-2")
    world.run()
    del world.far.records["i-1"]
    for _ in range(3):
        world.clock.advance(days=1)
        assert _counts(world) == {"unchanged": 1, "skip": 1}
    world.clock.advance(days=1)
    assert _counts(world) == {"unchanged": 1, "deactivate": 1}


def test_the_grace_period_begins_anew_after_a_return(world: World) -> None:
    world.settle(grace_days=3)
    world.far.put("i-1")
    world.run()
    world.far.records.clear()
    world.run()
    world.clock.advance(days=2)
    world.far.put("i-1")
    world.run()
    world.far.records.clear()
    world.clock.advance(days=2)
    assert _counts(world) == {"skip": 1}
    assert world.active() == {"i-1"}


def test_the_brake_withholds_every_deactivation_until_a_person_confirms(world: World) -> None:
    for number in range(30):
        world.far.put(f"i-{number:02}")
    world.run()
    for number in range(10):
        del world.far.records[f"i-{number:02}"]
    summary = world.run()
    assert summary.counts["held_back"] == 10
    assert "deactivate" not in summary.counts
    assert len(world.active()) == 30
    assert all("The brake holds" in entry["message"] for entry in world.entries(summary.run.id, "held_back"))
    # One is back, one more is gone: neither is what was confirmed.
    world.far.put("i-00")
    del world.far.records["i-29"]
    confirmed = world.run(confirm=summary.run.id)
    assert confirmed.counts["deactivate"] == 9
    assert world.active() == {"i-00"} | {f"i-{number:02}" for number in range(10, 30)}


def test_below_the_least_number_and_at_the_share_the_brake_does_not_hold(world: World) -> None:
    for number in range(40):
        world.far.put(f"i-{number:02}")
    world.run()
    for number in range(12):
        del world.far.records[f"i-{number:02}"]
    assert _counts(world)["deactivate"] == 12  # 30 % of 40, not more
    for number in range(12, 21):
        del world.far.records[f"i-{number:02}"]
    assert _counts(world)["deactivate"] == 9  # 32 % of 28, but fewer than 10


# What fails


@pytest.mark.parametrize("pages", [0, 1, 2])
def test_a_part_that_was_not_read_to_its_end_deactivates_nothing(world: World, pages: int) -> None:
    for number in range(6):
        world.far.put(f"i-{number}")
    world.run()
    del world.far.records["i-0"], world.far.records["i-5"]
    world.far.fails_after = pages
    world.far.failure = MisconfiguredError(Reason.AWS_PERMISSION_MISSING, "It may not.", remedy="Let it.")
    summary = world.run()
    assert summary.state is RunState.FAILED
    [part] = summary.parts
    assert (part.reason, part.message, part.remedy) == ("aws_permission_missing", "It may not.", "Let it.")
    assert len(world.active()) == 6


def test_what_may_pass_is_left_to_the_queue_and_fails_only_when_the_queue_gives_up(world: World) -> None:
    world.far.put("i-1")
    world.far.fails_after = 1
    world.far.failure = TryLaterError(Reason.AWS_THROTTLED, "EC2 throttles.")
    run_id, [message] = world.start()
    for _ in range(3):
        with pytest.raises(TryLaterError):
            world.runner.do_part(message, redelivered=True)
        assert world.runner.summary(run_id).state is RunState.RUNNING
    world.runner.fail_part(message)
    summary = world.runner.summary(run_id)
    assert summary.state is RunState.FAILED
    assert "EC2 throttles." in summary.parts[0].message
    world.far.fails_after = None
    world.run()
    assert world.active() == {"i-1"}


def test_a_bug_in_a_part_ends_in_the_run_and_not_only_in_a_poison_queue(world: World) -> None:
    world.far.put("i-1")
    world.far.fails_after = 1
    world.far.failure = ZeroDivisionError("a bug")
    run_id, [message] = world.start()
    with pytest.raises(ZeroDivisionError):
        world.runner.do_part(message)
    world.runner.fail_part(message)
    [part] = world.runner.summary(run_id).parts
    assert (str(part.state), part.reason) == ("failed", "internal")
    assert "ZeroDivisionError" in part.message


def test_a_value_that_does_not_fit_is_an_error_that_names_the_field_and_holds_up_nothing(world: World) -> None:
    world.far.put("i-1", name="x" * 40_000)
    world.far.put("i-2", name="fits")
    summary = world.run()
    assert summary.counts["error"] == 1
    assert summary.counts["create"] == 1
    [entry] = world.entries(summary.run.id, "error")
    assert entry["id"] == "i-1"
    assert "name: the value has 40000 characters" in entry["message"]


@pytest.mark.parametrize("record_id", ["", " ", "M-1 ", "ÄRZTE-1", "é", "a/b", "a:b", "a\x00", "M" * 101])
def test_a_record_is_not_made_under_an_id_that_no_list_would_show(world: World, record_id: str) -> None:
    with pytest.raises(InvalidInputError, match="ASCII"):
        world.add(record_id, name="by hand", number="SERV-1")
    assert world.rows() == {}
