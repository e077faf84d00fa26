"""Tickets in Table Storage. One partition a scope; the object's row guards all that is derived from it by its ETag.

A scope is a vault, or `<source>:<scope>` for another source. Rows of its partition: `object:<type>:<name>` (what
`to_members` says), `event:<receipt>`, `ticket:<id>` with the notes of observations in its timeline, and
`note:<ticket>:<time>:<id>` for notes that are never taken back. Lists are in the index, which follows: a row of the
outbox names the tickets of a transaction. So a new event is three rows, and 33 of them are one transaction.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json

from shared.counts.cells import NEVER as NO_DAY
from shared.counts.cells import OBJECT, TICKET, Cell, told_of_counts
from shared.errors import AlreadyExistsError, DeskbridgeError
from shared.outbox.gathered import GatheredOutbox, MarkedPartition
from shared.outbox.model import FollowUp
from shared.storage.rows import Create, Delete, Operation, Replace, Row, Save, Value, pack, unpack
from shared.storage.tables import Table, find_rows, partition, row_key_prefix, scan
from shared.text import ascending, descending, escape_key
from shared.tickets.domain.decide import Expiry, ObjectRecord
from shared.tickets.domain.model import (
    DesiredTicket,
    KeyVaultEvent,
    Note,
    ObjectType,
    Priority,
    Status,
    StoredTicketRows,
    Ticket,
    TicketKind,
)
from shared.tickets.domain.observations import ObjectState
from shared.tickets.store import index_rows as listed
from shared.tickets.store.index_rows import DONE, DUE, FOLLOW_UP, NEVER, OPEN, ExpiryMoved, TicketMoved, Told

# No scope can be named so: a vault's name has no colon, and every other scope has something behind it.
SCOPES_PARTITION = "scopes:"
_TIMELINE = "timeline"
# The columns that are members of a ticket as they are: texts, texts that may be missing, times.
_MEMBERS = (
    *("ticket_type", "summary", "scope", "object_name", "version", "source"),
    *("team", "assignee", "site", "rule"),
    *("opened_at", "updated_at", "finished_at", "expires_at", "snoozed_until"),
)

ObjectKey = tuple[ObjectType, str]
_RECORD = TypeAdapter(ObjectRecord)


class TicketRepository:
    """The rows of the table `tickets`."""

    def __init__(self, table: Table, outbox: GatheredOutbox | None = None) -> None:
        self.table = table
        self._outbox = outbox
        self._known_scopes: set[str] = set()

    # Scopes

    def ensure_scope(self, scope: str) -> None:
        """Note that the scope has a partition; before anything is written there, so that every list finds it."""
        if scope in self._known_scopes:
            return
        if self.table.find(SCOPES_PARTITION, scope, select=["name"]) is None:
            # Another worker's event of the same scope may come first.
            with suppress(AlreadyExistsError):
                self.table.transact(SCOPES_PARTITION, [Create(Row(SCOPES_PARTITION, scope, {"name": scope}))])
        self._known_scopes.add(scope)

    def write(self, scope: str, operations: Sequence[Operation], told: Sequence[Told] = ()) -> Sequence[str]:
        """One transaction in the scope's partition, and what follows from it; raises as `Table.transact`."""
        self.ensure_scope(scope)
        if self._outbox is None or not told:
            return self.table.transact(scope, operations)
        follow_ups = [FollowUp(FOLLOW_UP, content_of(told)), *told_of_counts([_counted(one) for one in told])]
        follows = self._outbox.following(self.table.name, scope, follow_ups)
        return self.table.transact(scope, [*operations, follows])[: len(operations)]

    def carry_out(self, scope: str) -> None:
        """Let the lists follow at once what a person did; what fails here follows by the timer."""
        if self._outbox is not None:
            with suppress(DeskbridgeError):
                self._outbox.carry_out_at(MarkedPartition(self.table.name, scope))

    # Objects

    def load(self, vault: str, key: ObjectKey, name: str) -> ObjectRecord:
        """The object's record; an empty one, with `name`, when nothing is known yet."""
        row_key = object_row_key(key)
        row = self.table.find(vault, row_key)
        if row is None:
            return ObjectRecord(ObjectState(key[0], name), row_key=row_key)
        return record_of(row)

    def load_all(self, vault: str, names: Mapping[ObjectKey, str]) -> Mapping[ObjectKey, ObjectRecord]:
        """As `load` of each."""
        row_keys = {object_row_key(key): key for key in names}
        rows = find_rows(self.table, vault, row_keys)
        return {
            key: record_of(rows[row_key])
            if row_key in rows
            else ObjectRecord(ObjectState(key[0], names[key]), row_key=row_key)
            for row_key, key in row_keys.items()
        }

    def records(self, vault: str, object_type: ObjectType | None = None) -> Iterator[ObjectRecord]:
        """All objects of the vault that anything is known about, or those of one type."""
        prefix = "object:" if object_type is None else f"object:{object_type}:"
        for row in scan(self.table, [partition(vault), *row_key_prefix(prefix)]):
            yield record_of(row)

    def known_receipts(self, vault: str, receipts: Sequence[str]) -> set[str]:
        return {
            receipt for receipt in receipts if self.table.find(vault, event_row_key(receipt), select=["at"]) is not None
        }

    # Tickets

    def find_ticket(self, vault: str, ticket_id: str) -> Row | None:
        return self.table.find(vault, f"ticket:{ticket_id}")

    def notes(self, ticket: Row) -> list[Note]:
        """The timeline of a `ticket` row, oldest first."""
        rows = scan(self.table, [partition(ticket.partition_key), *row_key_prefix(f"note:{ticket.text('ticket_id')}:")])
        # By their keys: a version that was forgotten and observed again may report a note that stands in a row already.
        notes = {note_key(note): note for note in (*timeline_of(ticket), *map(_note_of, rows))}
        return [notes[key] for key in sorted(notes)]


