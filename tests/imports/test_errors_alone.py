"""Messages stay short however many records they are about, and a run of errors alone has not succeeded."""

import pytest

from shared.imports.plan.model import Action
from shared.imports.runs.model import RunState, state_at_end
from shared.text import few
from tests.imports.test_who_is_who import _content
from tests.imports.worlds import WORLDS, World


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> World:
    return World(WORLDS[request.param]())


def test_messages_do_not_grow_with_the_number_of_records(world: World) -> None:
    # Imports, case 03
    world.settle()
    world.add("desk-1", name="one", number="SERV-1")
    for number in range(300):
        world.far.put(f"i-{number:04}", number="SERV-1")
    world.far.put("i-good", number="SERV-2")
    summary = world.run()
    entries = world.entries(summary.run.id, Action.ERROR)
    assert len(entries) == 300
    assert max(len(entry["message"]) for entry in entries) < 200
    assert "and 295 more all match" in entries[0]["message"]
    assert summary.state is RunState.SUCCEEDED


def test_many_records_of_one_value_are_told_by_a_few_and_their_number(world: World) -> None:
    world.settle()
    for number in range(50):
        world.add(f"desk-{number}", name=f"desk {number}", number="SERV-1")
    world.far.put("i-1", number="SERV-1")
    [entry] = world.entries(world.run().run.id, Action.ERROR)
    assert entry["message"].startswith("50 records have the same value")
    assert entry["message"].endswith("and 45 more.")


def test_rows_that_are_passed_over_are_told_by_a_few_too(world: World) -> None:
    """Each of many records meets each of many rows that contradict it: no message tells them all."""
    world.settle()
    by_hand = 12
    for number in range(by_hand):
        fields = {world.case.fields["name"]: "x" * 5_000, "site": "leeds", world.case.fields["number"]: "S-1"}
        world.editing.add(f"desk-{number:02}", fields, by="jim")
    world.settings.put("customers", "acorn", {"title": "Acorn"}, by="test")
    world.settings.put("sites", "london", {"title": "London", "customer": "acorn"}, by="test")
    for number in range(20):
        world.far.put(f"i-{number:02}", number="S-1")
    content = _content(world) | {"default_site": "london"}
    world.settings.put(world.case.kind, world.case.document, content, by="test", if_match="*")
    preview = world.run(preview=True)
    messages = [entry["message"] for entry in world.entries(preview.run.id, Action.CREATE)]
    assert len(messages) == 20
    assert all("is another customer's" in one and "9 more do not fit either." in one for one in messages)
    assert max(map(len, messages)) < 800


def test_a_record_without_an_id_is_one_error_and_nobody_else_is_taken_for_gone(world: World) -> None:
    world.settle()
    for number in range(3):
        world.far.put(f"i-{number}")
    world.run()
    # One of them comes without its id, and another is really gone: nobody can tell them apart.
    del world.far.records["i-1"]
    del world.far.records["i-2"]
    world.far.put("", name="who")
    world.far.put("i-3")
    for preview in (True, False):
        summary = world.run(preview=preview)
        assert summary.state is RunState.SUCCEEDED
        assert (summary.counts["error"], summary.counts["create"], summary.counts.get("deactivate", 0)) == (1, 1, 0)
        [entry] = world.entries(summary.run.id, Action.ERROR)
        assert entry["reason"] == "record_invalid"
    assert world.active() == {"i-0", "i-1", "i-2", "i-3"}
    # It has its id again: then whoever is missing is gone.
    del world.far.records[""]
    world.far.put("i-1")
    assert world.run().counts["deactivate"] == 1
    assert world.active() == {"i-0", "i-1", "i-3"}


def test_records_that_are_read_twice_are_errors_once() -> None:
    assert state_at_end({"read": 4, "error": 2, "parts_done": 1, "parts_failed": 0}) is RunState.FAILED
    assert state_at_end({"read": 4, "error": 2, "skip": 2, "parts_done": 1, "parts_failed": 0}) is RunState.SUCCEEDED


def test_a_run_all_of_whose_records_are_errors_has_failed_and_says_so(world: World) -> None:
    world.settle()
    world.add("desk-1", name="one", number="SERV-1")
    for number in range(3):
        world.far.put(f"i-{number}", number="SERV-1")
    run = world.run().run
    assert (run.state, run.reason) == (RunState.FAILED, "records_all_refused")
    assert run.message == "Of 3 records not one could be imported."
    # It is no success, so that the document counts as not imported.
    [status] = world.statuses.all()
    assert status.last_success_at is None
    world.far.put("i-9", number="SERV-9")
    assert world.run().state is RunState.SUCCEEDED


def test_a_run_that_reads_nothing_has_succeeded(world: World) -> None:
    world.settle()
    assert world.run().state is RunState.SUCCEEDED


def test_two_names_are_both_told_and_long_ones_are_cut() -> None:
    assert few(["a", "b"]) == "a and b"
    assert few(["a"]) == "a"
    assert few([]) == ""
    assert few(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert len(few(["x" * 10_000] * 10_000)) < 600
