"""Texts as Table Storage takes them, and times as texts that sort; apart from its other limits, so that the triggers
start light."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime

# `/ \ # ?` and control characters are refused; `%` is taken by some layers and broken by others.
KEY_FORBIDDEN = re.compile("[/\\\\#?%\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# An unpaired surrogate (invalid Unicode): JSON can carry it, UTF-8 cannot.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = "~"
# The service takes 1,024 characters, the emulator 512: the hash and the escapes stay below both.
_LONGEST_KEY = 400
_NAMES_TOLD = 5
_LONGEST_NAME = 100
# Table Storage sorts ascending only, so newest first needs a number that falls with time.
_LAST_MICROSECOND = 10**18


def escape_key(text: str) -> str:
    """`text` as a key: forbidden characters escaped (`~2f`), different texts to different keys, long ones hashed."""
    escaped = KEY_FORBIDDEN.sub(
        lambda match: f"{_ESCAPE}{ord(match.group()):02x}", text.replace(_ESCAPE, f"{_ESCAPE}{ord(_ESCAPE):02x}")
    )
    if len(escaped) <= _LONGEST_KEY:
        return escaped
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{escaped[:_LONGEST_KEY]}{_ESCAPE}{_ESCAPE}{digest}"


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)


def ascending(moment: datetime) -> str:
    """A text that sorts with time: earliest first."""
    return f"{microseconds(moment):018d}"


def descending(moment: datetime | int) -> str:
    """A text that sorts against time: newest first. A number is of microseconds since 1970."""
    number = moment if isinstance(moment, int) else microseconds(moment)
    return f"{_LAST_MICROSECOND - number:018d}"


def few(names: Sequence[str]) -> str:
    """A few of the names, and how many more there are: a sentence about thousands stays one."""
    told = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in names[:_NAMES_TOLD]]
    if len(names) > _NAMES_TOLD:
        told.append(f"{len(names) - _NAMES_TOLD:,} more")
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
