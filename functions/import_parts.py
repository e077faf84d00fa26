"""Queue: one part of an import."""

import threading

import azure.functions as func

from functions.import_schedules import send
from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.storage.names import IMPORT_PARTS_QUEUE

import_parts = func.Blueprint()

# host.json has one bound for all queues, and it is made for vaults and events. The bench holds a part to 16 MB and 300
# bytes a row: four of a million rows each take 1.3 GB of an instance's 2,048 MB, host and worker 350 MB.
PARTS_AT_ONCE = 4
_ROOM = threading.BoundedSemaphore(PARTS_AT_ONCE)
_WAIT_SECONDS = 20


@import_parts.queue_trigger(
    "message", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
@import_parts.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
def import_part(message: func.QueueMessage, messages: QueueMessages) -> None:
    """Do one part. What it raises, the queue gives again, and at last to the poison queue."""
    from shared.imports.runs.runner import to_message

    part = to_message(message.get_json())
    if not _ROOM.acquire(timeout=_WAIT_SECONDS):
        # Another instance may have room: the message goes to the queue's end, and counts no failure.
        send(messages, [part])
        return
    try:
        send(messages, bootstrap.imports().do_part(part, redelivered=(message.dequeue_count or 1) > 1))
    finally:
        _ROOM.release()
