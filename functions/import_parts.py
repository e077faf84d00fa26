"""Queue: one part of an import."""

import azure.functions as func

from functions.import_schedules import send
from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.storage.names import IMPORT_PARTS_QUEUE

import_parts = func.Blueprint()


@import_parts.queue_trigger("message", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
@import_parts.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
def import_part(message: func.QueueMessage, messages: QueueMessages) -> None:
    """Do one part. What it raises, the queue gives again, and at last to the poison queue."""
    from shared.imports.runs.runner import to_message

    part = to_message(message.get_json())
    send(messages, bootstrap.imports().do_part(part, redelivered=(message.dequeue_count or 1) > 1))
