"""No secret leaves a template: not by an output, not into a parameter that is not marked secure."""

import re
from collections.abc import Iterator

from infra.check.project import Problem, Project
from infra.check.syntax import Access, Call, File, Name, Node, Object, Output

_TELLING = re.compile(r"password|secret|credential|connectionstring|accesskey|sharedkey|(^|_)key$", re.IGNORECASE)
_READING = re.compile(r"^list[A-Z]|^list$|^getSecret$")


def check(project: Project) -> Iterator[Problem]:
    """Every output and every handing-over that could show a secret."""
    allowed = project.facts["outputs_that_are_no_secrets"]
    for file in project.bicep():
        for output in file.outputs.values():
            if output.name in allowed.get(file.path, {}):
                continue
            reason = _reason(file, output)
            if reason:
                yield Problem(file.path, output.line, f"the output {output.name} shows a secret: {reason}")
        yield from _handed_over(project, file)


def _reason(file: File, output: Output) -> str:
    if _TELLING.search(output.name):
        return "its name says so"
    for node in _through_variables(file, output.value):
        if isinstance(node, Name) and node.name in file.params and file.params[node.name].decorator("secure"):
            return f"{node.name} is secure"
        member = node.member if isinstance(node, Access) else ""
        if _TELLING.search(member):
            return f"it reads {member}"
        if isinstance(node, Call):
            called = node.function.member if isinstance(node.function, Access) else getattr(node.function, "name", "")
            if _READING.search(called):
                return f"it calls {called}"
    return ""


def _through_variables(file: File, value: Node) -> Iterator[Node]:
    waiting, seen = [value], set[str]()
    while waiting:
        for node in waiting.pop().walk():
            yield node
            if isinstance(node, Name) and node.name in file.variables and node.name not in seen:
                seen.add(node.name)
                waiting.append(file.variables[node.name].value)


def _handed_over(project: Project, file: File) -> Iterator[Problem]:
    secure = {name for name, param in file.params.items() if param.decorator("secure")}
    for module in file.modules.values():
        target, params = project.target(file, module), module.body.get("params")
        if target is None or not isinstance(params, Object):
            continue
        for item in params.properties:
            param = target.params.get(item.key)
            if param is None or param.decorator("secure"):
                continue
            for node in _through_variables(file, item.value):
                read = isinstance(node, Access) and _READING.search(node.member)
                if read or (isinstance(node, Name) and node.name in secure):
                    yield Problem(file.path, item.line, f"{target.path}: {item.key} gets a secret and is not secure")
                    break
