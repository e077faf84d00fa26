"""Merges observations and brings a vault's tickets to what follows from them, one transaction after the other.

Each transaction holds the object's row (by its ETag), the receipts of the events it took in, and rows of the tickets
that follow. What did not fit follows in the next one: the object's row says what is already stored. So a worker may
be killed between any two calls, and whoever comes next, with the same event or another, goes on from there.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from shared.access.audit import UNAUDITED, Audit, AuditedChange
from shared.errors import ConflictError, DeskbridgeError, RowRefusedError, TryLaterError
from shared.reasons import Reason
from shared.storage.rows import Delete, Operation, Row, in_transactions
from shared.tickets.domain.decide import ObjectRecord, decide
from shared.tickets.domain.model import Context, DesiredTicket, KeyVaultEvent, ManualOverride, Note, ObjectType
from shared.tickets.domain.observations import NamedByCertificate, Observation, merge_observations
from shared.tickets.store.index_rows import Told
from shared.tickets.store.repository import ObjectKey, TicketRepository, create_note, create_receipt
from shared.tickets.transactions import TicketTransactions, UsesOf

_TRIES = 5
# Of a person's edit, which is one ticket's only: it need not give up as early as a delivery of hundreds.
_TRIES_OF_PEOPLE = 12
_EVENTS_AT_ONCE = 20
# From as many objects on, one reading of the vault's range of them costs less than asking for each.
_READ_TOGETHER = 40
_FIRST_WAIT_SECONDS = 0.05
# Event Grid waits 30 s for an answer.
_SECONDS = 18.0


@dataclass(frozen=True)
class TicketEdit:
    """A person's new override of a ticket, the notes that tell it, and what the audit trail says of it."""

    override: ManualOverride
    notes: tuple[Note, ...]
    change: AuditedChange


# From the override that stands and the ticket as it is, the edit; None when it changes nothing.
EditTicket = Callable[[ManualOverride | None, DesiredTicket], TicketEdit | None]


@dataclass(frozen=True)
class EditedTicket:
    """A person's edit took effect. `row` is the ticket's as it was written; None when it has to be read."""

    row: Row | None


@dataclass(frozen=True)
class ObjectChanges:
    """What was observed of one object."""

    key: ObjectKey
    name: str
    observations: tuple[Observation, ...]


@dataclass
class _Progress:
    changes: ObjectChanges
    taken: int = 0
    done: bool = False
    failures: int = 0
    # Read ahead, good for the first step: its transaction fails when another worker wrote the object since.
    record: ObjectRecord | None = None


@dataclass(frozen=True)
class _Step:
    progress: _Progress
    operations: list[Operation]
    taken: int
    done: bool
    told: tuple[Told, ...]


def object_key(object_type: ObjectType, name: str) -> ObjectKey:
    """Key Vault compares names without case."""
    return (object_type, name.casefold())


def changes_of(events: Iterable[KeyVaultEvent]) -> list[ObjectChanges]:
    """The events of one vault, by object, in the order of their first appearance.

    A certificate's tell of its own key and secret too, which have its name and its version.
    """
    names: dict[ObjectKey, str] = {}
    by_object: dict[ObjectKey, list[Observation]] = {}

    def observe(object_type: ObjectType, name: str, observation: Observation) -> None:
        key = object_key(object_type, name)
        names.setdefault(key, name)
        by_object.setdefault(key, []).append(observation)

    for event in dict.fromkeys(events):
        observe(event.object_type, event.object_name, event)
        if event.object_type is ObjectType.CERTIFICATE:
            named = NamedByCertificate(event.version, event.at)
            for object_type in (ObjectType.KEY, ObjectType.SECRET):
                observe(object_type, event.object_name, named)
    return [ObjectChanges(key, names[key], tuple(found)) for key, found in by_object.items()]


