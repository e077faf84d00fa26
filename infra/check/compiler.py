"""The Bicep compiler itself, when it is there; every warning counts as an error."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.check.project import ENTRIES, Problem

_DIAGNOSTIC = re.compile(r"^(?P<path>.+?)\((?P<line>\d+),\d+\) : (?:Error|Warning|Info) (?P<message>.*)$")


def find_compiler() -> Sequence[str] | None:
    """`bicep build`, or `az bicep build`; None without either. `az` alone is not enough: it fetches Bicep on demand."""
    if bicep := shutil.which("bicep"):
        return [bicep, "build"]
    az = shutil.which("az")
    if az and subprocess.run([az, "bicep", "version"], capture_output=True, check=False).returncode == 0:  # noqa: S603
        return [az, "bicep", "build", "--file"]
    return None


def check(root: Path, command: Sequence[str]) -> Iterator[Problem]:
    """What the compiler says of every file that is deployed."""
    for entry in ENTRIES:
        done = subprocess.run(  # noqa: S603 - the compiler that was found
            [*command, str(root / entry), "--stdout"], capture_output=True, text=True, check=False
        )
        said = [match for line in done.stderr.splitlines() if (match := _DIAGNOSTIC.match(line.strip()))]
        for match in said:
            yield Problem(entry, int(match["line"]), f"the compiler says: {match['message']}")
        if done.returncode != 0 and not said:
            yield Problem(entry, 0, f"the compiler failed: {done.stderr.strip() or done.stdout.strip()}")
