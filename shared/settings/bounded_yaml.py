"""YAML read within bounds: refused are short texts that expand to much, and what can be read in two ways."""

import math
from collections.abc import Iterator
from typing import Any

import yaml

# A reader in Python takes some 10 µs for each: a value, a key, a dash, a bracket. A set of 4,000 rules has some 60,000.
MOST_TOKENS = 100_000
# No kind of document nests half as deep, and the reader looks at every level for every token.
DEEPEST = 32
# Longer ones are no numbers of anybody's, and `1:1:1:…` (in base 60) takes the square of its length.
LONGEST_NUMBER = 100
# A few lines of aliases can stand for billions of values, and checking a document looks at each.
FREE_OF_ALIASES = 50_000
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_MERGE = "tag:yaml.org,2002:merge"
# What PyYAML lets through of a scalar that its own constructors cannot read (`2024-13-45`, `!!int x`), and of nesting.
_UNREADABLE = (yaml.YAMLError, ValueError, KeyError, AttributeError, OverflowError, RecursionError)


class RefusedYamlError(Exception):
    """The text is no YAML, or exceeds a bound. The message says what is wrong, and where."""


def load_all(text: str) -> list[Any]:
    """The values of all documents of a text, without those that are empty. Raises RefusedYamlError."""
    try:
        values = [value for value in _values(text) if value is not None]
    except _UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark is not None else "somewhere"
        raise RefusedYamlError(f"is not YAML ({place})") from error
    if _expanded_size(values, {}) > 2 * len(text) + 2 * FREE_OF_ALIASES:
        raise RefusedYamlError("its aliases stand for too much: write it out")
    return values


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which counts, and refuses keys that stand twice (YAML 1.2, 3.2.1.1)."""

    _merged = 0

    def fetch_more_tokens(self) -> Any:
        line = self.line + 1
        if self.tokens_taken > MOST_TOKENS:
            raise RefusedYamlError(
                f"has more than {MOST_TOKENS:,} values, keys and brackets (line {line}): send it in several parts"
            )
        if self.flow_level + len(self.indents) > DEEPEST:
            raise RefusedYamlError(f"nests more than {DEEPEST} deep (line {line})")
        return super().fetch_more_tokens()

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise RefusedYamlError(f"holds a number of more than {LONGEST_NUMBER} digits (line {_line(node)})")
        return node

    # Where nodes are made: later, a merge (`<<`) has put the keys of another mapping beside a mapping's own.
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise RefusedYamlError(f"{key.value[:100]!r} stands twice (line {_line(key)})")
                seen.add((key.tag, key.value))
        return node

    # PyYAML's own differs by its release in which mapping of a list wins; YAML's merge says: the earlier one.
    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        merged: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        own: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag != _MERGE:
                own[_identity(key)] = (key, value)
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(source, yaml.MappingNode):
                    raise RefusedYamlError(f"merges what is no mapping (line {_line(key)})")
                self.flatten_mapping(source)
                self._merged += len(source.value)
                if self._merged > FREE_OF_ALIASES:
                    raise RefusedYamlError("its aliases stand for too much: write it out")
                for pair in source.value:
                    merged.setdefault(_identity(pair[0]), pair)
        node.value = list({**merged, **own}.values())
        # Without merges there is nothing left but its reading of the key `=`.
        super().flatten_mapping(node)


def _identity(key: yaml.Node) -> Any:
    return (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _values(text: str) -> Iterator[Any]:
    loader: Any = _Loader(text)
    try:
        while loader.check_data():
            yield loader.get_data()
    finally:
        loader.dispose()


def _expanded_size(value: Any, known: dict[int, float]) -> float:
    """Its values and the characters of its texts with every alias written out; infinite for one that holds itself."""
    if not isinstance(value, dict | list):
        return 1 + (len(value) if isinstance(value, str | bytes) else 0)
    if id(value) not in known:
        known[id(value)] = math.inf
        members = value.values() if isinstance(value, dict) else value
        keys = sum(len(key) for key in value if isinstance(key, str)) if isinstance(value, dict) else 0
        known[id(value)] = 1 + keys + sum(_expanded_size(member, known) for member in members)
    return known[id(value)]
