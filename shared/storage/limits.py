"""What Table Storage refuses, checked before a call: the emulator takes what Azure does not.

Source: Microsoft's "Understanding the Table service data model" and "Performing entity group transactions".
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from shared.errors import RowRefusedError, TooLargeError
from shared.reasons import Reason
from shared.storage.rows import Delete, Merge, NotStorableError, Operation, Replace, Row, Value
from shared.text import KEY_FORBIDDEN

T = TypeVar("T")

OPERATIONS_PER_TRANSACTION = 100
BYTES_PER_TRANSACTION = 4 * 1024 * 1024
BYTES_PER_ROW = 1024 * 1024
COLUMNS_PER_ROW = 252
CHARACTERS_PER_TEXT = 32_768
BYTES_PER_BINARY = 65_536
CHARACTERS_PER_KEY = 1024
ROWS_PER_PAGE = 1000

# Envelope of one operation in the multipart body: headers, boundary and address.
BYTES_PER_OPERATION_ENVELOPE = 700
# Of a key's byte at most: a quote is written twice, of three bytes each.
_BYTES_IN_ADDRESS = 6


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


def check_row(row: Row) -> None:
    """Raise unless Azure would take the row."""
    storable_entity(row)


def size_of_row(row: Row) -> int:
    """Bytes of a row as Table Storage counts it."""
    size = 4 + size_of_text(row.partition_key) + size_of_text(row.row_key)
    return size + sum(8 + size_of_text(column) + size_of(value) for column, value in row.values.items())


def storable_entity(row: Row) -> bytes:
    """The row as the JSON that is sent; raises RowRefusedError or TooLargeError unless Azure would take it."""
    check_key("partition key", row.partition_key)
    check_key("row key", row.row_key)
    if len(row.values) > COLUMNS_PER_ROW:
        raise RowRefusedError(
            Reason.STORAGE_LIMIT, f"The row {row.row_key!r} has {len(row.values)} columns; at most 252 are allowed."
        )
    try:
        entity = row.entity
    except NotStorableError as error:
        raise RowRefusedError(Reason.STORAGE_LIMIT, f"The row {row.row_key!r} {error}.") from error
    # A byte of the entity stands for two bytes of storage at most: below, no column and no row can be too large.
    if len(entity) > BYTES_PER_BINARY // 2:
        _check_sizes(row)
    return entity


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


def split_transactions(groups: Iterable[Sequence[Operation]]) -> list[list[Operation]]:
    """Pack groups of operations, each of which must stay whole, into as few transactions as their order allows."""
    packed = in_transactions((group, group) for group in groups)
    return [[operation for group in together for operation in group] for together in packed]


def in_transactions(items: Iterable[tuple[T, Sequence[Operation]]]) -> Iterator[list[T]]:
    """The items, each with its operations that must stay whole, in lists whose operations fit into one transaction.

    As few as their order allows. A list comes as soon as it is full, before further items are asked for.
    """
    together: list[T] = []
    room = size = 0
    for item, operations in items:
        item_size = sum(map(size_in_transaction, operations))
        if together and (len(operations) > room or size + item_size > BYTES_PER_TRANSACTION):
            yield together
            together = []
        if not together:
            room, size = OPERATIONS_PER_TRANSACTION, 0
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
    return BYTES_PER_OPERATION_ENVELOPE + len(storable_entity(row)) + _BYTES_IN_ADDRESS * keys
