"""The dashboard's summary: a few rows of counts, and the newest runs. It counts nothing itself."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from shared.counts.cells import ACTIVE, INACTIVE, NEVER, Counts
from shared.counts.levels import CountsLevels
from shared.counts.trees import EXPIRES, PRIORITY, SCOPE, SITE, STATUS, TYPE, Node
from shared.imports.runs.model import Run
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.statuses import ImportStatuses
from shared.storage.names import ASSETS_TABLE, TICKETS_TABLE, USERS_TABLE
from shared.tickets.domain.model import Priority
from shared.tickets.store.index_rows import scope_of

_TABLES = (TICKETS_TABLE, ASSETS_TABLE, USERS_TABLE)
_RECENT_RUNS = 200
# Upper bounds in days; what is beyond the last is `later`.
_BANDS = ((-1, "expired"), (7, "within_7_days"), (14, "within_14_days"), (30, "within_30_days"), (90, "within_90_days"))


class DeskSummary:
    """Shows open tickets, objects, runs, assets and users: in as many calls however many there are."""

    def __init__(
        self,
        levels: CountsLevels,
        runs: RunRepository,
        statuses: ImportStatuses,
        now: Callable[[], datetime],
    ) -> None:
        self._levels = levels
        self._runs = runs
        self._statuses = statuses
        self._now = now

    def summary(self, sites: Collection[str] | None = None) -> Mapping[str, Any]:
        """The summary, of some sites or of all, with `as_of`: None until counts came up for the first time."""
        as_of, found = self._levels.desk()
        if sites is not None:
            found = {table: Node(table).sum_of([self._levels.of_sites(table, sites)]) for table in _TABLES}
        tickets, assets, users = (found.get(table, {}) for table in _TABLES)
        return {
            "as_of": as_of,
            "tickets": _tickets(tickets, by_scope=sites is None),
            "objects": _objects(tickets, self._now().date()),
            "runs": self._last_runs() if sites is None else None,
            "assets": {"by_status": _by_status(assets), "by_type": _by(TYPE, assets), "by_site": _by(SITE, assets)},
            "users": {"by_status": _by_status(users), "by_site": _by(SITE, users)},
        }

    def _last_runs(self) -> list[dict[str, Any]]:
        scheduled = {(one.kind, one.name): one for one in self._statuses.all()}
        newest: dict[tuple[str, str], Run] = {}
        for run in self._runs.page("", "", _RECENT_RUNS, None)[0]:
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
                    "started_at": None if last is None else last.started_at,
                    "finished_at": None if last is None else last.finished_at,
                    "last_success_at": None if status is None else status.last_success_at,
                    "withheld": 0 if status is None or status.withheld is None else status.withheld.count,
                    "reason": "" if status is None else status.reason,
                    "warning": "" if status is None else status.warning,
                }
            )
        return shown


def _tickets(counts: Counts, *, by_scope: bool) -> dict[str, Any]:
    found = {cell[1]: count for cell, count in counts.items() if cell[0] == PRIORITY}
    scopes: dict[str, Counter[str]] = {}
    for cell, count in counts.items():
        if cell[0] == SCOPE:
            scopes.setdefault(scope_of(cell[1]), Counter())[cell[2]] += count
    shown: list[dict[str, Any]] = [
        {"scope": scope, "open": one.total(), "by_priority": _by_priority(one)} for scope, one in scopes.items()
    ]
    shown.sort(key=lambda one: (-one["open"], one["scope"]))
    return {
        "open": sum(found.values()),
        "by_priority": _by_priority(found),
        "by_scope": shown if by_scope else None,
    }


def _objects(counts: Counts, today: date) -> dict[str, int]:
    bands = dict.fromkeys([*(name for _, name in _BANDS), "later", "without_expiry_date"], 0)
    for cell, count in counts.items():
        if cell[0] == EXPIRES:
            bands["without_expiry_date" if cell[1] == NEVER else _band(date.fromisoformat(cell[1]), today)] += count
    return bands


def _band(day: date, today: date) -> str:
    left = (day - today).days
    return next((name for days, name in _BANDS if left <= days), "later")


def _by_status(counts: Counts) -> dict[str, int]:
    return {status: counts.get((STATUS, status), 0) for status in (ACTIVE, INACTIVE)}


def _by(column: str, counts: Counts) -> Sequence[dict[str, Any]]:
    found: Iterable[tuple[str, int]] = ((cell[1], count) for cell, count in counts.items() if cell[0] == column)
    return [{column: name or None, "count": count} for name, count in sorted(found, key=lambda one: (-one[1], one[0]))]


def _by_priority(found: Mapping[str, int]) -> dict[str, int]:
    return {str(priority): found.get(priority, 0) for priority in reversed(Priority)}
