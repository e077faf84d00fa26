"""Triggers: translate in, call one service method, translate out."""

import gc
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import azure.functions as func


def blueprints() -> tuple[func.Blueprint, ...]:
    """Every blueprint of the app."""
    # What the host's library has loaded stays for good: to look through it for garbage takes longer than all of this.
    gc.freeze()
    with _signatures_read_once():
        return _declared()


@contextmanager
def _signatures_read_once() -> Iterator[None]:
    """While functions are declared, the library gets each signature from memory when it has read it before.

    It reads that of a binding's class anew for every binding: for so many functions, half of what declaring them costs.
    """
    library = sys.modules.get("azure.functions.decorators.utils")
    # The worker may bring a release that does it in another way: then it costs what it costs.
    if library is None or vars(library).get("inspect") is not inspect:
        yield
        return
    known: dict[int, tuple[object, inspect.Signature]] = {}

    def signature(of: Any, *how: Any, **further: Any) -> inspect.Signature:
        if how or further:
            return inspect.signature(of, *how, **further)
        # By identity, whatever the object thinks equal to itself; kept, so that no other one takes its number.
        found = known.get(id(of))
        if found is None:
            found = known[id(of)] = of, inspect.signature(of)
        return found[1]

    remembering = ModuleType("inspect")
    vars(remembering).update({**vars(inspect), "signature": signature})
    vars(library)["inspect"] = remembering
    try:
        yield
    finally:
        vars(library)["inspect"] = inspect


def _declared() -> tuple[func.Blueprint, ...]:
    from functions import (
        api_assets,
        api_calendar,
        api_credentials,
        api_event_recovery,
        api_exports,
        api_health,
        api_openapi,
        api_runs,
        api_settings,
        api_summary,
        api_tickets,
        api_users,
        authrocket_webhook,
        import_parts,
        import_schedules,
        key_vault_event_queue,
        key_vault_events,
        poison,
        ticket_schedules,
    )

    return (
        api_settings.settings_api,
        api_credentials.credentials_api,
        api_health.health_api,
        api_openapi.openapi_api,
        api_summary.summary_api,
        api_exports.exports_api,
        api_calendar.calendar_api,
        key_vault_events.key_vault_events,
        api_tickets.tickets_api,
        api_event_recovery.event_care_api,
        ticket_schedules.ticket_schedules,
        key_vault_event_queue.key_vault_event_queue,
        api_runs.runs_api,
        api_assets.assets_api,
        api_users.users_api,
        authrocket_webhook.authrocket_webhook,
        import_schedules.import_schedules,
        import_parts.import_parts,
        poison.poison,
    )
