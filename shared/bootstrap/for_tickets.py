"""What tickets are made of: how deliveries are recorded, what people change, sweeps, dead letters."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from shared import bootstrap
from shared.bootstrap.singleton import LazyProxy, singleton

if TYPE_CHECKING:
    from shared.conditions import Conditions
    from shared.tickets.configuration import Configuration
    from shared.tickets.desk.editor import TicketEditor
    from shared.tickets.desk.housekeeping import TicketHousekeeping
    from shared.tickets.desk.lists import TicketLists
    from shared.tickets.desk.objects import ObjectLists
    from shared.tickets.desk.ticket_age import TicketAging
    from shared.tickets.inbound.dead_letters import DeadLetters
    from shared.tickets.inbound.desk_conditions import DeskConditions
    from shared.tickets.inbound.ingestor import EventIngestor
    from shared.tickets.inbound.quarantine import Quarantine
    from shared.tickets.inbound.queue import QueuedEvents
    from shared.tickets.inbound.sweeps import Sweeps
    from shared.tickets.inbound.vault_discovery import ListedVaults
    from shared.tickets.inbound.vault_listing import KeyVaultLister
    from shared.tickets.inbound.webhook import EventGridWebhook
    from shared.tickets.reconciler import TicketReconciler
    from shared.tickets.store.repository import TicketRepository
    from shared.tickets.store.ticket_index import TicketIndex


@singleton
def ticket_configuration() -> "Callable[[], Configuration | None]":
    from shared.storage.names import VAULTS_TABLE
    from shared.tickets.configuration import configurations
    from shared.tickets.inbound.known_vaults import KnownTags, KnownVaults

    tags = KnownTags(KnownVaults(bootstrap.tables().table(VAULTS_TABLE)), bootstrap.now)
    return configurations(bootstrap.settings(), tags.of)


@singleton
def tickets() -> "TicketRepository":
    from shared.storage.names import TICKETS_TABLE
    from shared.tickets.store.repository import TicketRepository

    return TicketRepository(bootstrap.tables().table(TICKETS_TABLE), bootstrap.gathered_outbox())


@singleton
def ticket_index() -> "TicketIndex":
    from shared.tickets.store.ticket_index import TicketIndex

    return TicketIndex(bootstrap.index(), bootstrap.tables(), bootstrap.now)


@singleton
def ticket_lists() -> "TicketLists":
    from shared.tickets.desk.lists import TicketLists

    return TicketLists(bootstrap.index(), bootstrap.gathered_outbox(), bootstrap.tickets(), bootstrap.now)


@singleton
def object_lists() -> "ObjectLists":
    from shared.storage.names import VAULTS_TABLE
    from shared.tickets.desk.objects import ObjectLists
    from shared.tickets.inbound.known_vaults import KnownVaults

    vaults = KnownVaults(bootstrap.tables().table(VAULTS_TABLE))
    return ObjectLists(
        bootstrap.index(),
        bootstrap.gathered_outbox(),
        bootstrap.tickets(),
        vaults,
        bootstrap.ticket_configuration(),
        bootstrap.now,
    )


@singleton
def desk_conditions() -> "DeskConditions":
    from shared.bootstrap.kinds import KINDS
    from shared.records.documents.sites import belonging
    from shared.tickets.inbound.desk_conditions import DeskConditions

    return DeskConditions(
        bootstrap.tickets(),
        bootstrap.ticket_configuration(),
        partial(belonging, bootstrap.settings(), KINDS),
        time.sleep,
    )


@singleton
def conditions() -> "Conditions":
    # Most of what could report something has nothing to report.
    return cast("Conditions", LazyProxy(bootstrap.desk_conditions))


@singleton
def quarantine() -> "Quarantine":
    from shared.tickets.inbound.quarantine import Quarantine

    return Quarantine(bootstrap.tickets().table, bootstrap.now, bootstrap.audit(), bootstrap.conditions())


@singleton
def ticket_reconciler() -> "TicketReconciler":
    from shared.tickets.reconciler import TicketReconciler

    def uses_of(vault: str, secret: str) -> list[str]:
        return bootstrap.secret_uses().uses_of(vault, secret)

    return TicketReconciler(
        bootstrap.tickets(),
        now=bootstrap.now,
        wait=time.sleep,
        clock=time.monotonic,
        uses_of=uses_of,
        audit=bootstrap.audit(),
    )


@singleton
def event_ingestor() -> "EventIngestor":
    from shared.storage.names import VAULTS_TABLE
    from shared.tickets.inbound.ingestor import EventIngestor
    from shared.tickets.inbound.known_vaults import KnownVaults, SeenVaults

    vaults = KnownVaults(bootstrap.tables().table(VAULTS_TABLE))
    return EventIngestor(
        bootstrap.ticket_reconciler(),
        bootstrap.quarantine(),
        now=bootstrap.now,
        secret_changed=bootstrap.credentials().secret_changed,
        seen=SeenVaults(vaults, bootstrap.now).note,
    )


@singleton
def event_grid_webhook() -> "EventGridWebhook":
    from shared.access.entra_delivery import DeliveryTokens, fetch_keys
    from shared.hosts import Service
    from shared.tickets.inbound.webhook import EventGridWebhook

    def fetch(url: str) -> bytes:
        with bootstrap.outbound().session(bootstrap.allowed_hosts().names(Service.SIGN_IN)) as session:
            return fetch_keys(url, session)

    return EventGridWebhook(
        bootstrap.ticket_configuration(),
        bootstrap.credentials(),
        bootstrap.event_ingestor(),
        body_limit=bootstrap.environment().number("DESKBRIDGE_EVENT_BODY_LIMIT"),
        tokens=DeliveryTokens(fetch, time.monotonic),
        hosts=bootstrap.allowed_hosts(),
    )


@singleton
def ticket_editor() -> "TicketEditor":
    from shared.records.documents.sites import site_fault
    from shared.tickets.desk.editor import TicketEditor

    return TicketEditor(
        bootstrap.tickets(),
        bootstrap.ticket_lists(),
        bootstrap.ticket_reconciler(),
        bootstrap.ticket_configuration(),
        bootstrap.now,
        partial(site_fault, bootstrap.settings()),
        bootstrap.audit(),
    )


@singleton
def ticket_housekeeping() -> "TicketHousekeeping":
    from shared.tickets.desk.housekeeping import TicketHousekeeping

    return TicketHousekeeping(bootstrap.tickets(), bootstrap.index(), bootstrap.quarantine(), bootstrap.now)


@singleton
def ticket_aging() -> "TicketAging":
    from shared.tickets.desk.ticket_age import TicketAging

    return TicketAging(
        bootstrap.tickets(),
        bootstrap.index(),
        bootstrap.ticket_reconciler(),
        bootstrap.ticket_configuration(),
        bootstrap.now,
    )


@singleton
def sweeps() -> "Sweeps":
    from shared.storage.names import SWEEPS_QUEUE, VAULTS_TABLE
    from shared.tickets.inbound.sweep import VaultSweep
    from shared.tickets.inbound.sweeps import Sweeps

    def open_vault(store_name: str, resource_id: str) -> "KeyVaultLister":
        # Key Vault's clients load when a vault is swept, and not when the last sweeps are shown.
        from shared.tickets.inbound.vault_listing import KeyVaultLister

        store = bootstrap.credentials().store(store_name, fresh=True)
        return KeyVaultLister(bootstrap.vaults(), store_name, store, bootstrap.allowed_hosts(), resource_id)

    def list_vaults(store_name: str, page_token: str, names: Sequence[str]) -> "ListedVaults":
        from shared.tickets.inbound.resource_graph import resource_graph

        store = bootstrap.credentials().store(store_name, fresh=True)
        graph = resource_graph(
            store_name,
            store,
            bootstrap.vaults().identity(store_name, store),
            bootstrap.outbound(),
            bootstrap.allowed_hosts(),
        )
        return graph.vaults(page_token, names)

    def later(text: str, seconds: float) -> None:
        bootstrap.queues().send(SWEEPS_QUEUE, text, seconds)

    return Sweeps(
        bootstrap.tables().table(VAULTS_TABLE),
        bootstrap.ticket_configuration(),
        open_vault,
        VaultSweep(bootstrap.tickets(), bootstrap.ticket_reconciler()),
        bootstrap.now,
        later,
        list_vaults,
        bootstrap.conditions(),
    )


@singleton
def dead_letters() -> "DeadLetters":
    from azure.storage.blob import ContainerClient

    from shared.bounded_answers import bounded_transport
    from shared.storage.names import DEAD_LETTERS_CONTAINER
    from shared.tickets.inbound import dead_letters as module

    transport = bounded_transport(module.LARGEST_ANSWER, read_seconds=module.READ_SECONDS)
    bounds: dict[str, Any] = {**module.TRIES, "transport": transport}
    endpoint = bootstrap.environment().text("AzureWebJobsStorage__blobServiceUri")
    if endpoint is not None:
        container = ContainerClient(endpoint, DEAD_LETTERS_CONTAINER, bootstrap.storage_identity(), **bounds)
    else:
        connection_string = bootstrap.environment().text("AzureWebJobsStorage") or ""
        container = ContainerClient.from_connection_string(connection_string, DEAD_LETTERS_CONTAINER, **bounds)
    return module.DeadLetters(
        container, bootstrap.ticket_configuration(), bootstrap.event_ingestor(), bootstrap.quarantine()
    )


@singleton
def queued_events() -> "QueuedEvents":
    from shared.tickets.inbound.queue import QueuedEvents

    return QueuedEvents(bootstrap.ticket_configuration(), bootstrap.event_ingestor(), bootstrap.quarantine())


def open_grant_ticket(
    *, realm: str, user_id: str, condition: str, summary: str, details: str, site: str, at: datetime
) -> None:
    """What the users' room asks of the tickets' room; neither knows the other."""
    from shared.tickets.desk.opener import TicketOpener, TicketRequest
    from shared.tickets.domain.model import ObjectType, Priority, TicketKind

    request = TicketRequest(
        source="AuthRocket",
        id_prefix="AR",
        scope=realm,
        condition=condition,
        kind=TicketKind.ADMIN_GRANT,
        object_type=ObjectType.USER,
        object_name=user_id,
        priority=Priority.HIGH,
        ticket_type="Security",
        summary=summary,
        details=details,
        at=at,
        site=site or None,
    )
    TicketOpener(bootstrap.tickets()).open(request)
