"""Takes observations in and brings a vault's tickets to what they say, one transaction after the other.

Each transaction holds the object's row (by its ETag), the receipts of the events it took in, and rows of the tickets
that follow. What did not fit follows in the next one: the object's row says what is already written. So a worker may
be killed between any two calls, and whoever comes next, with the same event or another, goes on from there.
"""

import hashlib
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from shared.errors import ConflictError, DeskbridgeError, MisconfiguredError, RowRefusedError, TryLaterError
from shared.reasons import Reason
from shared.storage.limits import check_row, in_transactions
from shared.storage.rows import Delete, Operation, Row
from shared.tickets.deciding import Ruling, decide, is_known, version_of
from shared.tickets.facts import Observation, absorb
from shared.tickets.model import (
    Context,
    KeyVaultEvent,
    Note,
    ObjectType,
    Outcome,
    RuleRecord,
    TicketKind,
    Wanted,
    Word,
    Written,
    ticket_id,
)
from shared.tickets.records import ObjectRecord
from shared.tickets.repository import (
    ObjectKey,
    TicketRepository,
    create_note,
    create_receipt,
    indexes_of,
    object_key,
    object_row_key,
    project,
    remove,
    save_object,
)

logger = logging.getLogger(__name__)

_TRIES = 5
# Of a person's change, which is one ticket's only: it need not give up as early as a delivery of hundreds.
_TRIES_OF_PEOPLE = 12
_EVENTS_AT_ONCE = 20
# From as many objects on, one reading of the vault's range of them costs less than asking for each.
_READ_TOGETHER = 40
# Of the 100 of a transaction; one ticket with all its notes fits, and the object's own row.
_ROOM = 98
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_ID = 12
# Event Grid waits 30 s for an answer.
_SECONDS = 18.0

# Which imports read a secret: (vault, secret) to their names.
UsesOf = Callable[[str, str], Sequence[str]]


@dataclass(frozen=True)
class Speech:
    """A person's new word about a ticket, and the notes that tell it."""

    word: Word
    notes: tuple[Note, ...]


# From the word that stands and the ticket as it is, the new word; None when it changes nothing.
Say = Callable[[Word | None, Wanted], Speech | None]


@dataclass(frozen=True)
class Work:
    """What is to be taken in about one object."""

    key: ObjectKey
    name: str
    observations: tuple[Observation, ...]


@dataclass
class _Progress:
    work: Work
    taken: int = 0
    done: bool = False
    failures: int = 0
    # Read ahead, good for the first step: its transaction fails when another worker wrote the object since.
    record: ObjectRecord | None = None


@dataclass(frozen=True)
class _Step:
    operations: list[Operation]
    taken: int
    done: bool


@dataclass(frozen=True)
class Changed:
    """A person's word took effect. `row` is the ticket's as it was written; None when it has to be read."""

    row: Row | None


class UnstorableError(DeskbridgeError):
    """What is known about one object does not fit into its rows. `key` says which."""

    def __init__(self, key: ObjectKey, message: str) -> None:
        super().__init__(Reason.EVENT_TOO_LARGE, message)
        self.key = key


def work_of(events: Iterable[KeyVaultEvent]) -> list[Work]:
    """The events of one vault, by object, in the order of their first appearance."""
    by_object: dict[ObjectKey, list[KeyVaultEvent]] = {}
    for event in dict.fromkeys(events):
        by_object.setdefault(object_key(event.object_type, event.object_name), []).append(event)
    return [Work(key, found[0].object_name, tuple(found)) for key, found in by_object.items()]


