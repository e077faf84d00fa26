"""The index in the end: it shows what is stored, nothing else, and nothing waits to follow."""

from collections.abc import Iterator

from lab.fakes.tables import MemoryTables
from lab.faults.comparison import Rows
from lab.faults.histories import HISTORY
from shared.index.housekeeping import PASSES
from shared.outbox.gathered import LATER, MARKED
from shared.records import index_rows as record_rows
from shared.records.match_rows import MATCH, match_rows
from shared.storage.names import ASSETS_TABLE, INDEX_TABLE, OUTBOX_TABLE, TICKETS_TABLE, USERS_TABLE
from shared.tickets.store.index_rows import RECEIPTS
from shared.tickets.store.ticket_index import index_rows

_MOST_SHOWN = 5


def index_faults(tables: MemoryTables) -> list[str]:
    """Where the index differs from what it is to follow, in words."""
    expected: Rows = {}
    for row in tables.table(TICKETS_TABLE).rows.values():
        if row.row_key.startswith(("ticket:", "object:")):
            expected.update(((key.partition, key.row), columns) for key, columns in index_rows(row).items())
    for kind in (ASSETS_TABLE, USERS_TABLE):
        for row in tables.table(kind).rows.values():
            if row.row_key < HISTORY:
                rows = record_rows.index_rows(kind, row) | match_rows(kind, row)
                expected.update(((key.partition, key.row), dict(columns)) for key, columns in rows.items())
    found: Rows = {}
    for key, row in tables.table(INDEX_TABLE).rows.items():
        # One of matching is there before its record, and stays until housekeeping: only that it is there is asked.
        is_early = f":{MATCH}:" in row.partition_key and key not in expected
        is_beside = row.partition_key in {RECEIPTS, PASSES} or row.partition_key.startswith("counts:")
        if not is_beside and not is_early:
            found[key] = {column: value for column, value in row.values.items() if column != "at"}
    return [*_left(tables), *_differing(expected, found), *_repaired(tables)][:_MOST_SHOWN]


def _left(tables: MemoryTables) -> Iterator[str]:
    for name, table in tables.tables.items():
        for row in table.rows.values():
            if row.row_key.startswith(f"{LATER}:") or (name == OUTBOX_TABLE and row.partition_key.startswith(MARKED)):
                yield f"still to follow: {row.partition_key} {row.row_key} in {name}"


def _repaired(tables: MemoryTables) -> Iterator[str]:
    """Nobody damages the index here: housekeeping that finds something to repair has it wrong itself."""
    for (partition_key, name), row in tables.table(INDEX_TABLE).rows.items():
        if partition_key == PASSES and (row.number("repaired") or row.number("last_repaired")):
            yield f"the comparison of {name} found {row.number('last_repaired')} rows to repair"


def _differing(expected: Rows, found: Rows) -> Iterator[str]:
    for key in sorted({*expected, *found}):
        if expected.get(key) != found.get(key):
            yield f"the index at {key} shows {found.get(key)!r} instead of {expected.get(key)!r}"
