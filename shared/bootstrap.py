"""The composition root: the only place that builds objects, each once, and the only lazy imports.

Call it through the module (`bootstrap.settings()`), so that one replacement serves a test.
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from shared import telemetry
from shared.environment import Environment, load_environment, platform_signs_in

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.assets.desk import AssetDesk
    from shared.assets.ec2 import Ec2
    from shared.assets.importing import Ec2Source
    from shared.imports.keeping import RunKeeper
    from shared.imports.records import RecordTable
    from shared.imports.reporting import RunReports
    from shared.imports.running import ImportRunner
    from shared.imports.sources import Source
    from shared.overview.counting import Overview
    from shared.overview.exporting import Exports
    from shared.overview.readiness import ReadinessChecks
    from shared.runs.repository import RunRepository
    from shared.settings.documents.base import SettingsDocument
    from shared.settings.store import SettingsStore
    from shared.storage.queues import Queues
    from shared.storage.tables import Tables
    from shared.tickets.changing import Changing
    from shared.tickets.configuration import Configuration
    from shared.tickets.dead_letters import DeadLetters
    from shared.tickets.housekeeping import TicketHousekeeping
    from shared.tickets.quarantine import Quarantine
    from shared.tickets.queued import QueuedEvents
    from shared.tickets.recording import Recording
    from shared.tickets.repository import TicketRepository
    from shared.tickets.settling import Settling
    from shared.tickets.sweeping import Sweeping
    from shared.tickets.vault_objects import ListedVault
    from shared.users.desk import UserDesk
    from shared.users.following import Following
    from shared.users.grants import GrantTickets
    from shared.users.sourcing import Realms, RealmSource
    from shared.vaults.checking import Checks
    from shared.vaults.key_vault import KeyVaults
    from shared.vaults.model import Credentials
    from shared.vaults.reading import VaultCredentials
    from shared.vaults.usage import SecretUses

T = TypeVar("T")

_lock = threading.RLock()
_built: dict[str, Any] = {}


def _once(build: Callable[[], T]) -> Callable[[], T]:
    # functools.cache under 8 threads builds 8 objects: a trigger's first calls come together.
    @wraps(build)
    def built() -> T:
        name = build.__name__
        if name not in _built:
            with _lock:
                if name not in _built:
                    _built[name] = build()
        return cast("T", _built[name])

    return built


class _Late:
    """Stands in for an object that is built when the first of its members is asked for."""

    def __init__(self, build: Callable[[], object]) -> None:
        self._build = build

    def __getattr__(self, name: str) -> Any:
        return getattr(self._build(), name)


def replace(name: str, value: object) -> None:
    """Stand `value` in for what the function `name` builds, until `reset`. For tests and the lab's drivers."""
    with _lock:
        _built[name] = value


def reset() -> None:
    """Forget everything that was built."""
    with _lock:
        _built.clear()


def exchange(built: dict[str, Any]) -> dict[str, Any]:
    """Put what another process built in place of this; answers with this. For a driver that plays several workers."""
    global _built
    with _lock:
        before, _built = _built, built
    return before


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


@_once
def environment() -> Environment:
    # Nothing that logs or makes spans is built without it.
    loaded = load_environment(os.environ)
    telemetry.quieten_sdks()
    if loaded.flag("DESKBRIDGE_OPENTELEMETRY"):
        telemetry.turn_on()
    return loaded


@_once
def callers_are_signed_in() -> bool:
    # Apart from the rest of the environment: who did it is asked before anything needs to be set.
    return platform_signs_in(os.environ)


@_once
def storage_identity() -> "TokenCredential":
    from azure.identity import ManagedIdentityCredential

    # Explicit: AZURE_CLIENT_ID in the environment must not decide which identity reaches storage.
    return ManagedIdentityCredential(client_id=environment().text("AzureWebJobsStorage__clientId"))


@_once
def tables() -> "Tables":
    from shared.storage.azure_tables import AzureTables
    from shared.storage.lean_tables import LeanTables

    kind = AzureTables if environment().flag("DESKBRIDGE_PLAIN_CLIENTS") else LeanTables
    endpoint = environment().text("AzureWebJobsStorage__tableServiceUri")
    if endpoint is not None:
        return kind.from_identity(endpoint, storage_identity())
    return kind.from_connection_string(environment().text("AzureWebJobsStorage") or "")


