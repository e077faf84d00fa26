"""The counts in the end: each level's rows are a full count of what is stored, and no node waits to be summed up."""

from collections import Counter
from collections.abc import Iterator

from lab.fakes.tables import MemoryTables
from lab.faults.histories import HISTORY
from shared.counts.cells import Cell, Counts
from shared.counts.levels import STALE
from shared.counts.partition_row import COUNTS_ROW, counts_in
from shared.counts.trees import DESK, Node, shares_of, shown_in
from shared.records.index_rows import record_cell
from shared.records.table import is_alias
from shared.storage.names import ASSETS_TABLE, INDEX_TABLE, TICKETS_TABLE, USERS_TABLE
from shared.storage.rows import Row
from shared.text import escape_key
from shared.tickets.domain.decide import expiry_of
from shared.tickets.store.repository import expiry_cell, record_of, stored_of, ticket_cell

_MOST_SHOWN = 5
Rows = dict[tuple[str, str], Counts]


def counts_faults(tables: MemoryTables) -> list[str]:
    """Where the counts differ from a full count, in words."""
    found: Rows = {}
    expected: Rows = {}
    for table in (TICKETS_TABLE, ASSETS_TABLE, USERS_TABLE):
        rows = tables.table(table).rows
        found |= {(table, key[0]): counts_in(row) for key, row in rows.items() if key[1] == COUNTS_ROW}
        full: dict[str, Counter[Cell]] = {}
        for row in rows.values():
            cell = _cell_of(table, row)
            if cell is not None:
                full.setdefault(row.partition_key, Counter())[cell] += 1
        expected |= {(table, partition_key): dict(counts) for partition_key, counts in full.items()}
        expected |= _above(table, full)
    index = tables.table(INDEX_TABLE).rows
    found |= {key: counts_in(row) for key, row in index.items() if key[0].startswith("counts:") and key[0] != STALE}
    stale = [f"still to be summed up: {key[1]}" for key in index if key[0] == STALE]
    return [*stale, *_differing(expected, found)][:_MOST_SHOWN]


def _cell_of(table: str, row: Row) -> Cell | None:
    if table == TICKETS_TABLE:
        if row.row_key.startswith("ticket:"):
            return ticket_cell(stored_of(row))
        is_object = row.row_key.startswith("object:")
        return expiry_cell(expiry_of(row.partition_key, record_of(row))) if is_object else None
    return None if row.row_key >= HISTORY or is_alias(row) else record_cell(row.values)


def _above(table: str, partitions: dict[str, Counter[Cell]]) -> Rows:
    """What must stand above these partitions."""
    rows: Rows = {}
    below: dict[Node, list[Counts]] = {}
    for partition_key, counts in partitions.items():
        for share in shares_of(partition_key, counts):
            node = Node.above(table, partition_key, share)
            rows[node.children, escape_key(partition_key)] = shown_in(share, partition_key, counts)
            below.setdefault(node, []).append(rows[node.children, escape_key(partition_key)])
    while below:
        above: dict[Node, list[Counts]] = {}
        for node, children in below.items():
            rows[node.place] = node.sum_of(children)
            if node.parent is not None:
                above.setdefault(node.parent, []).append(rows[node.place])
        below = above
    return rows


def _differing(expected: Rows, found: Rows) -> Iterator[str]:
    # What once was counted leaves a row that counts nothing; the desk's row says beside it up to when it is true.
    for place in sorted({*expected, *found} - {(DESK, "~passed")}):
        if expected.get(place, {}) != found.get(place, {}):
            yield f"the counts at {place} are {found.get(place)!r} instead of {expected.get(place)!r}"
