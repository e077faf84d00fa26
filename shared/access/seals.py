"""Continuation tokens for callers that are limited to customers: encrypted, as a place in a list may be another's key.

A token of their own things alone would not do: where a page ends, the service names the row that comes next, and that
may be anybody's.
"""

import base64
import secrets
import threading
from contextlib import suppress

from shared.errors import AlreadyExistsError, ChangedMeanwhileError
from shared.storage.continuation import invalid_continuation_token
from shared.storage.rows import Create, Replace, Row
from shared.storage.tables import Table

# The key's row, beside those of the access tokens. Without it every worker would have a key of its own.
PARTITION, ROW_KEY = "keys", "continuation"
_KEY_BYTES = 32
_NONCE_BYTES = 12
# Lengths are told in steps, so that they say little of a key's length.
_STEP = 64
_END = b"\x80"


class Seals:
    """Encrypts and opens tokens, with one key for all workers (AES-GCM)."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._known: bytes | None = None

    def seal(self, token: str) -> str:
        """The token as a text that tells nothing to whoever holds it."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        place = base64.urlsafe_b64decode(token.encode()) + _END
        nonce = secrets.token_bytes(_NONCE_BYTES)
        padded = place.ljust(-(-len(place) // _STEP) * _STEP, b"\x00")
        return base64.urlsafe_b64encode(nonce + AESGCM(self._key()).encrypt(nonce, padded, None)).decode()

    def open(self, sealed: str) -> str:
        """The token within. Raises InvalidInputError for a text that was not sealed here."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            raw = base64.urlsafe_b64decode(sealed.encode())
            padded = AESGCM(self._key()).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
        except (ValueError, InvalidTag):
            raise invalid_continuation_token() from None
        return base64.urlsafe_b64encode(padded[: padded.rindex(_END)]).decode()

    def _key(self) -> bytes:
        with self._lock:
            while self._known is None:
                row = self._table.find(PARTITION, ROW_KEY)
                key = None if row is None else row.values.get("key")
                if isinstance(key, bytes) and len(key) == _KEY_BYTES:
                    self._known = key
                    break
                made = Row(
                    PARTITION, ROW_KEY, {"key": secrets.token_bytes(_KEY_BYTES)}, "" if row is None else row.etag
                )
                # Another worker may be first: the key is what is read then.
                with suppress(AlreadyExistsError, ChangedMeanwhileError):
                    self._table.transact(PARTITION, [Create(made) if row is None else Replace(made)])
            return self._known
