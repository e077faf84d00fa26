"""The composition root: the only place that builds objects, each once, and the only lazy imports.

Call it through the module (`bootstrap.settings()`), so that one replacement serves a test.
"""

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared import telemetry
from shared.bootstrap.for_imports import (
    asset_desk,
    assets,
    authrocket_webhook,
    ec2,
    grant_tickets,
    identity_token,
    identity_tokens,
    imports,
    realm_source,
    realms,
    run_housekeeping,
    run_reports,
    runs,
    user_desk,
    users,
)
from shared.bootstrap.for_tickets import (
    dead_letters,
    event_grid_webhook,
    event_ingestor,
    open_grant_ticket,
    quarantine,
    queued_events,
    ticket_configuration,
    ticket_editor,
    ticket_housekeeping,
    ticket_reconciler,
    tickets,
    vault_sweep,
)
from shared.bootstrap.singleton import replace, reset, singleton, swap_instances

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.environment import Environment
    from shared.overview.exports import Exports
    from shared.overview.readiness import ReadinessChecks
    from shared.overview.summary import DeskSummary
    from shared.settings.base import SettingsDocument
    from shared.settings.store import SettingsStore
    from shared.storage.queues import Queues
    from shared.storage.tables import Tables
    from shared.vaults.checks import CredentialChecks
    from shared.vaults.credentials import VaultCredentials
    from shared.vaults.key_vault import KeyVaultClients
    from shared.vaults.usage import SecretUses

__all__ = [
    "asset_desk",
    "assets",
    "authrocket_webhook",
    "callers_are_signed_in",
    "credential_checks",
    "credentials",
    "dead_letters",
    "ec2",
    "environment",
    "event_grid_webhook",
    "event_ingestor",
    "exports",
    "grant_tickets",
    "identity_token",
    "identity_tokens",
    "imports",
    "now",
    "open_grant_ticket",
    "overview",
    "quarantine",
    "queued_events",
    "queues",
    "readiness",
    "realm_source",
    "realms",
    "replace",
    "reset",
    "run_housekeeping",
    "run_reports",
    "runs",
    "secret_uses",
    "settings",
    "storage_identity",
    "swap_instances",
    "tables",
    "ticket_configuration",
    "ticket_editor",
    "ticket_housekeeping",
    "ticket_reconciler",
    "tickets",
    "user_desk",
    "users",
    "vault_sweep",
    "vaults",
]


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


@singleton
def environment() -> "Environment":
    from shared.environment import load_environment

    # Nothing that logs or makes spans is built without it.
    loaded = load_environment(os.environ)
    telemetry.quieten_sdks()
    if loaded.flag("DESKBRIDGE_OPENTELEMETRY"):
        telemetry.turn_on()
    return loaded


@singleton
def callers_are_signed_in() -> bool:
    from shared.environment import platform_signs_in

    # Apart from the rest of the environment: who did it is asked before anything needs to be set.
    return platform_signs_in(os.environ)


@singleton
def storage_identity() -> "TokenCredential":
    from azure.identity import ManagedIdentityCredential

    # Explicit: AZURE_CLIENT_ID in the environment must not decide which identity reaches storage.
    return ManagedIdentityCredential(client_id=environment().text("AzureWebJobsStorage__clientId"))


@singleton
def tables() -> "Tables":
    from shared.storage.rest_tables import RestTables

    endpoint = environment().text("AzureWebJobsStorage__tableServiceUri")
    if endpoint is not None:
        return RestTables.from_identity(endpoint, storage_identity())
    return RestTables.from_connection_string(environment().text("AzureWebJobsStorage") or "")


@singleton
def settings() -> "SettingsStore":
    from shared.bootstrap.kinds import KINDS
    from shared.settings.store import SettingsStore
    from shared.storage.names import SETTINGS_TABLE

    def used_by(document: "SettingsDocument", name: str) -> str | None:
        from shared.bootstrap.record_usage import RecordUses

        return RecordUses({"assets": assets(), "users": users()})(document, name)

    return SettingsStore(tables().table(SETTINGS_TABLE), KINDS, now, used_by=used_by, clock=time.monotonic)


@singleton
def vaults() -> "KeyVaultClients":
    from shared.vaults.key_vault import KeyVaultClients

    return KeyVaultClients(environment())


@singleton
def credentials() -> "VaultCredentials":
    from shared.vaults.credentials import VaultCredentials

    return VaultCredentials(settings(), vaults(), now, time.monotonic)


@singleton
def credential_checks() -> "CredentialChecks":
    from shared.vaults.checks import CredentialChecks

    return CredentialChecks(settings(), vaults(), now)


@singleton
def secret_uses() -> "SecretUses":
    from shared.vaults.usage import SecretUses

    return SecretUses(settings())


@singleton
def queues() -> "Queues":
    from shared.storage.queues import Queues

    endpoint = environment().text("AzureWebJobsStorage__queueServiceUri")
    if endpoint is not None:
        return Queues.from_identity(endpoint, storage_identity())
    return Queues.from_connection_string(environment().text("AzureWebJobsStorage") or "", now)


@singleton
def overview() -> "DeskSummary":
    from shared.overview.summary import DeskSummary
    from shared.storage.names import ASSETS_TABLE, RUNS_TABLE, USERS_TABLE

    table = tables().table
    assets_table, users_table, runs_table = table(ASSETS_TABLE), table(USERS_TABLE), table(RUNS_TABLE)
    return DeskSummary(tickets(), assets_table, users_table, runs(), run_housekeeping(), runs_table, now)


@singleton
def exports() -> "Exports":
    from shared.overview.exports import Exports

    return Exports(tickets(), assets(), users(), settings())


@singleton
def readiness() -> "ReadinessChecks":
    from shared.overview.readiness import ReadinessChecks

    return ReadinessChecks(tables(), queues, settings(), credential_checks, run_housekeeping, now)
