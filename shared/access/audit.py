"""The audit trail: who changed what, when, in which role, from where, and from what to what. Never a secret.

An entry is written in the change's own transaction, as what is to follow from it, and copied from there into the table
`audit`. That is partitioned by day, newest first, so that its list is one range of keys.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from shared.access.actor import Origin, present
from shared.access.masks import MASK, is_secret_name, masked
from shared.storage.rows import Operation, Row, Save, pack, unpack
from shared.storage.tables import Condition, Table, delete_present
from shared.text import LONE_SURROGATE, ascending, descending

# As many changed fields as an entry tells; the rest it counts.
MOST_CHANGES = 100
_LONGEST_NAME = 300
_LATEST_DAY = 99_999_999
# What one turn of housekeeping removes at most: pages of a thousand.
_PAGES_A_TURN = 5
# Members that hold a value of the field that their neighbour `field` names.
_VALUES = frozenset({"fixed", "value"})


class AuditKind(StrEnum):
    """What was changed, or set going."""

    SETTINGS = "settings"
    TOKEN = "token"  # noqa: S105 - a word, and no token
    RECORD = "record"
    TICKET = "ticket"
    IMPORT = "import"
    CONFIRMATION = "confirmation"
    SWEEP = "sweep"
    REPLAY = "replay"
    QUARANTINE = "quarantine"
    OUTBOX = "outbox"


@dataclass(frozen=True)
class AuditedField:
    """One field, before and after; None is nothing. What is `hidden` is told without its values."""

    field: str
    before: Any = None
    after: Any = None
    hidden: bool = False


@dataclass(frozen=True)
class AuditedChange:
    """What somebody did. `thing` is what it was done to, such as `sites/london-hq`.

    What changed are the `fields`, and where the JSON documents `before` and `after` differ. Fields in `names_told` hold
    the name of a secret and never its value.
    """

    kind: AuditKind
    action: str
    thing: str
    by: str
    fields: tuple[AuditedField, ...] = ()
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    names_told: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AuditEntry:
    """A change as it is kept, masked and bounded. `more` counts the fields that found no room."""

    id: str
    at: datetime
    by: str
    role: str
    origin: Origin
    kind: AuditKind
    action: str
    thing: str
    changes: tuple[AuditedField, ...]
    more: int = 0


@dataclass(frozen=True)
class AuditFilter:
    """Which entries a list shows; what is None shows all. `until` itself is left out."""

    kind: AuditKind | None = None
    by: str | None = None
    thing: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Audit(Protocol):
    """What every door of a change asks of the audit trail."""

    def recording(
        self, table: str, partition: str, change: AuditedChange
    ) -> AbstractContextManager[Sequence[Operation]]:
        """Within it, write the change together with these operations. What is refused leaves no entry."""
        ...

    def note(self, change: AuditedChange) -> None:
        """Write an entry by itself, before work that has no transaction of its own."""
        ...


class WriteWith(Protocol):
    """The outbox, as far as this room needs it: operations for the change's transaction, and what follows of them."""

    def __call__(
        self, table: str, partition: str, content: Mapping[str, Any]
    ) -> AbstractContextManager[Sequence[Operation]]: ...


class AuditTrail:
    """Writes entries: with a change through the outbox, or by themselves."""

    def __init__(self, entries: "AuditEntries", write_with: WriteWith, now: Callable[[], datetime]) -> None:
        self._entries = entries
        self._write_with = write_with
        self._now = now

    @contextmanager
    def recording(self, table: str, partition: str, change: AuditedChange) -> Iterator[Sequence[Operation]]:
        with self._write_with(table, partition, _content(change, self._now())) as operations:
            yield operations

    def note(self, change: AuditedChange) -> None:
        now = self._now()
        self._entries.save(f"{ascending(now)}-{secrets.token_hex(4)}", _content(change, now))


class _Unaudited:
    @contextmanager
    def recording(self, table: str, partition: str, change: AuditedChange) -> Iterator[Sequence[Operation]]:
        del table, partition, change
        yield ()

    def note(self, change: AuditedChange) -> None:
        del change


# For drivers and tests of a room by itself. A test sees that the app's own doors are audited.
UNAUDITED: Audit = _Unaudited()


