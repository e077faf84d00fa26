"""The vaults that the desk knows, a row each: who reads them, when they were last swept, and what came of it.

They stand in lanes, a partition of the table `vaults` each: what belongs together is one transaction, and no partition
is asked for more than it may answer, nor one counter written by all workers. In a lane `vault:<name>` is a vault;
`due:<last try>:<name>` puts those that are swept in order, the oldest first; `refused:<name>` stands beside a vault
whose last sweep failed; `count:<sweep>` counts what a sweep has done, and `report:<sweep>:<what>:<name>` says what it
found remarkable.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby, islice

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, ConflictError, TryLaterError
from shared.reasons import Reason
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.rows import OPERATIONS_PER_TRANSACTION, Delete, Operation, Row, Save, Value
from shared.storage.tables import Condition, Table, find_rows, partition, row_key_prefix, scan
from shared.text import ascending
from shared.tickets.configuration import Configuration
from shared.tickets.inbound.vault_rows import (
    LANES,
    KnownVault,
    SweepCount,
    SweptVault,
    VaultReport,
    changed_vault,
    count_key,
    counted_vault,
    kept_vault,
    known_vault,
    lane_partition,
    partition_of,
    report_row,
    swept_vault,
    to_report,
    to_vault,
)

# A counter of a lane is written by all workers: a try takes milliseconds.
_TRIES = 40
# A worker remembers so many vaults.
_REMEMBERED = 20_000
# So many rows of a lane are read together.
_BESIDE = 250
_TAGS_HELD_FOR = timedelta(minutes=5)


class SeenVaults:
    """Has a row of each vault that sent an event and that no entry of the settings names, so that it is swept.

    A worker looks at a vault once an hour: the events of a vault cost no more than that.
    """

    def __init__(self, vaults: "KnownVaults", now: Callable[[], datetime]) -> None:
        self._vaults = vaults
        self._now = now
        self._hours: dict[str, datetime] = {}

    def note(self, vault: str, source: str, configuration: Configuration) -> None:
        """Called when the sender may report the vault. `source` is the vault's resource id."""
        hour = self._now().replace(minute=0, second=0, microsecond=0)
        entry = configuration.entry(vault, source)
        if entry is None or self._hours.get(vault) == hour:
            return
        self._vaults.keep([replace(known_vault(vault, entry, self._now()), last_event_at=hour)])
        if len(self._hours) >= _REMEMBERED:
            self._hours.clear()
        self._hours[vault] = hour


class KnownTags:
    """The tags that vaults were listed with. A worker looks at a vault once in five minutes."""

    def __init__(self, vaults: "KnownVaults", now: Callable[[], datetime]) -> None:
        self._vaults = vaults
        self._now = now
        self._read: dict[str, tuple[datetime, Mapping[str, str]]] = {}

    def of(self, source: str) -> Mapping[str, str]:
        """Of the vault with that resource id; none when it was not listed as that."""
        now = self._now()
        read = self._read.get(source)
        if read is None or now - read[0] >= _TAGS_HELD_FOR:
            known = self._vaults.find(source.rpartition("/")[2])
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            read = self._read[source] = (
                now,
                known.listed_tags if known is not None and known.resource_id == source else {},
            )
        return read[1]


