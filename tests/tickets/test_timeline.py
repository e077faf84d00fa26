"""A ticket's timeline: what the facts tell stands in its row, what people wrote in rows of its own, shown as one.

Earlier releases wrote every note as a row. Such rows are read on, and taken over when their ticket is next written.
"""

import json
from typing import Any

import pytest

from shared.storage.documents import pack
from shared.storage.limits import OPERATIONS_PER_TRANSACTION
from shared.storage.rows import Operation, Row, Save, Value
from shared.storage.tables import scan
from shared.tickets.desk.editor import TicketEditor
from shared.tickets.desk.lists import list_tickets, query_of
from shared.tickets.domain import observations as facts
from shared.tickets.domain.model import Note
from shared.tickets.store.repository import create_note, told_in
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.tickets.desk import NOW, VAULT, Desk
from tests.tickets.test_deciding import days, said

_EVENTS = [
    said("NewVersionCreated", "aa", days(0)),
    said("NearExpiry", "aa", days(60)),
    said("Expired", "aa", days(92)),
    said("NewVersionCreated", "bb", days(93)),
]


def _people(desk: Desk) -> TicketEditor:
    return TicketEditor(desk.repository, desk.reconciler, lambda: desk.configured, lambda: desk.now)


def _as_of_an_earlier_release(tables: MemoryTables) -> None:
    """Write each note of a timeline as a row, name it in the object's row, and give the lists all columns."""
    table = tables.table("tickets")
    keys: dict[str, list[str]] = {}
    own: dict[str, dict[str, Value]] = {}
    operations: list[Operation] = []
    for row in scan(table, []):
        if row.row_key.startswith("ticket:"):
            ticket_id = row.text("ticket_id")
            own[ticket_id] = {name: row.values[name] for name in ("object_row", "ticket_key")}
            for note in told_in(row):
                operation = create_note(row.partition_key, ticket_id, note)
                assert isinstance(operation, Save)
                keys.setdefault(ticket_id, []).append(operation.row.row_key.removeprefix(f"note:{ticket_id}:"))
                operations.append(operation)
            kept = {name: value for name, value in row.values.items() if not name.startswith("timeline")}
            operations.append(Save(Row(row.partition_key, row.row_key, kept)))
    for row in scan(table, []):
        if row.row_key.startswith(("open:", "due:", "done:")):
            operations.append(Save(Row(row.partition_key, row.row_key, {**row.values, **own[row.text("ticket_id")]})))
        if row.row_key.startswith("object:"):
            record = json.loads(row.text("record"))
            for written in record["written"].values():
                written |= {"digest": "0123456789abcdef", "notes": sorted(keys[written["id"]])}
            operations.append(Save(Row(row.partition_key, row.row_key, pack("record", record))))
    for start in range(0, len(operations), OPERATIONS_PER_TRANSACTION):
        table.transact(VAULT, operations[start : start + OPERATIONS_PER_TRANSACTION])


def _desk(events: list[Any], tables: MemoryTables | None = None) -> Desk:
    desk = Desk(tables or MemoryTables())
    for event in events:
        assert desk.post([event]).status == 200
    return desk


def _timelines(desk: Desk) -> dict[str, list[Note]]:
    return {str(row["ticket_id"]): desk.notes(row["ticket_id"]) for row in desk.tickets()}


def test_a_new_ticket_with_its_timeline_is_five_rows_and_twenty_of_them_are_one_transaction() -> None:
    tables, written = MemoryTables(), []

    def count(_table: str, verb: str, when: str) -> None:
        if (verb, when) == ("transact", "after"):
            written.append(verb)

    desk = Desk(WatchedTables(tables, count))
    desk.repository.ensure_vault(VAULT)
    written.clear()
    desk.post([said("NearExpiry", "aa", days(60), name=f"mail-{number}") for number in range(60)])
    assert len(written) == 3
    assert sum(key[0] == VAULT for key in tables.contents()["tickets"]) == 5 * 60
    assert desk.rows("note:") == []
    assert len(desk.texts(desk.ticket("mail-7")["ticket_id"])) == 1


def test_a_timeline_is_sorted_whoever_wrote_what() -> None:
    desk = _desk(_EVENTS[:1])
    ticket_id = str(desk.ticket("mail", "new_version")["ticket_id"])
    desk.now = days(50)
    _people(desk).add_note(ticket_id, "Seen.", by="kim")
    _people(desk).change(ticket_id, {"status": "closed"}, by="kim", if_match="*", note="Done.")
    notes = desk.notes(ticket_id)
    assert [note.author for note in notes] == ["Key Vault event", "kim", "kim", "kim"]
    assert notes == sorted(notes, key=lambda note: note.at)
    assert list(_people(desk).get(ticket_id).notes) == notes


def test_rows_of_the_lists_carry_no_timeline() -> None:
    desk = _desk(_EVENTS)
    listed = [row for name in ("open:", "due:", "done:") for row in desk.rows(name)]
    assert len(listed) >= 3
    assert not any({"timeline", "details", "object_row", "ticket_key"} & set(row) for row in listed)


