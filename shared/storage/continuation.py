"""Continuation tokens: opaque text around the keys from which the table service reads on."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from shared.errors import InvalidInputError
from shared.reasons import Reason

_KEYS = {"PartitionKey", "RowKey"}


def encode_keys(keys: Mapping[str, str | None]) -> str:
    """The token for the keys (`PartitionKey`, `RowKey`) that the service answered with."""
    return base64.urlsafe_b64encode(json.dumps(dict(keys)).encode()).decode()


def decode_keys(after: str | None) -> dict[str, str | None] | None:
    """The keys of a token; None for none. Raises InvalidInputError for a token that no list returned."""
    if after is None:
        return None
    token = token_content(after)
    if (
        not isinstance(token, dict)
        or set(token) != _KEYS
        or not all(isinstance(key, str | None) for key in token.values())
    ):
        raise invalid_continuation_token()
    return token


def token_content(after: str) -> Any:
    """The JSON value within a token; None for what is no token at all."""
    try:
        content = json.loads(base64.urlsafe_b64decode(after.encode()))
        # A token may hold an unpaired surrogate, which no request can carry.
        json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return content


def invalid_continuation_token() -> InvalidInputError:
    """The error for a token that no list returned."""
    return InvalidInputError(
        Reason.CONTINUATION_INVALID,
        "No list returned this continuation token.",
        remedy="Start again without it.",
    )
