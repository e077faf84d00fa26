"""Tickets that other features ask for: once a condition, listed, found and changed like every other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.tickets.desk import opener
from shared.tickets.desk.lists import TicketQuery
from shared.tickets.desk.opener import TicketOpener, TicketRequest
from shared.tickets.domain.model import ObjectType, Priority, TicketKind
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.tickets.desk import Desk

AT = datetime(2026, 3, 1, tzinfo=UTC)
ASKED = TicketRequest(
    source="AuthRocket",
    id_prefix="AR",
    scope="rl_0vAcorn",
    condition="authrocket:rl_0vAcorn/usr_1/org_1/ar:owner/run-1",
    kind=TicketKind.ADMIN_GRANT,
    object_type=ObjectType.USER,
    object_name="usr_1",
    priority=Priority.HIGH,
    ticket_type="Security",
    summary="Jim was granted ar:owner in Acorn",
    details="Look whether somebody ordered it.",
    at=AT,
    site="london-hq",
)


def listed(tables: MemoryTables) -> list[str]:
    desk = Desk(tables, now=AT + timedelta(days=1))
    desk.settle()
    return [ticket.ticket_id for ticket in desk.lists.page(TicketQuery()).items]


def test_a_condition_has_one_ticket_however_often_it_is_asked_for() -> None:
    tables = MemoryTables()
    repository = Desk(tables).repository
    first = TicketOpener(repository).open(ASKED)
    assert TicketOpener(repository).open(replace(ASKED, summary="In other words", at=AT + timedelta(days=2))) == first
    other = TicketOpener(repository).open(replace(ASKED, condition="another"))
    assert sorted(listed(tables)) == sorted([first, other])
    ticket = repository.find_ticket(ASKED.partition_key, first)
    assert ticket is not None
    (note,) = repository.notes(ticket)
    assert (note.author, note.text, note.at) == ("AuthRocket", ASKED.summary, AT)


def test_two_conditions_of_one_id_get_a_ticket_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def same_id(*parts: object, prefix: str) -> str:
        return f"{prefix}-AAAAA-AAAAA" + "B" * int(str(parts[-1]))

    monkeypatch.setattr(opener, "ticket_id", same_id)
    repository = Desk(MemoryTables()).repository
    found = [TicketOpener(repository).open(replace(ASKED, condition=condition)) for condition in ("one", "two", "one")]
    assert found == ["AR-AAAAA-AAAAA", "AR-AAAAA-AAAAABB", "AR-AAAAA-AAAAA"]


def test_long_texts_are_cut() -> None:
    tables = MemoryTables()
    TicketOpener(Desk(tables).repository).open(replace(ASKED, summary="x" * 9_000, details="y" * 90_000))
    assert len(listed(tables)) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_storage_call_and_asked_for_again_there_is_one_ticket(when: str) -> None:
    for number in range(4):
        tables = MemoryTables()
        left = [number]

        def kill(table: str, verb: str, moment: str, left: list[int] = left) -> None:
            left[0] -= moment == when
            if moment == when and left[0] < 0:
                raise KilledError

        with pytest.raises(KilledError):
            TicketOpener(Desk(WatchedTables(tables, kill)).repository).open(ASKED)
        TicketOpener(Desk(tables).repository).open(ASKED)
        assert len(listed(tables)) == 1
