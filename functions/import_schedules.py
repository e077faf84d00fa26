"""Timers of imports: one a source, which starts the imports of all its documents, and housekeeping of runs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import azure.functions as func

from functions.http.endpoints import named
from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.bootstrap.sources import SOURCES
from shared.imports.registration import RegisteredSource
from shared.storage.names import IMPORT_PARTS_QUEUE

import_schedules = func.Blueprint()

# The next turn is a day away: storage that does not answer must not cost that day.
_RETRY: dict[str, Any] = {"strategy": "fixed_delay", "max_retry_count": "5", "delay_interval": "00:02:00"}


def declare_timer(blueprint: func.Blueprint, source: RegisteredSource) -> Any:
    """Make the function `import_<name>_<records>` of the blueprint."""

    @blueprint.retry(**_RETRY)
    @blueprint.timer_trigger("timer", f"%{source.schedule}%", run_on_startup=False, use_monitor=True)
    @blueprint.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
    @named(f"import_{source.name}_{source.records}")
    def start_imports(timer: func.TimerRequest, messages: QueueMessages) -> None:
        del timer
        send(messages, bootstrap.run_starter().start_scheduled(source.kind))

    return start_imports


TIMERS = {source.kind: declare_timer(import_schedules, source) for source in SOURCES}


@import_schedules.timer_trigger("timer", "%DESKBRIDGE_HOUSEKEEPING_SCHEDULE%", run_on_startup=False, use_monitor=True)
@import_schedules.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
def keep_house(timer: func.TimerRequest, messages: QueueMessages) -> None:
    """Take up stalled runs, and remove old ones."""
    del timer
    send(messages, bootstrap.run_housekeeping().run())


def send(messages: QueueMessages, parts: Sequence[Mapping[str, object]]) -> None:
    """Hand parts of a run to the queue; an empty list would be sent as a message."""
    if parts:
        messages.set([json.dumps(part) for part in parts])
