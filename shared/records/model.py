"""A record as people and imports speak of it: where it is, what it holds, what changed of it. It knows no storage."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from shared.records.columns import field_of

FieldValue = str | int | float | bool | bytes | datetime
# By column; None is nothing.
Values = Mapping[str, FieldValue | None]
# Of records that a person made: no source has them.
MANUAL_PARTITION = "manual"


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
