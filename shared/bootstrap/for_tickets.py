"""What tickets are made of: how deliveries are recorded, what people change, sweeps, dead letters."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import bootstrap
from shared.bootstrap.once import once

if TYPE_CHECKING:
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


@once
def ticket_configuration() -> "Callable[[], Configuration | None]":
    from shared.tickets.configuration import configurations

    return configurations(bootstrap.settings())


@once
def tickets() -> "TicketRepository":
    from shared.storage.names import TICKETS_TABLE
    from shared.tickets.repository import TicketRepository

    return TicketRepository(bootstrap.tables().table(TICKETS_TABLE))


@once
def quarantine() -> "Quarantine":
    from shared.tickets.quarantine import Quarantine

    return Quarantine(bootstrap.tickets().table, bootstrap.now)


@once
def settling() -> "Settling":
    from shared.tickets.settling import Settling

    def uses_of(vault: str, secret: str) -> list[str]:
        return bootstrap.secret_uses().uses_of(vault, secret)

    return Settling(bootstrap.tickets(), now=bootstrap.now, wait=time.sleep, clock=time.monotonic, uses_of=uses_of)


@once
def recording() -> "Recording":
    from shared.tickets.recording import Recording

    return Recording(
        bootstrap.ticket_configuration(),
        bootstrap.credentials(),
        bootstrap.settling(),
        bootstrap.quarantine(),
        body_limit=bootstrap.environment().number("DESKBRIDGE_EVENT_BODY_LIMIT"),
        secret_changed=bootstrap.credentials().secret_changed,
    )


@once
def ticket_desk() -> "Changing":
    from shared.tickets.changing import Changing

    return Changing(bootstrap.tickets(), bootstrap.settling(), bootstrap.ticket_configuration(), bootstrap.now)


@once
def ticket_housekeeping() -> "TicketHousekeeping":
    from shared.tickets.housekeeping import TicketHousekeeping

    return TicketHousekeeping(bootstrap.tickets(), bootstrap.quarantine(), bootstrap.now)


@once
def sweeping() -> "Sweeping":
    from shared.tickets.sweeping import Sweeping

    def open_vault(store_name: str) -> "ListedVault":
        # Key Vault's clients load when a vault is swept, and not when the last sweeps are shown.
        from shared.tickets.vault_objects import ListedVault

        return ListedVault(bootstrap.vaults(), store_name, bootstrap.credentials().store(store_name, fresh=True))

    return Sweeping(
        bootstrap.ticket_configuration(), open_vault, bootstrap.tickets(), bootstrap.settling(), bootstrap.now
    )


@once
def dead_letters() -> "DeadLetters":
    from azure.storage.blob import ContainerClient

    from shared.storage.names import DEAD_LETTERS_CONTAINER
    from shared.tickets.dead_letters import DeadLetters

    bounds: dict[str, Any] = {"retry_total": 3, "connection_timeout": 4, "read_timeout": 15}
    endpoint = bootstrap.environment().text("AzureWebJobsStorage__blobServiceUri")
    if endpoint is not None:
        container = ContainerClient(endpoint, DEAD_LETTERS_CONTAINER, bootstrap.storage_identity(), **bounds)
    else:
        connection_string = bootstrap.environment().text("AzureWebJobsStorage") or ""
        container = ContainerClient.from_connection_string(connection_string, DEAD_LETTERS_CONTAINER, **bounds)
    return DeadLetters(container, bootstrap.ticket_configuration(), bootstrap.recording(), bootstrap.quarantine())


@once
def queued_events() -> "QueuedEvents":
    from shared.tickets.queued import QueuedEvents

    return QueuedEvents(bootstrap.ticket_configuration(), bootstrap.recording(), bootstrap.quarantine())


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
    Opening(bootstrap.tickets()).open(asked)
