"""Lists: the first page and one deep in the list cost the same, however long the list is."""

from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any

from bench.figures import Curve, Figure, Results
from bench.measuring import Effort, alternately
from bench.table_service import TableProcess
from shared.assets.desk import AssetDesk
from shared.bootstrap.kinds import KINDS
from shared.index.index import Index
from shared.outbox.gathered import GatheredOutbox
from shared.records.desk import RecordFilters
from shared.records.lists import RecordLists
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Create, Operation, Row

GROUP = "Lists"


def measure(effort: Effort, results: Results) -> None:
    costs: dict[str, list[tuple[float, float]]] = {"first page": [], "deep page": []}
    calls: set[str] = set()
    for count in effort.rows:
        with TableProcess() as service:
            tables = RestTables.from_connection_string(service.connection_string)
            _fill(tables, count)
            desk: Any = _desk(tables)
            token = _token_at(desk, count * 4 // 5)

            def page(after: str | None, desk: Any = desk) -> None:
                for _ in range(10):
                    items, _, _ = desk.page(RecordFilters(), size=50, after=after)
                    assert len(items) == 50

            taken = alternately({"first page": partial(page, None), "deep page": partial(page, token)}, effort.rounds)
            for name, seconds in taken.items():
                costs[name].append((count, median(seconds) / 10 * 1e3))
            service.counts()
            page(token)
            calls.add(str({name: number / 10 for name, number in service.counts().items()}))
    smallest = costs["first page"][0][1]
    for name, points in costs.items():
        largest, cost = points[-1]
        results.add(
            Figure(
                GROUP,
                f"{name} of 50 among {int(largest):,} rows",
                cost / smallest,
                "×",
                f"the first page among {effort.rows[0]:,} rows ({smallest:.2f} ms)",
                f"{cost:.2f} ms",
                budget=1.15,
                note=f"calls a page: {', '.join(sorted(calls))}",
            )
        )
    results.curves.append(Curve("lists", "A page of 50 assets", "rows in the list", "ms CPU a page", costs))


def _desk(tables: RestTables) -> AssetDesk:
    records, outbox = RecordTable(tables.table("assets")), GatheredOutbox(tables, {}, _now)
    lists = RecordLists("assets", records, Index(tables.table("index")), outbox, _now)
    return AssetDesk(records, lists, _settings(tables), _never)


def _fill(tables: RestTables, count: int) -> None:
    table = tables.table("assets")
    partition_key = "aws:111122223333:eu-west-2"
    for start in range(0, count, 100):
        batch: list[Operation] = [
            Create(
                Row(partition_key, f"i-{number:017x}", {"active": True, "f_name": f"web-{number}", "type": "server"})
            )
            for number in range(start, min(count, start + 100))
        ]
        table.transact(partition_key, batch)


def _token_at(desk: Any, deep: int) -> str | None:
    """The token of the page that begins behind that many rows."""
    token: str | None = None
    for _ in range(deep // 200):
        _, token, _ = desk.page(RecordFilters(), size=200, after=token)
    return token


def _settings(tables: RestTables) -> SettingsStore:
    return SettingsStore(tables.table("settings"), KINDS, _never)


def _now() -> datetime:
    return datetime(2026, 12, 1, tzinfo=UTC)


def _never() -> Any:
    raise AssertionError("a list needs no clock")
