"""What Table Storage refuses, checked before a call: the emulator takes what Azure does not.

Source: Microsoft's "Understanding the Table service data model" and "Performing entity group transactions".
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from shared.errors import DeskbridgeError, TooLargeError
from shared.reasons import Reason
from shared.storage.rows import Create, Delete, Operation, Replace, Row, Save, Value

OPERATIONS_PER_TRANSACTION = 100
BYTES_PER_TRANSACTION = 4 * 1024 * 1024
BYTES_PER_ROW = 1024 * 1024
COLUMNS_PER_ROW = 252
CHARACTERS_PER_TEXT = 32_768
BYTES_PER_BINARY = 65_536
CHARACTERS_PER_KEY = 1024
ROWS_PER_PAGE = 1000
EARLIEST = datetime(1601, 1, 1, tzinfo=UTC)

# C# identifier rules, as the service applies them; no dash and no dot, whatever the emulator accepts.
COLUMN_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")
# `/ \ # ?` and control characters are refused; `%` is taken by some layers and broken by others.
KEY_FORBIDDEN = re.compile("[/\\\\#?%\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Half of a surrogate pair: JSON can carry it, UTF-8 cannot.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_KEPT = "measured"
# Envelope of one operation in the multipart body: headers, boundary and address.
BYTES_PER_OPERATION_ENVELOPE = 700


class RowRefusedError(DeskbridgeError):
    """A row that Table Storage would refuse: a bug of the caller, or a value that was not cut to size."""


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


def check_row(row: Row) -> int:
    """Raise RowRefusedError unless Azure would take the row; answer with its size in bytes."""
    return _measured(row).size


class _Measured(NamedTuple):
    """What a row weighs: as Table Storage counts it, and at most in a transaction's body."""

    size: int
    on_the_wire: int


def _measured(row: Row) -> _Measured:
    # A row never changes, and is asked about when it is planned, packed and sent: it keeps the answer.
    kept: _Measured | None = row.__dict__.get(_KEPT)
    if kept is None:
        kept = row.__dict__[_KEPT] = _measure(row)
    return kept


def _measure(row: Row) -> _Measured:
    check_key("partition key", row.partition_key)
    check_key("row key", row.row_key)
    if len(row.values) > COLUMNS_PER_ROW:
        raise RowRefusedError(
            Reason.STORAGE_LIMIT, f"The row {row.row_key!r} has {len(row.values)} columns; at most 252 are allowed."
        )
    size = 4 + size_of_text(row.partition_key) + size_of_text(row.row_key)
    wire = 120 + 3 * (len(row.partition_key) + len(row.row_key))
    for column, value in row.values.items():
        size += _size_of_name(column)
        wire += 2 * len(column) + 40
        if isinstance(value, str):
            text_size = 2 * len(value) if value.isascii() else _size_of_wide_text(row, column, value)
            if text_size > CHARACTERS_PER_TEXT * 2:
                raise RowRefusedError(Reason.STORAGE_LIMIT, f"The column {column} of {row.row_key!r} is over 64 KiB.")
            size += text_size + 4
            # The SDK writes ASCII alone: a character outside it takes six bytes or twelve.
            wire += len(encode_basestring_ascii(value))
            continue
        size += size_of(value)
        wire += 34
        if isinstance(value, bytes):
            wire += 4 * len(value) // 3 - 30
            if len(value) > BYTES_PER_BINARY:
                raise RowRefusedError(Reason.STORAGE_LIMIT, f"The column {column} of {row.row_key!r} is over 64 KiB.")
        elif isinstance(value, datetime):
            if value.tzinfo is None or value < EARLIEST:
                raise RowRefusedError(
                    Reason.STORAGE_LIMIT, f"The column {column} of {row.row_key!r} holds no storable time."
                )
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise RowRefusedError(Reason.STORAGE_LIMIT, f"The column {column} of {row.row_key!r} is over 64 bits.")
    if size > BYTES_PER_ROW:
        raise TooLargeError(
            Reason.STORAGE_LIMIT, f"The row {row.row_key!r} has {size} bytes; at most 1 MiB is allowed."
        )
    return _Measured(size, wire)


@lru_cache(maxsize=4096)
def _size_of_name(column: str) -> int:
    """What a column costs beside its value. Columns are few, and the same in every row."""
    if not COLUMN_NAME.match(column) or column in {"PartitionKey", "RowKey", "Timestamp"}:
        raise RowRefusedError(Reason.STORAGE_LIMIT, f"{column!r} cannot be a column's name.")
    return 8 + size_of_text(column)


def _size_of_wide_text(row: Row, column: str, value: str) -> int:
    if LONE_SURROGATE.search(value):
        raise RowRefusedError(Reason.STORAGE_LIMIT, f"The column {column} of {row.row_key!r} holds half a character.")
    return size_of_text(value)


def check_transaction(partition_key: str, operations: Sequence[Operation]) -> None:
    """Raise RowRefusedError unless the operations can be one transaction of that partition."""
    if not operations:
        raise RowRefusedError(Reason.STORAGE_LIMIT, "A transaction needs at least one operation.")
    if len(operations) > OPERATIONS_PER_TRANSACTION:
        raise RowRefusedError(Reason.STORAGE_LIMIT, f"{len(operations)} operations are over the 100 of a transaction.")
    seen: set[str] = set()
    size = 0
    for operation in operations:
        if isinstance(operation, Create | Replace | Save):
            if operation.row.partition_key != partition_key:
                raise RowRefusedError(Reason.STORAGE_LIMIT, "A transaction may touch one partition only.")
            if isinstance(operation, Replace) and not operation.row.etag:
                raise RowRefusedError(Reason.STORAGE_LIMIT, "A replacement needs the ETag of what it replaces.")
            size += _measured(operation.row).on_the_wire
            row_key = operation.row.row_key
        else:
            check_key("row key", operation.row_key)
            row_key = operation.row_key
        size += BYTES_PER_OPERATION_ENVELOPE
        if row_key in seen:
            raise RowRefusedError(Reason.STORAGE_LIMIT, f"The row {row_key!r} stands twice in one transaction.")
        seen.add(row_key)
    if size > BYTES_PER_TRANSACTION:
        raise RowRefusedError(Reason.STORAGE_LIMIT, f"The transaction has {size} bytes; at most 4 MiB are allowed.")


def split_transactions(groups: Sequence[Sequence[Operation]]) -> list[list[Operation]]:
    """Pack groups of operations, each of which must stay whole, into as few transactions as their order allows."""
    packed: list[list[Operation]] = []
    room = 0
    size = 0
    for group in groups:
        weight = sum(_weight(operation) for operation in group)
        if not packed or len(group) > room or size + weight > BYTES_PER_TRANSACTION:
            packed.append([])
            room, size = OPERATIONS_PER_TRANSACTION, 0
        packed[-1].extend(group)
        room -= len(group)
        size += weight
    return packed


def _weight(operation: Operation) -> int:
    if isinstance(operation, Delete):
        return BYTES_PER_OPERATION_ENVELOPE
    return BYTES_PER_OPERATION_ENVELOPE + _measured(operation.row).on_the_wire
