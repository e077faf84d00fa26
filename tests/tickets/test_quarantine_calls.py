"""Many bad events of one delivery cost few calls of the storage."""

from datetime import UTC, datetime, timedelta

from shared.reasons import Reason
from shared.tickets.inbound.event_grid import MOST_EVENTS
from shared.tickets.inbound.quarantine import Quarantine, Refused
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import Desk

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


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
    # Again, in another order, and beside as many of another kind that came meanwhile.
    desk.post([{"b": number} for number in range(MOST_EVENTS)])
    for again in (delivery, delivery[::-1]):
        stored = tables.contents()["tickets"]
        calls.clear()
        assert desk.post(again).body == answer.body
        assert len(calls) <= 210
        assert tables.contents()["tickets"] == stored


def test_events_of_which_some_came_before_or_are_refused_for_another_reason_now_cost_no_more() -> None:
    calls: list[str] = []
    tables = MemoryTables()
    kept = Quarantine(tables.table("tickets"), lambda: NOW)
    first = [Refused({"a": number}, Reason.EVENT_NOT_READABLE, "one") for number in range(400)]
    kept.keep_all(first)
    watched = WatchedTables(tables, lambda _table, verb, when: calls.append(verb) if when == "before" else None)
    later = [Refused({"a": number}, Reason.VAULT_NOT_ALLOWED, "two") for number in range(200, 1_000)]
    ids = Quarantine(watched.table("tickets"), lambda: NOW + timedelta(days=1)).keep_all(later)
    # A transaction, a page and a transaction for fifty each.
    assert len(calls) <= 3 * 16
    listed = kept.page(2_000, None).rows
    assert len(listed) == 1_000
    reasons = {row.text("item_id"): (row.text("reason"), row.time("received_at")) for row in listed}
    assert all(reasons[one][0] == "vault_not_allowed" for one in ids)
    # What came before keeps its time, so that it is listed once.
    assert sum(at == NOW for _, at in reasons.values()) == 400


def test_an_event_that_another_worker_keeps_at_the_same_moment_is_kept_once() -> None:
    tables = MemoryTables()
    other = Quarantine(tables.table("tickets"), lambda: NOW)
    refused = [Refused({"a": number}, Reason.EVENT_NOT_READABLE, "one") for number in range(60)]
    other.keep_all(refused[:5])
    met: list[str] = []

    def meet(_table: str, verb: str, when: str) -> None:
        if (verb, when) == ("page", "after") and not met:
            met.append(verb)
            other.keep_all(refused)

    Quarantine(WatchedTables(tables, meet).table("tickets"), lambda: NOW).keep_all(refused)
    assert met
    assert len(other.page(1_000, None).rows) == 60


def test_a_few_events_that_came_before_do_not_keep_the_others_out() -> None:
    desk = Desk()
    desk.post([{"a": 3}, {"a": 4}])
    desk.post([{"a": number} for number in range(9)] + [{"a": 0}])
    assert len(desk.quarantine.page(100, None).rows) == 9


def test_long_bad_events_fit_into_their_transactions() -> None:
    desk = Desk()
    answer = desk.post([{"a": number, "b": 'é"' * 20_000} for number in range(9)])
    assert answer.body == {"recorded": 0, "quarantined": 9}
