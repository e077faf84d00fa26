"""Triggers: translate in, call one service method, translate out."""

import azure.functions as func

from shared.log_lines import keep_log_lines_whole


def blueprints() -> tuple[func.Blueprint, ...]:
    """Every blueprint of the app. From here on, what a trigger logs is a line, whatever came from outside."""
    keep_log_lines_whole()
    return (*_of_http(), *_of_queues_and_timers())


def _of_http() -> tuple[func.Blueprint, ...]:
    from functions import (
        api_assets,
        api_audit,
        api_calendar,
        api_credentials,
        api_event_recovery,
        api_exports,
        api_health,
        api_objects,
        api_openapi,
        api_runs,
        api_settings,
        api_summary,
        api_sweeps,
        api_tickets,
        api_tokens,
        api_users,
        authrocket_webhook,
        console_files,
        key_vault_events,
    )

    return (
        api_settings.settings_api,
        api_credentials.credentials_api,
        api_health.health_api,
        api_openapi.openapi_api,
        api_tokens.tokens_api,
        api_summary.summary_api,
        api_exports.exports_api,
        api_calendar.calendar_api,
        key_vault_events.key_vault_events,
        api_tickets.tickets_api,
        api_objects.objects_api,
        api_event_recovery.event_recovery_api,
        api_sweeps.sweeps_api,
        api_runs.runs_api,
        api_assets.assets_api,
        api_users.users_api,
        authrocket_webhook.authrocket_webhook,
        api_audit.audit_api,
        console_files.console_files,
    )


def _of_queues_and_timers() -> tuple[func.Blueprint, ...]:
    from functions import (
        conditions,
        import_parts,
        import_schedules,
        key_vault_event_queue,
        outbox,
        poison,
        sweeps,
        ticket_schedules,
    )

    return (
        ticket_schedules.ticket_schedules,
        key_vault_event_queue.key_vault_event_queue,
        import_schedules.import_schedules,
        conditions.conditions,
        import_parts.import_parts,
        poison.poison,
        outbox.outbox,
        sweeps.sweeps,
    )
