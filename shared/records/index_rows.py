"""What the index holds of records: by what each is found, where it stands in lists, and how a change is told."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.counts import cells
from shared.counts.housekeeping import CountedTable
from shared.index.housekeeping import IndexedTable
from shared.index.index import Index, IndexKey
from shared.index.terms import partition_of_term, terms_of
from shared.outbox.model import FollowUp
from shared.records.history import HISTORY
from shared.records.match_rows import FOLLOWING, MATCH, MATCHED, match_rows
from shared.records.model import ACTIVE, SITE, TYPE, FieldValue, Key, Values, column_of, plain_value
from shared.storage.rows import Row, Value
from shared.storage.tables import Condition, Tables, find_rows
from shared.text import escape_key

# What follows from a change, by its name in the outbox.
FOLLOW_UP = "records"
_SEARCHED_FIELDS = ("name", "asset-number", "serial-number", "host-name", "ip-address")
_SEARCHED_FIELDS_OF_USERS = ("email", "username", "reference", "phone")
# By the values of these a record is found; matching by one of them asks the index.
SEARCHED = ("source_id", *map(column_of, (*_SEARCHED_FIELDS, *_SEARCHED_FIELDS_OF_USERS)))
_LISTED = (SITE, TYPE)
_COUNTED = (SITE, TYPE, ACTIVE)
_INDEXED = frozenset({*SEARCHED, *_LISTED})
# What is read of a record to tell its rows.
_SHOWN = ("alias_of", *sorted(_INDEXED.union(*MATCHED.values())))


@dataclass(frozen=True)
class RecordMoved:
    """A record of which something changes that is followed elsewhere. `before` are the values that are not there any
    more, None when the index shows nothing of the change; `counted` is what it was and is counted as."""

    row_key: str
    before: tuple[tuple[str, str], ...] | None = ()
    counted: tuple[cells.Cell | None, cells.Cell | None] = (None, None)


def moved_by(row_key: str, before: Mapping[str, FieldValue], assign: Values, *, is_new: bool) -> RecordMoved | None:
    """What follows elsewhere from a change; None when nothing does."""
    changed = [column for column in _INDEXED & assign.keys() if before.get(column) != assign[column]]
    if not changed and not is_new and ACTIVE not in assign:
        return None
    gone = [(column, _text(before[column])) for column in sorted(changed) if before.get(column) is not None]
    after = {column: assign.get(column, before.get(column)) for column in _COUNTED}
    counted_as = (None if is_new else record_cell(before), record_cell(after))
    return RecordMoved(row_key, tuple(gone) if changed or is_new else None, counted_as)


def removed(row_key: str, before: Mapping[str, FieldValue]) -> RecordMoved:
    """What follows from a record that is none any more."""
    gone = [(column, _text(before[column])) for column in sorted(_INDEXED) if before.get(column) is not None]
    return RecordMoved(row_key, tuple(gone), (record_cell(before), None))


def follow_ups_of(moved: Sequence[RecordMoved]) -> list[FollowUp]:
    """What the outbox keeps of changes of one partition."""
    shown = [[one.row_key, [list(pair) for pair in one.before]] for one in moved if one.before is not None]
    indexed = [FollowUp(FOLLOW_UP, {"records": shown})] if shown else []
    return [*indexed, *cells.told_of_counts(one.counted for one in moved)]


def record_cell(values: Mapping[str, object]) -> cells.Cell:
    """What a record is counted as, by the columns of its row."""
    active = values.get(ACTIVE)
    status = cells.ACTIVE if active is None or active else cells.INACTIVE
    return (cells.RECORD, str(values.get(SITE) or ""), str(values.get(TYPE) or ""), status)


def terms_of_record(values: Mapping[str, object]) -> tuple[str, ...]:
    """By what a record is found."""
    return terms_of(_text(values[column]) for column in SEARCHED if values.get(column) is not None)


def site_partition(kind: str, site: str) -> str:
    return f"{kind}:{SITE}:{escape_key(site)}"


def type_partition(kind: str, asset_type: str) -> str:
    return f"{kind}:{TYPE}:{escape_key(asset_type)}"


class RecordIndex:
    """Carries out what the outbox of a partition of records says."""

    def __init__(self, index: Index, tables: Tables, now: Callable[[], datetime]) -> None:
        self._index = index
        self._tables = tables
        self._now = now

    def carry_out(self, table: str, partition_key: str, contents: Sequence[Mapping[str, Any]]) -> None:
        """Bring the index to the records as they are now. Doing it again changes nothing."""
        told = [one for content in contents for one in content["records"]]
        gone: set[IndexKey] = set()
        for row_key, before in told:
            for column, value in before:
                gone.update(_keys(table, Key(partition_key, row_key), {column: value}))
        rows: dict[IndexKey, Mapping[str, Value]] = {}
        wanted = {row_key for row_key, _ in told}
        lost = {row_key for content in contents if MATCH in content for row_key, _ in content["records"]}
        for row in find_rows(self._tables.table(table), partition_key, wanted, _SHOWN).values():
            rows.update(index_rows(table, row))
            matched = match_rows(table, row, None if row.row_key in lost else FOLLOWING)
            rows.update((key, {**columns, "at": self._now()}) for key, columns in matched.items())
        self._index.replace(rows, gone)


def indexed_records(kind: str) -> IndexedTable:
    """How the records of one kind stand in the index, for its housekeeping; `kind` is the name of their table."""

    def follow_up(rows: Sequence[Row]) -> FollowUp:
        # No change tells those of matching: they are there before it.
        return FollowUp(FOLLOW_UP, {"records": [[row.row_key, []] for row in rows], MATCH: True})

    return IndexedTable(
        kind,
        (f"{kind}:",),
        [Condition("RowKey", "lt", HISTORY)],
        _SHOWN,
        lambda row: index_rows(kind, row) | match_rows(kind, row),
        follow_up,
    )


def counted_records(kind: str) -> CountedTable:
    """What is counted of the records of one kind; `kind` is the name of their table."""
    return CountedTable(
        kind,
        [Condition("RowKey", "lt", HISTORY)],
        ("alias_of", *_COUNTED),
        lambda row: None if row.values.get("alias_of") else record_cell(row.values),
    )


def index_rows(kind: str, row: Row) -> dict[IndexKey, Mapping[str, Value]]:
    """The index rows of a record's row; none of an alias."""
    if row.values.get("alias_of"):
        return {}
    columns: dict[str, Value] = {"partition": row.partition_key, "row": row.row_key}
    return dict.fromkeys(_keys(kind, Key(row.partition_key, row.row_key), row.values), columns)


def _keys(kind: str, key: Key, values: Mapping[str, object]) -> Iterator[IndexKey]:
    for term in terms_of_record(values):
        yield IndexKey(partition_of_term(kind, term), f"{escape_key(term)}|{key.text}")
    listed: tuple[tuple[str, Callable[[str, str], str]], ...] = ((SITE, site_partition), (TYPE, type_partition))
    for column, partition_of in listed:
        if values.get(column):
            yield IndexKey(partition_of(kind, str(values[column])), key.text)


def _text(value: object) -> str:
    return str(plain_value(value))
