"""Records in a table: the only module that knows the columns of an imported row, its links and its history.

A part's records share a partition. The row key is the source's id; the history stands in the row, and what no longer
fits there behind `~h:` of the same partition, so that a change and its history are one transaction. A record that the
matching field led to a row of another key has a link row under its own key.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic_core import to_json

from shared.errors import NotFoundError, RowRefusedError, TooLargeError
from shared.imports.part_index import PartIndex
from shared.imports.plan.model import (
    CREATED,
    DEACTIVATED,
    JOINED,
    LINKED,
    REACTIVATED,
    UPDATED,
    Action,
    Candidate,
    DesiredRecord,
    ExistingRecord,
    IndexEntry,
    MatchOn,
    PlanEntry,
)
from shared.imports.prefilter import MatchPrefilter
from shared.reasons import Reason
from shared.records import history
from shared.records.history import HISTORY, HistoryEntry
from shared.records.model import FieldChange, Key
from shared.storage.documents import CHARACTERS_PER_COLUMN, pack
from shared.storage.limits import CHARACTERS_PER_KEY, check_row
from shared.storage.rows import (
    Condition,
    Create,
    Merge,
    Operation,
    Page,
    Replace,
    Row,
    Value,
    Where,
    partition,
)
from shared.storage.tables import Table, scan
from shared.text import KEY_FORBIDDEN, LONE_SURROGATE

_INDEX = ("active", "hash", "link", "claimed_by", "gone_since", "last_run", "last_action")
# What every change of a record needs, beside the values that it has.
_KEPT = ("source_id", "f_name", "locks", history.COUNT)
# More is not asked for by name: an address has its limits, and such rows are too near theirs to be written in parts.
_MOST_KEPT = 150
_LONGEST_SELECT = 4_000
# The second part of a source too long for one column: an update that has less must take it away.
_MORE_OF_SOURCE = "source_1"
# Above this many rows of one partition it is cheaper to read the partition than row by row.
_SCAN_FROM = 200
_LARGEST_SOURCE = 200_000
_LAST_ACTION = {"reactivated": REACTIVATED}


def records_of(partition_key: str) -> Where:
    """All rows of a partition that are records."""
    return [partition(partition_key), Condition("RowKey", "lt", HISTORY)]


def is_link(row: Row) -> bool:
    return bool(row.values.get("link"))


class RecordTable:
    """The rows of one kind of record (assets, users)."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # Reading

    def index(self, partition_key: str, run_id: str, columns: Collection[str] = ()) -> PartIndex:
        """The state of a part, small: by row key. Links show the state of the row that they point to.

        With `columns`, what stands there is kept too, and all that is needed to change it.
        """
        kept = tuple(dict.fromkeys((*_KEPT, *sorted(columns)))) if columns else ()
        if len(kept) > _MOST_KEPT or sum(map(len, kept)) > _LONGEST_SELECT:
            kept = ()
        select = tuple(dict.fromkeys((*_INDEX, *kept, *((_MORE_OF_SOURCE,) if kept else ()))))
        index = PartIndex(partition_key, kept)
        links: dict[str, Row] = {}
        for row in scan(self._table, records_of(partition_key), select=select):
            if row.values.get("link"):
                links[row.row_key] = row
            else:
                index.put(row.row_key, _known(row, run_id), None if _MORE_OF_SOURCE in row.values else row)
        targets = self._rows([Key.parse(row.text("link")) for row in links.values()]) if links else {}
        for row_key, link in links.items():
            key = Key.parse(link.text("link"))
            joined = link.text("last_run") == run_id and link.text("last_action") in JOINED
            target = targets.get(key)
            if target is None or target.text("claimed_by") != Key(partition_key, row_key).text:
                # A link that leads nowhere, or to what follows another record: looked at again if its record lives.
                index.put(row_key, IndexEntry(b"", active=False, link=key, joined=joined))
            else:
                known = _known(target, run_id)
                index.put(
                    row_key, IndexEntry(known.digest, known.active, key, "", known.done, joined, known.gone_since)
                )
        return index

    def load(self, keys: Sequence[Key]) -> Mapping[Key, ExistingRecord]:
        """Rows whole, with their ETags; a link is followed."""
        rows = self._rows(keys)
        linked = {key: Key.parse(row.text("link")) for key, row in rows.items() if is_link(row)}
        targets = self._rows(list(linked.values())) if linked else {}
        found: dict[Key, ExistingRecord] = {}
        for key, row in rows.items():
            if key not in linked:
                found[key] = ExistingRecord(row)
            elif linked[key] in targets:
                found[key] = ExistingRecord(targets[linked[key]], row)
            else:
                # Its target is gone: the link becomes the record itself.
                values = {column: value for column, value in row.values.items() if column != "link"}
                found[key] = ExistingRecord(Row(row.partition_key, row.row_key, values, row.etag))
        return found

    def find(self, match: MatchOn, values: Sequence[str]) -> Mapping[str, Sequence[Candidate]]:
        """The rows of all partitions whose column has one of the folded values. Reads the whole table, narrowly."""
        wanted = set(values)
        found: dict[str, list[Candidate]] = {}
        select = tuple(dict.fromkeys((match.column, "f_name", "source_id", "active", "claimed_by", "link")))
        for row in scan(self._table, [Condition("RowKey", "lt", HISTORY)], select=select):
            value = match.fold(row.values.get(match.column))
            if value in wanted and not is_link(row):
                found.setdefault(value, []).append(Candidate.of(row))
        return found

    def values_present(self, matching: Sequence[MatchOn]) -> MatchPrefilter:
        """What the rows of all partitions have in the matching columns. Reads the whole table, narrowly."""
        select = tuple(dict.fromkeys(match.column for match in matching))
        return MatchPrefilter(matching, scan(self._table, [Condition("RowKey", "lt", HISTORY)], select=select))

    def get(self, key: Key) -> Row:
        """The row of a record; raises NotFoundError."""
        is_key = all(part and len(part) <= CHARACTERS_PER_KEY and not KEY_FORBIDDEN.search(part) for part in key)
        row = self._table.find(key.partition, key.row) if is_key else None
        if row is None or key.row.startswith(HISTORY):
            raise NotFoundError(Reason.NOT_FOUND, f"There is no record {key.row!r} in {key.partition!r}.")
        return row

    def is_used(self, column: str, value: str | None = None) -> bool:
        """Whether a record has this value in the column; without one, anything at all."""
        where = [Condition("RowKey", "lt", HISTORY)]
        if value is not None:
            where.append(Condition(column, "eq", value))
        return any(column in row.values for row in scan(self._table, where, select=(column,)))

    def page(self, where: Where, size: int, after: str | None) -> Page:
        """Records that are no links; a page may be short."""
        page = self._table.page([*where, Condition("RowKey", "lt", HISTORY)], size=size, after=after)
        return Page([row for row in page.rows if not is_link(row)], page.next)

    def history(self, key: Key) -> Iterator[HistoryEntry]:
        """All changes of a record, newest first."""
        return history.entries_of(self._table, self._table.find(*key) or Row(*key))

    def history_page(self, row: Row, size: int, after: str | None) -> tuple[list[HistoryEntry], str | None]:
        """A page of a record's changes, newest first, and where to go on; it may be short."""
        return history.page_of(self._table, row, size, after)

    def _rows(self, keys: Sequence[Key]) -> dict[Key, Row]:
        found: dict[Key, Row] = {}
        for partition_key in {key.partition for key in keys}:
            rows = {key.row for key in keys if key.partition == partition_key}
            if len(rows) >= _SCAN_FROM:
                for row in scan(self._table, records_of(partition_key)):
                    if row.row_key in rows:
                        found[Key(partition_key, row.row_key)] = row
                continue
            for row_key in rows:
                one = self._table.find(partition_key, row_key)
                if one is not None:
                    found[Key(partition_key, row_key)] = one
        return found

    # Writing

    def write(self, partition_key: str, operations: Sequence[Operation]) -> None:
        """One transaction; raises as `Table.transact`."""
        self._table.transact(partition_key, operations)

    def operations(
        self, partition_key: str, entry: PlanEntry, run_id: str, document: str, now: datetime
    ) -> list[tuple[str, list[Operation]]]:
        """What an entry writes: groups that must stay whole, each in its partition, in the order to be written.

        `document` is the name of the settings document that the import follows.
        """
        if not entry.writes:
            return []
        if entry.present is None:
            row = _new_row(partition_key, entry, run_id, document, now)
            return [(partition_key, [Create(row)])]
        target = entry.present.row
        group = self._change(entry.present, entry, run_id, document, now)
        groups = [(target.partition_key, group)]
        if entry.make_link and entry.wanted is not None:
            link = Create(_link_row(partition_key, entry.wanted, entry.present.key, run_id, now))
            if target.partition_key == partition_key:
                group.insert(0, link)
            else:
                # The link first: after a kill it leads the next attempt to the same target.
                groups.insert(0, (partition_key, [link]))
        return groups

    def _change(
        self, present: ExistingRecord, entry: PlanEntry, run_id: str, document: str, now: datetime
    ) -> list[Operation]:
        """The record's row, and rows of its history that go with it."""
        target = present.row
        columns: dict[str, Value | None] = {**entry.assign, **_source_columns(entry.wanted, now)}
        line = ""
        if entry.differences:
            action = DEACTIVATED if entry.action is Action.DEACTIVATE else _LAST_ACTION.get(entry.code, UPDATED)
            line = history.line_of(str(entry.action), entry.differences, f"run {run_id}", now)
            columns |= {"changed_at": now, "last_run": run_id, "last_action": action, "document": document}
        if not present.whole:
            takes_away = any(value is None and column in target.values for column, value in columns.items())
            if not takes_away and (not line or history.fits(target, line)):
                told = history.added(target, line)[0] if line else {}
                return [Merge(Row(target.partition_key, target.row_key, _merged({}, {**columns, **told}), target.etag))]
            # With the version that the decision stands on: if the row is another one by now, it is decided anew.
            fresh = self._table.find(target.partition_key, target.row_key)
            target = replace(fresh or target, etag=target.etag)
        before = _without_source(target.values) if "source" in columns else target.values
        row, moved = _with_line(target, before, columns, line)
        return [Replace(row), *moved]

    def save_edit(
        self, before: Row, values: Mapping[str, Value | None], changes: Sequence[FieldChange], by: str, now: datetime
    ) -> Row:
        """A person's change, with its history; the row as it was written. Raises ChangedMeanwhileError."""
        line = history.line_of("edit", changes, by, now)
        row, moved = _with_line(before, before.values, {**values, "changed_at": now}, line)
        operation = Replace(row) if before.etag else Create(row)
        etag = self._table.transact(before.partition_key, [operation, *moved])[0]
        return replace(row, etag=etag)


