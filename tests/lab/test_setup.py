"""What `make setup` says on a machine that lacks something, and how it chooses the interpreter."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "lab" / "setup.sh"
TOOLS = ("sh", "dirname", "cat", "rm", "cp", "cmp", "mkdir", "ls", "env")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of programs with nothing but the plainest tools, and a project with lock files."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        if found is not None:
            (programs / tool).symlink_to(found)
    project = tmp_path / "project"
    (project / "lab").mkdir(parents=True)
    shutil.copy(SCRIPT, project / "lab" / "setup.sh")
    (project / "requirements-lab.txt").write_text("lab")
    (project / "requirements-dev.txt").write_text("dev")
    (project / "package-lock.json").write_text("{}")
    return tmp_path


def program(machine: Path, name: str, body: str) -> None:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def setup(machine: Path, *wanted: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(machine / "project" / "lab" / "setup.sh"), *wanted],
        env={"PATH": str(machine / "bin"), "HOME": str(machine), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# A python that makes an environment: its own copy, and a pip that has nothing to do.
WORKING = 'case "$*" in *"-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python";; *--version*) echo "Python 3.x";; esac'


def test_a_missing_python_is_one_clear_sentence(machine: Path) -> None:
    program(machine, "node", "exit 0")
    program(machine, "npm", "exit 0")
    program(machine, "python3", "exit 1")
    done = setup(machine)
    assert done.returncode == 1
    assert done.stderr.startswith("setup: Python 3.11 or later is needed and none was found")
    assert done.stderr.count("\n") == 1


def test_a_missing_node_is_one_clear_sentence(machine: Path) -> None:
    program(machine, "python3.12", WORKING)
    done = setup(machine)
    assert done.returncode == 1
    assert done.stderr.startswith("setup: Node.js 20 or later is needed (with npm)")
    assert done.stderr.count("\n") == 1


def test_too_old_a_node_is_one_clear_sentence(machine: Path) -> None:
    program(machine, "python3.12", WORKING)
    program(machine, "npm", "exit 0")
    program(machine, "node", 'case "$1" in --version) echo v18.1.0;; *) exit 1;; esac')
    done = setup(machine)
    assert done.returncode == 1
    assert "this one is v18.1.0" in done.stderr


def test_the_newest_interpreter_that_works_is_taken_and_a_second_setup_does_nothing(machine: Path) -> None:
    program(machine, "node", "exit 0")
    program(machine, "npm", "mkdir -p node_modules")
    program(machine, "python3.13", "exit 127")  # a shim that starts nothing
    program(machine, "python3.12", f"{WORKING}\n: taken")
    program(machine, "python3.11", WORKING)
    first = setup(machine)
    assert first.returncode == 0, first.stderr
    assert ": taken" in (machine / "project" / ".venv" / "bin" / "python").read_text()
    assert first.stdout.count("\n") == 2
    second = setup(machine)
    assert (second.returncode, second.stdout) == (0, "")


def test_the_interpreter_that_is_asked_for_is_taken_or_refused(machine: Path) -> None:
    program(machine, "node", "exit 0")
    program(machine, "npm", "mkdir -p node_modules")
    program(machine, "mine", f"{WORKING}\n: mine")
    program(machine, "python3.13", WORKING)
    assert setup(machine, PYTHON=os.devnull).returncode == 1
    assert setup(machine, PYTHON=str(machine / "bin" / "mine")).returncode == 0
    assert ": mine" in (machine / "project" / ".venv" / "bin" / "python").read_text()


def test_running_installs_only_the_lab_and_checks_install_the_rest_once(machine: Path) -> None:
    program(machine, "node", "exit 0")
    program(machine, "npm", 'mkdir -p node_modules; echo "npm $*"')
    program(machine, "python3.13", f'{WORKING}\ncase "$*" in *pip*) echo "pip $*";; esac')
    lab = setup(machine, "lab").stdout
    assert "-r requirements-lab.txt" in lab
    assert "npm ci --omit=dev" in lab
    test = setup(machine, "test").stdout
    assert "-r requirements-dev.txt" in test
    # The console's tests need more of npm than the storage emulator.
    assert "npm ci --no-audit" in test
    # What is there for the tests serves the checks and the lab too.
    assert setup(machine, "check").stdout == ""
    assert [setup(machine, wanted).stdout for wanted in ("lab", "test", "check")] == ["", "", ""]
    assert "say lab, test or check" in setup(machine, "everything").stderr
