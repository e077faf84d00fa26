"""The list of tickets over all vaults: order, filters, pages, and that open lists read nothing that is closed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInputError
from shared.storage.rows import Row
from shared.storage.tables import Tables
from shared.tickets.desk.lists import TicketQuery, query_of
from shared.tickets.domain.model import Ticket
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import NOW, Desk, configuration, resource_id
from tests.tickets.test_decide import days, kv_event

VAULTS = ("acorn-vault", "elm-vault", "oak-vault")


def query(**asked: Any) -> TicketQuery:
    filters = asked.pop("filters", {})
    defaults = {"state": None, "order": None, "snoozed": None, "scope": None, "size": 50, "after": None}
    return query_of(**{**defaults, **asked}, filters=filters)


def everything(desk: Desk, **asked: Any) -> list[Ticket]:
    found: list[Ticket] = []
    after: str | None = None
    while True:
        page = desk.lists.page(query(after=after, **asked))
        after = page.next
        assert len(page.items) <= asked.get("size", 50)
        found += page.items
        if after is None:
            return found


def filled(count: int = 12) -> Desk:
    """Tickets of three vaults, some at the same moment, every third of them resolved."""
    desk = Desk(configured=configuration(*VAULTS))
    for number in range(count):
        vault = VAULTS[number % 3]
        near = kv_event(
            "NearExpiry",
            "aa",
            days(60 + number // 4),
            name=f"n{number}",
            expires=days(90 - number).replace(microsecond=0),
        )
        events = [{**near, "topic": resource_id(vault)}]
        if number % 3 == 2 and number % 2:
            new = kv_event("NewVersionCreated", "bb", days(80), name=f"n{number}")
            events.append({**new, "topic": resource_id(vault)})
        assert desk.post(events).status == 200
    desk.settle()
    return desk


def test_open_tickets_of_all_vaults_come_newest_first() -> None:
    desk = filled()
    found = everything(desk)
    assert len(found) == 12
    assert [ticket.opened_at for ticket in found] == sorted((ticket.opened_at for ticket in found), reverse=True)
    assert {ticket.scope for ticket in found} == set(VAULTS)


def test_by_expiry_the_soonest_comes_first_and_what_never_expires_last() -> None:
    found = everything(filled(), order="expiry")
    dates = [ticket.expires_at for ticket in found if ticket.expires_at is not None]
    assert dates == sorted(dates)
    assert all(ticket.expires_at is not None for ticket in found[: len(dates)])


@given(st.integers(1, 7), st.sampled_from(["open", "finished", "all"]), st.integers(0, 25))
@settings(max_examples=40)
def test_pages_of_any_size_give_each_ticket_once_and_in_order(size: int, state: str, count: int) -> None:
    desk = filled(count)
    paged = everything(desk, size=size, state=state)
    assert paged == everything(desk, size=200, state=state)
    assert len({ticket.ticket_id for ticket in paged}) == len(paged)
    assert len(everything(desk, state="all")) == len(desk.tickets())


def test_a_list_of_open_tickets_reads_none_that_is_closed() -> None:
    desk = filled()
    people = desk.editor(lambda: NOW)
    for ticket in everything(desk)[:5]:
        people.change(ticket.ticket_id, {"status": "closed"}, by="kim", if_match="*")
    assert isinstance(desk.tables, MemoryTables)
    # Once the markers are settled, nothing is looked up beside the index.
    desk.now = NOW + timedelta(minutes=4)
    desk.settle()
    table = desk.tables.table("index")
    read: list[Row] = []
    inner = table.page

    def counting(where: Any, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None) -> Any:
        page = inner(where, select=select, size=size, after=after)
        read.extend(page.rows)
        return page

    table.page = counting  # type: ignore[method-assign] # counts what is read
    found = everything(desk)
    assert len(found) == 7
    assert {row.text("status") for row in read} == {"open"}
    assert len(read) == 7


def test_filters_narrow_and_compare_without_case() -> None:
    desk = filled()
    first = everything(desk)[0]
    people = desk.editor(lambda: NOW)
    people.change(first.ticket_id, {"assignee": "Kim", "priority": "critical"}, by="kim", if_match="*")
    for filters in ({"assignee": "KIM"}, {"priority": ("critical", "high")}, {"object_name": first.object_name}):
        assert [ticket.ticket_id for ticket in everything(desk, filters=filters)] == [first.ticket_id]
    assert {ticket.scope for ticket in everything(desk, scope="OAK-vault")} == {"oak-vault"}
    assert everything(desk, scope="nowhere") == []
    assert len(everything(desk, filters={"status": ("resolved",)})) == 2


def test_snoozed_tickets_are_hidden_until_their_date() -> None:
    desk = filled()
    first = everything(desk)[0]
    people = desk.editor(lambda: NOW)
    people.change(first.ticket_id, {"snoozed_until": NOW + timedelta(days=1)}, by="kim", if_match="*")
    assert len(everything(desk)) == 11
    assert len(everything(desk, snoozed="show")) == 12
    assert [ticket.ticket_id for ticket in everything(desk, snoozed="only")] == [first.ticket_id]
    later: datetime = NOW + timedelta(days=2)
    desk.now = later
    assert len(everything(desk)) == 12


@pytest.mark.parametrize("after", ["", "x", "bnVsbA==", "WzEsMiwzXQ==", "WyJhIl0="])
def test_a_continuation_that_was_not_given_out_is_refused(after: str) -> None:
    with pytest.raises(InvalidInputError):
        filled(1).lists.page(query(after=after))


def test_finished_tickets_are_not_listed_by_expiry() -> None:
    with pytest.raises(InvalidInputError):
        query(order="expiry", state="all")


def test_a_short_page_of_a_filter_that_matches_nothing_takes_few_readings() -> None:
    tables = filled(300).tables
    assert isinstance(tables, MemoryTables)
    calls: list[str] = []
    watched = WatchedTables(tables, lambda _table, verb, when: calls.append(f"{when} {verb}"))
    page = Desk(cast("Tables", watched)).lists.page(query(size=1, filters={"team": "nobody"}))
    assert (page.items, page.next) == ([], None)
    assert 0 < calls.count("before page") < 30