def test_note_rows_of_an_earlier_release_are_shown_as_they_were() -> None:
    desk = _desk(_EVENTS)
    ticket_id = str(desk.ticket("mail")["ticket_id"])
    _people(desk).add_note(ticket_id, "Ordered.", by="kim")
    before, listed = _timelines(desk), list_tickets(desk.repository, _everything(), NOW)
    assert isinstance(desk.tables, MemoryTables)
    _as_of_an_earlier_release(desk.tables)
    assert _timelines(desk) == before
    assert list_tickets(desk.repository, _everything(), NOW) == listed
    assert all("timeline" not in row for row in desk.tickets())


def _everything() -> Any:
    return query_of(state="all", order=None, snoozed=None, vault=None, filters={}, size=50, after=None)


@pytest.mark.parametrize("known", [1, 2, 3, 4])
def test_note_rows_of_an_earlier_release_are_taken_over_when_something_new_is_said(known: int) -> None:
    tables = MemoryTables()
    _desk(_EVENTS[:known], tables)
    _as_of_an_earlier_release(tables)
    further = said("NearExpiry", "bb", days(120))
    desk = _desk([*_EVENTS[known:], further], tables)
    clean = _desk([*_EVENTS, further])
    assert tables.contents() == clean.tables.contents()  # type: ignore[attr-defined] # it has tables in memory
    assert desk.rows("note:") == []


def test_a_person_who_changes_a_ticket_of_an_earlier_release_keeps_its_timeline() -> None:
    tables = MemoryTables()
    desk = _desk(_EVENTS[:3], tables)
    ticket_id = str(desk.ticket("mail")["ticket_id"])
    _people(desk).add_note(ticket_id, "Ordered.", by="kim")
    before = desk.notes(ticket_id)
    _as_of_an_earlier_release(tables)
    changed = _people(desk).change(ticket_id, {"team": "Web"}, by="kim", if_match="*")
    assert [note for note in changed.notes if not note.text.startswith("Changed team")] == before
    assert [row["author"] for row in desk.rows(f"note:{ticket_id}:")] == ["kim", "kim"]
    assert list(_people(desk).get(ticket_id).notes) == list(changed.notes)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_while_it_takes_rows_over_leaves_them_to_the_next(when: str) -> None:
    further = said("NearExpiry", "bb", days(120))
    clean = _desk([*_EVENTS, further]).tables.contents()  # type: ignore[attr-defined] # it has tables in memory
    number = 0
    finished = False
    while not finished:
        number += 1
        tables, left = MemoryTables(), number
        _desk(_EVENTS, tables)
        _as_of_an_earlier_release(tables)

        def kill(_table: str, _verb: str, at: str) -> None:
            nonlocal left
            left -= at == when
            if left == 0 and at == when:
                raise KilledError

        try:
            Desk(WatchedTables(tables, kill)).post([further])
            finished = True
        except KilledError:
            assert Desk(tables).post([further]).status == 200
        assert tables.contents() == clean, number
    assert number > 3


def test_a_timeline_with_as_many_notes_as_are_kept_is_taken_over_and_fits() -> None:
    events = [said("NearExpiry", "aa", days(1 + day), expires=days(40 + day)) for day in range(45)]
    tables = MemoryTables()
    _desk(events, tables)
    _as_of_an_earlier_release(tables)
    assert sum(key[1].startswith("note:") for key in tables.contents()["tickets"]) == 40
    later = said("NewVersionCreated", "bb", days(93))
    desk = _desk([later], tables)
    assert tables.contents() == _desk([*events, later]).tables.contents()  # type: ignore[attr-defined] # in memory
    assert len(desk.texts(desk.ticket("mail")["ticket_id"])) == 41


def test_a_ticket_whose_version_was_forgotten_keeps_its_timeline_when_a_person_changes_it_or_it_is_known_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(facts, "_MOST_VERSIONS", 1)
    desk = _desk([_EVENTS[1], _EVENTS[3]])
    expiry = str(desk.ticket("mail")["ticket_id"])
    before = desk.notes(expiry)
    assert [note.author for note in before] == ["Key Vault event"]
    changed = _people(desk).change(expiry, {"team": "Web"}, by="kim", if_match="*")
    assert list(changed.notes)[:1] == before
    assert len(changed.notes) == 2
    monkeypatch.undo()
    assert desk.post([_EVENTS[2]]).status == 200
    assert desk.notes(expiry)[:1] == before
    assert desk.texts(expiry)[1:] == [
        "This version expired on 2026-09-01 00:00 UTC.",
        "Resolved: version bb replaced this one.",
        "Changed team from nothing to Web.",
    ]


def test_a_note_that_stands_in_both_places_is_shown_once() -> None:
    desk = _desk(_EVENTS[:2])
    ticket_id = str(desk.ticket("mail")["ticket_id"])
    [note] = desk.notes(ticket_id)
    desk.tables.table("tickets").transact(VAULT, [create_note(VAULT, ticket_id, note)])
    assert desk.notes(ticket_id) == [note]
