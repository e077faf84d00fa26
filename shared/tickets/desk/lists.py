"""Lists of tickets over all scopes, page by page: each scope's list is in order already, so they are merged.

Open tickets have rows of their own, so nothing that is closed is read for them.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.rows import Condition, Row, partition, row_key_prefix
from shared.storage.tables import Table
from shared.tickets.domain.model import Status, Ticket
from shared.tickets.store.repository import DONE, DUE, OPEN, TicketRepository, ticket_of

# A filter that matches little must not read a whole desk in one call; the page is then short and has a `next`.
_MOST_EXAMINED = 2_000

# What a row is sorted by: its key without the name of the list, the list, the scope.
_Place = tuple[str, str, str]


@dataclass(frozen=True)
class TicketQuery:
    """Which tickets, in which order. `filters` hold the accepted values, case-folded, by field."""

    state: str = "open"
    order: str = "newest"
    snoozed: str = "hide"
    scope: str | None = None
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    size: int = 50
    after: str | None = None


def query_of(
    *,
    state: str | None,
    order: str | None,
    snoozed: str | None,
    scope: str | None,
    filters: Mapping[str, object],
    size: int,
    after: str | None,
) -> TicketQuery:
    """The query of parameters that are checked one by one; None stands for the default. Raises InvalidInputError."""
    folded: dict[str, frozenset[str]] = {}
    for name, given in filters.items():
        values = given if isinstance(given, tuple) else (given,) if given else ()
        if values:
            folded[name] = frozenset(str(value).strip().casefold() for value in values)
    only_finished = folded.get("status", frozenset("-")) <= {str(Status.RESOLVED), str(Status.CLOSED)}
    query = TicketQuery(
        state=state or ("finished" if only_finished else "open"),
        order=order or "newest",
        snoozed=snoozed or "hide",
        scope=None if scope is None else scope.strip().casefold(),
        filters=folded,
        size=size,
        after=after,
    )
    if query.order == "expiry" and query.state != "open":
        fault = Fault("order", "by expiry is for open tickets")
        raise InvalidInputError(Reason.PARAMETER_INVALID, "Only open tickets are listed by expiry.", faults=[fault])
    return query


def of_sites(query: TicketQuery, sites: frozenset[str] | None) -> TicketQuery:
    """The query with only tickets of these sites left in it; None leaves all in."""
    if sites is None:
        return query
    asked = query.filters.get("site")
    return replace(query, filters={**query.filters, "site": sites if asked is None else sites & asked})


def list_tickets(repository: TicketRepository, query: TicketQuery, now: datetime) -> tuple[list[Ticket], str | None]:
    """One page of tickets, without their details, and where to go on."""
    last = None if query.after is None else _place_of(query.after)
    scopes = repository.scopes()
    if query.scope is not None:
        # Another source's partition begins with the source's name.
        scopes = [scope for scope in scopes if scope.rpartition(":")[2] == query.scope]
    lists = {"open": [DUE if query.order == "expiry" else OPEN], "finished": [DONE], "all": [OPEN, DONE]}[query.state]
    streams = [_stream(repository.table, scope, name, last, query.size) for name in lists for scope in scopes]
    found: list[Ticket] = []
    place: _Place | None = None
    for examined, (here, row) in enumerate(heapq.merge(*streams, key=lambda entry: entry[0])):
        if len(found) == query.size or examined == _MOST_EXAMINED:
            return found, encode_cursor(*place) if place is not None else None
        place = here
        ticket = ticket_of(row)
        if _matches(ticket, query, now):
            found.append(ticket)
    return found, None


def _stream(table: Table, scope: str, name: str, last: _Place | None, size: int) -> Iterator[tuple[_Place, Row]]:
    first, end = row_key_prefix(f"{name}:")
    if last is not None:
        # Of rows with one sort key, those of lists and scopes up to the last one have been given out.
        first = Condition("RowKey", "gt" if (name, scope) <= last[1:] else "ge", f"{name}:{last[0]}")
    after: str | None = None
    rows = size + 1
    while True:
        page = table.page([partition(scope), first, end], size=min(1000, rows), after=after)
        # Where a filter lets little through, a short page must not take a thousand readings.
        rows *= 4
        for row in page.rows:
            yield (row.row_key.partition(":")[2], name, scope), row
        after = page.next
        if after is None:
            return


def _matches(ticket: Ticket, query: TicketQuery, now: datetime) -> bool:
    for name, values in query.filters.items():
        if str(getattr(ticket, name) or "").casefold() not in values:
            return False
    snoozed = ticket.snoozed_until is not None and ticket.snoozed_until > now
    return {"hide": not snoozed, "show": True, "only": snoozed}[query.snoozed]


def _place_of(after: str) -> _Place:
    key, name, scope = decode_cursor(after, str, str, str)
    return key, name, scope
