"""One reading of the fleet in a process of its own: botocore's bare loop, or a whole import of it."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import boto3

from bench.measuring import Memory
from bench.worlds import DOCUMENT, LabCredentials
from lab.emulators.ec2.accounts import ACCESS_KEY_ID, LONDON, SECRET_ACCESS_KEY
from shared.assets.accounts import AccountDirectory
from shared.assets.aws.client import Ec2
from shared.assets.source import Ec2SourceType
from shared.bootstrap.kinds import KINDS
from shared.imports.part_rows import PartRows
from shared.imports.plan.model import Trigger
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.runner import ImportRunner
from shared.imports.runs.starter import RunStarter
from shared.index.index import Index
from shared.settings.store import SettingsStore
from shared.storage.rest_tables import RestTables


def floor() -> dict[str, Any]:
    """What boto3 costs that lists the instances and looks at each."""
    ec2 = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY).client("ec2", region_name=LONDON)
    ec2.describe_instances(MaxResults=5)
    memory, cpu = Memory(), time.process_time()
    count = 0
    for page in ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 1_000}):
        for reservation in page.get("Reservations", ()):
            for _ in reservation.get("Instances", ()):
                count += 1
    return _measured(memory, cpu, {"read": count})


def whole_import(tables_at: str) -> dict[str, Any]:
    tables = RestTables.from_connection_string(tables_at)
    settings = SettingsStore(tables.table("settings"), KINDS, _now)
    ec2 = Ec2(LabCredentials(), lambda *_: "", _now)
    directory = AccountDirectory(tables.table("runs"), _now)
    source = Ec2SourceType(
        PartRows(tables.table("assets"), Index(tables.table("index"))), settings, directory, lambda: ec2
    )
    runner = ImportRunner(RunRepository(tables.table("runs")), {source.kind: source}, _now)
    # What a worker has done long before: botocore's models, connections, the rules' engine.
    tenant = source.source(DOCUMENT)
    ec2.caller(tenant.document, tenant.document.accounts[0])
    next(iter(ec2.read_instances(tenant.document, tenant.document.accounts[0], LONDON, page_size=5)), None)
    started = RunStarter(runner).start(source.kind, DOCUMENT, trigger=Trigger.SCHEDULED, by="bench")
    memory, cpu, messages = Memory(), time.process_time(), list(started.messages)
    while messages:
        messages += runner.do_part(messages.pop())
    return _measured(memory, cpu, dict(runner.summary(started.run.id).counts))


def _measured(memory: Memory, cpu: float, counts: dict[str, int]) -> dict[str, Any]:
    return {"cpu": time.process_time() - cpu, "memory": memory.growth(), "counts": counts}


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    given = json.load(sys.stdin)
    print(json.dumps(floor() if given["subject"] == "floor" else whole_import(given["tables"])))


if __name__ == "__main__":
    main()
