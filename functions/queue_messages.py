"""Queue messages: the type of an output that sends several, and what becomes of a message that is nobody's."""

import logging
from typing import List  # noqa: UP035 - see below

import azure.functions as func

from shared import bootstrap

logger = logging.getLogger(__name__)

# The worker's runtime library refuses to load a function whose output says `list[str]`: it only knows typing.List.
QueueMessages = func.Out[List[str]]  # noqa: UP006
# What reading a message as JSON raises, whatever its bytes are.
UNREADABLE = (ValueError, RecursionError)


def quarantine_message(queue: str, message: func.QueueMessage) -> None:
    """Keep what the queue gave up on and nobody can take up: somebody else put it there. Raising would only bring it
    back."""
    from shared.reasons import Reason
    from shared.tickets.inbound.quarantine import text_of_bytes

    logger.error("The queue %s held a message that is not of its kind, now in the quarantine: %s.", queue, message.id)
    content = {"queue": queue, **text_of_bytes(message.get_body())}
    bootstrap.quarantine().keep(
        content, Reason.BODY_NOT_READABLE, f"The queue {queue} held it, and it is no message of that queue."
    )
