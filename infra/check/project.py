"""All Bicep files of a folder, parsed, with the facts they are held against."""

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from infra.check.parser import parse
from infra.check.syntax import Access, Deployed, File, Index, Module, Name, Node, NotNull, Output, TargetScope
from infra.check.tokens import BicepError

# What a person or azd deploys; every other file must be a module of one of these.
ENTRIES = ("main.bicep", "event-subscriptions.bicep", "policy/subscribe-vaults.bicep", "policy/delivery-identity.bicep")


@dataclass(frozen=True, order=True)
class Problem:
    """One fault: in which file, on which line (0 for the whole file), and what it is."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Project:
    """`files` are by their path below `root`; a file that cannot be parsed is in `unreadable` instead."""

    root: Path
    facts: Mapping[str, Any]
    files: Mapping[str, File]
    unreadable: tuple[Problem, ...] = ()
    json_files: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def bicep(self) -> Iterator[File]:
        """The templates, without the parameters files."""
        yield from (file for path, file in self.files.items() if path.endswith(".bicep"))

    def target(self, file: File, module: Module) -> File | None:
        """The file that a module names."""
        path = (self.root / file.path).parent / module.path
        return self.files.get(path.resolve().relative_to(self.root.resolve()).as_posix()) if path.exists() else None


# Trees are values: a text that was parsed once is not parsed again.
_parsed = functools.cache(parse)


@functools.cache
def _facts(text: str) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = yaml.safe_load(text)
    return facts


def load(root: Path) -> Project:
    """Read and parse everything below `root`."""
    files: dict[str, File] = {}
    unreadable: list[Problem] = []
    for path in sorted([*root.rglob("*.bicep"), *root.rglob("*.bicepparam")]):
        name = path.relative_to(root).as_posix()
        try:
            files[name] = _parsed(path.read_text("utf-8"), name)
        except BicepError as error:
            unreadable.append(Problem(name, error.line, error.message))
    documents: dict[str, Any] = {}
    for path in sorted(root.rglob("*.json")):
        name = path.relative_to(root).as_posix()
        try:
            documents[name] = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            unreadable.append(Problem(name, 0, f"is not JSON: {error}"))
    return Project(root, _facts((root / "facts.yaml").read_text("utf-8")), files, tuple(unreadable), documents)


def scope_of(file: File) -> str:
    """The target scope of a file; a resource group when it says nothing."""
    return next((item.scope for item in file.statements if isinstance(item, TargetScope)), "resourceGroup")


def module_outputs(node: Node) -> Iterator[tuple[Name, str, bool, int]]:
    """Every `symbol.outputs.name` within: the symbol, the output, whether `!` stands there, and the line."""
    for inner in node.walk():
        if isinstance(inner, Access) and isinstance(inner.base, Access) and inner.base.member == "outputs":
            base, forgiven = inner.base.base, False
            while isinstance(base, NotNull | Index):
                forgiven |= isinstance(base, NotNull)
                base = base.base
            if isinstance(base, Name):
                yield base, inner.member, forgiven, inner.line


def names_in(node: Node) -> set[str]:
    """Every name that an expression mentions."""
    return {inner.name for inner in node.walk() if isinstance(inner, Name)}


def named(value: Node, file: File) -> Node:
    """The value itself, or what the variable of that name holds."""
    while isinstance(value, Name) and value.name in file.variables:
        value = file.variables[value.name].value
    return value


def depends_on(item: Deployed | Output, file: File) -> set[str]:
    """Symbols that a resource or module waits for: those it mentions, by variables too, and `dependsOn`."""
    found: set[str] = set()
    waiting = list(names_in(item.value))
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in file.variables:
            waiting += names_in(file.variables[name].value)
        elif name in file.resources or name in file.modules:
            found.add(name)
    return found
