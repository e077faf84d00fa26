"""What people do with tickets, and what later events make of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import (
    ChangedMeanwhileError,
    ConflictError,
    InvalidInputError,
    MisconfiguredError,
    NotFoundError,
    TryLaterError,
)
from shared.reasons import Reason
from shared.tickets.desk.editor import StoredTicket
from shared.tickets.domain.model import Status
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import NOW, Desk
from tests.tickets.test_decide import days, kv_event


class Office:
    """A desk with one near-expiry ticket, and a person at it."""

    def __init__(self, desk: Desk | None = None) -> None:
        self.desk = desk or Desk()
        self.desk.post([kv_event("NearExpiry", "aa", days(60))])
        self.people = self.desk.editor(lambda: self.desk.now)
        self.ticket_id = str(self.desk.ticket("mail")["ticket_id"])

    def change(self, if_match: str | None = "*", **changes: Any) -> StoredTicket:
        return self.people.change(self.ticket_id, changes, by="kim", if_match=if_match)

    def expired(self) -> dict[str, Any]:
        self.desk.post([kv_event("Expired", "aa", days(92))])
        return self.desk.ticket("mail")

    def replaced(self) -> dict[str, Any]:
        self.desk.post([kv_event("NewVersionCreated", "bb", days(61))])
        return self.desk.ticket("mail")


def test_a_person_changes_a_ticket_and_the_timeline_says_who() -> None:
    office = Office()
    changed = office.change(status="in_progress", priority="high", team="Web", assignee="kim")
    ticket = changed.ticket
    assert (ticket.status, ticket.priority, ticket.team, ticket.assignee) == ("in_progress", "high", "Web", "kim")
    assert (changed.notes[-1].author, changed.notes[-1].at) == ("kim", NOW)
    assert changed.notes[-1].text == (
        "Changed status from open to in progress; priority from medium to high; team from nothing to Web; "
        "assignee from nothing to kim."
    )


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.CLOSED])
def test_a_finished_ticket_leaves_the_open_list_and_a_later_event_that_says_something_new_reopens_it(
    status: Status,
) -> None:
    office = Office()
    office.change(status=status)
    assert (office.desk.listed("open"), len(office.desk.listed("done"))) == ([], 1)
    ticket = office.expired()
    assert (ticket["status"], ticket["priority"]) == ("open", "high")
    assert (len(office.desk.listed("open")), office.desk.listed("done")) == (1, [])
    assert (
        "Reopened, because something new occurred: This version expired on 2026-09-01 00:00 UTC."
        in office.desk.texts(office.ticket_id)
    )


def test_an_event_that_says_nothing_new_reopens_nothing() -> None:
    office = Office()
    office.change(status="closed")
    before = office.desk.ticket("mail")
    office.desk.post([{**kv_event("NearExpiry", "aa", days(60)), "id": "again"}])
    office.desk.post([kv_event("NewVersionCreated", "aa", days(0))])
    assert office.desk.ticket("mail") == before


def test_work_in_progress_stays_in_progress_when_it_gets_more_pressing() -> None:
    office = Office()
    office.change(status="in_progress", assignee="kim")
    ticket = office.expired()
    assert (ticket["status"], ticket["assignee"], ticket["priority"]) == ("in_progress", "kim", "high")


def test_a_new_version_resolves_a_ticket_in_progress_and_leaves_a_closed_one_closed() -> None:
    office = Office()
    office.change(status="in_progress")
    assert office.replaced()["status"] == "resolved"
    other = Office()
    other.change(status="closed")
    assert other.replaced()["status"] == "closed"


def test_a_person_may_open_a_resolved_ticket_again_and_it_stays_open() -> None:
    office = Office()
    office.replaced()
    office.change(status="open")
    office.desk.post([kv_event("NewVersionCreated", "cc", days(63))])
    assert office.desk.ticket("mail")["status"] == "open"


def test_a_persons_priority_stands_until_something_more_pressing_is_said() -> None:
    office = Office()
    office.change(priority="low")
    office.desk.post([{**kv_event("NearExpiry", "aa", days(60)), "id": "again"}])
    assert office.desk.ticket("mail")["priority"] == "low"
    assert office.expired()["priority"] == "high"
    critical = Office()
    critical.change(priority="critical")
    assert critical.expired()["priority"] == "critical"


def test_a_word_that_was_overtaken_does_not_come_back_with_the_next_change() -> None:
    office = Office()
    office.change(status="closed")
    office.expired()
    changed = office.change(team="Web")
    assert (changed.ticket.status, changed.ticket.priority) == ("open", "high")


def test_null_takes_a_word_back() -> None:
    office = Office()
    office.change(priority="critical", status="on_hold", team="Web")
    changed = office.change(priority=None, status=None, team=None)
    assert (changed.ticket.priority, changed.ticket.status, changed.ticket.team) == ("medium", "open", None)


def test_a_snoozed_ticket_wakes_when_something_new_is_said() -> None:
    office = Office()
    until = NOW + timedelta(days=5)
    assert office.change(snoozed_until=until).ticket.snoozed_until == until
    ticket = office.expired()
    assert "snoozed_until" not in ticket
    assert any(text.startswith("Woken, because") for text in office.desk.texts(office.ticket_id))


def test_snoozing_into_the_past_or_of_a_finished_ticket_is_refused() -> None:
    office = Office()
    with pytest.raises(InvalidInputError, match="must lie ahead"):
        office.change(snoozed_until=NOW - timedelta(seconds=1))
    office.change(status="resolved")
    with pytest.raises(ConflictError, match="nothing to snooze"):
        office.change(snoozed_until=NOW + timedelta(days=1))


def test_a_change_needs_the_version_that_was_read_and_a_stale_one_is_refused_with_the_present() -> None:
    office = Office()
    read = office.people.get(office.ticket_id)
    with pytest.raises(ConflictError, match="needs the version"):
        office.change(if_match=None, team="Web")
    office.change(if_match=read.etag, team="Web")
    with pytest.raises(ChangedMeanwhileError) as refusal:
        office.change(if_match=read.etag, team="Mail")
    assert refusal.value.present_version == office.people.get(office.ticket_id).etag
    assert office.desk.ticket("mail")["team"] == "Web"


def test_a_change_that_changes_nothing_writes_nothing() -> None:
    office = Office()
    office.change(team="Web")
    assert isinstance(office.desk.tables, MemoryTables)
    before = office.desk.tables.contents()
    office.desk.now = NOW + timedelta(days=1)
    office.change(team="Web")
    assert office.desk.tables.contents() == before


def test_an_event_between_a_persons_read_and_write_is_not_lost() -> None:
    tables = MemoryTables()
    desk = Desk(tables)
    office = Office(desk)
    meanwhile = [kv_event("Expired", "aa", days(92))]

    def interrupt(_table: str, verb: str, when: str) -> None:
        if (verb, when) == ("transact", "before") and meanwhile:
            event = meanwhile.pop()
            Desk(tables).post([event])

    watched = Desk(WatchedTables(tables, interrupt))
    people = watched.editor(lambda: NOW)
    changed = people.change(office.ticket_id, {"assignee": "kim"}, by="kim", if_match="*")
    assert (changed.ticket.assignee, changed.ticket.priority) == ("kim", "high")


def test_a_change_whose_answer_was_lost_is_told_as_503_and_took_place() -> None:
    tables = MemoryTables()
    office = Office(Desk(tables))

    def lose(table: str, verb: str, when: str) -> None:
        if (table, verb, when) == ("tickets", "transact", "after"):
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "The answer was lost.")

    watched = Desk(WatchedTables(tables, lose))
    people = watched.editor(lambda: NOW)
    with pytest.raises(TryLaterError):
        people.change(office.ticket_id, {"assignee": "kim"}, by="kim", if_match="*")
    assert office.desk.ticket("mail")["assignee"] == "kim"


def test_a_note_is_added_beside_everything_else() -> None:
    office = Office()
    etag = office.people.get(office.ticket_id).etag
    office.people.add_note(office.ticket_id.lower(), "Ordered.", by="kim")
    stored = office.people.get(office.ticket_id)
    assert [(note.author, note.text) for note in stored.notes][-1] == ("kim", "Ordered.")
    assert stored.etag == etag


@pytest.mark.parametrize("second", ["a note of another", "a note of the same", "an edit with a note", "an event"])
def test_two_notes_at_once_both_stay_wherever_the_second_comes_between(second: str) -> None:
    number, met = 0, True
    while met:
        memory, calls = MemoryTables(), [0]
        office = Office(Desk(memory))

        def come_between(office: Office = office) -> None:
            if second == "an event":
                office.expired()
            elif second == "an edit with a note":
                office.people.change(office.ticket_id, {"team": "web"}, by="ben", if_match="*", note="Second.")
            else:
                by = "kim" if second == "a note of the same" else "ben"
                office.people.add_note(office.ticket_id, "Second.", by=by)

        def watch(
            _table: str,
            _verb: str,
            _when: str,
            calls: list[int] = calls,
            number: int = number,
            come: Callable[[], None] = come_between,
        ) -> None:
            calls[0] += 1
            if calls[0] == number + 1:
                come()

        before = len(office.people.get(office.ticket_id).notes)
        people = Desk(WatchedTables(memory, watch)).editor(lambda: NOW)
        people.add_note(office.ticket_id, "First.", by="kim")
        met = calls[0] > number
        if not met:
            come_between()
        texts = [note.text for note in office.people.get(office.ticket_id).notes]
        assert "First." in texts
        assert second == "an event" or "Second." in texts
        assert len(texts) > before + 1
        number += 1
    assert number > 3


def test_a_site_is_the_name_of_a_document_and_free_text_is_refused_with_the_sites() -> None:
    office = Office()
    with pytest.raises(InvalidInputError, match="leeds, london-hq") as refusal:
        office.change(site="London HQ")
    assert [fault.path for fault in refusal.value.faults] == ["site"]
    assert office.change(site="leeds").ticket.site == "leeds"
    assert office.change(site=None).ticket.site is None


@pytest.mark.parametrize("ticket_id", ["KV-00000-00000", "nonsense", "KV-00000-00000/../x", "", "KV-" + "0" * 999])
def test_a_ticket_that_is_not_there_is_told_so(ticket_id: str) -> None:
    with pytest.raises(NotFoundError):
        Office().people.get(ticket_id)


def test_what_breaks_stands_in_the_timeline_of_a_secrets_expiry_ticket() -> None:
    desk = Desk(uses_of=lambda vault, secret: [f"EC2 import of {vault} with {secret}"])
    office = Office(desk)
    assert "When it expires, this breaks: EC2 import of acorn-vault with mail." in desk.texts(office.ticket_id)
    desk.post([kv_event("NearExpiry", "aa", days(60), name="disk", kind="Key")])
    assert len(desk.texts(desk.ticket("disk")["ticket_id"])) == 1


def test_settings_at_fault_elsewhere_keep_no_event_out() -> None:
    def at_fault(_vault: str, _secret: str) -> list[str]:
        raise MisconfiguredError(Reason.DOCUMENT_INVALID, "A tenant's document is at fault.")

    assert Office(Desk(uses_of=at_fault)).desk.ticket("mail")["status"] == "open"


def test_two_conditions_with_one_id_are_two_tickets(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.tickets import transactions

    def short(*parts: object, prefix: str) -> str:
        return f"{prefix}-00000-0000{'0' * int(str(parts[-1]))}"

    monkeypatch.setattr(transactions, "ticket_id", short)
    desk = Desk()
    desk.post([kv_event("NearExpiry", "aa", days(60), name=name) for name in ("mail", "disk")])
    desk.post([kv_event("Expired", "aa", days(92), name=name) for name in ("mail", "disk")])
    assert len({row["ticket_id"] for row in desk.tickets()}) == 2
    assert {row["priority"] for row in desk.tickets()} == {"high"}
    assert datetime(2026, 1, 1, tzinfo=UTC) < NOW
