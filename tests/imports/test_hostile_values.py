"""What a source may hold that no table takes: it is told of its record, and of no other."""

import json

import pytest

from shared.settings.documents.authrocket_realms import AuthRocketRealmDocument
from shared.settings.store import plain
from tests.imports.worlds import AuthRocketCase, World


@pytest.mark.parametrize("preview", [False, True])
def test_half_a_character_in_one_name_keeps_no_other_record_out(world: World, preview: bool) -> None:
    for number in range(60):
        world.far.put(f"i-{number:02}", name=f"broken \ud83d {number}" if number % 2 else "whole")
    summary = world.run(preview=preview)
    assert (summary.counts["error"], summary.counts["create"], summary.counts["parts_failed"]) == (30, 30, 0)
    told = world.entries(summary.run.id, "error")
    assert sorted(entry["id"] for entry in told) == [f"i-{number:02}" for number in range(1, 60, 2)]
    assert {entry["message"] for entry in told} == {"name: the value holds half a character."}


def test_half_a_character_that_is_not_mapped_is_marked_in_the_source_alone() -> None:
    world = World(AuthRocketCase())
    world.settle()
    content = plain(world.settings.get(AuthRocketRealmDocument, world.case.document, fresh=True).document)
    content["field_mappings"] = content["field_mappings"][:2]
    world.settings.put(world.case.kind, world.case.document, content, by="test", if_match="*")
    world.far.put("i-1", name="web", note="half a \ud83d")
    assert world.run().counts["create"] == 1
    assert json.loads(str(world.rows()["i-1"]["source"]))["custom"] == {"note": "half a \ufffd"}


def test_a_preview_of_very_long_values_shows_every_record_and_can_be_applied(world: World) -> None:
    for number in range(40):
        world.far.put(f"i-{number:02}", note="a" * 30_000)
    world.run()
    for number in range(40):
        world.far.put(f"i-{number:02}", note="b" * 30_000)
    world.far.put("i-00", name="web", note="a" * 30_000)
    preview = world.run(preview=True)
    assert (preview.counts["update"], preview.counts["parts_failed"]) == (40, 0)
    told = world.entries(preview.run.id, "update")
    assert [entry["id"] for entry in told] == [f"i-{number:02}" for number in range(40)]
    applied = world.run(apply=preview.run.id)
    assert (applied.counts["update"], applied.counts.get("left", 0)) == (40, 0)
    assert world.field("i-07", "note") == "b" * 30_000