class TicketReconciler:
    """Brings tickets to what was observed. `wait` takes seconds, `clock` gives seconds that never run backwards."""

    def __init__(
        self,
        repository: TicketRepository,
        *,
        now: Callable[[], datetime],
        wait: Callable[[float], None],
        clock: Callable[[], float],
        uses_of: UsesOf | None = None,
        audit: Audit = UNAUDITED,
    ) -> None:
        self._repository = repository
        self._audit = audit
        self._now = now
        self._wait = wait
        self._clock = clock
        self._transactions = TicketTransactions(repository, uses_of)

    def reconcile(self, changes: Sequence[ObjectChanges], context: Context) -> None:
        """Merge all changes of one vault, and store the tickets that follow.

        Raises TryLaterError when storage fails or others keep writing: then nothing is lost, and repeating the call
        goes on from there. Raises UnstorableError for an object whose rows would be refused.
        """
        deadline = self._clock() + _SECONDS
        ahead = self._read_ahead(changes, context) if len(changes) >= _READ_TOGETHER else {}
        pending = [_Progress(each, record=ahead.get(each.key)) for each in changes]
        while pending:
            self._advance(pending, context, deadline)
            pending = [progress for progress in pending if not progress.done]

    def edit(self, key: ObjectKey, ticket_key: str, edit: EditTicket, context: Context) -> EditedTicket | None:
        """Let a person's edit of one ticket take effect. `edit` is asked again when others wrote meanwhile.

        Answers None when nothing is known about the ticket's condition any more. Raises what `edit` raises, and
        TryLaterError.
        """
        for tries in range(_TRIES_OF_PEOPLE):
            record = self._repository.load(context.vault, key, key[1])
            decision = decide(record.state, record.overrides, context, record.rule_results)
            present = next((one for one in decision.tickets if one.key == ticket_key), None)
            if present is None or ticket_key not in record.stored:
                return None
            edited = edit(record.overrides.get(ticket_key), present)
            if edited is None:
                return EditedTicket(None)
            updated = replace(record, overrides={**record.overrides, ticket_key: edited.override})
            ticket_id = record.stored[ticket_key].ticket_id
            notes = [create_note(context.vault, ticket_id, note) for note in edited.notes]
            try:
                with self._audit.recording(self._repository.table.name, context.vault, edited.change) as audited:
                    own = [*notes, *audited]
                    plan = self._transactions.plan(key, record, updated, own, context, check_id_collisions=False)
                    etags = self._repository.write(context.vault, plan.operations, plan.told)
            except ConflictError:
                self._wait(_pause(min(tries, _TRIES)))
                continue
            if not plan.done:
                self.reconcile([ObjectChanges(key, record.state.name, ())], context)
                return EditedTicket(None)
            return EditedTicket(_written(f"ticket:{ticket_id}", plan.operations, etags))
        raise _contended()

    # Within

    def _read_ahead(self, changes: Sequence[ObjectChanges], context: Context) -> Mapping[ObjectKey, ObjectRecord]:
        # What fails here is asked for one by one, where a failure is counted and waited for.
        with suppress(TryLaterError):
            return self._repository.load_all(context.vault, {each.key: each.name for each in changes})
        return {}

    def _advance(self, pending: list[_Progress], context: Context, deadline: float) -> None:
        """One step of each, in as few transactions as they fit into; what an object needs stays together."""
        steps = [(step, step.operations) for step in self._steps(pending, context, deadline)]
        for together in in_transactions(steps, reserved=1):
            self._transact(together, context, deadline)

    def _transact(self, together: list[_Step], context: Context, deadline: float) -> None:
        operations = [operation for step in together for operation in step.operations]
        told = [one for step in together for one in step.told]
        try:
            self._repository.write(context.vault, operations, told)
        except RowRefusedError:
            # Two objects may want one new ticket id; apart, the second of them finds it taken.
            if len(together) == 1:
                raise
            for step in together:
                self._advance([step.progress], context, deadline)
        except (ConflictError, TryLaterError) as error:
            self._failed([step.progress for step in together], error, deadline)
        else:
            for step in together:
                step.progress.taken, step.progress.done = step.taken, step.done

    def _steps(self, pending: list[_Progress], context: Context, deadline: float) -> list[_Step]:
        """The next step of each that has anything to write."""
        steps: list[_Step] = []
        for progress in pending:
            try:
                step = self._step(progress, context)
            except TryLaterError as error:
                self._failed([progress], error, deadline)
                continue
            if step.operations:
                steps.append(step)
            else:
                progress.taken, progress.done = step.taken, step.done
        return steps

    def _failed(self, group: list[_Progress], error: DeskbridgeError, deadline: float) -> None:
        # A transaction whose answer was lost may have taken place: the next step reads and decides again.
        for progress in group:
            progress.failures += 1
        tries = max(progress.failures for progress in group)
        if tries >= _TRIES or self._clock() > deadline:
            raise error if isinstance(error, TryLaterError) else _contended() from error
        self._wait(_pause(tries))

    def _step(self, progress: _Progress, context: Context) -> _Step:
        changes, vault = progress.changes, context.vault
        record, progress.record = progress.record or self._repository.load(vault, changes.key, changes.name), None
        chunk = changes.observations[progress.taken : progress.taken + _EVENTS_AT_ONCE]
        state = merge_observations(record.state, chunk)
        # One spelling for all workers: names differ in their case alone.
        if changes.name < state.name:
            state = replace(state, name=changes.name)
        events = {
            one.receipt: one for one in chunk if isinstance(one, KeyVaultEvent) and not record.has_taken(one.receipt)
        }
        if events and (progress.failures or state == record.state):
            # What changes nothing has likely been here before; asking is cheaper than a refused transaction.
            for receipt in self._repository.known_receipts(vault, list(events)):
                del events[receipt]
        site = record.vault_site if context.site is None else context.site
        after = replace(record, state=state, receipts=record.receipts_with(events), vault_site=site)
        receipts = [create_receipt(event, self._now()) for event in events.values()]
        plan = self._transactions.plan(
            changes.key, record, after, receipts, context, check_id_collisions=progress.failures > 0
        )
        taken = progress.taken + len(chunk)
        return _Step(progress, plan.operations, taken, plan.done and taken >= len(changes.observations), plan.told)


def _written(row_key: str, operations: Sequence[Operation], etags: Sequence[str]) -> Row | None:
    """The row of that key as it was written, with its new ETag."""
    for operation, etag in zip(operations, etags, strict=True):
        if not isinstance(operation, Delete) and operation.row.row_key == row_key:
            return replace(operation.row, etag=etag)
    return None


def _pause(tries: int) -> float:
    return _FIRST_WAIT_SECONDS * float(2**tries) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads the workers


def _contended() -> TryLaterError:
    return TryLaterError(
        Reason.CONTENDED, "Others are writing to the same object all the time.", remedy="Try again.", retry_after=10
    )