def content_of(told: Sequence[Told]) -> dict[str, Any]:
    """What the outbox keeps of changes."""
    tickets = [(one.stored, one.object_name) for one in told if isinstance(one, TicketMoved)]
    return {
        "tickets": [[one.ticket_id, object_name, list(one.list_keys), one.site] for one, object_name in tickets],
        "objects": [[one.row_key, one.before] for one in told if isinstance(one, ExpiryMoved)],
    }


def told_of(content: Mapping[str, Any]) -> Iterator[Told]:
    """What `content_of` made."""
    for ticket_id, object_name, list_keys, site in content["tickets"]:
        yield TicketMoved(StoredTicketRows(ticket_id, list_keys=tuple(list_keys), site=site), object_name)
    for row_key, before in content["objects"]:
        yield ExpiryMoved(row_key, before)


def _counted(one: Told) -> tuple[Cell | None, Cell | None]:
    if isinstance(one, TicketMoved):
        return ticket_cell(one.stored), ticket_cell(one.after)
    return expiry_cell(one.was), expiry_cell(one.becomes)


def ticket_cell(stored: StoredTicketRows | None) -> Cell | None:
    """What a ticket is counted as: the open ones are."""
    if stored is None or stored.open_as is None:
        return None
    return (TICKET, stored.site or "", stored.open_as)


def expiry_cell(expiry: Expiry | None) -> Cell | None:
    """What an object is counted as, unless it is gone, or stands in its certificate: at the first of its sites or at
    that of its vault, by the day of its expiry."""
    if expiry is None or expiry.gone_at is not None or expiry.managed:
        return None
    day = NO_DAY if expiry.expires_at is None else str(expiry.expires_at.astimezone(UTC).date())
    return (OBJECT, (expiry.sites or (expiry.vault_site,))[0], day)


def object_row_key(key: ObjectKey) -> str:
    return escape_key(f"object:{key[0]}:{key[1]}")


def event_row_key(receipt: str) -> str:
    return f"event:{receipt}"


def save_object(vault: str, record: ObjectRecord) -> Operation:
    """Create or replace the object's row: fails when another worker wrote it since it was read."""
    row = Row(vault, record.row_key, pack("record", to_members(record)), record.etag)
    return Replace(row) if record.etag else Create(row)


def to_members(record: ObjectRecord) -> dict[str, Any]:
    """The record without its row key and ETag, ready for JSON; members at their default are left out."""
    members: dict[str, Any] = _RECORD.dump_python(
        record, mode="json", exclude={"row_key", "etag"}, exclude_defaults=True
    )
    return members


def from_members(members: Mapping[str, Any], row_key: str, etag: str) -> ObjectRecord:
    """What `to_members` made."""
    return replace(_RECORD.validate_python(members), row_key=row_key, etag=etag)


def create_receipt(event: KeyVaultEvent, now: datetime) -> Operation:
    values: dict[str, Value] = {
        "event_id": event.event_id,
        "source": event.source,
        "event": str(event.change),
        "object_type": str(event.object_type),
        "object_name": event.object_name,
        "version": event.version,
        "at": event.at,
        "received_at": now,
    }
    return Create(Row(event.vault, event_row_key(event.receipt), values))


def create_note(vault: str, ticket_id: str, note: Note) -> Operation:
    """Saves it: the key says all that the note says."""
    values: dict[str, Value] = {"at": note.at, "author": note.author, "text": note.text}
    return Save(Row(vault, f"note:{ticket_id}:{note_key(note)}", values))


