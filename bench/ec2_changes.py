"""What changes cost an EC2 import: one in a hundred changed, and all new, each between two imports of unchanged ones.

A machine is not equally fast all the time: what it was just before and just after is what a ratio stands on.
"""

from statistics import median

from bench.ec2_import import world
from bench.figures import Figure, Results
from bench.measuring import Effort

GROUP = "EC2 import, what changed"


def measure(effort: Effort, results: Results) -> None:
    for instances in effort.instances:
        with world(instances) as made:
            subjects = (
                ("1 % changed", made.after, "imported", 1.05),
                ("all new", made.before, "empty", 1.35),
            )

            def unchanged() -> float:
                cpu: float = made.measure("import", made.before, "imported")["cpu"]
                return cpu

            taken: dict[str, list[float]] = {name: [] for name, *_ in subjects}
            against: dict[str, list[float]] = {name: [] for name, *_ in subjects}
            before = unchanged()
            for _ in range(effort.rounds):
                for name, fleet, tables, _aim in subjects:
                    taken[name].append(made.measure("import", fleet, tables)["cpu"])
                    after = unchanged()
                    against[name].append((before + after) / 2)
                    before = after
        for name, _fleet, _tables, aim in subjects:
            ratios = [one / other for one, other in zip(taken[name], against[name], strict=True)]
            results.add(
                Figure(
                    GROUP,
                    f"{instances:,} instances {name}",
                    median(ratios),
                    "×",
                    "the unchanged imports before and after it",
                    f"{median(taken[name]) / instances * 1e6:.0f} µs an instance; rounds from {min(ratios):.2f} to "
                    f"{max(ratios):.2f}",
                    aim=aim,
                )
            )
