"""One reading of the fleet in a process of its own: botocore's bare loop, or a whole import of it."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import boto3

from bench.measuring import Memory
from bench.worlds import DOCUMENT, LabCredentials
from lab.emulators.ec2.accounts import ACCESS_KEY_ID, LONDON, SECRET_ACCESS_KEY
from shared.assets.aws.client import Ec2
from shared.assets.source import Ec2SourceType
from shared.bootstrap.kinds import KINDS
from shared.imports.plan.model import Trigger
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.runner import ImportRunner
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.storage.rest_tables import RestTables


class Stages:
    """CPU seconds by stage, told apart where one hands over to the next."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.process_time()

    def end(self, stage: str) -> None:
        now = time.process_time()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now

    def watch(self, source: Any, records: Any) -> None:
        """Tell the stages of an import by this source apart."""
        feed_of, index, write = source.feed, records.index, records.write

        def feed(name: str) -> Any:
            made = feed_of(name)
            read, map_record = made.read, made.map_record

            def timed_read(part: str) -> Iterator[Sequence[Any]]:
                self.end("other")
                for page in read(part):
                    self.end("read")
                    yield page
                    self.end("plan")
                self.end("read")

            def timed_map(part: str, raw: Any) -> Any:
                self.end("plan")
                desired = map_record(part, raw)
                self.end("map")
                return desired

            made.read, made.map_record = timed_read, timed_map
            return made

        def timed_index(*given: Any) -> Any:
            self.end("other")
            found = index(*given)
            self.end("index")
            return found

        def timed_write(*given: Any) -> None:
            self.end("plan")
            write(*given)
            self.end("write")

        source.feed, records.index, records.write = feed, timed_index, timed_write


def floor() -> dict[str, Any]:
    """What boto3 costs that lists the instances and looks at each."""
    ec2 = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY).client("ec2", region_name=LONDON)
    ec2.describe_instances(MaxResults=5)
    memory, cpu, wall = Memory(), time.process_time(), time.perf_counter()
    count = 0
    for page in ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 1_000}):
        for reservation in page.get("Reservations", ()):
            for _ in reservation.get("Instances", ()):
                count += 1
    return _measured(memory, cpu, wall, {"read": count})


def whole_import(tables_at: str, *, stages: bool = False, preview: bool = False) -> dict[str, Any]:
    tables = RestTables.from_connection_string(tables_at)
    settings = SettingsStore(tables.table("settings"), KINDS, _now)
    ec2 = Ec2(LabCredentials(), lambda *_: "", _now)
    records = RecordTable(tables.table("assets"))
    source = Ec2SourceType(records, settings, lambda: ec2)
    runner = ImportRunner(RunRepository(tables.table("runs")), {source.kind: source}, _now)
    watched = Stages()
    if stages:
        watched.watch(source, records)
    # What a worker has done long before: botocore's models, connections, the rules' engine.
    feed = source.feed(DOCUMENT)
    ec2.caller(feed.document, feed.document.accounts[0])
    next(iter(ec2.read_instances(feed.document, feed.document.accounts[0], LONDON, page_size=5)), None)
    started = runner.start(source.kind, DOCUMENT, trigger=Trigger.SCHEDULED, by="bench", preview=preview)
    watched.begin()
    memory, cpu, wall = Memory(), time.process_time(), time.perf_counter()
    for message in started.messages:
        runner.do_part(message)
    if stages:
        watched.end("plan")
    measured = _measured(memory, cpu, wall, dict(runner.summary(started.run.id).counts))
    return {**measured, "stages": watched.seconds} if stages else measured


def _measured(memory: Memory, cpu: float, wall: float, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "memory": memory.growth(),
        "counts": counts,
    }


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    given = json.load(sys.stdin)
    if given["subject"] == "floor":
        result = floor()
    else:
        how = {name: given[name] for name in ("stages",) if name in given}
        # Several previews may run at the same time; imports of one tenant may not.
        result = whole_import(given["tables"], preview=given["subject"] == "preview", **how)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
