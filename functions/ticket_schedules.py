"""Timers of tickets: the removal of what is old, and the replay of dead letters."""

import logging

import azure.functions as func

from shared import bootstrap

logger = logging.getLogger(__name__)

ticket_schedules = func.Blueprint()


@ticket_schedules.timer_trigger("timer", "%DESKBRIDGE_SWEEP_SCHEDULE%", run_on_startup=False, use_monitor=True)
def remove_old_ticket_rows(timer: func.TimerRequest) -> None:
    """Remove receipts after 30 days and quarantined events after 90; end tickets that were left alone for long."""
    del timer
    ended = bootstrap.ticket_aging().end_old()
    logger.info("%d tickets had been left alone for long, and were resolved.", ended)
    removed = bootstrap.ticket_housekeeping().remove_old()
    logger.info("%d old rows of the ticket table were removed.", removed)


@ticket_schedules.timer_trigger("timer", "%DESKBRIDGE_HOUSEKEEPING_SCHEDULE%", run_on_startup=False, use_monitor=True)
def record_dead_letters(timer: func.TimerRequest) -> None:
    """Record what Event Grid gave up on, unless the settings say to keep it for an operator."""
    del timer
    configuration = bootstrap.ticket_configuration()()
    if configuration is not None and configuration.document.dead_letters == "replay":
        bootstrap.dead_letters().replay()
