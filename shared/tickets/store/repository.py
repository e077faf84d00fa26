"""Tickets in Table Storage. One partition a vault; the object's row guards all that is derived from it by its ETag.

Rows of a vault's partition: `object:<type>:<name>` (facts, words, receipts, what is written), `event:<receipt>`,
`ticket:<id>` with what the facts tell in its timeline, `note:<ticket>:<time>:<id>` for what people wrote and what is
never taken back, and the lists: `open:<newest first>:<id>`, `due:<soonest first>:<id>` for open tickets,
`done:<newest first>:<id>` for finished ones. So a new event is five rows, and twenty of them are one transaction.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from shared.errors import AlreadyExistsError
from shared.storage.documents import pack_text, unpack
from shared.storage.entities import Columns, MoreColumns
from shared.storage.keys import ascending, descending
from shared.storage.limits import storable
from shared.storage.rows import (
    Condition,
    Create,
    Delete,
    Operation,
    Replace,
    Row,
    Save,
    Value,
    partition,
    row_key_prefix,
)
from shared.storage.tables import Table, scan
from shared.text import escape_key
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
from shared.tickets.store.object_json import ObjectRecord, from_json, notes_from_json, notes_to_json, to_json

# No vault can be named so: a vault's name has no colon.
VAULTS_PARTITION = "vaults:"
OPEN, DUE, DONE = "open", "due", "done"
_NEVER = "9" * 18
# As much of a page as takes as long as asking for one row.
_ROWS_FOR_A_READ = 20
# What the facts tell of a ticket. Earlier releases wrote each of these notes as a row of its own.
_TIMELINE = "timeline"
# The columns that are members of a ticket as they stand: texts, texts that may be missing, times.
_MEMBERS = (
    *("ticket_type", "summary", "vault", "object_name", "version", "source"),
    *("team", "assignee", "site", "rule"),
    *("finished_at", "expires_at", "snoozed_until"),
)

ObjectKey = tuple[ObjectType, str]


class TicketRepository:
    """The rows of the table `tickets`."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._known_vaults: set[str] = set()

    # Vaults

    def ensure_vault(self, vault: str) -> None:
        """Note that the vault has a partition; before anything is written there, so that every list finds it."""
        if vault in self._known_vaults:
            return
        if self.table.find(VAULTS_PARTITION, vault, select=["name"]) is None:
            # Another worker's event of the same vault may come first.
            with suppress(AlreadyExistsError):
                self.table.transact(VAULTS_PARTITION, [Create(Row(VAULTS_PARTITION, vault, {"name": vault}))])
        self._known_vaults.add(vault)

    def vaults(self) -> list[str]:
        return [row.row_key for row in scan(self.table, [partition(VAULTS_PARTITION)], select=["name"])]

    # Objects

    def load(self, vault: str, key: ObjectKey, name: str) -> ObjectRecord:
        """The object's record; an empty one, with `name`, when nothing is known yet."""
        row = self.table.find(vault, object_row_key(key))
        if row is None:
            return ObjectRecord(ObjectState(key[0], name))
        return from_json(unpack(row, "record"), row.etag)

    def load_all(self, vault: str, names: Mapping[ObjectKey, str]) -> Mapping[ObjectKey, ObjectRecord]:
        """As `load` of each, by reading the vault's objects from the first to the last of them.

        Where too many others stand between them, those are missing that the reading did not come to.
        """
        row_keys = {object_row_key(key): key for key in names}
        first, last = min(row_keys), max(row_keys)
        where = [partition(vault), Condition("RowKey", "ge", first), Condition("RowKey", "le", last)]
        found = {key: ObjectRecord(ObjectState(key[0], name)) for key, name in names.items()}
        most = _ROWS_FOR_A_READ * len(names)
        for count, row in enumerate(scan(self.table, where), 1):
            if row.row_key in row_keys:
                found[row_keys[row.row_key]] = from_json(unpack(row, "record"), row.etag)
            if count >= most:
                return {key: found[key] for row_key, key in row_keys.items() if row_key <= row.row_key}
        return found

    def records(self, vault: str) -> Iterator[ObjectRecord]:
        """All objects of the vault that anything is known about."""
        for row in scan(self.table, [partition(vault), *row_key_prefix("object:")]):
            yield from_json(unpack(row, "record"), row.etag)

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
        # By their keys, because a note may stand in both places: as a row of an earlier release, and as told anew.
        notes = {_note_key(note): note for note in (*told_in(ticket), *map(_note_of, rows))}
        return [notes[key] for key in sorted(notes)]


def object_key(object_type: ObjectType, name: str) -> ObjectKey:
    """Key Vault compares names without case."""
    return (object_type, name.casefold())


def object_row_key(key: ObjectKey) -> str:
    return escape_key(f"object:{key[0]}:{key[1]}")


def event_row_key(receipt: str) -> str:
    return f"event:{receipt}"


def save_object(vault: str, row_key: str, record: ObjectRecord) -> Operation:
    """Create or replace the object's row: fails when another worker wrote it since it was read."""
    row = Row(vault, row_key, pack_text("record", to_json(record)), record.etag)
    return Replace(row) if record.etag else Create(row)


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
    return Save(Row(vault, f"note:{ticket_id}:{_note_key(note)}", values))


