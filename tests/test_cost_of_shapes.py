"""Each shape that could make much work of little, at the largest size that is accepted, against a plain body."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest

from functions.http.answers import LARGEST_BODY
from shared.errors import InvalidInputError
from shared.rules.bounded_interpreter import LARGEST_RESULT
from shared.rules.expressions import (
    DEEPEST_EXPRESSION,
    LONGEST_EXPRESSION,
    ExpressionError,
    compile_expression,
)
from shared.rules.patterns import LARGEST_PATTERNS, MOST_PATTERNS, estimated_size
from shared.settings.bounded_yaml import FREE_OF_ALIASES, MOST_TOKENS
from shared.settings.validation import check_document, parse_yaml_set
from shared.strict_json import parse_json
from shared.tickets.documents import KeyVaultEvents
from shared.tickets.inbound.event_grid import MOST_EVENTS
from tests.costs import measure
from tests.rules.test_patterns import criteria, tickets
from tests.tickets.desk import PAYLOADS, Desk, settings

Work = Callable[[], object]
LARGEST_DELIVERY = 1_572_864
[EVENT] = json.loads((PAYLOADS / "secret_near_expiry.json").read_bytes())


def check(document: dict[str, Any]) -> Work:
    return lambda: check_document(KeyVaultEvents, "default", parse_json(json.dumps(document)))


def json_members() -> tuple[Work, Work]:
    names = [f'"m{number:07}": 0' for number in range(LARGEST_BODY // 14)]
    plain, doubled = "{" + ",".join(names) + "}", "{" + ",".join([*names[:-1], names[0]]) + "}"
    return lambda: parse_json(plain), lambda: parse_json(doubled)


def long_list() -> tuple[Work, Work]:
    names = [f"subscription-{number:06}" for number in range(LARGEST_BODY // 24)]
    text = json.dumps({"names": names})
    return lambda: parse_json(text), check(settings(subscriptions=names))


def patterns() -> tuple[Work, Work]:
    pattern = r"\w{9}" + "x" * 100
    number = min(MOST_PATTERNS, LARGEST_PATTERNS // (estimated_size(pattern) + 200))
    return check(tickets(criteria(pattern, number, "equals"))), check(tickets(criteria(pattern, number)))


def yaml_aliases() -> tuple[Work, Work]:
    """As many as are read, and of values as many as aliases may stand for."""
    number, line = MOST_TOKENS // 2 - 50, "    - *usual   \n"
    values = 2 * len(line) + 2 * FREE_OF_ALIASES // number - 2
    usual = "[" + ",".join("0" * values) + "]"
    head = f"kind: sites\nname: york\ndocument:\n  first: &usual {usual}\n  more:\n"
    plain, aliases = (head + "    - some text\n" * number).encode(), (head + line * number).encode()

    def check_aliases() -> None:
        [received] = parse_yaml_set(aliases)
        with pytest.raises(InvalidInputError):
            check_document(KeyVaultEvents, "default", received.content)

    return lambda: parse_yaml_set(plain), check_aliases


def deepest_expression() -> tuple[Work, Work]:
    """As deep and as long as one may be, read once a record."""
    levels = DEEPEST_EXPRESSION - 1
    pad = " " * (LONGEST_EXPRESSION - 2 * levels - 1)
    deep = "[" * levels + "a" + pad + "]" * levels
    with pytest.raises(ExpressionError, match="nests"):
        compile_expression("[" * (2 * levels) + "a" + "]" * (2 * levels))
    plain = "a" + " || b" * 40
    record = {"a": "", "b": ""}

    def run(expression: str) -> Work:
        assert len(expression) <= LONGEST_EXPRESSION
        compile_expression(expression)(record)
        return lambda: [compile_expression(expression)(record) for _ in range(10)]

    return run(plain), run(deep)


def nested_expression() -> tuple[Work, Work]:
    record = {"a": "x" * 100, "b": "x" * (LARGEST_RESULT - 100)}

    def run(expression: str) -> Work:
        def work() -> None:
            for _ in range(10):
                read = compile_expression(expression)
                with suppress(ExpressionError):
                    read(record)

        work()
        return work

    doubling = "a" + " | join('', [@, @])" * 15
    return run("join('', [b])" + " || b" * 30), run(doubling)


def delivery(members: list[Any]) -> Work:
    body = json.dumps(members, separators=(",", ":")).encode()
    assert len(body) <= LARGEST_DELIVERY
    return lambda: Desk().post(body)


def event(number: int, name: str) -> dict[str, Any]:
    return {**EVENT, "id": f"e{number}", "subject": name, "data": {**EVENT["data"], "ObjectName": name}}


NUMBER = LARGEST_DELIVERY // (len(json.dumps(event(0, "secret-0000"))) + 8)


@cache
def ordinary() -> Work:
    return delivery([event(each, f"secret-{each % 100:04}") for each in range(NUMBER)])


def many_members() -> tuple[Work, Work]:
    return ordinary(), delivery([event(each, f"secret-{each:04}") for each in range(NUMBER)])


def many_bad_members() -> tuple[Work, Work]:
    pad = "x" * (LARGEST_DELIVERY // MOST_EVENTS - 20)
    return ordinary(), delivery([{"a": each, "b": pad} for each in range(MOST_EVENTS)])


def too_many_members() -> tuple[Work, Work]:
    return ordinary(), delivery([0] * (LARGEST_DELIVERY // 2 - 1))


# Several shapes have the same one.
cost_of_plain = cache(measure)

# Each with how many times the plain body's CPU and memory it may take: some four times what it does take.
SHAPES: dict[str, tuple[Callable[[], tuple[Work, Work]], float, float]] = {
    "doubled JSON members": (json_members, 6, 6),
    "long lists": (long_list, 90, 12),
    "patterns": (patterns, 20, 6),
    "YAML aliases": (yaml_aliases, 6, 6),
    "nested expressions": (nested_expression, 20, 20),
    "deepest expressions": (deepest_expression, 20, 20),
    "many members of a delivery": (many_members, 20, 20),
    "many bad events of a delivery": (many_bad_members, 10, 10),
    "more members than are read": (too_many_members, 6, 6),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_costs_many_times_a_plain_body(shape: str) -> None:
    build, times_cpu, times_memory = SHAPES[shape]
    plain, hostile = build()
    usual, cost = cost_of_plain(plain), measure(hostile)
    assert cost.cpu < times_cpu * usual.cpu
    assert cost.memory < times_memory * usual.memory
