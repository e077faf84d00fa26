"""Queue: a part that failed for good is recorded in its run, never lost silently."""

import azure.functions as func

from functions.import_schedules import send
from functions.queue_messages import UNREADABLE, QueueMessages, quarantine_message
from shared import bootstrap
from shared.errors import InvalidInputError
from shared.storage.names import IMPORT_PARTS_POISON_QUEUE, IMPORT_PARTS_QUEUE

poison = func.Blueprint()


@poison.queue_trigger(
    "message", queue_name=IMPORT_PARTS_POISON_QUEUE, connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
@poison.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
def fail_import_part(message: func.QueueMessage, messages: QueueMessages) -> None:
    """Fail the part of a message that the queue gave up on."""
    from shared.imports.runs.runner import to_message

    try:
        part = to_message(message.get_json())
    except (InvalidInputError, *UNREADABLE):
        quarantine_message(IMPORT_PARTS_POISON_QUEUE, message)
        return
    send(messages, bootstrap.imports().fail_part(part))
