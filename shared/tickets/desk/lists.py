"""Lists of tickets over all scopes, page by page, from the index; and tickets found by their id.

What may have changed since the index followed is read from its own row before it is shown.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.errors import Fault, InvalidInputError
from shared.index.index import Index, Place, Stream, going_on
from shared.index.terms import SearchWords, fold, partition_of_term, search_words
from shared.outbox.gathered import GatheredOutbox, MarkedPartition, Unsettled
from shared.reasons import Reason
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.rows import Row
from shared.storage.tables import find_rows
from shared.text import ascending, escape_key
from shared.tickets.domain.model import Status, Ticket, may_be_of
from shared.tickets.store.index_rows import (
    DESK,
    DONE,
    DUE,
    OPEN,
    SHARDS,
    TERMS,
    by_scope,
    by_site,
    list_partition,
    scope_of,
    ticket_terms,
)
from shared.tickets.store.repository import TicketRepository, ticket_of

# A filter that matches little must not read a whole desk in one call; the page is then short and has a `next`.
_MOST_EXAMINED = 2_000
# Of more sites the lists are not merged: the list of all is filtered.
_MOST_SITES_MERGED = 8
_FIRST, _LAST = " ", "\uffff"
_TICKET_ID = re.compile(r"[A-Z]{2}-[0-9A-Z]{5}-[0-9A-Z]{5,12}")


@dataclass(frozen=True)
class TicketQuery:
    """Which tickets, in which order. `filters` hold the accepted values, case-folded, by field."""

    state: str = "open"
    order: str = "newest"
    snoozed: str = "hide"
    scope: str | None = None
    words: SearchWords | None = None
    expires_before: datetime | None = None
    updated_after: datetime | None = None
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    size: int = 50
    after: str | None = None


@dataclass(frozen=True)
class TicketPage:
    """Tickets without their details, where to go on, and up to when changes are surely in it."""

    items: Sequence[Ticket]
    next: str | None
    as_of: datetime


def query_of(
    *,
    state: str | None,
    order: str | None,
    snoozed: str | None,
    scope: str | None,
    filters: Mapping[str, object],
    size: int,
    after: str | None,
    q: str | None = None,
    expires_before: datetime | None = None,
    updated_after: datetime | None = None,
) -> TicketQuery:
    """The query of parameters that are checked one by one; None stands for the default. Raises InvalidInputError."""
    folded: dict[str, frozenset[str]] = {}
    for name, given in filters.items():
        values = given if isinstance(given, tuple) else (given,) if given else ()
        if values:
            folded[name] = frozenset(str(value).strip().casefold() for value in values)
    only_finished = folded.get("status", frozenset("-")) <= {str(Status.RESOLVED), str(Status.CLOSED)}
    chosen = state or ("finished" if only_finished else "all" if q else "open")
    usual = "expiry" if expires_before is not None and chosen == "open" and not q else "newest"
    query = TicketQuery(
        state=chosen,
        order=order or usual,
        snoozed=snoozed or ("show" if q else "hide"),
        scope=None if scope is None else scope.strip().casefold(),
        words=search_words(q) if q else None,
        expires_before=expires_before,
        updated_after=updated_after,
        filters=folded,
        size=size,
        after=after,
    )
    if query.words is not None and order is not None:
        raise _order_refused("What is found by q comes in the order of the words found.", "goes with no q")
    if query.order == "expiry" and query.state != "open":
        raise _order_refused("Only open tickets are listed by expiry.", "by expiry is for open tickets")
    return query


def _order_refused(sentence: str, fault: str) -> InvalidInputError:
    return InvalidInputError(Reason.PARAMETER_INVALID, sentence, faults=[Fault("order", fault)])


def of_sites(query: TicketQuery, sites: frozenset[str] | None) -> TicketQuery:
    """The query with only tickets of these sites left in it; None leaves all in."""
    if sites is None:
        return query
    asked = query.filters.get("site")
    return replace(query, filters={**query.filters, "site": sites if asked is None else sites & asked})


class TicketLists:
    """Finds tickets in the index."""

    def __init__(
        self, index: Index, outbox: GatheredOutbox, repository: TicketRepository, now: Callable[[], datetime]
    ) -> None:
        self._index = index
        self._outbox = outbox
        self._repository = repository
        self._now = now

    def page(self, query: TicketQuery) -> TicketPage:
        """One page. Raises InvalidInputError for an `after` of another list."""
        last: Place | None = None if query.after is None else _place_of(query.after)
        unsettled, now = self._outbox.unsettled(self._repository.table.name), self._now()
        found: list[Row] = []
        place: Place | None = None
        following: str | None = None
        for examined, row in enumerate(self._index.merged(_streams(query, last), query.size + 1)):
            if len(found) == query.size or examined == _MOST_EXAMINED:
                following = encode_cursor(*place) if place is not None else None
                break
            place = (row.row_key, row.partition_key)
            if _matches(row, query, now):
                found.append(row)
        items = [ticket_of(row) for row in self._as_they_are(found, unsettled) if _matches(row, query, now)]
        return TicketPage(items, following, unsettled.as_of)

    def find(self, ticket_id: str) -> Row | None:
        """The ticket's row, whether the index has followed or not."""
        wanted = ticket_id.strip().upper()
        if not _TICKET_ID.fullmatch(wanted):
            return None
        term = fold(wanted)
        begin = f"{escape_key(term)}|"
        indexed = self._index.merged([Stream(partition_of_term(TERMS, term), begin, begin + _LAST)], 2)
        partitions = [row.text("partition") for row in indexed if row.text("ticket_id") == wanted]
        for partition_key in (*dict.fromkeys(partitions), *self._unsettled_of(wanted)):
            row = self._repository.find_ticket(partition_key, wanted)
            if row is not None:
                return row
        return None

    # Within

    def _unsettled_of(self, ticket_id: str) -> Iterator[str]:
        """Partitions that the index may not have followed, and that the ticket can belong to."""
        for marker in self._outbox.marked(self._repository.table.name):
            if may_be_of(marker.place.partition, ticket_id):
                yield marker.place.partition

    def _as_they_are(self, rows: Sequence[Row], unsettled: Unsettled) -> list[Row]:
        """The rows; instead of one that the index may not have followed, the ticket's own."""
        table = self._repository.table
        doubtful: dict[str, list[str]] = {}
        for row in rows:
            if unsettled.holds(MarkedPartition(table.name, row.text("partition"))):
                doubtful.setdefault(row.text("partition"), []).append(f"ticket:{row.text('ticket_id')}")
        fresh = {partition_key: find_rows(table, partition_key, keys) for partition_key, keys in doubtful.items()}
        shown: list[Row] = []
        for row in rows:
            own = fresh.get(row.text("partition"))
            present = row if own is None else own.get(f"ticket:{row.text('ticket_id')}")
            if present is not None:
                shown.append(present)
        return shown


