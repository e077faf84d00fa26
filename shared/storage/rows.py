"""Rows, and the operations on them that one transaction holds, as plain values.

A row knows the JSON that the service takes for it. What the service would refuse is refused here: the emulator takes
more. Source: Microsoft's "Understanding the Table service data model".
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from pydantic_core import PydanticSerializationError, to_json

from shared.errors import RowRefusedError, TooLargeError
from shared.reasons import Reason
from shared.text import KEY_FORBIDDEN

Value = str | int | float | bool | bytes | datetime
T = TypeVar("T")

BYTES_PER_ROW = 1024 * 1024
COLUMNS_PER_ROW = 252
CHARACTERS_PER_TEXT = 32_768
BYTES_PER_BINARY = 65_536
CHARACTERS_PER_KEY = 1024
# A character outside the basic plane counts twice in UTF-16: half the limit always fits.
CHARACTERS_PER_COLUMN = CHARACTERS_PER_TEXT // 2

# What a transaction takes. Source: Microsoft's "Performing entity group transactions".
OPERATIONS_PER_TRANSACTION = 100
BYTES_PER_TRANSACTION = 4 * 1024 * 1024
# A row that names what a transaction changed takes less.
BYTES_PER_RESERVED = 256 * 1024
# Envelope of one operation in the multipart body: headers, boundary and address.
BYTES_PER_OPERATION_ENVELOPE = 700
# Of a key's byte at most: a quote is written twice, of three bytes each.
_BYTES_IN_ADDRESS = 6

EARLIEST = datetime(1601, 1, 1, tzinfo=UTC)
# C# identifier rules, as the service applies them; no dash and no dot, whatever the emulator accepts.
_COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_RESERVED = frozenset({"PartitionKey", "RowKey", "Timestamp"})
_SMALL_INT = 2**31
_LINE_SEPARATOR, _PARAGRAPH_SEPARATOR = "\u2028".encode(), "\u2029".encode()


class _NotStorableError(ValueError):
    """A column that no table can hold. The message goes on after the row's name."""


@dataclass(frozen=True)
class Row:
    """One entity. `etag` is empty for a row that was not read. An absent column is not an empty one."""

    partition_key: str
    row_key: str
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    etag: str = ""

    @cached_property
    def entity(self) -> bytes:
        """The row as the service's JSON. Kept, because a row is measured several times before it is sent.

        Raises RowRefusedError or TooLargeError unless Azure would take the row.
        """
        check_key("partition key", self.partition_key)
        check_key("row key", self.row_key)
        if len(self.values) > COLUMNS_PER_ROW:
            raise RowRefusedError(
                Reason.STORAGE_LIMIT,
                f"The row {self.row_key!r} has {len(self.values)} columns; at most 252 are allowed.",
            )
        try:
            entity = _to_entity(self.partition_key, self.row_key, self.values)
        except _NotStorableError as error:
            raise RowRefusedError(Reason.STORAGE_LIMIT, f"The row {self.row_key!r} {error}.") from error
        # A byte of the entity stands for two bytes of storage at most: below, no column and no row can be too large.
        if len(entity) > BYTES_PER_BINARY // 2:
            _check_sizes(self)
        return entity

    def text(self, column: str, default: str = "") -> str:
        """The column as text."""
        value = self.values.get(column, default)
        return value if isinstance(value, str) else str(value)

    def number(self, column: str, default: int = 0) -> int:
        """The column as a whole number; `default` for what is none."""
        value = self.values.get(column, default)
        return int(value) if isinstance(value, int | float | bool) else default

    def time(self, column: str) -> datetime | None:
        """The column if it is a time."""
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