def _is_active(row: Row) -> bool:
    return bool(row.values.get("active", True))


def to_digest(text: str) -> bytes:
    """A row's hash; empty for what is none, so that the row is looked at."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _known(row: Row, run_id: str) -> IndexEntry:
    done = row.text("last_action") if row.text("last_run") == run_id else ""
    return IndexEntry(
        to_digest(row.text("hash")),
        _is_active(row),
        claimed_by=row.text("claimed_by"),
        done=done,
        joined=done in JOINED,
        gone_since=row.time("gone_since"),
    )


def _merged(values: Mapping[str, Value], assign: Mapping[str, Value | None]) -> dict[str, Value]:
    merged = {**values, **assign}
    return {column: value for column, value in merged.items() if value is not None}


def _with_line(
    target: Row, values: Mapping[str, Value], assign: Mapping[str, Value | None], line: str
) -> tuple[Row, list[Create]]:
    """The row as it becomes of these `values` of it, and rows of its history that go with it."""
    for gather in (False, True):
        told, moved = history.added(target, line, gather=gather) if line else ({}, [])
        row = Row(target.partition_key, target.row_key, _merged(values, {**assign, **told}), target.etag)
        if not line or _is_storable(row):
            break
    return row, moved


def _is_storable(row: Row) -> bool:
    try:
        check_row(row)
    except (RowRefusedError, TooLargeError):
        return False
    return True


def _source_columns(wanted: DesiredRecord | None, now: datetime) -> dict[str, Value]:
    if wanted is None or wanted.source is None:
        return {}
    packed = _packed(wanted.source)
    if len(packed) > 1 and sum(len(str(text)) for text in packed.values()) > _LARGEST_SOURCE:
        return {}
    return {**packed, "source_read_at": now}


def _packed(source: Mapping[str, object]) -> Mapping[str, Value]:
    """As `pack`, in a third of the time for what nearly all records are."""
    try:
        text = to_json(source).decode()
    except ValueError:
        # an unpaired surrogate (invalid Unicode), which is marked, or a type of Python's own.
        packed = pack("source", source)
        return {column: LONE_SURROGATE.sub("\ufffd", str(text)) for column, text in packed.items()}
    return {"source": text} if len(text) <= CHARACTERS_PER_COLUMN else pack("source", source)


def _without_source(values: Mapping[str, Value]) -> dict[str, Value]:
    return {c: v for c, v in values.items() if (c != "source" and not c.startswith("source_")) or c == "source_id"}


def _new_row(partition_key: str, entry: PlanEntry, run_id: str, document: str, now: datetime) -> Row:
    values: dict[str, Value] = {
        **_merged({}, entry.assign),
        **_source_columns(entry.wanted, now),
        "source_id": entry.id,
        "created_at": now,
        "changed_at": now,
        "last_run": run_id,
        "last_action": CREATED,
        "document": document,
        history.COLUMN: history.beginning(str(entry.action), f"run {run_id}", now),
    }
    return Row(partition_key, entry.row_key, values)


def _link_row(partition_key: str, wanted: DesiredRecord, target: Key, run_id: str, now: datetime) -> Row:
    values: dict[str, Value] = {
        "link": target.text,
        "source_id": wanted.id,
        "created_at": now,
        "last_run": run_id,
        "last_action": LINKED,
    }
    return Row(partition_key, wanted.row_key, values)
