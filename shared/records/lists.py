"""Lists of records, page by page: by search, site and type from the index, else in the order in which they are stored.

What the index shows is read before it is shown, from a few partitions a page: a page may be short.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.index.index import Index, Stream
from shared.index.terms import SearchWords, partition_of_term
from shared.outbox.gathered import GatheredOutbox
from shared.records.index_rows import site_partition, terms_of_record, type_partition
from shared.records.look_ups import is_one_of
from shared.records.match_rows import MATCHED, stream_of_value
from shared.records.model import ACTIVE, SITE, TYPE, Key
from shared.records.table import RecordTable
from shared.storage.continuation import invalid_continuation_token
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.rows import Row
from shared.storage.tables import AnyOf, Condition
from shared.text import escape_key

# With the look at the outbox and at the index, a search takes six calls.
_PARTITIONS_A_PAGE = 4
_MOST_EXAMINED = 2_000
# A query of the table service takes 15 comparisons, and the caller's own filters are among them.
_MOST_SITES_ASKED = 8
_FIRST, _LAST = " ", "\uffff"
# How a place begins in a list that is looked through for what no query can ask for, and so many pages at once.
_LOOSELY = "~"
_PAGES_LOOKED_THROUGH = 20


@dataclass(frozen=True)
class RecordQuery:
    """Which records. `where` narrows what is read in stored order; `equal` are accepted texts by column, for each, and
    `written` asks for the usual ways to write them.

    `partitions` are those from one up to another, or one alone, or all. `sites` None is all, records of no site too.
    """

    where: Sequence[Condition | AnyOf] = ()
    partitions: tuple[str, str] = ("", "")
    words: SearchWords | None = None
    equal: Mapping[str, frozenset[str]] | None = None
    active: bool | None = None
    sites: frozenset[str] | None = None
    changed_after: datetime | None = None
    size: int = 50
    after: str | None = None
    written: Sequence[AnyOf] = ()

    def includes(self, row: Row) -> bool:
        """Whether the record is one of them."""
        begin, end = self.partitions
        if begin and not (begin <= row.partition_key < end if end else row.partition_key == begin):
            return False
        for column, accepted in (self.equal or {}).items():
            if not is_one_of(row.values.get(column), accepted):
                return False
        changed_at = row.time("changed_at") or row.time("created_at")
        if self.changed_after is not None and (changed_at is None or changed_at <= self.changed_after):
            return False
        if self.active is not None and bool(row.values.get(ACTIVE, True)) is not self.active:
            return False
        if self.words is not None and not self.words.fit(terms_of_record(row.values)):
            return False
        return self.sites is None or row.text(SITE) in self.sites


@dataclass(frozen=True)
class RecordPage:
    """Rows of records, where to go on, and up to when changes are surely in it."""

    rows: Sequence[Row]
    next: str | None
    as_of: datetime


class RecordLists:
    """Finds records of one table; `kind` is its name."""

    def __init__(
        self, kind: str, records: RecordTable, index: Index, outbox: GatheredOutbox, now: Callable[[], datetime]
    ) -> None:
        self._kind = kind
        self._records = records
        self._index = index
        self._outbox = outbox
        self._now = now

    def page(self, query: RecordQuery) -> RecordPage:
        """One page. Raises InvalidInputError for an `after` of another list."""
        if query.sites is not None and not query.sites:
            return RecordPage([], None, self._now())
        streams = self._streams(query)
        if streams is None:
            return self._stored(query)
        as_of = self._outbox.as_of(self._kind)
        if query.after is not None:
            key, partition_key = decode_cursor(query.after, str, str)
            if partition_key not in {one.partition for one in streams}:
                raise invalid_continuation_token()
            streams = [one._replace(begin=key, including=one.partition > partition_key) for one in streams]
        page = self._indexed(query, streams, as_of)
        if not page.rows and page.next is None and query.after is None and query.written and query.words is None:
            # Nothing is told to be absent by the index alone.
            page = self._stored(query)
        return page

    # Within

    def _stored(self, query: RecordQuery) -> RecordPage:
        where = list(query.where)
        if query.sites is not None and len(query.sites) <= _MOST_SITES_ASKED:
            where.append(AnyOf([Condition(SITE, "eq", site) for site in sorted(query.sites)]))
        as_of = self._now()
        after = query.after
        if after is None or not after.startswith(_LOOSELY):
            page = self._records.page([*where, *query.written], query.size, after)
            rows = [row for row in page.rows if query.includes(row)]
            if rows or page.next is not None or after is not None or not query.written:
                return RecordPage(rows, page.next, as_of)
            # Nobody wrote it so: perhaps with capitals elsewhere, which no query can ask for.
            after = _LOOSELY
        place: str | None = after.removeprefix(_LOOSELY) or None
        rows = []
        for _ in range(_PAGES_LOOKED_THROUGH):
            page = self._records.page(where, query.size, place)
            rows, place = [row for row in page.rows if query.includes(row)], page.next
            if rows or place is None:
                break
        return RecordPage(rows, None if place is None else _LOOSELY + place, as_of)

    def _streams(self, query: RecordQuery) -> list[Stream] | None:
        """Where in the index to look; None when the stored order serves."""
        if query.words is not None:
            term = escape_key(query.words.first)
            return [Stream(partition_of_term(self._kind, query.words.first), term, term + _LAST)]
        if query.partitions[0]:
            return None
        for column, accepted in (query.equal or {}).items():
            if column in MATCHED.get(self._kind, ()):
                return sorted({stream_of_value(self._kind, column, one) for one in accepted})
        types = (query.equal or {}).get(TYPE)
        if query.sites is not None and len(query.sites) <= _MOST_SITES_ASKED:
            return [Stream(site_partition(self._kind, site), _FIRST, _LAST) for site in sorted(query.sites)]
        if types is not None and len(types) <= _MOST_SITES_ASKED:
            return [Stream(type_partition(self._kind, one), _FIRST, _LAST) for one in sorted(types)]
        return None

    def _indexed(self, query: RecordQuery, streams: Sequence[Stream], as_of: datetime) -> RecordPage:
        hits: list[tuple[Key, Row]] = []
        partitions: set[str] = set()
        following: str | None = None
        place: tuple[str, str] | None = None
        for examined, row in enumerate(self._index.merged(streams, query.size + 1)):
            key = Key(row.text("partition"), row.text("row"))
            full = len(partitions | {key.partition}) > _PARTITIONS_A_PAGE
            if full or len(hits) == query.size or examined == _MOST_EXAMINED:
                following = encode_cursor(*place) if place is not None else None
                break
            place = (row.row_key, row.partition_key)
            hits.append((key, row))
            partitions.add(key.partition)
        found = self._records.find_all([key for key, _ in hits])
        rows = [
            record
            for key, hit in hits
            if (record := found.get(key)) is not None and query.includes(record) and self._is_first(query, record, hit)
        ]
        return RecordPage(rows, following, as_of)

    def _is_first(self, query: RecordQuery, record: Row, hit: Row) -> bool:
        """Of several rows that are found, the first alone shows the record."""
        words = query.words
        if words is None:
            return True
        terms = [escape_key(term) for term in terms_of_record(record.values) if term.startswith(words.first)]
        return bool(terms) and hit.row_key.startswith(f"{min(terms, key=lambda term: f'{term}|')}|")