def _streams(query: TicketQuery, last: Place | None) -> list[Stream]:
    if query.words is not None:
        term = escape_key(query.words.first)
        streams = [Stream(partition_of_term(TERMS, query.words.first), term, term + _LAST)]
    else:
        names = {"open": [DUE if query.order == "expiry" else OPEN], "finished": [DONE], "all": [OPEN, DONE]}
        sites = query.filters.get("site")
        listed: Sequence[str] = SHARDS
        if query.scope is not None:
            listed = [by_scope(query.scope)]
        elif query.filters.get("source") == frozenset({DESK}):
            listed = [DESK]
        elif sites is not None and len(sites) <= _MOST_SITES_MERGED:
            listed = [by_site(site) for site in sorted(sites)]
        until = ascending(query.expires_before) if query.order == "expiry" and query.expires_before else _LAST
        streams = [Stream(list_partition(name, by), _FIRST, until) for name in names[query.state] for by in listed]
    return going_on(streams, last)


def _matches(row: Row, query: TicketQuery, now: datetime) -> bool:
    ticket = ticket_of(row)
    for name, values in query.filters.items():
        if str(getattr(ticket, name) or "").casefold() not in values:
            return False
    if query.scope is not None and scope_of(ticket.scope).casefold() != query.scope:
        return False
    if query.state != "all" and (ticket.finished_at is not None) is not (query.state == "finished"):
        return False
    if query.expires_before is not None and (ticket.expires_at is None or ticket.expires_at >= query.expires_before):
        return False
    if query.updated_after is not None and ticket.updated_at <= query.updated_after:
        return False
    if query.words is not None:
        terms = ticket_terms(ticket.ticket_id, ticket.object_name, scope_of(ticket.scope))
        if not query.words.fit(terms):
            return False
        # Of several rows that are found, the first alone shows the ticket.
        first = min(f"{escape_key(term)}|" for term in terms if term.startswith(query.words.first))
        if "partition" in row.values and not row.row_key.startswith(first):
            return False
    snoozed = ticket.snoozed_until is not None and ticket.snoozed_until > now
    return {"hide": not snoozed, "show": True, "only": snoozed}[query.snoozed]


def _place_of(after: str) -> Place:
    key, partition_key = decode_cursor(after, str, str)
    return key, partition_key
