"""Sweeping one vault, step by step: what lies in it, read by its properties alone, is decided on as events are.

Event Grid stays silent about versions that are older than the subscription, tells of near expiry once, and never of
what was disabled, deleted or given another date. The sweep sees all of that. It may run at any time, beside the
events, and twice at once: what it observes is dated by the objects and not by the sweep.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shared.errors import DeskbridgeError, TryLaterError
from shared.reasons import Reason
from shared.tickets.documents import SweepSettings
from shared.tickets.domain.decide import ObjectRecord
from shared.tickets.domain.listings import ObjectGone, WithoutExpiryListed
from shared.tickets.domain.model import Context, ObjectType
from shared.tickets.inbound.listed_objects import ListedObject, ObjectProperties, after_what_is_known
from shared.tickets.inbound.vault_progress import (
    SWEPT_TYPES,
    ObjectRefused,
    VaultProgress,
    next_type,
    without_objects,
    without_type,
)
from shared.tickets.reconciler import ObjectChanges, TicketReconciler, object_key
from shared.tickets.store.repository import ObjectKey, TicketRepository

# So often a group of objects is reconciled anew while deliveries keep writing to one of them.
_PATIENCE = 5
# Each group with its own time for retries.
_OBJECTS_AT_ONCE = 100
# A ticket's text has room for so many names.
_MOST_LISTED = 200
# So many requests to the vault one step makes: half a minute to a minute. A page of a list has 25 objects.
CALLS_A_STEP = 500
# So many known objects one step keeps in memory; the rows of others are read when the vault lists them.
_HELD = 1_000
# Of more objects of a type only those with tickets are awaited: a row holds the names of some ten thousand.
_MOST_AWAITED = 10_000
# So many objects of a type may fail by what passes: each costs its retries, and then it is the vault.
_MOST_FAILED = 5
# Of whatever object it is asked, the vault says the same.
_OF_THE_VAULT = frozenset({Reason.VAULT_THROTTLED, Reason.VAULT_UNREACHABLE, Reason.VAULT_FIREWALL})


@dataclass(frozen=True)
class ObjectsPage:
    """Some objects of a list; `next` says where it goes on, and is empty at its end."""

    objects: Sequence[ObjectProperties]
    next: str = ""


class VaultObjects(Protocol):
    """Lists the objects of one vault by their properties. Raises MisconfiguredError and TryLaterError."""

    def page(self, object_type: ObjectType, after: str) -> ObjectsPage:
        """A page of the objects of the type; `after` is an earlier page's `next`, empty for the first."""
        ...

    def versions(self, object_type: ObjectType, name: str) -> Iterable[ObjectProperties]:
        """All versions; none for an object that is not there."""
        ...


class VaultThrottledError(Exception):
    """The vault asks to wait. `progress` is how far the step came; it goes on from there."""

    def __init__(self, progress: VaultProgress, refusal: TryLaterError) -> None:
        super().__init__(str(refusal))
        self.progress = progress
        self.refusal = refusal


