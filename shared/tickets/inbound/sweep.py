"""The daily sweep: what lies in the vaults, read by its properties alone, fed into the same decision as the events.

Event Grid stays silent about versions that are older than the subscription, tells of near expiry once, and never of
what was disabled, deleted or given another date. The sweep sees all of that. It may run at any time, beside the
events, and twice at once: what it observes is dated by the objects and not by the sweep.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.errors import ConflictError, DeskbridgeError, TryLaterError
from shared.reasons import Reason
from shared.storage.rows import Row, Save, Value, partition
from shared.tickets.configuration import Configuration
from shared.tickets.documents import AllowedVault, SweepSettings
from shared.tickets.domain.decide import ObjectRecord
from shared.tickets.domain.model import Context, ObjectType
from shared.tickets.domain.observations import (
    ObjectGone,
    ObjectSeen,
    Observation,
    ThresholdCrossed,
    VersionListed,
    WithoutExpiryListed,
)
from shared.tickets.reconciler import ObjectChanges, TicketReconciler, object_key
from shared.tickets.store.repository import ObjectKey, TicketRepository

logger = logging.getLogger(__name__)

# No vault can be named so: a vault's name has no colon.
SWEEPS_PARTITION = "sweeps:"
SWEPT_TYPES = (ObjectType.SECRET, ObjectType.KEY, ObjectType.CERTIFICATE)
# So often a group of objects is reconciled anew while deliveries keep writing to one of them.
_PATIENCE = 5
# Each group with its own time for retries.
_OBJECTS_AT_ONCE = 100
# A ticket's text has room for so many names.
_MOST_LISTED = 200


@dataclass(frozen=True)
class ObjectProperties:
    """The properties of an object's current version, or of one version. `version` is empty where a list leaves it out.

    `managed` marks the key and the secret that belong to a certificate.
    """

    name: str
    enabled: bool
    created_at: datetime
    updated_at: datetime
    version: str = ""
    not_before: datetime | None = None
    expires_at: datetime | None = None
    managed: bool = False


class VaultObjects(Protocol):
    """Lists the objects of one vault by their properties. Raises MisconfiguredError and TryLaterError."""

    def objects(self, object_type: ObjectType) -> Iterable[ObjectProperties]: ...

    def versions(self, object_type: ObjectType, name: str) -> Iterable[ObjectProperties]:
        """All versions; none for an object that is not there."""
        ...


# From the name of a credential store to the objects of its vault.
Opener = Callable[[str], VaultObjects]


@dataclass(frozen=True)
class SweptVault:
    """What a sweep of one vault came to. `reason` and `message` are empty when it was read to its end."""

    vault: str
    at: datetime
    objects: int = 0
    near_or_past_expiry: int = 0
    gone: int = 0
    reason: str = ""
    message: str = ""

    @property
    def ok(self) -> bool:
        return not self.reason


class VaultSweep:
    """Sweeps the allowed vaults that have a store."""

    def __init__(
        self,
        configuration: Callable[[], Configuration | None],
        open_vault: Opener,
        repository: TicketRepository,
        reconciler: TicketReconciler,
        now: Callable[[], datetime],
    ) -> None:
        self._configuration = configuration
        self._open_vault = open_vault
        self._repository = repository
        self._reconciler = reconciler
        self._now = now

    def sweep(self, vaults: Sequence[str] | None = None) -> list[SweptVault]:
        """Sweep all vaults, or those that are named. A vault that fails is reported, and the others are swept.

        Raises ConflictError before any is swept when one that is named cannot be.
        """
        configuration = self._configuration()
        entries = configuration.document.allowed_vaults if configuration is not None else ()
        chosen = [entry for entry in entries if entry.store is not None]
        if vaults is not None:
            sweepable = {entry.name.casefold(): entry for entry in chosen}
            unknown = [vault[:64] for vault in vaults if vault.casefold() not in sweepable]
            if unknown:
                raise ConflictError(
                    Reason.VAULT_NOT_SWEPT,
                    f"The vault {unknown[0]} is not an allowed one, or has no store to list it with.",
                    remedy="Name it in allowed_vaults of key-vault-events/default, with its store.",
                )
            chosen = [sweepable[name] for name in dict.fromkeys(vault.casefold() for vault in vaults)]
        swept = []
        for entry in chosen:
            assert configuration is not None  # noqa: S101 - there is no entry without it
            swept.append(self._sweep_vault(entry, configuration))
        return swept

    def last_sweeps(self, size: int, after: str | None) -> tuple[list[Mapping[str, Value]], str | None]:
        """A page of how the last sweep of each vault went, by vault, and where to go on."""
        page = self._repository.table.page([partition(SWEEPS_PARTITION)], size=size, after=after)
        return [dict(row.values) for row in page.rows], page.next

    # Within

    def _sweep_vault(self, entry: AllowedVault, configuration: Configuration) -> SweptVault:
        vault, began = entry.name.casefold(), self._now()
        try:
            swept = self._read_and_reconcile(entry, vault, began, configuration)
        except DeskbridgeError as error:
            logger.error("The sweep of %s failed: %s", vault, error)  # noqa: TRY400 - a refusal needs no traceback
            swept = SweptVault(vault, began, reason=str(error.reason), message=str(error))
        values: dict[str, Value] = {
            "vault": vault,
            "at": swept.at,
            "objects": swept.objects,
            "near_or_past_expiry": swept.near_or_past_expiry,
            "gone": swept.gone,
            "reason": swept.reason,
            "message": swept.message,
        }
        self._repository.table.transact(SWEEPS_PARTITION, [Save(Row(SWEEPS_PARTITION, vault, values))])
        return swept

    def _read_and_reconcile(
        self, entry: AllowedVault, vault: str, began: datetime, configuration: Configuration
    ) -> SweptVault:
        # Known objects are read before the vault: one that appears in between is in the list, and not taken for gone.
        known = {
            object_key(record.state.object_type, record.state.name): record
            for record in self._repository.records(vault)
        }
        source = self._open_vault(entry.store or "")
        settings = configuration.document.sweep
        changes: list[ObjectChanges] = []
        listed_keys: set[ObjectKey] = set()
        without_expiry: list[str] = []
        near = 0
        for object_type in SWEPT_TYPES:
            for listed in source.objects(object_type):
                key = object_key(object_type, listed.name)
                listed_keys.add(key)
                if listed.managed:
                    continue
                if listed.expires_at is None and listed.enabled:
                    without_expiry.append(f"{object_type} {listed.name}")
                days = threshold(object_type, listed, settings, began)
                near += days is not None
                observations = _observe(source, key, listed, known.get(key), days, settings, began)
                if observations:
                    changes.append(ObjectChanges(key, listed.name, tuple(observations)))
        gone = [
            ObjectChanges(key, record.state.name, (ObjectGone(began),))
            for key, record in known.items()
            if key[0] in SWEPT_TYPES
            and key not in listed_keys
            and not record.state.gone
            # A list that was read while it changed may miss one: what seems to be gone is asked for by its name.
            and not any(True for _ in source.versions(key[0], record.state.name))
        ]
        changes += gone
        changes += [ObjectChanges(key, record.state.name, ()) for key, record in known.items() if record.incomplete]
        changes += _without_expiry(vault, without_expiry, known, settings, began)
        self._reconcile(changes, configuration.context(vault))
        logger.info("The vault %s was swept: %d objects, %d near or past their expiry.", vault, len(listed_keys), near)
        return SweptVault(vault, began, len(listed_keys), near, len(gone))

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


def threshold(object_type: ObjectType, listed: ObjectProperties, settings: SweepSettings, now: datetime) -> int | None:
    """The smallest threshold that the object has crossed, in days before its expiry; 0 when it has expired."""
    if listed.expires_at is None:
        return None
    left = listed.expires_at - now
    if left <= timedelta(0):
        return 0
    lifetime = listed.expires_at - (listed.not_before or listed.created_at)
    days = list(settings.thresholds_days)
    short = bool(days) and timedelta(0) < lifetime < timedelta(days=2 * max(days))
    if short and object_type is ObjectType.CERTIFICATE:
        # 60 days ahead says nothing of a certificate that lives for 90.
        days = [max(1, -int(-lifetime * percent / 100 // timedelta(days=1))) for percent in settings.thresholds_percent]
    crossed = [one for one in days if left <= timedelta(days=one)]
    return min(crossed) if crossed else None


def _observe(
    source: VaultObjects,
    key: ObjectKey,
    listed: ObjectProperties,
    record: ObjectRecord | None,
    days: int | None,
    settings: SweepSettings,
    now: datetime,
) -> list[Observation]:
    """What is observed of one listed object: nothing, as long as nothing is near and nothing was reported before."""
    reported = record is not None and any(one.expiry_occurrences for one in record.state.versions.values())
    relevant = days is not None and (listed.enabled or settings.include_disabled)
    observations: list[Observation] = []
    if record is not None and record.state.gone:
        observations.append(ObjectSeen(now))
    if not (reported or relevant):
        return observations
    versions = list(source.versions(key[0], listed.name))
    if not versions:
        return observations
    current = max(versions, key=lambda one: (one.created_at, one.expires_at == listed.expires_at, one.version))
    known = record.state.versions if record is not None else {}
    # A vault whose clock runs ahead must not outweigh what happens until then.
    observations += [
        VersionListed(one.version, min(one.created_at, now), min(one.updated_at, now), one.expires_at, one.enabled)
        for one in versions
        if one is current or one.version in known
    ]
    if relevant and days is not None and current.expires_at is not None and current.expires_at == listed.expires_at:
        observations.append(ThresholdCrossed(current.version, days, current.expires_at))
    return observations


def _without_expiry(
    vault: str,
    names: list[str],
    known: Mapping[ObjectKey, ObjectRecord],
    settings: SweepSettings,
    now: datetime,
) -> list[ObjectChanges]:
    key = object_key(ObjectType.VAULT, vault)
    record = known.get(key)
    reported = record is not None and record.state.without_expiry is not None
    if not settings.report_without_expiry:
        names = []
    if not names and not reported:
        return []
    shown = tuple(sorted(names)[:_MOST_LISTED])
    return [ObjectChanges(key, vault, (WithoutExpiryListed(shown, now),))]