def _to_entity(partition_key: str, row_key: str, values: Mapping[str, Value]) -> bytes:
    """The entity as JSON in UTF-8; types are named where JSON's own would be taken for another."""
    entity: dict[str, Any] = {"PartitionKey": partition_key, "RowKey": row_key}
    for column, value in values.items():
        if not _is_column_name(column):
            raise _NotStorableError(f"has a column {column!r}, which cannot be a column's name")
        if isinstance(value, str):
            entity[column] = value
            continue
        entity[column], kind = _to_edm(column, value)
        if kind:
            entity[f"{column}@odata.type"] = kind
    try:
        # Escaped: to some readers of a transaction, the table emulator among them, these two end a line.
        # By pydantic's encoder: in a quarter of the time that json takes, which is a tenth of an event's.
        return to_json(entity).replace(_LINE_SEPARATOR, b"\\u2028").replace(_PARAGRAPH_SEPARATOR, b"\\u2029")
    except PydanticSerializationError as error:
        # JSON can carry it, UTF-8 cannot.
        raise _NotStorableError("holds an unpaired surrogate (invalid Unicode)") from error


def to_utc(moment: datetime) -> str:
    """The moment as the service writes it."""
    # Without the "+00:00" at its end.
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


@lru_cache(maxsize=4096)
def _is_column_name(column: str) -> bool:
    # Columns are few, and the same in every row.
    return _COLUMN_NAME.fullmatch(column) is not None and column not in _RESERVED


def _to_edm(column: str, value: float | datetime | bytes) -> tuple[Any, str]:
    """The value in JSON, and the type to name; empty where JSON's own is the service's."""
    if isinstance(value, bool):
        return value, ""
    if isinstance(value, int):
        if -_SMALL_INT <= value < _SMALL_INT:
            return value, ""
        if not -(2**63) <= value < 2**63:
            raise _NotStorableError(f"has a number over 64 bits in {column}")
        return str(int(value)), "Edm.Int64"
    if isinstance(value, float):
        return _float(value), "Edm.Double"
    if isinstance(value, datetime):
        if value.tzinfo is None or value < EARLIEST:
            raise _NotStorableError(f"holds no storable time in {column}")
        return to_utc(value), "Edm.DateTime"
    return base64.b64encode(value).decode(), "Edm.Binary"


def _float(value: float) -> float | str:
    if value != value:
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "Infinity" if value > 0 else "-Infinity"
    return value


def check_key(kind: str, key: str) -> None:
    """Raise unless `key` can be a partition or row key."""
    if len(key) > CHARACTERS_PER_KEY:
        raise RowRefusedError(Reason.STORAGE_LIMIT, f"The {kind} has {len(key)} characters; at most 1,024 are allowed.")
    if KEY_FORBIDDEN.search(key):
        raise RowRefusedError(Reason.STORAGE_LIMIT, f"The {kind} {key!r} holds a character that a key may not have.")


def size_of_text(text: str) -> int:
    """Bytes of a text as Table Storage counts it: UTF-16."""
    return 2 * len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass"))


def size_of(value: Value) -> int:
    """Bytes of a value as Table Storage counts it."""
    if isinstance(value, str):
        return size_of_text(value) + 4
    if isinstance(value, bytes):
        return len(value) + 4
    return 1 if isinstance(value, bool) else 8


def size_of_row(row: Row) -> int:
    """Bytes of a row as Table Storage counts it."""
    size = 4 + size_of_text(row.partition_key) + size_of_text(row.row_key)
    return size + sum(8 + size_of_text(column) + size_of(value) for column, value in row.values.items())


def check_row(row: Row) -> None:
    """Raise unless Azure would take the row."""
    _ = row.entity


def _check_sizes(row: Row) -> None:
    for column, value in row.values.items():
        if isinstance(value, str | bytes) and size_of(value) > BYTES_PER_BINARY + 4:
            raise RowRefusedError(Reason.STORAGE_LIMIT, f"The column {column} of {row.row_key!r} is over 64 KiB.")
    size = size_of_row(row)
    if size > BYTES_PER_ROW:
        raise TooLargeError(
            Reason.STORAGE_LIMIT, f"The row {row.row_key!r} has {size} bytes; at most 1 MiB is allowed."
        )


