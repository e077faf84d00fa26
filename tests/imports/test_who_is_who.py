"""Which record is which: look-alike values, values that mean nothing, contradictions, and what people typed."""

from typing import Any

import pytest

from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.imports.runs.model import Summary
from shared.settings.stored import document_as_json
from shared.users.documents import AuthRocketRealmDocument
from tests.imports.worlds import WORLDS, AuthRocketCase, Ec2Case, World


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> World:
    world = World(WORLDS[request.param]())
    world.settle()
    return world


def _content(world: World) -> dict[str, Any]:
    cls = AwsTenantDocument if world.case.kind == AwsTenantDocument.kind else AuthRocketRealmDocument
    return dict(document_as_json(world.settings.get(cls, world.case.document, fresh=True).document))


def _set(world: World, **changes: Any) -> None:
    """Change members of the source's document."""
    content = _content(world) | changes
    world.settings.put(world.case.kind, world.case.document, content, by="test", if_match="*")


def _entry(world: World, summary: Summary, action: str) -> dict[str, Any]:
    [entry] = world.entries(summary.run.id, action)
    return entry


@pytest.mark.parametrize("meaningless", ["-", "0", "none", "NONE", " n/a ", "To be filled by O.E.M.", "Default string"])
def test_a_value_that_means_nothing_matches_nobody(world: World, meaningless: str) -> None:
    # Imports, case 03
    world.add("M-1", name="desk PC", number=meaningless)
    before = world.rows()["M-1"]
    world.far.put("i-1", number=meaningless)
    world.far.put("i-2", number=meaningless)
    preview = world.run(preview=True)
    assert preview.counts["create"] == 2
    assert all("which never matches" in entry["message"] for entry in world.entries(preview.run.id, "create"))
    assert world.run().counts["create"] == 2
    assert world.rows()["M-1"] == before


def test_what_means_nothing_is_a_setting(world: World) -> None:
    _set(world, never_match=["SPARE"])
    world.add("M-1", name="one", number="spare")
    world.add("M-2", name="two", number="none")
    world.far.put("i-1", number="spare")
    world.far.put("i-2", number="none")
    assert world.run().counts["create"] == 1
    assert world.rows()["M-2"]["claimed_by"] == world.key("i-2").text


def test_look_alike_values_match_when_people_see_the_same(world: World) -> None:
    world.settle(ignore_case=True)
    world.add("M-1", name="one", number="B\u00fcro-5")
    world.far.put("i-1", number="bu\u0308RO\u200b-5")
    world.run()
    assert world.rows()["M-1"]["claimed_by"] == world.key("i-1").text


def test_a_record_that_gets_the_value_of_a_free_one_is_an_error_that_names_both(world: World) -> None:
    # Imports, case 02
    world.add("M-1", name="late", number="S-9")
    world.far.put("i-1", name="web", number="S-1")
    world.run()
    before = world.contents()
    world.far.put("i-1", name="web", number="S-9")
    entry = _entry(world, world.run(), "error")
    assert entry["reason"] == "matches_another"
    assert "'S-9'" in entry["message"]
    assert "late (manual, M-1)" in entry["message"]
    assert world.contents() == before
    # Corrected, it is over.
    world.far.put("i-1", name="web", number="S-2")
    assert world.run().counts.get("error", 0) == 0


def test_a_record_that_gets_the_value_of_a_living_one_is_an_error(world: World) -> None:
    world.far.put("i-1", number="S-1")
    world.far.put("i-2", number="S-2")
    world.run()
    world.far.put("i-2", number="S-1")
    assert _entry(world, world.run(), "error")["id"] == "i-2"


@pytest.mark.parametrize("page_size", [1, 10])
def test_two_records_may_change_their_values_with_each_other(world: World, page_size: int) -> None:
    world.far.page_size = page_size
    world.far.put("i-1", number="S-1")
    world.far.put("i-2", number="S-2")
    world.run()
    world.far.put("i-1", number="S-2")
    world.far.put("i-2", number="S-1")
    assert world.run().counts["update"] == 2
    assert (world.field("i-1", "number"), world.field("i-2", "number")) == ("S-2", "S-1")


# What a person typed


def test_what_a_person_typed_when_making_a_record_is_held(world: World) -> None:
    # Imports, case 10
    world.add("M-1", name="Payroll", number="S-1", note="under the desk")
    world.far.put("i-1", name="web", number="S-1", note="")
    world.run()
    assert (world.field("M-1", "name"), world.field("M-1", "note")) == ("Payroll", "under the desk")
    held = set(str(world.rows()["M-1"]["locks"]).split())
    assert held == {world.column(one) for one in ("name", "number", "note")}


