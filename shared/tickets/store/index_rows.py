"""What the index holds of tickets and objects: where each stands, by what it is found, and how a change is told.

Lists of tickets are `tickets:<list>:<by>`: all of them (in a few partitions, for their number), those of a scope, those
of a site. What is open stands in `open` (newest first) and `due` (soonest first), what is finished in `done`.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.index.index import IndexKey, Stream
from shared.index.terms import partition_of_term, terms_of
from shared.storage.rows import Value
from shared.text import ascending, escape_key
from shared.tickets.domain.decide import Expiry
from shared.tickets.domain.model import StoredTicketRows

# What follows from a change, by its name in the outbox.
FOLLOW_UP = "tickets"
TERMS = "tickets"
OPEN, DUE, DONE = "open", "due", "done"
NEVER = "9" * 18
RECEIPTS = "receipts"
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
    """An object whose expiry is another. `before` is its row key in the index until now, empty for none."""

    row_key: str
    before: str = ""
    was: Expiry | None = None
    becomes: Expiry | None = None


Told = TicketMoved | ExpiryMoved


def list_partition(name: str, by: str) -> str:
    """The partition of a list: `by` is one of SHARDS, or what `by_scope` and `by_site` give."""
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
    for list_key in stored.list_keys:
        name, _, row = list_key.partition(":")
        for by in places:
            yield IndexKey(list_partition(name, by), row)
    for term in ticket_terms(stored.ticket_id, moved.object_name, scope):
        yield IndexKey(partition_of_term(TERMS, term), f"{escape_key(term)}|{stored.ticket_id}")


def scope_of(partition_key: str) -> str:
    """The part of its source that a partition is about: another source's begins with the source's name."""
    return partition_key.rpartition(":")[2]


def key_of_expiry(expiry: Expiry, row_key: str) -> IndexKey:
    """Where an object stands among those that expire, soonest first."""
    due = NEVER if expiry.expires_at is None else ascending(expiry.expires_at)
    digest = hashlib.sha256(f"{expiry.vault}|{row_key}".encode()).hexdigest()[:20]
    return expiry_key(f"{due}:{digest}")


def expiry_key(row: str) -> IndexKey:
    """The index row of that key: its partition follows from it."""
    return IndexKey(f"expiries:{SHARDS[int(row[-8:], 16) % len(SHARDS)]}", row)


def expiry_columns(expiry: Expiry) -> dict[str, Value]:
    columns: dict[str, Value] = {
        "vault": expiry.vault,
        "object_type": str(expiry.object_type),
        "object_name": expiry.object_name,
        "version": expiry.version,
        "sites": json.dumps(expiry.sites),
        "teams": json.dumps(expiry.teams),
    }
    return columns if expiry.expires_at is None else {**columns, "expires_at": expiry.expires_at}


def key_of_receipts(partition_key: str, now: datetime) -> IndexKey:
    """Says that the partition took in events that day: so their receipts are found when they are old."""
    return IndexKey(RECEIPTS, f"{now:%Y-%m-%d}:{escape_key(partition_key)}")


def old_receipts(before: datetime) -> Stream:
    """The rows of all days that had ended at that moment."""
    return Stream(RECEIPTS, "0", f"{before:%Y-%m-%d}")
