"""`python -m infra.check`: every fault of the infrastructure, one a line; ends with 1 when there is any."""

import sys
from collections.abc import Iterator
from pathlib import Path

from infra.check import compiler, declarations, documents, order, product, resources, secrecy
from infra.check.code import Code, read_code
from infra.check.project import Problem, load

ROOT = Path(__file__).resolve().parents[1]


def problems(root: Path, code: Code) -> Iterator[Problem]:
    """All faults that can be found without the compiler."""
    project = load(root)
    yield from project.unreadable
    yield from declarations.check(project)
    yield from resources.check(project)
    yield from secrecy.check(project)
    yield from order.check(project)
    yield from product.check(project, code)
    yield from documents.check(root)


def main() -> int:
    found = sorted(set(problems(ROOT, read_code())))
    command = compiler.find_compiler()
    if command is not None:
        found += compiler.check(ROOT, command)
    for problem in found:
        sys.stdout.write(f"infra/{problem}\n")
    compiled = "compiled as well" if command else "not compiled: neither bicep nor az bicep is on this machine"
    sys.stdout.write(f"infra: {len(load(ROOT).files)} files, {len(found)} faults, {compiled}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
