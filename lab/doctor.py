"""`make doctor`: what this machine lacks for `make run`, `make test` and `func start`, and what to do about each.

Needs the standard library alone, so that it can say what is missing before anything is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON_AT_LEAST = (3, 11)
NODE_AT_LEAST = 20
CORE_TOOLS_AT_LEAST = 4
LOOPBACK = "127.0.0.1"
# As lab/desk.py asks for them; a test compares.
LAB_PORTS = {7071: "the desk", **dict.fromkeys(range(7180, 7187), "the emulators"), 7187: "./lab/do"}
STORAGE_PORTS = {10000: "blobs", 10001: "queues", 10002: "tables"}
QUEUES = (
    *("import-parts", "import-parts-poison"),
    *("key-vault-events", "key-vault-events-poison"),
    *("outbox", "outbox-poison"),
    *("sweeps", "sweeps-poison"),
)
AZURITE_FLAGS = "--skipApiVersionCheck --location .lab/azurite"

Line = tuple[str, str, str]  # how it stands (ok, note, missing), what, and what to do


def main() -> int:
    lines: list[Line] = []
    for title, found in (
        ("make run, make test", [*_tools(), *_installed(), *_lab_ports()]),
        ("func start (optional)", list(_core_tools())),
    ):
        print(f"For {title}:")
        for state, what, remedy in found:
            print(f"  {state:<8} {what}" + (f"\n           {remedy}" if remedy else ""))
        lines += found
    missing = sum(state == "missing" for state, _, _ in lines)
    print(f"{missing} missing." if missing else "Nothing is missing: `make run` starts the desk.")
    return 1 if missing else 0


def version_of(program: str, *arguments: str) -> str | None:
    """What a program says of its version; None when it is not there or does not start."""
    found = shutil.which(program)
    if found is None:
        return None
    try:
        done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return number[0] if done.returncode == 0 and number else None


def _tools() -> Iterator[Line]:
    names = [str(ROOT / ".venv" / "bin" / "python"), "python3.13", "python3.12", "python3.11", "python3", "python"]
    found = [(name, version) for name in names if (version := version_of(name, "--version"))]
    fitting = next(((name, version) for name, version in found if _at_least(version, PYTHON_AT_LEAST)), None)
    if fitting:
        yield "ok", f"Python {fitting[1]} ({fitting[0]})", ""
    else:
        yield "missing", "Python 3.11 or later", "Install it from https://www.python.org/downloads/."
    node = version_of("node", "--version")
    if node and _at_least(node, (NODE_AT_LEAST,)):
        yield "ok", f"Node.js {node}", ""
    else:
        have = f"; this one is {node}" if node else ""
        yield "missing", f"Node.js {NODE_AT_LEAST} or later{have}", "Install it from https://nodejs.org/."
    for program in ("npm", "make"):
        version = version_of(program, "--version")
        remedy = "" if version else f"Install {program} with your package manager."
        yield "ok" if version else "missing", f"{program} {version or ''}".strip(), remedy


def _installed() -> Iterator[Line]:
    stamp = ROOT / ".venv" / "installed.txt"
    wanted = [ROOT / "requirements-lab.txt", ROOT / "requirements-dev.txt"]
    if stamp.is_file() and any(stamp.read_bytes() == one.read_bytes() for one in wanted):
        yield "ok", "Python packages in .venv", ""
    else:
        yield "note", "Python packages are not installed, or not the locked ones", "`make run` installs them."
    azurite = ROOT / "node_modules" / "azurite" / "package.json"
    if azurite.is_file():
        yield "ok", f"Azurite {json.loads(azurite.read_text('utf-8'))['version']} in node_modules", ""
    else:
        yield "note", "Azurite, the storage emulator, is not installed", "`make run` installs it."


def _lab_ports() -> Iterator[Line]:
    taken = [str(port) for port in [*LAB_PORTS, *STORAGE_PORTS] if not is_free(port)]
    if taken:
        remedy = "`make run` takes others and says so. If the desk is up already, this is the desk."
        yield "note", f"Ports in use: {', '.join(taken)}", remedy
    else:
        yield "ok", f"Ports 7071, 7180 to 7187, {min(STORAGE_PORTS)} to {max(STORAGE_PORTS)} are free", ""


def is_free(port: int) -> bool:
    """Whether a listener can be opened on this loopback port right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _core_tools() -> Iterator[Line]:
    version = version_of("func", "--version")
    if version and _at_least(version, (CORE_TOOLS_AT_LEAST,)):
        yield "ok", f"Azure Functions Core Tools {version}", ""
    else:
        yield "note", "Azure Functions Core Tools 4", "Install them: npm i -g azure-functions-core-tools@4."
    settings = ROOT / "local.settings.json"
    if settings.is_file():
        yield "ok", "local.settings.json", ""
    else:
        yield "note", "local.settings.json", "Copy it: cp local.settings.json.example local.settings.json."
    answering = [port for port in STORAGE_PORTS if not is_free(port)]
    if len(answering) == len(STORAGE_PORTS):
        yield "ok", "Something answers on the storage ports 10000, 10001, 10002", ""
    else:
        command = f"node_modules/.bin/azurite {AZURITE_FLAGS}"
        yield "note", "Azurite runs on the ports 10000, 10001, 10002", f"Start it: {command}."
    yield "note", "The queues exist", f"The host creates none. Create them: {', '.join(QUEUES)}."
    yield "note", "The worker takes the Python of .venv, 3.11 to 3.13", "Run: . .venv/bin/activate && func start."
    yield "note", "Or let the lab do all this but the first", "Run: make run HOST=func."


def _at_least(version: str, wanted: tuple[int, ...]) -> bool:
    return tuple(int(part) for part in version.split(".")[: len(wanted)]) >= wanted


if __name__ == "__main__":
    sys.exit(main())
