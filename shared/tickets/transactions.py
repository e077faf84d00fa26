"""The next transaction of one object: its row, the receipts of what was taken in, and the rows of its tickets."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.errors import DeskbridgeError, MisconfiguredError, RowRefusedError, TooLargeError
from shared.reasons import Reason
from shared.storage.rows import OPERATIONS_PER_TRANSACTION, Delete, Operation, Row, check_row
from shared.tickets.domain.decide import ObjectRecord, decide, expiry_of, is_known
from shared.tickets.domain.model import (
    DESK_PREFIX,
    KEY_VAULT_PREFIX,
    Context,
    DesiredTicket,
    ManualOverride,
    Note,
    ObjectType,
    StoredTicketRows,
    TicketKind,
    ticket_id,
)
from shared.tickets.store.index_rows import ExpiryMoved, TicketMoved, Told, key_of_expiry
from shared.tickets.store.repository import (
    ObjectKey,
    TicketRepository,
    create_note,
    project,
    remove,
    save_object,
    stored_of,
    timeline_of,
)

logger = logging.getLogger(__name__)

# The object's own row needs one, and what is told to the index another.
_ROOM = OPERATIONS_PER_TRANSACTION - 2
_LONGEST_ID = 12

# Which imports read a secret: (vault, secret) to their names.
UsesOf = Callable[[str, str], Sequence[str]]


@dataclass(frozen=True)
class TicketTransaction:
    """What is to be written in one transaction; none when all is as it should be. `done` says that nothing is left.

    `told` is what index and counts have to follow.
    """

    operations: list[Operation]
    done: bool
    told: tuple[Told, ...] = ()


class UnstorableError(DeskbridgeError):
    """What is known about one object does not fit into its rows. `key` says which."""

    def __init__(self, key: ObjectKey, message: str) -> None:
        super().__init__(Reason.EVENT_TOO_LARGE, message)
        self.key = key


class TicketTransactions:
    """Plans transactions. Asks the table for nothing but tickets whose id may be taken."""

    def __init__(self, repository: TicketRepository, uses_of: UsesOf | None) -> None:
        self._repository = repository
        self._uses_of = uses_of

    def plan(
        self,
        key: ObjectKey,
        before: ObjectRecord,
        record: ObjectRecord,
        own: Sequence[Operation],
        context: Context,
        *,
        check_id_collisions: bool,
    ) -> TicketTransaction:
        """The transaction that takes the object from `before` to `record`, its tickets and `own` along with it.

        `check_id_collisions` says that a transaction of it was refused, so that the table is asked for new tickets'
        ids. Raises UnstorableError for what no row can hold, and TryLaterError.
        """
        decision = decide(record.state, record.overrides, context, record.rule_results)
        try:
            operations = [*own]
            told: list[Told] = []
            stored, overrides, incomplete = _without_stale(record, decision.tickets, operations, told)
            for desired in decision.tickets:
                rows, stored_rows, moved = self._rows_of(
                    key, record.row_key, desired, stored, context, check_id_collisions
                )
                if len(operations) + len(rows) > _ROOM:
                    incomplete = True
                    break
                operations += rows
                if rows:
                    told.append(moved)
                stored[desired.key] = stored_rows
            earlier = record.rule_results if incomplete else {}
            rule_results = {**earlier, **decision.rule_results}
            after = replace(
                record, overrides=overrides, rule_results=rule_results, stored=stored, incomplete=incomplete
            )
            if not operations and incomplete:
                # The caps of observations keep a ticket's rows below it; without this a mistake would never end.
                raise UnstorableError(key, f"A ticket of {key[0]} {key[1]} needs more rows than a transaction holds.")
            told += _expiry_moved(context.vault, before, after)
            if operations or after != before:
                operations.insert(0, save_object(context.vault, after))
            for operation in operations:
                # Here, where it is known whose row it is.
                if not isinstance(operation, Delete):
                    check_row(operation.row)
        except (RowRefusedError, TooLargeError) as error:
            raise UnstorableError(key, f"What is known about {key[0]} {key[1]} cannot be stored. {error}") from error
        return TicketTransaction(operations, not incomplete, tuple(told))

    # Within

    def _rows_of(
        self,
        key: ObjectKey,
        row_key: str,
        desired: DesiredTicket,
        stored: Mapping[str, StoredTicketRows],
        context: Context,
        check_id_collisions: bool,
    ) -> tuple[list[Operation], StoredTicketRows, TicketMoved]:
        vault, present = context.vault, stored.get(desired.key)
        if present is not None:
            rows, after = project(vault, row_key, desired, present.ticket_id, present)
            return rows, after, TicketMoved(present, key[1], after)
        uses = self._uses(vault, desired)
        taken = {one.ticket_id for one in stored.values()}
        new_id, former = self._new_id(vault, key, row_key, desired, taken, check_id_collisions=check_id_collisions)
        known = None if former is None else stored_of(former)
        # The notes of its former life would go with the row that they stand in.
        kept = [] if former is None else [note for note in timeline_of(former) if note not in desired.notes]
        rows, after = project(vault, row_key, desired, new_id, known, "" if former is None else former.etag)
        rows += [create_note(vault, new_id, note) for note in (*kept, *uses)]
        return rows, after, TicketMoved(known or StoredTicketRows(new_id), key[1], after)

    def _new_id(
        self,
        vault: str,
        key: ObjectKey,
        row_key: str,
        desired: DesiredTicket,
        taken: set[str],
        *,
        check_id_collisions: bool,
    ) -> tuple[str, Row | None]:
        """The id of a ticket that is not stored yet: longer than others when another condition has it already. And
        the row that has it all the same: of a version that was forgotten, and that was observed again.

        That a ticket's row was refused is no sign of a collision, because whoever wrote the object meanwhile may have
        written the ticket too: so the table is asked.
        """
        for longer in range(0, _LONGEST_ID, 2):
            prefix = DESK_PREFIX if key[0] is ObjectType.DESK else KEY_VAULT_PREFIX
            found = ticket_id(vault, key[0], key[1], desired.key, longer, prefix=prefix)
            if found in taken:
                continue
            row = self._repository.find_ticket(vault, found) if check_id_collisions else None
            if row is None or (row.text("object_row"), row.text("ticket_key")) == (row_key, desired.key):
                return found, row
        raise UnstorableError(key, f"There is no free id for a ticket of {key[0]} {key[1]}.")

    def _uses(self, vault: str, desired: DesiredTicket) -> list[Note]:
        ticket = desired.ticket
        if self._uses_of is None or ticket.kind is not TicketKind.EXPIRY or ticket.object_type is not ObjectType.SECRET:
            return []
        try:
            names = self._uses_of(vault, ticket.object_name)
        except MisconfiguredError as error:
            # A settings document of an import that is at fault must not keep events out.
            logger.warning("What uses the secret %s is not known: %s", ticket.object_name, error)
            return []
        if not names:
            return []
        return [Note(ticket.opened_at, "Deskbridge", f"When it expires, this breaks: {', '.join(sorted(names))}.")]


def _without_stale(
    record: ObjectRecord, tickets: Sequence[DesiredTicket], operations: list[Operation], told: list[Told]
) -> tuple[dict[str, StoredTicketRows], dict[str, ManualOverride], bool]:
    """What stays stored and overridden when the tickets are gone that are not desired any more, and whether more have
    to go than have room. `operations` get those that remove them, `told` says so to the index."""
    stored, overrides, incomplete = dict(record.stored), dict(record.overrides), False
    for stale in sorted(stored.keys() - {desired.key for desired in tickets}):
        # A version that is forgotten leaves its tickets as they are; else no rule wants the ticket any more.
        if not is_known(record.state, stale):
            del stored[stale]
            overrides.pop(stale, None)
        elif len(operations) + len(rows := remove(stored[stale])) <= _ROOM:
            operations += rows
            told.append(TicketMoved(stored[stale], record.state.name))
            del stored[stale]
        else:
            incomplete = True
    return stored, overrides, incomplete


def _expiry_moved(vault: str, before: ObjectRecord, after: ObjectRecord) -> list[Told]:
    # What is not stored stands nowhere.
    earlier = expiry_of(vault, before) if before.etag else None
    becomes = expiry_of(vault, after)
    if earlier == becomes:
        return []
    before_row = "" if earlier is None else key_of_expiry(earlier, after.row_key).row
    return [ExpiryMoved(after.row_key, before_row, earlier, becomes)]
