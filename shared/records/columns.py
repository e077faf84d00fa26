"""Fields as people write them, and the columns that hold them: `asset-number` in `f_asset_number`."""

from collections.abc import Mapping
from functools import lru_cache

CUSTOM = "custom."
# What the rules decide. They are fields like the others: they can be locked, kept, and stand in the history.
TYPE = "type"
SITE = "site"
ACTIVE = "active"
_PLAIN = frozenset({TYPE, SITE, ACTIVE})


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
