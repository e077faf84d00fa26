"""Tickets, quarantine, sweeps and dead letters as an operator calls them, on the real storage emulator."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import azure.functions as func
import pytest
from azure.functions.queue import QueueMessage

from functions import api_event_recovery, api_sweeps, api_tickets, sweeps, ticket_schedules
from shared import bootstrap
from tests.api.calling import Sent
from tests.functional.test_key_vault_events import CREDENTIAL, STORE, _Passwords, send
from tests.outbox.settling import settle
from tests.storage_emulator import Storage
from tests.tickets.desk import AUTHORIZATION, PASSWORD, PAYLOADS, USERNAME, ingest_afterwards, settings
from tests.tokens import token_header


class Timer(func.TimerRequest):
    """Abstract on Python below 3.13."""

    @property
    def past_due(self) -> bool:
        return False


@pytest.fixture
def desk(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AzureWebJobsStorage", storage.connection_string)
    bootstrap.reset()
    bootstrap.replace("credentials", _Passwords(webhook=(USERNAME, PASSWORD)))
    store = bootstrap.settings()
    store.put("credential-stores", "own", STORE, by="test")
    store.put("credentials", "webhook", CREDENTIAL, by="test")
    store.put("key-vault-events", "default", settings(), by="test")
    ingest_afterwards()
    yield
    bootstrap.reset()


def call(function: Any, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
    parts = urlsplit(path)
    words = parts.path.split("/")
    request = func.HttpRequest(
        method=method,
        url=f"https://desk.example/api/{path}",
        headers={**token_header(), **{name.replace("_", "-"): value for name, value in headers.items()}},
        params=dict(pair.split("=") for pair in parts.query.split("&") if pair),
        route_params={"id": words[1]} if len(words) > 1 else {},
        body=b"" if body is None else json.dumps(body).encode(),
    )
    answer = function(request)
    content = answer.get_body()
    return answer.status_code, json.loads(content) if content else None, dict(answer.headers)


def deliver(name: str) -> None:
    body = (PAYLOADS / name).read_bytes()
    assert send(body=body, aeg_event_type="Notification", Authorization=AUTHORIZATION).status_code == 200
    settle(bootstrap.gathered_outbox())


def test_a_ticket_is_listed_shown_changed_and_noted(desk: None) -> None:
    deliver("secret_near_expiry.json")
    status, page, _ = call(api_tickets.list_tickets, "GET", "tickets?priority=medium&order=expiry")
    assert (status, len(page["items"]), page["next"]) == (200, 1, None)
    ticket_id = page["items"][0]["id"]
    status, shown, headers = call(api_tickets.show_ticket, "GET", f"tickets/{ticket_id}")
    assert (status, shown["status"], len(shown["notes"]), headers["ETag"]) == (200, "open", 1, f'"{shown["etag"]}"')
    change = {"status": "on_hold", "note": "Waiting for the supplier."}
    status, changed, _ = call(
        api_tickets.change_ticket, "PATCH", f"tickets/{ticket_id}", change, If_Match=shown["etag"]
    )
    assert (status, changed["status"]) == (200, "on_hold")
    assert {note["author"] for note in changed["notes"]} == {"Key Vault event", "the-administrator"}
    status, refused, _ = call(
        api_tickets.change_ticket, "PATCH", f"tickets/{ticket_id}", change, If_Match=shown["etag"]
    )
    assert (status, refused["reason"], refused["present_version"]) == (412, "changed_meanwhile", changed["etag"])
    status, note, _ = call(api_tickets.add_ticket_note, "POST", f"tickets/{ticket_id}/notes", {"text": "Done."})
    assert (status, note["text"]) == (201, "Done.")
    deliver("secret_expired.json")
    shown = call(api_tickets.show_ticket, "GET", f"tickets/{ticket_id}")[1]
    assert (shown["status"], shown["priority"]) == ("on_hold", "high")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"status": "nonsense"}, "status"),
        ({"nobody": 1}, "nobody"),
        ({"snoozed_until": "2026-12-01T00:00:00"}, "snoozed_until"),
        ({"snoozed_until": "9999-12-31T23:59:59-12:00"}, "snoozed_until"),
        ({"team": ""}, "team"),
        ([], ""),
    ],
)
def test_a_change_that_means_nothing_is_refused_with_its_path(desk: None, body: Any, path: str) -> None:
    deliver("secret_near_expiry.json")
    ticket_id = call(api_tickets.list_tickets, "GET", "tickets")[1]["items"][0]["id"]
    status, problem, _ = call(api_tickets.change_ticket, "PATCH", f"tickets/{ticket_id}", body, If_Match="*")
    assert (status, [fault["path"] for fault in problem["faults"]]) == (400, [path])


def test_a_quarantined_event_is_seen_and_recorded_once_its_vault_is_allowed(desk: None) -> None:
    deliver("secret_near_expiry_of_a_vault_not_allowed.json")
    item = call(api_event_recovery.list_quarantine, "GET", "quarantine")[1]["items"][0]
    assert item["reason"] == "vault_not_allowed"
    shown = call(api_event_recovery.show_quarantined, "GET", f"quarantine/{item['id']}")[1]
    topic = shown["event"]["topic"]
    status, replayed, _ = call(api_event_recovery.replay_quarantined, "POST", f"quarantine/{item['id']}/replay")
    assert (status, replayed["recorded"], replayed["reason"]) == (200, False, "vault_not_allowed")
    allowed = settings(allowed_vaults=[{"name": topic.rsplit("/", 1)[-1]}])
    bootstrap.settings().put("key-vault-events", "default", allowed, by="test", if_match="*")
    status, replayed, _ = call(api_event_recovery.replay_quarantined, "POST", f"quarantine/{item['id']}/replay")
    assert (status, replayed["recorded"]) == (200, True)
    assert call(api_event_recovery.list_quarantine, "GET", "quarantine")[1]["items"] == []
    assert call(api_event_recovery.show_quarantined, "GET", f"quarantine/{item['id']}")[0] == 404
    settle(bootstrap.gathered_outbox())
    kinds = [one["kind"] for one in call(api_tickets.list_tickets, "GET", "tickets")[1]["items"]]
    # That something was kept is a ticket too, until housekeeping finds that nothing is.
    assert sorted(kinds) == ["expiry", "quarantine"]


def test_dead_letters_are_listed_and_replayed_by_call_and_by_timer(desk: None, storage: Storage) -> None:
    from azure.storage.blob import ContainerClient

    with ContainerClient.from_connection_string(storage.connection_string, "event-grid-dead-letters") as container:
        container.create_container()
        for name in ("dead_letter_of_three.json", "dead_letter_cloud_event.json"):
            container.upload_blob(name, (PAYLOADS / name).read_bytes())
        listed = call(api_event_recovery.list_dead_letters, "GET", "dead-letters?limit=1")[1]
        assert (len(listed["items"]), listed["next"] is None) == (1, False)
        status, replayed, _ = call(api_event_recovery.replay_dead_letters, "POST", "dead-letters/replay")
        assert (status, replayed) == (200, {"blobs": 2, "recorded": 4, "quarantined": 0, "more": False})
        container.upload_blob("later.json", (PAYLOADS / "dead_letter_of_three.json").read_bytes())
        ticket_schedules.record_dead_letters(Timer())
        assert list(container.list_blobs()) == []


def test_a_sweep_of_a_vault_without_a_store_is_refused_and_of_all_is_empty(desk: None) -> None:
    messages = Sent()
    start = partial(api_sweeps.sweep_vaults_now, messages=messages)
    status, problem, _ = call(start, "POST", "sweeps", {"vaults": ["acorn-vault"]})
    assert (status, problem["reason"], messages.value) == (409, "vault_not_swept", None)
    status, sweep, headers = call(start, "POST", "sweeps", {"vaults": "all"})
    assert (status, sweep["state"], sweep["vaults"]) == (202, "running", "all")
    assert headers["Location"] == f"/api/v1/sweeps/{sweep['id']}"
    waiting = list(messages.value)
    sweeps.sweep_vaults(Timer(), messages)
    waiting += messages.value
    while waiting:
        sent = Sent()
        sweeps.sweep_vault(QueueMessage(body=waiting.pop().encode()), sent)
        waiting += sent.value or []
    found = call(api_sweeps.list_sweeps, "GET", "sweeps")[1]["items"]
    assert [(one["state"], one["done"]) for one in found] == [("finished", 0), ("finished", 0)]
    shown = call(api_sweeps.show_sweep, "GET", f"sweeps/{sweep['id']}")[1]
    assert shown == {**next(one for one in found if one["id"] == sweep["id"]), "items": [], "next": None}
    vaults = call(api_sweeps.list_vaults, "GET", "vaults")[1]["items"]
    assert [(one["name"], one["store"], one["tried_at"]) for one in vaults] == [("acorn-vault", None, None)]
    ticket_schedules.remove_old_ticket_rows(Timer())
