"""One schedule: a scenario played undisturbed and disturbed by the same product, and what comes of the comparison."""

import hashlib
import random
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from unittest.mock import patch

from lab.fakes.tables import MemoryTables
from lab.faults.agenda import fill_agenda
from lab.faults.audit_checks import audit_faults
from lab.faults.checks import Watch, run_faults
from lab.faults.clients import Clients
from lab.faults.comparison import differences
from lab.faults.concurrent_changes import ConcurrentChanges
from lab.faults.counts_checks import counts_faults
from lab.faults.disturbances import CALM, Disturbances
from lab.faults.host import Host
from lab.faults.index_checks import index_faults
from lab.faults.leaks import LeakSearch
from lab.faults.logs import KeptLogs
from lab.faults.operators import Operators
from lab.faults.people import People
from lab.faults.promises import applied_as_shown, deletion_faults, grant_faults, undisturbed_faults
from lab.faults.reading_checks import reading_faults
from lab.faults.scenario import BEGINS, Scenario
from lab.faults.scenario_generator import make_scenario
from lab.faults.secret_rotation import PLANTED_SECRETS
from lab.faults.simulated_authrocket import SimulatedAuthRocket
from lab.faults.simulated_desk import assemble, write_settings
from lab.faults.simulated_services import SimulatedContainer
from lab.faults.simulation import Simulation
from shared import bootstrap
from shared.storage.names import SWEEPS_QUEUE


@dataclass(frozen=True)
class Played:
    """What a scenario came to."""

    tables: MemoryTables
    findings: Sequence[str]
    injected: Counter[str]
    storage_calls: int
    switches: int
    invocations: int
    log: Sequence[str]
    by_flow: Counter[tuple[str, str]]
    calls_in_days: int

    @property
    def digest(self) -> str:
        """Equal when two plays did the same, call by call."""
        rows = sorted(
            (name, *key, sorted(row.items()))
            for name, rows in self.tables.contents().items()
            for key, row in rows.items()
        )
        return hashlib.sha256(repr((rows, list(self.log), self.storage_calls)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Outcome:
    """What one seed showed; `findings` is empty when nothing is wrong."""

    seed: int
    flows: Sequence[str]
    profile: str
    findings: Sequence[str]
    injected: Counter[str] = field(default_factory=Counter[str])
    storage_calls: int = 0
    switches: int = 0
    invocations: int = 0
    log: Sequence[str] = ()
    digest: str = ""
    by_flow: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])


def run_seed(seed: int, flows: Sequence[str] = (), *, profile: str = "", keep_log: bool = False) -> Outcome:
    """Play the scenario of a seed undisturbed and disturbed. The same seed always does the same."""
    scenario = make_scenario(random.Random(f"story {seed}"), flows)
    calm = play_undisturbed(seed, scenario)
    disturbances = Disturbances.of(random.Random(f"faults {seed}"), profile, first=seed)
    played = play(scenario, seed, disturbances, workers=random.Random(f"workers {seed}").choice((1, 2, 2, 3, 4)))
    return compare(seed, scenario, disturbances.profile, calm, played, keep_log=keep_log)


def play_undisturbed(seed: int, scenario: Scenario) -> Played:
    """One worker, everything in order, nothing wrong."""
    return play(scenario, seed, Disturbances(random.Random(0), rates=CALM), workers=1)


def compare(
    seed: int, scenario: Scenario, profile: str, calm: Played, played: Played, *, keep_log: bool = False
) -> Outcome:
    """What the disturbed play shows against the undisturbed one."""
    findings = [f"undisturbed: {finding}" for finding in calm.findings]
    findings += [f"undisturbed: {finding}" for finding in undisturbed_faults(scenario, calm.tables)]
    findings += played.findings
    findings += differences(scenario, calm.tables, played.tables)
    return Outcome(
        seed,
        scenario.flows,
        profile,
        findings,
        played.injected,
        played.storage_calls,
        played.switches,
        played.invocations,
        # Thousands of logs are not carried between processes: a replay writes it again.
        played.log if keep_log else (),
        played.digest,
        played.by_flow,
    )


def play(scenario: Scenario, seed: int, disturbances: Disturbances, *, workers: int) -> Played:
    """Play a scenario to its end."""
    rng = random.Random(f"turns {seed}")
    simulation = Simulation(rng, BEGINS, in_order=workers == 1)
    disturbances.flow = lambda: simulation.doing
    host = Host(simulation, disturbances, scenario.ends_at)
    tables = MemoryTables()
    container = SimulatedContainer(simulation, disturbances)
    changes = ConcurrentChanges(scenario, simulation, disturbances)
    clients = Clients(host, scenario, tables, container, changes)
    people, operators = People(clients), Operators(clients)
    watch = Watch(scenario, tables, simulation.now, clients.deliveries_under_way)
    later = partial(host.later, SWEEPS_QUEUE)
    host.prepare = lambda: assemble(
        scenario, tables, simulation, disturbances, watch.committed, people.interfere, container, host.hurry, later
    )
    logs = KeptLogs(lambda: simulation.at)
    with _simulated(seed, simulation, SimulatedAuthRocket(scenario, simulation, disturbances, changes), logs):
        write_settings(tables, scenario)
        fill_agenda(clients, people, operators, disturbances)
        for number in range(workers):
            skew = timedelta(seconds=rng.uniform(-1, 1) * disturbances.rates.skew_seconds)
            simulation.add_worker(f"worker {number}", host.live, skew)
        simulation.run()
    findings = [f"a bug in {bug.where}: {bug.error}" for bug in host.bugs]
    findings += (
        clients.complaints
        + watch.findings
        + run_faults(
            tables,
            one_clock=not disturbances.skewed,
            changed_at=[*scenario.turning_points(), *changes.changed_at],
        )
    )
    findings += index_faults(tables) + counts_faults(tables) + reading_faults(tables) + audit_faults(scenario, tables)
    findings += people.lost_notes() + applied_as_shown(scenario, tables, operators.applied)
    findings += grant_faults(scenario, tables) + deletion_faults(scenario, tables)
    findings += [f"left undone: {left}" for left in [*host.left(), *container.blobs]]
    findings += _leaks(tables, host, clients, logs)
    return Played(
        tables,
        findings,
        disturbances.injected,
        disturbances.storage_calls,
        simulation.switches,
        host.invocations,
        logs.lines,
        disturbances.by_flow,
        disturbances.calls_in_days,
    )


@contextmanager
def _simulated(seed: int, simulation: Simulation, authrocket: SimulatedAuthRocket, logs: KeptLogs) -> Iterator[None]:
    """The product's clock, random numbers, network and logs are the simulation's."""
    rng = random.Random(f"tokens {seed}")
    with ExitStack() as stack:
        stack.enter_context(patch.object(bootstrap, "now", simulation.now))
        stack.enter_context(patch.object(secrets, "token_hex", lambda size=32: rng.randbytes(size).hex()))
        stack.enter_context(patch("requests.sessions.HTTPAdapter", lambda: authrocket))
        before = random.getstate()
        random.seed(seed)
        stack.callback(random.setstate, before)
        stack.enter_context(logs)
        yield


def _leaks(tables: MemoryTables, host: Host, clients: Clients, logs: KeptLogs) -> list[str]:
    search = LeakSearch(PLANTED_SECRETS)
    search.search("the tables", repr(tables.contents()))
    search.search("the queues", "\n".join(host.sent))
    search.search("the answers", "\n".join(clients.answers))
    search.search("the log", "\n".join(logs.lines))
    return [f"a secret leaked: {leak.purpose} as {leak.form} in {leak.place}" for leak in search.found]
