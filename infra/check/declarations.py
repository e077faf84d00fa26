"""Whatever is used is declared, and whatever is declared is used: parameters, variables, modules and their outputs."""

from collections.abc import Iterator, Mapping

from infra.check.project import ENTRIES, Problem, Project, module_outputs, scope_of
from infra.check.syntax import (
    Assignment,
    Call,
    File,
    Loop,
    Name,
    Object,
    Param,
    Statement,
    Using,
)


def check(project: Project) -> Iterator[Problem]:
    """Every fault of every file."""
    for path in ENTRIES:
        if path not in project.files and not any(problem.path == path for problem in project.unreadable):
            yield Problem(path, 0, "is missing")
    for file in project.bicep():
        yield from _names(project, file)
        yield from _modules(project, file)
    yield from _outputs(project)
    for path, file in project.files.items():
        if path.endswith(".bicepparam"):
            yield from _parameters(project, file)


def _names(project: Project, file: File) -> Iterator[Problem]:
    declared: dict[str, Statement] = {}
    groups: tuple[Mapping[str, Statement], ...] = (file.params, file.variables, file.resources, file.modules)
    for group in groups:
        for name, declaration in group.items():
            if name in declared:
                yield Problem(file.path, declaration.line, f"{name} is declared twice")
            declared[name] = declaration
    used: set[str] = set()
    for statement in file.statements:
        for decorator in statement.decorators:
            if decorator.name not in project.facts["decorators"]:
                yield Problem(file.path, decorator.line, f"the decorator {decorator.name} is not in facts.yaml")
        if isinstance(statement, Param) and statement.decorator("description") is None:
            yield Problem(file.path, statement.line, f"the parameter {statement.name} has no description")
        used |= {inner.name for inner in _mentions(statement)}
        yield from _unknown(project, file, statement, set(declared))
    for name, statement in declared.items():
        unused = name not in used
        if unused and isinstance(statement, Param):
            yield Problem(file.path, statement.line, f"the parameter {name} is not used")
        elif unused and name in file.variables:
            yield Problem(file.path, statement.line, f"the variable {name} is not used")
        elif unused and name in file.resources and file.resources[name].existing:
            yield Problem(file.path, statement.line, f"the existing resource {name} is not used")


def _mentions(statement: Statement) -> Iterator[Name]:
    functions = {id(inner.function) for inner in statement.walk() if isinstance(inner, Call)}
    yield from (inner for inner in statement.walk() if isinstance(inner, Name) and id(inner) not in functions)


def _unknown(project: Project, file: File, statement: Statement, declared: set[str]) -> Iterator[Problem]:
    loops = {
        name for inner in statement.walk() if isinstance(inner, Loop) for name in (inner.item, inner.index) if name
    }
    for inner in statement.walk():
        function = inner.function if isinstance(inner, Call) else None
        if isinstance(function, Name) and function.name not in project.facts["functions"]:
            yield Problem(file.path, inner.line, f"the function {function.name} is not in facts.yaml")
    for name in _mentions(statement):
        if name.name not in declared | loops:
            yield Problem(file.path, name.line, f"{name.name} is not declared")


def _modules(project: Project, file: File) -> Iterator[Problem]:
    for module in file.modules.values():
        target = project.target(file, module)
        if target is None:
            yield Problem(file.path, module.line, f"the module {module.symbol} names {module.path}, which is not there")
            continue
        params = module.body.get("params")
        given = {item.key: item for item in params.properties} if isinstance(params, Object) else {}
        for name, item in given.items():
            if name not in target.params:
                yield Problem(file.path, item.line, f"{target.path} has no parameter {name}")
        for name, param in target.params.items():
            if param.default is None and name not in given:
                yield Problem(file.path, module.line, f"the module {module.symbol} lacks the parameter {name}")
        if module.body.get("scope") is None and scope_of(target) != scope_of(file):
            yield Problem(file.path, module.line, f"the module {module.symbol} needs a scope: {scope_of(target)}")
    for statement in file.statements:
        for symbol, output, forgiven, line in module_outputs(statement):
            module_used = file.modules.get(symbol.name)
            if module_used is None:
                yield Problem(file.path, line, f"{symbol.name} is no module")
                continue
            target = project.target(file, module_used)
            if target is not None and output not in target.outputs:
                yield Problem(file.path, line, f"{target.path} has no output {output}")
            if module_used.conditional and not forgiven:
                yield Problem(file.path, line, f"{symbol.name} may not be deployed: write {symbol.name}!.outputs")
            if forgiven and not module_used.conditional:
                yield Problem(file.path, line, f"{symbol.name} is always deployed: leave the ! out")


def _outputs(project: Project) -> Iterator[Problem]:
    reached: set[str] = set(ENTRIES)
    used: set[tuple[str, str]] = set()
    for file in project.bicep():
        for module in file.modules.values():
            target = project.target(file, module)
            if target is not None:
                reached.add(target.path)
        for statement in file.statements:
            for symbol, output, _, _ in module_outputs(statement):
                target = project.target(file, file.modules[symbol.name]) if symbol.name in file.modules else None
                if target is not None:
                    used.add((target.path, output))
    for file in project.bicep():
        if file.path not in reached:
            yield Problem(file.path, 0, "is the module of no file")
        if file.path in ENTRIES:
            continue
        for name, shown in file.outputs.items():
            if (file.path, name) not in used:
                yield Problem(file.path, shown.line, f"the output {name} is not used")


def _parameters(project: Project, file: File) -> Iterator[Problem]:
    using = next((item for item in file.statements if isinstance(item, Using)), None)
    target = project.files.get((using.path if using else "").removeprefix("./"))
    if target is None:
        yield Problem(file.path, 0, "names no template that is there")
        return
    given = {item.name: item for item in file.statements if isinstance(item, Assignment)}
    for name, item in given.items():
        if name not in target.params:
            yield Problem(file.path, item.line, f"{target.path} has no parameter {name}")
        for inner in item.walk():
            function = inner.function if isinstance(inner, Call) else None
            if isinstance(function, Name) and function.name not in project.facts["functions"]:
                yield Problem(file.path, inner.line, f"the function {function.name} is not in facts.yaml")
    for name, param in target.params.items():
        if param.default is None and name not in given:
            yield Problem(file.path, 0, f"the parameter {name} of {target.path} is not given")
