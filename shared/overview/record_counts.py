"""How many assets or users there are, by type, site and status: counted row by row, and cached.

Counting is the one way that cannot drift. It reads narrow columns of every record: with 100,000 records 100 calls and
about a second of CPU. So large tables are not counted again while nothing much can have changed.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.records.history import HISTORY
from shared.storage.rows import Row, Save, pack, unpack
from shared.storage.tables import Condition, Table, scan

OVERVIEW = "overview"
CACHED_FOR = timedelta(minutes=5)
# Of so many records the counts are kept until an import wrote something, or for this long: people edit few by hand.
MANY = 10_000
MANY_CACHED_FOR = timedelta(hours=1)


class RecordCounts:
    """The counts of one table; `columns` are those to count by."""

    def __init__(
        self, name: str, records: Table, columns: Sequence[str], cache: Table, now: Callable[[], datetime]
    ) -> None:
        self._row_key = f"records:{name}"
        self._records = records
        self._columns = columns
        self._cache = cache
        self._now = now

    def counts(self, imported_at: datetime | None, *, fresh: bool) -> Mapping[str, Any]:
        """The counts with `as_of` as text. `imported_at` is when an import last ended that wrote something."""
        now = self._now()
        row = None if fresh else self._cache.find(OVERVIEW, self._row_key)
        if row is not None and self._still_good(row, now, imported_at):
            found: Mapping[str, Any] = unpack(row, "counts")
            return found
        # The moment before the first row is read: whatever is written from now on may be missing.
        counted = {"as_of": now.isoformat().replace("+00:00", "Z"), **self._count()}
        values = {"as_of": now, "records": sum(counted["by_status"].values()), **pack("counts", counted)}
        self._cache.transact(OVERVIEW, [Save(Row(OVERVIEW, self._row_key, values))])
        return counted

    def _still_good(self, row: Row, now: datetime, imported_at: datetime | None) -> bool:
        counted_at = row.time("as_of")
        if counted_at is None:
            return False
        if now - counted_at < CACHED_FOR:
            return True
        imported = imported_at is not None and imported_at >= counted_at
        return row.number("records") >= MANY and not imported and now - counted_at < MANY_CACHED_FOR

    def _count(self) -> dict[str, Any]:
        counted: dict[str, Counter[str]] = {column: Counter() for column in self._columns}
        states: Counter[str] = Counter(active=0, inactive=0)
        where = [Condition("RowKey", "lt", HISTORY)]
        for row in scan(self._records, where, select=(*self._columns, "active", "alias_of")):
            if row.values.get("alias_of"):
                continue
            active = bool(row.values.get("active", True))
            states["active" if active else "inactive"] += 1
            if active:
                for column in self._columns:
                    counted[column][row.text(column)] += 1
        by_column = {f"by_{column}": _most_first(column, found.items()) for column, found in counted.items()}
        return {"by_status": dict(states), **by_column}


def _most_first(column: str, found: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{column: name or None, "count": count} for name, count in sorted(found, key=lambda one: (-one[1], one[0]))]
