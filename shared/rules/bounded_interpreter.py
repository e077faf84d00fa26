"""JMESPath worked out within bounds: `join('', [@, @])` doubles its result, and an expression can do so many times."""

from typing import Any

from jmespath.visitor import TreeInterpreter

# Characters and members of one result, with what it holds twice counted twice.
LARGEST_RESULT = 64 * 1024
# Of all results on the way together: an expression over a list makes one for each member.
_LARGEST_SUM = 4 * LARGEST_RESULT
# What makes something new. All else gives a part of what is there.
_MAKING = frozenset({"function_expression", "multi_select_list", "multi_select_dict"})


class ResultTooLargeError(Exception):
    """The message is a sentence."""


class BoundedInterpreter(TreeInterpreter):
    """Works one expression out, over one record."""

    def __init__(self) -> None:
        super().__init__()
        self._sum = 0

    def visit(self, node: Any, *arguments: Any, **named: Any) -> Any:
        result = super().visit(node, *arguments, **named)
        self._sum += 1
        if node["type"] in _MAKING:
            self._sum += _size(result)
        if self._sum > _LARGEST_SUM:
            raise ResultTooLargeError("it makes too much on the way to its result")
        return result


def _size(value: Any) -> int:
    """Characters and members, counted no further than the bound. Raises ResultTooLargeError beyond it."""
    size = 0
    nodes: list[Any] = [value]
    while nodes:
        node = nodes.pop()
        size += len(node) if isinstance(node, str) else 1
        if isinstance(node, dict):
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
        if size + len(nodes) > LARGEST_RESULT:
            raise ResultTooLargeError(f"its result has more than {LARGEST_RESULT // 1024} KiB")
    return size
