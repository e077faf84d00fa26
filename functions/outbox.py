"""Queue and timers of the outbox: what follows from changes is carried out, and found again when a message was lost.

The housekeeping of audit trail and tokens is here too.
"""

import json
import logging

import azure.functions as func

from functions.queue_messages import UNREADABLE, QueueMessages, quarantine_message
from shared import bootstrap
from shared.errors import InvalidInputError
from shared.storage.names import OUTBOX_POISON_QUEUE, OUTBOX_QUEUE

logger = logging.getLogger(__name__)

outbox = func.Blueprint()

# What the timer asks for when counts changed.
_SUM_UP = "sum-up-counts"
# The timer comes each minute.
_SECONDS_FOR_COUNTS = 50.0


@outbox.queue_trigger(
    "message", queue_name=OUTBOX_QUEUE, connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
def carry_out_follow_ups(message: func.QueueMessage) -> None:
    """Carry out what follows from one change, or in some partitions; sum up counts; compare a slice of the index. What
    it raises, the queue gives again."""
    from shared.outbox.gathered import MarkersMessage
    from shared.outbox.model import OutboxMessage

    content = message.get_json()
    if content == _SUM_UP:
        bootstrap.counts_levels().refresh(seconds=_SECONDS_FOR_COUNTS)
    elif isinstance(content, dict) and "markers" in content:
        bootstrap.gathered_outbox().carry_out(MarkersMessage.parse(content))
    elif isinstance(content, dict) and "compare" in content:
        if bootstrap.index_housekeeping().compare(str(content["compare"])):
            bootstrap.outbox_messages()(json.dumps(content))
    else:
        bootstrap.outbox().carry_out(OutboxMessage.parse(content))


@outbox.queue_trigger(
    "message", queue_name=OUTBOX_POISON_QUEUE, connection="AzureWebJobsStorage", data_type=func.DataType.BINARY
)
def drop_follow_up_message(message: func.QueueMessage) -> None:
    """Let a message go that the queue gave up on. Its entry stands in the outbox, where the timer finds it."""
    from shared.outbox.gathered import MarkersMessage
    from shared.outbox.model import OutboxMessage

    try:
        content = message.get_json()
        if content == _SUM_UP:
            logger.error("The queue gave up on summing up counts; the timer asks for it again.")
            return
        if isinstance(content, dict) and "markers" in content:
            markers = MarkersMessage.parse(content).markers
            logger.error("The queue gave up on %d markers of the outbox; the timer goes on with them.", len(markers))
            return
        if isinstance(content, dict) and "compare" in content:
            logger.error(
                "The queue gave up on comparing the index with %s; the timer begins again.", content["compare"]
            )
            return
        entry_id = OutboxMessage.parse(content).id
    except (InvalidInputError, *UNREADABLE):
        quarantine_message(OUTBOX_POISON_QUEUE, message)
        return
    logger.warning("The queue gave up on the outbox entry %s; the timer goes on with it, unless it failed.", entry_id)


@outbox.timer_trigger("timer", "%DESKBRIDGE_HOUSEKEEPING_SCHEDULE%", run_on_startup=False, use_monitor=True)
@outbox.queue_output("messages", queue_name=OUTBOX_QUEUE, connection="AzureWebJobsStorage")
def hurry_overdue_follow_ups(timer: func.TimerRequest, messages: QueueMessages) -> None:
    """Send the messages again of what should have followed by now: at most a thousand, the oldest first."""
    del timer
    overdue = bootstrap.outbox().overdue()
    if overdue:
        logger.info("%d entries of the outbox are hurried again.", len(overdue))
        messages.set([message.text for message in overdue])


@outbox.timer_trigger("timer", "%DESKBRIDGE_HOUSEKEEPING_SCHEDULE%", run_on_startup=False, use_monitor=True)
@outbox.queue_output("messages", queue_name=OUTBOX_QUEUE, connection="AzureWebJobsStorage")
def compare_index(timer: func.TimerRequest, messages: QueueMessages) -> None:
    """Begin each day to compare the index with each table, slice after slice; go on where a message was lost."""
    del timer
    due = bootstrap.index_housekeeping().due()
    if due:
        messages.set([json.dumps({"compare": name}) for name in due])


@outbox.timer_trigger("timer", "%DESKBRIDGE_OUTBOX_SCHEDULE%", run_on_startup=False, use_monitor=False)
@outbox.queue_output("messages", queue_name=OUTBOX_QUEUE, connection="AzureWebJobsStorage")
def follow_marked_partitions(timer: func.TimerRequest, messages: QueueMessages) -> None:
    """Send messages for the partitions that changed lately, whose index and counts follow, and one for what stands
    above changed counts."""
    del timer
    due = [message.text for message in bootstrap.gathered_outbox().due()]
    if bootstrap.counts_levels().any_stale():
        due.append(json.dumps(_SUM_UP))
    if due:
        messages.set(due)


@outbox.timer_trigger("timer", "%DESKBRIDGE_HOUSEKEEPING_SCHEDULE%", run_on_startup=False, use_monitor=True)
def remove_old_access_rows(timer: func.TimerRequest) -> None:
    """Remove what is kept no longer: days of the audit trail, and tokens whose end was long ago. Some thousand rows."""
    del timer
    entries = bootstrap.audit_entries().remove_old()
    tokens = bootstrap.access_tokens().remove_old()
    if entries or tokens:
        logger.info("%d old entries of the audit trail and %d old tokens were removed.", entries, tokens)
