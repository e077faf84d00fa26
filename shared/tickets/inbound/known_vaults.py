"""The vaults that the desk knows, a row each: who reads them, when they were last swept, and what came of it.

All rows stand in one partition of the table `vaults`, so that what belongs together is one transaction:
`vault:<name>` is the vault; `due:<lane>:<last try>:<name>` puts those that are swept in order, the oldest first;
`refused:<name>` stands beside a vault whose last sweep failed; `count:<sweep>:<lane>` counts what a sweep has done, and
`report:<sweep>:<what>:<name>` says what it found remarkable. Lanes keep workers from writing to one counter.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, ConflictError, TryLaterError
from shared.reasons import Reason
from shared.storage.keys import ascending
from shared.storage.limits import OPERATIONS_PER_TRANSACTION
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

VAULTS_PARTITION = "vaults"
LANES = 8
# So many sweeps a vault remembers, so that a message that comes twice is counted once.
_REMEMBERED = 10
# A counter of a lane is written by all workers: a try takes milliseconds.
_TRIES = 40
_NEVER = "0" * 18
_ASKED_ONE_BY_ONE = 100


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


@dataclass(frozen=True)
class KnownVault:
    """A vault. `store` is empty for one that is not swept. `tried_at` is its last sweep, `swept_at` the last that read
    it to its end."""

    name: str
    first_seen_at: datetime
    store: str = ""
    site: str = ""
    owner: str = ""
    last_event_at: datetime | None = None
    tried_at: datetime | None = None
    swept_at: datetime | None = None
    vanished_at: datetime | None = None
    objects: int = 0
    near_or_past_expiry: int = 0
    gone: int = 0
    reason: str = ""
    message: str = ""
    sweeps: tuple[str, ...] = ()
    etag: str = ""

    @property
    def is_swept(self) -> bool:
        return bool(self.store) and self.vanished_at is None


@dataclass(frozen=True)
class SweepCount:
    """How many vaults a sweep has done, how many of those failed, and when it did the last."""

    done: int = 0
    failed: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True)
class VaultReport:
    """What a sweep found remarkable about a vault: `refused`, `added` or `vanished`."""

    vault: str
    what: str
    reason: str
    message: str


class KnownVaults:
    """The rows of the partition."""

    def __init__(self, table: Table) -> None:
        self.table = table

    # Reading

    def find(self, name: str) -> KnownVault | None:
        row = self.table.find(VAULTS_PARTITION, f"vault:{name}")
        return None if row is None else _to_vault(row)

    def page(self, size: int, after: str | None) -> tuple[list[KnownVault], str | None]:
        """By name."""
        page = self.table.page([partition(VAULTS_PARTITION), *row_key_prefix("vault:")], size=size, after=after)
        return [_to_vault(row) for row in page.rows], page.next

    def due(self, lane: int, before: datetime, size: int, after: str = "") -> list[tuple[str, str]]:
        """Row key and name of those that were not tried since `before`, longest ago first; `after` is a row key."""
        beginning, end = f"due:{lane}:", f"due:{lane}:{ascending(before)}"
        where = [partition(VAULTS_PARTITION), Condition("RowKey", "gt", after or beginning)]
        where.append(Condition("RowKey", "lt", end))
        rows = islice(scan(self.table, where, select=["vault"], size=size), size)
        return [(row.row_key, row.text("vault")) for row in rows]

    def some_due(self, before: datetime, size: int) -> list[str]:
        """A few vaults that no sweep has come to since `before`: one page a lane, however many vaults there are."""
        return [name for lane in range(LANES) for _, name in self.due(lane, before, size)][:size]

    def some_refused(self, size: int) -> list[VaultReport]:
        """A few vaults whose last sweep failed."""
        where = [partition(VAULTS_PARTITION), *row_key_prefix("refused:")]
        return [_to_report(row) for row in self.table.page(where, size=size).rows]

    def count(self, sweep_id: str) -> SweepCount:
        rows = self.table.page([partition(VAULTS_PARTITION), *row_key_prefix(f"count:{sweep_id}:")]).rows
        moments = [moment for row in rows if (moment := row.time("last_at")) is not None]
        return SweepCount(
            sum(row.number("done") for row in rows),
            sum(row.number("failed") for row in rows),
            max(moments, default=None),
        )

    def report(self, sweep_id: str, size: int, after: str | None) -> tuple[list[VaultReport], str | None]:
        where = [partition(VAULTS_PARTITION), *row_key_prefix(f"report:{sweep_id}:")]
        page = self.table.page(where, size=size, after=after)
        return [_to_report(row) for row in page.rows], page.next

    # Writing

    def keep(self, vaults: Sequence[KnownVault]) -> None:
        """Have rows of these, by name: new ones are added, and what the settings say of known ones is brought up to
        date. Unchanged rows are not written."""
        wanted = {vault.name: vault for vault in vaults}
        if not wanted:
            return
        for _ in range(_TRIES):
            known = self._find_all(list(wanted))
            changes = [operations for name, vault in wanted.items() if (operations := _kept(known.get(name), vault))]
            # Another worker keeps the same vaults: look again what is left to do.
            with suppress(ConflictError):
                self._transact(changes)
                return
        raise _contended()

    def change(self, name: str, changed: Callable[[KnownVault], KnownVault], *beside: Row) -> None:
        """Write the vault as `changed` makes it, with its order and the rows beside it. One that is not there stays
        so."""
        for _ in range(_TRIES):
            known = self.find(name)
            if known is None or (after := changed(known)) == known:
                return
            with suppress(ChangedMeanwhileError, AlreadyExistsError):
                self._transact([[*_changed(known, after), *map(Save, beside)]])
                return
        raise _contended()

    def finish(self, sweep_id: str, swept: SweptVault) -> None:
        """Store what a sweep of a vault came to, and count it: once, however often it is said."""
        for _ in range(_TRIES):
            known = self.find(swept.vault)
            if known is None or sweep_id in known.sweeps:
                return
            count = self.table.find(VAULTS_PARTITION, _count_key(sweep_id, swept.vault))
            with suppress(ChangedMeanwhileError, AlreadyExistsError):
                self._transact([[*_changed(known, _after(known, sweep_id, swept)), *_counted(sweep_id, swept, count)]])
                return
        raise _contended()

    def forget_sweep(self, sweep_id: str) -> None:
        """Remove what was counted and reported of an old sweep."""
        for prefix in (f"report:{sweep_id}:", f"count:{sweep_id}:"):
            where = [partition(VAULTS_PARTITION), *row_key_prefix(prefix)]
            rows = scan(self.table, where, select=["vault"])
            # Another worker removes them too.
            with suppress(ChangedMeanwhileError):
                self._transact([[Delete(row.row_key)] for row in rows])

    # Within

    def _find_all(self, names: Sequence[str]) -> dict[str, KnownVault]:
        """Many stand close together, as a list names them; between a few there may be all others."""
        if len(names) <= _ASKED_ONE_BY_ONE:
            return {name: known for name in names if (known := self.find(name)) is not None}
        where = [partition(VAULTS_PARTITION), Condition("RowKey", "ge", f"vault:{min(names)}")]
        where.append(Condition("RowKey", "le", f"vault:{max(names)}"))
        return {row.text("vault"): _to_vault(row) for row in scan(self.table, where)}

    def _transact(self, changes: Iterable[Sequence[Operation]]) -> None:
        """The changes of each vault stay together."""
        batch: list[Operation] = []
        for operations in [*changes, None]:
            if operations is None or len(batch) + len(operations) > OPERATIONS_PER_TRANSACTION:
                if batch:
                    self.table.transact(VAULTS_PARTITION, batch)
                batch = []
            batch += operations or []


def report_row(sweep_id: str, report: VaultReport) -> Row:
    values: dict[str, Value] = {
        "vault": report.vault,
        "what": report.what,
        "reason": report.reason,
        "message": report.message[:2_000],
    }
    return Row(VAULTS_PARTITION, f"report:{sweep_id}:{report.what}:{report.vault}", values)


def lane_of(vault: str) -> int:
    return zlib.crc32(vault.encode()) % LANES


def _count_key(sweep_id: str, vault: str) -> str:
    return f"count:{sweep_id}:{lane_of(vault)}"


def _due_key(vault: KnownVault) -> str:
    tried = _NEVER if vault.tried_at is None else ascending(vault.tried_at)
    return f"due:{lane_of(vault.name)}:{tried}:{vault.name}"


def _kept(known: KnownVault | None, wanted: KnownVault) -> list[Operation]:
    if known is None:
        return _changed(None, wanted)
    after = replace(known, store=wanted.store, site=wanted.site, owner=wanted.owner)
    return [] if after == known else _changed(known, after)


def _changed(before: KnownVault | None, after: KnownVault) -> list[Operation]:
    """The operations that make the rows of a vault those of `after`: its own, its place in the order, its refusal."""
    row = _to_row(after)
    operations: list[Operation] = [Create(row) if before is None else Replace(row)]
    old = _due_key(before) if before is not None and before.is_swept else ""
    new = _due_key(after) if after.is_swept else ""
    if old != new:
        operations += [Delete(old)] if old else []
        operations += [Create(Row(VAULTS_PARTITION, new, {"vault": after.name}))] if new else []
    refused = Row(
        VAULTS_PARTITION,
        f"refused:{after.name}",
        {"vault": after.name, "what": "refused", "reason": after.reason, "message": after.message},
    )
    was, now = before is not None and before.is_swept and bool(before.reason), after.is_swept and bool(after.reason)
    if now:
        operations.append(Save(refused))
    elif was:
        operations.append(Delete(refused.row_key))
    return operations


def _after(known: KnownVault, sweep_id: str, swept: SweptVault) -> KnownVault:
    return replace(
        known,
        # Of two sweeps at once the later one stands.
        tried_at=max(swept.at, known.tried_at or swept.at),
        swept_at=known.swept_at if swept.reason else swept.at,
        objects=swept.objects,
        near_or_past_expiry=swept.near_or_past_expiry,
        gone=swept.gone,
        reason=swept.reason,
        message=swept.message[:2_000],
        sweeps=(*known.sweeps, sweep_id)[-_REMEMBERED:],
    )


def _counted(sweep_id: str, swept: SweptVault, count: Row | None) -> list[Operation]:
    before = count or Row(VAULTS_PARTITION, _count_key(sweep_id, swept.vault))
    values: dict[str, Value] = {
        "done": before.number("done") + 1,
        "failed": before.number("failed") + bool(swept.reason),
        "last_at": max(swept.at, before.time("last_at") or swept.at),
    }
    row = replace(before, values=values)
    operations: list[Operation] = [Create(row) if count is None else Replace(row)]
    if swept.reason:
        operations.append(Save(report_row(sweep_id, VaultReport(swept.vault, "refused", swept.reason, swept.message))))
    return operations


def _to_row(vault: KnownVault) -> Row:
    texts = {name: getattr(vault, name) for name in _TEXTS}
    numbers = {name: getattr(vault, name) for name in _NUMBERS}
    moments = {name: moment for name in _MOMENTS if (moment := getattr(vault, name)) is not None}
    values: Mapping[str, Value] = {
        "vault": vault.name,
        **texts,
        **numbers,
        **moments,
        "sweeps": json.dumps(vault.sweeps),
    }
    return Row(VAULTS_PARTITION, f"vault:{vault.name}", values, vault.etag)


def _to_vault(row: Row) -> KnownVault:
    first_seen_at = row.time("first_seen_at")
    assert first_seen_at is not None  # noqa: S101 - every row is written with it
    members: dict[str, Any] = {name: row.text(name) for name in _TEXTS}
    members |= {name: row.number(name) for name in _NUMBERS}
    members |= {name: row.time(name) for name in _MOMENTS}
    members |= {"first_seen_at": first_seen_at, "sweeps": tuple(json.loads(row.text("sweeps", "[]")))}
    return KnownVault(name=row.text("vault"), etag=row.etag, **members)


def _to_report(row: Row) -> VaultReport:
    return VaultReport(row.text("vault"), row.text("what"), row.text("reason"), row.text("message"))


_TEXTS = ("store", "site", "owner", "reason", "message")
_NUMBERS = ("objects", "near_or_past_expiry", "gone")
_MOMENTS = ("first_seen_at", "last_event_at", "tried_at", "swept_at", "vanished_at")


def _contended() -> TryLaterError:
    return TryLaterError(Reason.CONTENDED, "Others are writing to the same vault all the time.", remedy="Try again.")
