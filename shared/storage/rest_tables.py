"""The same tables over the same pipeline of the SDK (identity, signature, retries), with bodies written and read here.

The SDK builds 100 requests to send one transaction, and a rich object for every value that it reads; here a transaction
is one text and a page is what `json` gives. `DESKBRIDGE_PLAIN_CLIENTS=true` goes back to the SDK's own way.
"""

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from azure.core import PipelineClient
from azure.core.exceptions import DecodeError, HttpResponseError
from azure.core.rest import HttpRequest, HttpResponse
from azure.data.tables import TableClient

from shared.storage import continuation
from shared.storage.entities import to_utc
from shared.storage.errors import translated
from shared.storage.limits import ROWS_PER_PAGE, check_key, check_transaction, storable
from shared.storage.rest_session import rest_transport
from shared.storage.rows import AnyOf, Condition, Create, Delete, Merge, Operation, Page, Replace, Row, Value, Where
from shared.storage.sdk_tables import SdkTable, SdkTables, table_is_missing
from shared.telemetry import span

_READ_HEADERS = {"DataServiceVersion": "3.0", "Accept": "application/json;odata=minimalmetadata"}
_BATCH_HEADERS = {
    "DataServiceVersion": "3.0",
    "MaxDataServiceVersion": "3.0;NetFx",
    "Accept": "application/json",
}
_NOT_THERE = frozenset({"ResourceNotFound", "EntityNotFound", "TableNotFound"})
_SMALL_INT = 2**31
_ETAG = re.compile(rb"\r\netag:([^\r]*)", re.IGNORECASE)
# Of our own keys nearly all: only their colons have to be quoted.
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.~:-]*\Z")
_NEXT_PARTITION_KEY = "x-ms-continuation-NextPartitionKey"
_NEXT_ROW_KEY = "x-ms-continuation-NextRowKey"


class RestTables(SdkTables):
    """As AzureTables."""

    @classmethod
    def _options(cls) -> dict[str, Any]:
        return {**super()._options(), "transport": rest_transport()}

    def _open(self, client: TableClient) -> SdkTable:
        return RestTable(client)


class RestTable(SdkTable):
    """As AzureTable."""

    def __init__(self, client: TableClient) -> None:
        super().__init__(client)
        # The SDK has no public way to send a request of one's own through its policies.
        self._pipeline: PipelineClient[HttpRequest, HttpResponse] = client._client._client  # noqa: SLF001
        self._account_url = client.url.split("?")[0].rstrip("/")
        self._version = client.api_version

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        check_key("partition key", partition_key)
        check_key("row key", row_key)
        with translated(self.name):
            answer = self._get(_address(self.name, partition_key, row_key), _selected(select))
            return None if answer is None else _rows_of(answer, lambda content: [content])[0]

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        check_transaction(partition_key, operations)
        with span("transaction", table=self.name, operations=len(operations)), translated(self.name, operations):
            try:
                return self._submit(partition_key, operations)
            except HttpResponseError as error:
                if not table_is_missing(error):
                    raise
                self._make_table()
                return self._submit(partition_key, operations)

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = ROWS_PER_PAGE, after: str | None = None
    ) -> Page:
        keys = continuation.to_keys(after) or {}
        query = {
            "$top": str(size),
            **_selected(select),
            "$filter": to_filter(where),
            "NextPartitionKey": keys.get("PartitionKey"),
            "NextRowKey": keys.get("RowKey"),
        }
        with translated(self.name, continued=after is not None):
            answer = self._get(f"{self.name}()", query)
            if answer is None:
                return Page(())
            rows = _rows_of(answer, lambda content: content["value"])
        headers = answer.headers
        following = {"PartitionKey": headers.get(_NEXT_PARTITION_KEY), "RowKey": headers.get(_NEXT_ROW_KEY)}
        return Page(rows, continuation.to_text(following) if any(following.values()) else None)

    def _get(self, address: str, query: Mapping[str, str | None]) -> HttpResponse | None:
        """None when there is no such row or table."""
        words = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items() if value)
        url = f"{self._account_url}/{address}?{words}" if words else f"{self._account_url}/{address}"
        request = HttpRequest("GET", url, headers={**_READ_HEADERS, "x-ms-version": self._version})
        # As a stream, that the pipeline does not decode: the lean session has read it, within the pipeline's tries.
        answer = self._pipeline.send_request(request, stream=True)
        content = answer.read()
        status = answer.status_code
        if status == 200:
            return answer
        # A 404 of something in between says nothing about the row.
        if status == 404 and _code_and_message(answer, content)[0] in _NOT_THERE:
            return None
        raise _refused(answer, status, content)

    def _submit(self, partition_key: str, operations: Sequence[Operation]) -> list[str]:
        batch, changeset = f"batch_{secrets.token_hex(16)}", f"changeset_{secrets.token_hex(16)}"
        request = HttpRequest(
            "POST",
            f"{self._account_url}/$batch",
            headers={
                **_BATCH_HEADERS,
                "x-ms-version": self._version,
                "Content-Type": f"multipart/mixed; boundary={batch}",
            },
            content=to_batch(f"{self._account_url}/", self.name, partition_key, operations, batch, changeset),
        )
        # As a stream: the pipeline's own decoder refuses multipart bodies.
        answer = self._pipeline.send_request(request, stream=True)
        body = answer.read()
        if answer.status_code != 202:
            raise _refused(answer, answer.status_code, body)
        parts = to_parts(body)
        for status, _, content in parts:
            if not 200 <= status < 300:
                raise _refused(answer, status, content)
        if len(parts) != len(operations):
            raise DecodeError(f"The answer to {len(operations)} operations has {len(parts)} parts.", response=answer)
        return [etag for _, etag, _ in parts]


