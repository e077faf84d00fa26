"""What the index holds of tickets and objects: where each stands, by what it is found, and how a change is told.

Lists of tickets are `tickets:<list>:<by>`: all of them (in a few partitions, for their number), those of a scope, those
of a site, and those of the desk itself. What is open stands in `open` (newest first) and `due` (soonest first), what is
finished in `done`. Lists of objects are `expiries:<by>` (soonest first) and `objects:<by>` (by name): all of them, and
those of a vault. Tickets that end by their age when they are left alone stand in `aging` too: in that of all.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.index.index import IndexKey, Stream
from shared.index.terms import partition_of_term, terms_of
from shared.storage.rows import Row, Value
from shared.text import ascending, escape_key
from shared.tickets.domain.decide import Expiry
from shared.tickets.domain.model import DESK_SOURCE, ObjectType, StoredTicketRows, TicketKind

# What follows from a change, by its name in the outbox.
FOLLOW_UP = "tickets"
TERMS = "tickets"
OPEN, DUE, DONE, AGING = "open", "due", "done", "aging"
# Tickets of these kinds tell of something done once.
AGING_KINDS = frozenset({TicketKind.NEW_VERSION, TicketKind.ACCESS_POLICY})
NEVER = "9" * 18
RECEIPTS = "receipts"
OBJECT_TERMS = "objects"
# Before the objects that are gone, in the order of their expiry.
AFTER_ALL = "~"
BY_EXPIRY, BY_NAME = "expiries", "objects"
# The tickets of the desk's own conditions.
DESK = DESK_SOURCE.casefold()
# A partition takes 2,000 rows a second; a page merges so many.
SHARDS = tuple(f"all:{number}" for number in range(4))


@dataclass(frozen=True)
class TicketMoved:
    """A ticket whose row changes, as it was stored before, and as it will be; None is not at all."""

    stored: StoredTicketRows
    object_name: str
    after: StoredTicketRows | None = None


@dataclass(frozen=True)
class ExpiryMoved:
    """An object that lists show otherwise. `before` is its row key in the index until now, empty for none."""

    row_key: str
    before: str = ""
    was: Expiry | None = None
    becomes: Expiry | None = None


Told = TicketMoved | ExpiryMoved


def list_partition(name: str, by: str) -> str:
    """The partition of a list: `by` is one of SHARDS, DESK, or what `by_scope` and `by_site` give."""
    return f"tickets:{name}:{by}"


def by_scope(scope: str) -> str:
    return f"scope:{escape_key(scope.casefold())}"


def by_site(site: str) -> str:
    return f"site:{escape_key(site.casefold())}"


def ticket_terms(ticket_id: str, object_name: str, scope: str) -> tuple[str, ...]:
    """By what a ticket is found."""
    return terms_of([ticket_id, object_name, scope])


def keys_of_ticket(partition_key: str, moved: TicketMoved) -> Iterator[IndexKey]:
    """Where a ticket stands in the index, as the change tells it; nowhere when it is new."""
    stored = moved.stored
    if not stored.list_keys:
        return
    scope = scope_of(partition_key)
    shard = int(hashlib.sha256(stored.ticket_id.encode()).hexdigest()[:8], 16) % len(SHARDS)
    places = [SHARDS[shard], by_scope(scope), *([by_site(stored.site)] if stored.site else [])]
    if partition_key.startswith(f"{DESK}:"):
        places.append(DESK)
    for list_key in stored.list_keys:
        name, _, row = list_key.partition(":")
        for by in places[:1] if name == AGING else places:
            yield IndexKey(list_partition(name, by), row)
    for term in ticket_terms(stored.ticket_id, moved.object_name, scope):
        yield IndexKey(partition_of_term(TERMS, term), f"{escape_key(term)}|{stored.ticket_id}")


def scope_of(partition_key: str) -> str:
    """The part of its source that a partition is about: another source's begins with the source's name."""
    return partition_key.rpartition(":")[2]


def key_of_expiry(expiry: Expiry, row_key: str) -> IndexKey:
    """Where an object stands among those that expire, soonest first."""
    due = NEVER if expiry.expires_at is None else ascending(expiry.expires_at)
    if expiry.gone_at is not None:
        due = f"{AFTER_ALL}{ascending(expiry.gone_at)}"
    return expiry_keys(expiry.vault, f"{due}:{_digest(expiry, row_key)}")[0]


def expiry_keys(vault: str, row: str) -> list[IndexKey]:
    """The index rows of that key, in the list of all objects and in that of the vault: all follows from it."""
    places = (SHARDS[int(row[-8:], 16) % len(SHARDS)], by_scope(vault))
    return [IndexKey(object_partition(BY_EXPIRY, by), row) for by in places]


def object_partition(order: str, by: str) -> str:
    """The partition of a list of objects, in the order BY_EXPIRY or BY_NAME; `by` as for a list of tickets."""
    return f"{order}:{by}"


def keys_of_object(expiry: Expiry, row_key: str) -> Iterator[IndexKey]:
    """Where an object stands in the index."""
    expiring = key_of_expiry(expiry, row_key)
    yield from expiry_keys(expiry.vault, expiring.row)
    digest = _digest(expiry, row_key)
    for by in (expiring.partition.partition(":")[2], by_scope(expiry.vault)):
        yield IndexKey(object_partition(BY_NAME, by), f"{escape_key(expiry.object_name.casefold())}:{digest}")
    for term in object_terms(expiry):
        yield IndexKey(partition_of_term(OBJECT_TERMS, term), f"{escape_key(term)}|{digest}")


def object_terms(expiry: Expiry) -> tuple[str, ...]:
    """By what an object is found."""
    return terms_of([expiry.object_name, expiry.vault])


def _digest(expiry: Expiry, row_key: str) -> str:
    return hashlib.sha256(f"{expiry.vault}|{row_key}".encode()).hexdigest()[:20]


# The columns of an object's index row that are members as they are: texts, and moments that may be missing.
_TEXTS = ("vault", "object_name", "version", "seen_on")
_MOMENTS = ("expires_at", "created_at", "changed_at", "not_before", "gone_at")


def object_columns(expiry: Expiry) -> dict[str, Value]:
    """What an object's index row says."""
    columns: dict[str, Value] = {name: getattr(expiry, name) for name in _TEXTS}
    columns |= {name: moment for name in _MOMENTS if (moment := getattr(expiry, name)) is not None}
    columns |= {"object_type": str(expiry.object_type), "managed": expiry.managed}
    columns |= {name: json.dumps(getattr(expiry, name)) for name in ("sites", "teams", "tickets")}
    return columns if expiry.enabled is None else {**columns, "enabled": expiry.enabled}


def object_in(row: Row) -> Expiry:
    """The object that an index row shows."""
    members: dict[str, Any] = {name: row.text(name) for name in _TEXTS}
    members |= {name: row.time(name) for name in _MOMENTS}
    members |= {name: tuple(json.loads(row.text(name))) for name in ("sites", "teams")}
    enabled = row.values.get("enabled")
    return Expiry(
        **members,
        object_type=ObjectType(row.text("object_type")),
        managed=row.values["managed"] is True,
        enabled=None if enabled is None else enabled is True,
        tickets=tuple((ticket_id, site) for ticket_id, site in json.loads(row.text("tickets"))),
    )


def key_of_receipts(partition_key: str, now: datetime) -> IndexKey:
    """Says that the partition took in events that day: so their receipts are found when they are old."""
    return IndexKey(RECEIPTS, f"{now:%Y-%m-%d}:{escape_key(partition_key)}")


def old_receipts(before: datetime) -> Stream:
    """The rows of all days that had ended at that moment."""
    return Stream(RECEIPTS, "0", f"{before:%Y-%m-%d}")
