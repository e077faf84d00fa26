"""Two requests at once, one removing a document and one writing a document that names it: no reference dangles."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ConflictError, DeskbridgeError, InvalidInputError, TryLaterError
from shared.reasons import Reason
from shared.settings.reference_guards import ReferenceGuards
from shared.settings.store import SettingsStore
from shared.settings.validation import ReceivedDocument
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.settings.test_store import KINDS, Colour, Wall
from tests.tickets.interleaving import Interleaving

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def store(tables: MemoryTables | WatchedTables, now: datetime = NOW) -> SettingsStore:
    return SettingsStore(tables.table("settings"), KINDS, lambda: now)


def dangling(documents: SettingsStore) -> list[str]:
    colours = {stored.name for stored in documents.list(Colour, fresh=True)}
    return [stored.name for stored in documents.list(Wall, fresh=True) if stored.document.colour not in colours]


def interleaved(schedule: list[int], *, apply: bool, present: bool) -> SettingsStore:
    """A removal of the colour red, between the storage calls of a request that has a wall name it."""
    memory = MemoryTables()
    store(memory).put("colours", "red", {"code": "f00"}, by="anna")
    store(memory).put("colours", "blue", {"code": "00f"}, by="anna")
    if present:
        store(memory).put("walls", "north", {"colour": "blue"}, by="anna")
    turns = Interleaving(schedule)
    tables = WatchedTables(memory, lambda _table, _verb, when: turns.pause() if when == "before" else None)

    refusals: list[str] = []

    def write() -> None:
        try:
            if apply:
                store(tables).apply([ReceivedDocument("walls", "north", {"colour": "red"})], by="ben")
            else:
                store(tables).put("walls", "north", {"colour": "red"}, by="ben", if_match="*")
        except InvalidInputError as refused:
            refusals.append(refused.faults[0].path.rpartition(" ")[2])

    def remove() -> None:
        try:
            store(tables).delete("colours", "red", by="carl", if_match="*")
        except (ConflictError, TryLaterError) as refused:
            refusals.append(str(refused.reason))

    turns.run(write, remove)
    assert set(refusals) <= {"colour", Reason.IN_USE, Reason.CONTENDED}
    return store(memory)


@settings(max_examples=300)
@given(st.lists(st.integers(0, 1), max_size=40), st.booleans(), st.booleans())
def test_no_reference_dangles_whatever_the_order(schedule: list[int], apply: bool, present: bool) -> None:
    documents = interleaved(schedule, apply=apply, present=present)
    assert dangling(documents) == []


def test_every_order_of_few_steps() -> None:
    for number in range(2**10):
        documents = interleaved([number >> place & 1 for place in range(10)], apply=False, present=False)
        assert dangling(documents) == [], number


def test_after_a_write_the_document_can_be_removed_at_once_when_nothing_names_it() -> None:
    documents = store(MemoryTables())
    documents.put("colours", "red", {"code": "f00"}, by="anna")
    documents.put("walls", "north", {"colour": "red"}, by="anna")
    with pytest.raises(ConflictError, match="walls/north"):
        documents.delete("colours", "red", by="anna", if_match="*")
    documents.delete("walls", "north", by="anna", if_match="*")
    documents.delete("colours", "red", by="anna", if_match="*")


def test_a_writer_that_died_holds_a_removal_up_for_five_minutes_and_no_longer() -> None:
    memory = MemoryTables()
    store(memory).put("colours", "red", {"code": "f00"}, by="anna")

    def kill(_table: str, verb: str, when: str) -> None:
        if (verb, when) == ("transact", "after"):
            raise KilledError

    with pytest.raises(KilledError):
        store(WatchedTables(memory, kill)).put("walls", "north", {"colour": "red"}, by="ben")
    with pytest.raises(TryLaterError, match="walls/north"):
        store(memory, NOW + timedelta(minutes=4)).delete("colours", "red", by="carl", if_match="*")
    store(memory, NOW + timedelta(minutes=6)).delete("colours", "red", by="carl", if_match="*")
    assert [key for key in memory.table("settings").rows if key[1].startswith("g:")] == []


def test_a_document_that_is_written_again_announces_nothing() -> None:
    memory = MemoryTables()
    documents = store(memory)
    documents.put("colours", "red", {"code": "f00"}, by="anna")
    documents.put("walls", "north", {"colour": "red"}, by="anna")
    before = memory.table("settings").rows["colours", "d:red"].etag
    documents.put("walls", "north", {"colour": "red"}, by="ben", if_match="*")
    assert memory.table("settings").rows["colours", "d:red"].etag == before


def test_guards_of_another_document_are_not_taken_for_its_own() -> None:
    guards = ReferenceGuards(MemoryTables().table("settings"), lambda: NOW)
    assert list(guards.removals("colours", "re")) == []


def test_a_set_that_storage_refuses_is_refused_before_anything_is_written() -> None:
    memory = MemoryTables()
    documents = store(memory)
    members = [
        ReceivedDocument("colours", "red", {"code": "f00"}),
        ReceivedDocument("colours", "vast", {"code": "x" * 600_000}),
        ReceivedDocument("walls", "north", {"colour": "red"}),
    ]
    for broken in ("x" * 600_000, "half \ud800 a pair"):
        members[1] = ReceivedDocument("colours", "vast", {"code": broken})
        with pytest.raises((InvalidInputError, DeskbridgeError), match="colours/vast"):
            documents.apply(members, by="anna")
        assert memory.table("settings").rows == {}


@pytest.mark.parametrize("name", ["red\n", "\nred", "red\r", "red\u2028", "red\x00", "red ", ""])
def test_a_set_with_a_name_that_is_none_writes_nothing(name: str) -> None:
    memory = MemoryTables()
    members = [ReceivedDocument("colours", "blue", {"code": "00f"}), ReceivedDocument("colours", name, {"code": "f00"})]
    with pytest.raises(InvalidInputError):
        store(memory).apply(members, by="anna")
    assert memory.table("settings").rows == {}
