"""A row as the JSON that the table service reads. Written by hand: the general encoder takes three times as long, and
every value has to be looked at once in any case, for what the service would refuse."""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from json.encoder import encode_basestring as _quoted

from shared.storage.rows import Row, Value

EARLIEST = datetime(1601, 1, 1, tzinfo=UTC)
# C# identifier rules, as the service applies them; no dash and no dot, whatever the emulator accepts.
_COLUMN_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
_RESERVED = frozenset({"PartitionKey", "RowKey", "Timestamp"})
_SMALL_INT = 2**31


class NotStorableError(ValueError):
    """A column that no table can hold. The message goes on after the row's name."""


class Columns(dict[str, Value]):
    """Columns that several rows have: they are written as JSON once. Like those of any row, they never change."""

    @cached_property
    def as_json(self) -> str:
        """Each column with a comma before it. Raises NotStorableError."""
        return _columns(self)


class MoreColumns(Columns):
    """Such columns and further ones of one row."""

    def __init__(self, columns: Columns, further: Mapping[str, Value]) -> None:
        super().__init__({**columns, **further})
        self._parts = columns, further

    @cached_property
    def as_json(self) -> str:
        columns, further = self._parts
        return columns.as_json + _columns(further)


def to_entity(row: Row) -> bytes:
    """The entity as JSON in UTF-8; types are named where JSON's own would be taken for another.

    Raises NotStorableError for a name or a value that the service has no room for, whatever its size.
    """
    values = row.values
    columns = values.as_json if isinstance(values, Columns) else _columns(values)
    keys = f'"PartitionKey":{_quoted(row.partition_key)},"RowKey":{_quoted(row.row_key)}'
    try:
        return f"{{{keys}{columns}}}".encode()
    except UnicodeEncodeError as error:
        # Half of a surrogate pair: JSON can carry it, UTF-8 cannot.
        raise NotStorableError("holds an unpaired surrogate (invalid Unicode)") from error


def _columns(values: Mapping[str, Value]) -> str:
    return "".join(
        [
            # Most are texts: they are written here, without a call.
            f"{_label(column)}:{_quoted(value)}" if type(value) is str else _writer(value)(column, value)
            for column, value in values.items()
        ]
    )


@lru_cache(maxsize=64)
def to_utc(moment: datetime) -> str:
    """The moment as the service writes it. A row often bears the same one in several columns."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    # Without the "+00:00" at its end.
    return f"{moment.isoformat(timespec='microseconds')[:-6]}Z"


@lru_cache(maxsize=4096)
def _label(column: str) -> str:
    """Columns are few, and the same in every row."""
    if not _COLUMN_NAME.match(column) or column in _RESERVED:
        raise NotStorableError(f"has a column {column!r}, which cannot be a column's name")
    return f',"{column}"'


def _writer(value: Value) -> Callable[[str, Value], str]:
    write = _WRITERS.get(type(value))
    # Of a subclass, such as an enumeration's members, the first that fits.
    return write or next(write for kind, write in _WRITERS.items() if isinstance(value, kind))


def _text(column: str, value: Value) -> str:
    return f"{_label(column)}:{_quoted(str(value))}"


def _truth(column: str, value: Value) -> str:
    return f"{_label(column)}:{'true' if value else 'false'}"


def _whole(column: str, value: Value) -> str:
    assert isinstance(value, int)  # noqa: S101 - see _WRITERS
    if -_SMALL_INT <= value < _SMALL_INT and type(value) is int:
        return f"{_label(column)}:{value}"
    if not -(2**63) <= value < 2**63:
        raise NotStorableError(f"has a number over 64 bits in {column}")
    return _named(column, str(int(value)), "Edm.Int64")


def _float(column: str, value: Value) -> str:
    assert isinstance(value, float)  # noqa: S101 - see _WRITERS
    if value != value:
        return _named(column, "NaN", "Edm.Double")
    if value in {float("inf"), float("-inf")}:
        return _named(column, "Infinity" if value > 0 else "-Infinity", "Edm.Double")
    return f'{_label(column)}:{float.__repr__(value)},"{column}@odata.type":"Edm.Double"'


def _moment(column: str, value: Value) -> str:
    assert isinstance(value, datetime)  # noqa: S101 - see _WRITERS
    if value.tzinfo is None or value < EARLIEST:
        raise NotStorableError(f"holds no storable time in {column}")
    return f'{_label(column)}:"{to_utc(value)}","{column}@odata.type":"Edm.DateTime"'


def _bytes(column: str, value: Value) -> str:
    assert isinstance(value, bytes)  # noqa: S101 - see _WRITERS
    return _named(column, base64.b64encode(value).decode(), "Edm.Binary")


def _named(column: str, value: str, kind: str) -> str:
    # What stands in `value` needs no escape.
    return f'{_label(column)}:"{value}","{column}@odata.type":"{kind}"'


# In this order: a truth is a number to Python.
_WRITERS: dict[type, Callable[[str, Value], str]] = {
    str: _text,
    bool: _truth,
    int: _whole,
    float: _float,
    datetime: _moment,
    bytes: _bytes,
}
