"""The next transaction of one object: its row, the receipts of what was taken in, and the rows of its tickets."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.errors import DeskbridgeError, MisconfiguredError, RowRefusedError, TooLargeError
from shared.reasons import Reason
from shared.storage.limits import check_row
from shared.storage.rows import Delete, Operation, Row
from shared.tickets.domain.decide import RuleEvaluator, decide, is_known, version_of
from shared.tickets.domain.model import (
    Context,
    DesiredTicket,
    Note,
    ObjectType,
    RuleRecord,
    RuleResult,
    StoredTicketRows,
    TicketKind,
    ticket_id,
)
from shared.tickets.store.object_json import ObjectRecord
from shared.tickets.store.repository import (
    ObjectKey,
    TicketRepository,
    create_note,
    indexes_of,
    object_row_key,
    project,
    remove,
    save_object,
    told_in,
)

logger = logging.getLogger(__name__)

# Of the 100 of a transaction; one ticket fits, also with all the notes of an earlier release, and the object's own row.
_ROOM = 98
_LONGEST_ID = 12

# Which imports read a secret: (vault, secret) to their names.
UsesOf = Callable[[str, str], Sequence[str]]


@dataclass(frozen=True)
class TicketTransaction:
    """What is to be written in one transaction; none when all is as it should be. `done` says that nothing is left."""

    operations: list[Operation]
    done: bool


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
        vault: str,
        key: ObjectKey,
        before: ObjectRecord,
        record: ObjectRecord,
        own: list[Operation],
        context: Context,
        ruling: RuleEvaluator,
        *,
        look: bool,
    ) -> TicketTransaction:
        """The transaction that takes the object from `before` to `record`, its tickets and `own` along with it.

        `look` says that a transaction of it was refused, so that new tickets' ids are looked for in the table. Raises
        UnstorableError for what no row can hold, and TryLaterError.
        """
        try:
            row_key = object_row_key(key)
            rulings: dict[str, RuleResult] = {}
            tickets = decide(record.state, record.words, context, remembered(rulings, record.rulings, ruling))
            words, written = dict(record.words), dict(record.written)
            operations = own.copy()
            done = True
            for stale in sorted(written.keys() - {wanted.key for wanted in tickets}):
                # A version that is forgotten leaves its tickets as they are; else no rule wants the ticket any more.
                if not is_known(record.state, stale):
                    del written[stale]
                    words.pop(stale, None)
                elif len(operations) + len(rows := remove(written[stale])) <= _ROOM:
                    operations += rows
                    del written[stale]
                else:
                    done = False
            for wanted in tickets:
                present = written.get(wanted.key)
                if present is not None:
                    rows, after = project(vault, row_key, wanted, present.ticket_id, present)
                else:
                    rows, after = self._new_ticket(vault, key, row_key, wanted, written, look=look)
                if not rows:
                    continue
                if len(operations) + len(rows) > _ROOM:
                    done = False
                    break
                operations += rows
                written[wanted.key] = after
            settled = ObjectRecord(
                record.state,
                words,
                rulings if done else {**record.rulings, **rulings},
                written,
                unsettled=not done,
                receipts=record.receipts,
                etag=record.etag,
            )
            if operations or settled != before:
                operations.insert(0, save_object(vault, row_key, settled))
            for operation in operations:
                # Here, where it is known whose row it is.
                if not isinstance(operation, Delete):
                    check_row(operation.row)
            if not operations and not done:
                # The caps of `facts` keep a ticket's rows below it; without this a mistake there would never end.
                raise UnstorableError(key, f"A ticket of {key[0]} {key[1]} needs more rows than a transaction holds.")
            return TicketTransaction(operations, done)
        except (RowRefusedError, TooLargeError) as error:
            raise UnstorableError(key, f"What is known about {key[0]} {key[1]} cannot be stored. {error}") from error

    # Within

    def _new_ticket(
        self,
        vault: str,
        key: ObjectKey,
        row_key: str,
        wanted: DesiredTicket,
        written: Mapping[str, StoredTicketRows],
        *,
        look: bool,
    ) -> tuple[list[Operation], StoredTicketRows]:
        taken = {one.ticket_id for one in written.values()}
        wanted_id, former = self._new_id(vault, key, row_key, wanted, taken, look=look)
        known = None if former is None else StoredTicketRows(wanted_id, indexes=indexes_of(former))
        rows, after = project(vault, row_key, wanted, wanted_id, known)
        # What its former life told would go with the row that it is told in.
        told = [] if former is None else [note for note in told_in(former) if note not in wanted.notes]
        rows += [create_note(vault, wanted_id, note) for note in (*told, *self._uses(vault, wanted))]
        return rows, after

    def _new_id(
        self, vault: str, key: ObjectKey, row_key: str, wanted: DesiredTicket, taken: set[str], *, look: bool
    ) -> tuple[str, Row | None]:
        """The id of a ticket that is not written yet: longer than others when another condition has it already. And
        the row that has it all the same: of a version that was forgotten, and that something was said of again.

        `look` asks the table, as is due once a transaction was refused: that one refused a ticket's row is no sign,
        because whoever wrote the object meanwhile may have written the ticket too.
        """
        for longer in range(0, _LONGEST_ID, 2):
            found = ticket_id(vault, key[0], key[1], wanted.ticket.kind, version_of(wanted.key), longer)
            if found in taken:
                continue
            row = self._repository.find_ticket(vault, found) if look else None
            if row is None or (row.text("object_row"), row.text("ticket_key")) == (row_key, wanted.key):
                return found, row
        raise UnstorableError(key, f"There is no free id for a ticket of {key[0]} {key[1]}.")

    def _uses(self, vault: str, wanted: DesiredTicket) -> list[Note]:
        ticket = wanted.ticket
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


def remembered(used: dict[str, RuleResult], known: Mapping[str, RuleResult], ruling: RuleEvaluator) -> RuleEvaluator:
    """Rules once about each thing; `used` is filled with what was needed."""

    def rule(record: RuleRecord) -> RuleResult:
        key = hashlib.sha256(repr(sorted(record.items())).encode("utf-8")).hexdigest()[:12]
        if key not in used:
            used[key] = known[key] if key in known else ruling(record)
        return used[key]

    return rule
