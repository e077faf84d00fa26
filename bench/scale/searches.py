"""Searches among the instances of a fleet, by the real code; the index has what the product makes of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bench.scale.capacity import Processor
from bench.scale.engine import Engine
from bench.scale.follow_ups import FollowUps
from bench.scale.parts import Fleet
from bench.scale.storage import Storage
from bench.table_store import Partition
from lab.emulators.ec2.records import Generated, Record
from shared import bootstrap
from shared.index.terms import search_words
from shared.records.desk import RecordFilters
from shared.records.index_rows import index_rows
from shared.records.model import column_of
from shared.storage.names import ASSETS_TABLE, INDEX_TABLE
from shared.storage.rows import Row, Value
from shared.text import escape_key

# As the fields of `bench.worlds` name an instance.
_NUMBER = 123
_FLOW = "search"


@dataclass(frozen=True)
class Searched:
    """One search: what was typed, how many rows of the index begin so, how many records the first page shows, and what
    it took."""

    what: str
    words: str
    rows: int
    found: int
    calls: int
    seconds: float


class Searches:
    """Searches for what one instance has alone, and for what one of each account and region has too."""

    def __init__(self, engine: Engine, storage: Storage, fleet: Fleet, follow_ups: FollowUps) -> None:
        self._follow_ups = follow_ups
        self._engine = engine
        self._storage = storage
        self._fleet = fleet

    def play(self) -> list[Searched]:
        """Each with a worker that has asked before."""
        records = [(place, self._record(*place)) for place in self._fleet.places()]
        rows = [_row(*place, record) for place, record in records]
        for row in rows:
            self._follow_ups.note(ASSETS_TABLE, row.partition_key, marked=False)
        (_, one) = records[len(records) // 2]
        name = one.tags.get("Name", "")
        asked = {
            "an instance's id": one.instance_id,
            "the beginning of an id": one.instance_id[:8],
            "a name that many have": name,
            "an address that many have": one.private_ip or "",
        }
        return [self._search(what, words, rows) for what, words in asked.items() if words]

    # Within

    def _record(self, account: str, region: str) -> Record:
        count = self._fleet.count_of(account, region)
        generated = Generated(account, region, count)
        return next(islice(generated.after(min(_NUMBER, count - 1)), 1))[1]

    def _search(self, what: str, words: str, rows: list[Row]) -> Searched:
        first = escape_key(search_words(words).first)
        store = self._storage.store
        index: dict[str, Partition] = {}
        store.tables[INDEX_TABLE] = index
        store.tables[ASSETS_TABLE] = {}
        begins = 0
        for row in rows:
            found = {key: told for key, told in index_rows(ASSETS_TABLE, row).items() if key.row.startswith(first)}
            begins += len(found)
            for key, told in found.items():
                index.setdefault(key.partition, Partition()).rows[key.row] = _entity(Row(*key, told))
            if found:
                partition = store.tables[ASSETS_TABLE].setdefault(row.partition_key, Partition())
                partition.put(row.row_key, _entity(row))
        for one in index.values():
            one.order = sorted(one.rows)
        desk, filters = bootstrap.asset_desk(), RecordFilters({}, q=words)
        calls = self._engine.tally.of[_FLOW].calls
        before, self._engine.flow = calls.total(), _FLOW
        with self._engine.playing(self._engine.at, Processor()):
            began = self._engine.at
            items, _, _ = desk.page(filters, size=50, after=None, sites=None)
        return Searched(what, words, begins, len(items), calls.total() - before, self._engine.at - began)


def _row(account: str, region: str, record: Record) -> Row:
    told = {
        "source_id": record.instance_id,
        column_of("name"): record.tags.get("Name"),
        column_of("asset-number"): record.tags.get("AssetNumber"),
        column_of("ip-address"): record.private_ip,
    }
    values: dict[str, Value] = {column: value for column, value in told.items() if value is not None}
    moment = bootstrap.now()
    values |= {"created_at": moment, "changed_at": moment, "active": True, "imported_by": "acorn"}
    return Row(f"aws:{account}:{region}", f"asset:{escape_key(record.instance_id)}", values)


def _entity(row: Row) -> Mapping[str, Any]:
    return {**json.loads(row.entity), "odata.etag": 'W/"made-up"'}
