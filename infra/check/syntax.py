"""What a Bicep file consists of, as plain values; every node knows its line."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields


@dataclass(frozen=True)
class Node:
    """Anything that was parsed."""

    line: int

    def walk(self) -> Iterator["Node"]:
        """This node and all within it."""
        yield self
        for entry in fields(self):
            yield from _nodes(getattr(self, entry.name))


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield from value.walk()
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)


@dataclass(frozen=True)
class Text(Node):
    """A string; `parts` are literal texts and inserted expressions."""

    parts: "tuple[str | Node, ...]"

    @property
    def constant(self) -> str | None:
        """The text when nothing is inserted."""
        return "".join(str(part) for part in self.parts) if all(isinstance(part, str) for part in self.parts) else None

    @property
    def pattern(self) -> str:
        """The text with `*` where something is inserted."""
        return "".join(part if isinstance(part, str) else "*" for part in self.parts)


@dataclass(frozen=True)
class Constant(Node):
    value: int | bool | None


@dataclass(frozen=True)
class Name(Node):
    name: str


@dataclass(frozen=True)
class Access(Node):
    base: Node
    member: str


@dataclass(frozen=True)
class Index(Node):
    base: Node
    index: Node


@dataclass(frozen=True)
class NotNull(Node):
    base: Node


@dataclass(frozen=True)
class Call(Node):
    function: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Property(Node):
    """`key` has `*` where something is inserted; `inserts` are those expressions."""

    key: str
    value: Node
    inserts: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Object(Node):
    properties: tuple[Property, ...]

    def get(self, key: str) -> Node | None:
        return next((item.value for item in self.properties if item.key == key), None)


@dataclass(frozen=True)
class Array(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Loop(Node):
    item: str
    index: str | None
    over: Node
    body: Node


@dataclass(frozen=True)
class Condition(Node):
    """`if (test) body`, as resources and modules have it."""

    test: Node
    body: Node


@dataclass(frozen=True)
class Unary(Node):
    operator: str
    operand: Node


@dataclass(frozen=True)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Choice(Node):
    """`test ? yes : no`."""

    test: Node
    yes: Node
    no: Node


@dataclass(frozen=True)
class Decorator(Node):
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Statement(Node):
    decorators: tuple[Decorator, ...] = field(default=(), kw_only=True)

    def decorator(self, name: str) -> Decorator | None:
        return next((item for item in self.decorators if item.name == name), None)


@dataclass(frozen=True)
class TargetScope(Statement):
    scope: str


@dataclass(frozen=True)
class Using(Statement):
    path: str


@dataclass(frozen=True)
class Assignment(Statement):
    """`param name = value` of a parameters file."""

    name: str
    value: Node


@dataclass(frozen=True)
class Param(Statement):
    name: str
    type: str
    default: Node | None


@dataclass(frozen=True)
class Var(Statement):
    name: str
    value: Node


@dataclass(frozen=True)
class Output(Statement):
    name: str
    type: str
    value: Node


@dataclass(frozen=True)
class Deployed(Statement):
    """A resource or module: `body` is what stands behind loops and conditions."""

    symbol: str
    value: Node

    @property
    def body(self) -> Object:
        node = self.value
        while isinstance(node, Loop | Condition):
            node = node.body
        assert isinstance(node, Object)  # noqa: S101 - the parser accepts nothing else here
        return node

    @property
    def conditional(self) -> bool:
        node = self.value.body if isinstance(self.value, Loop) else self.value
        return isinstance(node, Condition)


@dataclass(frozen=True)
class Resource(Deployed):
    type: str
    version: str
    existing: bool


@dataclass(frozen=True)
class Module(Deployed):
    path: str


@dataclass(frozen=True)
class File(Node):
    path: str
    statements: tuple[Statement, ...]

    @property
    def params(self) -> dict[str, Param]:
        return {item.name: item for item in self.statements if isinstance(item, Param)}

    @property
    def variables(self) -> dict[str, Var]:
        return {item.name: item for item in self.statements if isinstance(item, Var)}

    @property
    def outputs(self) -> dict[str, Output]:
        return {item.name: item for item in self.statements if isinstance(item, Output)}

    @property
    def resources(self) -> dict[str, Resource]:
        return {item.symbol: item for item in self.statements if isinstance(item, Resource)}

    @property
    def modules(self) -> dict[str, Module]:
        return {item.symbol: item for item in self.statements if isinstance(item, Module)}