def project(
    partition_key: str, row_key: str, wanted: DesiredTicket, ticket_id: str, present: StoredTicketRows | None
) -> tuple[list[Operation], StoredTicketRows]:
    """The operations that bring a ticket's rows to what is wanted, and what is written after them. None are needed
    for a ticket that is written as it should be. Raises RowRefusedError or TooLargeError for what no row can hold."""
    ticket = wanted.ticket
    listed = _columns(ticket, ticket_id)
    own = _own_columns(ticket, row_key, wanted.key, wanted.notes)
    row = Row(partition_key, f"ticket:{ticket_id}", MoreColumns(listed, own))
    digest = _digest_of(row, wanted.lasting_notes)
    if present is not None and present.digest == digest:
        return [], present
    indexes = tuple(_index_keys(ticket, ticket_id))
    before = present or StoredTicketRows(ticket_id)
    # A new ticket must not stand on another one's row: then its id has to be longer.
    operations: list[Operation] = [Create(row) if present is None else Save(row)]
    operations += [Save(Row(partition_key, key, listed)) for key in indexes]
    operations += [Delete(key) for key in before.indexes if key not in indexes]
    operations += [Delete(f"note:{ticket_id}:{key}") for key in before.notes]
    operations += [create_note(partition_key, ticket_id, note) for note in wanted.lasting_notes]
    return operations, StoredTicketRows(ticket_id, digest, indexes=indexes)


def remove(written: StoredTicketRows) -> list[Operation]:
    """The operations that take a ticket's rows away, but for the notes that people wrote."""
    keys = (f"ticket:{written.ticket_id}", *written.indexes)
    return [Delete(key) for key in (*keys, *(f"note:{written.ticket_id}:{note}" for note in written.notes))]


def rewrite(row: Row, ticket: Ticket) -> list[Operation]:
    """The operations that change a `ticket` row by itself, with its places in the lists; `row` as it was read."""
    listed = _columns(ticket, ticket.ticket_id)
    own = _own_columns(ticket, row.text("object_row"), row.text("ticket_key"), told_in(row))
    before, after = set(_index_keys(ticket_of(row), ticket.ticket_id)), set(_index_keys(ticket, ticket.ticket_id))
    return [
        Replace(Row(row.partition_key, row.row_key, MoreColumns(listed, own), row.etag)),
        *(Save(Row(row.partition_key, key, listed)) for key in sorted(after)),
        *(Delete(key) for key in sorted(before - after)),
    ]


def indexes_of(row: Row) -> tuple[str, ...]:
    """The row keys under which the ticket of a `ticket` row stands in the lists."""
    return tuple(_index_keys(ticket_of(row), row.text("ticket_id")))


def _digest_of(row: Row, lasting_notes: Iterable[Note]) -> str:
    """Changes whenever a row of the ticket has to be written: its own, which says all that the lists say, or a note."""
    said = hashlib.sha256(storable(row).entity)
    for note in lasting_notes:
        said.update(_note_key(note).encode("ascii"))
    return said.hexdigest()[:16]


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
        vault=row.text("vault"),
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


def told_in(row: Row) -> list[Note]:
    """The part of a ticket's timeline that stands in its own row, oldest first."""
    return notes_from_json(unpack(row, _TIMELINE, ()))


def _note_of(row: Row) -> Note:
    at = row.time("at")
    assert at is not None  # noqa: S101 - written with every row
    return Note(at, row.text("author"), row.text("text"))


def _columns(ticket: Ticket, ticket_id: str) -> Columns:
    """What every row about a ticket has."""
    columns = Columns(
        ticket_id=ticket_id,
        kind=str(ticket.kind),
        status=str(ticket.status),
        priority=str(ticket.priority),
        object_type=str(ticket.object_type),
        opened_at=ticket.opened_at,
        updated_at=ticket.updated_at,
    )
    for name in _MEMBERS:
        value = getattr(ticket, name)
        if value is not None:
            columns[name] = value
    return columns


def _own_columns(ticket: Ticket, object_row: str, key: str, told: Iterable[Note]) -> dict[str, Value]:
    """What the ticket's own row has beside that."""
    columns: dict[str, Value] = {"details": ticket.details, "object_row": object_row, "ticket_key": key}
    timeline = notes_to_json(told)
    return {**columns, **pack_text(_TIMELINE, timeline)} if timeline else columns


def _index_keys(ticket: Ticket, ticket_id: str) -> Iterator[str]:
    newest_first = f"{descending(ticket.opened_at)}:{ticket_id}"
    if ticket.status.finished:
        yield f"{DONE}:{newest_first}"
        return
    yield f"{OPEN}:{newest_first}"
    yield f"{DUE}:{_NEVER if ticket.expires_at is None else ascending(ticket.expires_at)}:{ticket_id}"


def _note_key(note: Note) -> str:
    return f"{ascending(note.at)}:{note.note_id}"
