"""What Table Storage refuses of a transaction, checked before a call: the emulator takes what Azure does not.

Source: Microsoft's "Performing entity group transactions". The limits of a row stand with the row.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from shared.errors import RowRefusedError
from shared.reasons import Reason
from shared.storage.rows import Delete, Merge, Operation, Replace, check_key

T = TypeVar("T")

OPERATIONS_PER_TRANSACTION = 100
BYTES_PER_TRANSACTION = 4 * 1024 * 1024
ROWS_PER_PAGE = 1000

# A row that names what a transaction changed takes less.
BYTES_PER_RESERVED = 256 * 1024
# Envelope of one operation in the multipart body: headers, boundary and address.
BYTES_PER_OPERATION_ENVELOPE = 700
# Of a key's byte at most: a quote is written twice, of three bytes each.
_BYTES_IN_ADDRESS = 6


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
