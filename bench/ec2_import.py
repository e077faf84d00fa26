"""The EC2 import: a whole part, unchanged, a little changed, all new, against boto3's bare loop over the same pages."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from bench.figures import Curve, Figure, Results
from bench.measuring import Effort, in_process, ratio
from bench.table_service import TableProcess
from bench.worlds import settle
from lab.emulators.ec2.accounts import ACORN, LONDON
from lab.emulators.ec2.process import EC2Process
from shared.bootstrap.kinds import KINDS
from shared.settings.store import SettingsStore
from shared.storage.rest_tables import RestTables
from shared.storage.rows import OPERATIONS_PER_TRANSACTION
from shared.storage.tables import ROWS_PER_PAGE

GROUP = "EC2 import"


@dataclass
class World:
    """The fleet as it was and with one of a hundred instances changed, and the tables."""

    tables: TableProcess
    before: EC2Process
    after: EC2Process

    def measure(self, subject: str, fleet: EC2Process, tables: str = "") -> dict[str, Any]:
        if tables:
            self.tables.restore(tables)
        self.tables.counts()
        given = {"subject": subject, "tables": self.tables.connection_string}
        measured = in_process("bench.ec2_subject", given, fleet.environment())
        return {**measured, "calls": self.tables.counts_by_table().get("assets", {})}


@contextlib.contextmanager
def world(instances: int) -> Iterator[World]:
    """Tables kept as `empty` (settings alone) and `imported`."""
    places = {(ACORN, LONDON): instances}
    with TableProcess() as tables, EC2Process(places) as before, EC2Process(places) as after:
        before.prepare()
        after.advance(changed_percent=1)
        after.prepare()
        service = RestTables.from_connection_string(tables.connection_string)
        settle(SettingsStore(service.table("settings"), KINDS, lambda: datetime.now(UTC)))
        tables.keep("empty")
        made = World(tables, before, after)
        made.measure("import", before)
        tables.keep("imported")
        yield made


# A changed or a new part is held against unchanged ones: against the loop alone it would hide what a change costs.
_LOOP_BUDGET = 0.25
_BUDGETS = {"1 % changed": 1.10, "all new": 1.5}
_MEMORY_BUDGET, _MEMORY_INSTANCES = 96, 100_000

Measured = dict[str, Any]


def measure(effort: Effort, results: Results) -> None:
    lines: dict[str, list[tuple[float, float]]] = {"unchanged": [], "1 % changed": [], "all new": []}
    memory: dict[str, list[tuple[float, float]]] = {"import": [], "boto3's bare loop": []}
    for instances in effort.instances:
        with world(instances) as made:
            rounds = [_round(made) for _ in range(effort.rounds)]
        _add_ratios(results, instances, rounds)
        add_calls(results, instances, rounds[-1])
        growth = median(one["unchanged"]["memory"] for one in rounds)
        budget = _MEMORY_BUDGET if instances == _MEMORY_INSTANCES else None
        results.add(Figure(GROUP, f"memory growth, {instances:,} unchanged", growth, "MiB", budget=budget))
        memory["import"].append((instances, growth))
        memory["boto3's bare loop"].append((instances, median(one["loop"]["memory"] for one in rounds)))
        for name, points in lines.items():
            points.append((instances, ratio(_cpu(rounds, name), _cpu(rounds, "loop"))))
    results.curves += [
        Curve("import", "EC2 import against boto3's bare loop", "instances", "CPU, × the bare loop", lines),
        Curve("memory", "Memory growth of an unchanged import", "instances", "MiB", memory),
    ]


def _round(made: World) -> dict[str, Measured]:
    """A machine is not equally fast all the time: each change stands between two imports of unchanged instances."""
    return {
        "loop": made.measure("floor", made.before),
        "unchanged": made.measure("import", made.before, "imported"),
        "1 % changed": made.measure("import", made.after, "imported"),
        "unchanged again": made.measure("import", made.before, "imported"),
        "all new": made.measure("import", made.before, "empty"),
        "unchanged at last": made.measure("import", made.before, "imported"),
    }


def _cpu(rounds: Sequence[Mapping[str, Measured]], name: str) -> list[float]:
    return [float(one[name]["cpu"]) for one in rounds]


def _add_ratios(results: Results, instances: int, rounds: Sequence[Mapping[str, Measured]]) -> None:
    def absolute(name: str) -> str:
        return f"{median(_cpu(rounds, name)) / instances * 1e6:.0f} µs an instance"

    size = f"{instances:,} instances"
    unchanged = ratio(_cpu(rounds, "unchanged"), _cpu(rounds, "loop"))
    loop = f"boto3's bare loop ({absolute('loop')})"
    results.add(Figure(GROUP, f"{size} unchanged", unchanged, "×", loop, absolute("unchanged"), budget=_LOOP_BUDGET))
    around = [_cpu(rounds, name) for name in ("unchanged", "unchanged again", "unchanged at last")]
    for place, (name, budget) in enumerate(_BUDGETS.items()):
        floors = [(before + after) / 2 for before, after in zip(around[place], around[place + 1], strict=True)]
        found = ratio(_cpu(rounds, name), floors)
        against = "the unchanged imports before and after it"
        results.add(Figure(GROUP, f"{size} {name}", found, "×", against, absolute(name), budget=budget))


def add_calls(results: Results, instances: int, taken: Mapping[str, Measured]) -> None:
    """Requests for the table of assets, as the table service counted them; a run's own rows are a handful beside."""
    size = f"{instances:,} instances"
    for name in ("unchanged", "1 % changed", "all new"):
        calls, counts = taken[name]["calls"], taken[name]["counts"]
        changed = counts.get("create", 0) + counts.get("update", 0)
        rows = 0 if name == "all new" else counts["read"] - counts.get("skip", 0)
        asked, written = calls.get("pages", 0) + calls.get("reads", 0), calls.get("transactions", 0)
        results.add(
            Figure(
                GROUP,
                f"{size} {name}: reads",
                asked,
                "reads",
                # One more says how the part was read last.
                budget=max(1, math.ceil(rows / ROWS_PER_PAGE)) + 1 if name != "1 % changed" else None,
                note=f"{calls.get('pages', 0)} pages of rows, and {calls.get('reads', 0)} changed rows read again",
            ),
            Figure(
                GROUP,
                f"{size} {name}: transactions",
                written,
                "transactions",
                # One more says how the part was read last.
                budget=math.ceil(changed / OPERATIONS_PER_TRANSACTION) + bool(changed),
                note=f"{calls.get('rows written', 0):,} rows written for {changed:,} changes, their history in them",
            ),
        )
