"""A ticket's timeline: notes of observations stand in its row, those of people in rows of their own, shown as one."""

from typing import Any

import pytest

from shared.tickets.desk.editor import TicketEditor
from shared.tickets.domain import observations
from shared.tickets.store.repository import create_note
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import VAULT, Desk
from tests.tickets.test_decide import days, kv_event

_EVENTS = [
    kv_event("NewVersionCreated", "aa", days(0)),
    kv_event("NearExpiry", "aa", days(60)),
    kv_event("Expired", "aa", days(92)),
    kv_event("NewVersionCreated", "bb", days(93), expires=days(400)),
]


def _people(desk: Desk) -> TicketEditor:
    return desk.editor(lambda: desk.now)


def _desk(events: list[Any], tables: MemoryTables | None = None) -> Desk:
    desk = Desk(tables or MemoryTables())
    for event in events:
        assert desk.post([event]).status == 200
    return desk


def test_a_new_ticket_with_its_timeline_is_three_rows_and_33_of_them_are_one_transaction() -> None:
    tables, written = MemoryTables(), []

    def count(_table: str, verb: str, when: str) -> None:
        if (verb, when) == ("transact", "after"):
            written.append(verb)

    desk = Desk(WatchedTables(tables, count))
    desk.repository.ensure_scope(VAULT)
    written.clear()
    desk.post([kv_event("NearExpiry", "aa", days(60), name=f"mail-{number}") for number in range(66)])
    # The first of the minute marks the partition.
    assert len(written) == 1 + 2
    assert sum(key[0] == VAULT for key in tables.contents()["tickets"]) == 3 * 66 + 2
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
    listed = [row for name in ("open", "due", "done") for row in desk.listed(name)]
    assert len(listed) >= 3
    assert not any({"timeline", "details", "object_row", "ticket_key"} & set(row) for row in listed)


def test_a_timeline_holds_the_latest_notes_of_a_condition_that_is_reported_again_and_again() -> None:
    events = [kv_event("NearExpiry", "aa", days(1 + day), expires=days(40 + day)) for day in range(45)]
    desk = _desk([*events, kv_event("NewVersionCreated", "bb", days(93), expires=days(400))])
    assert len(desk.texts(desk.ticket("mail")["ticket_id"])) == 41
    assert desk.rows("note:") == []


def test_a_ticket_whose_version_was_forgotten_keeps_its_timeline_when_a_person_changes_it_or_it_is_known_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observations, "_MOST_VERSIONS", 1)
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