class KnownVaults:
    """The rows of all lanes."""

    def __init__(self, table: Table) -> None:
        self.table = table

    # Reading

    def find(self, name: str) -> KnownVault | None:
        row = self.table.find(partition_of(name), f"vault:{name}")
        return None if row is None else to_vault(row)

    def find_all(self, names: Sequence[str]) -> dict[str, KnownVault]:
        found: dict[str, KnownVault] = {}
        for lane, those in groupby(sorted(names, key=partition_of), key=partition_of):
            rows = find_rows(self.table, lane, [f"vault:{name}" for name in those])
            found |= {row.text("vault"): to_vault(row) for row in rows.values()}
        return {name: found[name] for name in names if name in found}

    def beside(self, names: Collection[str]) -> dict[str, KnownVault]:
        """Those of the names that are known, for a page of other things: a piece of each lane, whether a name is in it
        or not, so that it costs the same with few vaults; and one by one what stands too far apart."""
        if len(names) == 1:
            return {name: known for name in names if (known := self.find(name)) is not None}
        between = (Condition("RowKey", "ge", f"vault:{min(names)}"), Condition("RowKey", "le", f"vault:{max(names)}"))
        found: dict[str, KnownVault] = {}
        left: set[str] = set()
        for lane in map(lane_partition, range(LANES)):
            page = self.table.page([partition(lane), *between], size=_BESIDE)
            found |= {row.text("vault"): to_vault(row) for row in page.rows}
            left |= {name for name in names if page.next is not None and partition_of(name) == lane}
        found |= {name: known for name in sorted(left - found.keys()) if (known := self.find(name)) is not None}
        return {name: found[name] for name in names if name in found}

    def page(self, size: int, after: str | None) -> tuple[list[KnownVault], str | None]:
        """By name."""
        rows, following = self._page("vault:", size, after)
        return [to_vault(row) for row in rows], following

    def due(self, lane: int, before: datetime, size: int, after: str = "") -> list[tuple[str, str]]:
        """Row key and name of those that were not tried since `before`, longest ago first; `after` is a row key."""
        where = [partition(lane_partition(lane)), Condition("RowKey", "gt", after or "due:")]
        where.append(Condition("RowKey", "lt", f"due:{ascending(before)}"))
        rows = islice(scan(self.table, where, select=["vault"], size=size), size)
        return [(row.row_key, row.text("vault")) for row in rows]

    def some_due(self, before: datetime, size: int) -> list[str]:
        """A few vaults that no sweep has come to since `before`: one page a lane, however many vaults there are."""
        return [name for lane in range(LANES) for _, name in self.due(lane, before, size)][:size]

    def overdue(self, before: datetime, size: int) -> list[str]:
        """As `some_due`, without those that were first seen after `before`, the one that waited longest first."""
        seen = Condition("first_seen_at", "lt", before)
        rows = self._merged("due:", f"due:{ascending(before)}", size, seen)
        return [row.text("vault") for row in islice(rows, size)]

    def some_refused(self, size: int, after: str = "") -> list[VaultReport]:
        """A few vaults whose last sweep failed, by name; `after` is one."""
        rows = self._merged(f"refused:{after}", row_key_prefix("refused:")[1].value, size)
        return [to_report(row) for row in islice(rows, size)]

    def count(self, sweep_id: str) -> SweepCount:
        found = [self.table.find(lane_partition(lane), count_key(sweep_id)) for lane in range(LANES)]
        rows = [row for row in found if row is not None]
        moments = [moment for row in rows if (moment := row.time("last_at")) is not None]
        return SweepCount(
            sum(row.number("done") for row in rows),
            sum(row.number("failed") for row in rows),
            max(moments, default=None),
        )

    def report(self, sweep_id: str, size: int, after: str | None) -> tuple[list[VaultReport], str | None]:
        rows, following = self._page(f"report:{sweep_id}:", size, after)
        return [to_report(row) for row in rows], following

    # Writing

    def keep(self, vaults: Sequence[KnownVault], told_in: str = "") -> dict[str, KnownVault]:
        """Have rows of these, by name: new ones are added, and what the settings say of known ones is brought up to
        date. Unchanged rows are not written. Those that were known are answered as they were.

        `told_in` is the sweep whose report tells of the new ones.
        """
        wanted = {vault.name: vault for vault in vaults}
        if not wanted:
            return {}
        for _ in range(_TRIES):
            known = self.find_all(list(wanted))
            changes = {name: kept_vault(known.get(name), vault, told_in) for name, vault in wanted.items()}
            # Another worker keeps the same vaults: look again what is left to do.
            with suppress(ConflictError):
                self._transact(changes)
                return known
        raise _contended()

    def tell(self, sweep_id: str, report: VaultReport) -> None:
        """Have the sweep report it, once however often it is said."""
        self._transact({report.vault: [Save(report_row(sweep_id, report))]})

    def change(self, name: str, changed: Callable[[KnownVault], KnownVault], *beside: Row) -> None:
        """Write the vault as `changed` makes it, with its order and the rows beside it. One that is not there stays
        so."""
        for _ in range(_TRIES):
            known = self.find(name)
            if known is None or (after := changed(known)) == known:
                return
            with suppress(ChangedMeanwhileError, AlreadyExistsError):
                self._transact({name: [*changed_vault(known, after), *map(Save, beside)]})
                return
        raise _contended()

    def finish(self, sweep_id: str, swept: SweptVault, read: KnownVault | None = None) -> None:
        """Store what a sweep of a vault came to, and count it: once, however often it is said. `read` is the vault as
        the caller read it."""
        for _ in range(_TRIES):
            known, read = read or self.find(swept.vault), None
            if known is None or sweep_id in known.sweeps:
                return
            count = self.table.find(partition_of(swept.vault), count_key(sweep_id))
            with suppress(ChangedMeanwhileError, AlreadyExistsError):
                changed = changed_vault(known, swept_vault(known, sweep_id, swept))
                self._transact({swept.vault: [*changed, *counted_vault(sweep_id, swept, count)]})
                return
        raise _contended()

    def forget_sweep(self, sweep_id: str) -> None:
        """Remove what was counted and reported of an old sweep."""
        for lane in map(lane_partition, range(LANES)):
            for prefix in (f"report:{sweep_id}:", count_key(sweep_id)):
                rows = scan(self.table, [partition(lane), *row_key_prefix(prefix)], select=["vault"])
                # Another worker removes them too.
                with suppress(ChangedMeanwhileError):
                    self._transact_in(lane, [[Delete(row.row_key)] for row in rows])

    # Within

    def _page(self, prefix: str, size: int, after: str | None) -> tuple[list[Row], str | None]:
        """Rows of all lanes in the order of their keys, and the cursor of what follows."""
        begin, end = row_key_prefix(prefix)
        first = str(begin.value) if after is None else decode_cursor(after, str)[0]
        rows = list(islice(self._merged(max(first, prefix), end.value, size), size + 1))
        return rows[:size], encode_cursor(rows[size - 1].row_key) if len(rows) > size else None

    def _merged(self, after: str, before: Value, size: int, *others: Condition) -> Iterator[Row]:
        """The rows between two keys, of all lanes, by key; about `size` are asked for."""
        where = [Condition("RowKey", "gt", after), Condition("RowKey", "lt", before), *others]
        # A lane rarely has more of them than twice its share.
        piece = min(1_000, size * 2 // LANES + 10)
        lanes = [scan(self.table, [partition(lane_partition(lane)), *where], size=piece) for lane in range(LANES)]
        return heapq.merge(*lanes, key=lambda row: row.row_key)

    def _transact(self, changes: Mapping[str, Sequence[Operation]]) -> None:
        """The changes of each vault stay together."""
        for lane, those in groupby(sorted(changes, key=partition_of), key=partition_of):
            self._transact_in(lane, [changes[name] for name in those])

    def _transact_in(self, lane: str, changes: Iterable[Sequence[Operation]]) -> None:
        batch: list[Operation] = []
        for operations in [*changes, None]:
            if operations is None or len(batch) + len(operations) > OPERATIONS_PER_TRANSACTION:
                if batch:
                    self.table.transact(lane, batch)
                batch = []
            batch += operations or []


def _contended() -> TryLaterError:
    return TryLaterError(Reason.CONTENDED, "Others are writing to the same vault all the time.", remedy="Try again.")
