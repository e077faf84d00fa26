"""Keeps uv.lock and the exported requirements files in step with pyproject.toml.

`python -m lab.locks` writes them; `--check` only compares what was exported with the lock, and needs no network.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXPORTS = {
    "requirements.txt": ["--no-dev"],  # what is deployed
    "requirements-lab.txt": ["--no-dev", "--group", "lab"],  # the lab as well
    "requirements-dev.txt": ["--group", "dev"],  # the lab, the tests and the checks as well
}


def _uv(*arguments: str) -> str:
    command = [sys.executable, "-m", "uv", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a file is out of step")
    check = parser.parse_args().check
    if not check:
        _uv("lock", "--quiet")
    stale = []
    for name, choice in EXPORTS.items():
        text = _uv("export", "--quiet", "--frozen", "--no-header", "--no-emit-project", *choice)
        if check and (ROOT / name).read_text() != text:
            stale.append(name)
        elif not check:
            (ROOT / name).write_text(text)
    if stale:
        print(f"{' and '.join(stale)} do not match uv.lock: run `make lock`.")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
