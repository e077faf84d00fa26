"""What must stand before what: roles before the app, code before the event subscriptions, nothing in a circle."""

from collections.abc import Iterator

from infra.check.project import Problem, Project, depends_on
from infra.check.syntax import Condition, Constant, File, Module, Name

_SWITCH = "deployEventSubscriptions"


def check(project: Project) -> Iterator[Problem]:
    """Every fault of the order, in the main file, and every circle in any file."""
    for file in project.bicep():
        yield from _circles(file)
    main = project.files.get("main.bicep")
    if main is None:
        return
    apps = _modules(main, "modules/app.bicep")
    for app in apps:
        before = [roles for roles in _modules(main, "modules/roles.bicep") if roles.symbol in depends_on(app, main)]
        if not before:
            yield Problem(
                main.path, app.line, f"the roles come after {app.symbol}: it must wait for those of its identity"
            )
    if not _modules(main, "modules/roles.bicep"):
        yield Problem(main.path, 0, "no module grants the app its roles")
    switch = main.params.get(_SWITCH)
    if switch is None or not (isinstance(switch.default, Constant) and switch.default.value is False):
        yield Problem(main.path, 0, f"{_SWITCH} must be false unless asked for: Event Grid shakes hands with live code")
    for stage in _modules(main, "event-subscriptions.bicep"):
        test = stage.value.test if isinstance(stage.value, Condition) else None
        if not (isinstance(test, Name) and test.name == _SWITCH):
            yield Problem(main.path, stage.line, f"{stage.symbol} must depend on {_SWITCH}")
        waits = depends_on(stage, main)
        for path in ("modules/topic-rights.bicep", "modules/app.bicep"):
            if not any(module.symbol in waits for module in _modules(main, path)):
                yield Problem(main.path, stage.line, f"{stage.symbol} must wait for {path}")


def _modules(file: File, path: str) -> list[Module]:
    return [module for module in file.modules.values() if module.path == path]


def _circles(file: File) -> Iterator[Problem]:
    waits = {
        symbol: depends_on(item, file) - {symbol}
        for group in (file.resources, file.modules)
        for symbol, item in group.items()
    }
    done: set[str] = set()
    while ready := {symbol for symbol, needed in waits.items() if symbol not in done and needed <= done}:
        done |= ready
    left = sorted(set(waits) - done)
    if left:
        yield Problem(file.path, 0, f"these wait for each other: {', '.join(left)}")
