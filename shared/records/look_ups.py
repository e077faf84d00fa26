"""What a person means who looks a value up: texts whatever their case, numbers and truths as they are shown."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from math import isfinite

from shared.records.comparison import comparable
from shared.rules.operators import text_of
from shared.storage.rows import Value

_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_TRUTHS = {"true": True, "false": False}


def meanings(text: str) -> list[str]:
    """The texts that may be meant: a plus sign that nobody encoded comes as a blank."""
    found = [text]
    if text.startswith(" "):
        found.append(f"+{text.lstrip()}")
    if "@" in text:
        found.append(text.strip().replace(" ", "+"))
    return list(dict.fromkeys(one.strip() for one in found))


def stored_as(texts: Collection[str]) -> list[Value]:
    """How columns may hold one of these, as far as a query can ask: not every way to write capitals is among them."""
    values: dict[tuple[type, Value], Value] = {}
    for text in sorted(texts):
        forms: list[Value] = [text, text.lower(), text.upper(), text.title()]
        forms += [_TRUTHS[text.lower()]] if text.lower() in _TRUTHS else []
        number = _number(text)
        if number is not None:
            # A column of numbers with decimals has some without.
            forms += [int(number), number] if number.is_integer() else [number]
        moment = _moment(text)
        forms += [moment] if moment is not None else []
        values.update({(type(one), one): one for one in forms})
    return list(values.values())


def is_one_of(value: object, texts: Collection[str]) -> bool:
    """Whether a person who sees the value would say that it is one of the texts."""
    shown = comparable(value, ignore_case=True)
    if any(comparable(text, ignore_case=True) == shown for text in texts):
        return True
    if isinstance(value, int | float) and not isinstance(value, bool):
        return any(_number(text) == value for text in texts)
    return isinstance(value, datetime) and any(text_of(_moment(text)) == text_of(value) for text in texts)


def _number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if isfinite(number) else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
