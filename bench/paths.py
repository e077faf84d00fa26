"""`make paths`: how far one call travels through the product, as a reader follows it.

A call of a function in `shared` is a step, and so is going on with a generator. Steps in the same file that follow each
other are one visit. `files` are the different files entered, `moves` the changes from one file to another. Everything
is warm: the event is the second of its vault, the part has been imported twice.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from bench.measuring import ROOT
from bench.webhook import HEADERS, Events, event_grid_webhook
from lab.fakes.tables import MemoryTables
from shared.assets.accounts import AccountDirectory
from shared.assets.source import Ec2SourceType
from shared.bootstrap.kinds import KINDS
from shared.imports.part_rows import PartRows
from shared.imports.plan.model import Trigger
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.runner import ImportRunner
from shared.imports.runs.starter import RunStarter
from shared.index.index import Index
from shared.settings.store import SettingsStore

if TYPE_CHECKING:
    from shared.assets.aws.client import Ec2

_PACKAGE = f"{ROOT / 'shared'}/"
_ACCOUNT, _REGION = "111122223333", "eu-west-2"
_TENANT: Mapping[str, Any] = {
    "title": "Acorn Construction",
    "syncing": True,
    "access": {
        "method": "access_key",
        "access_key_id": "AKIAEXAMPLE",
        "secret": {"in_place": {"store": "kv", "secret": "aws"}},
    },
    "accounts": [{"account": _ACCOUNT}],
    "regions": [_REGION],
    "field_mappings": [
        {"source": "tags.Name", "field": "name"},
        {"source": "tags.AssetNumber", "field": "asset-number"},
        {"source": "tags.Note", "field": "notes"},
    ],
    "asset_type": {"default": "server"},
    "default_site": "leeds",
    "deactivate_deleted": True,
    "matching_field": "asset-number",
}


@dataclass(frozen=True)
class CodePath:
    """What one call came to. `order` has the files in the order of their first visit."""

    steps: int
    functions: int
    files: int
    moves: int
    order: tuple[str, ...]

    def __str__(self) -> str:
        counted = f"{self.files} files, {self.moves} moves ({self.steps} calls of {self.functions} functions)"
        return f"{counted}\n    {' > '.join(self.order)}"


def trace(call: Callable[[], object]) -> CodePath:
    """Make the call, and follow it through `shared`."""
    steps: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_PACKAGE):
            steps.append((frame.f_code.co_filename.removeprefix(_PACKAGE), frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    visits = [file for number, (file, _) in enumerate(steps) if number == 0 or steps[number - 1][0] != file]
    return CodePath(
        len(steps), len(set(steps)), len(set(visits)), max(len(visits) - 1, 0), tuple(dict.fromkeys(visits))
    )


def new_event() -> CodePath:
    """One event of Key Vault, from its bytes to the transaction."""
    webhook, events = event_grid_webhook(MemoryTables()), Events()
    first, second = events.some(1), events.some(1)
    webhook.receive("POST", HEADERS, first)
    return trace(lambda: webhook.receive("POST", HEADERS, second))


def part_with_one_instance(*, changed: bool) -> CodePath:
    """A part of an import, from its queue message until it is done."""
    part = _Part()
    for _ in range(2):
        part.run()
    if changed:
        part.instance["tags"]["Name"] = "another name"
    messages = part.start()
    return trace(lambda: part.work(messages))


def settings_document() -> CodePath:
    """A document of a tenant that an operator replaces."""
    settings = _settings()
    changed = {**_TENANT, "title": "Acorn"}
    stored, _ = settings.put("aws-tenants", "acorn", _TENANT, by="paths", if_match="*")
    return trace(lambda: settings.put("aws-tenants", "acorn", changed, by="paths", if_match=str(stored.version)))


PATHS: Mapping[str, Callable[[], CodePath]] = {
    "one new event": new_event,
    "a part with one unchanged instance": lambda: part_with_one_instance(changed=False),
    "a part with one changed instance": lambda: part_with_one_instance(changed=True),
    "one settings document": settings_document,
}


class _Part:
    """A tenant with one account, one region and one instance in it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
        self.instance: dict[str, Any] = {
            "InstanceId": "i-0",
            "State": {"Name": "running"},
            "tags": {"Name": "web", "AssetNumber": "SERV-1", "Note": ""},
            "account": _ACCOUNT,
            "region": _REGION,
        }
        tables = MemoryTables()
        settings, ec2 = _settings(tables), cast("Ec2", _OnePage(self.instance))
        source = Ec2SourceType(
            PartRows(tables.table("assets"), Index(tables.table("index"))),
            settings,
            AccountDirectory(tables.table("runs"), lambda: self.now),
            lambda: ec2,
        )
        self.runner = ImportRunner(RunRepository(tables.table("runs")), {source.kind: source}, lambda: self.now)

    def start(self) -> list[Any]:
        self.now += timedelta(days=1)
        started = RunStarter(self.runner).start("aws-tenants", "acorn", trigger=Trigger.SCHEDULED, by="paths")
        return self.runner.do_part(started.messages[0])

    def work(self, messages: list[Any]) -> None:
        while messages:
            messages += self.runner.do_part(messages.pop(0))

    def run(self) -> None:
        self.work(self.start())


class _OnePage:
    """Stands in for the client of EC2: the path of the product ends where its network begins."""

    def __init__(self, instance: Mapping[str, Any]) -> None:
        self._instance = instance

    def read_instances(self, *_: Any, **__: Any) -> Iterator[list[Mapping[str, Any]]]:
        yield [json.loads(json.dumps(self._instance))]


def _settings(tables: MemoryTables | None = None) -> SettingsStore:
    settings = SettingsStore((tables or MemoryTables()).table("settings"), KINDS, lambda: datetime.now(UTC))
    settings.put("customers", "st-johns", {"title": "St Johns High School"}, by="paths")
    settings.put("sites", "leeds", {"title": "Leeds", "customer": "st-johns"}, by="paths")
    settings.put("asset-types", "server", {"title": "Server"}, by="paths")
    vault = {"vault_url": "https://acorn.vault.azure.net", "method": "system_assigned"}
    settings.put("credential-stores", "kv", vault, by="paths")
    settings.put("aws-tenants", "acorn", _TENANT, by="paths")
    return settings


def main() -> None:
    for name, path in PATHS.items():
        print(f"{name}: {path()}")


if __name__ == "__main__":
    main()
