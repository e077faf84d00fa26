"""Queries of Azure Resource Graph: the operators `where`, `project` and `order by`, in the few forms that are asked."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Resource = Mapping[str, Any]

_EQUALS = re.compile(r"where (\w+) =~ '([^']*)'")
_AMONG = re.compile(r"where (\w+) in~ \(([^)]*)\)")
_ORDER = re.compile(r"order by (\w+) (asc|desc)")
_LOWERED = re.compile(r"(\w+) = tolower\((\w+)\)")


class QueryError(ValueError):
    """A query that is none, or that this stand-in does not know."""


def run(query: str, resources: Sequence[Resource]) -> list[dict[str, Any]]:
    """What the query finds among the resources. Raises QueryError."""
    table, *steps = [part.strip() for part in query.split("|")]
    if table.casefold() != "resources":
        raise QueryError(f"There is no table {table} here.")
    found = [dict(resource) for resource in resources]
    for step in steps:
        found = _step(step, found)
    return found


def _step(step: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if match := _EQUALS.fullmatch(step):
        return [one for one in found if str(one.get(match[1], "")).casefold() == match[2].casefold()]
    if match := _AMONG.fullmatch(step):
        wanted = {text.strip().strip("'").casefold() for text in match[2].split(",")}
        return [one for one in found if str(one.get(match[1], "")).casefold() in wanted]
    if match := _ORDER.fullmatch(step):
        return sorted(found, key=lambda one: str(one[match[1]]), reverse=match[2] == "desc")
    if step.startswith("project "):
        columns = [column.strip() for column in step.removeprefix("project ").split(",")]
        return [dict(_column(column, one) for column in columns) for one in found]
    raise QueryError(f"This stand-in does not know: {step}")


def _column(column: str, resource: Resource) -> tuple[str, Any]:
    if match := _LOWERED.fullmatch(column):
        return match[1], str(resource.get(match[2], "")).lower()
    if not column.isidentifier():
        raise QueryError(f"This stand-in does not know the column: {column}")
    return column, resource.get(column)
