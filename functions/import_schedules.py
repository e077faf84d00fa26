"""Timers of imports: the daily imports of every tenant and of every realm, and housekeeping of runs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import azure.functions as func

from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.storage.names import IMPORT_PARTS_QUEUE

import_schedules = func.Blueprint()

# The next turn is a day away: storage that does not answer must not cost that day.
_RETRY: dict[str, Any] = {"strategy": "fixed_delay", "max_retry_count": "5", "delay_interval": "00:02:00"}


@import_schedules.retry(**_RETRY)
@import_schedules.timer_trigger("timer", "%DESKBRIDGE_EC2_SCHEDULE%", run_on_startup=False, use_monitor=True)
@import_schedules.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
def import_ec2_assets(timer: func.TimerRequest, messages: QueueMessages) -> None:
    """Start the import of every AWS tenant whose schedule is on."""
    del timer
    send(messages, bootstrap.imports().start_scheduled("aws-tenants"))


@import_schedules.retry(**_RETRY)
@import_schedules.timer_trigger("timer", "%DESKBRIDGE_AUTHROCKET_SCHEDULE%", run_on_startup=False, use_monitor=True)
@import_schedules.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
def import_authrocket_users(timer: func.TimerRequest, messages: QueueMessages) -> None:
    """Start the import of every AuthRocket realm whose schedule is on."""
    del timer
    send(messages, bootstrap.imports().start_scheduled("authrocket-realms"))


@import_schedules.timer_trigger("timer", "%DESKBRIDGE_HOUSEKEEPING_SCHEDULE%", run_on_startup=False, use_monitor=True)
@import_schedules.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
def keep_house(timer: func.TimerRequest, messages: QueueMessages) -> None:
    """Take up stalled runs, remove old ones, and warn of imports that are overdue."""
    del timer
    send(messages, bootstrap.run_housekeeping().keep())


def send(messages: QueueMessages, parts: Sequence[Mapping[str, object]]) -> None:
    """Hand parts of a run to the queue; an empty list would be sent as a message."""
    if parts:
        messages.set([json.dumps(part) for part in parts])
