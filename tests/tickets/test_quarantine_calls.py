"""Many bad events of one delivery cost few calls of the storage."""

from shared.tickets.inbound.event_grid import MOST_EVENTS
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import Desk


def test_5000_bad_events_are_kept_by_a_hundred_calls_and_delivered_again_are_no_more() -> None:
    calls: list[str] = []

    def watch(_table: str, verb: str, when: str) -> None:
        if when == "before":
            calls.append(verb)

    tables = MemoryTables()
    desk = Desk(WatchedTables(tables, watch))
    delivery = [{"a": number} for number in range(MOST_EVENTS)]
    answer = desk.post(delivery)
    assert answer.body == {"recorded": 0, "quarantined": MOST_EVENTS}
    assert len(calls) <= 110
    stored = tables.contents()["tickets"]
    assert len(stored) == 2 * MOST_EVENTS
    assert desk.post(delivery).body == answer.body
    assert tables.contents()["tickets"] == stored


def test_a_few_events_that_came_before_do_not_keep_the_others_out() -> None:
    desk = Desk()
    desk.post([{"a": 3}, {"a": 4}])
    desk.post([{"a": number} for number in range(9)] + [{"a": 0}])
    assert len(desk.quarantine.page(100, None).rows) == 9


def test_long_bad_events_fit_into_their_transactions() -> None:
    desk = Desk()
    answer = desk.post([{"a": number, "b": 'é"' * 20_000} for number in range(9)])
    assert answer.body == {"recorded": 0, "quarantined": 9}