def test_an_empty_source_empties_what_a_person_typed_only_when_they_let_go_of_it(world: World) -> None:
    world.add("M-1", name="Payroll", number="S-1", note="under the desk")
    world.far.put("i-1", name="web", number="S-1", note="")
    world.run()
    world.far.put("i-1", name="web 2", number="S-1", note="")
    world.run()
    assert world.field("M-1", "note") == "under the desk"
    world.let_go("M-1")
    world.run()
    assert (world.field("M-1", "name"), world.field("M-1", "note")) == ("web 2", None)
    assert world.run().counts["unchanged"] == 1


# Who may not be taken for whom


def _users() -> World:
    world = World(AuthRocketCase())
    world.settle()
    mappings = [{"source": name, "field": name} for name in ("name", "reference", "email")]
    _set(world, field_mappings=mappings, match_order=[{"field": "email"}, {"field": "reference"}])
    return world


def test_an_address_with_another_reference_is_another_person() -> None:
    world = _users()
    world.editing.add("john", {"email": "jsmith@acorn.example", "reference": "HR-1001", "name": "John"}, by="jim")
    before = world.rows()["john"]
    world.far.put("usr_jane", name="Jane", number="HR-2002", email="jsmith@acorn.example")
    preview = world.run(preview=True)
    assert "another reference: HR-1001" in _entry(world, preview, "create")["message"]
    assert world.run().counts["create"] == 1
    assert world.rows()["john"] == before
    assert world.run().counts["unchanged"] == 1


@pytest.mark.parametrize(("found", "may_match"), [("none", False), ("requested", False), ("verified", True)])
def test_an_address_that_nobody_has_verified_matches_nobody(found: str, may_match: bool) -> None:
    # Imports, case 07
    world = _users()
    world.editing.add("boss", {"email": "ceo@acorn.example", "name": "The CEO"}, by="jim")
    world.far.put("usr_mal", name="Mal Lory", email="ceo@acorn.example", verification=found)
    entry = _entry(world, world.run(preview=True), "update" if may_match else "create")
    assert ("is not verified" in entry["message"]) is not may_match
    world.run()
    assert ("claimed_by" in world.rows()["boss"]) is may_match


def test_an_unverified_address_matches_where_the_realm_says_so() -> None:
    world = _users()
    _set(world, match_unverified_email=True)
    world.editing.add("boss", {"email": "ceo@acorn.example", "name": "The CEO"}, by="jim")
    world.far.put("usr_boss", name="The CEO", email="ceo@acorn.example", verification="requested")
    world.run()
    assert "claimed_by" in world.rows()["boss"]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_user_of_another_realm_is_taken_over_only_where_the_realm_says_so(allowed: bool) -> None:
    world = _users()
    _set(world, deactivate_vanished=False)
    world.far.put("usr_1", name="Ann", email="ann@acorn.example")
    world.run()
    # She is gone there, and another realm lists a user of that address.
    world.far.records.clear()
    world.run()
    content = _content(world) | {"realm": "rl_other", "match_other_realms": allowed}
    world.settings.put(world.case.kind, "other", content, by="test")
    world.case.document = "other"
    world.far.put("usr_2", name="Ann", email="ann@acorn.example")
    assert world.run().counts["update" if allowed else "create"] == 1


def test_a_machine_that_is_gone_frees_its_asset_in_whatever_region_it_was() -> None:
    # Imports, case 15
    """Nothing is deactivated here: the row says itself that its machine is gone."""
    case = Ec2Case()
    case.regions = ("eu-west-2", "us-east-1")
    world = World(case)
    world.settle(deactivate=False)
    world.add("DR-1", name="dr", number="SERV-DR")
    world.far.put("i-1", name="dr", number="SERV-DR", region="eu-west-2")
    world.run()
    assert str(world.rows()["DR-1"]["claimed_by"]).endswith("eu-west-2|i-1")
    del world.far.records["i-1"]
    world.far.put("i-2", name="dr", number="SERV-DR", region="us-east-1")
    world.run()
    world.run()
    assert str(world.rows()["DR-1"]["claimed_by"]).endswith("us-east-1|i-2")
    assert world.run().counts.get("error", 0) == 0
