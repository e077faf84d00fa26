"""The EC2 import: a whole part, unchanged, a little changed, all new, against boto3's bare loop over the same pages."""

import contextlib
import math
from collections.abc import Iterator
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
from shared.storage.limits import OPERATIONS_PER_TRANSACTION, ROWS_PER_PAGE
from shared.storage.rest_tables import RestTables

GROUP = "EC2 import"


@dataclass
class World:
    """The fleet as it was and with one of a hundred instances changed, and the tables."""

    tables: TableProcess
    before: EC2Process
    after: EC2Process

    def measure(self, subject: str, fleet: EC2Process, tables: str = "", **how: Any) -> dict[str, Any]:
        if tables:
            self.tables.restore(tables)
        self.tables.counts()
        given = {"subject": subject, "tables": self.tables.connection_string, **how}
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


def measure(effort: Effort, results: Results) -> None:
    lines: dict[str, list[tuple[float, float]]] = {"unchanged": [], "1 % changed": [], "all new": []}
    memory: dict[str, list[tuple[float, float]]] = {"import": [], "boto3's bare loop": []}
    for instances in effort.instances:
        with world(instances) as made:
            taken: dict[str, list[dict[str, Any]]] = {"floor": [], "unchanged": [], "1 % changed": [], "all new": []}
            for _ in range(effort.rounds):
                taken["floor"].append(made.measure("floor", made.before))
                taken["unchanged"].append(made.measure("import", made.before, "imported"))
                taken["1 % changed"].append(made.measure("import", made.after, "imported"))
                taken["all new"].append(made.measure("import", made.before, "empty"))
            cpu = {name: [one["cpu"] for one in found] for name, found in taken.items()}
            _add_ratios(results, instances, cpu)
            _add_calls(results, instances, taken)
            growth = median(one["memory"] for one in taken["unchanged"])
            bound = 16 + instances * 300 / 2**20
            results.add(
                Figure(
                    GROUP,
                    f"memory growth, {instances:,} unchanged",
                    growth,
                    "MiB",
                    aim=bound,
                    note="aim: 16 MB and 300 bytes a row",
                )
            )
            memory["import"].append((instances, growth))
            memory["boto3's bare loop"].append((instances, median(one["memory"] for one in taken["floor"])))
            for name, points in lines.items():
                points.append((instances, ratio(cpu[name], cpu["floor"])))
            if instances == effort.instances[0]:
                _add_stages(results, made, instances)
    results.curves += [
        Curve("import", "EC2 import against boto3's bare loop", "instances", "CPU, × the bare loop", lines),
        Curve("memory", "Memory growth of an unchanged import", "instances", "MiB", memory),
    ]


def _add_ratios(results: Results, instances: int, cpu: dict[str, list[float]]) -> None:
    def absolute(name: str) -> str:
        return f"{median(cpu[name]) / instances * 1e6:.0f} µs an instance"

    size = f"{instances:,} instances"
    loop = f"boto3's bare loop ({absolute('floor')})"
    unchanged = ratio(cpu["unchanged"], cpu["floor"])
    results.add(Figure(GROUP, f"{size} unchanged", unchanged, "×", loop, absolute("unchanged"), aim=0.16))
    for name in ("1 % changed", "all new"):
        results.add(Figure(GROUP, f"{size} {name}", ratio(cpu[name], cpu["floor"]), "×", loop, absolute(name)))


def _add_calls(results: Results, instances: int, taken: dict[str, list[dict[str, Any]]]) -> None:
    """Requests for the table of assets, as the table service counted them; a run's own rows are a handful beside."""
    size = f"{instances:,} instances"
    for name in ("unchanged", "1 % changed", "all new"):
        calls, counts = taken[name][-1]["calls"], taken[name][-1]["counts"]
        changed = counts.get("create", 0) + counts.get("update", 0)
        rows = 0 if name == "all new" else counts["read"] - counts.get("skip", 0)
        asked, written = calls.get("pages", 0) + calls.get("reads", 0), calls.get("transactions", 0)
        results.add(
            Figure(
                GROUP,
                f"{size} {name}: reads",
                asked,
                "reads",
                aim=max(1, math.ceil(rows / ROWS_PER_PAGE)),
                note=f"{calls.get('pages', 0)} pages of rows, and {calls.get('reads', 0)} changed rows read again",
            ),
            Figure(
                GROUP,
                f"{size} {name}: transactions",
                written,
                "transactions",
                aim=math.ceil(changed / OPERATIONS_PER_TRANSACTION),
                note=f"{calls.get('rows written', 0):,} rows written for {changed:,} changes, their history in them",
            ),
        )


def _add_stages(results: Results, made: World, instances: int) -> None:
    for name, tables, fleet in (
        ("unchanged", "imported", made.before),
        ("1 % changed", "imported", made.after),
        ("all new", "empty", made.before),
    ):
        stages = made.measure("import", fleet, tables, stages=True)["stages"]
        shown = ", ".join(f"{stage} {seconds / instances * 1e6:.0f}" for stage, seconds in stages.items())
        total = sum(stages.values()) / instances * 1e3
        results.add(Figure(GROUP, f"CPU by stage, {name}", total, "s per 1,000", absolute=f"µs an instance: {shown}"))