# Writing


def to_batch(
    account_url: str, table: str, partition_key: str, operations: Sequence[Operation], batch: str, changeset: str
) -> bytes:
    """The multipart body of a transaction. `account_url` ends in a slash; `batch` and `changeset` are boundaries."""
    start = f"\r\n--{changeset}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: "
    common = "DataServiceVersion: 3.0\r\nAccept: application/json;odata=minimalmetadata\r\n"
    row_address = f"{account_url}{table}(PartitionKey='{_quoted(partition_key)}',RowKey='"
    parts: list[bytes] = [f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changeset}\r\n".encode()]
    for number, operation in enumerate(operations):
        if isinstance(operation, Delete):
            head = (
                f"DELETE {row_address}{_quoted(operation.row_key)}') HTTP/1.1\r\n{common}"
                f"If-Match: {operation.etag or '*'}\r\n"
            )
            parts.append(f"{start}{number}\r\n\r\n{head}\r\n".encode())
            continue
        row = operation.row
        body = storable(row).entity
        if isinstance(operation, Create):
            head = f"POST {account_url}{table} HTTP/1.1\r\nPrefer: return-no-content\r\n"
        else:
            method = "PATCH" if isinstance(operation, Merge) else "PUT"
            head = f"{method} {row_address}{_quoted(row.row_key)}') HTTP/1.1\r\n"
            if isinstance(operation, Replace | Merge):
                head += f"If-Match: {row.etag}\r\n"
        described = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{common}"
        parts += [f"{start}{number}\r\n\r\n{described}\r\n".encode(), body]
    parts.append(f"\r\n--{changeset}--\r\n\r\n--{batch}--\r\n".encode())
    return b"".join(parts)


def to_filter(where: Where) -> str:
    """The conditions in the service's own words."""
    words: list[str] = []
    for part in where:
        if isinstance(part, AnyOf):
            words.append(f"({' or '.join(map(_condition, part.conditions))})")
        else:
            words.append(_condition(part))
    return " and ".join(words)


def _condition(condition: Condition) -> str:
    return f"{condition.column} {condition.comparison} {_literal(condition.value)}"


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -_SMALL_INT <= value < _SMALL_INT else f"{value}L"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, datetime):
        return f"datetime'{to_utc(value)}'"
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _quoted(key: str) -> str:
    if _PLAIN_KEY.match(key):
        return key.replace(":", "%3A")
    return quote(key.replace("'", "''"), safe="")


def _address(table: str, partition_key: str, row_key: str) -> str:
    return f"{table}(PartitionKey='{_quoted(partition_key)}',RowKey='{_quoted(row_key)}')"


def _selected(select: Sequence[str] | None) -> dict[str, str]:
    return {} if select is None else {"$select": ",".join(["PartitionKey", "RowKey", *select])}


# Reading


def to_row(entity: dict[str, Any]) -> Row:
    """The row of an entity as `json` gives it, which is taken apart."""
    partition_key, row_key = entity.pop("PartitionKey"), entity.pop("RowKey")
    etag, timestamp = entity.pop("odata.etag", None), entity.pop("Timestamp", None)
    # No column's name holds a point or an at sign: what does is the service's word about a column.
    spoken_of = [name for name, value in entity.items() if value is None or "." in name]
    for name in spoken_of:
        kind = entity.pop(name)
        if name.endswith("@odata.type"):
            column = name[: -len("@odata.type")]
            convert = _FROM_EDM.get(kind)
            if convert is not None and entity.get(column) is not None:
                entity[column] = convert(entity[column])
    if not etag and timestamp:
        etag = f"W/\"datetime'{quote(timestamp)}'\""
    return Row(partition_key, row_key, entity, etag or "")


_FROM_EDM: Mapping[str, Callable[[Any], Value]] = {
    "Edm.Binary": base64.b64decode,
    # Seven digits of a second come, six are kept: a fraction that datetime cannot hold is cut off.
    "Edm.DateTime": datetime.fromisoformat,
    "Edm.Double": float,
    "Edm.Int64": int,
}


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


def _rows_of(answer: HttpResponse, entities: Callable[[Any], list[dict[str, Any]]]) -> list[Row]:
    try:
        return [to_row(entity) for entity in entities(json.loads(answer.content))]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DecodeError("The table service's answer holds no rows.", response=answer) from error


def _refused(answer: HttpResponse, status: int, content: bytes) -> HttpResponseError:
    """The SDK's error for an answer, with the service's own code and, of a transaction, the failed operation."""
    code, message = _code_and_message(answer, content)
    error = HttpResponseError(message=f"{message}\nErrorCode:{code}", response=answer)
    error.status_code = status
    index, _, _ = message.partition(":")
    # What `translated` reads, as it does of the SDK's own errors.
    error.error_code = code  # type: ignore[attr-defined]
    error.index = int(index) if index.isascii() and index.isdigit() else 0  # type: ignore[attr-defined]
    return error


def _code_and_message(answer: HttpResponse, content: bytes) -> tuple[str | None, str]:
    try:
        described = json.loads(content)["odata.error"]
        return described["code"], described["message"]["value"]
    except (ValueError, KeyError, TypeError):
        # An answer from in between (a proxy, a gateway) is no JSON: its status says enough.
        return answer.headers.get("x-ms-error-code"), ""
