"""Resources against the list of facts: types, API versions, members, what is read of them, and roles."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from infra.check.project import Problem, Project, named, scope_of
from infra.check.syntax import (
    Access,
    Array,
    Binary,
    Call,
    Choice,
    Constant,
    File,
    Index,
    Loop,
    Name,
    Node,
    NotNull,
    Object,
    Resource,
    Text,
    Var,
)

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"


def check(project: Project) -> Iterator[Problem]:
    """Every fault of every resource."""
    for file in project.bicep():
        for resource in file.resources.values():
            yield from _resource(project, file, resource)
        yield from _reads(project, file)
        yield from _roles(project, file)
    yield from _left_over(project)
    for path, document in project.json_files.items():
        for guid in _GUID.findall(str(document)):
            if guid not in project.facts["policy_roles"].values():
                yield Problem(path, 0, f"the role {guid} is not among policy_roles in facts.yaml")


def _left_over(project: Project) -> Iterator[Problem]:
    nodes = [node for file in project.files.values() for statement in file.statements for node in statement.walk()]
    called = {node.function.name for node in nodes if isinstance(node, Call) and isinstance(node.function, Name)}
    used = {resource.type for file in project.bicep() for resource in file.resources.values()}
    granted = {role for roles in project.facts["grants"].values() for role in roles}
    for known, found in (("resources", used), ("functions", called), ("roles", granted)):
        for name in sorted(set(project.facts[known]) - found):
            yield Problem("facts.yaml", 0, f"{name} of {known} is used by no file")


def _resource(project: Project, file: File, resource: Resource) -> Iterator[Problem]:
    facts = project.facts["resources"].get(resource.type)
    if facts is None:
        yield Problem(file.path, resource.line, f"{resource.type} is not in facts.yaml")
        return
    if str(facts["version"]) != resource.version:
        yield Problem(
            file.path, resource.line, f"{resource.type}@{resource.version}: facts.yaml knows {facts['version']} alone"
        )
    for item in resource.body.properties:
        if item.key not in facts["members"]:
            yield Problem(file.path, item.line, f"{resource.type} has no member {item.key} in facts.yaml")
        elif isinstance(facts.get(item.key), Mapping):
            yield from _members(file, item.value, facts[item.key], f"{resource.type} {item.key}")
    if resource.existing:
        return
    for path, wanted in facts.get("required", {}).items():
        found = _find(resource.body, path.split("."))
        value = found.value if isinstance(found, Constant) else found.constant if isinstance(found, Text) else None
        if value != wanted:
            yield Problem(file.path, resource.line, f"{resource.symbol}: {path} must be {wanted}")


def _find(node: Node | None, path: list[str]) -> Node | None:
    for key in path:
        node = node.get(key) if isinstance(node, Object) else None
    return node


def _members(file: File, value: Node, known: Any, where: str) -> Iterator[Problem]:
    """Members of an object, of every object of an array or loop, and of both sides of a choice."""
    value = named(value, file)
    if isinstance(value, Object):
        for item in value.properties:
            if item.key in known:
                if isinstance(known[item.key], Mapping):
                    yield from _members(file, item.value, known[item.key], f"{where}.{item.key}")
            elif "*" not in known:
                yield Problem(file.path, item.line, f"{where} has no member {item.key} in facts.yaml")
    elif isinstance(value, Array):
        for element in value.items:
            yield from _members(file, element, known, where)
    elif isinstance(value, Loop):
        yield from _members(file, value.body, known, where)
    elif isinstance(value, Choice):
        yield from _members(file, value.yes, known, where)
        yield from _members(file, value.no, known, where)
    elif isinstance(value, Call):
        for argument in value.arguments:
            yield from _members(file, argument, known, where)
    elif isinstance(value, Binary):
        yield from _members(file, value.left, known, where)


def _reads(project: Project, file: File) -> Iterator[Problem]:
    for statement in file.statements:
        inner_of_longer: set[int] = set()
        for node in statement.walk():
            if not isinstance(node, Access) or id(node) in inner_of_longer:
                continue
            path: list[str] = []
            base: Node = node
            while isinstance(base, Access | Index | NotNull):
                if isinstance(base, Access):
                    path.insert(0, base.member)
                    inner_of_longer.add(id(base))
                base = base.base
            resource = file.resources.get(base.name) if isinstance(base, Name) else None
            if resource is None:
                continue
            facts = project.facts["resources"].get(resource.type, {})
            if ".".join(path) not in facts.get("reads", []):
                yield Problem(file.path, node.line, f"{resource.type}: {'.'.join(path)} is not among its reads")


def _roles(project: Project, file: File) -> Iterator[Problem]:
    roles: Mapping[str, Mapping[str, str]] = project.facts["roles"]
    granted = project.facts["grants"].get(file.path, [])
    for statement in file.statements:
        for key, node in _texts(statement):
            guid = node.constant
            if guid is None or not _GUID.fullmatch(guid):
                continue
            role = next((name for name, role in roles.items() if role["id"] == guid), None)
            if role is None:
                yield Problem(file.path, node.line, f"the role {guid} is not in facts.yaml")
            elif role != key:
                yield Problem(file.path, node.line, f"{key} is called, but {guid} is {roles[role]['name']}")
            elif role not in granted:
                yield Problem(file.path, node.line, f"{roles[role]['name']} is not granted by this file in facts.yaml")
    text = str([node.constant for statement in file.statements for _, node in _texts(statement)])
    for role in granted:
        if roles[role]["id"] not in text:
            yield Problem(file.path, 0, f"{roles[role]['name']} is to be granted here and is not")
    for resource in file.resources.values():
        if resource.type == _ASSIGNMENT:
            yield from _assignment(file, resource)


def _texts(statement: Node) -> Iterator[tuple[str, Text]]:
    """Each text with the key or variable that it stands under."""
    if isinstance(statement, Var) and isinstance(statement.value, Text):
        yield statement.name, statement.value
        return
    for node in statement.walk():
        if isinstance(node, Object):
            yield from ((item.key, item.value) for item in node.properties if isinstance(item.value, Text))


def _assignment(file: File, resource: Resource) -> Iterator[Problem]:
    name, scope = resource.body.get("name"), resource.body.get("scope")
    called = isinstance(name, Call) and isinstance(name.function, Name) and name.function.name == "guid"
    mentioned = {inner.name for inner in name.walk() if isinstance(inner, Name)} if name else set()
    if not called or "principalId" not in mentioned:
        yield Problem(file.path, resource.line, f"{resource.symbol} must be named guid(scope, principalId, role)")
    elif isinstance(scope, Name) and scope.name not in mentioned:
        yield Problem(file.path, resource.line, f"{resource.symbol}: its scope {scope.name} must be part of its name")
    # A file of a subscription grants on all of it, and says so in the assignment's name.
    if scope is None and not (scope_of(file) == "subscription" and "subscription" in mentioned):
        yield Problem(file.path, resource.line, f"{resource.symbol} has no scope: it would hold for the whole group")
    if _find(resource.body, ["properties", "principalType"]) is None:
        yield Problem(file.path, resource.line, f"{resource.symbol} has no principalType: a new identity is not found")
