"""A JSON document in a row: packed into text columns of at most 64 KiB each, and back."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.storage.rows import CHARACTERS_PER_TEXT, Row, Value

# A character outside the basic plane counts twice in UTF-16: half the limit always fits.
CHARACTERS_PER_COLUMN = CHARACTERS_PER_TEXT // 2


def _as_json(value: Any) -> Any:
    # Times first: an instance has several, and they are quicker told than a mapping.
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value) if isinstance(value, Mapping) else str(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_as_json).encode


def pack(column: str, document: Any) -> dict[str, Value]:
    """The columns that hold `document`: `column`, then `column_1`, `column_2`, … when it is long.

    What JSON does not have becomes text, a time in its ISO form.
    """
    return pack_text(column, _encode(document))


def pack_text(column: str, text: str) -> dict[str, Value]:
    """As `pack`, of a document that is JSON already."""
    if len(text) <= CHARACTERS_PER_COLUMN:
        return {column: text}
    chunks = [text[start : start + CHARACTERS_PER_COLUMN] for start in range(0, len(text), CHARACTERS_PER_COLUMN)]
    return {column if index == 0 else f"{column}_{index}": chunk for index, chunk in enumerate(chunks)}


def unpack(row: Row | Mapping[str, Value], column: str, default: Any = None) -> Any:
    """The document that `pack` put under `column`; `default` when there is none."""
    values = row.values if isinstance(row, Row) else row
    if column not in values:
        return default
    chunks = [str(values[column])]
    while (name := f"{column}_{len(chunks)}") in values:
        chunks.append(str(values[name]))
    return json.loads("".join(chunks))
