"""Compares the index with what it shows, slice after slice, and repairs what differs.

A *pass* over a table looks for what the index lacks. The pass over the index looks for what is in it and should not be.
What still has to follow from a change is carried out first: only what differs then is told, and repaired. A slice may
be killed or repeated, and two may meet: the rows end the same, and the place of a pass is written once for each slice.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.errors import ConflictError, InvalidInputError, TryLaterError
from shared.index.index import Index, IndexKey
from shared.outbox.gathered import GatheredOutbox, MarkedPartition
from shared.outbox.model import FollowUp
from shared.reasons import Reason
from shared.storage.names import INDEX_TABLE
from shared.storage.rows import EARLIEST, Create, Operation, Replace, Row, Value
from shared.storage.tables import Tables, Where, find_rows, partition, scan
from shared.text import few

logger = logging.getLogger(__name__)

# The partition of the table `index` that keeps how far each pass is.
PASSES = "housekeeping"
_EVERY = timedelta(days=1)
# A slice takes a minute or two. Its message may be lost, or its worker killed.
_STANDS_STILL = timedelta(minutes=15)
# A row of matching is there before its record: no worker lives as long between the two.
_SURELY_OVER = timedelta(hours=2)
_PAGES_A_SLICE = 10
# A record has some ten rows in the index; of a row of the index one record is read.
_ROWS_OF_A_TABLE = 100
_ROWS_OF_THE_INDEX = 500

IndexRows = Mapping[IndexKey, Mapping[str, Value]]
# From a place, where to go on (None at the end), how much was compared, and how much repaired.
NextPage = Callable[[str | None], tuple[str | None, int, int]]


@dataclass(frozen=True)
class IndexedTable:
    """How one table stands in the index. Each row of the index names `partition` and `row` of what it shows. One that
    is saved before what it shows says `at` when: it may be left over, and is taken away without a word.

    `beginnings` are those of its partitions in the index. `where` and `columns` say which rows are read and what of
    them. `follow_up` is what brings the index to these rows.
    """

    name: str
    beginnings: tuple[str, ...]
    where: Where
    columns: Sequence[str] | None
    rows_of: Callable[[Row], IndexRows]
    follow_up: Callable[[Sequence[Row]], FollowUp]


@dataclass(frozen=True)
class IndexPass:
    """How far a pass is, and what it found. `finished_at` and `last_…` are of the last one that came to its end."""

    name: str
    began_at: datetime
    touched_at: datetime
    place: str | None = None
    compared: int = 0
    repaired: int = 0
    finished_at: datetime | None = None
    last_compared: int = 0
    last_repaired: int = 0
    etag: str = ""

    @property
    def is_open(self) -> bool:
        return self.place is not None

    def stands_still(self, now: datetime) -> bool:
        """Whether nobody seems to go on with it."""
        return self.is_open and now - self.touched_at > _STANDS_STILL

    @property
    def row(self) -> Row:
        members = {**vars(self), "name": None, "etag": None}
        return Row(PASSES, self.name, {name: value for name, value in members.items() if value is not None}, self.etag)

    @classmethod
    def of(cls, row: Row) -> "IndexPass":
        """A damaged row is a pass of long ago: the next begins."""
        began_at, touched_at = row.time("began_at"), row.time("touched_at")
        return cls(
            row.row_key,
            began_at or EARLIEST,
            touched_at or EARLIEST,
            row.text("place") if "place" in row.values and began_at is not None else None,
            row.number("compared"),
            row.number("repaired"),
            row.time("finished_at"),
            row.number("last_compared"),
            row.number("last_repaired"),
            row.etag,
        )


class IndexHousekeeping:
    """The passes over the tables of one desk; `further` are those that compare something beside the index."""

    def __init__(
        self,
        tables: Tables,
        index: Index,
        outbox: GatheredOutbox,
        indexed: Sequence[IndexedTable],
        now: Callable[[], datetime],
        further: Mapping[str, NextPage] | None = None,
    ) -> None:
        self._tables = tables
        self._table = tables.table(INDEX_TABLE)
        self._index = index
        self._outbox = outbox
        self._indexed = {one.name: one for one in indexed}
        self._further = further or {}
        self._now = now

    def passes(self) -> list[IndexPass]:
        """The passes that ever began."""
        return [IndexPass.of(row) for row in scan(self._table, [partition(PASSES)])]

    def due(self) -> list[str]:
        """The passes to begin, and those to go on with because their message was lost."""
        now, known = self._now(), {one.name: one for one in self.passes()}
        return [
            name
            for name in (*self._indexed, INDEX_TABLE, *self._further)
            if (one := known.get(name)) is None or one.stands_still(now) or (not one.is_open and _is_over(one, now))
        ]

    def compare(self, name: str) -> bool:
        """One slice of a pass; whether there is more of it. Raises InvalidInputError for a pass that there is not."""
        if name not in {*self._indexed, INDEX_TABLE, *self._further}:
            raise InvalidInputError(Reason.BODY_INVALID, f"There is no pass {name[:40]!r} of the index.")
        now, row = self._now(), self._table.find(PASSES, name)
        present = IndexPass(name, now, now) if row is None else IndexPass.of(row)
        if not present.is_open:
            if row is not None and not _is_over(present, now):
                # A message that came late.
                return False
            present = replace(present, began_at=now, place="", compared=0, repaired=0)
        for _ in range(_PAGES_A_SLICE):
            place, compared, repaired = self._page(name, present.place or None)
            present = replace(
                present, place=place, compared=present.compared + compared, repaired=present.repaired + repaired
            )
            if place is None:
                present = self._ended(present)
                break
        present = replace(present, touched_at=self._now())
        write: Operation = Replace(present.row) if present.etag else Create(present.row)
        try:
            self._table.transact(PASSES, [write])
        except ConflictError:
            # Another worker did the same slice, and goes on.
            return False
        return present.is_open

    # Within

    def _ended(self, one: IndexPass) -> IndexPass:
        logger.info("The comparison of %s has ended: %d compared, %d repaired.", one.name, one.compared, one.repaired)
        return replace(one, finished_at=self._now(), last_compared=one.compared, last_repaired=one.repaired, place=None)

    def _page(self, name: str, after: str | None) -> tuple[str | None, int, int]:
        """Where to go on, how many rows were compared, and how many of the index repaired."""
        if name in self._further:
            return self._further[name](after)
        if name == INDEX_TABLE:
            page = self._table.page([], size=_ROWS_OF_THE_INDEX, after=after)
            return page.next, len(page.rows), self._take_away(page.rows)
        indexed = self._indexed[name]
        table = self._tables.table(name)
        page = table.page(indexed.where, select=indexed.columns, size=_ROWS_OF_A_TABLE, after=after)
        return page.next, len(page.rows), self._add(indexed, page.rows)

    # What the index lacks

    def _add(self, indexed: IndexedTable, rows: Sequence[Row]) -> int:
        doubtful: dict[str, set[str]] = {}
        for row in self._lacking(indexed, rows).values():
            doubtful.setdefault(row.partition_key, set()).add(row.row_key)
        repaired = 0
        for partition_key, row_keys in sorted(doubtful.items()):
            place = MarkedPartition(indexed.name, partition_key)
            if not self._is_followed(place):
                continue
            table = self._tables.table(indexed.name)
            lacking = self._lacking(indexed, find_rows(table, partition_key, row_keys, indexed.columns).values())
            if not lacking:
                continue
            _tell("lacked", lacking, indexed.name, partition_key)
            # Under the lease of the partition, like every other change of the index.
            follow_up = indexed.follow_up(list({row.row_key: row for row in lacking.values()}.values()))
            table.transact(partition_key, [self._outbox.following(indexed.name, partition_key, [follow_up])])
            self._outbox.carry_out_at(place)
            repaired += len(lacking)
        return repaired

    def _lacking(self, indexed: IndexedTable, rows: Iterable[Row]) -> dict[IndexKey, Row]:
        """The rows that the index has not, or has otherwise, each with the row that it is to show."""
        expected = {key: (columns, row) for row in rows for key, columns in (_rows_of(indexed, row) or {}).items()}
        present = self._index.find_all(expected)
        return {
            key: row
            for key, (columns, row) in expected.items()
            if key not in present or _shown(present[key]) != dict(columns)
        }

    def _is_followed(self, place: MarkedPartition) -> bool:
        """Whether all that was to follow in a partition is carried out. If not, it is looked at again tomorrow."""
        try:
            return self._outbox.carry_out_at(place)
        except TryLaterError:
            raise
        except Exception as error:  # noqa: BLE001 - one partition that fails keeps no other from being compared
            logger.warning("What follows in %s of %s is not carried out: %s", place.partition, place.table, error)
            return False

    # What is in the index, and should not be

    def _take_away(self, rows: Sequence[Row]) -> int:
        by_place: dict[MarkedPartition, list[Row]] = {}
        for row in rows:
            for indexed in self._indexed.values():
                if row.partition_key.startswith(indexed.beginnings) and "row" in row.values:
                    by_place.setdefault(MarkedPartition(indexed.name, row.text("partition")), []).append(row)
        repaired = 0
        for place, together in sorted(by_place.items()):
            doubtful = self._not_shown(place, together)
            if not doubtful or not self._is_followed(place):
                continue
            fresh = self._index.find_all([_key_of(row) for row in doubtful])
            gone = self._not_shown(place, fresh.values())
            # Only as they were read: whoever saved one since knows better.
            self._index.remove(row for row in gone if "at" in row.values)
            wrong = [row for row in gone if "at" not in row.values]
            if wrong:
                _tell("had too much", list(map(_key_of, wrong)), *place)
                repaired += self._index.remove(wrong)
        return repaired

    def _not_shown(self, place: MarkedPartition, rows: Collection[Row]) -> list[Row]:
        """Those of the rows that show what is not so."""
        indexed, oldest = self._indexed[place.table], self._now() - _SURELY_OVER
        wanted = {row.text("row") for row in rows}
        present = find_rows(self._tables.table(place.table), place.partition, wanted, indexed.columns)
        shown = {row_key: _rows_of(indexed, row) for row_key, row in present.items()}
        return [
            row
            for row in rows
            if (now_shown := shown.get(row.text("row"), {})) is not None
            and _key_of(row) not in now_shown
            and (row.time("at") or oldest) <= oldest
        ]


def _rows_of(indexed: IndexedTable, row: Row) -> IndexRows | None:
    """What the index is to have of a row; None of one that cannot be read: it must not keep the others waiting."""
    try:
        return indexed.rows_of(row)
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        logger.warning("%s of %s in %s cannot be read: %s", row.row_key, row.partition_key, indexed.name, error)
        return None


def _is_over(one: IndexPass, now: datetime) -> bool:
    return now - one.began_at >= _EVERY


def _key_of(row: Row) -> IndexKey:
    return IndexKey(row.partition_key, row.row_key)


def _shown(row: Row) -> dict[str, Value]:
    # When a row of matching was saved is no part of what it shows.
    return {column: value for column, value in row.values.items() if column != "at"}


def _tell(what: str, keys: Collection[IndexKey], table: str, partition_key: str) -> None:
    logger.warning(
        "The index %s (%s): %d rows of %s in %s, now repaired: %s.",
        *(what, Reason.INDEX_DIFFERED, len(keys), table, partition_key, few([" ".join(key) for key in sorted(keys)])),
    )
