"""Timer of the desk's own conditions: what was reported is proved again, and what is over ends."""

import azure.functions as func

from shared import bootstrap

conditions = func.Blueprint()


@conditions.timer_trigger("timer", "%DESKBRIDGE_HOUSEKEEPING_SCHEDULE%", run_on_startup=False, use_monitor=True)
def prove_conditions(timer: func.TimerRequest) -> None:
    """Look for what is wrong with the desk: each is a ticket, which ends by itself."""
    del timer
    bootstrap.condition_checks().prove()
