"""Cursors: where a page ended, as opaque text for the caller; and pages of lists that are in memory."""

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from shared.storage.continuation import invalid_continuation_token, token_content

T = TypeVar("T")


def encode_cursor(*parts: str | int | None) -> str:
    """The cursor for the values after which the next page begins."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def decode_cursor(after: str, *kinds: Any) -> list[Any]:
    """What `encode_cursor` was given, each of its kind (as `isinstance` takes it).

    Raises InvalidInputError for a cursor that no list returned.
    """
    parts = token_content(after)
    if not isinstance(parts, list) or len(parts) != len(kinds):
        raise invalid_continuation_token()
    if not all(isinstance(part, kind) for part, kind in zip(parts, kinds, strict=True)):
        raise invalid_continuation_token()
    return parts


def page_of(items: Iterable[T], key: Callable[[T], str], size: int, after: str | None) -> tuple[list[T], str | None]:
    """A page of what is in memory, in the order of its key, which must be unique.

    The cursor is the key of the last item: items that come or go meanwhile shift nothing.
    """
    ordered = sorted(items, key=key)
    if after is not None:
        (last,) = decode_cursor(after, str)
        ordered = [item for item in ordered if key(item) > last]
    page = ordered[:size]
    return page, encode_cursor(key(page[-1])) if len(ordered) > size else None
