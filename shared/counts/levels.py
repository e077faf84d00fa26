"""The rows above the partitions: each is copied from those below it, never added to, so that copying twice, late or by
two workers has one outcome.

1. Who changed a partition's counts row copies it to its place in each tree, and then marks the node above as stale.
2. A timer makes each stale node the sum of its children, once however many of them changed, marks the one above, and
   then takes the mark away, unless somebody marked it again meanwhile.

A row is read before what it is copied from, and written only if it is still the same: so an older state never comes
over a younger one. A mark is set after what it tells of and taken away after what it asks for: a worker may be killed
between any two calls.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from shared.counts.cells import Counts
from shared.counts.partition_row import COUNTS_ROW, counts_of, read_counts, write_counts
from shared.counts.trees import LEVELS, TOP, Node, Place, Tree, node_above, shown_in, sum_in, top_of
from shared.errors import AlreadyExistsError, ChangedMeanwhileError, TryLaterError
from shared.reasons import Reason
from shared.storage.names import COUNTS_TABLE
from shared.storage.rows import Create, Delete, Replace, Row, Save, partition, row_key_prefix
from shared.storage.tables import Tables, scan
from shared.text import escape_key

STALE = "stale"
_PASSED = "~passed"
_ROUNDS = 8


class CountsLevels:
    """Copies counts upward. `clock` gives seconds that never run backwards."""

    def __init__(self, tables: Tables, now: Callable[[], datetime], clock: Callable[[], float]) -> None:
        self._tables = tables
        self._counts = tables.table(COUNTS_TABLE)
        self._now = now
        self._clock = clock

    def copy(self, table: str, partition_key: str) -> None:
        """Bring the counts of a partition to the first level. Raises TryLaterError."""
        source = counts_of(partition_key, self._tables.table(table).find(partition_key, COUNTS_ROW))
        for tree in (Tree(table), *(Tree(table, share) for share in sorted(source.shares))):
            node = node_above(tree, partition_key)
            place = Place(node.children, escape_key(partition_key))

            def read(tree: Tree = tree) -> tuple[int, Counts]:
                found = counts_of(partition_key, self._tables.table(table).find(partition_key, COUNTS_ROW))
                return found.version, shown_in(tree, partition_key, found.counts)

            self._write(place, read)
            self._mark(node)

    def refresh(self, *, seconds: float) -> bool:
        """Make every stale node the sum of its children, level by level, so that a change comes to the top at once.
        False when the time was over before all was done: the next pass goes on."""
        began, deadline = self._now(), self._clock() + seconds
        for level in LEVELS:
            for mark in scan(self._counts, [partition(STALE), *row_key_prefix(f"{level}|")]):
                if self._clock() > deadline:
                    return False
                self._refresh(Node.parse(mark.row_key.partition("|")[2]), mark)
        # Whatever was marked before the pass began has come to the top by now, whoever took the marks away.
        self._counts.transact(TOP, [Save(Row(TOP, _PASSED, {"at": began}))])
        return True

    def tops(self) -> tuple[datetime | None, dict[str, Counts]]:
        """The desk's counts by table, and the moment before which nothing was stale; None before the first pass."""
        rows = {row.row_key: row for row in scan(self._counts, [partition(TOP)])}
        passed = rows.pop(_PASSED, None)
        return None if passed is None else passed.time("at"), {name: read_counts(row) for name, row in rows.items()}

    def tops_of_sites(self, table: str, shares: Sequence[int]) -> list[Counts]:
        """The counts of some shares of the sites, by one read each."""
        rows = [self._counts.find(*top_of(Tree(table, share))) for share in shares]
        return [read_counts(row) for row in rows if row is not None]

    # Within

    def _refresh(self, node: Node, mark: Row) -> None:
        def read() -> tuple[int, Counts]:
            children = list(scan(self._counts, [partition(node.children)]))
            # No child's version ever falls, and no child goes: nor does the sum of them.
            return sum(child.number("version") for child in children), sum_in(map(read_counts, children))

        self._write(node.place, read)
        if node.parent is not None:
            self._mark(node.parent)
        # Somebody marked it again: the next pass looks once more.
        with suppress(ChangedMeanwhileError):
            self._counts.transact(STALE, [Delete(mark.row_key, mark.etag)])

    def _write(self, place: Place, read: Callable[[], tuple[int, Counts]]) -> None:
        """Copy what `read` gives to its place; `read` is called after the place was looked at."""
        for _ in range(_ROUNDS):
            present = self._counts.find(*place)
            version, counts = read()
            if present is not None and present.number("version") == version:
                return
            values = {"version": version, **write_counts(counts)}
            row = Row(place.partition, place.row, values, "" if present is None else present.etag)
            try:
                self._counts.transact(place.partition, [Create(row) if present is None else Replace(row)])
            except (AlreadyExistsError, ChangedMeanwhileError):
                continue
            return
        raise TryLaterError(Reason.CONTENDED, f"The counts at {place.partition} {place.row} keep changing.")

    def _mark(self, node: Node) -> None:
        mark = Row(STALE, f"{node.level}|{node.children}", {"at": self._now()})
        self._counts.transact(STALE, [Save(mark)])
