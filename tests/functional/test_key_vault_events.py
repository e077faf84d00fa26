"""The webhook as the Functions worker calls it, on the real storage emulator, with settings written by an operator."""

import json
from collections.abc import Iterator

import azure.functions as func
import pytest

from functions.key_vault_events import receive_key_vault_events
from shared import bootstrap
from shared.storage.tables import partition, row_key_prefix, scan
from tests.storage_emulator import Storage
from tests.tickets.desk import AUTHORIZATION, PASSWORD, PAYLOADS, USERNAME, Passwords, ingest_afterwards, settings

STORE = {"vault_url": "https://deskbridge-vault.vault.azure.net", "method": "system_assigned"}
CREDENTIAL = {"store": "own", "secret": "key-vault-webhook", "scope": "any"}


class _Passwords(Passwords):
    def secret_changed(self, vault: str, secret: str) -> None:
        self.held.clear()


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


def send(method: str = "POST", body: bytes = b"", **headers: str) -> func.HttpResponse:
    request = func.HttpRequest(
        method=method,
        url="https://desk.example/api/events/key-vault",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body,
    )
    answer: func.HttpResponse = receive_key_vault_events(request)
    return answer


def test_a_delivery_becomes_a_ticket_in_the_table(desk: None) -> None:  # KV-02, KV-03
    body = (PAYLOADS / "batch_life_of_one_secret.json").read_bytes()
    for _ in range(2):
        answer = send(body=body, aeg_event_type="Notification", Authorization=AUTHORIZATION)
        assert (answer.status_code, json.loads(answer.get_body())) == (200, {"recorded": 4, "quarantined": 0})
    table = bootstrap.tickets().table
    tickets = list(scan(table, [partition("acorn-vault"), *row_key_prefix("ticket:")]))
    assert sorted((row.text("kind"), row.text("status")) for row in tickets) == [
        ("expiry", "resolved"),
        ("new_version", "open"),
        ("new_version", "resolved"),
    ]


def test_both_handshakes_are_answered(desk: None) -> None:  # KV-15
    body = (PAYLOADS / "subscription_validation.json").read_bytes()
    answer = send(body=body, aeg_event_type="SubscriptionValidation", aeg_subscription_name="DESKBRIDGE-KV")
    assert answer.status_code == 200
    assert json.loads(answer.get_body()) == {"validationResponse": "512D38B6-0000-4000-8000-FA4E00C0DE00"}
    consent = send("OPTIONS", WebHook_Request_Origin="eventgrid.azure.net")
    assert consent.status_code == 200
    assert consent.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    assert consent.headers["Allow"] == "POST, OPTIONS"


def test_a_stranger_is_refused_and_every_other_method_too(desk: None) -> None:  # KV-14
    assert send(body=b"[]", aeg_event_type="Notification").status_code == 401
    for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD"):
        answer = send(method, Authorization=AUTHORIZATION)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")
