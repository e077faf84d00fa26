"""The queue triggers as the Functions worker calls them, on the real storage emulator."""

import base64
from collections.abc import Iterator

import azure.functions as func
import pytest

from functions.key_vault_event_queue import quarantine_key_vault_event, record_key_vault_event
from shared import bootstrap
from shared.errors import MisconfiguredError
from shared.storage.rows import partition, row_key_prefix
from shared.storage.tables import scan
from tests.storage_emulator import Storage
from tests.tickets.desk import PAYLOADS, settings

CONTENT = base64.b64decode((PAYLOADS / "storage_queue_message.txt").read_text("ascii"))
STORE = {"vault_url": "https://deskbridge-vault.vault.azure.net", "method": "system_assigned"}


@pytest.fixture
def empty_desk(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AzureWebJobsStorage", storage.connection_string)
    bootstrap.reset()
    yield
    bootstrap.reset()


def configure() -> None:
    store = bootstrap.settings()
    store.put("credential-stores", "own", STORE, by="test")
    store.put("credentials", "webhook", {"store": "own", "secret": "x", "scope": "any"}, by="test")
    store.put("key-vault-events", "default", settings(), by="test")


def rows(partition_key: str, prefix: str) -> list[str]:
    found = scan(bootstrap.tickets().table, [partition(partition_key), *row_key_prefix(prefix)])
    return [row.row_key for row in found]


def test_a_queue_message_becomes_a_ticket_without_any_password(empty_desk: None) -> None:
    configure()
    for _ in range(2):
        record_key_vault_event(func.QueueMessage(id="1", body=CONTENT))
    assert len(rows("acorn-vault", "ticket:")) == 1


def test_a_message_of_the_poison_queue_is_quarantined(empty_desk: None) -> None:
    with pytest.raises(MisconfiguredError):
        record_key_vault_event(func.QueueMessage(id="1", body=CONTENT))
    quarantine_key_vault_event(func.QueueMessage(id="1", body=CONTENT))
    assert len(rows("quarantine:", "item:")) == 1
