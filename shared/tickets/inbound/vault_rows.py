"""Known vaults as values and as rows: each vault, its place in the order, its refusal, and what sweeps count."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.storage.rows import Create, Delete, Operation, Replace, Row, Save, Value
from shared.text import ascending
from shared.tickets.documents import AllowedVault

LANES = 8
# So many sweeps a vault remembers, so that a message that comes twice is counted once.
_REMEMBERED = 10
_NEVER = "0" * 18


@dataclass(frozen=True)
class SweptVault:
    """What a sweep of one vault came to. `reason` and `message` are empty when all of it was read; `whole` says that
    its lists were read to their ends, though the vault may have refused single objects."""

    vault: str
    at: datetime
    objects: int = 0
    near_or_past_expiry: int = 0
    gone: int = 0
    reason: str = ""
    message: str = ""
    whole: bool = False


@dataclass(frozen=True)
class KnownVault:
    """A vault. `store` is empty for one that is not swept. `tags` are those that patterns ask for, as JSON; empty for
    one that was never listed. `tried_at` is its last sweep, `swept_at` the last that read it to
    its end, `failing_since` the first of those that failed for the present reason."""

    name: str
    first_seen_at: datetime
    store: str = ""
    site: str = ""
    owner: str = ""
    resource_id: str = ""
    tags: str = ""
    last_event_at: datetime | None = None
    tried_at: datetime | None = None
    swept_at: datetime | None = None
    vanished_at: datetime | None = None
    failing_since: datetime | None = None
    objects: int = 0
    near_or_past_expiry: int = 0
    gone: int = 0
    reason: str = ""
    message: str = ""
    sweeps: tuple[str, ...] = ()
    etag: str = ""

    @property
    def listed_tags(self) -> Mapping[str, str]:
        found: Mapping[str, str] = json.loads(self.tags or "{}")
        return found

    @property
    def is_swept(self) -> bool:
        return bool(self.store) and self.vanished_at is None


def known_vault(name: str, entry: AllowedVault, now: datetime) -> KnownVault:
    """The vault as the settings have it."""
    resource_id = entry.resource_id or ""
    return KnownVault(name, now, entry.store or "", entry.site or "", entry.owner or "", resource_id)


@dataclass(frozen=True)
class SweepCount:
    """How many vaults a sweep has done, how many of those failed, and when it did the last."""

    done: int = 0
    failed: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True)
class VaultReport:
    """What a sweep found remarkable about a vault: `refused`, `added` or `vanished`. As `not_listed` it is told of a
    credential store, by the name of the store."""

    vault: str
    what: str
    reason: str
    message: str


def report_row(sweep_id: str, report: VaultReport) -> Row:
    """The row of a report."""
    values: dict[str, Value] = {
        "vault": report.vault,
        "what": report.what,
        "reason": report.reason,
        "message": report.message[:2_000],
    }
    return Row(partition_of(report.vault), f"report:{sweep_id}:{report.what}:{report.vault}", values)


def lane_of(vault: str) -> int:
    """The lane of a vault: always the same."""
    return zlib.crc32(vault.encode()) % LANES


def lane_partition(lane: int) -> str:
    """Where all rows of a lane stand."""
    return f"lane:{lane}"


def partition_of(vault: str) -> str:
    """Where all rows of a vault stand, with the counters of its lane."""
    return lane_partition(lane_of(vault))


def count_key(sweep_id: str) -> str:
    """Where the sweep counts the vaults of a lane."""
    return f"count:{sweep_id}"


def _due_key(vault: KnownVault) -> str:
    tried = _NEVER if vault.tried_at is None else ascending(vault.tried_at)
    return f"due:{tried}:{vault.name}"


def kept_vault(known: KnownVault | None, wanted: KnownVault, told_in: str = "") -> list[Operation]:
    """The operations that bring a vault up to what the settings say; none when nothing changed. That it is there, or
    there again, is in the report of the sweep `told_in`."""
    after = wanted
    if known is not None:
        after = replace(
            known,
            store=wanted.store,
            site=wanted.site,
            owner=wanted.owner,
            resource_id=wanted.resource_id,
            tags=wanted.tags or known.tags,
        )
        if wanted.last_event_at is not None:
            after = replace(after, last_event_at=max(wanted.last_event_at, known.last_event_at or wanted.last_event_at))
        # An event may come a day late, from a vault that is not there any more.
        if known.vanished_at is not None and (wanted.last_event_at or wanted.first_seen_at) > known.vanished_at:
            after = replace(after, vanished_at=None)
        if after == known:
            return []
    operations = changed_vault(known, after)
    if told_in and (known is None or known.vanished_at != after.vanished_at):
        report = VaultReport(after.name, "added", "", f"The vault was found as {after.resource_id}.")
        operations.append(Save(report_row(told_in, report)))
    return operations


def changed_vault(before: KnownVault | None, after: KnownVault) -> list[Operation]:
    """The operations that make the rows of a vault those of `after`: its own, its place in the order, its refusal."""
    row = _to_row(after)
    operations: list[Operation] = [Create(row) if before is None else Replace(row)]
    old = _due_key(before) if before is not None and before.is_swept else ""
    new = _due_key(after) if after.is_swept else ""
    if old != new:
        operations += [Delete(old)] if old else []
        operations += (
            [Create(Row(row.partition_key, new, {"vault": after.name, "first_seen_at": after.first_seen_at}))]
            if new
            else []
        )
    refused = Row(
        row.partition_key,
        f"refused:{after.name}",
        {"vault": after.name, "what": "refused", "reason": after.reason, "message": after.message},
    )
    was, now = before is not None and before.is_swept and bool(before.reason), after.is_swept and bool(after.reason)
    if now:
        operations.append(Save(refused))
    elif was:
        operations.append(Delete(refused.row_key))
    return operations


def swept_vault(known: KnownVault, sweep_id: str, swept: SweptVault) -> KnownVault:
    """The vault after a sweep of it."""
    return replace(
        known,
        # Of two sweeps at once the later one stands.
        tried_at=max(swept.at, known.tried_at or swept.at),
        swept_at=swept.at if swept.whole else known.swept_at,
        objects=swept.objects,
        near_or_past_expiry=swept.near_or_past_expiry,
        gone=swept.gone,
        reason=swept.reason,
        message=swept.message[:2_000],
        failing_since=_failing_since(known, swept),
        sweeps=(*known.sweeps, sweep_id)[-_REMEMBERED:],
    )


def _failing_since(known: KnownVault, swept: SweptVault) -> datetime | None:
    if not swept.reason:
        return None
    return known.failing_since if known.failing_since is not None and known.reason == swept.reason else swept.at


def counted_vault(sweep_id: str, swept: SweptVault, count: Row | None) -> list[Operation]:
    """The operations that count a vault, and report what went wrong with it."""
    before = count or Row(partition_of(swept.vault), count_key(sweep_id))
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
    return Row(partition_of(vault.name), f"vault:{vault.name}", values, vault.etag)


def to_vault(row: Row) -> KnownVault:
    """The vault of a row."""
    first_seen_at = row.time("first_seen_at")
    assert first_seen_at is not None  # noqa: S101 - every row is written with it
    members: dict[str, Any] = {name: row.text(name) for name in _TEXTS}
    members |= {name: row.number(name) for name in _NUMBERS}
    members |= {name: row.time(name) for name in _MOMENTS}
    members |= {"first_seen_at": first_seen_at, "sweeps": tuple(json.loads(row.text("sweeps", "[]")))}
    return KnownVault(name=row.text("vault"), etag=row.etag, **members)


def to_report(row: Row) -> VaultReport:
    """The report of a row."""
    return VaultReport(row.text("vault"), row.text("what"), row.text("reason"), row.text("message"))


_TEXTS = ("store", "site", "owner", "resource_id", "tags", "reason", "message")
_NUMBERS = ("objects", "near_or_past_expiry", "gone")
_MOMENTS = ("first_seen_at", "last_event_at", "tried_at", "swept_at", "vanished_at", "failing_since")
