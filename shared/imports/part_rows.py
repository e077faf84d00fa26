"""The rows of a part as an import reads and writes them: the only module that knows what a sync keeps in a row.

A part's records share a partition, and the row key is the source's id. A record that the matching field led to a row
of another key has an alias under its own: a row that says whose record it is.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.imports.new_rows import alias_row, new_row
from shared.imports.plan.matcher import OF_CANDIDATES, columns_of
from shared.imports.plan.model import (
    ACTIVATING,
    DEACTIVATED,
    REACTIVATED,
    UPDATED,
    Action,
    Candidate,
    DesiredRecord,
    ExistingRecord,
    Found,
    IndexEntry,
    MatchOn,
    PlanEntry,
)
from shared.imports.runs.readings import READING, Finding, Reading
from shared.index.index import Index
from shared.outbox.gathered import GatheredOutbox
from shared.records import history
from shared.records.comparison import MOST_ALIKE, comparable
from shared.records.index_rows import RecordMoved, follow_ups_of
from shared.records.match_rows import FOLLOWING, MatchRows
from shared.records.model import SITE, TYPE, Key
from shared.records.table import IS_RECORD, is_alias, records_of, with_line
from shared.storage.rows import Create, Merge, Operation, Replace, Row, Value, pack
from shared.storage.tables import Condition, Table, find_rows, partition, scan
from shared.text import LONE_SURROGATE

_INDEX = ("active", "hash", "alias_of", "claimed_by", "gone_since", "last_run", "last_action")
# What every change of a record needs, beside the values that it has; by site and type it is counted.
_KEPT = ("source_id", "f_name", "locks", SITE, TYPE, history.COUNT)
# More is not asked for by name: an address has its limits, and such rows are too near theirs to be written in parts.
_MOST_KEPT = 150
_LONGEST_SELECT = 4_000
# Rows with so much in them are not kept: few of them change, and those are read again.
_LARGEST_KEPT = 1_000
# The second part of a source too long for one column: an update that has less must take it away.
_MORE_OF_SOURCE = "source_1"
# Above this many rows of one partition it is cheaper to read all that stand between them than row by row.
_SCAN_FROM = 200
_LARGEST_SOURCE = 200_000

Groups = list[tuple[str, list[Operation]]]


class PartIndex(dict[str, IndexEntry]):
    """What is stored of a part, by row key. `columns` are those whose values are kept; `unmapped` those that no mapping
    fills any more, `before` how the part was read last."""

    def __init__(
        self,
        partition_key: str,
        columns: Sequence[str] = (),
        unmapped: frozenset[str] = frozenset(),
        before: Reading | None = None,
    ) -> None:
        super().__init__()
        self._partition = partition_key
        self._columns = tuple(columns)
        self.before = before
        self.unmapped_columns = unmapped
        # Of how many active rows there is a value in each of the columns that no mapping fills any more.
        self.unmapped: Counter[str] = Counter()

    def pack(self, row: Row) -> str:
        """What of the row is kept; empty when it would be too much."""
        if not self._columns or _MORE_OF_SOURCE in row.values or not row.etag:
            return ""
        text = _encode([row.etag, *map(row.values.get, self._columns)])
        return text if len(text) <= _LARGEST_KEPT else ""

    def is_not_new(self, key: Key) -> bool:
        """Whether the row is of another part, or was there when this part was read."""
        return key.partition != self._partition or key.row in self

    def count_unmapped(self, row: Row) -> bool:
        """Whether an active row has a value that no mapping fills any more, and no person holds."""
        if not self.unmapped_columns or not row.values.get("active", True):
            return False
        found = (self.unmapped_columns & row.values.keys()).difference(row.text("locks").split())
        self.unmapped.update(found)
        return bool(found)

    def recall(self, key: Key, columns: Collection[str] = ()) -> ExistingRecord | None:
        """The row as it was read, in all of these columns and those that every change needs; None when that is not
        known. If the row is another one by now, what is written to it is refused, and then decided anew."""
        indexed = self.get(key.row) if key.partition == self._partition else None
        if indexed is None or not indexed.kept or not set(columns).issubset(self._columns):
            return None
        etag, *kept = json.loads(indexed.kept)
        values: dict[str, Value] = {"active": True, "hash": indexed.hash}
        for column, value in zip(self._columns, kept, strict=True):
            if value is not None:
                values[column] = datetime.fromisoformat(value[0]) if isinstance(value, list) else value
        return ExistingRecord(key, values, key, str(values.get("source_id", "")), etag, whole=False)


class PartRows:
    """Reads and writes the rows of parts in one table."""

    def __init__(self, table: Table, index: Index, outbox: GatheredOutbox | None = None) -> None:
        self._table = table
        self._matches = MatchRows(index, table.name)
        self.announced = self._matches.columns - FOLLOWING
        self._outbox = outbox

    @property
    def table(self) -> Table:
        return self._table

    # Reading

    def index(self, partition_key: str, run_id: str, columns: Collection[str] = ()) -> PartIndex:
        """The state of a part, by row key. Aliases show the state of the row that they point to.

        With `columns`, what stands there is kept too, and all that is needed to change it. What stands in columns that
        imports filled before, and not now, is counted.
        """
        before = self.reading(partition_key)
        unmapped = before.columns.difference(columns) if before is not None and columns else frozenset[str]()
        kept = tuple(dict.fromkeys((*_KEPT, *sorted(unmapped.union(columns))))) if columns else ()
        if len(kept) > _MOST_KEPT or sum(map(len, kept)) > _LONGEST_SELECT:
            kept = ()
        asked = ("locks", *sorted(unmapped)[:_MOST_KEPT]) if unmapped else ()
        select = tuple(dict.fromkeys((*_INDEX, *kept, *((_MORE_OF_SOURCE,) if kept else ()), *asked)))
        index = PartIndex(partition_key, kept, unmapped, before)
        aliases: dict[str, Row] = {}
        for row in scan(self._table, [partition(partition_key), IS_RECORD], select=select):
            if row.values.get("alias_of"):
                aliases[row.row_key] = row
            else:
                index[row.row_key] = _indexed(row, run_id, index)
        targets = self._rows([Key.parse(row.text("alias_of")) for row in aliases.values()]) if aliases else {}
        for row_key, alias in aliases.items():
            key = Key.parse(alias.text("alias_of"))
            activated = alias.text("last_run") == run_id and alias.text("last_action") in ACTIVATING
            target = targets.get(key)
            if target is None or target.text("claimed_by") != Key(partition_key, row_key).text:
                # It leads nowhere, or to what follows another record: looked at again if its record lives.
                index[row_key] = IndexEntry("", active=False, alias_of=key, activated=activated)
            else:
                entry = replace(_indexed(target, run_id), unmapped=index.count_unmapped(target))
                index[row_key] = replace(entry, alias_of=key, claimed_by="", activated=activated)
        return index

    def reading(self, partition_key: str) -> Reading | None:
        """How the part was read last."""
        row = self._table.find(partition_key, READING)
        if row is None:
            return None
        values: Any = row.values
        told = Finding(values["reason"], values["message"], values["remedy"])
        columns = frozenset(values["columns"].split())
        return Reading(values["kind"], values["document"], values["part"], values["active"], columns, told)

    def any_active(self, partition_key: str) -> bool:
        """Whether the part has a record that is not inactive."""
        rows = scan(self._table, records_of(partition_key), select=("active",))
        return any(row.values.get("active", True) for row in rows)

    def load(self, keys: Sequence[Key]) -> Mapping[Key, ExistingRecord]:
        """Rows whole, with their ETags; an alias is followed."""
        rows = self._rows(keys)
        target_keys = {key: Key.parse(row.text("alias_of")) for key, row in rows.items() if is_alias(row)}
        targets = self._rows(list(target_keys.values())) if target_keys else {}
        found: dict[Key, ExistingRecord] = {}
        for own, row in rows.items():
            target = targets.get(target_keys.get(own, own), row)
            # An alias whose target is gone becomes the record itself.
            values = {column: value for column, value in target.values.items() if column != "alias_of"}
            key = Key(target.partition_key, target.row_key)
            leads_nowhere = own in target_keys and target is row
            found[own] = ExistingRecord(
                key, values, own, row.text("source_id"), target.etag, is_record=not leads_nowhere
            )
        return found

    def may_exist(
        self, match: MatchOn, values: Collection[str], index: PartIndex
    ) -> tuple[Collection[str], Collection[str]]:
        """Those of the folded values that a row may have which this part's run has not made itself; and common ones."""
        keys, common = self._looked_up(match, values)
        there = {value for value, same in keys.items() if any(map(index.is_not_new, same))}
        return there, common

    def find(self, match: MatchOn, values: Collection[str]) -> Found:
        """The rows of all partitions whose column has one of the folded values."""
        select = tuple(dict.fromkeys((*columns_of(match), *OF_CANDIDATES, "alias_of")))
        keys, common = self._looked_up(match, values)
        found: dict[str, list[Candidate]] = {}
        for row in self._narrowly({key for same in keys.values() for key in same}, select):
            value = match.fold(row.values.get(match.column))
            if value in keys and not is_alias(row):
                candidate = Candidate.of(Key(row.partition_key, row.row_key), row.values)
                found.setdefault(value, []).append(candidate)
        return Found(found, common)

    def _looked_up(
        self, match: MatchOn, values: Collection[str]
    ) -> tuple[Mapping[str, Collection[Key]], frozenset[str]]:
        """The records that may have each value that is not common, and the values that are."""
        found = self._matches.find(match.column, values)
        keys = {value: found.get(comparable(value, ignore_case=True), ()) for value in values}
        common = frozenset(value for value, same in keys.items() if len(same) > MOST_ALIKE)
        return {value: same for value, same in keys.items() if value not in common}, common

    def _narrowly(self, keys: Collection[Key], select: Sequence[str]) -> Iterator[Row]:
        for partition_key in sorted({key.partition for key in keys}):
            row_keys = [key.row for key in keys if key.partition == partition_key]
            yield from find_rows(self._table, partition_key, row_keys, select).values()

    def _rows(self, keys: Sequence[Key]) -> dict[Key, Row]:
        found: dict[Key, Row] = {}
        for partition_key in {key.partition for key in keys}:
            rows = {key.row for key in keys if key.partition == partition_key}
            if len(rows) >= _SCAN_FROM:
                between = [Condition("RowKey", "ge", min(rows)), Condition("RowKey", "le", max(rows))]
                for row in scan(self._table, [partition(partition_key), *between]):
                    if row.row_key in rows:
                        found[Key(partition_key, row.row_key)] = row
                continue
            for row_key in rows:
                one = self._table.find(partition_key, row_key)
                if one is not None:
                    found[Key(partition_key, row_key)] = one
        return found

    # Writing

    def announce(self, partition_key: str, entries: Iterable[PlanEntry], now: datetime) -> None:
        """Save the rows of the index by which matching finds what these entries are about to write."""
        places = ((entry, entry.existing) for entry in entries)
        self._matches.announce(
            [
                (Key(partition_key, entry.row_key) if existing is None else existing.key, entry.assign)
                for entry, existing in places
            ],
            now,
        )

    def write(self, partition_key: str, operations: Sequence[Operation], moved: Sequence[RecordMoved] = ()) -> None:
        """One transaction, and what follows from it in index and counts; raises as `Table.transact`."""
        told = [] if self._outbox is None else follow_ups_of(moved)
        if self._outbox is not None and told:
            operations = [*operations, self._outbox.following(self._table.name, partition_key, told)]
        self._table.transact(partition_key, operations)

    def operations(self, partition_key: str, entry: PlanEntry, run_id: str, document: str, now: datetime) -> Groups:
        """What an entry writes: groups that must stay whole, each in its partition, in the order to be written.

        `document` is the name of the settings document that the import follows.
        """
        if not entry.assign:
            return []
        if entry.existing is None:
            source = _source_columns(entry.desired, now)
            row = new_row(partition_key, entry, source, run_id, document, now)
            return [(partition_key, [Create(row)])]
        target = entry.existing.key
        group = self._change(entry.existing, entry, run_id, document, now)
        groups = [(target.partition, group)]
        if entry.make_alias and entry.desired is not None:
            row = alias_row(partition_key, entry.desired, target, run_id, now, entry.merged)
            alias = Create(row) if entry.merged is None else Replace(row)
            if target.partition == partition_key:
                group.insert(0, alias)
            else:
                # The alias first: after a kill it leads the next attempt to the same target.
                groups.insert(0, (partition_key, [alias]))
        return groups

    def _change(
        self, existing: ExistingRecord, entry: PlanEntry, run_id: str, document: str, now: datetime
    ) -> list[Operation]:
        """The record's row, and rows of its history that go with it."""
        target = Row(existing.key.partition, existing.key.row, existing.values, existing.etag)
        columns: dict[str, Value | None] = {**entry.assign, **_source_columns(entry.desired, now)}
        line = ""
        if entry.differences:
            action = REACTIVATED if entry.reason == "reactivated" else UPDATED
            if entry.action is Action.DEACTIVATE:
                action = DEACTIVATED
            line = history.line_of(str(entry.action), entry.differences, f"run {run_id}", now)
            columns |= {"changed_at": now, "last_run": run_id, "last_action": action, "document": document}
        if not existing.whole:
            taken_away = {column for column, value in columns.items() if value is None} & target.values.keys()
            if not taken_away and (not line or history.fits(target.values, line)):
                told = history.added(target, line)[0] if line else {}
                columns |= told
                return [Merge(replace(target, values={c: v for c, v in columns.items() if v is not None}))]
            # With the version that the decision stands on: if the row is another one by now, it is decided anew.
            fresh = self._table.find(target.partition_key, target.row_key)
            target = replace(fresh or target, etag=target.etag)
        before = _without_source(target.values) if "source" in columns else target.values
        row, moved = with_line(replace(target, values=before), columns, line)
        return [Replace(row), *moved]


