"""Records with their histories as the product tells them, and not as it happens to store them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lab.fakes.tables import MemoryTables
from shared import bootstrap
from shared.environment import load_environment
from shared.records.model import Key
from shared.storage.names import ASSETS_TABLE, USERS_TABLE
from shared.storage.rows import Row

# As it is stored: needed for what the product would not tell, because its record is gone.
HISTORY = "~h:"
_AT_ONCE = 200


@dataclass(frozen=True)
class RecordHistory:
    """A record and all that happened to it, oldest first, each as the API answers it."""

    row: Row
    changes: Sequence[dict[str, Any]]


def histories(tables: MemoryTables) -> dict[str, dict[Key, RecordHistory]]:
    """By table the records that are no links, with what is told of each."""
    found: dict[str, dict[Key, RecordHistory]] = {}
    with desks(tables) as opened:
        for table, desk in opened.items():
            found[table] = {}
            for (partition_key, row_key), row in tables.table(table).rows.items():
                if row_key.startswith("~") or row.text("alias_of"):
                    continue
                told: list[dict[str, Any]] = []
                after: str | None = None
                while True:
                    some, after = desk.history(f"{partition_key}:{row_key}", _AT_ONCE, after)
                    told += some
                    if after is None:
                        break
                found[table][Key(partition_key, row_key)] = RecordHistory(row, told[::-1])
    return found


def without_record(tables: MemoryTables) -> list[Key]:
    """Histories that are kept of no record."""
    found: list[Key] = []
    for table in (ASSETS_TABLE, USERS_TABLE):
        rows = tables.table(table).rows
        owners = {(key[0], key[1].removeprefix(HISTORY).split(":")[0]) for key in rows if key[1].startswith(HISTORY)}
        found += [Key(*owner) for owner in sorted(owners) if owner not in rows]
    return found


def moment_of(change: dict[str, Any]) -> datetime:
    """When it happened."""
    at: datetime = change["at"]
    return at


@contextmanager
def desks(tables: MemoryTables) -> Iterator[dict[str, Any]]:
    """The product's desks of records over these tables; all else of its bootstrap reads them too."""
    before = bootstrap.swap_instances({})
    try:
        bootstrap.replace("environment", load_environment({"AzureWebJobsStorage": "simulated"}))
        bootstrap.replace("tables", tables)
        yield {ASSETS_TABLE: bootstrap.asset_desk(), USERS_TABLE: bootstrap.user_desk()}
    finally:
        bootstrap.swap_instances(before)
