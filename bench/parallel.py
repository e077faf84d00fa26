"""Parts over worker processes: how the wall time of an import falls."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.ec2_import import World, world
from bench.figures import Curve, Figure, Results
from bench.measuring import Effort, in_process

GROUP = "Parts in parallel"


def measure(effort: Effort, results: Results) -> None:
    instances = min(effort.instances)
    with world(instances) as made:
        points = []
        for workers in (1, 2, 4):
            with ThreadPoolExecutor(workers) as pool:
                walls = [one["wall"] for one in pool.map(lambda _: _unchanged(made), range(workers))]
            points.append((float(workers), workers * instances / max(walls)))
    results.add(
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
