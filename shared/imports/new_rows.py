"""The rows that an import adds: of a new record, and of an alias."""

from collections.abc import Mapping
from datetime import datetime

from shared.imports.plan.model import ALIASED, CREATED, DesiredRecord, ExistingRecord, PlanEntry
from shared.records import history
from shared.records.model import Key
from shared.storage.rows import Row, Value


def new_row(
    partition_key: str, entry: PlanEntry, source: Mapping[str, Value], run_id: str, document: str, now: datetime
) -> Row:
    """The row of a new record; `source` are the columns that hold it as it was read."""
    values: dict[str, Value] = {
        **{column: value for column, value in entry.assign.items() if value is not None},
        **source,
        "source_id": entry.id,
        "created_at": now,
        "changed_at": now,
        "last_run": run_id,
        "last_action": CREATED,
        "document": document,
        history.COLUMN: history.beginning(str(entry.action), f"run {run_id}", now),
    }
    return Row(partition_key, entry.row_key, values)


def alias_row(
    partition_key: str,
    desired: DesiredRecord,
    target: Key,
    run_id: str,
    now: datetime,
    merged: ExistingRecord | None = None,
) -> Row:
    """The row that says whose record another key leads to. Of one that stands in place of a record's own row the
    history goes on to be kept."""
    kept = {} if merged is None else {c: value for c, value in merged.values.items() if history.is_history(c)}
    values: dict[str, Value] = {
        "alias_of": target.text,
        "source_id": desired.id,
        "created_at": now,
        "last_run": run_id,
        "last_action": ALIASED,
    }
    return Row(partition_key, desired.row_key, {**kept, **values}, "" if merged is None else merged.etag)
