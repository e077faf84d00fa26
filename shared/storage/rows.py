"""Rows, operations and conditions as plain values: what a repository speaks, whatever stands behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from shared.storage.entities import Value as Value  # noqa: PLC0414 - given on to those who use rows
from shared.storage.entities import to_entity


@dataclass(frozen=True)
class Row:
    """One entity. `etag` is empty for a row that was not read. An absent column is not an empty one."""

    partition_key: str
    row_key: str
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    etag: str = ""

    @cached_property
    def entity(self) -> bytes:
        """The row as the service's JSON. Kept, because a row is weighed several times before it is sent.

        Raises NotStorableError.
        """
        return to_entity(self.partition_key, self.row_key, self.values)

    def text(self, column: str, default: str = "") -> str:
        value = self.values.get(column, default)
        return value if isinstance(value, str) else str(value)

    def number(self, column: str, default: int = 0) -> int:
        value = self.values.get(column, default)
        return int(value) if isinstance(value, int | float | bool) else default

    def time(self, column: str) -> datetime | None:
        value = self.values.get(column)
        return value if isinstance(value, datetime) else None


@dataclass(frozen=True)
class Create:
    """The row must be new."""

    row: Row


@dataclass(frozen=True)
class Replace:
    """The row must still have `row.etag`; all its columns are replaced."""

    row: Row


@dataclass(frozen=True)
class Merge:
    """The row must still have `row.etag`; the columns that `row` has are written, its others stay as they are."""

    row: Row


@dataclass(frozen=True)
class Save:
    """Insert the row, or replace whatever is there."""

    row: Row


@dataclass(frozen=True)
class Delete:
    """Remove the row. With an ETag only that version; without one whatever is there. Nothing there is an error."""

    row_key: str
    etag: str = ""


Operation = Create | Replace | Merge | Save | Delete


@dataclass(frozen=True)
class Condition:
    """`column comparison value`. The keys are columns too: `PartitionKey`, `RowKey`."""

    column: str
    comparison: Literal["eq", "ne", "gt", "ge", "lt", "le"]
    value: Value


@dataclass(frozen=True)
class AnyOf:
    """At least one of the conditions holds."""

    conditions: Sequence[Condition]


Where = Sequence[Condition | AnyOf]


@dataclass(frozen=True)
class Page:
    """Some rows in key order, and where to go on; `next` is None at the end. A page may be short, even empty."""

    rows: Sequence[Row]
    next: str | None = None


def partition(partition_key: str) -> Condition:
    return Condition("PartitionKey", "eq", partition_key)


def row_key_prefix(prefix: str) -> tuple[Condition, Condition]:
    """All row keys that begin with `prefix`. The prefix must not be empty, nor end with the last character there is."""
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return Condition("RowKey", "ge", prefix), Condition("RowKey", "lt", after)
