"""Fixtures on the real storage emulator.

Isolation is by storage account: the emulator is started with thousands of them and each test that asks for `storage`
gets one that no test has had before. That is stronger than unique table names (queues, blobs and the product's fixed
table names are apart too) and needs no cleaning up.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from azure.data.tables import TableServiceClient

from lab.azurite import Azurite

ACCOUNTS = 5_000  # a worker that runs more storage tests than this is told so


@dataclass(frozen=True)
class Storage:
    """An empty storage account of a test's own."""

    account: str
    connection_string: str

    def tables(self) -> TableServiceClient:
        """A client of this account's tables; close it, or use it as a context manager."""
        return TableServiceClient.from_connection_string(self.connection_string)


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """One emulator in memory for this pytest process (each pytest-xdist worker has its own)."""
    with Azurite(accounts=[f"lab{number}" for number in range(ACCOUNTS)]) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def new_storage(azurite: Azurite) -> Callable[[], Storage]:
    """Gives a fresh, empty account at each call: for module fixtures, and for tests that need several."""
    numbers = itertools.count()

    def new() -> Storage:
        number = next(numbers)
        if number >= ACCOUNTS:
            raise RuntimeError(f"all {ACCOUNTS} storage accounts of this emulator are used: raise ACCOUNTS")
        account = f"lab{number}"
        return Storage(account, azurite.connection_string_for(account))

    return new


@pytest.fixture
def storage(new_storage: Callable[[], Storage]) -> Storage:
    """An empty storage account that no other test sees."""
    return new_storage()
