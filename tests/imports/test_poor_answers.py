"""A well-formed answer that is poorer than the truth is not believed at once: nothing listed, or values missing."""

from typing import Any

import pytest

from tests.imports.worlds import WORLDS, World


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> World:
    world = World(WORLDS[request.param]())
    world.settle(believe_empty_answers=False)
    return world


def _held(world: World, run_id: str) -> dict[str, Any]:
    return {entry["id"]: entry for entry in world.entries(run_id, "held_back")}


@pytest.mark.parametrize("count", [1, 8])
def test_a_source_that_lists_nothing_is_believed_on_a_later_day(world: World, count: int) -> None:
    # Imports, case 08
    for number in range(count):
        world.far.put(f"i-{number}")
    world.run()
    world.far.records.clear()
    for _ in range(2):
        summary = world.run()
        assert summary.counts["held_back"] == count
        assert {entry["reason"] for entry in _held(world, summary.run.id).values()} == {"empty_answer"}
        assert len(world.active()) == count
        world.clock.advance(hours=1)
    world.clock.advance(days=1)
    preview = world.run(preview=True)
    assert preview.counts["deactivate"] == count
    assert world.run().counts["deactivate"] == count
    assert world.active() == set()


def test_what_was_doubted_and_is_back_is_as_it_was(world: World) -> None:
    world.far.put("i-1")
    world.run()
    before = world.rows()
    world.far.records.clear()
    world.run()
    world.far.put("i-1")
    world.run()
    assert world.rows() == before
    # Doubted anew, from that day on.
    world.clock.advance(days=3)
    world.far.records.clear()
    assert world.run().counts["held_back"] == 1
    assert world.active() == {"i-1"}


def test_an_empty_answer_can_be_confirmed(world: World) -> None:
    for number in range(3):
        world.far.put(f"i-{number}")
    world.run()
    world.far.records.clear()
    held = world.run()
    confirmed = world.run(confirm=held.run.id)
    assert confirmed.counts["deactivate"] == 3
    assert world.active() == set()


def test_one_record_that_is_left_makes_the_answer_no_empty_one(world: World) -> None:
    for number in range(5):
        world.far.put(f"i-{number}")
    world.run()
    for number in range(4):
        del world.far.records[f"i-{number}"]
    assert world.run().counts["deactivate"] == 4


def test_a_value_that_is_missing_in_a_large_share_is_not_taken_away(world: World) -> None:
    for number in range(20):
        world.far.put(f"i-{number:02}", name=f"n{number}", note="rack")
    world.run()
    for number in range(12):
        world.far.put(f"i-{number:02}", name=f"new {number}")
    preview = world.run(preview=True)
    held = world.run()
    assert preview.counts["held_back"] == held.counts["held_back"] == 12
    entry = _held(world, held.run.id)["i-00"]
    assert entry["reason"] == "emptied"
    assert "notes of 12 of 20" in entry["message"]
    assert world.field("i-00", "note") == "rack"
    # All else of the record is as the source says.
    assert world.field("i-00", "name") == "new 0"
    confirmed = world.run(confirm=held.run.id)
    assert confirmed.counts["update"] == 12
    assert (world.field("i-00", "name"), world.field("i-00", "note")) == ("new 0", None)


def test_a_value_that_is_missing_in_a_few_is_taken_away(world: World) -> None:
    for number in range(20):
        world.far.put(f"i-{number:02}", note="rack")
    world.run()
    for number in range(9):
        world.far.put(f"i-{number:02}")
    assert world.run().counts["update"] == 9
    assert world.field("i-00", "note") is None


def test_a_number_that_is_missing_in_a_large_share_is_not_taken_away_either(world: World) -> None:
    for number in range(20):
        world.far.put(f"i-{number:02}", number=f"S-{number}")
    world.run()
    for number in range(15):
        world.far.put(f"i-{number:02}")
    assert world.run().counts["held_back"] == 15
    assert world.field("i-00", "number") == "S-0"
