"""What follows in the index from changes of tickets and objects: it shows them as they are now, whatever was told."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.counts.cells import Cell
from shared.counts.housekeeping import CountedTable
from shared.index.housekeeping import IndexedTable
from shared.index.index import Index, IndexKey
from shared.outbox.model import FollowUp
from shared.storage.names import TICKETS_TABLE
from shared.storage.rows import Row, Value
from shared.storage.tables import Condition, Tables, find_rows
from shared.tickets.domain.decide import expiry_of
from shared.tickets.store.index_rows import (
    BY_EXPIRY,
    BY_NAME,
    FOLLOW_UP,
    TERMS,
    ExpiryMoved,
    TicketMoved,
    Told,
    expiry_keys,
    key_of_receipts,
    keys_of_object,
    keys_of_ticket,
    object_columns,
)
from shared.tickets.store.repository import content_of, expiry_cell, record_of, stored_of, ticket_cell, told_of

_OBJECTS, _TICKETS, _BEHIND_TICKETS = "object:", "ticket:", "ticket;"
# Of a ticket's own row; lists show none of it.
_NOT_LISTED = ("details", "object_row", "ticket_key")
IndexRows = dict[IndexKey, dict[str, Value]]


class TicketIndex:
    """Carries out what the outbox of a partition of tickets says."""

    def __init__(self, index: Index, tables: Tables, now: Callable[[], datetime]) -> None:
        self._index = index
        self._tables = tables
        self._now = now

    def carry_out(self, table: str, partition_key: str, contents: Sequence[Mapping[str, Any]]) -> None:
        """Bring the index to the rows as they are now. Doing it again changes nothing."""
        told = [one for content in contents for one in told_of(content)]
        gone: set[IndexKey] = set()
        wanted: set[str] = set()
        for one in told:
            if isinstance(one, ExpiryMoved):
                wanted.add(one.row_key)
                gone.update(expiry_keys(partition_key, one.before) if one.before else [])
            else:
                wanted.add(f"{_TICKETS}{one.stored.ticket_id}")
                gone.update(keys_of_ticket(partition_key, one))
        rows: IndexRows = {key_of_receipts(partition_key, self._now()): {"partition": partition_key}}
        for row in find_rows(self._tables.table(table), partition_key, wanted).values():
            rows.update(index_rows(row))
        self._index.replace(rows, gone)


def index_rows(row: Row) -> IndexRows:
    """The index rows of a ticket's or an object's row."""
    if row.row_key.startswith(_TICKETS):
        return dict(_of_ticket(row))
    expiry = expiry_of(row.partition_key, record_of(row))
    if expiry is None:
        return {}
    columns = {**object_columns(expiry), **_place_of(row)}
    return dict.fromkeys(keys_of_object(expiry, row.row_key), columns)


# How tickets and objects stand in the index, for its housekeeping.
INDEXED_TICKETS = IndexedTable(
    TICKETS_TABLE,
    (f"{TERMS}:", f"{BY_EXPIRY}:", f"{BY_NAME}:"),
    # What stands between the two kinds of rows is passed over.
    [Condition("RowKey", "ge", _OBJECTS), Condition("RowKey", "lt", _BEHIND_TICKETS)],
    None,
    lambda row: index_rows(row) if row.row_key.startswith((_OBJECTS, _TICKETS)) else {},
    lambda rows: FollowUp(FOLLOW_UP, content_of([_moved(row) for row in rows])),
)


def _cell_of(row: Row) -> Cell | None:
    if row.row_key.startswith(_TICKETS):
        return ticket_cell(stored_of(row))
    is_object = row.row_key.startswith(_OBJECTS)
    return expiry_cell(expiry_of(row.partition_key, record_of(row))) if is_object else None


COUNTED_TICKETS = CountedTable(INDEXED_TICKETS.name, INDEXED_TICKETS.where, INDEXED_TICKETS.columns, _cell_of)


def _of_ticket(row: Row) -> Iterator[tuple[IndexKey, dict[str, Value]]]:
    shown = {column: value for column, value in row.values.items() if column not in _NOT_LISTED}
    columns = {column: value for column, value in shown.items() if not column.startswith("timeline")}
    moved = TicketMoved(stored_of(row), row.text("object_name"))
    for key in keys_of_ticket(row.partition_key, moved):
        yield key, {**columns, **_place_of(row)}


def _place_of(row: Row) -> dict[str, Value]:
    return {"partition": row.partition_key, "row": row.row_key}


def _moved(row: Row) -> Told:
    if row.row_key.startswith(_TICKETS):
        return TicketMoved(stored_of(row), row.text("object_name"))
    return ExpiryMoved(row.row_key)
