"""Expressions over a record as its source gives it: JMESPath, with plain paths read without it."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from jmespath.functions import Functions

from shared.rules.bounded_interpreter import BoundedInterpreter, ResultTooLargeError

Read = Callable[[Mapping[str, Any]], Any]

_LITERAL = re.compile(r"(\w+)\.([\w .:/=+\-@]{1,128})")
# The parts of JMESPath that give a record's members without naming them: `@` and `*`.
_WHOLE = frozenset({"current", "value_projection"})
# Whoever reads a record stands deeper in the stack than whoever checks a document: both count, and neither tries.
LONGEST_EXPRESSION = 2_000
DEEPEST_EXPRESSION = 50
_FUNCTIONS = frozenset(Functions.FUNCTION_TABLE)
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,3}")


class ExpressionError(ValueError):
    """An expression that cannot be read, or that a record does not bear. The message is a sentence."""


def compile_expression(expression: str, *, literal_under: str = "") -> Read:
    """The reader of an expression. Raises ExpressionError, now or when reading.

    What follows `<literal_under>.` is a key as it stands: tags may have spaces, dots, colons and slashes in their keys,
    which JMESPath would read as something else.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise ExpressionError(f"has {len(expression)} characters: at most {LONGEST_EXPRESSION} are read")
    literal = _LITERAL.fullmatch(expression)
    if literal and literal.group(1) == literal_under:
        key = literal.group(2)
        return lambda record: (record.get(literal_under) or {}).get(key)
    if _PATH.fullmatch(expression):
        return _read_path(expression.split("."))
    if not literal_under or not expression.startswith(f"{literal_under}."):
        return _compile(expression)
    fault = "looks for something within a tag, which is a text"
    try:
        read = _compile(expression)
        if not _looks_within(jmespath.compile(expression).parsed, literal_under):
            return read
    except ExpressionError as error:
        fault = str(error)
    quoted = json.dumps(expression.removeprefix(f"{literal_under}."), ensure_ascii=False)
    raise ExpressionError(f"{fault}. For the tag of that key write {literal_under}.{quoted}")


def _compile(expression: str) -> Read:
    if (brackets := _deepest_brackets(expression)) > DEEPEST_EXPRESSION:
        raise ExpressionError(f"nests {brackets} deep: at most {DEEPEST_EXPRESSION} levels are read")
    try:
        compiled = jmespath.compile(expression)
        functions, depth = _functions_and_depth(compiled.parsed)
    except JMESPathError as error:
        raise ExpressionError(f"is no JMESPath expression: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ExpressionError("is no JMESPath expression that can be read: it is nested too deeply") from error
    if depth > DEEPEST_EXPRESSION:
        raise ExpressionError(f"nests {depth} deep: at most {DEEPEST_EXPRESSION} levels are read")
    unknown = functions - _FUNCTIONS
    if unknown:
        # JMESPath itself would say so at the first record only.
        raise ExpressionError(f"calls {', '.join(sorted(unknown))}, which is no function of JMESPath")

    def read(record: Mapping[str, Any]) -> Any:
        try:
            return BoundedInterpreter().visit(compiled.parsed, record)
        except JMESPathTypeError as error:
            if error.actual_type == "null":
                # A function of what the record has not gives what it has not: sort(SecurityGroups[].GroupName).
                return None
            raise ExpressionError(f"{expression} cannot be worked out: {str(error).splitlines()[0]}") from error
        except JMESPathError as error:
            raise ExpressionError(f"{expression} cannot be worked out: {str(error).splitlines()[0]}") from error
        except ResultTooLargeError as error:
            raise ExpressionError(f"{expression[:80]} cannot be worked out: {error}") from error
        except RecursionError as error:
            raise ExpressionError(f"{expression[:80]}… cannot be worked out: it is nested too deeply") from error

    return read


# What goes on from the result of its first child.
_GOING_ON = frozenset({"index_expression", "projection", "filter_projection", "flatten"})


def _looks_within(node: Any, texts: str) -> bool:
    """Whether an expression asks a member of `texts` for something within."""
    children: list[Any] = node["children"]
    if node["type"] in _GOING_ON and _is_member(children[0], texts):
        return True
    if node["type"] == "pipe" and children[1]["type"] == "field" and _is_member(children[0], texts):
        return True
    if [child["type"] for child in children] == ["field", "index_expression"] and children[0]["value"] == texts:
        return True
    if node["type"] == "subexpression" and len(children) > 2 and _is_member({**node, "children": children[:2]}, texts):
        return True
    return any(_looks_within(child, texts) for child in children)


def _is_member(node: Any, texts: str) -> bool:
    children = node["children"]
    return (
        node["type"] == "subexpression"
        and [child["type"] for child in children] == ["field", "field"]
        and children[0]["value"] == texts
    )


def _deepest_brackets(expression: str) -> int:
    """How deep the brackets nest, those within texts too: the parser goes as deep as they do."""
    depth = deepest = 0
    for character in expression:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(0, depth - 1)
    return deepest


def _functions_and_depth(parsed: Any) -> tuple[set[str], int]:
    names: set[str] = set()
    deepest = 0
    nodes: list[tuple[Any, int]] = [(parsed, 1)]
    while nodes:
        node, depth = nodes.pop()
        deepest = max(deepest, depth)
        if node["type"] == "function_expression":
            names.add(node["value"])
        nodes += [(child, depth + 1) for child in node["children"]]
    return names, deepest


def _read_path(names: list[str]) -> Read:
    if len(names) == 1:
        only = names[0]
        return lambda record: record.get(only)

    def read(record: Mapping[str, Any]) -> Any:
        found: Any = record
        for name in names:
            if not isinstance(found, Mapping):
                return None
            found = found.get(name)
        return found

    return read


def names_in(expression: str, *, literal_under: str = "") -> frozenset[str] | None:
    """The names that an expression may look for in a record or deeper; None when it may look at all of a record."""
    literal = _LITERAL.fullmatch(expression)
    if literal and literal.group(1) == literal_under:
        return frozenset({literal_under})
    names: set[str] = set()
    nodes: list[Any] = [jmespath.compile(expression).parsed]
    while nodes:
        node = nodes.pop()
        if node["type"] in _WHOLE:
            return None
        if node["type"] == "field":
            names.add(node["value"])
        nodes += node["children"]
    return frozenset(names)
