"""The tables of an Azure Storage account (or of Azurite), behind `Table`.

azure-data-tables gives the account's address and the policies: connection string, signature or token, retries.
Requests and answers are written and read here. The SDK builds 100 requests for one transaction, and a rich object for
every value that it reads: a hundred rows take it ten times as long.
"""

import base64
import json
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import DecodeError, HttpResponseError
from azure.core.rest import HttpRequest, HttpResponse
from azure.data.tables import TableClient, TableServiceClient

from shared.storage import continuation
from shared.storage.errors import code_of, translated
from shared.storage.multipart import quoted_key, to_batch, to_parts
from shared.storage.rows import Operation, Row, Value, check_key, check_transaction, to_utc
from shared.storage.tables import ROWS_PER_PAGE, AnyOf, Condition, Page, Table, Where
from shared.storage.transport import table_transport
from shared.telemetry import span

# The SDK's own policy may take minutes; Event Grid waits 30 s for an answer, and retries by itself.
_RETRIES: Mapping[str, Any] = {
    "retry_total": 3,
    "retry_backoff_factor": 0.3,
    "retry_backoff_max": 3,
}
_READ_HEADERS = {"DataServiceVersion": "3.0", "Accept": "application/json;odata=minimalmetadata"}
_BATCH_HEADERS = {
    "DataServiceVersion": "3.0",
    "MaxDataServiceVersion": "3.0;NetFx",
    "Accept": "application/json",
}
_NOT_THERE = frozenset({"ResourceNotFound", "EntityNotFound", "TableNotFound"})
_SMALL_INT = 2**31
_NEXT_PARTITION_KEY = "x-ms-continuation-NextPartitionKey"
_NEXT_ROW_KEY = "x-ms-continuation-NextRowKey"


class RestTables:
    """The tables of one account. Tables that are missing are made at the first write."""

    def __init__(self, service: TableServiceClient) -> None:
        self._service = service
        self._tables: dict[str, RestTable] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_connection_string(cls, connection_string: str, **options: Any) -> Self:
        """`options` of the SDK's client take the place of the product's own."""
        return cls(TableServiceClient.from_connection_string(connection_string, **{**cls._options(), **options}))

    @classmethod
    def from_identity(cls, endpoint: str, credential: TokenCredential) -> Self:
        """The tables at the account's address, opened with tokens of the identity."""
        return cls(TableServiceClient(endpoint=endpoint, credential=credential, **cls._options()))

    @classmethod
    def _options(cls) -> dict[str, Any]:
        return {**_RETRIES, "transport": table_transport()}

    def table(self, name: str) -> Table:
        """The table of that name, whether it is there or not."""
        with self._lock:
            if name not in self._tables:
                self._tables[name] = RestTable(self._service.get_table_client(name))
            return self._tables[name]


class RestTable:
    """One table of the account."""

    def __init__(self, client: TableClient) -> None:
        self._client = client
        # The SDK has no public way to send a request of one's own through its policies.
        self._pipeline: PipelineClient[HttpRequest, HttpResponse] = client._client._client  # noqa: SLF001
        self._account_url = client.url.split("?")[0].rstrip("/")
        self._version = client.api_version

    @property
    def name(self) -> str:
        """The table's name in the account."""
        return self._client.table_name

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        """As `Table` says."""
        check_key("partition key", partition_key)
        check_key("row key", row_key)
        with translated(self.name):
            answer = self._get(_address(self.name, partition_key, row_key), _selected(select))
            return None if answer is None else _rows_of(answer, lambda content: [content])[0]

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        """As `Table` says."""
        check_transaction(partition_key, operations)
        with span("transaction", table=self.name, operations=len(operations)), translated(self.name, operations):
            try:
                return self._submit(partition_key, operations)
            except HttpResponseError as error:
                if code_of(error) != "TableNotFound":
                    raise
                self._make_table()
                return self._submit(partition_key, operations)

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = ROWS_PER_PAGE, after: str | None = None
    ) -> Page:
        """As `Table` says."""
        keys = continuation.decode_keys(after) or {}
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
        return Page(rows, continuation.encode_keys(following) if any(following.values()) else None)

    def _get(self, address: str, query: Mapping[str, str | None]) -> HttpResponse | None:
        """None when there is no such row or table."""
        words = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items() if value)
        url = f"{self._account_url}/{address}?{words}" if words else f"{self._account_url}/{address}"
        request = HttpRequest("GET", url, headers={**_READ_HEADERS, "x-ms-version": self._version})
        # As a stream, that the pipeline does not decode: the transport has read it.
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

    def _make_table(self) -> None:
        # The SDK's own reading of a refusal fails at XML: it asks an element for its truth.
        headers = {**_READ_HEADERS, "x-ms-version": self._version, "Prefer": "return-no-content"}
        request = HttpRequest("POST", f"{self._account_url}/Tables", headers=headers, json={"TableName": self.name})
        answer = self._pipeline.send_request(request, stream=True)
        content = answer.read()
        if answer.status_code not in {201, 204} and _code_and_message(answer, content)[0] != "TableAlreadyExists":
            raise _refused(answer, answer.status_code, content)


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


def _address(table: str, partition_key: str, row_key: str) -> str:
    return f"{table}(PartitionKey='{quoted_key(partition_key)}',RowKey='{quoted_key(row_key)}')"


def _selected(select: Sequence[str] | None) -> dict[str, str]:
    return {} if select is None else {"$select": ",".join(["PartitionKey", "RowKey", *select])}


def to_row(entity: dict[str, Any]) -> Row:
    """The row of an entity as `json` gives it. Its members are taken out of it."""
    partition_key, row_key = entity.pop("PartitionKey"), entity.pop("RowKey")
    etag, timestamp = entity.pop("odata.etag", None), entity.pop("Timestamp", None)
    if not etag and timestamp:
        etag = f"W/\"datetime'{quote(timestamp)}'\""
    return Row(partition_key, row_key, _to_values(entity), etag or "")


def _to_values(entity: dict[str, Any]) -> dict[str, Value]:
    # No column's name holds a point or an at sign: a member whose name does is an annotation.
    annotations = [name for name, value in entity.items() if value is None or "." in name]
    for name in annotations:
        kind = entity.pop(name)
        if name.endswith(_TYPE):
            column = name[: -len(_TYPE)]
            convert = _FROM_EDM.get(kind)
            if convert is not None and entity.get(column) is not None:
                entity[column] = convert(entity[column])
    return entity


_TYPE = "@odata.type"
_FROM_EDM: Mapping[str, Callable[[Any], Value]] = {
    "Edm.Binary": base64.b64decode,
    # Seven digits of a second come, six are kept: a fraction that datetime cannot hold is cut off.
    "Edm.DateTime": datetime.fromisoformat,
    "Edm.Double": float,
    "Edm.Int64": int,
}


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
