"""Lets lists follow what was changed, as the timer and the queue of the outbox do: for whoever looks right after."""

import time
from datetime import UTC, datetime

from shared.index.index import Index
from shared.outbox.gathered import GatheredOutbox
from shared.storage.names import INDEX_TABLE
from shared.storage.rest_tables import RestTables
from shared.tickets.store.index_rows import FOLLOW_UP
from shared.tickets.store.ticket_index import TicketIndex

_SECONDS = 30


def follow_changes(connection_string: str) -> None:
    """Carry out what is to follow from what was written until now, or wait while the desk does so itself."""
    tables = RestTables.from_connection_string(connection_string)
    tickets = TicketIndex(Index(tables.table(INDEX_TABLE)), tables, _now)
    outbox = GatheredOutbox(tables, {FOLLOW_UP: tickets.carry_out}, _now)
    until = time.monotonic() + _SECONDS
    for marked in frozenset(outbox.marked()):
        while not outbox.carry_out_at(marked) and time.monotonic() < until:
            time.sleep(0.2)


def _now() -> datetime:
    return datetime.now(UTC)
