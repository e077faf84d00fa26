"""The queue triggers as the Functions worker calls them, on the real storage emulator."""

import base64
import json
from collections.abc import Iterator

import azure.functions as func
import pytest
from azure.storage.queue import QueueClient

from functions.key_vault_event_queue import quarantine_key_vault_event, record_key_vault_event
from lab.emulators.event_grid.destinations import StorageQueue
from shared import bootstrap
from shared.errors import MisconfiguredError
from shared.storage.names import EVENTS_QUEUE
from shared.storage.tables import partition, row_key_prefix, scan
from tests.storage_emulator import Storage
from tests.tickets.desk import PAYLOADS, ingest_afterwards, settings

CONTENT = base64.b64decode((PAYLOADS / "storage_queue_message.txt").read_text("ascii"))
STORE = {"vault_url": "https://deskbridge-vault.vault.azure.net", "method": "system_assigned"}


@pytest.fixture
def empty_desk(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AzureWebJobsStorage", storage.connection_string)
    bootstrap.reset()
    ingest_afterwards()
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


def test_event_grids_delivery_to_a_storage_queue_arrives_as_a_ticket(empty_desk: None, storage: Storage) -> None:
    """The lab's Event Grid writes into the emulator's queue, as Event Grid does with its topic's identity."""
    configure()
    with QueueClient.from_connection_string(storage.connection_string, EVENTS_QUEUE) as queue:
        queue.create_queue()
        destination = StorageQueue(storage.connection_string, EVENTS_QUEUE)
        answer = destination.deliver([json.loads(CONTENT)], earlier_attempts=0)
        destination.close()
        assert answer.status == 201
        (received,) = queue.receive_messages()
    # The host takes the Base64 off, as `messageEncoding` of host.json says.
    record_key_vault_event(func.QueueMessage(id=received.id, body=base64.b64decode(received.content)))
    assert len(rows("acorn-vault", "ticket:")) == 1
