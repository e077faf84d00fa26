"""Records as imports write them, by workers that come and go, and a clock that is told to move."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from shared import bootstrap
from shared.outbox.gathered import MarkedPartition
from shared.records.index_rows import RecordMoved, moved_by
from shared.records.model import Values, merged
from shared.storage.rows import Create, Operation, Replace, Row
from tests.fakes.tables import MemoryTables, WatchedTables

PLACE = MarkedPartition("assets", "aws:111122223333:eu-west-1")
SITES = ("london", "leeds")


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.at = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def pass_by(self, **how_long: float) -> None:
        self.at += timedelta(**how_long)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    monkeypatch.setattr(bootstrap, "now", clock.now)
    return clock


def worker(tables: MemoryTables, watch: Callable[[str, str, str], None] | None = None) -> None:
    """From now on another worker is at it."""
    bootstrap.reset()
    bootstrap.replace("tables", tables if watch is None else WatchedTables(tables, watch))


def write(row_key: str, assign: Values) -> None:
    """As an import writes a record."""
    write_together({row_key: assign})


def write_together(records: Mapping[str, Values]) -> None:
    """As an import writes records, in one transaction."""
    table, operations, moved = bootstrap.tables().table("assets"), list[Operation](), list[RecordMoved]()
    for row_key, assign in records.items():
        row = table.find(PLACE.partition, row_key)
        before = {} if row is None else row.values
        changed = Row(PLACE.partition, row_key, merged(before, assign), "" if row is None else row.etag)
        operations.append(Create(changed) if row is None else Replace(changed))
        told = moved_by(row_key, before, assign, is_new=row is None)
        moved += [told] if told is not None else []
    bootstrap.asset_rows().write(PLACE.partition, operations, moved)


def some_records() -> None:
    """More changes than are carried out at once."""
    for number in range(24):
        write(f"i-{number}", {"site": SITES[number % 2], "type": "server", "active": True})
    for number in range(3):
        write(f"i-{number}", {"active": False})
    write("i-5", {"site": "leeds"})
    write("i-6", {"f_notes": "nothing that counts"})
