"""Rows as the JSON entities of the table service, and back."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Value = str | int | float | bool | bytes | datetime
EARLIEST = datetime(1601, 1, 1, tzinfo=UTC)
# C# identifier rules, as the service applies them; no dash and no dot, whatever the emulator accepts.
_COLUMN_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
_RESERVED = frozenset({"PartitionKey", "RowKey", "Timestamp"})
_SMALL_INT = 2**31
_TYPE = "@odata.type"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class NotStorableError(ValueError):
    """A column that no table can hold. The message goes on after the row's name."""


def to_entity(partition_key: str, row_key: str, values: Mapping[str, Value]) -> bytes:
    """The entity as JSON in UTF-8; types are named where JSON's own would be taken for another.

    Raises NotStorableError for a name or a value that the service has no room for, whatever its size.
    """
    entity: dict[str, Any] = {"PartitionKey": partition_key, "RowKey": row_key}
    for column, value in values.items():
        if not _is_column_name(column):
            raise NotStorableError(f"has a column {column!r}, which cannot be a column's name")
        if isinstance(value, str):
            entity[column] = value
            continue
        entity[column], kind = _to_edm(column, value)
        if kind:
            entity[column + _TYPE] = kind
    try:
        return _encode(entity).encode()
    except UnicodeEncodeError as error:
        # JSON can carry it, UTF-8 cannot.
        raise NotStorableError("holds an unpaired surrogate (invalid Unicode)") from error


def to_values(entity: dict[str, Any]) -> dict[str, Value]:
    """The columns of an entity as `json` gives it, from which the keys and the ETag have been taken."""
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


def to_utc(moment: datetime) -> str:
    """The moment as the service writes it."""
    # Without the "+00:00" at its end.
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


@lru_cache(maxsize=4096)
def _is_column_name(column: str) -> bool:
    # Columns are few, and the same in every row.
    return _COLUMN_NAME.match(column) is not None and column not in _RESERVED


def _to_edm(column: str, value: float | datetime | bytes) -> tuple[Any, str]:
    """The value in JSON, and the type to name; empty where JSON's own is the service's."""
    if isinstance(value, bool):
        return value, ""
    if isinstance(value, int):
        if -_SMALL_INT <= value < _SMALL_INT:
            return value, ""
        if not -(2**63) <= value < 2**63:
            raise NotStorableError(f"has a number over 64 bits in {column}")
        return str(int(value)), "Edm.Int64"
    if isinstance(value, float):
        return _float(value), "Edm.Double"
    if isinstance(value, datetime):
        if value.tzinfo is None or value < EARLIEST:
            raise NotStorableError(f"holds no storable time in {column}")
        return to_utc(value), "Edm.DateTime"
    return base64.b64encode(value).decode(), "Edm.Binary"


def _float(value: float) -> float | str:
    if value != value:
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "Infinity" if value > 0 else "-Infinity"
    return value


_FROM_EDM: Mapping[str, Callable[[Any], Value]] = {
    "Edm.Binary": base64.b64decode,
    # Seven digits of a second come, six are kept: a fraction that datetime cannot hold is cut off.
    "Edm.DateTime": datetime.fromisoformat,
    "Edm.Double": float,
    "Edm.Int64": int,
}