class Settling:
    """Brings a vault's rows to what was said. `wait` takes seconds, `clock` gives seconds that never run backwards."""

    def __init__(
        self,
        repository: TicketRepository,
        *,
        now: Callable[[], datetime],
        wait: Callable[[float], None],
        clock: Callable[[], float],
        uses_of: UsesOf | None = None,
    ) -> None:
        self._repository = repository
        self._now = now
        self._wait = wait
        self._clock = clock
        self._uses_of = uses_of

    def settle(self, vault: str, works: Sequence[Work], context: Context, ruling: Ruling) -> None:
        """Take all of it in.

        Raises TryLaterError when storage fails or others keep writing: then nothing is lost, and repeating the call
        goes on from there. Raises UnstorableError for an object whose rows would be refused.
        """
        self._repository.ensure_vault(vault)
        deadline = self._clock() + _SECONDS
        ahead: Mapping[ObjectKey, ObjectRecord] = {}
        if len(works) >= _READ_TOGETHER:
            # What fails here is asked for one by one, where a failure is counted and waited for.
            with suppress(TryLaterError):
                ahead = self._repository.load_all(vault, {work.key: work.name for work in works})
        pending = [_Progress(work, record=ahead.get(work.key)) for work in works]
        while pending:
            self._settle_some(vault, pending, context, ruling, deadline)
            pending = [progress for progress in pending if not progress.done]

    def change(
        self, vault: str, key: ObjectKey, ticket_key: str, say: Say, context: Context, ruling: Ruling
    ) -> Changed | None:
        """Let a person's word about one ticket take effect. `say` is asked again when others wrote meanwhile.

        Answers None when nothing is known about the ticket's condition any more. Raises what `say` raises, and
        TryLaterError.
        """
        for tries in range(_TRIES_OF_PEOPLE):
            record = self._repository.load(vault, key, key[1])
            rulings: dict[str, Outcome] = {}
            wanted = decide(record.state, record.words, context, _remembered(rulings, record.rulings, ruling))
            present = next((one for one in wanted if one.key == ticket_key), None)
            if present is None or ticket_key not in record.written:
                return None
            said = say(record.words.get(ticket_key), present)
            if said is None:
                return Changed(None)
            spoken = replace(record, words={**record.words, ticket_key: said.word})
            own = [create_note(vault, record.written[ticket_key].ticket_id, note) for note in said.notes]
            step = self._plan(vault, _Progress(Work(key, key[1], ())), record, spoken, own, context, ruling)
            try:
                etags = self._repository.table.transact(vault, step.operations)
            except ConflictError:
                self._wait(_pause(min(tries, _TRIES)))
                continue
            if not step.done:
                self.settle(vault, [Work(key, record.state.name, ())], context, ruling)
                return Changed(None)
            ticket = f"ticket:{record.written[ticket_key].ticket_id}"
            for operation, etag in zip(step.operations, etags, strict=True):
                if not isinstance(operation, Delete) and operation.row.row_key == ticket:
                    return Changed(replace(operation.row, etag=etag))
            return Changed(None)
        raise _contended()

    # Within

    def _settle_some(
        self, vault: str, group: list[_Progress], context: Context, ruling: Ruling, deadline: float
    ) -> None:
        """One step of each, in as few transactions as they fit into; what an object needs stays together."""
        steps = self._steps(vault, group, context, ruling, deadline)
        for together in in_transactions(((progress, step), step.operations) for progress, step in steps):
            operations = [operation for _, step in together for operation in step.operations]
            try:
                self._repository.table.transact(vault, operations)
            except RowRefusedError:
                # Two objects may want one new ticket id; apart, the second of them finds it taken.
                if len(together) == 1:
                    raise
                for progress, _ in together:
                    self._settle_some(vault, [progress], context, ruling, deadline)
                continue
            except (ConflictError, TryLaterError) as error:
                self._failed([progress for progress, _ in together], error, deadline)
                continue
            for progress, step in together:
                progress.taken, progress.done = step.taken, step.done

    def _steps(
        self, vault: str, group: list[_Progress], context: Context, ruling: Ruling, deadline: float
    ) -> Iterator[tuple[_Progress, _Step]]:
        """The next step of each that has anything to write."""
        for progress in group:
            try:
                step = self._step(vault, progress, context, ruling)
            except TryLaterError as error:
                self._failed([progress], error, deadline)
                continue
            if step.operations:
                yield progress, step
            else:
                progress.taken, progress.done = step.taken, step.done

    def _failed(self, group: list[_Progress], error: DeskbridgeError, deadline: float) -> None:
        # A transaction whose answer was lost may have taken place: the next step reads and decides again.
        for progress in group:
            progress.failures += 1
        tries = max(progress.failures for progress in group)
        if tries >= _TRIES or self._clock() > deadline:
            raise error if isinstance(error, TryLaterError) else _contended() from error
        self._wait(_pause(tries))

    def _step(self, vault: str, progress: _Progress, context: Context, ruling: Ruling) -> _Step:
        work = progress.work
        record, progress.record = progress.record or self._repository.load(vault, work.key, work.name), None
        chunk = work.observations[progress.taken : progress.taken + _EVENTS_AT_ONCE]
        # One spelling for all workers: names differ in their case alone.
        named = replace(record.state, name=min(record.state.name, work.name))
        state = absorb(named, chunk)
        events = {
            one.receipt: one for one in chunk if isinstance(one, KeyVaultEvent) and not record.has_taken(one.receipt)
        }
        if events and (progress.failures or state == record.state):
            # What says nothing new has likely been here before; asking is cheaper than a refused transaction.
            for receipt in self._repository.known_receipts(vault, list(events)):
                del events[receipt]
        taken_in = replace(record, state=state, receipts=record.receipts_with(events))
        receipts = [create_receipt(event, self._now()) for event in events.values()]
        step = self._plan(vault, progress, record, taken_in, receipts, context, ruling)
        taken = progress.taken + len(chunk)
        return _Step(step.operations, taken, step.done and taken >= len(work.observations))

    def _plan(
        self,
        vault: str,
        progress: _Progress,
        before: ObjectRecord,
        record: ObjectRecord,
        operations: list[Operation],
        context: Context,
        ruling: Ruling,
    ) -> _Step:
        """The transaction that takes the object from `before` to `record`, its tickets along with it."""
        key, row_key = progress.work.key, object_row_key(progress.work.key)
        rulings: dict[str, Outcome] = {}
        tickets = decide(record.state, record.words, context, _remembered(rulings, record.rulings, ruling))
        words, written = dict(record.words), dict(record.written)
        done = True
        for stale in sorted(set(written) - {wanted.key for wanted in tickets}):
            # A version that is forgotten leaves its tickets as they are; else no rule wants the ticket any more.
            if not is_known(record.state, stale):
                del written[stale]
                words.pop(stale, None)
            elif len(operations) + len(rows := remove(written[stale])) <= _ROOM:
                operations = [*operations, *rows]
                del written[stale]
            else:
                done = False
        for wanted in tickets:
            present = written.get(wanted.key)
            is_new = present is None
            if present is None:
                taken = {one.ticket_id for one in written.values()}
                wanted_id, present = self._new_id(vault, key, wanted, taken, look=progress.failures > 0)
            else:
                wanted_id = present.ticket_id
            rows, after = project(vault, row_key, wanted, wanted_id, present)
            if not rows:
                continue
            if is_new:
                rows += [create_note(vault, wanted_id, note) for note in self._uses(vault, wanted)]
            if len(operations) + len(rows) > _ROOM:
                done = False
                break
            operations = [*operations, *rows]
            written[wanted.key] = after
        kept = rulings if done else {**record.rulings, **rulings}
        settled = replace(record, words=words, rulings=kept, written=written, unsettled=not done)
        if operations or settled != before:
            operations = [save_object(vault, row_key, settled), *operations]
        _check(key, operations)
        if not operations and not done:
            # The caps of `facts` keep a ticket's rows below it; without this a mistake there would never end.
            raise UnstorableError(key, f"A ticket of {key[0]} {key[1]} needs more rows than a transaction holds.")
        return _Step(operations, progress.taken, done)

    def _new_id(
        self, vault: str, key: ObjectKey, wanted: Wanted, taken: set[str], *, look: bool
    ) -> tuple[str, Written | None]:
        """The id of a ticket that is not written yet: longer than others when another condition has it already.

        `look` asks the table, as is due once a transaction was refused: that one refused a ticket's row is no sign,
        because whoever wrote the object meanwhile may have written the ticket too.
        """
        for longer in range(0, _LONGEST_ID, 2):
            found = ticket_id(vault, key[0], key[1], wanted.ticket.kind, version_of(wanted.key), longer)
            if found in taken:
                continue
            row = self._repository.find_ticket(vault, found) if look else None
            if row is None:
                return found, None
            if (row.text("object_row"), row.text("ticket_key")) == (object_row_key(key), wanted.key):
                # Its version was forgotten, and something was said of it again.
                return found, Written(found, indexes=indexes_of(row))
        raise UnstorableError(key, f"There is no free id for a ticket of {key[0]} {key[1]}.")

    def _uses(self, vault: str, wanted: Wanted) -> list[Note]:
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


def _remembered(used: dict[str, Outcome], known: Mapping[str, Outcome], ruling: Ruling) -> Ruling:
    """Rules once about each thing; `used` is filled with what was needed."""

    def rule(record: RuleRecord) -> Outcome:
        key = hashlib.sha256(repr(sorted(record.items())).encode("utf-8")).hexdigest()[:12]
        if key not in used:
            used[key] = known[key] if key in known else ruling(record)
        return used[key]

    return rule


def _check(key: ObjectKey, operations: list[Operation]) -> None:
    try:
        for operation in operations:
            if not isinstance(operation, Delete):
                check_row(operation.row)
    except DeskbridgeError as error:
        raise UnstorableError(key, f"What is known about {key[0]} {key[1]} cannot be stored. {error}") from error


def _pause(tries: int) -> float:
    return _FIRST_WAIT_SECONDS * float(2**tries) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads the workers


def _contended() -> TryLaterError:
    return TryLaterError(
        Reason.CONTENDED, "Others are writing to the same object all the time.", mend="Try again.", retry_after=10
    )
