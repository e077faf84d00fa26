"""Rows that several records lead to: by id, by an alias of an earlier import, or by the matching field. One has it."""

import pytest

from shared.assets.documents.asset_types import AssetTypeDocument
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.imports import part_import as parts
from shared.imports.runs.model import RunState, Summary
from shared.settings.stored import document_as_json
from tests.fakes.tables import WatchedTables
from tests.imports.worlds import Ec2Case, World


def _run(world: World) -> Summary:
    """A day later; the plan that its preview shows is what it does."""
    world.clock.advance(days=1)
    preview = world.run(preview=True)
    summary = world.run()
    # A run all of whose records are errors is none that succeeded.
    errors_alone = 0 < summary.counts.get("error", 0) == summary.counts.get("read", 0)
    wanted = RunState.FAILED if errors_alone else RunState.SUCCEEDED
    assert summary.state is wanted, [part.message for part in summary.parts]
    assert _decided(summary) == _decided(preview)
    return summary


def _decided(summary: Summary) -> dict[str, int]:
    return {name: count for name, count in summary.counts.items() if not name.startswith("parts")}


def _errors(world: World, summary: Summary) -> dict[str, str]:
    return {entry["id"]: entry["message"] for entry in world.entries(summary.run.id, "error")}


@pytest.fixture
def taken(world: World) -> World:
    """The row of i-old, which is gone, follows i-new, which has the same number."""
    world.settle(at_least=50)
    world.far.put("i-old", number="S-1")
    _run(world)
    del world.far.records["i-old"]
    world.far.put("i-new", number="S-1")
    _run(world)
    assert world.rows()["i-old"]["claimed_by"] == world.key("i-new").text
    return world


def test_a_row_goes_back_to_its_own_record_though_another_one_matches_it(taken: World) -> None:
    del taken.far.records["i-new"]
    taken.far.put("i-old", number="S-1", name="back")
    taken.far.put("i-third", number="S-1", name="third")
    summary = _run(taken)
    assert (summary.counts["update"], summary.counts["create"]) == (1, 1)
    assert taken.field("i-old", "name") == "back"
    assert "claimed_by" not in taken.rows()["i-old"]
    assert taken.field("i-third", "name") == "third"


def test_a_record_that_comes_back_does_not_take_a_row_whose_own_record_is_there(taken: World) -> None:
    del taken.far.records["i-new"]
    taken.far.put("i-old", number="S-1", name="back")
    _run(taken)
    # Both changed: each would write the one row.
    taken.far.put("i-old", number="S-1", name="own")
    taken.far.put("i-new", number="S-1", name="other")
    errors = _errors(taken, _run(taken))
    assert list(errors) == ["i-new"]
    assert f"belongs to {taken.key('i-old').row} now" in errors["i-new"]
    assert taken.field("i-old", "name") == "own"
    assert "claimed_by" not in taken.rows()["i-old"]


def test_a_row_goes_back_to_its_own_record_though_one_that_had_it_before_is_back_too(taken: World) -> None:
    world = taken
    world.far.records.clear()
    world.far.put("i-third", number="S-1")
    _run(world)
    world.far.records.clear()
    world.far.put("i-old", number="S-1", name="own")
    world.far.put("i-new", number="S-1", name="other")
    assert list(_errors(world, _run(world))) == ["i-new"]
    assert world.field("i-old", "name") == "own"


@pytest.fixture
def twice_left(taken: World) -> World:
    """The links of i-new and i-third lead to the row of i-old, which has none of them now."""
    for record_id in ("i-third", "i-old"):
        taken.far.records.clear()
        taken.far.put(record_id, number="S-1")
        _run(taken)
    taken.far.records.clear()
    _run(taken)
    assert {key for key, row in taken.rows().items() if "alias_of" in row} == {"i-new", "i-third"}
    return taken


def test_two_records_that_come_back_to_one_row_are_both_refused(twice_left: World) -> None:
    world = twice_left
    world.far.put("i-new", number="S-1", name="new")
    world.far.put("i-third", number="S-1", name="third")
    assert set(_errors(world, _run(world))) == {"i-new", "i-third"}
    del world.far.records["i-third"]
    assert not _errors(world, _run(world))
    assert world.field("i-old", "name") == "new"


def test_a_record_that_comes_back_has_its_row_before_a_new_one_that_matches_it(twice_left: World) -> None:
    world = twice_left
    world.far.put("i-new", number="S-1", name="new")
    world.far.put("i-zz", number="S-1", name="zz")
    assert list(_errors(world, _run(world))) == ["i-zz"]
    assert world.field("i-old", "name") == "new"
    assert world.rows()["i-old"]["claimed_by"] == world.key("i-new").text


@pytest.mark.parametrize("written_at_once", [1, 100])
@pytest.mark.parametrize("follower", ["i-aa", "i-zz"])
def test_a_value_that_the_run_itself_writes_is_matched_whatever_the_order(
    world: World, monkeypatch: pytest.MonkeyPatch, written_at_once: int, follower: str
) -> None:
    monkeypatch.setattr(parts, "OPERATIONS_PER_TRANSACTION", written_at_once)
    world.far.page_size = 1
    world.add("M-1", name="by hand", number="S-1")
    world.let_go("M-1")
    world.far.put(follower, number="S-1")
    _run(world)
    world.far.put(follower, number="S-2")
    world.far.put("i-mm", number="S-2")
    world.far.put("i-was", number="S-1")
    summary = _run(world)
    assert list(_errors(world, summary)) == ["i-mm"]
    # The value that the row had is free again.
    assert summary.counts["create"] == 1
    assert world.rows()["M-1"]["claimed_by"] == world.key(follower).text


def test_a_type_that_a_release_in_between_calls_for_is_made() -> None:
    world = World(Ec2Case())
    world.settle(match=False)
    tenant = world.settings.get(AwsTenantDocument, world.case.document, fresh=True)
    by_note = {
        **document_as_json(tenant.document),
        "asset_type": {"mode": "field", "field": "notes", "default": "server"},
    }
    world.settings.put(AwsTenantDocument.kind, world.case.document, by_note, by="test", if_match="*")
    world.far.put("i-1")
    world.run()
    world.edit("i-1", type="router")
    world.far.put("i-1", name="renamed", note="Switch")
    released: list[bool] = []

    def release(table: str, verb: str, when: str) -> None:
        if (table, verb, when) == (world.case.table, "transact", "before") and not released:
            released.append(True)
            second = World(world.case, tables=world.tables, far=world.far, clock=world.clock)
            second.edit("i-1", release=["type"])

    _, [message] = world.start()
    tables = world.tables
    world.rebuild(WatchedTables(tables, release))  # type: ignore[arg-type] # in memory, here
    world.runner.do_part(message)
    world.rebuild(tables)
    assert released
    made = world.settings.get(AssetTypeDocument, str(world.rows()["i-1"]["type"]), fresh=True)
    assert made.document.title == "Switch"