@_once
def settings() -> "SettingsStore":
    from shared.settings.store import SettingsStore
    from shared.storage.names import SETTINGS_TABLE

    def used_by(document: "SettingsDocument", name: str) -> str | None:
        from shared.imports.usage import RecordUses

        return RecordUses({"assets": assets(), "users": users()})(document, name)

    return SettingsStore(tables().table(SETTINGS_TABLE), now, used_by=used_by, clock=time.monotonic)


@_once
def vaults() -> "KeyVaults":
    from shared.vaults.key_vault import KeyVaults

    return KeyVaults(environment())


@_once
def credentials() -> "VaultCredentials":
    from shared.vaults.reading import VaultCredentials

    return VaultCredentials(settings(), vaults(), now, time.monotonic)


@_once
def credential_checks() -> "Checks":
    from shared.vaults.checking import Checks

    return Checks(settings(), vaults(), now)


@_once
def secret_uses() -> "SecretUses":
    from shared.vaults.usage import SecretUses

    return SecretUses(settings())


@_once
def ticket_configuration() -> "Callable[[], Configuration | None]":
    from shared.tickets.configuration import configurations

    return configurations(settings())


@_once
def tickets() -> "TicketRepository":
    from shared.storage.names import TICKETS_TABLE
    from shared.tickets.repository import TicketRepository

    return TicketRepository(tables().table(TICKETS_TABLE))


@_once
def quarantine() -> "Quarantine":
    from shared.tickets.quarantine import Quarantine

    return Quarantine(tickets().table, now)


@_once
def settling() -> "Settling":
    from shared.tickets.settling import Settling

    def uses_of(vault: str, secret: str) -> list[str]:
        return secret_uses().uses_of(vault, secret)

    return Settling(tickets(), now=now, wait=time.sleep, clock=time.monotonic, uses_of=uses_of)


@_once
def recording() -> "Recording":
    from shared.tickets.recording import Recording

    return Recording(
        ticket_configuration(),
        credentials(),
        settling(),
        quarantine(),
        body_limit=environment().number("DESKBRIDGE_EVENT_BODY_LIMIT"),
        secret_changed=credentials().secret_changed,
    )


@_once
def ticket_desk() -> "Changing":
    from shared.tickets.changing import Changing

    return Changing(tickets(), settling(), ticket_configuration(), now)


@_once
def ticket_housekeeping() -> "TicketHousekeeping":
    from shared.tickets.housekeeping import TicketHousekeeping

    return TicketHousekeeping(tickets(), quarantine(), now)


@_once
def sweeping() -> "Sweeping":
    from shared.tickets.sweeping import Sweeping

    def open_vault(store_name: str) -> "ListedVault":
        # Key Vault's clients load when a vault is swept, and not when the last sweeps are shown.
        from shared.tickets.vault_objects import ListedVault

        return ListedVault(vaults(), store_name, credentials().store(store_name, fresh=True))

    return Sweeping(ticket_configuration(), open_vault, tickets(), settling(), now)


@_once
def dead_letters() -> "DeadLetters":
    from azure.storage.blob import ContainerClient

    from shared.storage.names import DEAD_LETTERS_CONTAINER
    from shared.tickets.dead_letters import DeadLetters

    bounds: dict[str, Any] = {"retry_total": 3, "connection_timeout": 4, "read_timeout": 15}
    endpoint = environment().text("AzureWebJobsStorage__blobServiceUri")
    if endpoint is not None:
        container = ContainerClient(endpoint, DEAD_LETTERS_CONTAINER, storage_identity(), **bounds)
    else:
        connection_string = environment().text("AzureWebJobsStorage") or ""
        container = ContainerClient.from_connection_string(connection_string, DEAD_LETTERS_CONTAINER, **bounds)
    return DeadLetters(container, ticket_configuration(), recording(), quarantine())


@_once
def queued_events() -> "QueuedEvents":
    from shared.tickets.queued import QueuedEvents

    return QueuedEvents(ticket_configuration(), recording(), quarantine())


@_once
def runs() -> "RunRepository":
    from shared.runs.repository import RunRepository
    from shared.storage.names import RUNS_TABLE

    return RunRepository(tables().table(RUNS_TABLE))


@_once
def assets() -> "RecordTable":
    from shared.imports.records import RecordTable
    from shared.storage.names import ASSETS_TABLE

    return RecordTable(tables().table(ASSETS_TABLE))