def _indexed(row: Row, run_id: str, index: PartIndex | None = None) -> IndexEntry:
    """The state of a row; what it holds is kept of an ordinary one."""
    values = row.values
    active, claimed_by = bool(values.get("active", True)), str(values.get("claimed_by", ""))
    done = str(values.get("last_action", "")) if values.get("last_run") == run_id else ""
    gone_since = row.time("gone_since") if "gone_since" in values else None
    is_ordinary = active and not claimed_by and not done and gone_since is None
    kept = index.pack(row) if index is not None and is_ordinary else ""
    unmapped = index is not None and index.count_unmapped(row)
    return IndexEntry(
        str(values.get("hash", "")), active, None, claimed_by, done, done in ACTIVATING, gone_since, kept, unmapped
    )


def _packed_moment(value: Any) -> list[str]:
    # JSON has no times: each stands as a text in a list, which no column holds.
    return [value.isoformat()]


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_packed_moment).encode


def _source_columns(desired: DesiredRecord | None, now: datetime) -> dict[str, Value]:
    if desired is None or desired.source is None:
        return {}
    texts = {column: str(text) for column, text in pack("source", desired.source).items()}
    if sum(map(len, texts.values())) > _LARGEST_SOURCE:
        return {}
    return {**{c: LONE_SURROGATE.sub("\ufffd", text) for c, text in texts.items()}, "source_read_at": now}


def _without_source(values: Mapping[str, Value]) -> dict[str, Value]:
    return {c: v for c, v in values.items() if (c != "source" and not c.startswith("source_")) or c == "source_id"}
