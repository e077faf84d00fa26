"""Takes observations in and brings a vault's tickets to what they say, one transaction after the other.

Each transaction holds the object's row (by its ETag), the receipts of the events it took in, and rows of the tickets
that follow. What did not fit follows in the next one: the object's row says what is already written. So a worker may
be killed between any two calls, and whoever comes next, with the same event or another, goes on from there.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from shared.errors import ConflictError, DeskbridgeError, RowRefusedError, TryLaterError
from shared.reasons import Reason
from shared.storage.limits import in_transactions
from shared.storage.rows import Delete, Operation, Row
from shared.tickets.domain.decide import RuleEvaluator, decide
from shared.tickets.domain.model import (
    Context,
    DesiredTicket,
    KeyVaultEvent,
    ManualOverride,
    Note,
    RuleResult,
)
from shared.tickets.domain.observations import Observation, merge_observations
from shared.tickets.store.object_json import ObjectRecord
from shared.tickets.store.repository import (
    ObjectKey,
    TicketRepository,
    create_note,
    create_receipt,
    object_key,
)
from shared.tickets.transactions import TicketTransactions, UsesOf, remembered

_TRIES = 5
# Of a person's change, which is one ticket's only: it need not give up as early as a delivery of hundreds.
_TRIES_OF_PEOPLE = 12
_EVENTS_AT_ONCE = 20
# From as many objects on, one reading of the vault's range of them costs less than asking for each.
_READ_TOGETHER = 40
_PLANNED_AHEAD = 12
_FIRST_WAIT_SECONDS = 0.05
# Event Grid waits 30 s for an answer.
_SECONDS = 18.0


@dataclass(frozen=True)
class TicketEdit:
    """A person's new word about a ticket, and the notes that tell it."""

    word: ManualOverride
    notes: tuple[Note, ...]


# From the word that stands and the ticket as it is, the new word; None when it changes nothing.
EditTicket = Callable[[ManualOverride | None, DesiredTicket], TicketEdit | None]


@dataclass(frozen=True)
class ObjectChanges:
    """What is to be taken in about one object."""

    key: ObjectKey
    name: str
    observations: tuple[Observation, ...]


@dataclass
class _Progress:
    work: ObjectChanges
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
class EditedTicket:
    """A person's word took effect. `row` is the ticket's as it was written; None when it has to be read."""

    row: Row | None


def work_of(events: Iterable[KeyVaultEvent]) -> list[ObjectChanges]:
    """The events of one vault, by object, in the order of their first appearance."""
    by_object: dict[ObjectKey, list[KeyVaultEvent]] = {}
    for event in {event.receipt: event for event in events}.values():
        by_object.setdefault(object_key(event.object_type, event.object_name), []).append(event)
    return [ObjectChanges(key, found[0].object_name, tuple(found)) for key, found in by_object.items()]


