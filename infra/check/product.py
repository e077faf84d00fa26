"""The infrastructure against the code: app settings, tables, queues, containers, routes, functions, event types."""

import re
from collections.abc import Iterator
from itertools import product as combinations

from infra.check.code import Code
from infra.check.project import Problem, Project, named
from infra.check.syntax import Array, Call, Choice, File, Loop, Name, Node, Object, Property, Resource, Text

EVENT_TYPES = frozenset(
    f"Microsoft.KeyVault.{object_type}{change}"
    for object_type, change in combinations(
        ("Secret", "Key", "Certificate"), ("NewVersionCreated", "NearExpiry", "Expired")
    )
)
_STORAGE = "modules/storage.bicep"
_APP = "modules/app.bicep"
_ALERTS = "modules/alerts.bicep"
_KINDS = re.compile(r"message has_any \(([^)]*)\)")
_PHRASE = re.compile(r'message has "([^"]*)"')
_HOST_PATH = re.compile(r"\*(/api/[^*]*)$")


def check(project: Project, code: Code) -> Iterator[Problem]:
    """Everything in which the two differ."""
    yield from _settings(project, code)
    yield from _storage(project, code)
    yield from _code_names(code)
    yield from _routes(project, code)
    yield from _alerts(project, code)
    yield from _subscriptions(project, code)


# App settings


def app_settings(file: File) -> dict[str, Property]:
    """Every setting that the app can get, whatever its conditions."""
    found: dict[str, Property] = {}
    for resource in file.resources.values():
        name = resource.body.get("name")
        if isinstance(name, Text) and name.constant == "appsettings":
            for item in _objects(resource.body.get("properties"), file):
                found |= {entry.key: entry for entry in item.properties}
    return found


def _objects(node: Node | None, file: File) -> Iterator[Object]:
    node = named(node, file) if node else None
    if isinstance(node, Object):
        yield node
    elif isinstance(node, Choice):
        yield from _objects(node.yes, file)
        yield from _objects(node.no, file)
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from _objects(argument, file)


def _settings(project: Project, code: Code) -> Iterator[Problem]:
    file = project.files.get(_APP)
    if file is None:
        return
    given = app_settings(file)
    expected = set(code.defaults) - set(project.facts["unset_settings"])
    for name in sorted(expected - set(given)):
        yield Problem(_APP, 0, f"the app setting {name} of shared/environment.py is not set")
    for name in sorted(set(given) - expected - set(project.facts["platform_settings"])):
        yield Problem(_APP, given[name].line, f"the app setting {name} is unknown to shared/environment.py")
    for name in sorted(set(given) & set(project.facts["forbidden_settings"])):
        yield Problem(_APP, given[name].line, f"Flex Consumption refuses the app setting {name}")
    for name, item in given.items():
        value, default = _value(project, item.value), code.defaults.get(name)
        if value is not None and default is not None and value != default:
            yield Problem(_APP, item.line, f"{name} is {value!r}, and the code's own default is {default!r}")


def _value(project: Project, node: Node) -> str | None:
    """The text, or the default of the main file's parameter that is handed through; None when it is neither."""
    if isinstance(node, Name) and "main.bicep" in project.files:
        param = project.files["main.bicep"].params.get(node.name)
        node = param.default if param and param.default else node
    return node.constant if isinstance(node, Text) else None


# Tables, queues and containers


def _storage(project: Project, code: Code) -> Iterator[Problem]:
    file = project.files.get(_STORAGE)
    if file is None:
        return
    base = "Microsoft.Storage/storageAccounts"
    for kind, type_, wanted in (
        ("table", f"{base}/tableServices/tables", code.tables),
        ("queue", f"{base}/queueServices/queues", code.queues),
        ("container", f"{base}/blobServices/containers", code.containers),
    ):
        made = {
            name
            for resource in file.resources.values()
            if resource.type == type_ and not resource.existing
            for name in _names(resource, file)
        }
        for name in sorted(set(wanted) - made):
            yield Problem(_STORAGE, 0, f"the {kind} {name} of shared/storage/names.py is not created")
        for name in sorted(made - set(wanted)):
            yield Problem(_STORAGE, 0, f"the {kind} {name} is unknown to shared/storage/names.py")


def _names(resource: Resource, file: File) -> Iterator[str]:
    name = resource.body.get("name")
    if isinstance(resource.value, Loop) and isinstance(name, Name) and name.name == resource.value.item:
        over = named(resource.value.over, file)
        items = over.items if isinstance(over, Array) else ()
    else:
        items = (named(name, file),) if name else ()
    yield from (item.constant for item in items if isinstance(item, Text) and item.constant is not None)


