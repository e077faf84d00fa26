"""Expressions that are refused, or that a record does not bear: the work is bounded by what is sent."""

import sys

import pytest

from shared.rules.bounded_interpreter import LARGEST_RESULT
from shared.rules.expressions import DEEPEST_EXPRESSION, LONGEST_EXPRESSION, ExpressionError, compile_expression

RECORD = {"a": "x" * 1_000, "l": [{"v": number} for number in range(1_000)], "tags": {}}


@pytest.mark.parametrize("depth", [DEEPEST_EXPRESSION + 1, 489, 900])
@pytest.mark.parametrize("level", ["({})", "[{}]", "{{b: {}}}", "!{}", "not_null({})", "{} || b", "{} | b[0]"])
def test_an_expression_that_nests_too_deep_is_refused_when_it_is_written(level: str, depth: int) -> None:
    expression = "a"
    for _ in range(depth):
        expression = level.format(expression)
        if len(expression) > LONGEST_EXPRESSION - 20:
            break
    else:
        with pytest.raises(ExpressionError, match=r"nest|levels"):
            compile_expression(expression)


def test_the_deepest_expression_is_worked_out_however_deep_in_the_stack() -> None:
    deepest = "(" * DEEPEST_EXPRESSION + "a" + ")" * DEEPEST_EXPRESSION + " || a" * (DEEPEST_EXPRESSION // 2)

    def far_down(frames: int) -> object:
        return compile_expression(deepest)(RECORD) if frames == 0 else far_down(frames - 1)

    assert far_down(sys.getrecursionlimit() // 3) == RECORD["a"]


def test_an_expression_has_an_end() -> None:
    with pytest.raises(ExpressionError, match="2000 are read"):
        compile_expression("tags.Name || " * 2_000 + "tags.Other")


@pytest.mark.parametrize(
    "expression",
    [
        "a" + " | join('', [@, @])" * 40,
        "a" + " | [@, @]" * 40,
        "a" + " | {x: @, y: @}" * 40,
        "a" + " | to_string([@, @])" * 40,
        "a" + " | not_null([@, @])" * 40,
        "l[*].{a: to_string(@)} | [*].[@, @, @, @] | [*].[@, @, @, @] | [*].[@, @, @, @] | [*].[@, @, @, @]",
    ],
)
def test_a_result_that_doubles_with_each_step_stops_at_64_kib(expression: str) -> None:
    read = compile_expression(expression)
    with pytest.raises(ExpressionError, match="cannot be worked out"):
        read(RECORD)


def test_a_result_of_what_a_record_has_is_given() -> None:
    assert compile_expression("join(',', l[*].to_string(v))")(RECORD) == ",".join(map(str, range(1_000)))
    assert len(compile_expression("join('', [a, a, a, a])")(RECORD)) == 4_000 < LARGEST_RESULT
