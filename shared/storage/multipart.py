"""A transaction as the multipart text that the table service takes, and its answer, which is one too."""

import re
from collections.abc import Sequence
from urllib.parse import quote

from azure.core.exceptions import DecodeError

from shared.storage.rows import Create, Delete, Merge, Operation, Replace

_ETAG = re.compile(rb"\r\netag:([^\r]*)", re.IGNORECASE)
# Of our own keys nearly all: only their colons have to be quoted.
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.~:-]*")


def to_batch(
    account_url: str, table: str, partition_key: str, operations: Sequence[Operation], batch: str, changeset: str
) -> bytes:
    """The multipart body of a transaction. `account_url` ends in a slash; `batch` and `changeset` are boundaries."""
    start = f"\r\n--{changeset}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: "
    common = "DataServiceVersion: 3.0\r\nAccept: application/json;odata=minimalmetadata\r\n"
    row_address = f"{account_url}{table}(PartitionKey='{quoted_key(partition_key)}',RowKey='"
    parts: list[bytes] = [f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changeset}\r\n".encode()]
    for number, operation in enumerate(operations):
        if isinstance(operation, Delete):
            head = (
                f"DELETE {row_address}{quoted_key(operation.row_key)}') HTTP/1.1\r\n{common}"
                f"If-Match: {operation.etag or '*'}\r\n"
            )
            parts.append(f"{start}{number}\r\n\r\n{head}\r\n".encode())
            continue
        row = operation.row
        body = row.entity
        if isinstance(operation, Create):
            head = f"POST {account_url}{table} HTTP/1.1\r\nPrefer: return-no-content\r\n"
        else:
            method = "PATCH" if isinstance(operation, Merge) else "PUT"
            head = f"{method} {row_address}{quoted_key(row.row_key)}') HTTP/1.1\r\n"
            if isinstance(operation, Replace | Merge):
                head += f"If-Match: {row.etag}\r\n"
        described = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{common}"
        parts += [f"{start}{number}\r\n\r\n{described}\r\n".encode(), body]
    parts.append(f"\r\n--{changeset}--\r\n\r\n--{batch}--\r\n".encode())
    return b"".join(parts)


def quoted_key(key: str) -> str:
    """The key as it stands in an address."""
    if _PLAIN_KEY.fullmatch(key):
        return key.replace(":", "%3A")
    return quote(key.replace("'", "''"), safe="")


def to_parts(body: bytes) -> list[tuple[int, str, bytes]]:
    """Status, ETag and content of every answer within the answer to a transaction. Raises DecodeError."""
    try:
        inner = body.split(b"boundary=", 1)[1].split(b"\r\n", 1)[0].strip(b'" ')
        return [_part(text) for text in body.split(b"--" + inner)[1:-1]]
    except (IndexError, ValueError) as error:
        raise DecodeError("The answer to a transaction cannot be read.") from error


def _part(text: bytes) -> tuple[int, str, bytes]:
    _, head, content = text.split(b"\r\n\r\n", 2)
    etag = _ETAG.search(head)
    return int(head.split(b" ", 2)[1]), etag[1].strip().decode() if etag else "", content.strip()
