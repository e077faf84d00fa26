"""The import of a tenant's fleet: accounts in 17 regions, three of them in use. Yesterday the product imported it."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from bench.scale.clouds import Aws, account_id, account_number
from bench.scale.engine import Call, Engine
from bench.scale.follow_ups import FollowUps
from bench.scale.host import Message
from bench.scale.storage import Storage
from bench.table_store import Partition, TableStore
from bench.worlds import FIELD_MAPPINGS
from shared import bootstrap
from shared.bootstrap.sources import SOURCES
from shared.imports.part_import import PartImport
from shared.imports.plan.model import Trigger
from shared.imports.runs.model import Mode, Part, PartState, Run
from shared.imports.runs.repository import RunRepository
from shared.outbox.gathered import LATER
from shared.records.match_rows import MatchRows
from shared.storage.names import ASSETS_TABLE, IMPORT_PARTS_QUEUE, RUNS_TABLE, SETTINGS_TABLE
from shared.text import escape_key

TENANT = "acorn"
KIND = "aws-tenants"
REGIONS = (
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "eu-west-1", "eu-west-2"),
    *("eu-west-3", "eu-central-1", "eu-north-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1"),
    *("ap-northeast-2", "ap-northeast-3"),
)
_IN_USE = 3
_ACCOUNTS = "aws-accounts:"
_EXAMPLES = 8


@dataclass(frozen=True)
class Fleet:
    """`instances` instances over the regions in use of the accounts."""

    accounts: int
    instances: int

    @property
    def parts(self) -> int:
        return self.accounts * len(REGIONS)

    def places(self) -> Iterator[tuple[str, str]]:
        """The accounts and regions that have instances."""
        for number in range(1, self.accounts + 1):
            for region in REGIONS[:_IN_USE]:
                if self.count_of(account_id(number), region):
                    yield account_id(number), region

    def count_of(self, account: str, region: str) -> int:
        place = REGIONS.index(region)
        if place >= _IN_USE:
            return 0
        number = (account_number(account) - 1) * _IN_USE + place
        used = self.accounts * _IN_USE
        return self.instances // used + (number < self.instances % used)


class PartsFlow:
    """A daily import by its timer, `Flow` of `bench.scale.player`."""

    name = "import"

    def __init__(self, engine: Engine, storage: Storage, aws: Aws, fleet: Fleet, follow_ups: FollowUps) -> None:
        self._engine = engine
        self._storage = storage
        self._aws = aws
        self._fleet = fleet
        self._objects: dict[str, Any] = {}
        self._examples: list[tuple[str, str]] = []
        self._made = 0
        self._follow_ups = follow_ups
        (source,) = [one for one in SOURCES if one.kind == KIND]
        self.timer = f"import_{source.name}_{source.records}"
        self.begins_with = frozenset({self.timer, IMPORT_PARTS_QUEUE})

    def settle_settings(self) -> None:
        """The documents, as an operator would write them."""
        put = bootstrap.settings().put
        put("customers", "st-johns", {"title": "St Johns High School"}, by="scale")
        put("sites", "leeds", {"title": "Leeds", "customer": "st-johns"}, by="scale")
        put("asset-types", "server", {"title": "Server"}, by="scale")
        put(KIND, TENANT, tenant(), by="scale")
        self._follow_ups.settle_counts(
            (_partition_of(account, region) for account, region in self._fleet.places()), "leeds"
        )

    def kind_of(self, message: Message) -> str:
        place = _place_of(message)
        if place is None:
            return ""
        count = self._fleet.count_of(*place)
        return f"part of {count:,} instances" if count else "part without an instance"

    def places_of(self, message: Message) -> tuple[str, ...]:
        place = _place_of(message)
        return place[:1] if place is not None else ()

    def prepare(self, message: Message) -> None:
        place = _place_of(message)
        if place is None or not self._fleet.count_of(*place):
            return
        name = _partition_of(*place)
        rows = self._imported(place, days=1)
        self._storage.store.tables.setdefault(ASSETS_TABLE, {})[name] = Partition(dict(rows), sorted(rows))
        self._yesterdays = rows

    def make_changed(self, partition_key: str) -> None:
        """Have there what an import of today leaves in the partition: what it wrote, and what is to follow. A few are
        imported; the others are like these."""
        if len(self._examples) < _EXAMPLES:
            _, account, region = partition_key.split(":")
            changed = self._imported((account, region), days=2)
            self._examples.append((partition_key, json.dumps(changed)))
        name, changed_text = self._examples[self._made % len(self._examples)]
        self._made += 1
        rows = json.loads(changed_text.replace(name, partition_key))
        self._storage.store.tables.setdefault(ASSETS_TABLE, {})[partition_key] = Partition(rows, sorted(rows))

    def _imported(self, place: tuple[str, str], days: int) -> dict[str, Mapping[str, Any]]:
        """The rows of a part that was imported yesterday; or, of two days, those that today's import wrote."""
        scratch, kept = TableStore(), self._storage.store
        scratch.tables[SETTINGS_TABLE] = kept.tables[SETTINGS_TABLE]
        # What is known of the accounts; the runs themselves are today's.
        known = {name: rows for name, rows in kept.tables[RUNS_TABLE].items() if name.startswith(_ACCOUNTS)}
        scratch.tables[RUNS_TABLE] = known
        others = bootstrap.swap_instances(self._objects)
        self._storage.store, self._aws.yesterday = scratch, True
        try:
            # Each value of a new record has a row in the index, which nobody asks for here.
            with patch.object(MatchRows, "announce"):
                self._import(":".join(place))
            partition = scratch.tables[ASSETS_TABLE][_partition_of(*place)]
            # What followed from it has followed.
            for key in [key for key in partition.order if key.startswith(LATER)]:
                partition.remove(key)
            if days > 1:
                before_today = dict(partition.rows)
                self._aws.yesterday = False
                self._import(":".join(place))
                return {key: row for key, row in partition.rows.items() if before_today.get(key) is not row}
        finally:
            self._storage.store, self._aws.yesterday = kept, False
            self._objects = bootstrap.swap_instances(others)
        return partition.rows

    def _import(self, name: str) -> None:
        source_type = bootstrap.imports().sources[KIND]
        source = source_type.source(TENANT)
        moment = bootstrap.now()
        run = Run("before", KIND, TENANT, Mode.IMPORT, "scheduled", moment, "schedule")
        part = Part(run.id, name, PartState.RUNNING, moment, attempt_id="before", heartbeat_at=moment)
        runs = RunRepository(bootstrap.tables().table(RUNS_TABLE))
        policy = source.policy(Trigger.SCHEDULED)
        PartImport(runs, source_type.rows, source, run, part, bootstrap.now, policy=policy).run()

    def forget(self, message: Message) -> None:
        place = _place_of(message)
        if place is None or not self._fleet.count_of(*place):
            return
        partition = self._storage.store.tables[ASSETS_TABLE][_partition_of(*place)]
        partition.rows = {key: row for key, row in partition.rows.items() if self._yesterdays.get(key) is not row}
        partition.order = sorted(partition.rows)
        if any(key.startswith(LATER) for key in partition.rows):
            self._follow_ups.note(ASSETS_TABLE, _partition_of(*place), marked=True)

    def settle(self, message: Message) -> None:
        told = json.loads(message.text)
        rows = self._storage.store.tables[RUNS_TABLE][told["run_id"]]
        key = escape_key(told["part"])
        part = rows.rows[f"part:{key}"]
        rows.rows[f"part:{key}"] = {**part, "state": "done", "finished_at": part["queued_at"]}
        rows.remove(f"open:{key}")
        place = _place_of(message)
        if place is not None and self._fleet.count_of(*place):
            self._follow_ups.note(ASSETS_TABLE, _partition_of(*place), marked=False)

    def elsewhere(self, call: Call, chance: random.Random) -> Call:
        del chance
        return call

    def done(self) -> tuple[int, str]:
        """How many parts are done, and how the run ended."""
        (run,) = bootstrap.runs().page("", "", 2, None)[0]
        return run.counts.get("parts_done", 0), run.state


def _place_of(message: Message) -> tuple[str, str] | None:
    """Account and region of a part with records."""
    if message.queue != IMPORT_PARTS_QUEUE:
        return None
    account, _, region = str(json.loads(message.text)["part"]).partition(":")
    return (account, region) if account.isdigit() else None


def _partition_of(account: str, region: str) -> str:
    return f"aws:{account}:{region}"


def tenant() -> Mapping[str, Any]:
    """A tenant whose accounts are those of its organization."""
    return {
        "title": "Acorn Construction",
        "syncing": True,
        "access": {
            "method": "access_key",
            "access_key_id": "AKIAEXAMPLE",
            "secret": {"in_place": {"store": "kv", "secret": "aws"}},
        },
        "organization": {"account_role": "desk"},
        "regions": list(REGIONS),
        "field_mappings": FIELD_MAPPINGS,
        "asset_type": {"default": "server"},
        "default_site": "leeds",
    }
