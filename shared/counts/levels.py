"""The rows above the partitions: each is copied from those below it, never added to, so that copying twice, late or by
two workers has one outcome.

1. Who changed a partition's counts row copies it to its place, and then marks the node above as stale.
2. Each minute somebody makes each stale node the sum of its children, once however many of them changed, and marks the
   one above in the transaction that takes its own mark away, unless somebody marked it again meanwhile.

A row is read before what it is copied from, and written only if it is still the same: so an older state never comes
over a younger one. No row is removed: an empty one says that there is nothing. A mark is set after what it tells of and
taken away after what it asks for: a worker may be killed between any two calls.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.counts.cells import Counts
from shared.counts.partition_row import COUNTS_ROW, columns_of, counts_in
from shared.counts.trees import DESK, Node, share_of, shown_in
from shared.errors import AlreadyExistsError, ChangedMeanwhileError, TryLaterError
from shared.reasons import Reason
from shared.storage.names import INDEX_TABLE
from shared.storage.rows import OPERATIONS_PER_TRANSACTION, Create, Delete, Operation, Replace, Row, Save, Value
from shared.storage.tables import Tables, partition, row_key_prefix, scan
from shared.text import escape_key

STALE = "counts:stale"
_PASSED = "~passed"
# What part of the time is over when each level ends: what has come to one is shown although more is on its way. Nearly
# all nodes are of the first.
_LEVELS = {1: 0.8, 2: 0.95, 3: 1.0}
_ROUNDS = 8
# With the nodes above them they are less than a transaction.
_MARKS_AT_ONCE = 45
# More rows of shares are read as one partition.
_MOST_ASKED_FOR = 4


class CountsLevels:
    """Copies counts upward. `followed_at` says up to when the copies are complete; `clock` gives seconds that never run
    backwards."""

    def __init__(self, tables: Tables, followed_at: Callable[[], datetime], clock: Callable[[], float]) -> None:
        self._tables = tables
        self._rows = tables.table(INDEX_TABLE)
        self._followed_at = followed_at
        self._clock = clock

    def carry_out(self, table: str, partition_key: str, contents: Sequence[Mapping[str, Any]]) -> None:
        """What the outbox of a partition says of copies. Doing it again changes nothing."""
        self.copy(table, partition_key, {share for content in contents for share in content["shares"]})

    def copy(self, table: str, partition_key: str, shares: Collection[int]) -> int:
        """Bring these shares of a partition's counts to the first level; how many differed there. Raises
        TryLaterError."""
        source = self._tables.table(table)
        nodes = [Node.above(table, partition_key, share) for share in sorted(shares)]
        differed = 0
        for share, node in zip(sorted(shares), nodes, strict=True):

            def read(share: int = share) -> Counts:
                return shown_in(share, partition_key, counts_in(source.find(partition_key, COUNTS_ROW)))

            differed += self._write((node.children, escape_key(partition_key)), read, {"scope": partition_key})
        self.mark(nodes)
        return differed

    def mark(self, nodes: Sequence[Node]) -> None:
        """Say that nodes are to be summed up anew."""
        for start in range(0, len(nodes), OPERATIONS_PER_TRANSACTION):
            together = nodes[start : start + OPERATIONS_PER_TRANSACTION]
            self._rows.transact(STALE, [Save(_mark_of(node)) for node in together])

    def any_stale(self) -> bool:
        """Whether something is to be summed up: one call."""
        return any(True for _ in scan(self._rows, [partition(STALE)], size=1))

    def refresh(self, *, seconds: float) -> bool:
        """Make every stale node the sum of its children, level by level, so that a change comes to the top at once.
        False when the time was over before all was done: the next pass goes on."""
        followed_at, began, complete = self._followed_at(), self._clock(), True
        for level, part in _LEVELS.items():
            deadline = began + seconds * part
            for number, marks in enumerate(self._marks(level)):
                if number and self._clock() > deadline:
                    complete = False
                    break
                self._refresh(marks)
        if complete:
            # Whatever was marked before the pass began has come to the top by now, whoever took the marks away.
            self._rows.transact(DESK, [Save(Row(DESK, _PASSED, {"at": followed_at}))])
        return complete

    def desk(self) -> tuple[datetime | None, dict[str, Counts]]:
        """The desk's counts by table, and up to when all changes are in them; None before the first pass to the end,
        if something is on its way. Three calls, or four."""
        # In this order: what had been copied by then, and is not stale, is summed up.
        followed_at, on_its_way = self._followed_at(), self.any_stale()
        rows = {row.row_key: row for row in scan(self._rows, [partition(DESK)])}
        passed = rows.pop(_PASSED, None)
        as_of = passed.time("at") if passed is not None else None
        return as_of if on_its_way else followed_at, {name: counts_in(row) for name, row in rows.items()}

    def of_sites(self, table: str, sites: Collection[str]) -> Counts:
        """The cells of some sites: some calls at most, however many sites."""
        places = {Node(table, share_of(site)).place for site in sites}
        if len(places) <= _MOST_ASKED_FOR:
            asked = [self._rows.find(*place) for place in sorted(places)]
            rows = [row for row in asked if row is not None]
        else:
            every = scan(self._rows, [partition(Node(table).children)])
            rows = [row for row in every if (row.partition_key, row.row_key) in places]
        # Each site is in one share alone.
        return {cell: count for row in rows for cell, count in counts_in(row).items() if cell[1] in sites}

    # Within

    def _marks(self, level: int) -> Iterator[list[Row]]:
        after: str | None = None
        while True:
            where = [partition(STALE), *row_key_prefix(f"{level}|")]
            page = self._rows.page(where, size=_MARKS_AT_ONCE, after=after)
            yield list(page.rows)
            after = page.next
            if after is None:
                return

    def _refresh(self, marks: Sequence[Row]) -> None:
        nodes = [Node.parse(mark.text("children")) for mark in marks]
        for node in nodes:

            def read(node: Node = node) -> Counts:
                return node.sum_of(map(counts_in, scan(self._rows, [partition(node.children)])))

            self._write(node.place, read, {})
        above = dict.fromkeys(node.parent for node in nodes if node.parent is not None)
        operations: list[Operation] = [Save(_mark_of(node)) for node in above]
        operations += [Delete(mark.row_key, mark.etag) for mark in marks]
        while operations:
            try:
                self._rows.transact(STALE, operations)
            except ChangedMeanwhileError as error:
                # Somebody marked it again: the next pass looks once more.
                left = [one for one in operations if not (isinstance(one, Delete) and one.row_key == error.row_key)]
                if len(left) == len(operations):
                    raise
                operations = left
            else:
                return

    def _write(self, place: tuple[str, str], read: Callable[[], Counts], beside: Mapping[str, Value]) -> bool:
        """Copy what `read` gives to its place, and whether there was something else; `read` is called after the place
        was looked at."""
        for _ in range(_ROUNDS):
            present = self._rows.find(*place)
            values = {**beside, **columns_of(read())}
            if present is not None and present.values == values:
                return False
            row = Row(*place, values, "" if present is None else present.etag)
            try:
                self._rows.transact(place[0], [Create(row) if present is None else Replace(row)])
            except (AlreadyExistsError, ChangedMeanwhileError):
                continue
            return True
        raise TryLaterError(Reason.CONTENDED, f"The counts at {place[0]} {place[1]} keep changing.")


def _mark_of(node: Node) -> Row:
    return Row(STALE, f"{node.level}|{node.children}", {"children": node.children})
