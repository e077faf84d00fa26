"""What a source may hold that no table takes: it is told of its record, and of no other."""

import json

import pytest

from shared.errors import MisconfiguredError
from shared.imports.runs.model import RunState
from shared.reasons import Reason
from shared.settings.stored import document_as_json
from shared.storage.rows import Replace, Row, Value
from shared.users.documents import AuthRocketRealmDocument
from tests.imports.worlds import AuthRocketCase, World


@pytest.mark.parametrize("preview", [False, True])
def test_half_a_character_in_one_name_keeps_no_other_record_out(world: World, preview: bool) -> None:
    for number in range(60):
        world.far.put(f"i-{number:02}", name=f"broken \ud83d {number}" if number % 2 else "whole")
    summary = world.run(preview=preview)
    assert (summary.counts["error"], summary.counts["create"], summary.counts["parts_failed"]) == (30, 30, 0)
    told = world.entries(summary.run.id, "error")
    assert sorted(entry["id"] for entry in told) == [f"i-{number:02}" for number in range(1, 60, 2)]
    assert {entry["message"] for entry in told} == {"name: the value holds an unpaired surrogate (invalid Unicode)."}


def test_half_a_character_that_is_not_mapped_is_marked_in_the_source_alone() -> None:
    world = World(AuthRocketCase())
    world.settle()
    content = document_as_json(world.settings.get(AuthRocketRealmDocument, world.case.document, fresh=True).document)
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
    assert (applied.counts["update"], applied.counts.get("changed_since_preview", 0)) == (40, 0)
    assert world.field("i-07", "note") == "b" * 30_000


@pytest.mark.parametrize("full", ["of text", "of columns"])
def test_a_row_that_is_nearly_full_is_changed_on_and_on(world: World, full: str) -> None:
    world.far.put("i-1", name="web")
    world.run()
    table = world.tables.table(world.case.table)
    row = table.find(*world.key("i-1"))
    assert row is not None
    more: dict[str, Value] = {f"c_{number}": "x" * 32_000 for number in range(16)}
    if full == "of columns":
        # Three are free: for a source that was read, a grace period and a lock.
        more = {f"c_{number}": number for number in range(252 - len(row.values) - 3)}
    table.transact(row.partition_key, [Replace(Row(*world.key("i-1"), {**row.values, **more}, row.etag))])
    for number in range(20):
        world.clock.advance(days=1)
        world.far.put("i-1", name=f"web {number}", note="ab"[number % 2] * 1_000)
        assert world.run().counts.get("update") == 1, number
    for number in range(20):
        world.edit("i-1", note=f"Jim's {number}")
    told = [(one.action, one.changes[0]["after"]) for one in world.records.history(world.key("i-1"))]
    assert told[:20] == [("edit", f"Jim's {number}") for number in reversed(range(20))]
    assert [action for action, _ in told[20:]] == ["update"] * 20 + ["create"]


@pytest.mark.parametrize(
    "words", ["half a \ud83d", "é" * 40_000], ids=["an unpaired surrogate (invalid Unicode)", "very much"]
)
def test_a_part_fails_with_what_a_service_said_whatever_it_said(world: World, words: str) -> None:
    world.far.put("i-1")
    world.far.fails_after, world.far.failure = 0, MisconfiguredError(Reason.AWS_FAILED, words)
    summary = world.run()
    assert (summary.state, summary.counts["parts_failed"]) == (RunState.FAILED, 1)
    [part] = world.runs.parts.all(summary.run.id)
    assert part.message in {"half a \ufffd", "é" * 4_000 + "…"}
