"""What every room stands on: time, environment, storage, settings, secrets."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared import bootstrap, telemetry
from shared.bootstrap.singleton import singleton

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from azure.core.credentials import TokenCredential

    from shared.access.audit import Audit, AuditEntries
    from shared.access.seals import Seals
    from shared.access.tokens import AccessTokens
    from shared.counts.levels import CountsLevels
    from shared.counts.partition_row import PartitionCounts
    from shared.environment import Environment
    from shared.errors import Fault
    from shared.hosts import AllowedHosts
    from shared.index.index import Index
    from shared.outbound import Outbound
    from shared.outbox.gathered import GatheredHandler, GatheredOutbox
    from shared.outbox.model import Handler
    from shared.outbox.outbox import Outbox
    from shared.settings.base import SettingsDocument
    from shared.settings.planned import PlannedSettings
    from shared.settings.store import SettingsCheck, SettingsStore
    from shared.storage.queues import Queues
    from shared.storage.rows import Operation
    from shared.storage.tables import Tables
    from shared.vaults.checks import CredentialChecks
    from shared.vaults.credentials import VaultCredentials
    from shared.vaults.key_vault import KeyVaultClients
    from shared.vaults.usage import SecretUses


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
def outbound() -> "Outbound":
    from shared.outbound import Outbound

    return Outbound(bootstrap.environment().hosts("DESKBRIDGE_ALLOWED_PRIVATE_HOSTS"))


@singleton
def callers_are_signed_in() -> bool:
    from shared.environment import platform_signs_in

    # Apart from the rest of the environment: who did it is asked before anything needs to be set.
    return platform_signs_in(os.environ)


@singleton
def storage_identity() -> "TokenCredential":
    from azure.identity import ManagedIdentityCredential

    from shared.bounded_answers import bounded_transport

    # Explicit: AZURE_CLIENT_ID in the environment must not decide which identity reaches storage.
    client_id = bootstrap.environment().text("AzureWebJobsStorage__clientId")
    return ManagedIdentityCredential(client_id=client_id, transport=bounded_transport())


@singleton
def tables() -> "Tables":
    from shared.storage.rest_tables import RestTables

    endpoint = bootstrap.environment().text("AzureWebJobsStorage__tableServiceUri")
    if endpoint is not None:
        return RestTables.from_identity(endpoint, bootstrap.storage_identity())
    return RestTables.from_connection_string(bootstrap.environment().text("AzureWebJobsStorage") or "")


@singleton
def access_tokens() -> "AccessTokens":
    from shared.access.tokens import AccessTokens
    from shared.storage.names import ACCESS_TABLE

    return AccessTokens(bootstrap.tables().table(ACCESS_TABLE), bootstrap.now, time.monotonic, bootstrap.audit())


@singleton
def seals() -> "Seals":
    from shared.access.seals import Seals
    from shared.storage.names import ACCESS_TABLE

    return Seals(bootstrap.tables().table(ACCESS_TABLE))


@singleton
def allowed_hosts() -> "AllowedHosts":
    from shared.hosts import AllowedHosts

    return AllowedHosts(bootstrap.environment().further_hosts())


def settings_checks(hosts: "AllowedHosts") -> "Sequence[SettingsCheck]":
    """What is checked of a document beyond its own content: where its secrets go, and whose they are."""

    def host_faults(name: str, document: "SettingsDocument", planned: "PlannedSettings") -> "Iterator[Fault]":
        from shared.errors import Fault

        del name, planned
        for use in document.host_uses():
            objection = hosts.objection(use)
            if objection is not None:
                yield Fault(use.path, objection)

    def binding_faults(name: str, document: "SettingsDocument", planned: "PlannedSettings") -> "Iterable[Fault]":
        from shared.vaults.bindings import binding_faults

        return binding_faults(name, document, planned)

    return (host_faults, binding_faults)


@singleton
def settings() -> "SettingsStore":
    from shared.bootstrap.kinds import KINDS
    from shared.settings.store import SettingsStore
    from shared.storage.names import SETTINGS_TABLE

    def used_by(cls: "type[SettingsDocument]", name: str, document: "SettingsDocument | None") -> str | None:
        from shared.bootstrap.record_usage import RecordUses, token_uses

        tables = {"assets": bootstrap.assets(), "users": bootstrap.users()}
        lists = {"assets": bootstrap.asset_lists(), "users": bootstrap.user_lists()}
        return token_uses(bootstrap.access_tokens(), cls, name) or RecordUses(tables, lists)(cls, name, document)

    return SettingsStore(
        bootstrap.tables().table(SETTINGS_TABLE),
        KINDS,
        bootstrap.now,
        used_by=used_by,
        checks=settings_checks(bootstrap.allowed_hosts()),
        clock=time.monotonic,
        audit=bootstrap.audit(),
    )


@singleton
def vaults() -> "KeyVaultClients":
    from shared.vaults.key_vault import KeyVaultClients

    return KeyVaultClients(bootstrap.environment())


@singleton
def credentials() -> "VaultCredentials":
    from shared.vaults.credentials import VaultCredentials

    return VaultCredentials(
        bootstrap.settings(), bootstrap.vaults(), bootstrap.now, time.monotonic, bootstrap.conditions()
    )


@singleton
def credential_checks() -> "CredentialChecks":
    from shared.vaults.checks import CredentialChecks

    return CredentialChecks(bootstrap.settings(), bootstrap.vaults(), bootstrap.now)


@singleton
def secret_uses() -> "SecretUses":
    from shared.vaults.usage import SecretUses

    return SecretUses(bootstrap.settings())


@singleton
def queues() -> "Queues":
    from shared.storage.queues import Queues

    endpoint = bootstrap.environment().text("AzureWebJobsStorage__queueServiceUri")
    if endpoint is not None:
        return Queues.from_identity(endpoint, bootstrap.storage_identity())
    return Queues.from_connection_string(bootstrap.environment().text("AzureWebJobsStorage") or "", bootstrap.now)


@singleton
def audit_entries() -> "AuditEntries":
    from shared.access.audit import AuditEntries
    from shared.storage.names import AUDIT_TABLE

    kept_for = timedelta(days=bootstrap.environment().number("DESKBRIDGE_AUDIT_KEPT_DAYS"))
    return AuditEntries(bootstrap.tables().table(AUDIT_TABLE), bootstrap.now, kept_for=kept_for)


@singleton
def audit() -> "Audit":
    from shared.access.audit import AuditTrail
    from shared.outbox.model import FollowUp

    def write_with(
        table: str, partition: str, content: "Mapping[str, Any]"
    ) -> "AbstractContextManager[Sequence[Operation]]":
        return bootstrap.outbox().following(table, partition, FollowUp("audit", content))

    return AuditTrail(bootstrap.audit_entries(), write_with, bootstrap.now)


@singleton
def outbox() -> "Outbox":
    from shared.outbox.outbox import Outbox

    # What may follow from a change, and who carries it out.
    handlers: Mapping[str, Handler] = {
        "audit": lambda due: bootstrap.audit_entries().save(due.id, due.content),
    }
    return Outbox(bootstrap.tables(), handlers, bootstrap.now, bootstrap.outbox_messages(), bootstrap.conditions())


@singleton
def gathered_outbox() -> "GatheredOutbox":
    from shared.outbox.gathered import GatheredOutbox

    # By what a follow-up is called, and who carries it out.
    handlers: Mapping[str, GatheredHandler] = {
        "tickets": lambda *told: bootstrap.ticket_index().carry_out(*told),
        "records": lambda *told: bootstrap.record_index().carry_out(*told),
        "counts": lambda *told: bootstrap.partition_counts().carry_out(*told),
        "counts-copy": lambda *told: bootstrap.counts_levels().carry_out(*told),
    }
    return GatheredOutbox(bootstrap.tables(), handlers, bootstrap.now)


@singleton
def partition_counts() -> "PartitionCounts":
    from shared.counts.partition_row import PartitionCounts

    return PartitionCounts(bootstrap.tables())


@singleton
def counts_levels() -> "CountsLevels":
    from shared.counts.levels import CountsLevels

    return CountsLevels(bootstrap.tables(), lambda: bootstrap.gathered_outbox().as_of(), time.monotonic)


@singleton
def index() -> "Index":
    from shared.index.index import Index
    from shared.storage.names import INDEX_TABLE

    return Index(bootstrap.tables().table(INDEX_TABLE))


@singleton
def outbox_messages() -> "Callable[[str], None]":
    from shared.storage.names import OUTBOX_QUEUE

    return lambda text: bootstrap.queues().send(OUTBOX_QUEUE, text)