@_once
def identity_tokens() -> "Callable[[str, str | None], str]":
    from shared.assets.web_identity import ManagedIdentityTokens

    return ManagedIdentityTokens()


def identity_token(audience: str, client_id: str | None) -> str:
    """A token of the app's managed identity for another party than Azure. Loads its client only when asked."""
    return identity_tokens()(audience, client_id)


@_once
def ec2() -> "Ec2":
    from shared.assets.ec2 import Ec2

    return Ec2(credentials(), identity_token, now, plain=environment().flag("DESKBRIDGE_PLAIN_CLIENTS"))


@_once
def ec2_source() -> "Ec2Source":
    from shared.assets.importing import Ec2Source

    return Ec2Source(assets(), settings(), ec2)


@_once
def users() -> "RecordTable":
    from shared.storage.names import USERS_TABLE
    from shared.users.grants import UserRecords

    return UserRecords(tables().table(USERS_TABLE))


@_once
def realms() -> "Realms":
    from shared.users.sourcing import Realms

    # Lists of runs and users come by here too, and need no password.
    return Realms(settings(), cast("Credentials", _Late(credentials)))


@_once
def realm_source() -> "RealmSource":
    from shared.users.sourcing import RealmSource

    return RealmSource(realms(), settings(), users(), runs(), grant_tickets().deliver)


@_once
def grant_tickets() -> "GrantTickets":
    from shared.storage.names import USERS_TABLE
    from shared.users.grants import GrantTickets

    return GrantTickets(tables().table(USERS_TABLE), open_grant_ticket)


def open_grant_ticket(
    *, realm: str, user_id: str, condition: str, summary: str, details: str, site: str, at: datetime
) -> None:
    """What the users' room asks of the tickets' room; neither knows the other."""
    from shared.tickets.model import ObjectType, Priority, TicketKind
    from shared.tickets.opening import Asked, Opening

    asked = Asked(
        place=f"authrocket:{realm.casefold()}",
        condition=condition,
        kind=TicketKind.ADMIN_GRANT,
        object_type=ObjectType.USER,
        object_name=user_id,
        priority=Priority.HIGH,
        ticket_type="Security",
        summary=summary,
        details=details,
        source="AuthRocket",
        at=at,
        site=site or None,
    )
    Opening(tickets()).open(asked)


@_once
def user_desk() -> "UserDesk":
    from shared.users.desk import UserDesk

    return UserDesk(users(), settings(), now)


@_once
def following() -> "Following":
    from shared.storage.names import USERS_TABLE
    from shared.users.following import Following

    table = tables().table(USERS_TABLE)
    return Following(settings(), credentials(), realms(), realm_source(), table, runs(), now)


@_once
def imports() -> "ImportRunner":
    from shared.imports.running import ImportRunner

    sources: tuple[Source, ...] = (ec2_source(), realm_source())
    return ImportRunner(runs(), {source.kind: source for source in sources}, now)


@_once
def run_reports() -> "RunReports":
    from shared.imports.reporting import RunReports

    return RunReports(imports())


@_once
def asset_desk() -> "AssetDesk":
    from shared.assets.desk import AssetDesk

    return AssetDesk(assets(), settings(), now)


@_once
def run_keeper() -> "RunKeeper":
    from shared.imports.keeping import RunKeeper

    return RunKeeper(imports(), now, kept_for=timedelta(days=environment().number("DESKBRIDGE_RUNS_KEPT_DAYS")))


@_once
def queues() -> "Queues":
    from shared.storage.queues import Queues

    endpoint = environment().text("AzureWebJobsStorage__queueServiceUri")
    if endpoint is not None:
        return Queues.from_identity(endpoint, storage_identity())
    return Queues.from_connection_string(environment().text("AzureWebJobsStorage") or "", now)


@_once
def overview() -> "Overview":
    from shared.overview.counting import Overview
    from shared.storage.names import ASSETS_TABLE, RUNS_TABLE, USERS_TABLE

    table = tables().table
    return Overview(tickets(), table(ASSETS_TABLE), table(USERS_TABLE), runs(), run_keeper(), table(RUNS_TABLE), now)


@_once
def exports() -> "Exports":
    from shared.overview.exporting import Exports

    return Exports(tickets(), assets(), users(), settings())


@_once
def readiness() -> "ReadinessChecks":
    from shared.overview.readiness import ReadinessChecks

    return ReadinessChecks(tables(), queues, settings(), credential_checks, run_keeper, now)
