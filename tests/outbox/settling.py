"""What the timer and the queue of the outbox do, for tests that look at lists, or compare all that is stored."""

from datetime import UTC, datetime
from typing import Any

from shared import bootstrap
from shared.counts.levels import CountsLevels
from shared.index.index import Index
from shared.outbox.gathered import GatheredOutbox
from shared.records.lists import RecordLists
from shared.records.table import RecordTable
from shared.storage.tables import Tables
from tests.fakes.tables import MemoryTables

Contents = dict[str, dict[tuple[str, str], dict[str, Any]]]


def settle(outbox: GatheredOutbox) -> None:
    """Carry out all that is to follow."""
    for message in outbox.due():
        outbox.carry_out(message)


def settle_counts() -> None:
    """Bring all changes to the counts that the summary reads."""
    settle(bootstrap.gathered_outbox())
    assert bootstrap.counts_levels().refresh(seconds=60)


def settled(outbox: GatheredOutbox, tables: MemoryTables) -> Contents:
    """All that is stored once nothing is to follow any more, without the markers: they say when, and by whom. What was
    counted once and no more leaves a row that counts nothing: it says nothing either."""
    settle(outbox)
    assert CountsLevels(tables, _now, lambda: 0.0).refresh(seconds=1)
    contents = {
        table: {key: values for key, values in rows.items() if values.get("counts") != "{}" and key[1] != "~passed"}
        for table, rows in tables.contents().items()
    }
    waiting = [key for rows in contents.values() for key in rows if key[1].startswith("~later")]
    assert not waiting, waiting
    return {table: rows for table, rows in contents.items() if table != "outbox"}


def record_lists(kind: str, tables: Tables, records: RecordTable) -> RecordLists:
    """Lists of records whose index nothing has followed yet."""
    outbox = GatheredOutbox(tables, {}, _now)
    return RecordLists(kind, records, Index(tables.table("index")), outbox, _now)


def _now() -> datetime:
    return datetime(2026, 12, 2, 8, 0, tzinfo=UTC)
