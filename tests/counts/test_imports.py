"""Whatever imports and people do with records, links and rows that are taken over or become one: counts are a full
count."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.faults.counts_checks import counts_faults
from shared.counts.levels import CountsLevels
from shared.counts.partition_row import COUNTS_ROW, PartitionCounts, counts_in
from shared.outbox.gathered import GatheredHandler, GatheredOutbox
from shared.records.model import Key
from shared.storage.rows import Row, Save
from shared.storage.tables import Tables
from tests.fakes.tables import MemoryTables
from tests.imports.test_merging import late
from tests.imports.test_who_is_who import _set
from tests.imports.worlds import WORLDS, World
from tests.outbox.settling import settle

IDS = st.sampled_from(["i-1", "i-2", "i-3"])
NUMBERS = st.sampled_from(["S-1", "S-2", ""])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), IDS, NUMBERS),
        st.tuples(st.just("remove"), IDS, NUMBERS),
        st.tuples(st.just("add"), st.sampled_from(["M-1", "M-2"]), NUMBERS),
        st.tuples(st.just("let_go"), st.sampled_from(["M-1", "M-2"]), NUMBERS),
        st.tuples(st.just("deactivate"), st.sampled_from(["M-1", "M-2"]), NUMBERS),
        st.tuples(st.just("run"), IDS, NUMBERS),
    ),
    max_size=14,
)


class CountedWorld(World):
    """A world whose changes are counted."""

    def rebuild(self, tables: Tables) -> None:
        super().rebuild(tables)
        self.levels = CountsLevels(tables, self.clock, lambda: 0.0)
        handlers: dict[str, GatheredHandler] = {
            "records": lambda *_: None,
            "counts": PartitionCounts(tables).carry_out,
            "counts-copy": self.levels.carry_out,
        }
        self.outbox = GatheredOutbox(tables, handlers, self.clock)
        rows: Any = self.runner.sources[self.case.kind]
        rows.rows._outbox = self.records._outbox = self.outbox

    def faults(self) -> list[str]:
        settle(self.outbox)
        assert self.levels.refresh(seconds=1)
        assert isinstance(self.tables, MemoryTables)
        return counts_faults(self.tables)


@pytest.mark.parametrize("kind", sorted(WORLDS))
@given(STEPS, st.booleans())
@settings(max_examples=40)
def test_counts_are_a_full_count_after_any_history(kind: str, steps: list[tuple[str, str, str]], merging: bool) -> None:
    world = CountedWorld(WORLDS[kind]())
    world.settle(at_least=50)
    if merging:
        _set(world, merge_matches=True)
    made: set[str] = set()
    for what, name, number in [*steps, ("run", "", "")]:
        if what == "put":
            world.far.put(name, name=f"{name} {number}", number=number)
        elif what == "remove":
            world.far.records.pop(name, None)
        elif what == "run":
            world.clock.advance(days=1)
            world.run()
        elif what == "add" and name not in made:
            made.add(name)
            world.add(name, name="by hand", number=number or "S-3")
        elif what == "let_go" and name in made and world.rows()[name].get("locks"):
            world.let_go(name)
        elif what == "deactivate" and name in made:
            world.editing.edit(Key("manual", name), {"active": False}, [], by="jim", if_match="*")
    assert world.faults() == []


@pytest.mark.parametrize("kind", sorted(WORLDS))
def test_a_record_that_becomes_one_with_that_of_a_person_is_counted_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.imports.test_merging.World", CountedWorld)
    world = late(kind)
    assert isinstance(world, CountedWorld)
    world.run()
    assert world.faults() == []
    own = world.tables.table(world.case.table).find(world.case.partition, COUNTS_ROW)
    # i-2 alone: i-1 is M-1 now.
    assert sum(counts_in(own).values()) == 1


@pytest.mark.parametrize("kind", sorted(WORLDS))
def test_a_link_that_leads_nowhere_and_becomes_its_record_is_counted_from_then_on(kind: str) -> None:
    world = CountedWorld(WORLDS[kind]())
    world.settle()
    key = world.key("i-1")
    values = {"alias_of": Key("manual", "gone").text, "source_id": "i-1"}
    world.tables.table(world.case.table).transact(key.partition, [Save(Row(*key, values))])
    world.far.put("i-1")
    world.run()
    assert "alias_of" not in world.rows()[key.row]
    assert world.faults() == []
    row = world.tables.table(world.case.table).find(key.partition, COUNTS_ROW)
    assert sum(counts_in(row).values()) == 1
