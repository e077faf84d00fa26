"""Delivery to a storage queue instead of a webhook."""

import base64
import json

from azure.storage.queue import QueueClient

from lab.emulators.event_grid import EventGrid, EventSubscription, RetryPolicy, Schema, StorageQueue, make_event
from tests.storage_emulator import Storage

SPEED = 1_000_000.0


def grid_for(queue: StorageQueue, schema: Schema = Schema.EVENT_GRID, max_attempts: int = 30) -> EventGrid:
    subscription = EventSubscription(queue.url, schema=schema, retry=RetryPolicy(max_attempts))
    return EventGrid(subscription, speed=SPEED, destination=queue)


def test_each_event_is_one_message_of_base64(storage: Storage) -> None:
    events = [make_event("SecretExpired", vault="acorn-vault", name=name) for name in ("one", "two")]
    with QueueClient.from_connection_string(storage.connection_string, "key-vault-events") as reader:
        reader.create_queue()
        for schema in Schema:
            with grid_for(StorageQueue(storage.connection_string, "key-vault-events"), schema) as grid:
                assert grid.subscribe().accepted
                assert grid.deliver(events).all_delivered
            contents = [message.content for message in reader.receive_messages(max_messages=10)]
            assert [json.loads(base64.b64decode(text)) for text in contents] == [e.to_json(schema) for e in events]


def test_a_queue_that_does_not_exist_is_a_failure_that_is_tried_again(storage: Storage) -> None:
    with grid_for(StorageQueue(storage.connection_string, "nowhere"), max_attempts=2) as grid:
        report = grid.deliver([make_event("SecretExpired", vault="acorn-vault", name="one")])
    assert report.events[0].statuses == [404, 404]
    assert [event.reason for event in report.dropped] == ["MaxDeliveryAttemptsExceeded"]
    # The answer names what is missing, and no more of the storage account than that.
    assert report.events[0].attempts[0].said == "QueueNotFound"


def test_an_event_over_the_size_of_a_queue_message_is_refused_for_good(storage: Storage) -> None:
    with grid_for(StorageQueue(storage.connection_string, "any-queue")) as grid:
        report = grid.deliver([{"id": "1", "data": "x" * 60_000}])
    assert report.events[0].statuses == [413]
