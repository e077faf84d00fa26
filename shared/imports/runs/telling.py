"""What is told of records, in a run or in their history, made to fit where it is kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.text import LONE_SURROGATE

_CUT_AT = 500


def truncate_for_storage(told: Any) -> Any:
    """An entry or changes, as JSON, that fit into a row whatever is in it: long texts cut, half characters marked."""
    if isinstance(told, str):
        text = LONE_SURROGATE.sub("\ufffd", told)
        return text if len(text) <= _CUT_AT else f"{text[:_CUT_AT]}…"
    if isinstance(told, Mapping):
        return {name: truncate_for_storage(value) for name, value in told.items()}
    if isinstance(told, Sequence):
        return [truncate_for_storage(value) for value in told]
    return told