def project(
    partition_key: str,
    row_key: str,
    desired: DesiredTicket,
    ticket_id: str,
    present: StoredTicketRows | None,
    etag: str = "",
) -> tuple[list[Operation], StoredTicketRows]:
    """The operations that bring a ticket's rows to what is desired, and what is stored after them; none are needed
    for a ticket that is stored as it should be. `etag` guards the row of a ticket that its object does not know: a
    person may change it by itself."""
    listed = _columns(desired.ticket, ticket_id)
    own = {**listed, **_own_columns(desired.ticket, row_key, desired.key, desired.notes)}
    content = [own, [note_key(note) for note in desired.lasting_notes]]
    digest = hashlib.sha256(to_json(content)).hexdigest()[:16]
    if present is not None and present.digest == digest:
        return [], present
    row = Row(partition_key, f"ticket:{ticket_id}", own, etag)
    # A new ticket must not stand on another one's row: then its id has to be longer.
    operations: list[Operation] = [Create(row) if present is None else Replace(row) if etag else Save(row)]
    operations += [create_note(partition_key, ticket_id, note) for note in desired.lasting_notes]
    return operations, _stored(desired.ticket, ticket_id, digest)


def remove(stored: StoredTicketRows) -> list[Operation]:
    """The operations that take a ticket's rows away, but for the notes that people wrote."""
    return [Delete(f"ticket:{stored.ticket_id}")]


def rewrite(row: Row, ticket: Ticket) -> Replace:
    """The operation that changes a `ticket` row by itself; `row` as it was read."""
    listed = _columns(ticket, ticket.ticket_id)
    own = _own_columns(ticket, row.text("object_row"), row.text("ticket_key"), timeline_of(row))
    return Replace(Row(row.partition_key, row.row_key, {**listed, **own}, row.etag))


def stored_of(row: Row) -> StoredTicketRows:
    """Where the ticket of a `ticket` row stands in the lists."""
    ticket = ticket_of(row)
    return _stored(ticket, ticket.ticket_id)


def ticket_of(row: Row) -> Ticket:
    """The ticket of a `ticket` row, or of a row of a list (which has no details)."""
    opened_at, updated_at = row.time("opened_at"), row.time("updated_at")
    assert opened_at is not None and updated_at is not None  # noqa: S101, PT018 - written with every row
    return Ticket(
        ticket_id=row.text("ticket_id"),
        kind=TicketKind(row.text("kind")),
        status=Status(row.text("status")),
        priority=Priority(row.text("priority")),
        ticket_type=row.text("ticket_type"),
        summary=row.text("summary"),
        details=row.text("details"),
        scope=row.text("scope"),
        object_type=ObjectType(row.text("object_type")),
        object_name=row.text("object_name"),
        version=row.text("version"),
        opened_at=opened_at,
        updated_at=updated_at,
        finished_at=row.time("finished_at"),
        expires_at=row.time("expires_at"),
        snoozed_until=row.time("snoozed_until"),
        team=row.text("team") or None,
        assignee=row.text("assignee") or None,
        site=row.text("site") or None,
        rule=row.text("rule") or None,
        source=row.text("source"),
    )


def timeline_of(row: Row) -> list[Note]:
    """The part of a ticket's timeline that stands in its own row, oldest first."""
    return [Note(datetime.fromisoformat(at), author, text) for at, author, text in unpack(row, _TIMELINE, ())]


def note_key(note: Note) -> str:
    return f"{ascending(note.at)}:{note.note_id}"


def record_of(row: Row) -> ObjectRecord:
    return from_members(unpack(row, "record"), row.row_key, row.etag)


def _note_of(row: Row) -> Note:
    at = row.time("at")
    assert at is not None  # noqa: S101 - written with every row
    return Note(at, row.text("author"), row.text("text"))


def _columns(ticket: Ticket, ticket_id: str) -> dict[str, Value]:
    """What every row about a ticket has."""
    columns: dict[str, Value] = {
        "ticket_id": ticket_id,
        "kind": str(ticket.kind),
        "status": str(ticket.status),
        "priority": str(ticket.priority),
        "object_type": str(ticket.object_type),
    }
    members = {name: getattr(ticket, name) for name in _MEMBERS}
    return {**columns, **{name: value for name, value in members.items() if value is not None}}


def _own_columns(ticket: Ticket, object_row: str, key: str, notes: Iterable[Note]) -> dict[str, Value]:
    """What the ticket's own row has beside that."""
    columns: dict[str, Value] = {"details": ticket.details, "object_row": object_row, "ticket_key": key}
    timeline = sorted([(note.at, note.author, note.text) for note in notes])
    return {**columns, **pack(_TIMELINE, timeline)} if timeline else columns


def _stored(ticket: Ticket, ticket_id: str, digest: str = "") -> StoredTicketRows:
    open_as = None if ticket.finished_at is not None else str(ticket.priority)
    return StoredTicketRows(ticket_id, digest, _list_keys(ticket, ticket_id), ticket.site, open_as)


def _list_keys(ticket: Ticket, ticket_id: str) -> tuple[str, ...]:
    newest_first = f"{descending(ticket.opened_at)}:{ticket_id}"
    due = NEVER if ticket.expires_at is None else ascending(ticket.expires_at)
    if ticket.finished_at is not None:
        return (f"{DONE}:{newest_first}",)
    aging = (f"{listed.AGING}:{newest_first}",) if ticket.kind in listed.AGING_KINDS else ()
    return (f"{OPEN}:{newest_first}", f"{DUE}:{due}:{ticket_id}", *aging)
