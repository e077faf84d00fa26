"""A delivery about many objects reads them together, and ends as if each had been read by itself."""

import json
from typing import Any

import pytest

from shared.errors import TryLaterError
from shared.reasons import Reason
from shared.tickets import reconciler
from shared.tickets.domain import decide as decisions
from tests.fakes.tables import KilledError, MemoryTable, MemoryTables, WatchedTables
from tests.outbox.settling import settled
from tests.tickets.desk import PAYLOADS, Desk


def _events(count: int) -> list[dict[str, Any]]:
    [event] = json.loads((PAYLOADS / "secret_near_expiry.json").read_bytes())
    found = []
    for number in range(count):
        one = json.loads(json.dumps(event))
        one["id"] = f"event-{number}"
        name = f"Secret-{number}" if number % 2 else f"secret-{number}"
        one["subject"] = one["data"]["ObjectName"] = name
        one["data"]["Id"] = f"https://acorn-vault.vault.azure.net/secrets/{name}/{one['data']['Version']}"
        found.append(one)
    return found


def _contents(desk: Desk) -> Any:
    assert isinstance(desk.tables, MemoryTables)
    return settled(desk.outbox, desk.tables)


def test_sixty_objects_are_read_in_one_page_and_stored_as_if_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    together, apart = MemoryTables(), Desk()
    calls: list[str] = []
    desk = Desk(WatchedTables(together, lambda _, verb, when: calls.append(verb) if when == "before" else None))
    for event in _events(7):
        assert desk.post([event]).status == 200
        assert apart.post([event]).status == 200
    calls.clear()
    assert desk.post(_events(60)).status == 200
    assert calls.count("page") == 1
    assert calls.count("find") < 10
    monkeypatch.setattr(reconciler, "_READ_TOGETHER", 1_000)
    assert apart.post(_events(60)).status == 200
    assert _contents(Desk(together)) == _contents(apart)
    before = together.contents()
    assert desk.post(_events(60)).status == 200
    assert together.contents() == before


def test_a_large_delivery_that_comes_again_is_known_from_one_reading() -> None:
    tables = MemoryTables()
    Desk(tables).post(_events(60))
    before = tables.contents()
    calls: list[str] = []
    desk = Desk(WatchedTables(tables, lambda _, verb, when: calls.append(verb) if when == "before" else None))
    assert desk.post(_events(60)).status == 200
    assert tables.contents() == before
    assert calls == ["page"]


@pytest.mark.parametrize("most", [1, 7, 40])
def test_among_many_other_objects_some_are_read_together_and_the_rest_one_by_one(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    desk, apart = Desk(), Desk()
    for each in (desk, apart):
        assert each.post(_events(90)).status == 200
    later = _events(130)[::2]
    for number, event in enumerate(later):
        event["id"] = f"later-{number}"
    page = MemoryTable.page
    monkeypatch.setattr(MemoryTable, "page", lambda *at, size=1000, **how: page(*at, size=min(size, most), **how))
    assert desk.post(later).status == 200
    monkeypatch.setattr(reconciler, "_READ_TOGETHER", 1_000)
    assert apart.post(later).status == 200
    assert _contents(desk) == _contents(apart)


def test_rows_of_an_earlier_release_which_name_no_receipts_are_known_by_asking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(decisions, "_MOST_RECEIPTS", -1_000)
        tables = MemoryTables()
        Desk(tables).post(_events(3))
    before = tables.contents()
    assert Desk(tables).post(_events(3)).status == 200
    assert tables.contents() == before


def test_what_another_worker_writes_after_the_reading_is_read_again() -> None:
    tables = MemoryTables()
    other = Desk(tables)
    meddled: list[bool] = []

    def meddle(_table: str, verb: str, when: str) -> None:
        if (verb, when) == ("page", "after") and not meddled:
            meddled.append(True)
            for event in (_events(60)[3], _events(60)[41]):
                assert other.post([event]).status == 200

    assert Desk(WatchedTables(tables, meddle)).post(_events(60)).status == 200
    undisturbed = Desk()
    undisturbed.post(_events(60))
    assert meddled
    assert _contents(Desk(tables)) == _contents(undisturbed)


def test_a_reading_that_fails_falls_back_to_reading_one_by_one() -> None:
    tables = MemoryTables()

    def fail(_table: str, verb: str, when: str) -> None:
        if (verb, when) == ("page", "before"):
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "No.")

    assert Desk(WatchedTables(tables, fail)).post(_events(60)).status == 200
    undisturbed = Desk()
    undisturbed.post(_events(60))
    assert _contents(Desk(tables)) == _contents(undisturbed)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delivery_of_several_transactions_killed_at_each_of_them_ends_the_same(when: str) -> None:
    undisturbed = Desk()
    undisturbed.post(_events(90))
    for number in range(1, 4):
        tables, left = MemoryTables(), number
        Desk(tables).repository.ensure_scope("acorn-vault")

        def kill(table: str, verb: str, at: str) -> None:
            nonlocal left
            left -= (table, verb, at) == ("tickets", "transact", when)
            if left == 0 and at == when:
                raise KilledError

        with pytest.raises(KilledError):
            Desk(WatchedTables(tables, kill)).post(_events(90))
        stored = sum(key[1].startswith("ticket:") for key in tables.contents()["tickets"])
        assert stored == min(90, 33 * (number - (when == "before")))
        assert Desk(tables).post(_events(90)).status == 200
        assert _contents(Desk(tables)) == _contents(undisturbed)


def test_a_transaction_that_fails_among_several_is_planned_anew_and_the_others_are_stored() -> None:
    tables, failed = MemoryTables(), list[int]()

    def fail(_table: str, verb: str, when: str) -> None:
        if (verb, when) == ("transact", "before"):
            failed.append(1)
            if len(failed) == 3:
                raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "No.")

    assert Desk(WatchedTables(tables, fail)).post(_events(90)).body == {"recorded": 90, "quarantined": 0}
    undisturbed = Desk()
    undisturbed.post(_events(90))
    assert _contents(Desk(tables)) == _contents(undisturbed)
