"""What `make doctor` says, and that what it asks for is what the lab and the host need."""

import os
import subprocess
import sys
from pathlib import Path

from lab import doctor
from lab.azurite import NODE_AT_LEAST
from lab.desk import HOST_PORT, ROOT, WANTED
from shared.storage.names import QUEUES


def run(path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "lab" / "doctor.py")],
        env={"PATH": path, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_asks_for_the_ports_queues_and_versions_that_are_used() -> None:
    assert {HOST_PORT, *WANTED.values()} == {*doctor.LAB_PORTS, *doctor.STORAGE_PORTS}
    assert set(doctor.QUEUES) == set(QUEUES)
    assert doctor.NODE_AT_LEAST == NODE_AT_LEAST
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'requires-python = ">={".".join(map(str, doctor.PYTHON_AT_LEAST))}"' in pyproject


def test_a_machine_with_everything_lacks_nothing() -> None:
    done = run(os.environ["PATH"])
    assert done.returncode == 0, done.stdout
    assert "Nothing is missing" in done.stdout


def test_a_machine_without_node_is_told_what_to_install(tmp_path: Path) -> None:
    done = run(str(tmp_path))
    assert done.returncode == 1
    assert "missing  Node.js 20 or later" in done.stdout
    assert "Install it from https://nodejs.org/." in done.stdout
    assert "missing  npm" in done.stdout
    assert "npm i -g azure-functions-core-tools@4" in done.stdout


def test_a_program_that_does_not_start_counts_as_missing(tmp_path: Path) -> None:
    shim = tmp_path / "shim"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert doctor.version_of(str(shim), "--version") is None
    assert doctor.version_of(sys.executable, "--version") == ".".join(map(str, sys.version_info[:3]))
