"""Tickets that other features ask for. No facts stand behind them: they are opened once, and then people's."""

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
    Ticket,
    TicketKind,
    ticket_id,
)
from shared.tickets.domain.templates import LONGEST_DETAILS, LONGEST_SUMMARY
from shared.tickets.store.repository import TicketRepository, project


@dataclass(frozen=True)
class TicketRequest:
    """A ticket that is asked for. `place` is where it stands in place of a vault: lower case, with a colon, which no
    vault's name has. `condition` is what it is about, as one text: one condition has one ticket."""

    place: str
    condition: str
    kind: TicketKind
    object_type: ObjectType
    object_name: str
    priority: Priority
    ticket_type: str
    summary: str
    details: str
    source: str
    at: datetime
    site: str | None = None


class TicketOpener:
    """Opens tickets on behalf of other features."""

    def __init__(self, repository: TicketRepository) -> None:
        self._repository = repository

    def open(self, asked: TicketRequest) -> str:
        """The id of the condition's ticket, which is opened unless it is there, whatever has become of it since.

        Raises TryLaterError: then the same call can be repeated.
        """
        self._repository.ensure_vault(asked.place)
        longer = 0
        while True:
            found = ticket_id(asked.place, asked.object_type, asked.object_name, asked.kind, asked.condition, longer)
            operations, _ = project(asked.place, "", _wanted(asked), found, None)
            try:
                self._repository.table.transact(asked.place, operations)
            except AlreadyExistsError:
                present = self._repository.find_ticket(asked.place, found)
                if present is not None and present.text("ticket_key") != asked.condition:
                    # Another condition has this id: ours has to be longer.
                    longer += 2
                    continue
            return found


def _wanted(asked: TicketRequest) -> DesiredTicket:
    ticket = Ticket(
        ticket_id="",
        kind=asked.kind,
        status=Status.OPEN,
        priority=asked.priority,
        ticket_type=asked.ticket_type,
        summary=asked.summary[:LONGEST_SUMMARY],
        details=asked.details[:LONGEST_DETAILS],
        vault=asked.place,
        object_type=asked.object_type,
        object_name=asked.object_name,
        version="",
        opened_at=asked.at,
        updated_at=asked.at,
        site=asked.site,
        source=asked.source,
    )
    note = Note(asked.at, asked.source, asked.summary[:LONGEST_SUMMARY])
    return DesiredTicket(asked.condition, ticket, ConditionState(Phase.OPEN, 0), (note,))
