"""The app in this process on tables in memory, with some of everything in them."""

from collections.abc import Iterator

import pytest

from functions.http import endpoints
from functions.http.answers import status_of
from functions.http.endpoints import Endpoint
from shared import bootstrap
from shared.bootstrap.kinds import KINDS
from shared.errors import DeskbridgeError
from shared.settings.store import SettingsStore
from tests.fakes.tables import MemoryTables
from tests.tokens import token_of

STORE = {"vault_url": "https://acorn-vault.vault.azure.net", "method": "system_assigned"}
CREDENTIAL = {"store": "acorn", "secret": "ec2-access-key", "scope": "aws-tenants"}


@pytest.fixture(autouse=True)
def only_declared_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that refuses in a way that its declaration does not know fails the test."""

    def fail(declared: Endpoint, error: DeskbridgeError) -> None:
        raise AssertionError(f"{declared.function} does not declare {status_of(error)} {error.reason}")

    monkeypatch.setattr(endpoints, "report_undeclared", fail)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryTables]:
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    bootstrap.reset()
    memory = MemoryTables()
    bootstrap.replace("tables", memory)
    store = SettingsStore(memory.table("settings"), KINDS, bootstrap.now)
    for customer in ("acorn", "oak"):
        # Not by the app's own store: its audit entries are for the tests.
        store.put("customers", customer, {"title": customer.title()}, by="tests")
    # Made now, so that a test that compares all that is stored sees only what it is about.
    token_of()
    yield memory
    bootstrap.reset()
