"""Users are found by their address as people and browsers write it."""

from datetime import UTC, datetime

import pytest

from shared.bootstrap.kinds import KINDS
from shared.records.desk import RecordFilters
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.users.desk import UserDesk
from tests.fakes.tables import MemoryTables
from tests.outbox.settling import record_lists


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("jim@acorn.example", "Jim@Acorn.example"),
        ("jim@acorn.example", " jim@acorn.example "),
        # As a person typed it, in capitals.
        ("Kim@Acorn.example", "Kim@Acorn.example"),
        # A plus sign arrives as a blank when nobody encoded it.
        ("plus+desk@acorn.example", "plus desk@acorn.example"),
        ("plus+desk@acorn.example", "plus+desk@acorn.example"),
    ],
)
def test_an_address_is_found(stored: str, asked: str) -> None:
    tables = MemoryTables()
    now = lambda: datetime(2026, 3, 1, tzinfo=UTC)  # noqa: E731 - a clock in one line
    settings = SettingsStore(tables.table("settings"), KINDS, now)
    records = RecordTable(tables.table("users"))
    desk = UserDesk(records, record_lists("users", tables, records), settings, now)
    desk.add("somebody", {"email": stored}, by="jim")
    desk.add("other", {"email": "other@acorn.example"}, by="jim")
    found, _, _ = desk.page(RecordFilters({"email": asked}), size=10, after=None)
    assert [one["fields"]["email"] for one in found] == [stored]


@pytest.mark.parametrize(("value", "asked"), [(12, "12"), (12.5, "12.5"), (True, "true"), (True, "True"), ("a", "a")])
def test_a_value_is_found_as_it_is_shown(value: object, asked: str) -> None:
    tables = MemoryTables()
    now = lambda: datetime(2026, 3, 1, tzinfo=UTC)  # noqa: E731 - a clock in one line
    settings = SettingsStore(tables.table("settings"), KINDS, now)
    records = RecordTable(tables.table("users"))
    desk = UserDesk(records, record_lists("users", tables, records), settings, now)
    desk.add("somebody", {"name": value}, by="jim")
    desk.add("other", {"name": "13"}, by="jim")
    found, _, _ = desk.page(RecordFilters({"field": "name", "value": asked}), size=10, after=None)
    assert [one["fields"]["name"] for one in found] == [value]