class AuditEntries:
    """The table `audit`."""

    def __init__(self, table: Table, now: Callable[[], datetime], *, kept_for: timedelta) -> None:
        self._table = table
        self._now = now
        self._kept_for = kept_for

    def save(self, entry_id: str, content: Mapping[str, Any]) -> None:
        """Keep an entry; the same one again is the same row."""
        at = datetime.fromisoformat(content["at"])
        columns = {name: content[name] for name in ("by", "role", "origin", "kind", "action", "thing", "more")}
        row = Row(
            _day_key(at),
            f"{descending(at)}:{entry_id}",
            {**columns, **pack("changes", content["changes"]), "at": at, "entry_id": entry_id},
        )
        self._table.transact(row.partition_key, [Save(row)])

    def page(self, wanted: AuditFilter, size: int, after: str | None) -> tuple[Sequence[AuditEntry], str | None]:
        """Newest first. A page may be short, even empty, while there are more."""
        page = self._table.page(_where(wanted), size=size, after=after)
        return [_to_entry(row) for row in page.rows], page.next

    def remove_old(self) -> int:
        """Remove whole days that are over, at most some thousand rows; how many there were. Two at once do no harm."""
        removed = 0
        last_kept = _day_key(self._now() - self._kept_for)
        for _ in range(_PAGES_A_TURN):
            page = self._table.page([Condition("PartitionKey", "gt", last_kept)], select=("entry_id",))
            for partition_key, keys in _by_partition(page.rows):
                removed += delete_present(self._table, partition_key, keys)
            if page.next is None:
                break
        return removed


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[AuditedField, ...]:
    """The fields of two JSON documents that differ, by their paths. None is no document."""
    leaves_before, leaves_after = dict(_leaves(before or {}, "")), dict(_leaves(after or {}, ""))
    nothing = _Leaf(None, hidden=False)
    fields: list[AuditedField] = []
    for path in sorted(leaves_before.keys() | leaves_after.keys()):
        was, becomes = leaves_before.get(path, nothing), leaves_after.get(path, nothing)
        if was.value != becomes.value:
            fields.append(AuditedField(path, was.value, becomes.value, was.hidden or becomes.hidden))
    return tuple(fields)


class _Leaf(NamedTuple):
    value: Any
    hidden: bool


def _leaves(value: Any, path: str, *, hidden: bool = False) -> Iterator[tuple[str, _Leaf]]:
    members: Iterable[tuple[object, Any]]
    hides = False
    if isinstance(value, Mapping):
        members = value.items()
        # `{"field": "admin-password", "fixed": …}`: the value is one of the field that stands beside it.
        beside = value.get("field")
        hides = isinstance(beside, str) and is_secret_name(beside)
    elif isinstance(value, list | tuple):
        members = enumerate(value)
    else:
        yield path, _Leaf(value, hidden)
        return
    for name, member in members:
        own = hidden or (hides and name in _VALUES)
        yield from _leaves(member, f"{path}.{name}" if path else str(name), hidden=own)


def _content(change: AuditedChange, now: datetime) -> dict[str, Any]:
    """The entry as JSON, masked and bounded."""
    acting = present()
    fields = (*change.fields, *differences(change.before, change.after))
    return {
        "at": now.astimezone(UTC).isoformat(),
        "by": _name(change.by),
        "role": acting.role,
        "origin": str(acting.origin),
        "kind": str(change.kind),
        "action": change.action,
        "thing": _name(change.thing),
        "changes": [_told(field, change.names_told) for field in fields[:MOST_CHANGES]],
        "more": max(0, len(fields) - MOST_CHANGES),
    }


def _told(field: AuditedField, names_told: frozenset[str]) -> list[Any]:
    hidden = field.hidden or is_secret_name(field.field, names_told)
    values = (_storable(value) for value in (field.before, field.after))
    return [_name(field.field), *(MASK if hidden and value is not None else value for value in values)]


def _storable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return masked(LONE_SURROGATE.sub("\ufffd", value))
    return value if value is None or isinstance(value, bool | int | float) else masked(str(value))


def _name(text: str) -> str:
    return str(_storable(text))[:_LONGEST_NAME]


def _day_key(at: datetime) -> str:
    """A partition key that falls with the days, so that the newest comes first."""
    return f"{_LATEST_DAY - int(at.astimezone(UTC).strftime('%Y%m%d')):08d}"


def _where(wanted: AuditFilter) -> list[Condition]:
    where: list[Condition] = []
    # A later moment has the lesser key.
    if wanted.until is not None:
        where.append(Condition("PartitionKey", "ge", _day_key(wanted.until)))
        where.append(Condition("at", "lt", wanted.until))
    if wanted.since is not None:
        where.append(Condition("PartitionKey", "le", _day_key(wanted.since)))
        where.append(Condition("at", "ge", wanted.since))
    if wanted.kind is not None:
        where.append(Condition("kind", "eq", str(wanted.kind)))
    if wanted.by is not None:
        where.append(Condition("by", "eq", wanted.by))
    if wanted.thing is not None:
        where.append(Condition("thing", "eq", wanted.thing))
    return where


def _to_entry(row: Row) -> AuditEntry:
    at = row.time("at")
    assert at is not None  # noqa: S101 - written with every row
    return AuditEntry(
        row.text("entry_id"),
        at,
        row.text("by"),
        row.text("role"),
        Origin(row.text("origin")),
        AuditKind(row.text("kind")),
        row.text("action"),
        row.text("thing"),
        tuple(AuditedField(*one) for one in unpack(row, "changes", [])),
        row.number("more"),
    )


def _by_partition(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.partition_key, []).append(row.row_key)
    return list(found.items())
