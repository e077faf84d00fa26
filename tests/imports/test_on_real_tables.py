"""The engine on the real storage emulator: what the tables in memory show holds there."""

from collections.abc import Callable

import pytest

from shared.errors import MisconfiguredError
from shared.imports.runs.model import RunState
from shared.imports.runs.reports import RunReports
from shared.reasons import Reason
from shared.storage.rest_tables import RestTables
from tests.imports.worlds import SourceCase, World
from tests.storage_emulator import Storage


@pytest.fixture
def real(case: Callable[[], SourceCase], storage: Storage) -> World:
    world = World(case(), tables=RestTables.from_connection_string(storage.connection_string))
    world.settle(at_least=50)
    return world


def test_a_whole_life_of_records_on_the_emulator(real: World) -> None:
    for number in range(120):
        real.far.put(f"i-{number:03}", name=f"web {number}", number=f"SERV-{number}", note="Zürich 🚀")
    real.add("M-1", name="by hand", number="SERV-7")
    real.far.page_size = 100
    first = real.run()
    assert first.state is RunState.SUCCEEDED
    assert (first.counts["create"], first.counts["update"]) == (119, 1)
    assert real.run().counts["unchanged"] == 120

    real.clock.advance(days=1)
    real.far.put("i-003", name="renamed", number="SERV-3", note="Zürich 🚀")
    del real.far.records["i-004"]
    real.edit("i-005", name="Jim's")
    real.far.put("i-005", name="not Jim's", number="SERV-5", note="Zürich 🚀")
    preview = real.run(preview=True)
    assert preview.counts["update"] == 1
    assert [entry["id"] for entry in real.entries(preview.run.id, "update")] == ["i-003"]
    assert len(real.entries(preview.run.id)) == 120
    real.clock.advance(minutes=1)
    second = real.run()
    assert (second.counts["update"], second.counts["deactivate"], second.counts["unchanged"]) == (1, 1, 118)

    row = real.records.get(real.key("i-003"))
    assert row.values[real.column("name")] == "renamed"
    assert row.values[real.column("note")] == "Zürich 🚀"
    newest, oldest = real.records.history(real.key("i-003"))
    assert (newest.action, oldest.action) == ("update", "create")
    assert newest.by == f"run {second.run.id}"
    assert real.records.get(real.key("i-004")).values["active"] is False
    assert real.records.get(real.key("i-005")).values[real.column("name")] == "Jim's"

    runs, _ = real.runs.page(real.case.kind, real.case.document, 10, None)
    assert runs[0].id == second.run.id
    assert len(runs) == 4
    real.clock.advance(days=100)
    real.keeper.run()
    assert real.runs.page("", "", 10, None) == ([], None)


def test_a_part_that_is_lost_and_fails_is_queued_again_told_of_and_counted_on_the_emulator(real: World) -> None:
    real.far.fails_after, real.far.failure = 0, MisconfiguredError(Reason.AWS_FAILED, "No.", remedy="Yes.")
    run_id, [message] = real.start()
    assert real.runs.parts.any_open(run_id)
    assert real.keeper.run() == []
    real.clock.advance(minutes=16)
    assert real.keeper.run() == [message]
    assert RunReports(real.runner).errors(run_id, 10, None) == ([], None)
    real.work([message])
    assert not real.runs.parts.any_open(run_id)
    run = real.runs.get(run_id)
    assert (run.state, run.counts["parts_failed"]) == (RunState.FAILED, 1)
    [failed], _ = RunReports(real.runner).errors(run_id, 10, None)
    assert (failed["part"], failed["message"], failed["remedy"]) == (real.case.part, "No.", "Yes.")
