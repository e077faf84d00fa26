"""What people do with a ticket: look at it, change it, write a note. What they decide stands until news comes."""

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from shared.access.audit import UNAUDITED, Audit, AuditedChange, AuditedField, AuditKind
from shared.errors import ChangedMeanwhileError, ConflictError, Fault, InvalidInputError, NotFoundError, TryLaterError
from shared.reasons import Reason
from shared.storage.etags import check_version, short_etag
from shared.storage.rows import Merge, Operation, Row
from shared.tickets.configuration import Configuration
from shared.tickets.desk.lists import TicketLists
from shared.tickets.domain.model import (
    FINISHED,
    ConditionState,
    Context,
    DesiredTicket,
    ManualOverride,
    Note,
    ObjectType,
    Phase,
    Priority,
    Status,
    Ticket,
)
from shared.tickets.reconciler import EditTicket, TicketEdit, TicketReconciler, object_key
from shared.tickets.store.index_rows import TicketMoved
from shared.tickets.store.repository import TicketRepository, create_note, rewrite, stored_of, ticket_of

E = TypeVar("E")

# The fields that people can change; None takes back what they decided, so that the rules' value shows.
Changes = Mapping[str, str | datetime | None]
_TRIES = 5
CHANGEABLE = ("status", "priority", "team", "assignee", "site", "snoozed_until")


@dataclass(frozen=True)
class StoredTicket:
    """A ticket with the short tag of its version and its timeline, oldest note first."""

    ticket: Ticket
    etag: str
    notes: tuple[Note, ...]


class TicketEditor:
    """Finds tickets by their id, and lets people's edits take effect. `site_fault` says why a text is no site."""

    def __init__(
        self,
        repository: TicketRepository,
        lists: TicketLists,
        reconciler: TicketReconciler,
        configuration: Callable[[], Configuration | None],
        now: Callable[[], datetime],
        site_fault: Callable[[object], str | None],
        audit: Audit = UNAUDITED,
    ) -> None:
        self._repository = repository
        self._lists = lists
        self._reconciler = reconciler
        self._configuration = configuration
        self._now = now
        self._site_fault = site_fault
        self._audit = audit

    def get(self, ticket_id: str) -> StoredTicket:
        """The ticket; raises NotFoundError."""
        return self._stored(self._find(ticket_id))

    def change(
        self, ticket_id: str, changes: Changes, *, by: str, if_match: str | None, note: str | None = None
    ) -> StoredTicket:
        """Change some fields. Raises NotFoundError, ConflictError, ChangedMeanwhileError with the present ETag,
        InvalidInputError, TryLaterError."""
        row = self._find(ticket_id)
        check_version(f"The ticket {row.text('ticket_id')}", if_match, short_etag(row.etag))
        wrong = self._site_fault(changes["site"]) if changes.get("site") is not None else None
        if wrong is not None:
            fault = Fault("site", wrong)
            raise InvalidInputError(Reason.DOCUMENT_INVALID, f"The site cannot be set: {wrong}.", faults=[fault])
        scope, found_id = row.partition_key, row.text("ticket_id")

        def edit(override: ManualOverride | None, desired: DesiredTicket) -> TicketEdit | None:
            # Read after the object's row, whose ETag guards the write: so nobody comes in between.
            present = self._again(row)
            check_version(f"The ticket {found_id}", if_match, short_etag(present.etag))
            return _edit(override, desired, changes, by, self._now(), note, found_id)

        configuration = self._configuration()
        context = configuration.context(scope) if configuration is not None else Context(scope)
        key = object_key(ObjectType(row.text("object_type")), row.text("object_name"))
        changed = self._reconciler.edit(key, row.text("ticket_key"), edit, context)
        if changed is None:
            self._edit_row(self._again(row), edit)
        self._repository.carry_out(scope)
        if changed is None or changed.row is None:
            return self._stored(self._again(row))
        # Not read again: what is there by now may be somebody else's, and its ETag must not stand for this change.
        return self._stored(changed.row)

    def add_note(self, ticket_id: str, text: str, *, by: str, sites: Container[str | None] | None = None) -> Note:
        """Write a note into the timeline of a ticket, which has to be at one of `sites` if they are given.
        Raises NotFoundError, TryLaterError."""
        note = Note(self._now(), by, text)
        for _ in range(_TRIES):
            row = self._find(ticket_id)
            scope, found_id = row.partition_key, row.text("ticket_id")
            operations: list[Operation] = [create_note(scope, found_id, note)]
            if sites is not None:
                self._there(row if ticket_of(row).site in sites else None, ticket_id)
                # It changes nothing, and fails when the ticket was moved to another customer's site meanwhile.
                operations.append(Merge(Row(scope, row.row_key, {}, row.etag)))
            change = _audited("noted", found_id, by, (AuditedField("note", None, text),))
            with suppress(ChangedMeanwhileError), self._recording(scope, change) as audited:
                self._repository.table.transact(scope, [*operations, *audited])
                return note
        raise TryLaterError(Reason.CONTENDED, f"The ticket {ticket_id[:40]} is being changed by others all the time.")

    def _recording(self, scope: str, change: AuditedChange) -> AbstractContextManager[Sequence[Operation]]:
        return self._audit.recording(self._repository.table.name, scope, change)

    def _stored(self, row: Row) -> StoredTicket:
        return StoredTicket(ticket_of(row), short_etag(row.etag), tuple(self._repository.notes(row)))

    def _edit_row(self, row: Row, edit: EditTicket) -> None:
        """Edit a ticket of which nothing more is known than the ticket itself: of another source, or very old."""
        ticket = ticket_of(row)
        condition = ConditionState(Phase.OPEN, 0, ticket.expires_at)
        edited = edit(
            ManualOverride(condition, ticket.updated_at, ticket.status, ticket.priority),
            DesiredTicket("", ticket, condition, ()),
        )
        if edited is None:
            return
        override = edited.override
        status = override.status or ticket.status
        changed = replace(
            ticket,
            status=status,
            priority=override.priority or ticket.priority,
            team=override.team or ticket.team,
            assignee=override.assignee or ticket.assignee,
            site=override.site or ticket.site,
            snoozed_until=override.snoozed_until,
            updated_at=override.at,
            finished_at=(ticket.finished_at or override.at) if status in FINISHED else None,
        )
        notes = [create_note(row.partition_key, ticket.ticket_id, note) for note in edited.notes]
        with self._recording(row.partition_key, edited.change) as audited:
            operation = rewrite(row, changed)
            moved = TicketMoved(stored_of(row), ticket.object_name, stored_of(operation.row))
            self._repository.write(row.partition_key, [operation, *notes, *audited], [moved])

    def _find(self, ticket_id: str) -> Row:
        return self._there(self._lists.find(ticket_id), ticket_id)

    def _again(self, row: Row) -> Row:
        """The ticket's row as it is now."""
        ticket_id = row.text("ticket_id")
        return self._there(self._repository.find_ticket(row.partition_key, ticket_id), ticket_id)

    def _there(self, row: Row | None, ticket_id: str) -> Row:
        if row is None:
            raise NotFoundError(Reason.NOT_FOUND, f"There is no ticket {ticket_id[:40]!r}.")
        return row


