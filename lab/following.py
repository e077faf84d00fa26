"""Lets lists follow what was changed, as the timer and the queue of the outbox do: for whoever looks right after."""

import time
from datetime import UTC, datetime

from shared.counts import cells, partition_row
from shared.counts.levels import CountsLevels
from shared.counts.partition_row import PartitionCounts
from shared.index.index import Index
from shared.outbox.gathered import GatheredHandler, GatheredOutbox
from shared.records import index_rows as record_rows
from shared.records.index_rows import RecordIndex
from shared.storage.names import INDEX_TABLE
from shared.storage.rest_tables import RestTables
from shared.tickets.store import index_rows
from shared.tickets.store.ticket_index import TicketIndex

_SECONDS = 30


def follow_changes(connection_string: str) -> None:
    """Carry out what is to follow from what was written until now, or wait while the desk does so itself."""
    tables = RestTables.from_connection_string(connection_string)
    tickets = TicketIndex(Index(tables.table(INDEX_TABLE)), tables, _now)
    records = RecordIndex(Index(tables.table(INDEX_TABLE)), tables, _now)
    counts = CountsLevels(tables, _now, time.monotonic)
    handlers: dict[str, GatheredHandler] = {
        index_rows.FOLLOW_UP: tickets.carry_out,
        record_rows.FOLLOW_UP: records.carry_out,
        cells.FOLLOW_UP: PartitionCounts(tables).carry_out,
        partition_row.COPY: counts.carry_out,
    }
    outbox = GatheredOutbox(tables, handlers, _now)
    until = time.monotonic() + _SECONDS
    places = {marker.place for message in outbox.due() for marker in message.markers}
    for place in places:
        while not outbox.carry_out_at(place) and time.monotonic() < until:
            time.sleep(0.2)


def _now() -> datetime:
    return datetime.now(UTC)
