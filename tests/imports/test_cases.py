"""Sources as they really are: what has been reported of imports, each case by its number.

A case stands here, or its number beside the test that shows it.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.imports.test_who_is_who import _set, _users
from tests.imports.worlds import AuthRocketCase, Ec2Case, World

TESTS = Path(__file__).resolve().parents[1]


def test_each_case_has_a_test() -> None:
    told = "\n".join(path.read_text("utf-8") for path in TESTS.rglob("test_*.py"))
    named = {
        number for found in re.findall(r"Imports, cases? ([0-9, and]+)", told) for number in re.findall(r"\d\d", found)
    }
    assert named == {f"{number:02}" for number in range(2, 20)}


def test_an_address_that_was_given_to_somebody_else_brings_nobody_the_record_of_the_one_before() -> None:
    # Imports, case 04
    world = _users()
    _set(world, deactivate_vanished=True)
    world.far.put("usr_john", name="John", number="HR-1001", email="jsmith@acorn.example")
    world.far.put("usr_other", name="Other", email="o@acorn.example")
    world.run()
    world.edit("usr_john", notes="disciplinary case 12")
    del world.far.records["usr_john"]
    world.run()
    johns = world.rows()["usr_john"]
    assert johns["active"] is False
    world.far.put("usr_jane", name="Jane", number="HR-2002", email="jsmith@acorn.example")
    preview = world.run(preview=True)
    assert "another reference: HR-1001" in world.entries(preview.run.id, "create")[0]["message"]
    world.run()
    assert world.rows()["usr_john"] == johns
    assert world.rows()["usr_jane"]["f_name"] == "Jane"


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        ("info@strasse.example", "info@stra\u00dfe.example"),
        ("jason@acorn.example", "ja\u017fon@acorn.example"),
        ("mark@acorn.example", "mar\u212a@acorn.example"),
        ("office@acorn.example", "o\ufb03ce@acorn.example"),
        ("i@acorn.example", "\u0131@acorn.example"),
        ("anna@acorn.example", "\u0430nna@acorn.example"),
        ("a.b@acorn.example", "a\u3002b@acorn.example"),
    ],
)
def test_an_address_that_only_looks_alike_is_another_persons(theirs: str, mine: str) -> None:
    # Imports, case 05
    world = _users()
    world.editing.add("M-1", {"email": theirs, "name": "theirs"}, by="jim")
    before = world.rows()["M-1"]
    world.far.put("usr_1", name="Somebody else", email=mine)
    assert world.run().counts["create"] == 1
    assert world.rows()["M-1"] == before


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        ("B\u00fcro-5", "Bu\u0308ro-5"),
        ("SERV-V3", "SERV-V3\u200b"),
        ("SERV-V4", "\ufeffSERV-V4"),
        ("SERV-V8", "SERV-V8\u200e"),
        ("SERV-V9", "SERV\u00ad-V9"),
        ("SERV V10", "SERV\u00a0V10"),
        ("SERV V11", "SERV \t V11 "),
        (4713.0, "4713"),
        (4714, "4714"),
    ],
)
def test_a_number_that_people_see_as_the_same_finds_its_asset_and_the_plan_says_what_differs(
    theirs: Any, mine: str
) -> None:
    # Imports, case 06
    world = World(Ec2Case())
    world.settle()
    world.editing.add("M-1", {"asset-number": theirs, "name": "by hand"}, by="jim")
    world.far.put("i-1", name="web", number=mine)
    preview = world.run(preview=True)
    [planned] = world.entries(preview.run.id, "update")
    assert f"asset-number is {mine!a} here, and {theirs!a} there." in planned["message"]
    world.run()
    assert world.rows()["M-1"]["claimed_by"] == world.key("i-1").text


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        ("j\u00fcrgen@acorn.example", "ju\u0308rgen@acorn.example"),
        ("zw@acorn.example", "zw\u200b@acorn.example"),
        ("x@b\u00fccher.example", "x@xn--bcher-kva.example"),
        ("Kim@Acorn.Example", "kim@acorn.example"),
    ],
)
def test_an_address_that_people_see_as_the_same_finds_its_user(theirs: str, mine: str) -> None:
    # Imports, case 06
    world = _users()
    world.editing.add("M-1", {"email": theirs, "name": "by hand"}, by="jim")
    world.far.put("usr_1", name="web", email=mine)
    world.run()
    assert world.rows()["M-1"]["claimed_by"] == world.key("usr_1").text


def test_site_and_type_that_a_person_gave_stay() -> None:
    # Imports, case 10
    for case in (Ec2Case(), AuthRocketCase()):
        world = World(case)
        world.settle()
        world.settings.put("sites", "london", {"title": "London", "customer": "st-johns"}, by="test")
        fields = {case.fields["name"]: "Payroll", case.fields["number"]: "S-1", "site": "london"}
        if case.kind == "aws-tenants":
            world.settings.put("asset-types", "router", {"title": "Router"}, by="test")
            fields["type"] = "router"
        world.editing.add("BYHAND", fields, by="jim")
        world.far.put("i-1", name="", number="S-1")
        world.run()
        row = world.rows()["BYHAND"]
        assert row["claimed_by"] == world.key("i-1").text
        assert (row["site"], row.get("type", "router"), row[world.column("name")]) == ("london", "router", "Payroll")
