"""Tickets that other sources ask for. Nothing is observed of them further: they are opened once, and then people's."""

from dataclasses import dataclass
from datetime import datetime

from shared.errors import AlreadyExistsError
from shared.tickets.domain.model import (
    ConditionState,
    DesiredTicket,
    Note,
    ObjectType,
    Phase,
    Priority,
    Status,
    StoredTicketRows,
    Ticket,
    TicketKind,
    ticket_id,
)
from shared.tickets.domain.templates import LONGEST_DETAILS, LONGEST_SUMMARY
from shared.tickets.store.index_rows import TicketMoved
from shared.tickets.store.repository import TicketRepository, project


@dataclass(frozen=True)
class TicketRequest:
    """A ticket that another source asks for. `id_prefix` are two letters that name the source in the ticket's id.

    `scope` is the part of the source that it is about. `condition` says what it is about, as one text: one condition
    has one ticket.
    """

    source: str
    id_prefix: str
    scope: str
    condition: str
    kind: TicketKind
    object_type: ObjectType
    object_name: str
    priority: Priority
    ticket_type: str
    summary: str
    details: str
    at: datetime
    site: str | None = None

    @property
    def partition_key(self) -> str:
        """Where it is stored: no vault's name has a colon."""
        return f"{self.source}:{self.scope}".casefold()


class TicketOpener:
    """Opens tickets on behalf of other sources."""

    def __init__(self, repository: TicketRepository) -> None:
        self._repository = repository

    def open(self, request: TicketRequest) -> str:
        """The id of the condition's ticket, which is opened unless it is there, whatever has become of it since.

        Raises TryLaterError: then the same call can be repeated.
        """
        partition_key = request.partition_key
        about = (partition_key, request.object_type, request.object_name, request.condition)
        longer = 0
        while True:
            found = ticket_id(*about, longer, prefix=request.id_prefix)
            operations, stored = project(partition_key, "", _desired(request), found, None)
            try:
                moved = TicketMoved(StoredTicketRows(found), request.object_name, stored)
                self._repository.write(partition_key, operations, [moved])
            except AlreadyExistsError:
                present = self._repository.find_ticket(partition_key, found)
                if present is not None and present.text("ticket_key") != request.condition:
                    # Another condition has this id: ours has to be longer.
                    longer += 2
                    continue
            return found


def _desired(request: TicketRequest) -> DesiredTicket:
    ticket = Ticket(
        ticket_id="",
        kind=request.kind,
        status=Status.OPEN,
        priority=request.priority,
        ticket_type=request.ticket_type,
        summary=request.summary[:LONGEST_SUMMARY],
        details=request.details[:LONGEST_DETAILS],
        scope=request.scope,
        object_type=request.object_type,
        object_name=request.object_name,
        version="",
        opened_at=request.at,
        updated_at=request.at,
        site=request.site,
        source=request.source,
    )
    note = Note(request.at, request.source, request.summary[:LONGEST_SUMMARY])
    return DesiredTicket(request.condition, ticket, ConditionState(Phase.OPEN, 0), (note,))