class _VaultRefusedError(Exception):
    """What the vault refused, told apart from what the desk's own storage did."""

    def __init__(self, refusal: DeskbridgeError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class _CountedObjects:
    """Counts the requests of a step, and keeps what it may cost to one object."""

    def __init__(self, source: VaultObjects, failed: int) -> None:
        self._source = source
        self.calls = 0
        self.failed = failed
        self.refused: list[ObjectRefused] = []

    def page(self, object_type: ObjectType, after: str) -> ObjectsPage:
        self.calls += 1
        try:
            return self._source.page(object_type, after)
        except DeskbridgeError as error:
            raise _VaultRefusedError(error) from error

    def versions(self, object_type: ObjectType, name: str) -> Sequence[ObjectProperties] | None:
        """None for an object that the vault refuses: `progress` says so, and that one is left out."""
        self.calls += 1
        try:
            return list(self._source.versions(object_type, name))
        except DeskbridgeError as error:
            self.failed += isinstance(error, TryLaterError)
            if self.failed > _MOST_FAILED or error.reason in _OF_THE_VAULT:
                raise _VaultRefusedError(error) from error
            self.refused.append(ObjectRefused(str(object_type), name, str(error.reason), str(error)))
            return None

    def noted(self, progress: VaultProgress) -> VaultProgress:
        """With the objects that were refused since it was noted last."""
        refused, self.refused = self.refused, []
        return replace(without_objects(progress, refused), failed=self.failed)


class VaultSweep:
    """Reads one vault and has what it finds decided, each type of object by itself."""

    def __init__(
        self, repository: TicketRepository, reconciler: TicketReconciler, calls_a_step: int = CALLS_A_STEP
    ) -> None:
        self._repository = repository
        self._reconciler = reconciler
        self._calls_a_step = calls_a_step

    def step(
        self, source: VaultObjects, context: Context, settings: SweepSettings, progress: VaultProgress
    ) -> VaultProgress:
        """Go on from `progress`, by a bounded number of requests. Doing a step again does no harm.

        A type that the vault refuses is among `refusals`, and the others are read. Raises VaultThrottledError when the
        vault asks to wait, and what the desk's own storage raises.
        """
        counted = _CountedObjects(source, progress.failed)
        held: dict[ObjectKey, ObjectRecord] = {}
        while progress.types_done < len(SWEPT_TYPES):
            if counted.calls >= self._calls_a_step:
                return progress
            object_type = SWEPT_TYPES[progress.types_done]
            try:
                if progress.unlisted is None:
                    held, progress = self._begin(object_type, context, progress)
                elif not progress.listed:
                    progress = self._page(counted, object_type, held, context, settings, progress)
                elif progress.unlisted:
                    progress = self._look_for_missing(counted, object_type, context, progress)
                else:
                    counted.failed = 0
                    progress = next_type(progress)
                progress = counted.noted(progress)
            except _VaultRefusedError as refused:
                error = refused.refusal
                if isinstance(error, TryLaterError) and error.reason is Reason.VAULT_THROTTLED:
                    raise VaultThrottledError(progress, error) from None
                # What was refused in the piece that broke off is told by the refusal of the type.
                counted.refused, counted.failed = [], 0
                progress = without_type(progress, error)
        self._settle_vault(context, settings, progress)
        return replace(progress, done=True)

    # Within

    def _begin(
        self, object_type: ObjectType, context: Context, progress: VaultProgress
    ) -> tuple[dict[ObjectKey, ObjectRecord], VaultProgress]:
        # Known objects are read before the vault: one that appears in between is in the list, and not taken for gone.
        held: dict[ObjectKey, ObjectRecord] = {}
        names: list[str] = []
        many = False
        incomplete: list[ObjectChanges] = []
        for record in self._repository.records(context.vault, object_type):
            key = object_key(object_type, record.state.name)
            if record.stored or len(names) < _MOST_AWAITED:
                names.append(record.state.name)
            else:
                many = True
            if len(held) < _HELD:
                held[key] = record
            if record.incomplete:
                incomplete.append(ObjectChanges(key, record.state.name, ()))
        self._reconcile(incomplete, context)
        return held, replace(progress, unlisted=tuple(names), many=many)

    def _page(
        self,
        source: _CountedObjects,
        object_type: ObjectType,
        held: Mapping[ObjectKey, ObjectRecord],
        context: Context,
        settings: SweepSettings,
        progress: VaultProgress,
    ) -> VaultProgress:
        page = source.page(object_type, progress.after)
        known = {object_key(object_type, name): name for name in progress.unlisted or ()}
        records = self._records_of(page, object_type, held, context, frozenset(known), progress)
        changes: list[ObjectChanges] = []
        without_expiry = list(progress.without_expiry)
        near = 0
        for listed in page.objects:
            key = object_key(object_type, listed.name)
            known.pop(key, None)
            reading = ListedObject(object_type, listed, records.get(key), settings, progress.began_at)
            if listed.expires_at is None and listed.enabled and not listed.managed:
                without_expiry.append(f"{object_type} {listed.name}")
            near += reading.days is not None and not listed.managed
            versions = source.versions(object_type, listed.name) if reading.needs_versions else ()
            observations = reading.observations(versions or ())
            # Without an observation too: counts follow a vault to another site.
            if observations or (key in records and context.site not in {None, records[key].vault_site}):
                changes.append(ObjectChanges(key, listed.name, observations))
        self._reconcile(changes, context)
        return replace(
            progress,
            after=page.next,
            listed=not page.next,
            unlisted=tuple(known.values()),
            objects=progress.objects + len(page.objects),
            near_or_past_expiry=progress.near_or_past_expiry + near,
            without_expiry=tuple(sorted(set(without_expiry))[:_MOST_LISTED]),
        )

    def _records_of(
        self,
        page: ObjectsPage,
        object_type: ObjectType,
        held: Mapping[ObjectKey, ObjectRecord],
        context: Context,
        awaited: frozenset[ObjectKey],
        progress: VaultProgress,
    ) -> Mapping[ObjectKey, ObjectRecord]:
        """What is known of the objects of a page."""
        names = {object_key(object_type, one.name): one.name for one in page.objects}
        found = {key: held[key] for key in names if key in held}
        left = {key: name for key, name in names.items() if key not in found and (key in awaited or progress.many)}
        if left:
            loaded = self._repository.load_all(context.vault, left)
            found |= {key: record for key, record in loaded.items() if record.etag}
        return found

    def _look_for_missing(
        self, source: _CountedObjects, object_type: ObjectType, context: Context, progress: VaultProgress
    ) -> VaultProgress:
        """Of the known objects that the list did not name, those that are gone; as many as one step may ask for."""
        assert progress.unlisted is not None  # noqa: S101 - the type has begun
        most = min(_OBJECTS_AT_ONCE, self._calls_a_step - source.calls)
        some, rest = progress.unlisted[:most], progress.unlisted[most:]
        gone: list[ObjectChanges] = []
        for name in some:
            key = object_key(object_type, name)
            state = self._repository.load(context.vault, key, name).state
            if state.gone:
                continue
            # A list that was read while it changed may miss one: what seems to be gone is asked for by its name.
            versions = source.versions(object_type, name)
            if versions is not None and not versions:
                at = after_what_is_known(progress.began_at, state.last_seen_at)
                gone.append(ObjectChanges(key, name, (ObjectGone(at),)))
        self._reconcile(gone, context)
        return replace(progress, unlisted=rest, gone=progress.gone + len(gone))

    def _settle_vault(self, context: Context, settings: SweepSettings, progress: VaultProgress) -> None:
        """What is about the vault itself. A list that was not read to its end says nothing of what it lacks."""
        changes: list[ObjectChanges] = []
        reported = False
        for record in self._repository.records(context.vault, ObjectType.VAULT):
            reported = reported or record.state.without_expiry is not None
            if record.incomplete:
                key = object_key(ObjectType.VAULT, record.state.name)
                changes.append(ObjectChanges(key, record.state.name, ()))
        names = progress.without_expiry if settings.report_without_expiry else ()
        if (names or reported) and not progress.refusals:
            observed = WithoutExpiryListed(names, progress.began_at)
            changes.append(ObjectChanges(object_key(ObjectType.VAULT, context.vault), context.vault, (observed,)))
        self._reconcile(changes, context)

    def _reconcile(self, changes: Sequence[ObjectChanges], context: Context) -> None:
        for start in range(0, len(changes), _OBJECTS_AT_ONCE):
            some = changes[start : start + _OBJECTS_AT_ONCE]
            for patience in reversed(range(_PATIENCE)):
                try:
                    self._reconciler.reconcile(some, context)
                except TryLaterError as error:
                    # Deliveries have half a minute and come again; the sweep has time, and comes once a day.
                    if error.reason is not Reason.CONTENDED or not patience:
                        raise
                else:
                    break
