"""What an access token looks like: `desk_`, 32 random bytes and a checksum, in letters that addresses may hold.

Scanners of secrets find it by its beginning. The checksum tells a mistyped text from a token before anything is read.
"""

import base64
import hashlib
import re
import secrets
import zlib

PREFIX = "desk_"
PATTERN = rf"{PREFIX}[A-Za-z0-9_-]{{49}}"
_RANDOM_BYTES = 32
_FORM = re.compile(PATTERN)
_CHECKSUM_LENGTH = 6


def new_token() -> str:
    """A token that nobody has yet."""
    body = PREFIX + _text(secrets.token_bytes(_RANDOM_BYTES))
    return body + _checksum(body)


def is_token(text: str) -> bool:
    """Whether it has the form and the checksum of a token. It says nothing about who holds it."""
    if _FORM.fullmatch(text) is None:
        return False
    body, checksum = text[:-_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
    return checksum == _checksum(body)


def digest_of(token: str) -> str:
    """By this it is stored and found: nobody can make a token of it, nor one that is found near it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(body: str) -> str:
    return _text(zlib.crc32(body.encode()).to_bytes(4, "big"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
