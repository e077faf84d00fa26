"""The dashboard's summary: counted over narrow columns, then cached, so that showing it is one read."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.imports.plan.model import Action
from shared.imports.runs.model import Mode, Run
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.statuses import ImportStatuses
from shared.index.index import Index, Stream
from shared.overview.expiries import expiries
from shared.overview.record_counts import CACHED_FOR, OVERVIEW, RecordCounts
from shared.storage.rows import Row, Save, pack, unpack
from shared.storage.tables import ROWS_PER_PAGE, Table
from shared.tickets.domain.model import Priority
from shared.tickets.store.index_rows import OPEN, SHARDS, list_partition

_ROW = "summary"
_RECENT_RUNS = 200
_WRITING = (Action.CREATE, Action.UPDATE, Action.DEACTIVATE)
# Upper bounds in days, exclusive; what is beyond the last is `later`.
_BANDS = ((0, "expired"), (7, "within_7_days"), (14, "within_14_days"), (30, "within_30_days"), (90, "within_90_days"))


class DeskSummary:
    """Counts open tickets, objects, runs, assets and users. `summary` answers from a row that is at most 5 min old."""

    def __init__(
        self,
        index: Index,
        assets: Table,
        users: Table,
        runs: RunRepository,
        statuses: ImportStatuses,
        cache: Table,
        now: Callable[[], datetime],
    ) -> None:
        self._index = index
        self._assets = RecordCounts("assets", assets, ("type", "site"), cache, now)
        self._users = RecordCounts("users", users, ("site",), cache, now)
        self._runs = runs
        self._statuses = statuses
        self._cache = cache
        self._now = now

    def summary(self, *, fresh: bool = False) -> Mapping[str, Any]:
        """The summary with `as_of`; counted anew when `fresh` is asked for or the last count is too old."""
        now = self._now()
        row = None if fresh else self._cache.find(OVERVIEW, _ROW)
        counted_at = row.time("as_of") if row is not None else None
        if row is not None and counted_at is not None and now - counted_at < CACHED_FOR:
            found: Mapping[str, Any] = unpack(row, "summary")
            return {"as_of": counted_at, **found}
        recent = self._runs.page("", "", _RECENT_RUNS, None)[0]
        imported_at = max((run.finished_at for run in recent if run.finished_at and _wrote(run)), default=None)
        counted = {
            "tickets": self._open_tickets(),
            "objects": self._objects(now),
            "runs": self._last_runs(recent),
            "assets": self._assets.counts(imported_at, fresh=fresh),
            "users": self._users.counts(imported_at, fresh=fresh),
        }
        self._cache.transact(OVERVIEW, [Save(Row(OVERVIEW, _ROW, {"as_of": now, **pack("summary", counted)}))])
        return {"as_of": now, **counted}

    def _open_tickets(self) -> dict[str, Any]:
        total: Counter[str] = Counter()
        scopes: dict[str, Counter[str]] = {}
        for row in self._index.merged(
            [Stream(list_partition(OPEN, by), " ", "\uffff") for by in SHARDS], ROWS_PER_PAGE
        ):
            scopes.setdefault(row.text("scope"), Counter())[row.text("priority")] += 1
        by_scope: list[dict[str, Any]] = []
        for scope, found in scopes.items():
            total.update(found)
            by_scope.append({"scope": scope, "open": found.total(), "by_priority": _by_priority(found)})
        by_scope.sort(key=lambda one: (-one["open"], one["scope"]))
        return {"open": total.total(), "by_priority": _by_priority(total), "by_scope": by_scope}

    def _objects(self, now: datetime) -> dict[str, int]:
        bands = dict.fromkeys([*(name for _, name in _BANDS), "later", "without_expiry_date"], 0)
        for expiry in expiries(self._index):
            if expiry.expires_at is None:
                bands["without_expiry_date"] += 1
                continue
            left = expiry.expires_at - now
            bands[next((name for days, name in _BANDS if left < timedelta(days=days)), "later")] += 1
        return bands

    def _last_runs(self, recent: Sequence[Run]) -> list[dict[str, Any]]:
        scheduled = {(one.kind, one.name): one for one in self._statuses.all()}
        newest: dict[tuple[str, str], Run] = {}
        for run in recent:
            newest.setdefault((run.kind, run.name), run)
        shown: list[dict[str, Any]] = []
        for key in sorted({*scheduled, *newest}):
            last, status = newest.get(key), scheduled.get(key)
            shown.append(
                {
                    "kind": key[0],
                    "name": key[1],
                    "run": None if last is None else last.id,
                    "mode": None if last is None else str(last.mode),
                    "status": None if last is None else str(last.state),
                    "started_at": _text(None if last is None else last.started_at),
                    "finished_at": _text(None if last is None else last.finished_at),
                    "last_success_at": _text(None if status is None else status.last_success_at),
                    "withheld": 0 if status is None or status.withheld is None else status.withheld.count,
                    "reason": "" if status is None else status.reason,
                    "warning": "" if status is None else status.warning,
                }
            )
        return shown


def _wrote(run: Run) -> bool:
    return run.mode is Mode.IMPORT and any(run.counts.get(str(action)) for action in _WRITING)


def _by_priority(found: Mapping[str, int]) -> dict[str, int]:
    return {str(priority): found.get(priority, 0) for priority in reversed(Priority)}


def _text(moment: datetime | None) -> str | None:
    # Kept as JSON in a row, so that a cached summary is answered as it was.
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
