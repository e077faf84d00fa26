"""Exports in pages: each of at most so many bytes and so much memory, and all of them the whole, once."""

import csv
import io
import json
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.bootstrap.kinds import KINDS
from shared.overview import exports
from shared.overview.exports import Exports
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Row, Save, Value, in_transactions, pack
from shared.storage.tables import Page, Tables, Where
from shared.tickets.domain.decide import ObjectRecord
from shared.tickets.domain.listings import ObjectListed
from shared.tickets.domain.model import ObjectType
from shared.tickets.domain.observations import ObjectState
from shared.tickets.store.repository import SCOPES_PARTITION, TicketRepository, object_row_key, to_members
from tests.fakes.tables import MemoryTables
from tests.storage_emulator import Storage
from tests.tickets.desk import Desk
from tests.tickets.test_objects import lists_of

NOW = datetime(2026, 5, 1, tzinfo=UTC)
REGION = "aws:111122223333:eu-west-2"


class Ticking:
    """Seconds that pass with each look."""

    def __init__(self, step: float = 0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def exports_of(tables: Tables, step: float = 0) -> Exports:
    settings = SettingsStore(tables.table("settings"), KINDS, lambda: NOW)
    assets, users = RecordTable(tables.table("assets")), RecordTable(tables.table("users"))
    objects = lists_of(Desk(tables))
    return Exports(TicketRepository(tables.table("tickets")), assets, users, settings, Ticking(step), objects.of_rows)


def pages(found: Exports, what: str, form: str, most: int = 100_000) -> list[bytes]:
    contents: list[bytes] = []
    after: str | None = None
    while True:
        page = found.page(what, form, most, after)
        contents.append(page.content)
        after = page.next
        if after is None:
            return contents


def save(tables: Tables, table: str, rows: Sequence[Row]) -> None:
    for partition_key in dict.fromkeys(row.partition_key for row in rows):
        own = ((row, [Save(row)]) for row in rows if row.partition_key == partition_key)
        for together in in_transactions(own):
            tables.table(table).transact(partition_key, [Save(row) for row in together])


def assets_of(number: int, length: int, partition: str = REGION) -> list[Row]:
    return [
        Row(partition, f"i-{one:06}", {"source_id": f"i-{one:06}", "f_name": f"web {one}", "f_notes": "n" * length})
        for one in range(number)
    ]


def tickets_of(scope: str, number: int) -> list[Row]:
    values: dict[str, Value] = {
        "kind": "expiry",
        "status": "open",
        "priority": "high",
        "ticket_type": "expiry",
        "summary": "It expires",
        "scope": scope,
        "object_type": "secret",
        "object_name": "password",
        "version": "1",
        "opened_at": NOW,
        "updated_at": NOW,
    }
    ids = [f"KV-{scope}-{one}" for one in range(number)]
    return [Row(scope, f"ticket:{one}", {**values, "ticket_id": one}) for one in ids]


def objects_of(scope: str, number: int) -> list[Row]:
    """That many secrets, behind the vault itself, which is no object in a vault."""
    dates = [ObjectListed(NOW, NOW, None, NOW + timedelta(days), enabled=True) for days in range(number)]
    names = [(ObjectType.SECRET, f"n{one}") for one in range(number)]
    records = [
        ObjectRecord(ObjectState(*name, listed=listed), row_key=object_row_key(name))
        for name, listed in zip(names, dates, strict=True)
    ]
    vault = ObjectRecord(ObjectState(ObjectType.VAULT, scope), row_key=object_row_key((ObjectType.VAULT, scope)))
    return [Row(scope, one.row_key, pack("record", to_members(one))) for one in (vault, *records)]


def ids_in(content: bytes, form: str) -> list[str]:
    if form == "jsonl":
        return [json.loads(line)["id"] for line in content.decode().splitlines()]
    return [row["id"] for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("length", [3_000, 30_000])
def test_a_page_is_of_ten_megabytes_and_made_with_five_times_its_size(storage: Storage, form: str, length: int) -> None:
    tables = RestTables.from_connection_string(storage.connection_string)
    save(tables, "assets", assets_of(13_000_000 // length, length))
    found = exports_of(tables)
    # What is loaded and connected once is no part of a page.
    found.page("assets", form, 1, None)
    tracemalloc.start()
    first = found.page("assets", form, 100_000, None)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 9_900_000 < len(first.content) <= exports.LARGEST_ANSWER == 10_000_000
    assert most <= 5 * len(first.content)
    whole = first.content + found.page("assets", form, 100_000, first.next).content
    assert ids_in(whole, form) == [f"{REGION}:i-{one:06}" for one in range(13_000_000 // length)]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("what", exports.WHAT)
@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_wherever_a_page_ends_the_next_one_begins(
    monkeypatch: pytest.MonkeyPatch, form: str, what: str, most: int
) -> None:
    tables = MemoryTables()
    for number, scope in enumerate(("acorn", "beech", "cedar")):
        # One without a ticket among them.
        save(tables, "tickets", [Row(SCOPES_PARTITION, scope, {"name": scope}), *tickets_of(scope, number * 3)])
        save(tables, "tickets", objects_of(scope, 4))
        save(tables, "assets", assets_of(4, number, f"aws:{number:012}:eu-west-2"))
        save(tables, "users", assets_of(4, number, f"authrocket:rl_{number}"))
    found = exports_of(tables)
    whole = found.page(what, form, 100_000, None)
    assert whole.next is None
    assert len(set(ids_in(whole.content, form))) == {"tickets": 9}.get(what, 12)
    longest = max(map(len, whole.content.splitlines(keepends=True)))
    for largest in range(longest, 3 * longest, 7):
        monkeypatch.setattr(exports, "LARGEST_ANSWER", largest)
        parts = pages(found, what, form, most)
        assert b"".join(parts) == whole.content
        assert max(map(len, parts)) <= largest


def test_what_comes_and_goes_between_two_pages_moves_nothing() -> None:
    tables = MemoryTables()
    save(tables, "assets", assets_of(9, 1))
    found = exports_of(tables)
    first = found.page("assets", "jsonl", 4, None)
    table = tables.table("assets")
    for gone in ("i-000003", "i-000004", "i-000000"):
        del table._partitions[REGION][gone]
        table._row_keys[REGION].remove(gone)
    save(tables, "assets", [Row(REGION, "i-0000005", {"source_id": "i-0000005"})])
    rest = found.page("assets", "jsonl", 100, first.next)
    names = [one.rpartition(":")[2] for one in ids_in(first.content + rest.content, "jsonl")]
    assert names == [f"i-{one:06}" for one in (0, 1, 2, 3, 5, 6, 7, 8)]


def test_a_page_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_FIRST_ROWS", 3)
    monkeypatch.setattr(exports, "ROWS_PER_PAGE", 3)
    tables = MemoryTables()
    save(tables, "assets", assets_of(20, 1))
    parts = pages(exports_of(tables, step=25), "assets", "jsonl")
    assert [len(ids_in(part, "jsonl")) for part in parts] == [9, 9, 2]


class _Counted(MemoryTables):
    """Counts the pages of every table."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def table(self, name: str) -> Any:
        table, calls = super().table(name), self.calls

        class Counting:
            def __init__(self) -> None:
                self.name = name

            def page(self, where: Where, **how: Any) -> Page:
                calls[name] += 1
                return table.page(where, **how)

            def __getattr__(self, other: str) -> Any:
                return getattr(table, other)

        return Counting()


def test_a_page_of_tickets_costs_the_same_with_ten_vaults_as_with_a_thousand() -> None:
    costs: list[int] = []
    for vaults in (10, 1_000):
        tables = _Counted()
        for number in range(vaults):
            scope = f"vault-{number:04}"
            save(tables, "tickets", [Row(SCOPES_PARTITION, scope, {"name": scope}), *tickets_of(scope, 10)])
        tables.calls.clear()
        assert len(ids_in(exports_of(tables).page("tickets", "jsonl", 50, None).content, "jsonl")) == 50
        costs.append(tables.calls["tickets"])
    assert costs[0] == costs[1] <= 12
