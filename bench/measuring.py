"""How it is measured: CPU time, subjects alternately, the median of several rounds; memory in a process of its own."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Effort:
    """How much is measured. `rounds` of every alternation; `instances` are the sizes of parts; `rows` of lists."""

    rounds: int = 5
    instances: tuple[int, ...] = (10_000, 100_000)
    rows: tuple[int, ...] = (1_000, 10_000, 100_000)
    users: int = 100_000
    assets: int = 100_000
    quick: bool = False


QUICK = Effort(rounds=1, instances=(200,), rows=(300, 600), users=200, assets=200, quick=True)
FULL = Effort()


def alternately(
    subjects: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """CPU seconds of each subject, by round: all of them once, then all again, after one round that warms up.

    With `time.thread_time` as the clock, what other threads of this process do (a stand-in, say) does not count.
    """
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds + 1):
        for name, subject in subjects.items():
            before = clock()
            subject()
            if number:
                taken[name].append(clock() - before)
    return taken


def ratio(of: list[float], to: list[float]) -> float:
    """The median over the rounds of what one took for what the other took in the same round."""
    return statistics.median(one / other for one, other in zip(of, to, strict=True))


def in_process(module: str, given: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run `python -m module` with `given` as its standard input; what it prints last, as JSON."""
    process = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**without_settings(os.environ), **(environment or {})},
        check=False,
    )
    return last_json(module, process)


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what leads clients elsewhere."""
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().endswith("_PROXY") and not name.startswith(("AWS_", "AZURE_"))
    }


def last_json(what: str, process: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What an ended process printed last, as JSON. Raises RuntimeError with its complaint when it failed."""
    if process.returncode:
        raise RuntimeError(f"{what} failed:\n{process.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found


class Memory:
    """The growth of this process's resident memory from here to its highest point, in MiB."""

    def __init__(self) -> None:
        # Linux forgets the highest point so far; elsewhere it is that of the whole process.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._before = _resident("VmRSS")

    def growth(self) -> float:
        return (_resident("VmHWM") - self._before) / 1024


def _resident(word: str) -> int:
    """KiB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{word}:"))
