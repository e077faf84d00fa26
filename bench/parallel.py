"""Parts over worker processes: how the wall time of an import falls, and whether reading and working overlap."""

import os
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from bench.ec2_import import World, world
from bench.figures import Curve, Figure, Results
from bench.measuring import Effort, in_process, ratio

GROUP = "Parts in parallel"


def measure(effort: Effort, results: Results) -> None:
    instances = min(effort.instances)
    with world(instances) as made:
        alone: list[dict[str, Any]] = []
        chains: list[float] = []
        for _ in range(effort.rounds):
            chains.append(made.measure("chain", made.before)["wall"])
            alone.append(made.measure("import", made.before, "imported"))
        longest = [max(one["cpu"], chain) for one, chain in zip(alone, chains, strict=True)]
        points = []
        for workers in (1, 2, 4):
            with ThreadPoolExecutor(workers) as pool:
                walls = [one["wall"] for one in pool.map(lambda _: _unchanged(made), range(workers))]
            points.append((float(workers), workers * instances / max(walls)))
    results.add(
        Figure(
            GROUP,
            f"wall time of one part of {instances:,} unchanged",
            ratio([one["wall"] for one in alone], longest),
            "×",
            f"the longer of its CPU time ({median(one['cpu'] for one in alone):.1f} s) and asking for one page after "
            f"the other ({median(chains):.1f} s)",
            f"{median(one['wall'] for one in alone):.1f} s",
            aim=1.25,
            note="the stand-ins compute on the same cores here",
        ),
        Figure(
            GROUP,
            "4 worker processes",
            points[2][1] / points[0][1],
            "×",
            "the instances a second of one",
            f"{points[2][1]:,.0f} a second, one worker {points[0][1]:,.0f}; {os.cpu_count()} cores",
            note="previews of one part each, at the same time",
        ),
    )
    results.curves.append(
        Curve(
            "parallel", "Unchanged parts over worker processes", "processes", "instances a second", {"import": points}
        )
    )


def _unchanged(made: World) -> dict[str, Any]:
    given = {"subject": "preview", "tables": made.tables.connection_string}
    return in_process("bench.ec2_subject", given, made.before.environment())
