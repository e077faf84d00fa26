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
    ec2,
    ec2_source,
    following,
    grant_tickets,
    identity_token,
    identity_tokens,
    imports,
    realm_source,
    realms,
    run_keeper,
    run_reports,
    runs,
    user_desk,
    users,
)
from shared.bootstrap.for_tickets import (
    dead_letters,
    open_grant_ticket,
    quarantine,
    queued_events,
    recording,
    settling,
    sweeping,
    ticket_configuration,
    ticket_desk,
    ticket_housekeeping,
    tickets,
)
from shared.bootstrap.once import exchange, once, replace, reset

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.environment import Environment
    from shared.overview.counting import Overview
    from shared.overview.exporting import Exports
    from shared.overview.readiness import ReadinessChecks
    from shared.settings.documents.base import SettingsDocument
    from shared.settings.store import SettingsStore
    from shared.storage.queues import Queues
    from shared.storage.tables import Tables
    from shared.vaults.checking import Checks
    from shared.vaults.key_vault import KeyVaults
    from shared.vaults.reading import VaultCredentials
    from shared.vaults.usage import SecretUses

__all__ = [
    "asset_desk",
    "assets",
    "callers_are_signed_in",
    "credential_checks",
    "credentials",
    "dead_letters",
    "ec2",
    "ec2_source",
    "environment",
    "exchange",
    "exports",
    "following",
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
    "recording",
    "replace",
    "reset",
    "run_keeper",
    "run_reports",
    "runs",
    "secret_uses",
    "settings",
    "settling",
    "storage_identity",
    "sweeping",
    "tables",
    "ticket_configuration",
    "ticket_desk",
    "ticket_housekeeping",
    "tickets",
    "user_desk",
    "users",
    "vaults",
]


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


@once
def environment() -> "Environment":
    from shared.environment import load_environment

    # Nothing that logs or makes spans is built without it.
    loaded = load_environment(os.environ)
    telemetry.quieten_sdks()
    if loaded.flag("DESKBRIDGE_OPENTELEMETRY"):
        telemetry.turn_on()
    return loaded


@once
def callers_are_signed_in() -> bool:
    from shared.environment import platform_signs_in

    # Apart from the rest of the environment: who did it is asked before anything needs to be set.
    return platform_signs_in(os.environ)


@once
def storage_identity() -> "TokenCredential":
    from azure.identity import ManagedIdentityCredential

    # Explicit: AZURE_CLIENT_ID in the environment must not decide which identity reaches storage.
    return ManagedIdentityCredential(client_id=environment().text("AzureWebJobsStorage__clientId"))


@once
def tables() -> "Tables":
    from shared.storage.azure_tables import AzureTables
    from shared.storage.lean_tables import LeanTables

    kind = AzureTables if environment().flag("DESKBRIDGE_PLAIN_CLIENTS") else LeanTables
    endpoint = environment().text("AzureWebJobsStorage__tableServiceUri")
    if endpoint is not None:
        return kind.from_identity(endpoint, storage_identity())
    return kind.from_connection_string(environment().text("AzureWebJobsStorage") or "")


@once
def settings() -> "SettingsStore":
    from shared.settings.store import SettingsStore
    from shared.storage.names import SETTINGS_TABLE

    def used_by(document: "SettingsDocument", name: str) -> str | None:
        from shared.imports.usage import RecordUses

        return RecordUses({"assets": assets(), "users": users()})(document, name)

    return SettingsStore(tables().table(SETTINGS_TABLE), now, used_by=used_by, clock=time.monotonic)


@once
def vaults() -> "KeyVaults":
    from shared.vaults.key_vault import KeyVaults

    return KeyVaults(environment())


@once
def credentials() -> "VaultCredentials":
    from shared.vaults.reading import VaultCredentials

    return VaultCredentials(settings(), vaults(), now, time.monotonic)


@once
def credential_checks() -> "Checks":
    from shared.vaults.checking import Checks

    return Checks(settings(), vaults(), now)


@once
def secret_uses() -> "SecretUses":
    from shared.vaults.usage import SecretUses

    return SecretUses(settings())


@once
def queues() -> "Queues":
    from shared.storage.queues import Queues

    endpoint = environment().text("AzureWebJobsStorage__queueServiceUri")
    if endpoint is not None:
        return Queues.from_identity(endpoint, storage_identity())
    return Queues.from_connection_string(environment().text("AzureWebJobsStorage") or "", now)


@once
def overview() -> "Overview":
    from shared.overview.counting import Overview
    from shared.storage.names import ASSETS_TABLE, RUNS_TABLE, USERS_TABLE

    table = tables().table
    return Overview(tickets(), table(ASSETS_TABLE), table(USERS_TABLE), runs(), run_keeper(), table(RUNS_TABLE), now)


@once
def exports() -> "Exports":
    from shared.overview.exporting import Exports

    return Exports(tickets(), assets(), users(), settings())


@once
def readiness() -> "ReadinessChecks":
    from shared.overview.readiness import ReadinessChecks

    return ReadinessChecks(tables(), queues, settings(), credential_checks, run_keeper, now)
