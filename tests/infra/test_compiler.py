"""Where the Bicep compiler is there, its warnings count as errors; where it is not, nobody pretends that it was."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.check import __main__ as command
from infra.check import compiler
from infra.check.project import Problem


def install(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys\n{script}\n", "utf-8")
    path.chmod(0o700)


def test_a_warning_of_the_compiler_is_a_fault_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path,
        "bicep",
        "assert sys.argv[1] == 'build' and sys.argv[3] == '--stdout'\n"
        "if sys.argv[2].endswith('main.bicep'):\n"
        "    sys.stderr.write(sys.argv[2] + '(7,3) : Warning no-unused-params: Parameter \"x\" is declared\\n')",
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    found = compiler.find_compiler()
    assert found is not None
    assert list(compiler.check(Path("/infra"), found)) == [
        Problem("main.bicep", 7, 'the compiler says: no-unused-params: Parameter "x" is declared')
    ]


def test_a_compiler_that_fails_without_a_word_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "bicep", "sys.stderr.write('out of memory')\nsys.exit(3)")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list(compiler.check(Path("/infra"), compiler.find_compiler() or []))
    assert [problem.message for problem in found] == ["the compiler failed: out of memory"] * 4


@pytest.mark.parametrize(("has_bicep", "expected"), [(0, ["bicep", "build", "--file"]), (1, None)])
def test_az_is_used_only_when_bicep_came_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_bicep: int, expected: list[str] | None
) -> None:
    install(tmp_path, "az", f"sys.exit({has_bicep})")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = compiler.find_compiler()
    assert (None if found is None else list(found[1:])) == expected


def test_without_a_compiler_the_check_says_that_nothing_was_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(compiler, "find_compiler", lambda: None)
    assert command.main() == 0
    assert "not compiled: neither bicep nor az bicep is on this machine" in capsys.readouterr().out


def test_azd_deploys_to_the_app_that_carries_its_tag() -> None:
    services = yaml.safe_load((command.ROOT.parent / "azure.yaml").read_text("utf-8"))["services"]
    app = (command.ROOT / "modules" / "app.bicep").read_text("utf-8")
    assert list(services) == ["desk"]
    assert "'azd-service-name': 'desk'" in app


def test_nothing_of_the_infrastructure_travels_with_the_code() -> None:
    ignored = (command.ROOT.parent / ".funcignore").read_text("utf-8").splitlines()
    assert "infra/" in ignored