class TicketReconciler:
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
        self._planning = TicketTransactions(repository, uses_of)

    def settle(self, vault: str, works: Sequence[ObjectChanges], context: Context, ruling: RuleEvaluator) -> None:
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
        self, vault: str, key: ObjectKey, ticket_key: str, say: EditTicket, context: Context, ruling: RuleEvaluator
    ) -> EditedTicket | None:
        """Let a person's word about one ticket take effect. `say` is asked again when others wrote meanwhile.

        Answers None when nothing is known about the ticket's condition any more. Raises what `say` raises, and
        TryLaterError.
        """
        for tries in range(_TRIES_OF_PEOPLE):
            record = self._repository.load(vault, key, key[1])
            rulings: dict[str, RuleResult] = {}
            wanted = decide(record.state, record.words, context, remembered(rulings, record.rulings, ruling))
            present = next((one for one in wanted if one.key == ticket_key), None)
            if present is None or ticket_key not in record.written:
                return None
            said = say(record.words.get(ticket_key), present)
            if said is None:
                return EditedTicket(None)
            updated = replace(record, words={**record.words, ticket_key: said.word})
            own = [create_note(vault, record.written[ticket_key].ticket_id, note) for note in said.notes]
            plan = self._planning.plan(vault, key, record, updated, own, context, ruling, look=False)
            try:
                etags = self._repository.table.transact(vault, plan.operations)
            except ConflictError:
                self._wait(_pause(min(tries, _TRIES)))
                continue
            if not plan.done:
                self.settle(vault, [ObjectChanges(key, record.state.name, ())], context, ruling)
                return EditedTicket(None)
            ticket = f"ticket:{record.written[ticket_key].ticket_id}"
            for operation, etag in zip(plan.operations, etags, strict=True):
                if not isinstance(operation, Delete) and operation.row.row_key == ticket:
                    return EditedTicket(replace(operation.row, etag=etag))
            return EditedTicket(None)
        raise _contended()

    # Within

    def _settle_some(
        self, vault: str, group: list[_Progress], context: Context, ruling: RuleEvaluator, deadline: float
    ) -> None:
        """One step of each, in as few transactions as they fit into; what an object needs stays together."""
        steps = self._steps(vault, group, context, ruling, deadline)
        transactions = in_transactions(((progress, step), step.operations) for progress, step in steps)
        # Planned by the dozen and then sent: in turns, either has left the processor's caches when it is due again.
        while planned := list(islice(transactions, _PLANNED_AHEAD)):
            for together in planned:
                self._transact(vault, together, context, ruling, deadline)

    def _transact(
        self,
        vault: str,
        together: list[tuple[_Progress, _Step]],
        context: Context,
        ruling: RuleEvaluator,
        deadline: float,
    ) -> None:
        operations = [operation for _, step in together for operation in step.operations]
        try:
            self._repository.table.transact(vault, operations)
        except RowRefusedError:
            # Two objects may want one new ticket id; apart, the second of them finds it taken.
            if len(together) == 1:
                raise
            for progress, _ in together:
                self._settle_some(vault, [progress], context, ruling, deadline)
            return
        except (ConflictError, TryLaterError) as error:
            self._failed([progress for progress, _ in together], error, deadline)
            return
        for progress, step in together:
            progress.taken, progress.done = step.taken, step.done

    def _steps(
        self, vault: str, group: list[_Progress], context: Context, ruling: RuleEvaluator, deadline: float
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

    def _step(self, vault: str, progress: _Progress, context: Context, ruling: RuleEvaluator) -> _Step:
        work = progress.work
        record, progress.record = progress.record or self._repository.load(vault, work.key, work.name), None
        chunk = work.observations[progress.taken : progress.taken + _EVENTS_AT_ONCE]
        state = record.state
        if work.name < state.name:
            # One spelling for all workers: names differ in their case alone.
            state = replace(state, name=work.name)
        state = merge_observations(state, chunk)
        events = {
            one.receipt: one for one in chunk if isinstance(one, KeyVaultEvent) and not record.has_taken(one.receipt)
        }
        if events and (progress.failures or state == record.state):
            # What says nothing new has likely been here before; asking is cheaper than a refused transaction.
            for receipt in self._repository.known_receipts(vault, list(events)):
                del events[receipt]
        taken_in = ObjectRecord(
            state,
            record.words,
            record.rulings,
            record.written,
            record.unsettled,
            record.receipts_with(events),
            record.etag,
        )
        receipts = [create_receipt(event, self._now()) for event in events.values()]
        look = progress.failures > 0
        plan = self._planning.plan(vault, work.key, record, taken_in, receipts, context, ruling, look=look)
        taken = progress.taken + len(chunk)
        return _Step(plan.operations, taken, plan.done and taken >= len(work.observations))


def _pause(tries: int) -> float:
    return _FIRST_WAIT_SECONDS * float(2**tries) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads the workers


def _contended() -> TryLaterError:
    return TryLaterError(
        Reason.CONTENDED, "Others are writing to the same object all the time.", remedy="Try again.", retry_after=10
    )
