"""The audit trail in the end: each edit of a record stands there once, and nothing waits in the outbox."""

from collections import Counter
from collections.abc import Iterator

from lab.fakes.tables import MemoryTables
from lab.faults.histories import histories
from lab.faults.scenario import Scenario
from lab.faults.simulated_desk import is_audited
from shared.access.audit import AuditKind
from shared.outbox.model import OUTBOX, PENDING
from shared.storage.names import AUDIT_TABLE, OUTBOX_TABLE

_MOST_SHOWN = 5


def audit_faults(scenario: Scenario, tables: MemoryTables) -> list[str]:
    """Where the audit trail differs from what people did, in words."""
    faults = list(_left(tables))
    if is_audited(scenario):
        faults += _differing(tables)
    return faults[:_MOST_SHOWN]


def _left(tables: MemoryTables) -> Iterator[str]:
    for name, table in tables.tables.items():
        for row in table.rows.values():
            if row.row_key.startswith(OUTBOX) or (name == OUTBOX_TABLE and row.partition_key == PENDING):
                yield f"left in the outbox: {row.partition_key} {row.row_key} in {name}"


def _differing(tables: MemoryTables) -> Iterator[str]:
    edits = Counter(
        f"{table}/{key.partition}:{key.row}"
        for table, records in histories(tables).items()
        for key, told in records.items()
        for change in told.changes
        if change["action"] == "edit"
    )
    entries = Counter(
        row.text("thing")
        for row in tables.table(AUDIT_TABLE).rows.values()
        if row.text("kind") == AuditKind.RECORD and row.text("action") == "edited"
    )
    for thing in sorted({*edits, *entries}):
        if edits[thing] != entries[thing]:
            yield f"{edits[thing]} edits of {thing} stand as {entries[thing]} in the audit trail"