def check_transaction(partition_key: str, operations: Sequence[Operation]) -> None:
    """Raise RowRefusedError unless the operations can be one transaction of that partition: 100 at most, 4 MiB."""
    if not operations:
        raise RowRefusedError(Reason.STORAGE_LIMIT, "A transaction needs at least one operation.")
    if len(operations) > OPERATIONS_PER_TRANSACTION:
        raise RowRefusedError(Reason.STORAGE_LIMIT, f"{len(operations)} operations are over the 100 of a transaction.")
    seen: set[str] = set()
    size = 0
    for operation in operations:
        if isinstance(operation, Delete):
            check_key("row key", operation.row_key)
            row_key = operation.row_key
        else:
            if operation.row.partition_key != partition_key:
                raise RowRefusedError(Reason.STORAGE_LIMIT, "A transaction may touch one partition only.")
            if isinstance(operation, (Replace, Merge)) and not operation.row.etag:
                raise RowRefusedError(Reason.STORAGE_LIMIT, "A replacement needs the ETag of what it replaces.")
            row_key = operation.row.row_key
        size += size_in_transaction(operation)
        if row_key in seen:
            raise RowRefusedError(Reason.STORAGE_LIMIT, f"The row {row_key!r} stands twice in one transaction.")
        seen.add(row_key)
    if size > BYTES_PER_TRANSACTION:
        raise RowRefusedError(Reason.STORAGE_LIMIT, f"The transaction has {size} bytes; at most 4 MiB are allowed.")


def in_transactions(items: Iterable[tuple[T, Sequence[Operation]]], *, reserved: int = 0) -> Iterator[list[T]]:
    """The items, each with its operations that must stay whole, in lists whose operations fit into one transaction.

    As few as their order allows. A list comes as soon as it is full, before further items are asked for. `reserved`
    is how many small rows come along with each list.
    """
    most_bytes = BYTES_PER_TRANSACTION - reserved * BYTES_PER_RESERVED
    together: list[T] = []
    room = size = 0
    for item, operations in items:
        item_size = sum(map(size_in_transaction, operations))
        if together and (len(operations) > room or size + item_size > most_bytes):
            yield together
            together = []
        if not together:
            room, size = OPERATIONS_PER_TRANSACTION - reserved, 0
        together.append(item)
        room -= len(operations)
        size += item_size
    if together:
        yield together


def size_in_transaction(operation: Operation) -> int:
    """The most bytes that an operation takes in the body of a transaction."""
    if isinstance(operation, Delete):
        # Its partition key stands in the address too, and is not known here: those of ours are short.
        return 2 * BYTES_PER_OPERATION_ENVELOPE + _BYTES_IN_ADDRESS * len(operation.row_key.encode())
    row = operation.row
    keys = len(row.partition_key.encode()) + len(row.row_key.encode())
    return BYTES_PER_OPERATION_ENVELOPE + len(row.entity) + _BYTES_IN_ADDRESS * keys


# Documents in rows: packed into text columns of at most 64 KiB each, and back


def _as_json(value: Any) -> Any:
    # Times first: an instance has several, and they are quicker told than a mapping.
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value) if isinstance(value, Mapping) else str(value)


_encode_document = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_as_json).encode


def pack(column: str, document: Any) -> dict[str, Value]:
    """The columns that hold `document`: `column`, then `column_1`, `column_2`, … when it is long.

    What JSON does not have becomes text, a time in its ISO form.
    """
    return pack_text(column, _encode_document(document))


def pack_text(column: str, text: str) -> dict[str, Value]:
    """As `pack`, of a document that is JSON already."""
    if len(text) <= CHARACTERS_PER_COLUMN:
        return {column: text}
    chunks = [text[start : start + CHARACTERS_PER_COLUMN] for start in range(0, len(text), CHARACTERS_PER_COLUMN)]
    return {column if index == 0 else f"{column}_{index}": chunk for index, chunk in enumerate(chunks)}


def unpack(row: Row | Mapping[str, Value], column: str, default: Any = None) -> Any:
    """The document that `pack` put under `column`; `default` when there is none."""
    values = row.values if isinstance(row, Row) else row
    if column not in values:
        return default
    chunks = [str(values[column])]
    while (name := f"{column}_{len(chunks)}") in values:
        chunks.append(str(values[name]))
    return json.loads("".join(chunks))
