"""What follows from changes: the outbox's timer and queue bring the index and the counts to what was written, in truth
or after it."""

import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bench.scale.engine import Call, Engine
from bench.scale.host import Message
from bench.scale.storage import Storage
from bench.table_store import Partition
from shared.counts.cells import ACTIVE, RECORD, Counts
from shared.counts.levels import STALE
from shared.counts.partition_row import columns_of
from shared.counts.trees import Node, share_of
from shared.outbox.gathered import LATER, MARKED, SETTLED, MarkedPartition, Marker, MarkersMessage
from shared.storage.names import ASSETS_TABLE, INDEX_TABLE, OUTBOX_QUEUE, OUTBOX_TABLE, TICKETS_TABLE
from shared.storage.rows import Row
from shared.text import escape_key

TIMER = "follow_marked_partitions"
_EVERY = 60.0
# As the product looks once more, and lets a marker go.
_SETTLES_AFTER, _SURELY_OVER = timedelta(minutes=3), timedelta(hours=2)
# Messages with almost as many partitions to carry out are of a kind.
_ROUNDED_TO = 5
_WHOLE = 20
# Ids of instances are hexadecimal: where one stands in the index, others of its kind may stand as well.
_OF_AN_ID = re.compile(r"(?<=:find:)[0-9a-f]{2}$")


class FollowUps:
    """`Flow` of `bench.scale.player`. Partitions of records are carried out in truth for a sample, those of tickets
    always."""

    name = "index"
    begins_with = frozenset({TIMER, OUTBOX_QUEUE})

    def __init__(self, engine: Engine, storage: Storage) -> None:
        self._engine = engine
        self._storage = storage
        # Has a partition of records there, with what is to follow in it.
        self.make: Callable[[str], None] = lambda _: None
        # When each partition changed last that nobody has carried out since.
        self._waiting: dict[MarkedPartition, float] = {}
        self._share = 0
        self._next = _EVERY
        # After how many seconds the index had followed, for each partition.
        self.lags: list[float] = []

    def settle_counts(self, partitions: Iterable[str], site: str) -> None:
        """The counts above these partitions of records, as yesterday left them."""
        self._share = share_of(site)
        counts: Counts = {(RECORD, site, "server", ACTIVE): 600}
        index = self._storage.store.tables.setdefault(INDEX_TABLE, {})
        for partition in partitions:
            node = Node.above(ASSETS_TABLE, partition, self._share)
            row = Row(node.children, escape_key(partition), {"scope": partition, **columns_of(counts)})
            index.setdefault(node.children, Partition()).put(row.row_key, _entity(row))

    def note(self, table: str, partition: str, *, marked: bool) -> None:
        """Something changed there. Unless it is `marked` already, it is marked here."""
        place = MarkedPartition(table, partition)
        self._waiting[place] = self._engine.at
        if not marked:
            self._put(Marker(place, self._engine.now().replace(second=0, microsecond=0)))

    def wakes(self, due: float | None) -> tuple[float, Message] | None:
        """The outbox's timer, each minute while there is something to do or to look at; `due` is when anything else
        happens."""
        if due is None:
            stale = self._storage.store.tables.get(INDEX_TABLE, {}).get(STALE)
            marked = any(self._rows(MARKED + table) for table in (ASSETS_TABLE, TICKETS_TABLE))
            if marked or (stale is not None and stale.rows):
                due = self._next
            elif settled := self._rows(SETTLED):
                # Their keys begin with their moments.
                last = int(max(settled).partition(":")[0]) / 1e6 - self._engine.begins.timestamp()
                due = self._next = max(self._next, last + _SURELY_OVER.total_seconds() + _EVERY)
            else:
                return None
        if self._next > due:
            return None
        at, self._next = self._next, self._next + _EVERY
        return at, Message(TIMER, "", (int(at), 0, 0))

    def kind_of(self, message: Message) -> str:
        markers = _markers_of(message)
        if len(markers) < _WHOLE or any(one.place.table != ASSETS_TABLE for one in markers):
            return ""
        waiting = sum(one.place in self._waiting for one in markers)
        return f"what follows in {-(-waiting // _ROUNDED_TO) * _ROUNDED_TO} of 20 partitions"

    def places_of(self, message: Message) -> tuple[str, ...]:
        return tuple(f"/{one.place.partition}" for one in _markers_of(message))

    def prepare(self, message: Message) -> None:
        there = self._storage.store.tables.get(ASSETS_TABLE, {})
        for marker in _markers_of(message):
            is_made_up = marker.place.table == ASSETS_TABLE and not _is_waiting(there.get(marker.place.partition))
            if is_made_up and marker.place in self._waiting:
                self.make(marker.place.partition)

    def forget(self, message: Message) -> None:
        for marker in _markers_of(message):
            table = self._storage.store.tables.get(marker.place.table, {})
            if not _is_waiting(table.get(marker.place.partition)):
                self._is_done(marker.place)
                if marker.place.table == ASSETS_TABLE:
                    table.pop(marker.place.partition, None)

    def settle(self, message: Message) -> None:
        now = self._engine.now()
        for marker in _markers_of(message):
            if marker.place in self._waiting:
                self._is_done(marker.place)
                self._stale(marker.place.partition)
            self._storage.store.tables.get(ASSETS_TABLE, {}).pop(marker.place.partition, None)
            if marker.at + _SETTLES_AFTER > now:
                continue
            self._remove(marker)
            if not marker.settled and marker.at + _SURELY_OVER > now:
                self._put(replace(marker, settled=True))

    def elsewhere(self, call: Call, chance: random.Random) -> Call:
        asked = tuple(
            (limit, _OF_AN_ID.sub(f"{chance.randrange(256):02x}", whose), units) for limit, whose, units in call.asked
        )
        return replace(call, asked=asked)

    @property
    def left(self) -> int:
        """How many partitions nobody has carried out."""
        return len(self._waiting)

    # Within

    def _is_done(self, place: MarkedPartition) -> None:
        changed_at = self._waiting.pop(place, None)
        if changed_at is not None:
            self.lags.append(self._engine.at - changed_at)

    def _rows(self, partition: str) -> Mapping[str, Any]:
        found = self._storage.store.tables.get(OUTBOX_TABLE, {}).get(partition)
        return found.rows if found is not None else {}

    def _put(self, marker: Marker) -> None:
        partitions = self._storage.store.tables.setdefault(OUTBOX_TABLE, {})
        partitions.setdefault(marker.row.partition_key, Partition()).put(marker.row_key, _entity(marker.row))

    def _stale(self, partition: str) -> None:
        """What stands above the counts of a partition is to be summed up anew."""
        node = Node.above(ASSETS_TABLE, partition, self._share)
        row = Row(STALE, f"{node.level}|{node.children}", {"children": node.children})
        index = self._storage.store.tables.setdefault(INDEX_TABLE, {})
        index.setdefault(STALE, Partition()).put(row.row_key, _entity(row))

    def _remove(self, marker: Marker) -> None:
        partition = marker.row.partition_key
        if marker.row_key in self._rows(partition):
            self._storage.store.tables[OUTBOX_TABLE][partition].remove(marker.row_key)


def _markers_of(message: Message) -> tuple[Marker, ...]:
    content = json.loads(message.text) if message.queue == OUTBOX_QUEUE else {}
    return MarkersMessage.parse(content).markers if "markers" in content else ()


def _entity(row: Row) -> Mapping[str, Any]:
    return {**json.loads(row.entity), "odata.etag": 'W/"made-up"'}


def _is_waiting(partition: Partition | None) -> bool:
    return partition is not None and any(key.startswith(LATER) for key in partition.rows)
