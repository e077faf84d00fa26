"""The vaults that the desk knows, a row each: who reads them, when they were last swept, and what came of it.

All rows stand in one partition of the table `vaults`, so that what belongs together is one transaction:
`vault:<name>` is the vault; `due:<lane>:<last try>:<name>` puts those that are swept in order, the oldest first;
`refused:<name>` stands beside a vault whose last sweep failed; `count:<sweep>:<lane>` counts what a sweep has done, and
`report:<sweep>:<what>:<name>` says what it found remarkable. Lanes keep workers from writing to one counter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, ConflictError, TryLaterError
from shared.reasons import Reason
from shared.storage.rows import OPERATIONS_PER_TRANSACTION, Delete, Operation, Row, Save
from shared.storage.tables import Condition, Table, partition, row_key_prefix, scan
from shared.text import ascending
from shared.tickets.configuration import Configuration
from shared.tickets.inbound.vault_rows import (
    LANES,
    VAULTS_PARTITION,
    KnownVault,
    SweepCount,
    SweptVault,
    VaultReport,
    changed_vault,
    count_key,
    counted_vault,
    kept_vault,
    known_vault,
    report_row,
    swept_vault,
    to_report,
    to_vault,
)

# A counter of a lane is written by all workers: a try takes milliseconds.
_TRIES = 40
_ASKED_ONE_BY_ONE = 100
# So many rows are read for each name that is looked for, where most names between two of them are looked for too.
_ROWS_A_NAME = 4
# A worker remembers so many vaults.
_REMEMBERED = 20_000
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
    """The rows of the partition."""

    def __init__(self, table: Table) -> None:
        self.table = table

    # Reading

    def find(self, name: str) -> KnownVault | None:
        row = self.table.find(VAULTS_PARTITION, f"vault:{name}")
        return None if row is None else to_vault(row)

    def find_all(self, names: Sequence[str]) -> dict[str, KnownVault]:
        """Many stand close together, as a list names them. Between a few there may be all others: those are asked for
        one by one."""
        found: dict[str, KnownVault] = {}
        left = sorted(names)
        if len(left) > _ASKED_ONE_BY_ONE:
            where = [partition(VAULTS_PARTITION), Condition("RowKey", "ge", f"vault:{left[0]}")]
            where.append(Condition("RowKey", "le", f"vault:{left[-1]}"))
            most = len(left) * _ROWS_A_NAME
            found = {row.text("vault"): to_vault(row) for row in islice(scan(self.table, where, size=most), most)}
            left = [name for name in left if name > max(found)] if len(found) == most else []
        found |= {name: known for name in left if (known := self.find(name)) is not None}
        return {name: found[name] for name in names if name in found}

    def page(self, size: int, after: str | None) -> tuple[list[KnownVault], str | None]:
        """By name."""
        page = self.table.page([partition(VAULTS_PARTITION), *row_key_prefix("vault:")], size=size, after=after)
        return [to_vault(row) for row in page.rows], page.next

    def due(self, lane: int, before: datetime, size: int, after: str = "") -> list[tuple[str, str]]:
        """Row key and name of those that were not tried since `before`, longest ago first; `after` is a row key."""
        beginning, end = f"due:{lane}:", f"due:{lane}:{ascending(before)}"
        where = [partition(VAULTS_PARTITION), Condition("RowKey", "gt", after or beginning)]
        where.append(Condition("RowKey", "lt", end))
        rows = islice(scan(self.table, where, select=["vault"], size=size), size)
        return [(row.row_key, row.text("vault")) for row in rows]

    def some_due(self, before: datetime, size: int) -> list[str]:
        """A few vaults that no sweep has come to since `before`: one page a lane, however many vaults there are."""
        return [name for lane in range(LANES) for _, name in self.due(lane, before, size)][:size]

    def overdue(self, before: datetime, size: int) -> list[str]:
        """As `some_due`, without those that were first seen after `before`."""
        names: list[str] = []
        for lane in range(LANES):
            where = [partition(VAULTS_PARTITION), Condition("RowKey", "ge", f"due:{lane}:")]
            where.append(Condition("RowKey", "lt", f"due:{lane}:{ascending(before)}"))
            where.append(Condition("first_seen_at", "lt", before))
            names += [row.text("vault") for row in islice(scan(self.table, where, size=size), size)]
        return names[:size]

    def some_refused(self, size: int, after: str = "") -> list[VaultReport]:
        """A few vaults whose last sweep failed, by name; `after` is one."""
        prefix = row_key_prefix("refused:")
        where = [partition(VAULTS_PARTITION), Condition("RowKey", "gt", f"refused:{after}"), prefix[1]]
        return [to_report(row) for row in islice(scan(self.table, where, size=size), size)]

    def count(self, sweep_id: str) -> SweepCount:
        rows = self.table.page([partition(VAULTS_PARTITION), *row_key_prefix(f"count:{sweep_id}:")]).rows
        moments = [moment for row in rows if (moment := row.time("last_at")) is not None]
        return SweepCount(
            sum(row.number("done") for row in rows),
            sum(row.number("failed") for row in rows),
            max(moments, default=None),
        )

    def report(self, sweep_id: str, size: int, after: str | None) -> tuple[list[VaultReport], str | None]:
        where = [partition(VAULTS_PARTITION), *row_key_prefix(f"report:{sweep_id}:")]
        page = self.table.page(where, size=size, after=after)
        return [to_report(row) for row in page.rows], page.next

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
            changes = [
                operations
                for name, vault in wanted.items()
                if (operations := kept_vault(known.get(name), vault, told_in))
            ]
            # Another worker keeps the same vaults: look again what is left to do.
            with suppress(ConflictError):
                self._transact(changes)
                return known
        raise _contended()

    def tell(self, sweep_id: str, report: VaultReport) -> None:
        """Have the sweep report it, once however often it is said."""
        self._transact([[Save(report_row(sweep_id, report))]])

    def change(self, name: str, changed: Callable[[KnownVault], KnownVault], *beside: Row) -> None:
        """Write the vault as `changed` makes it, with its order and the rows beside it. One that is not there stays
        so."""
        for _ in range(_TRIES):
            known = self.find(name)
            if known is None or (after := changed(known)) == known:
                return
            with suppress(ChangedMeanwhileError, AlreadyExistsError):
                self._transact([[*changed_vault(known, after), *map(Save, beside)]])
                return
        raise _contended()

    def finish(self, sweep_id: str, swept: SweptVault) -> None:
        """Store what a sweep of a vault came to, and count it: once, however often it is said."""
        for _ in range(_TRIES):
            known = self.find(swept.vault)
            if known is None or sweep_id in known.sweeps:
                return
            count = self.table.find(VAULTS_PARTITION, count_key(sweep_id, swept.vault))
            with suppress(ChangedMeanwhileError, AlreadyExistsError):
                self._transact(
                    [
                        [
                            *changed_vault(known, swept_vault(known, sweep_id, swept)),
                            *counted_vault(sweep_id, swept, count),
                        ]
                    ]
                )
                return
        raise _contended()

    def forget_sweep(self, sweep_id: str) -> None:
        """Remove what was counted and reported of an old sweep."""
        for prefix in (f"report:{sweep_id}:", f"count:{sweep_id}:"):
            where = [partition(VAULTS_PARTITION), *row_key_prefix(prefix)]
            rows = scan(self.table, where, select=["vault"])
            # Another worker removes them too.
            with suppress(ChangedMeanwhileError):
                self._transact([[Delete(row.row_key)] for row in rows])

    # Within

    def _transact(self, changes: Iterable[Sequence[Operation]]) -> None:
        """The changes of each vault stay together."""
        batch: list[Operation] = []
        for operations in [*changes, None]:
            if operations is None or len(batch) + len(operations) > OPERATIONS_PER_TRANSACTION:
                if batch:
                    self.table.transact(VAULTS_PARTITION, batch)
                batch = []
            batch += operations or []


def _contended() -> TryLaterError:
    return TryLaterError(Reason.CONTENDED, "Others are writing to the same vault all the time.", remedy="Try again.")
