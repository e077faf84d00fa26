"""A record with a row of its own that gets the value of one that a person made: one record, the person's, where the
document says so."""

import pytest

from shared.imports.runs.model import RunState
from shared.records.model import Key
from tests.fakes.tables import KilledError, WatchedTables
from tests.imports.test_who_is_who import _set
from tests.imports.worlds import WORLDS, World


def late(kind: str) -> World:
    """i-1 has a row of its own, and now gets the number of a record that a person made."""
    world = World(WORLDS[kind]())
    world.settle()
    _set(world, merge_matches=True)
    world.add("M-1", name="Payroll", number="S-9", note="under the desk")
    world.far.put("i-1", name="web", number="S-1")
    world.far.put("i-2", name="other", number="S-2")
    world.run()
    world.far.put("i-1", name="web", number="S-9")
    return world


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> World:
    return late(request.param)


def test_the_persons_record_stays_and_the_other_becomes_its_alias(world: World) -> None:
    preview = world.run(preview=True)
    [planned] = world.entries(preview.run.id, "update")
    assert (planned["id"], planned["reason"]) == ("i-1", "merged")
    assert "Payroll" in planned["message"]
    summary = world.run()
    assert (summary.state, summary.counts["update"]) == (RunState.SUCCEEDED, 1)
    rows = world.rows()
    assert rows["i-1"]["alias_of"] == Key("manual", "M-1").text
    assert rows["M-1"]["claimed_by"] == world.key("i-1").text
    # What the person typed is theirs; the rest is the source's.
    assert (world.field("M-1", "name"), world.field("M-1", "note")) == ("Payroll", "under the desk")
    assert world.active() == {"M-1", "i-2"}
    before = world.contents()
    assert world.run().counts["unchanged"] == 2
    assert world.contents() == before
    # From now on it is one record: let go of, it follows the source.
    world.let_go("M-1")
    world.far.put("i-1", name="renamed", number="S-9")
    world.run()
    assert world.field("M-1", "name") == "renamed"
    # Gone, it is deactivated once.
    del world.far.records["i-1"]
    assert world.run().counts["deactivate"] == 1
    assert world.active() == {"i-2"}


def test_without_the_setting_it_is_an_error_that_names_both(world: World) -> None:
    _set(world, merge_matches=False)
    [entry] = world.entries(world.run().run.id, "error")
    assert (entry["id"], entry["reason"]) == ("i-1", "matches_another")


@pytest.mark.parametrize("which", ["locked", "living", "two candidates", "two records"])
def test_where_something_would_be_lost_or_nobody_can_tell_it_stays_an_error(world: World, which: str) -> None:
    if which == "locked":
        world.edit("i-1", note="a person's too")
    elif which == "living":
        world.far.put("i-1", name="web", number="S-2")
    elif which == "two candidates":
        world.add("M-2", name="another", number="S-9")
    else:
        world.far.put("i-2", name="other", number="S-9")
    before = {key: row for key, row in world.rows().items() if key in {"M-1", "M-2", "i-1"}}
    preview = world.run(preview=True)
    summary = world.run()
    assert preview.counts["error"] == summary.counts["error"] == (2 if which == "two records" else 1)
    assert {key: world.rows()[key] for key in before} == before


@pytest.mark.parametrize("kind", sorted(WORLDS))
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_storage_call_it_ends_as_if_undisturbed(kind: str, when: str) -> None:
    def state(world: World) -> dict[str, tuple[object, ...]]:
        columns = ("alias_of", "claimed_by", "active", "f_name")
        return {key: tuple(map(row.get, columns)) for key, row in world.rows().items()}

    calm = late(kind)
    calm.run()
    number, killed = 0, True
    while killed:
        world = late(kind)
        _, messages = world.start()
        left, killed = number, False

        def kill(table: str, verb: str, moment: str) -> None:
            nonlocal left, killed
            left -= moment == when
            if left == -1 and not killed:
                killed = True
                raise KilledError

        world.rebuild(WatchedTables(world.tables, kill))  # type: ignore[arg-type] # in memory, here
        for message in messages:
            try:
                world.work([message])
            except KilledError:
                world.work([message], redelivered=True)
        assert state(world) == state(calm), number
        number += 1
    assert number > 10


def test_a_person_who_edits_meanwhile_loses_nothing(world: World) -> None:
    edited: list[bool] = []

    def edit(table: str, verb: str, when: str) -> None:
        if (table, verb, when) == (world.case.table, "transact", "before") and not edited:
            edited.append(True)
            other = World(world.case, tables=tables, far=world.far, clock=world.clock)
            other.edit("i-1", note="typed just now")

    tables = world.tables
    _, [message] = world.start()
    world.rebuild(WatchedTables(tables, edit))  # type: ignore[arg-type] # in memory, here
    world.work([message])
    world.rebuild(tables)
    assert edited
    assert world.field("i-1", "note") == "typed just now"
    assert "alias_of" not in world.rows()["i-1"]
    assert "claimed_by" not in world.rows()["M-1"]
