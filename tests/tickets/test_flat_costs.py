"""What a question costs in storage calls: the same with a thousand vaults as with ten."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import cast

import pytest

from shared.overview.expiries import expiries
from shared.storage.tables import Tables
from shared.tickets.desk.housekeeping import TicketHousekeeping
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import NOW, Desk, configuration, resource_id
from tests.tickets.test_decide import days, kv_event
from tests.tickets.test_lists import query

PAGE = 20


@cache
def _filled(vaults: int) -> MemoryTables:
    tables = MemoryTables()
    names = [f"vault-{number}" for number in range(vaults)]
    desk = Desk(tables, configuration(*names))
    for number, name in enumerate(names):
        event = kv_event("NearExpiry", "aa", days(60), name=f"mail-{number}", expires=days(90))
        assert desk.post([{**event, "topic": resource_id(name)}]).status == 200
    desk.settle()
    # Nothing has changed lately.
    desk.now = NOW + timedelta(minutes=4)
    desk.settle()
    return tables


def _list(**asked: object) -> Callable[[Desk], object]:
    return lambda desk: desk.lists.page(query(size=PAGE, **asked))


def _find(desk: Desk) -> object:
    ticket = desk.lists.page(query(size=1, q="mail-7")).items[0]
    return desk.lists.find(ticket.ticket_id)


def _housekeeping(desk: Desk) -> object:
    return TicketHousekeeping(desk.repository, desk.index, desk.quarantine, lambda: NOW).remove_old()


QUESTIONS: Mapping[str, Callable[[Desk], object]] = {
    "open tickets": _list(),
    "open tickets by expiry": _list(order="expiry"),
    "finished tickets": _list(state="finished"),
    "all tickets": _list(state="all"),
    "tickets of a vault": _list(scope="vault-7"),
    "tickets of a site": _list(filters={"site": "london-hq"}),
    "tickets found by their beginnings": _list(q="mail"),
    "tickets found by a name": _list(q="mail-7"),
    "one ticket": _find,
    "the first of what expires": lambda desk: next(iter(expiries(desk.index))),
    "the removal of old rows": _housekeeping,
    "the timer of the outbox": lambda desk: desk.outbox.due(),
}
MOST: Mapping[str, int] = {"all tickets": 10, "one ticket": 6, "the removal of old rows": 3}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_costs_the_same_with_a_thousand_vaults_as_with_ten(name: str) -> None:
    costs: list[int] = []
    for vaults in (10, 1_000):
        calls: list[str] = []

        def count(table: str, verb: str, when: str, calls: list[str] = calls) -> None:
            if when == "before":
                calls.append(f"{table} {verb}")

        watched = WatchedTables(_filled(vaults), count)
        desk = Desk(cast("Tables", watched), now=NOW + timedelta(minutes=4))
        calls.clear()
        QUESTIONS[name](desk)
        costs.append(len(calls))
    assert costs[0] == costs[1], costs
    assert costs[1] <= MOST.get(name, 6)


def test_the_calendar_reads_what_it_shows_and_nothing_that_expired_before_or_never_does() -> None:
    tables = _filled(10)
    index = Desk(tables).index
    moment = next(iter(expiries(index))).expires_at
    assert moment is not None
    assert len(list(expiries(index, since=moment))) == len(list(expiries(index))) == 10
    read: list[str] = []

    def note(table: str, verb: str, when: str) -> None:
        if when == "after":
            read.append(f"{table} {verb}")

    watched = Desk(cast("Tables", WatchedTables(tables, note))).index
    read.clear()
    assert list(expiries(watched, since=moment + timedelta(seconds=1))) == []
    # One page of each shard, and it is empty.
    assert read == ["index page"] * 4