def _code_names(code: Code) -> Iterator[Problem]:
    for function in code.functions:
        if function.queue is not None and function.queue not in code.queues:
            yield Problem("functions", 0, f"{function.name} reads the queue {function.queue}, which names.py lacks")
    for name in sorted(set(re.findall(r'^(?:[A-Z_]*_)?TABLE = "([^"]+)"', code.source, re.MULTILINE))):
        if name not in code.tables:
            yield Problem("shared", 0, f"the table {name} is used, and shared/storage/names.py lacks it")
    for name in sorted(set(re.findall(r'^(?:[A-Z_]*_)?QUEUE = "([^"]+)"', code.source, re.MULTILINE))):
        if name not in code.queues:
            yield Problem("shared", 0, f"the queue {name} is used, and shared/storage/names.py lacks it")


# Routes


def _routes(project: Project, code: Code) -> Iterator[Problem]:
    anonymous = {function.route for function in code.functions if function.anonymous and function.route}
    for path, file in project.files.items():
        for statement in file.statements:
            for node in statement.walk():
                match = _HOST_PATH.search(node.pattern) if isinstance(node, Text) else None
                if match and match[1] not in anonymous:
                    yield Problem(path, node.line, f"{match[1]} is no anonymous route of the app")
    app = project.files.get(_APP)
    if app is None:
        return
    listed = [node for statement in app.statements for node in _excluded(statement)]
    for line, text in listed:
        if text not in {_waiver(route) for route in anonymous}:
            yield Problem(_APP, line, f"sign-in is waived for {text}, which is no anonymous route")
        for function in code.functions:
            if text.endswith("*") and not function.anonymous and (function.route or "").startswith(text[:-1]):
                yield Problem(_APP, line, f"{text} waives the sign-in of {function.route} too, which is not anonymous")
    for route in sorted(anonymous):
        if _waiver(route) not in {text for _, text in listed}:
            yield Problem(_APP, 0, f"the anonymous route {route} must be among excludedPaths as {_waiver(route)}")


def _waiver(route: str) -> str:
    """The path as App Service takes it: a wildcard is only known at its end."""
    fixed, parameter, _ = route.partition("{")
    return f"{fixed}*" if parameter else fixed


def _excluded(statement: Node) -> Iterator[tuple[int, str]]:
    for node in statement.walk():
        if isinstance(node, Property) and node.key == "excludedPaths" and isinstance(node.value, Array):
            yield from ((item.line, item.constant or "") for item in node.value.items if isinstance(item, Text))


# Alerts


def _alerts(project: Project, code: Code) -> Iterator[Problem]:
    file = project.files.get(_ALERTS)
    watched: set[str] = set()
    for statement in file.statements if file else ():
        for node in statement.walk():
            text = node.constant if isinstance(node, Text) else None
            for phrase in _PHRASE.findall(text or ""):
                if phrase not in code.source:
                    yield Problem(_ALERTS, node.line, f"an alert waits for {phrase!r}, which the code never logs")
            for kinds in _KINDS.findall(text or ""):
                watched |= set(re.findall(r'"([^"]*)"', kinds))
    for kind in sorted(watched ^ set(code.conditions)) if file else ():
        yield Problem(_ALERTS, 1, f"the kind of condition {kind} is watched by no alert, or is none")


# Event subscriptions


def _subscriptions(project: Project, code: Code) -> Iterator[Problem]:
    for path, file in project.files.items():
        for statement in file.statements:
            for node in statement.walk():
                if not isinstance(node, Property):
                    continue
                value = node.value.constant if isinstance(node.value, Text) else None
                yield from _subscribed(path, node.line, node.key, value, code)
                if node.key == "includedEventTypes" and isinstance(node.value, Array):
                    types = {item.constant for item in node.value.items if isinstance(item, Text)}
                    yield from _types(path, node.line, {item or "" for item in types})
    for path, document in project.json_files.items():
        for key, found in _members(document):
            yield from _subscribed(path, 0, key, found if isinstance(found, str) else None, code)
            if key == "includedEventTypes" and isinstance(found, list):
                yield from _types(path, 0, {str(item) for item in found})


def _subscribed(path: str, line: int, key: str, value: str | None, code: Code) -> Iterator[Problem]:
    if key == "queueName" and value is not None and value != code.events_queue:
        yield Problem(path, line, f"events go to the queue {value}, and the code reads {code.events_queue}")
    if key in {"blobContainerName", "deadLetterContainer"} and value is not None and value != code.dead_letters:
        yield Problem(path, line, f"dead letters go to {value}, and the code reads {code.dead_letters}")


def _types(path: str, line: int, types: set[str]) -> Iterator[Problem]:
    for name in sorted(EVENT_TYPES - types):
        yield Problem(path, line, f"the event type {name} is not subscribed to")
    for name in sorted(types - EVENT_TYPES):
        yield Problem(path, line, f"the event type {name} is none that becomes a ticket")


def _members(document: object) -> Iterator[tuple[str, object]]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield str(key), value
            yield from _members(value)
    elif isinstance(document, list):
        for value in document:
            yield from _members(value)
