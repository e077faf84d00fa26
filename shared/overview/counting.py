"""The dashboard's summary: counted over narrow columns, then remembered, so that showing it is one read."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.imports.history import HISTORY
from shared.imports.keeping import RunKeeper
from shared.overview.expiries import expiries
from shared.runs.model import Run
from shared.runs.repository import RunRepository
from shared.storage.documents import pack, unpack
from shared.storage.rows import Condition, Row, Save, partition, row_key_prefix
from shared.storage.tables import Table, scan
from shared.tickets.model import Priority
from shared.tickets.repository import OPEN, TicketRepository

REMEMBERED_FOR = timedelta(minutes=5)
_PARTITION = "overview"
_ROW = "summary"
_RECENT_RUNS = 200
# Upper bounds in days, exclusive; what is beyond the last is `later`.
_BANDS = ((0, "expired"), (7, "within_7_days"), (14, "within_14_days"), (30, "within_30_days"), (90, "within_90_days"))


class Overview:
    """Counts open tickets, objects, runs, assets and users. `summary` answers from a row that is at most 5 min old."""

    def __init__(
        self,
        tickets: TicketRepository,
        assets: Table,
        users: Table,
        runs: RunRepository,
        keeper: RunKeeper,
        remembered: Table,
        now: Callable[[], datetime],
    ) -> None:
        self._tickets = tickets
        self._assets = assets
        self._users = users
        self._runs = runs
        self._keeper = keeper
        self._remembered = remembered
        self._now = now

    def summary(self, *, fresh: bool = False) -> Mapping[str, Any]:
        """The summary with `as_of`; counted anew when `fresh` is asked for or the last count is too old."""
        now = self._now()
        row = None if fresh else self._remembered.find(_PARTITION, _ROW)
        counted_at = row.time("as_of") if row is not None else None
        if row is not None and counted_at is not None and now - counted_at < REMEMBERED_FOR:
            found: Mapping[str, Any] = unpack(row, "summary")
            return {"as_of": counted_at, **found}
        counted = {
            "tickets": self._open_tickets(),
            "objects": self._objects(now),
            "runs": self._last_runs(),
            "assets": _records(self._assets, ("type", "site")),
            "users": _records(self._users, ("site",)),
        }
        self._remembered.transact(_PARTITION, [Save(Row(_PARTITION, _ROW, {"as_of": now, **pack("summary", counted)}))])
        return {"as_of": now, **counted}

    def _open_tickets(self) -> dict[str, Any]:
        total: Counter[str] = Counter()
        by_vault: list[dict[str, Any]] = []
        for vault in self._tickets.vaults():
            rows = scan(
                self._tickets.table, [partition(vault), *row_key_prefix(f"{OPEN}:")], select=("priority", "status")
            )
            found = Counter(row.text("priority") for row in rows)
            total.update(found)
            if found:
                by_vault.append({"vault": vault, "open": found.total(), "by_priority": _by_priority(found)})
        by_vault.sort(key=lambda one: (-one["open"], one["vault"]))
        return {"open": total.total(), "by_priority": _by_priority(total), "by_vault": by_vault}

    def _objects(self, now: datetime) -> dict[str, int]:
        bands = dict.fromkeys([*(name for _, name in _BANDS), "later", "without_expiry_date"], 0)
        for expiry in expiries(self._tickets):
            if expiry.expires_at is None:
                bands["without_expiry_date"] += 1
                continue
            left = expiry.expires_at - now
            bands[next((name for days, name in _BANDS if left < timedelta(days=days)), "later")] += 1
        return bands

    def _last_runs(self) -> list[dict[str, Any]]:
        scheduled = {(one.kind, one.name): one for one in self._keeper.freshness()}
        newest: dict[tuple[str, str], Run] = {}
        for run in self._runs.page("", "", _RECENT_RUNS, None)[0]:
            newest.setdefault((run.kind, run.name), run)
        shown: list[dict[str, Any]] = []
        for key in sorted({*scheduled, *newest}):
            last, freshness = newest.get(key), scheduled.get(key)
            shown.append(
                {
                    "kind": key[0],
                    "name": key[1],
                    "run": None if last is None else last.id,
                    "mode": None if last is None else str(last.mode),
                    "status": None if last is None else str(last.state),
                    "started_at": _text(None if last is None else last.started_at),
                    "finished_at": _text(None if last is None else last.finished_at),
                    "last_success_at": _text(None if freshness is None else freshness.last_success_at),
                    "warning": "" if freshness is None else freshness.warning,
                }
            )
        return shown


def _records(table: Table, columns: Sequence[str]) -> dict[str, Any]:
    counted: dict[str, Counter[str]] = {column: Counter() for column in columns}
    states: Counter[str] = Counter(active=0, inactive=0)
    where = [Condition("RowKey", "lt", HISTORY)]
    for row in scan(table, where, select=(*columns, "active", "link")):
        if row.values.get("link"):
            continue
        active = bool(row.values.get("active", True))
        states["active" if active else "inactive"] += 1
        if active:
            for column in columns:
                counted[column][row.text(column)] += 1
    by_column = {f"by_{column}": _most_first(column, found.items()) for column, found in counted.items()}
    return {"by_status": dict(states), **by_column}


def _most_first(column: str, found: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{column: name or None, "count": count} for name, count in sorted(found, key=lambda one: (-one[1], one[0]))]


def _by_priority(found: Mapping[str, int]) -> dict[str, int]:
    return {str(priority): found.get(priority, 0) for priority in reversed(Priority)}


def _text(moment: datetime | None) -> str | None:
    # Kept as JSON in a row, so that what is remembered is answered as it was.
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
