"""Bodies that are short to send and long to read: each takes hardly longer than a plain one of its size."""

import json

import pytest

from functions.http.answers import LARGEST_BODY
from shared.strict_json import parse_json
from tests.costs import cpu_of

_MEMBERS = LARGEST_BODY // 14


def _members(names: list[str]) -> str:
    return "{" + ",".join(f'"{name}": 0' for name in names) + "}"


NAMES = [f"m{number:07}" for number in range(_MEMBERS)]
PLAIN = json.dumps(dict.fromkeys(NAMES, 0))
SHAPES = {
    "each member different, the last one doubled": _members([*NAMES, "m0000000"]),
    "the last two doubled": _members([*NAMES, "m9999999", "m9999999"]),
    "all the same": _members(["m0000000"] * _MEMBERS),
    "many objects, each with a doubled member": "[" + ",".join(['{"a":0,"a":0}'] * _MEMBERS) + "]",
    "brackets": "[" * (LARGEST_BODY // 2),
    "a long number": "1" * LARGEST_BODY,
    "many texts": "[" + ",".join(['""'] * (LARGEST_BODY // 3)) + "]",
    "escapes": '"' + "\\u00e9" * (LARGEST_BODY // 6) + '"',
}


def _seconds(text: str) -> float:
    return cpu_of(lambda: parse_json(text))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_takes_much_longer_than_a_plain_body(shape: str) -> None:
    assert _seconds(SHAPES[shape]) < 8 * _seconds(PLAIN)


def test_a_doubled_member_is_named() -> None:
    with pytest.raises(ValueError, match="'b' stands twice"):
        parse_json('{"a": 0, "b": 1, "c": 2, "b": 3, "a": 4}')
