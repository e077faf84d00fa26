"""What nobody reads any more is named, and deactivated or cleared where a setting says so; a renamed document keeps
its rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from shared.errors import NotFoundError
from shared.imports.plan.model import Trigger
from shared.imports.runs import unread
from shared.imports.runs.model import RunState, Summary
from tests.fakes.tables import KilledError, WatchedTables
from tests.imports.test_who_is_who import _content, _set
from tests.imports.worlds import WORLDS, AuthRocketCase, Ec2Case, World

HERE, THERE = "eu-west-2", "us-east-1"
AWAY = f"no longer read: 111122223333:{THERE}"


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> World:
    world = World(WORLDS[request.param]())
    world.settle()
    return world


def two_regions() -> World:
    """Three machines in the region that goes on being read, and two in the other."""
    case = Ec2Case()
    case.regions = (HERE, THERE)
    world = World(case)
    world.settle()
    for number, region in enumerate((HERE, HERE, HERE, THERE, THERE)):
        world.far.put(f"i-{number}", note="rack", region=region)
    world.run()
    return world


def warned(summary: Summary) -> Mapping[str, str]:
    return {part.name: part.reason for part in summary.parts if part.reason}


def test_a_region_that_is_taken_off_is_named_by_every_run_until_it_is_read_again() -> None:
    world = two_regions()
    _set(world, regions=[HERE])
    for trigger, preview in (
        (Trigger.SCHEDULED, True),
        (Trigger.SCHEDULED, False),
        (Trigger.SCHEDULED, False),
        (Trigger.MANUAL, False),
    ):
        summary = world.run(trigger, preview=preview)
        assert summary.state is RunState.SUCCEEDED
        assert warned(summary) == {AWAY: "part_unread"}
        assert summary.counts["parts_warned"] == 1
        assert len(world.active()) == 5
    _set(world, regions=[HERE, THERE])
    assert warned(world.run()) == {}
    assert world.runs.readings.told(size=10) == []


def test_a_setting_deactivates_what_stands_in_a_region_that_is_taken_off() -> None:
    world = two_regions()
    _set(world, regions=[HERE], deactivate_unread=True)
    preview = world.run(preview=True)
    assert world.run(Trigger.MANUAL).counts.get("deactivate", 0) == 0
    summary = world.run()
    assert preview.counts["deactivate"] == summary.counts["deactivate"] == 2
    assert world.active() == {"i-0", "i-1", "i-2"}
    assert world.rows()["i-3"]["last_action"] == "deactivate"
    world.run()
    assert warned(world.run()) == {}
    assert world.runs.readings.parts(world.case.kind, "acorn", 10) == (
        [(f"111122223333:{HERE}", world.case.partition)],
        False,
    )


def test_the_brake_holds_for_what_nobody_reads_and_can_be_confirmed() -> None:
    world = two_regions()
    for number in range(20):
        world.far.put(f"i-9{number:02}", region=THERE)
    world.run()
    _set(world, regions=[HERE], deactivate_unread=True)
    held = world.run()
    assert held.counts["held_back"] == 22
    assert len(world.active()) == 25
    assert world.run(confirm=held.run.id).counts["deactivate"] == 22
    assert len(world.active()) == 3


def test_another_document_that_reads_the_region_keeps_it() -> None:
    world = two_regions()
    content = _content(world)
    _set(world, regions=[HERE], deactivate_unread=True)
    world.settings.put(world.case.kind, "other", content | {"regions": [THERE]}, by="test")
    assert warned(world.run()) == {}
    assert len(world.active()) == 5
    world.case.document = "other"
    world.run()
    assert {world.rows()[one]["document"] for one in ("i-3", "i-4")} == {"other"}
    # The first document has nothing left there.
    assert [name for name, _ in world.runs.readings.parts(world.case.kind, "acorn", 10)[0]] == [f"111122223333:{HERE}"]


def test_a_realm_that_a_document_names_no_more_is_named() -> None:
    world = World(AuthRocketCase())
    world.settle()
    world.far.put("usr_1")
    world.run()
    _set(world, realm="rl_0vOther")
    assert warned(world.run()) == {f"no longer read: {world.case.part}": "part_unread"}


def test_how_a_part_was_read_is_no_record(world: World) -> None:
    world.far.put("i-1")
    world.run()
    with pytest.raises(NotFoundError):
        world.records.get(world.key("~read"))


def test_a_renamed_document_keeps_its_rows(world: World) -> None:
    for number in range(3):
        world.far.put(f"i-{number}")
    world.add("M-1", name="by hand", number="S-1")
    world.far.put("i-9", number="S-1")
    world.run()
    rows = world.rows()
    content = _content(world)
    world.settings.delete(world.case.kind, world.case.document, by="test", if_match="*")
    world.settings.put(world.case.kind, "new-name", content, by="test")
    world.case.document = "new-name"
    summary = world.run()
    assert (summary.counts["unchanged"], summary.counts.get("update", 0)) == (4, 0)
    assert {row["document"] for row in world.rows().values() if "alias_of" not in row} == {"new-name"}
    assert {key: row["history"] for key, row in world.rows().items() if "history" in row} == {
        key: row["history"] for key, row in rows.items() if "history" in row
    }
    assert {one.name: bool(one.warning) for one in world.statuses.all()} == {"new-name": False}
    before = world.contents()
    world.run()
    assert world.contents() == before


def test_what_a_removed_document_left_is_named_and_an_import_of_it_deactivates_it(world: World) -> None:
    for number in range(3):
        world.far.put(f"i-{number}")
    world.run()
    world.settings.delete(world.case.kind, world.case.document, by="test", if_match="*")
    [left] = world.statuses.all()
    assert (left.name, [one.part for one in left.unread]) == (world.case.document, [world.case.part])
    assert "is gone" in left.warning
    preview = world.run(Trigger.MANUAL, preview=True)
    assert preview.counts["deactivate"] == 3
    assert world.run(Trigger.MANUAL).counts["deactivate"] == 3
    assert world.active() == set()
    assert world.statuses.all() == []


@pytest.mark.parametrize("field", ["note"])
def test_a_field_that_no_mapping_fills_any_more_is_named_and_cleared_where_a_setting_says_so(
    world: World, field: str
) -> None:
    for number in range(3):
        world.far.put(f"i-{number}", note="rack")
    world.far.put("i-9")
    world.run()
    world.edit("i-2", note="a person's")
    kept = [one for one in _content(world)["field_mappings"] if one["field"] != "notes"]
    _set(world, field_mappings=kept)
    for _ in range(2):
        assert warned(world.run()) == {world.case.part: "fields_unmapped"}
    assert world.field("i-0", field) == "rack"
    _set(world, clear_unmapped=True)
    preview = world.run(preview=True)
    summary = world.run()
    assert preview.counts["update"] == summary.counts["update"] == 2
    assert [world.field(f"i-{number}", field) for number in range(3)] == [None, None, "a person's"]
    assert warned(summary) == {}
    before = world.contents()
    assert world.run().counts["unchanged"] == 4
    assert world.contents() == before


def test_clearing_is_under_the_brake(world: World) -> None:
    for number in range(20):
        world.far.put(f"i-{number:02}", note="rack")
    world.run()
    kept = [one for one in _content(world)["field_mappings"] if one["field"] != "notes"]
    _set(world, field_mappings=kept, clear_unmapped=True)
    held = world.run()
    assert held.counts["held_back"] == 20
    assert warned(held) == {world.case.part: "fields_unmapped"}
    assert world.run(confirm=held.run.id).counts["update"] == 20
    assert world.field("i-00", "note") is None


def _by_number(world: World, *, deactivate: bool) -> None:
    rule = {"asset_type": "server", "criteria": [{"field": "asset-number", "operator": "starts_with", "value": "S-"}]}
    _set(
        world,
        asset_type={"mode": "rules", "rules": [rule], "import_unmatched": False},
        deactivate_unread=deactivate,
    )


def test_a_machine_that_no_rule_gives_a_type_any_more_is_named_and_deactivated_where_a_setting_says_so() -> None:
    world = World(Ec2Case())
    world.settle()
    world.far.put("i-0", number="S-0")
    world.far.put("i-1", name="web", number="X-1")
    world.run()
    _by_number(world, deactivate=False)
    # It was never imported, so that nothing is left of it.
    world.far.put("i-2", number="X-2")
    summary = world.run()
    assert warned(summary) == {world.case.part: "records_left_out"}
    [part] = summary.parts
    assert part.message == "No rule gives a type any more to web: imported before, they stay as they were."
    assert world.active() == {"i-0", "i-1"}
    _by_number(world, deactivate=True)
    preview = world.run(preview=True)
    summary = world.run()
    assert preview.counts["deactivate"] == summary.counts["deactivate"] == 1
    assert (warned(summary), world.active()) == ({}, {"i-0"})


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_storage_call_it_ends_as_if_undisturbed(when: str) -> None:
    def played(kill_at: int) -> tuple[World, bool]:
        world = two_regions()
        _set(world, regions=[HERE], deactivate_unread=True)
        left, killed = kill_at, False

        def kill(table: str, verb: str, moment: str) -> None:
            nonlocal left, killed
            if moment == when:
                left -= 1
            if left == -1 and not killed:
                killed = True
                raise KilledError

        _, messages = world.start()
        world.rebuild(WatchedTables(world.tables, kill))  # type: ignore[arg-type] # in memory, here
        todo: Sequence[Any] = messages
        while todo:
            message, *todo = todo
            try:
                todo = [*todo, *world.runner.do_part(message)]
            except KilledError:
                todo = [*todo, *world.runner.do_part(message, redelivered=True)]
        return world, killed

    def state(world: World) -> Any:
        rows = world.tables.contents()["runs"]  # type: ignore[attr-defined] # in memory
        return world.comparable(), {key: row for key, row in rows.items() if key[0].startswith(("read", "unread"))}

    def differing(world: World, calm: World) -> Any:
        pairs = zip(state(world), state(calm), strict=True)
        return [
            (key, one.get(key), other.get(key))
            for one, other in pairs
            for key in one.keys() | other.keys()
            if one.get(key) != other.get(key)
        ]

    calm, _ = played(10**9)
    number, killed = 0, True
    while killed:
        world, killed = played(number)
        assert differing(world, calm) == [], number
        number += 1
    assert number > 20


def test_a_long_list_is_compared_piece_by_piece_when_the_document_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "_AT_ONCE", 4)
    monkeypatch.setattr(unread, "_SHORT", 2)
    regions = [f"eu-west-{number}" for number in range(1, 10)]
    case = Ec2Case()
    case.regions = regions
    world = World(case)
    world.settle()
    for number, region in enumerate(regions):
        world.far.put(f"i-{number}", region=region)
    world.run()
    world.run()
    assert world.runs.readings.walk(case.kind, "acorn").short is False  # type: ignore[union-attr] # it was kept
    _set(world, regions=regions[:1])
    for _ in range(2):
        assert set(warned(world.run())) == {f"no longer read: 111122223333:{region}" for region in regions[1:]}
    _set(world, deactivate_unread=True)
    assert world.run().counts["deactivate"] == 8
    assert world.active() == {"i-0"}
