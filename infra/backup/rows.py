"""A table's entity as a line of JSON, and back, with every type that Table Storage knows kept exactly."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from azure.data.tables import EdmType, EntityProperty, TableEntity

_KEYS = ("PartitionKey", "RowKey")


class UnreadableError(ValueError):
    """The line is no entity that this command wrote."""


def to_line(entity: Mapping[str, Any]) -> str:
    """One line: the two keys, and each column as `[type, value]`."""
    columns = {name: _encoded(value) for name, value in entity.items() if name not in _KEYS}
    keys = [entity["PartitionKey"], entity["RowKey"]]
    return json.dumps([*keys, columns], separators=(",", ":"), sort_keys=True)


def from_line(line: str) -> TableEntity:
    """The entity; raises UnreadableError."""
    try:
        partition_key, row_key, columns = json.loads(line)
        entity = TableEntity(PartitionKey=str(partition_key), RowKey=str(row_key))
        entity.update({name: _decoded(*value) for name, value in columns.items()})
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise UnreadableError(f"is no row of a backup ({error})") from error
    return entity


def _encoded(value: Any) -> list[Any]:
    if isinstance(value, EntityProperty):
        # The SDK tells 64-bit numbers apart in this way, and only them.
        return [str(EdmType(value.edm_type).value), str(value.value)]
    if isinstance(value, bool):
        return ["Edm.Boolean", value]
    if isinstance(value, int):
        return ["Edm.Int32", value]
    if isinstance(value, float):
        return ["Edm.Double", value.hex()]
    if isinstance(value, datetime):
        # The service keeps seven digits of a second, Python six.
        exact = getattr(value, "tables_service_value", "")
        return ["Edm.DateTime", exact or value.isoformat()]
    if isinstance(value, UUID):
        return ["Edm.Guid", str(value)]
    if isinstance(value, bytes):
        return ["Edm.Binary", base64.b64encode(value).decode("ascii")]
    return ["Edm.String", str(value)]


def _decoded(kind: str, value: Any) -> Any:
    if kind == "Edm.Int64":
        return EntityProperty(int(value), EdmType.INT64)
    if kind == "Edm.Double":
        return float.fromhex(value)
    if kind == "Edm.DateTime":
        return EntityProperty(value, EdmType.DATETIME)
    if kind == "Edm.Guid":
        return UUID(value)
    if kind == "Edm.Binary":
        return base64.b64decode(value)
    if kind in {"Edm.Boolean", "Edm.Int32", "Edm.String"}:
        return value
    raise UnreadableError(f"knows no type {kind}")
