"""Follow-ups that wait for others of their partition: no row and no message a change, so that an event stays cheap.

1. A *marker* says "this partition changes in this minute". It is saved before the change, and only for the first change
   of a worker in that minute.
2. The change's transaction carries one row `~later:<id>` with what is to follow.
3. A timer reads the markers and sends a message for twenty of them. Whoever gets it carries out all that the partitions
   hold, and removes those rows. What has to be written exactly once is written in the transaction that removes them.
4. A marker whose minute is safely over and whose partition holds nothing is *settled*. When no worker can live that
   still relies on it, its partition is looked at once more, and the marker goes.

A lease in the partition lets one worker carry out at a time, so that none writes what another has seen to be old.
"""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from shared.errors import ConflictError, DeskbridgeError, InvalidInputError
from shared.outbox.model import FollowUp, follow_ups_of
from shared.reasons import Reason
from shared.storage.names import OUTBOX_TABLE
from shared.storage.rows import Create, Delete, Operation, Replace, Row, Save, Value, pack
from shared.storage.tables import Condition, Table, Tables, delete_present, partition, scan
from shared.text import ascending

logger = logging.getLogger(__name__)

# Behind all other rows of a partition, where no list and no import looks.
LATER = "~later"
# Partitions of the table `outbox`: one of markers for each table, so that nobody reads past those of others, and one of
# those that are settled. Their rows sort by time, oldest first.
MARKED = "marked:"
SETTLED = "settled"
_BEHIND_MARKED = Condition("PartitionKey", "lt", "marked;")

# No storage call lasts as long from the marker to the change.
_SETTLES_AFTER = timedelta(minutes=3)
# No worker lives as long: a function ends after 30 minutes.
_SURELY_OVER = timedelta(hours=2)
# Longer than clocks of workers differ, and than a thousand records take.
_LEASED_FOR = timedelta(minutes=15)
# A lease is renewed with each so many rows; they name some thousand records.
_ROWS_AT_ONCE = 20
_MARKERS_A_MESSAGE = 20
_PAGES_A_TIMER = 20
# A partition answers 2,000 rows a second, and changes are marked there at the same time.
_BETWEEN_PAGES = 0.7
# With one more they are a page.
_MOST_TOLD = 999
_FAR_BEHIND = timedelta(minutes=15)


