"""What both webhooks answer: anybody can call them, so a refusal says no more than its reason until it is known who."""

import logging
from collections.abc import Callable
from typing import TypeVar

import azure.functions as func

from functions.http.answers import webhook_problem
from shared.errors import DeskbridgeError, TryLaterError
from shared.reasons import Reason

logger = logging.getLogger(__name__)

T = TypeVar("T")


def answer_webhook(
    name: str, allowed_methods: str, known: frozenset[int], handle: Callable[[], func.HttpResponse]
) -> func.HttpResponse:
    """The answer of `handle`, or its refusal with one of the `known` statuses; 503 stands for all others.

    Each sender repeats a delivery that is answered with 503, and so nothing is lost by what is wrong here.
    """
    from shared.access.strangers import REFUSALS

    try:
        return handle()
    except DeskbridgeError as error:
        refusal = webhook_problem(error, allowed_methods=allowed_methods, known=known)
        # One without words was logged where it was raised.
        if error.message:
            level = logging.ERROR if refusal.status_code == 503 else logging.WARNING
            REFUSALS.note(f"{name} answers {refusal.status_code}", error, level)
        return refusal
    except Exception:
        # The next deployment may repair a bug, and a sender drops what it is told to be wrong.
        logger.exception("%s met a bug; the sender is asked to send the delivery again.", name)
        bug = TryLaterError(Reason.INTERNAL, "Something is wrong here.")
        return webhook_problem(bug, allowed_methods=allowed_methods, known=known)
