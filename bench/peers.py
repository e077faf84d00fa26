"""The same fleet read and transformed by others that do it: cartography and cloud-custodian, from PyPI.

Each is installed in an environment of its own, which goes again: neither is a dependency of ours. Where the registry
does not answer, or a release does not install on this interpreter, the page says that it was not measured.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench.ec2_import import World, world
from bench.figures import Figure, Results
from bench.measuring import ROOT, Effort, last_json, ratio, without_settings
from lab.emulators.ec2.accounts import ACCESS_KEY_ID, ACORN, LONDON, SECRET_ACCESS_KEY

GROUP = "Peers"
_PEERS: Mapping[str, str] = {"cartography": "cartography==0.143.0", "cloud-custodian": "c7n==0.9.53"}
_INSTALL_SECONDS = 600


def measure(effort: Effort, results: Results) -> None:
    if effort.quick:
        results.left_out.append("cartography and cloud-custodian: a trial installs nothing.")
        return
    instances = min(effort.instances)
    with world(instances) as made, tempfile.TemporaryDirectory(prefix="deskbridge-peers-") as folder:
        for name, requirement in _PEERS.items():
            environment = Path(folder) / name
            failure = install(requirement, environment)
            if failure:
                results.left_out.append(f"{requirement}: it did not install here ({failure}).")
                continue
            _measure_one(results, made, instances, name, requirement, environment, effort.rounds)


def install(requirement: str, environment: Path) -> str:
    """Empty, or the last line of what went wrong."""
    uv = str(Path(sys.executable).with_name("uv"))
    for command in (
        [uv, "venv", "-q", f"--python={sys.executable}", str(environment)],
        [uv, "pip", "install", "-q", f"--python={environment}/bin/python", requirement],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        except subprocess.CalledProcessError as error:
            return str(error.stderr).strip().splitlines()[-1][:200] if error.stderr else "no reason given"
        except (OSError, subprocess.TimeoutExpired) as error:
            return type(error).__name__
    return ""


def _measure_one(
    results: Results, made: World, instances: int, name: str, requirement: str, environment: Path, rounds: int
) -> None:
    taken: dict[str, list[dict[str, Any]]] = {"loop": [], name: [], "import": []}
    for _ in range(rounds):
        taken["loop"].append(_run(made, environment, "loop"))
        taken[name].append(_run(made, environment, name))
        taken["import"].append(made.measure("import", made.before, "imported"))
    cpu = {subject: [one["cpu"] for one in found] for subject, found in taken.items()}
    against = f"boto3's bare loop in the same environment ({median(cpu['loop']) / instances * 1e6:.0f} µs an instance)"
    results.add(
        Figure(
            GROUP,
            f"{name}: {instances:,} instances listed and transformed",
            ratio(cpu[name], cpu["loop"]),
            "×",
            against,
            f"{requirement}; {median(one['memory'] for one in taken[name]):.0f} MB of memory",
        ),
        Figure(
            GROUP,
            f"our whole import of them, unchanged, beside {name}",
            ratio(cpu["import"], cpu[name]),
            "×",
            name,
            "with mapping, rules, comparison and storage",
        ),
    )


def _run(made: World, environment: Path, subject: str) -> dict[str, Any]:
    settings = {
        **made.before.environment(),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": LONDON,
        "BENCH_ACCOUNT": ACORN,
    }
    process = subprocess.run(
        [str(environment / "bin" / "python"), str(ROOT / "bench" / "peer_subject.py"), subject],
        capture_output=True,
        text=True,
        env={**without_settings(os.environ), **settings},
        check=False,
    )
    return last_json(subject, process)