def _edit(
    override: ManualOverride | None,
    desired: DesiredTicket,
    changes: Changes,
    by: str,
    now: datetime,
    note: str | None,
    ticket_id: str,
) -> TicketEdit | None:
    ticket = desired.ticket
    present = {name: getattr(ticket, name) for name in CHANGEABLE}
    changed = [
        f"{name.replace('_', ' ')} from {_shown(present[name])} to {_shown(value)}"
        for name, value in changes.items()
        if value != present[name]
    ]
    if not changed and note is None:
        return None
    status = Status(str(changes["status"])) if changes.get("status") is not None else ticket.status
    snoozed_until = changes.get("snoozed_until", ticket.snoozed_until)
    if snoozed_until is not None and "snoozed_until" in changes:
        _check_snooze(snoozed_until, status, now)
    notes = [Note(now, by, f"Changed {'; '.join(changed)}.")] if changed else []
    notes += [Note(now, by, note)] if note is not None else []
    updated = ManualOverride(
        # What people decided before still counts as it stands now: it is decided again, knowing what is known now.
        based_on=desired.condition,
        at=now,
        status=_choice(changes, "status", Status, override.status if override else None, ticket.status),
        priority=_choice(changes, "priority", Priority, override.priority if override else None, ticket.priority),
        team=_text(changes, "team", override.team if override else None),
        assignee=_text(changes, "assignee", override.assignee if override else None),
        site=_text(changes, "site", override.site if override else None),
        snoozed_until=snoozed_until if isinstance(snoozed_until, datetime) else None,
    )
    fields = [AuditedField(name, present[name], value) for name, value in changes.items() if value != present[name]]
    fields += [AuditedField("note", None, note)] if note is not None else []
    return TicketEdit(updated, tuple(notes), _audited("edited", ticket_id, by, tuple(fields)))


def _audited(action: str, ticket_id: str, by: str, fields: tuple[AuditedField, ...]) -> AuditedChange:
    return AuditedChange(AuditKind.TICKET, action, f"tickets/{ticket_id}", by, fields)


def _check_snooze(until: str | datetime, status: Status, now: datetime) -> None:
    if status in FINISHED:
        raise ConflictError(
            Reason.TICKET_FINISHED, f"The ticket is {status}: there is nothing to snooze.", remedy="Open it first."
        )
    if not isinstance(until, datetime) or until <= now:
        fault = Fault("snoozed_until", "must lie ahead")
        raise InvalidInputError(
            Reason.BODY_INVALID, "snoozed_until must lie ahead.", remedy="Send a later time.", faults=[fault]
        )


def _choice(changes: Changes, name: str, of: Callable[[str], E], decided: E | None, effective: E) -> E | None:
    if name in changes:
        value = changes[name]
        return None if value is None else of(str(value))
    return None if decided is None else effective


def _text(changes: Changes, name: str, decided: str | None) -> str | None:
    value = changes.get(name, decided)
    return None if value is None else str(value)


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return "nothing" if value is None else str(value).replace("_", " ")
