"""A record as people and imports speak of it: where it is, what it holds, what changed of it. It knows no storage."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

FieldValue = str | int | float | bool | bytes | datetime
# By column; None is nothing.
Values = Mapping[str, FieldValue | None]
# Of records that a person made: no source has them.
MANUAL_PARTITION = "manual"
CUSTOM = "custom."
# What the rules decide. They are fields like the others: they can be locked, kept, and stand in the history.
TYPE = "type"
SITE = "site"
ACTIVE = "active"
_PLAIN = frozenset({TYPE, SITE, ACTIVE})


class Key(NamedTuple):
    """Where a record's row is."""

    partition: str
    row: str

    @property
    def text(self) -> str:
        return f"{self.partition}|{self.row}"

    @classmethod
    def parse(cls, text: str) -> "Key":
        partition, _, row = text.partition("|")
        return cls(partition, row)


class FieldChange(NamedTuple):
    """One column, before and after; None is nothing."""

    column: str
    before: FieldValue | None
    after: FieldValue | None

    def as_json(self) -> dict[str, object]:
        return {
            "field": field_of(self.column) or self.column,
            "before": plain_value(self.before),
            "after": plain_value(self.after),
        }


def plain_value(value: object) -> object:
    """The value as JSON has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def merged(values: Mapping[str, FieldValue], assign: Values) -> dict[str, FieldValue]:
    """The values with what is assigned; None takes a value away."""
    return {column: value for column, value in {**values, **assign}.items() if value is not None}


@lru_cache(maxsize=4096)
def column_of(field: str) -> str:
    """The column of a field. Names of fields have no underscore, so that no two meet in one column."""
    if field in _PLAIN:
        return field
    if field.startswith(CUSTOM):
        return f"c_{field.removeprefix(CUSTOM).replace('-', '_')}"
    return f"f_{field.replace('-', '_')}"


@lru_cache(maxsize=4096)
def field_of(column: str) -> str | None:
    """The field that a column holds; None for a column of the machinery."""
    if column in _PLAIN:
        return column
    if column.startswith("f_"):
        return column[2:].replace("_", "-")
    if column.startswith("c_"):
        return CUSTOM + column[2:].replace("_", "-")
    return None


def fields_of(values: Mapping[str, object]) -> dict[str, object]:
    """The fields among the columns of a row, without type, site and active."""
    found: dict[str, object] = {}
    for column, value in values.items():
        field = field_of(column)
        if field is not None and field not in _PLAIN:
            found[field] = value
    return found
