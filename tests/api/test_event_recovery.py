"""The quarantine over HTTP: seen, tried again, removed."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from shared import bootstrap
from shared.storage.tables import Tables
from shared.tickets.inbound import dead_letters
from tests.api.calling import call
from tests.api.seeding import near_expiry
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.outbox.settling import settle
from tests.tickets.desk import Desk, configuration
from tests.tokens import begin_anew


@pytest.fixture(autouse=True)
def quarantined(tables: MemoryTables) -> str:
    event = near_expiry("stranger-vault", "x", datetime.now(UTC) + timedelta(days=5))
    assert dict(Desk(tables).post([event]).body or {}) == {"recorded": 0, "quarantined": 1}
    return str(call("GET", "quarantine").json["items"][0]["id"])


def allow(tables: Tables, *vaults: str) -> None:
    """A worker on these tables, whose settings allow these vaults."""
    bootstrap.reset()
    bootstrap.replace("tables", tables)
    bootstrap.replace("ticket_configuration", lambda: configuration(*vaults))


def test_a_quarantined_event_is_shown_with_its_reason_and_as_it_came(quarantined: str) -> None:
    found = call("GET", f"quarantine/{quarantined}").json
    assert (found["reason"], found["event"]["subject"]) == ("vault_not_allowed", "x")


def test_an_event_that_is_removed_while_it_is_replayed_does_not_come_back(
    tables: MemoryTables, quarantined: str
) -> None:
    gone: list[int] = []

    def overtaken(table: str, operation: str, moment: str) -> None:
        # The item has been read; the next look at it is the one that would keep it again.
        if (table, operation, moment) == ("tickets", "find", "after") and not gone:
            gone.append(0)
            gone.append(call("DELETE", f"quarantine/{quarantined}").status)

    allow(WatchedTables(tables, overtaken), "acorn-vault")
    assert call("POST", f"quarantine/{quarantined}/replay").json["reason"] == "not_found"
    assert gone == [0, 204]
    assert call("GET", "quarantine").json["items"] == []


def test_an_event_that_is_refused_again_stays_with_what_is_said_now_and_leaves_when_it_is_recorded(
    tables: MemoryTables, quarantined: str
) -> None:
    allow(tables, "acorn-vault")
    for _ in range(2):
        replayed = call("POST", f"quarantine/{quarantined}/replay").json
        assert (replayed["recorded"], replayed["reason"]) == (False, "vault_not_allowed")
    allow(tables, "acorn-vault", "stranger-vault")
    assert call("POST", f"quarantine/{quarantined}/replay").json["recorded"] is True
    assert call("GET", "quarantine").json["items"] == []
    settle(bootstrap.gathered_outbox())
    assert [ticket["object_name"] for ticket in call("GET", "tickets").json["items"]] == ["x"]


def test_a_removed_event_is_gone_and_unknown_from_then_on(quarantined: str) -> None:
    assert call("DELETE", f"quarantine/{quarantined}").status == 204
    assert call("GET", "quarantine").json == {"items": [], "next": None}
    for method in ("GET", "DELETE"):
        assert call(method, f"quarantine/{quarantined}").json["reason"] == "not_found"


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch, tables: MemoryTables) -> Iterator[list[socket.socket]]:
    """A blob service that takes every connection and never says a word."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with suppress(OSError):
                while True:
                    taken.append(server.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        there = f"http://127.0.0.1:{server.getsockname()[1]}/acorn"
        account = f"DefaultEndpointsProtocol=http;AccountName=acorn;AccountKey=a2V5;BlobEndpoint={there};"
        monkeypatch.setenv("AzureWebJobsStorage", account)
        begin_anew(tables)
        bootstrap.replace("ticket_configuration", lambda: configuration("acorn-vault"))
        yield taken
        for one in taken:
            one.close()


@pytest.mark.parametrize(("method", "address"), [("GET", "dead-letters"), ("POST", "dead-letters/replay")])
def test_a_silent_blob_service_is_given_up_after_three_tries_and_named(
    silent: list[socket.socket], monkeypatch: pytest.MonkeyPatch, method: str, address: str
) -> None:
    assert (dead_letters.TRIES["retry_total"] + 1) * (dead_letters.READ_SECONDS + 1) < 30
    monkeypatch.setattr(dead_letters, "READ_SECONDS", 0.2)
    monkeypatch.setattr(dead_letters, "TRIES", {**dead_letters.TRIES, "initial_backoff": 0})
    answer = call(method, address)
    assert (answer.status, answer.json["reason"]) == (503, "dead_letters_unavailable")
    assert answer.json["detail"].startswith("The container of dead letters did not answer")
    assert len(silent) == 3
