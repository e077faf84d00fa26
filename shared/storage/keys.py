"""Keys: any text made fit for a partition or row key, and times that sort."""

import hashlib
from datetime import datetime

from shared.text import KEY_FORBIDDEN

# Table Storage sorts ascending only, so newest first needs a number that falls with time.
_LAST_MICROSECOND = 10**18
_ESCAPE = "~"
# The service takes 1,024 characters, the emulator 512: the hash and the escapes stay below both.
_LONGEST = 400


def escape_key(text: str) -> str:
    """`text` as a key: forbidden characters escaped (`~2f`), different texts to different keys, long ones hashed."""
    escaped = KEY_FORBIDDEN.sub(
        lambda match: f"{_ESCAPE}{ord(match.group()):02x}", text.replace(_ESCAPE, f"{_ESCAPE}{ord(_ESCAPE):02x}")
    )
    if len(escaped) <= _LONGEST:
        return escaped
    return f"{escaped[:_LONGEST]}{_ESCAPE}{_ESCAPE}{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


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
