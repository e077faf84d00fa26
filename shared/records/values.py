"""Values of a source's record as columns hold them, and the record as rules look at it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from shared.reasons import Reason
from shared.rules.expressions import ExpressionError, Read
from shared.rules.operators import text_of
from shared.storage.rows import CHARACTERS_PER_TEXT, Value, size_of_text
from shared.text import LONE_SURROGATE


class ValueFaultError(Exception):
    """A value that cannot be stored; the message is a sentence that names the field."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def to_value(found: Any) -> Value | None:
    """What an expression gives, as a column can hold it: lists joined, empty texts nothing, times in UTC."""
    if found is None:
        return None
    if isinstance(found, str):
        return found if found.strip() else None
    if isinstance(found, bool | int | float):
        return found
    if isinstance(found, datetime):
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    if isinstance(found, Sequence) and all(not isinstance(member, dict | list) for member in found):
        return ", ".join(text_of(member) for member in found if member is not None) or None
    text = json.dumps(found, ensure_ascii=False, sort_keys=True, default=text_of)
    return None if text in {"{}", "[]"} else text


def storable(field: str, found: Any) -> Value | None:
    """`to_value`, checked against what a column holds. Raises ValueFaultError that names the field."""
    if type(found) is str and found.isascii() and len(found) <= CHARACTERS_PER_TEXT:
        # Nearly every value: nothing can be wrong with it.
        return found if found.strip() else None
    value = to_value(found)
    if isinstance(value, str):
        # Most values are short: half the limit always fits, whatever the characters.
        if len(value) > CHARACTERS_PER_TEXT // 2 and size_of_text(value) > CHARACTERS_PER_TEXT * 2:
            message = f"{field}: the value has {len(value)} characters; at most 32,768 can be stored."
            raise ValueFaultError(Reason.VALUE_TOO_LONG, message)
        if LONE_SURROGATE.search(value):
            raise ValueFaultError(
                Reason.VALUE_UNREADABLE, f"{field}: the value holds an unpaired surrogate (invalid Unicode)."
            )
    if isinstance(value, float) and not isfinite(value):
        raise ValueFaultError(Reason.VALUE_UNREADABLE, f"{field}: {value} is no number that an answer can say.")
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise ValueFaultError(Reason.VALUE_TOO_LONG, f"{field}: the number is over 64 bits.")
    return value


class RawRecord(dict[str, object]):
    """Mapped values by field; a name of `raw` is worked out from the source's record when it is asked for."""

    def __init__(self, values: Mapping[str, object], source: Mapping[str, Any], raw: Mapping[str, Read]) -> None:
        super().__init__(values)
        self._source = source
        self._raw = raw

    def __missing__(self, key: str) -> object:
        read = self._raw.get(key)
        if read is None:
            return None
        try:
            value = to_value(read(self._source))
        except ExpressionError:
            # A rule that asks what this record does not bear finds nothing there.
            value = None
        self[key] = value
        return value

    def get(self, key: str, default: object = None) -> object:
        del default
        return self[key]

    def with_values(self, values: Mapping[str, object]) -> "RawRecord":
        """The same record with more values."""
        return RawRecord({**self, **values}, self._source, self._raw)