@dataclass(frozen=True)
class Carried:
    """What goes into the transaction that removes the follow-ups, and what follows from it in the same partition."""

    operations: tuple[Operation, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()


# Carries out what follows in one partition: table, partition, what each follow-up says. Again must change nothing.
GatheredHandler = Callable[[str, str, Sequence[Mapping[str, Any]]], Carried | None]


class MarkedPartition(NamedTuple):
    """A partition in which something may have changed."""

    table: str
    partition: str


@dataclass(frozen=True)
class Marker:
    """What leads to a partition that changes. `at` is the beginning of its minute."""

    place: MarkedPartition
    at: datetime
    settled: bool = False

    @property
    def row_key(self) -> str:
        return f"{ascending(self.at)}:{hashlib.sha256('|'.join(self.place).encode()).hexdigest()[:20]}"

    @property
    def row(self) -> Row:
        values: dict[str, Value] = {"table": self.place.table, "scope": self.place.partition, "at": self.at}
        return Row(SETTLED if self.settled else MARKED + self.place.table, self.row_key, values)

    @classmethod
    def of(cls, row: Row) -> "Marker":
        at = row.time("at")
        assert at is not None  # noqa: S101 - written with every row
        return cls(MarkedPartition(row.text("table"), row.text("scope")), at, row.partition_key == SETTLED)


@dataclass(frozen=True)
class MarkersMessage:
    """Which markers the queue speaks of."""

    markers: tuple[Marker, ...]

    @property
    def text(self) -> str:
        return json.dumps({"markers": [[*one.place, one.at.isoformat(), one.settled] for one in self.markers]})

    @classmethod
    def parse(cls, content: Any) -> "MarkersMessage":
        """Raises InvalidInputError for what no outbox sent."""
        try:
            return cls(
                tuple(
                    Marker(
                        MarkedPartition(str(table), str(scope)),
                        datetime.fromisoformat(at).astimezone(UTC),
                        bool(settled),
                    )
                    for table, scope, at, settled in content["markers"]
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(Reason.BODY_INVALID, "The message is none of the outbox.") from error


@dataclass(frozen=True)
class Unsettled:
    """Where something may not be carried out yet. `places` None: in too many partitions to tell.

    All that was written before `as_of` is carried out, wherever it was written.
    """

    as_of: datetime
    places: frozenset[MarkedPartition] | None

    def holds(self, place: MarkedPartition) -> bool:
        return self.places is None or place in self.places


class GatheredOutbox:
    """Keeps follow-ups and carries them out, partition by partition."""

    def __init__(self, tables: Tables, handlers: Mapping[str, GatheredHandler], now: Callable[[], datetime]) -> None:
        self._tables = tables
        self._markers = tables.table(OUTBOX_TABLE)
        self._handlers = handlers
        self._now = now
        # Of the present minute: what this worker has marked.
        self._marked: tuple[datetime, set[MarkedPartition]] = (datetime.min.replace(tzinfo=UTC), set())

    def following(self, table: str, partition_key: str, follow_ups: Sequence[FollowUp]) -> Create:
        """Mark the partition; the operation that goes into the change's own transaction, to be written at once."""
        place, now = MarkedPartition(table, partition_key), self._now()
        minute = now.replace(second=0, microsecond=0)
        if self._marked[0] != minute:
            self._marked = (minute, set())
        marked = self._marked[1]
        if place not in marked:
            self._markers.transact(MARKED + table, [Save(Marker(place, minute).row)])
            marked.add(place)
        return _later(partition_key, follow_ups, now)

    def due(self) -> list[MarkersMessage]:
        """The messages to send, oldest markers first: some twenty thousand markers of each table at most."""
        over = Condition("RowKey", "lt", ascending(self._now() - _SURELY_OVER))
        found: list[Marker] = []
        for where in (*([partition(one)] for one, _ in self._oldest()), [partition(SETTLED), over]):
            after: str | None = None
            for _ in range(_PAGES_A_TIMER):
                page = self._markers.page(where, after=after)
                found += map(Marker.of, page.rows)
                after = page.next
                if after is None:
                    break
                time.sleep(_BETWEEN_PAGES)
        # A partition's markers of several minutes are one look.
        found.sort(key=lambda one: (one.place, one.at))
        starts = range(0, len(found), _MARKERS_A_MESSAGE)
        return [MarkersMessage(tuple(found[start : start + _MARKERS_A_MESSAGE])) for start in starts]

    def as_of(self, table: str = "") -> datetime:
        """Up to when all that was written in a table is carried out: one call of one row. Of all tables without one: a
        call each that has markers, and one."""
        first = self.marked(table, size=1) if table else (marker for _, marker in self._oldest())
        return min([self._now(), *(marker.at for marker in islice(first, 1 if table else None))])

    def unsettled(self, table: str) -> Unsettled:
        """What may not be carried out yet in a table: one call."""
        now = self._now()
        markers = list(islice(self.marked(table), _MOST_TOLD + 1))
        as_of = min([now, *(one.at for one in markers)])
        return Unsettled(as_of, None if len(markers) > _MOST_TOLD else frozenset(one.place for one in markers))

    def marked(self, table: str, size: int = 1_000) -> Iterator[Marker]:
        """Every partition of a table where something may not be carried out yet, and since when; oldest first."""
        return map(Marker.of, scan(self._markers, [partition(MARKED + table)], size=size))

    def behind(self) -> timedelta | None:
        """By how much the carrying out is late, when it is far too late; None when all is well."""
        late = self._now() - self.as_of()
        return late if late > _FAR_BEHIND else None

    def carry_out(self, message: MarkersMessage) -> None:
        """Carry out what the partitions hold. One that fails keeps its marker, and stops no other.

        Raises the first failure at the end: then the queue gives the message again.
        """
        began = self._now()
        by_place: dict[MarkedPartition, list[Marker]] = {}
        for marker in message.markers:
            by_place.setdefault(marker.place, []).append(marker)
        done: list[Marker] = []
        failures: list[Exception] = []
        for place, markers in by_place.items():
            try:
                if self.carry_out_at(place):
                    done += [one for one in markers if one.at + _SETTLES_AFTER <= began]
            except Exception as error:  # noqa: BLE001 - raised below, once the others had their turn
                logger.warning("What follows in %s of %s is not carried out: %s", place.partition, place.table, error)
                failures.append(error)
        self._settle(done, began)
        if failures:
            raise failures[0]

    def carry_out_at(self, place: MarkedPartition) -> bool:
        """Carry out what one partition holds; whether nothing was left at a moment after the call."""
        table = self._tables.table(place.table)
        where = [partition(place.partition), Condition("RowKey", "ge", LATER), Condition("RowKey", "lt", LATER + ";")]
        lease: Row | None = None
        while True:
            # Not one page: that may be empty while there is more.
            rows = list(islice(scan(table, where, size=_ROWS_AT_ONCE + 1), _ROWS_AT_ONCE + 1))
            present = next((row for row in rows if row.row_key == LATER), None)
            held = [row for row in rows if row.row_key != LATER][:_ROWS_AT_ONCE]
            if not held:
                if lease is not None:
                    self._release(table, lease)
                return True
            lease = self._lease(table, place, present, lease)
            if lease is None:
                return False
            try:
                carried = self._do(place, held)
                table.transact(place.partition, [*(Delete(row.row_key) for row in held), *carried])
            except Exception:
                # Whoever tries again need not wait for the lease to end.
                self._release(table, lease)
                raise

    # Within

    def _oldest(self) -> Iterator[tuple[str, Marker]]:
        """The partitions of markers, and the oldest of each."""
        begin = Condition("PartitionKey", "ge", MARKED)
        while (row := next(scan(self._markers, [begin, _BEHIND_MARKED], size=1), None)) is not None:
            yield row.partition_key, Marker.of(row)
            begin = Condition("PartitionKey", "gt", row.partition_key)

    def _release(self, table: Table, lease: Row) -> None:
        with suppress(DeskbridgeError):
            table.transact(lease.partition_key, [Delete(LATER, lease.etag)])

    def _do(self, place: MarkedPartition, rows: Iterable[Row]) -> list[Operation]:
        """What is to be written when the rows are removed."""
        by_kind: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            for follow_up in follow_ups_of(row):
                by_kind.setdefault(follow_up.kind, []).append(follow_up.content)
        carried = [self._handlers[kind](*place, contents) or Carried() for kind, contents in by_kind.items()]
        operations = [operation for one in carried for operation in one.operations]
        follow_ups = [follow_up for one in carried for follow_up in one.follow_ups]
        # The next look at the partition finds it; the markers stay until there is nothing more.
        return [*operations, *([_later(place.partition, follow_ups, self._now())] if follow_ups else [])]

    def _lease(self, table: Table, place: MarkedPartition, present: Row | None, own: Row | None) -> Row | None:
        """The lease as it was written; None while another worker has it."""
        now = self._now()
        until = present.time("until") if present is not None else None
        if until is not None and until > now and (own is None or present is None or present.etag != own.etag):
            return None
        row = Row(place.partition, LATER, {"until": now + _LEASED_FOR}, present.etag if present is not None else "")
        operation: Operation = Replace(row) if row.etag else Create(row)
        try:
            return replace(row, etag=table.transact(place.partition, [operation])[0])
        except ConflictError:
            return None

    def _settle(self, done: Sequence[Marker], began: datetime) -> None:
        """Markers of partitions that held nothing: they wait for the last look, or go after it."""
        settling = [one for one in done if not one.settled and one.at + _SURELY_OVER > began]
        if settling:
            self._markers.transact(SETTLED, [Save(replace(one, settled=True).row) for one in settling])
        going: dict[str, list[str]] = {}
        for one in done:
            if not one.settled or one.at + _SURELY_OVER <= began:
                going.setdefault(one.row.partition_key, []).append(one.row_key)
        for partition_key, row_keys in going.items():
            delete_present(self._markers, partition_key, row_keys)


def _later(partition_key: str, follow_ups: Sequence[FollowUp], now: datetime) -> Create:
    told = [{"kind": one.kind, "content": one.content} for one in follow_ups]
    return Create(Row(partition_key, f"{LATER}:{ascending(now)}-{secrets.token_hex(4)}", pack("follow_ups", told)))
