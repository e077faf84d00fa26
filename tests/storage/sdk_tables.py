"""The same tables through the SDK's own requests and entities: what the product's client is compared with."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableClient, TableServiceClient, UpdateMode

from shared.storage import continuation
from shared.storage.errors import code_of, translated
from shared.storage.rows import Create, Delete, Merge, Operation, Replace, Row, Value, check_key, check_transaction
from shared.storage.tables import ROWS_PER_PAGE, AnyOf, Condition, Page, Table, Where

_SMALL_INT = 2**31


class SdkTables:
    """The tables of one account. Tables that are missing are made at the first write."""

    def __init__(self, service: TableServiceClient) -> None:
        self._service = service
        self._tables: dict[str, SdkTable] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_connection_string(cls, connection_string: str, **options: Any) -> Self:
        return cls(TableServiceClient.from_connection_string(connection_string, **options))

    @classmethod
    def from_identity(cls, endpoint: str, credential: TokenCredential) -> Self:
        return cls(TableServiceClient(endpoint=endpoint, credential=credential))

    def table(self, name: str) -> Table:
        with self._lock:
            if name not in self._tables:
                self._tables[name] = SdkTable(self._service.get_table_client(name))
            return self._tables[name]


class SdkTable:
    """One table of the account."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    @property
    def name(self) -> str:
        return self._client.table_name

    def find(self, partition_key: str, row_key: str, select: Sequence[str] | None = None) -> Row | None:
        check_key("partition key", partition_key)
        check_key("row key", row_key)
        with translated(self.name):
            try:
                entity = self._client.get_entity(partition_key, row_key, select=_selected(select))
            except ResourceNotFoundError:
                return None
        return _to_row(entity, partition_key, row_key)

    def transact(self, partition_key: str, operations: Sequence[Operation]) -> Sequence[str]:
        check_transaction(partition_key, operations)
        batch = [_to_batch(partition_key, operation) for operation in operations]
        with translated(self.name, operations):
            try:
                answers = self._client.submit_transaction(batch)
            except HttpResponseError as error:
                if code_of(error) != "TableNotFound":
                    raise
                self._make_table()
                answers = self._client.submit_transaction(batch)
        return [str(answer.get("etag") or "") for answer in answers]

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = ROWS_PER_PAGE, after: str | None = None
    ) -> Page:
        text, parameters = _to_filter(where)
        # The SDK takes the keys as a mapping, whatever its annotation says.
        token: Any = continuation.decode_keys(after)
        with translated(self.name, continued=after is not None):
            pages = self._client.query_entities(
                text, parameters=parameters, select=_selected(select), results_per_page=size
            ).by_page(continuation_token=token)
            try:
                rows = [_to_row(entity) for entity in next(pages, ())]
            except ResourceNotFoundError:
                return Page(())
        token = getattr(pages, "continuation_token", None)
        return Page(rows, continuation.encode_keys(token) if token else None)

    def _make_table(self) -> None:
        try:
            self._client.create_table()
        except ResourceExistsError:
            return


def _selected(select: Sequence[str] | None) -> list[str] | None:
    return None if select is None else ["PartitionKey", "RowKey", *select]


def _to_entity(row: Row) -> dict[str, Any]:
    entity: dict[str, Any] = {"PartitionKey": row.partition_key, "RowKey": row.row_key}
    for column, value in row.values.items():
        if isinstance(value, int) and not isinstance(value, bool) and not -_SMALL_INT <= value < _SMALL_INT:
            entity[column] = EntityProperty(value, EdmType.INT64)
        else:
            entity[column] = value
    return entity


def _to_batch(partition_key: str, operation: Operation) -> tuple[str, dict[str, Any], dict[str, Any]]:
    if isinstance(operation, Create):
        return "create", _to_entity(operation.row), {}
    if isinstance(operation, Replace | Merge):
        condition = {"etag": operation.row.etag, "match_condition": MatchConditions.IfNotModified}
        mode = UpdateMode.REPLACE if isinstance(operation, Replace) else UpdateMode.MERGE
        return "update", _to_entity(operation.row), {"mode": mode, **condition}
    if isinstance(operation, Delete):
        keys = {"PartitionKey": partition_key, "RowKey": operation.row_key}
        if not operation.etag:
            return "delete", keys, {}
        return "delete", keys, {"etag": operation.etag, "match_condition": MatchConditions.IfNotModified}
    return "upsert", _to_entity(operation.row), {"mode": UpdateMode.REPLACE}


def _to_row(entity: Any, partition_key: str = "", row_key: str = "") -> Row:
    values: dict[str, Value] = {}
    for column, value in entity.items():
        if column in {"PartitionKey", "RowKey"}:
            continue
        if value is None:
            # A selected column that the row does not have may come as null.
            continue
        if isinstance(value, EntityProperty):
            values[column] = value.value
        elif isinstance(value, datetime):
            values[column] = datetime.fromtimestamp(value.timestamp(), UTC) if value.tzinfo is None else _exact(value)
        else:
            values[column] = value
    return Row(
        partition_key or entity["PartitionKey"],
        row_key or entity["RowKey"],
        values,
        str(entity.metadata.get("etag") or ""),
    )


def _exact(value: datetime) -> datetime:
    # The SDK's own subclass carries a seventh digit; a plain datetime compares and pickles as one expects.
    moment = value.astimezone(UTC)
    return datetime(
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond, tzinfo=UTC
    )


def _to_filter(where: Where) -> tuple[str, dict[str, Any]]:
    parameters: dict[str, Any] = {}

    def render(condition: Condition) -> str:
        name = f"p{len(parameters)}"
        parameters[name] = condition.value
        return f"{condition.column} {condition.comparison} @{name}"

    words: list[str] = []
    for part in where:
        if isinstance(part, AnyOf):
            # The SDK finds its parameters as separate words, so the brackets stand alone.
            words.append(f"( {' or '.join(render(condition) for condition in part.conditions)} )")
        else:
            words.append(render(part))
    return " and ".join(words), parameters
