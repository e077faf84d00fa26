"""Queue: a part that failed for good is recorded in its run, never lost silently."""

import logging

import azure.functions as func

from shared import bootstrap
from shared.errors import InvalidInputError
from shared.storage.names import IMPORT_PARTS_POISON_QUEUE

logger = logging.getLogger(__name__)

poison = func.Blueprint()


@poison.queue_trigger("message", queue_name=IMPORT_PARTS_POISON_QUEUE, connection="AzureWebJobsStorage")
def fail_import_part(message: func.QueueMessage) -> None:
    """Fail the part of a message that the queue gave up on."""
    from shared.imports.runs.runner import to_message

    try:
        part = to_message(message.get_json())
    except (InvalidInputError, ValueError):
        # No run can show it: somebody else put it there. Raising would only bring it back.
        logger.exception("The poison queue held a message that is no part of a run: id %s.", message.id)
        return
    bootstrap.imports().fail_part(part)
