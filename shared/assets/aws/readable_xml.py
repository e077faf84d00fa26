"""XML with characters that XML has not, made readable: each stands as DELETE, which no record may hold either."""

import codecs
import re
from collections.abc import Iterator

# Stands for a character that EC2 gave and XML has not.
UNREADABLE = "\x7f"
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REFERENCE = re.compile("&#(?:([0-9]{1,9})|[xX]([0-9A-Fa-f]{1,8}));")
# A reference may be cut by the end of a piece.
_LONGEST_REFERENCE = 14


def readable(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, with DELETE for each character that XML forbids, and for bytes that are no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    left = ""
    for piece in pieces:
        text = left + decoder.decode(piece)
        cut = text.rfind("&", max(0, len(text) - _LONGEST_REFERENCE))
        left = text[cut:] if cut >= 0 and ";" not in text[cut:] else ""
        yield _cleaned(text[: len(text) - len(left)])
    yield _cleaned(left + decoder.decode(b"", final=True))


def _cleaned(text: str) -> bytes:
    text = _REFERENCE.sub(_allowed, _FORBIDDEN.sub(UNREADABLE, text))
    return text.replace("\ufffd", UNREADABLE).encode()


def _allowed(found: "re.Match[str]") -> str:
    number = int(found[1]) if found[1] else int(found[2], 16)
    known = number < 0x110000 and not 0xD800 <= number < 0xE000
    return found[0] if known and not _FORBIDDEN.match(chr(number)) else UNREADABLE
