"""Continuation tokens as they are given out: opaque text around the keys at which the service goes on."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from shared.errors import InvalidInputError
from shared.reasons import Reason

_KEYS = {"PartitionKey", "RowKey"}


def to_text(keys: Mapping[str, str | None]) -> str:
    """The token for the keys (`PartitionKey`, `RowKey`) that the service answered with."""
    return base64.urlsafe_b64encode(json.dumps(dict(keys)).encode()).decode()


def to_keys(after: str | None) -> dict[str, str | None] | None:
    """The keys of a token; None for none. Raises InvalidInputError for one that was not given out."""
    if after is None:
        return None
    token = content_of(after)
    if (
        not isinstance(token, dict)
        or set(token) != _KEYS
        or not all(isinstance(key, str | None) for key in token.values())
    ):
        raise invalid_continuation_token()
    return token


def content_of(after: str) -> Any:
    """The JSON value within a token; None for what is no token at all."""
    try:
        content = json.loads(base64.urlsafe_b64decode(after.encode()))
        # Half of a surrogate pair can stand in a token, and no service can be asked for it.
        json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return content


def invalid_continuation_token() -> InvalidInputError:
    """The refusal of a token."""
    return InvalidInputError(
        Reason.CONTINUATION_INVALID,
        "The continuation token is not one that was given out.",
        remedy="Begin again without it.",
    )
