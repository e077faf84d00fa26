"""Queue: Key Vault events without a public endpoint, and those of them that failed for good."""

import azure.functions as func

from shared import bootstrap
from shared.storage.names import EVENTS_POISON_QUEUE, EVENTS_QUEUE

key_vault_event_queue = func.Blueprint()


@key_vault_event_queue.queue_trigger(
    "message", queue_name=EVENTS_QUEUE, connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
def record_key_vault_event(message: func.QueueMessage) -> None:
    """Record one event. What it raises, the queue gives again, and at last to the poison queue."""
    bootstrap.queued_events().record(message.get_body())


@key_vault_event_queue.queue_trigger(
    "message", queue_name=EVENTS_POISON_QUEUE, connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
def quarantine_key_vault_event(message: func.QueueMessage) -> None:
    """Keep an event that the queue gave up on where an operator sees it and can replay it."""
    bootstrap.queued_events().give_up(message.get_body())
