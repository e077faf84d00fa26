"""Timers and queue of sweeps: the daily one, the step of each message, and those that failed for good."""

from typing import Any

import azure.functions as func

from functions.queue_messages import UNREADABLE, QueueMessages, quarantine_message
from shared import bootstrap
from shared.errors import InvalidInputError
from shared.storage.names import SWEEPS_POISON_QUEUE, SWEEPS_QUEUE

sweeps = func.Blueprint()

# The next turn is a day away: storage that does not answer must not cost that day.
_RETRY: dict[str, Any] = {"strategy": "fixed_delay", "max_retry_count": "5", "delay_interval": "00:02:00"}


@sweeps.retry(**_RETRY)
@sweeps.timer_trigger("timer", "%DESKBRIDGE_SWEEP_SCHEDULE%", run_on_startup=False, use_monitor=True)
@sweeps.queue_output("messages", queue_name=SWEEPS_QUEUE, connection="AzureWebJobsStorage")
def sweep_vaults(timer: func.TimerRequest, messages: QueueMessages) -> None:
    """Start the daily sweep of all vaults; the queue carries it out."""
    del timer
    from shared.tickets.inbound.sweep_starts import BY_TIMER

    _, first = bootstrap.sweeps().start(None, BY_TIMER)
    messages.set(first)


@sweeps.timer_trigger("timer", "%DESKBRIDGE_HOUSEKEEPING_SCHEDULE%", run_on_startup=False, use_monitor=True)
@sweeps.queue_output("messages", queue_name=SWEEPS_QUEUE, connection="AzureWebJobsStorage")
def resume_sweeps(timer: func.TimerRequest, messages: QueueMessages) -> None:
    """Take up sweeps that lost their messages, start one that the timer could not, and remove old ones."""
    del timer
    _send(messages, bootstrap.sweeps().resume())


@sweeps.queue_trigger(
    "message", queue_name=SWEEPS_QUEUE, connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
@sweeps.queue_output("messages", queue_name=SWEEPS_QUEUE, connection="AzureWebJobsStorage")
def sweep_vault(message: func.QueueMessage, messages: QueueMessages) -> None:
    """Read some of one vault, or send messages of further vaults. What it raises, the queue gives again."""
    _send(messages, bootstrap.sweeps().do(message.get_body().decode("utf-8", "replace")))


@sweeps.queue_trigger(
    "message", queue_name=SWEEPS_POISON_QUEUE, connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
def fail_vault_sweep(message: func.QueueMessage) -> None:
    """Record in the sweep that the queue gave up on a vault."""
    try:
        bootstrap.sweeps().give_up(message.get_body().decode("utf-8", "replace"))
    except (InvalidInputError, *UNREADABLE):
        quarantine_message(SWEEPS_POISON_QUEUE, message)


def _send(messages: QueueMessages, texts: list[str]) -> None:
    """An empty list would be sent as a message."""
    if texts:
        messages.set(texts)
