"""JSON that comes in: what could be read in two ways is refused."""

import json
from collections.abc import Sequence
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text (RFC 8259). Raises ValueError with a sentence on what is wrong.

    Refused too: duplicate members, of which all but one would be lost; NaN, Infinity and a number that becomes one; an
    unpaired surrogate, which can be neither stored nor answered.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except _DuplicateMemberError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    return content


class _DuplicateMemberError(ValueError):
    """An object has two members of one name."""


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        # In one pass: whoever sends half a million members must not have each compared with all others.
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _DuplicateMemberError(f"the member {twice[:100]!r} stands twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
