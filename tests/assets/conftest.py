"""The lab's fleet, and the app in this process on tables in memory, reading it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func
import pytest

from shared import bootstrap
from tests.assets.moto_ec2 import MotoFleet
from tests.assets.tenants import FakeCredentials, settle
from tests.fakes.tables import MemoryTables
from tests.imports.worlds import Clock
from tests.lab.emulators.ec2.tokens import unsigned_token
from tests.registered import FUNCTIONS


class Sent(func.Out[Any]):
    """A queue output: what the function hands to it."""

    def __init__(self) -> None:
        self.value: list[str] = []

    def set(self, val: Any) -> None:
        self.value = list(val)

    def get(self) -> Any:
        return self.value


@dataclass
class Desk:
    """The app: its triggers called as the host calls them, its tables, and the clock."""

    tables: MemoryTables
    clock: Clock
    credentials: FakeCredentials
    queue: list[str] = field(default_factory=list[str])

    def call(self, function: str, **arguments: Any) -> Any:
        sent = Sent()
        built = FUNCTIONS[function]
        outputs = {"messages": sent} if any(binding.name == "messages" for binding in built.get_bindings()) else {}
        answer = built.get_user_function()(**arguments, **outputs)
        self.queue += sent.value
        return answer

    def timer(self, function: str) -> None:
        self.call(function, timer=None)

    def deliver(self, *, dequeue_count: int = 1) -> None:
        """Give every waiting message to the import, and what that sends, until none is left."""
        while self.queue:
            self.deliver_one(dequeue_count=dequeue_count)

    def deliver_one(self, *, dequeue_count: int = 1) -> None:
        """Give the first waiting message to the import, and keep what that sends."""
        self.call("import_part", message=_Message(self.queue.pop(0), dequeue_count))

    def poison(self, text: str) -> None:
        self.call("fail_import_part", message=_Message(text, 6))

    def assets(self) -> dict[str, dict[str, Any]]:
        """The rows of assets by instance id, links and history left out."""
        rows = self.tables.contents().get("assets", {})
        return {key[1]: row for key, row in rows.items() if not key[1].startswith("~") and "alias_of" not in row}


class _Message(func.QueueMessage):
    def __init__(self, text: str, dequeue_count: int) -> None:
        super().__init__(id="1", body=text)
        self._count = dequeue_count

    @property
    def dequeue_count(self) -> int:
        return self._count


@pytest.fixture(scope="module")
def running_fleet() -> Iterator[MotoFleet]:
    with MotoFleet() as fleet:
        yield fleet


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    bootstrap.reset()
    tables, clock = MemoryTables(), Clock()
    monkeypatch.setattr(bootstrap, "now", clock)
    monkeypatch.setattr(bootstrap, "identity_token", lambda audience, _: unsigned_token(audience))
    credentials = FakeCredentials({})
    bootstrap.replace("tables", tables)
    bootstrap.replace("credentials", credentials)
    settle(bootstrap.settings())
    yield Desk(tables, clock, credentials)
    bootstrap.reset()
