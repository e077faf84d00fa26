"""Who reads what in the end: each partition says rightly whether it has active records, and the lists say the same."""

from collections.abc import Iterator

from lab.fakes.tables import MemoryTables
from lab.faults.histories import HISTORY
from shared.imports.runs.readings import READING, Readings
from shared.records.model import MANUAL_PARTITION, Key
from shared.records.table import is_alias
from shared.storage.names import ASSETS_TABLE, RUNS_TABLE, USERS_TABLE
from shared.storage.rows import Row

_MOST_SHOWN = 5
# More than any scenario has parts.
_MOST_TOLD = 1_000


def reading_faults(tables: MemoryTables) -> list[str]:
    """Where a partition, or a list of those with active records, is not as the records are, in words."""
    found = [fault for table in (ASSETS_TABLE, USERS_TABLE) for fault in _faults(tables, table)]
    return found[:_MOST_SHOWN]


def _faults(tables: MemoryTables, table: str) -> Iterator[str]:
    readings = Readings(tables.table(RUNS_TABLE))
    rows = tables.table(table).rows
    told = {(one.kind, one.document, one.part) for one in readings.told(size=_MOST_TOLD)}
    active = {row.partition_key for row in rows.values() if row.row_key < HISTORY and _is_active(tables, table, row)}
    read = {key[0]: row for key, row in rows.items() if key[1] == READING}
    for partition_key in sorted(active - read.keys() - {MANUAL_PARTITION}):
        yield f"{partition_key} has active records, and nothing says who read them"
    for partition_key, row in sorted(read.items()):
        place = (row.text("kind"), row.text("document"), row.text("part"))
        says, is_true = bool(row.values["active"]), partition_key in active
        if says != is_true:
            yield f"{partition_key} says active: {says}, and its records say {is_true}"
        if bool(readings.partition_of(*place)) != says:
            yield f"{partition_key} says active: {says}, and the list of {place} does not"
        if (place in told) != bool(row.text("reason")):
            yield f"{partition_key} tells {row.text('reason')!r}, and the list of what is told does not"


def _is_active(tables: MemoryTables, table: str, row: Row) -> bool:
    """Whether a record is active; of one that follows another, whether that is."""
    if is_alias(row):
        own, target = Key(row.partition_key, row.row_key), Key.parse(row.text("alias_of"))
        followed = tables.table(table).find(target.partition, target.row)
        return followed is not None and followed.text("claimed_by") == own.text and _is_active(tables, table, followed)
    return bool(row.values.get("active", True))
