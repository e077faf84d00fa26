"""JSON as people and systems send it to us: what a reader could take in two ways is refused."""

import json
from collections.abc import Sequence
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text (RFC 8259). Raises ValueError with a sentence on what is wrong.

    Refused too: members that stand twice, of which all but one would be lost; NaN and Infinity; half of a surrogate
    pair, which can be neither stored nor answered.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
        json.dumps(content, ensure_ascii=False).encode()
    except _TwiceError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    return content


class _TwiceError(ValueError):
    """A member stands twice."""


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"the member {twice[:100]!r} stands twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
