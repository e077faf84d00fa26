"""One schedule: a story played undisturbed and disturbed by the same product, and what comes of the comparison."""

import hashlib
import logging
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any
from unittest.mock import patch

from lab.fakes.tables import MemoryTables
from lab.faults.checks import Watch, differences, run_faults
from lab.faults.clients import Clients
from lab.faults.desk import assemble, clock_of, furnish
from lab.faults.disturbances import CALM, Disturbances
from lab.faults.far_sides import SECRETS, FarRealm
from lab.faults.host import Host, Outputs
from lab.faults.leaks import LeakSearch
from lab.faults.simulation import Simulation
from lab.faults.story import BEGINS, Story, make_story
from shared import bootstrap
from shared.storage.names import EVENTS_QUEUE, IMPORT_PARTS_QUEUE

_DAY = timedelta(days=1)
_HOUSEKEEPING = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 8, 14, 20)


@dataclass(frozen=True)
class Played:
    """What a story came to."""

    tables: MemoryTables
    findings: Sequence[str]
    injected: Counter[str]
    storage_calls: int
    switches: int
    invocations: int
    log: Sequence[str]

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


def run_seed(seed: int, flows: Sequence[str] = (), *, keep_log: bool = False) -> Outcome:
    """Play the story of a seed undisturbed and disturbed. The same seed always does the same."""
    story = make_story(random.Random(f"story {seed}"), flows)
    calm = play_undisturbed(seed, story)
    disturbances = Disturbances.of(random.Random(f"faults {seed}"))
    played = play(story, seed, disturbances, workers=random.Random(f"workers {seed}").choice((1, 2, 2, 3, 4)))
    return compare(seed, story, disturbances.profile, calm, played, keep_log=keep_log)


def play_undisturbed(seed: int, story: Story) -> Played:
    """One worker, everything in order, nothing wrong."""
    return play(story, seed, Disturbances(random.Random(0), rates=CALM), workers=1)


@cache
def _undisturbed(seed: int, flows: tuple[str, ...]) -> tuple[Story, Played]:
    story = make_story(random.Random(f"story {seed}"), flows)
    return story, play_undisturbed(seed, story)


def run_kill(seed: int, call: int, flows: Sequence[str] = ()) -> Outcome:
    """Play a story with one worker that dies at the given storage call, and nothing else wrong."""
    story, calm = _undisturbed(seed, tuple(flows))
    disturbances = Disturbances(random.Random(f"kill {seed} {call}"), rates=CALM, kill_at=call)
    played = play(story, seed, disturbances, workers=1)
    return compare(seed, story, f"killed at storage call {call}", calm, played)


def compare(seed: int, story: Story, profile: str, calm: Played, played: Played, *, keep_log: bool = False) -> Outcome:
    """What the disturbed play shows against the undisturbed one."""
    findings = [f"undisturbed: {finding}" for finding in calm.findings]
    findings += played.findings
    findings += differences(story, calm.tables, played.tables)
    return Outcome(
        seed,
        story.flows,
        profile,
        findings,
        played.injected,
        played.storage_calls,
        played.switches,
        played.invocations,
        # Thousands of logs are not carried between processes: a replay writes it again.
        played.log if keep_log else (),
        played.digest,
    )


def play(story: Story, seed: int, disturbances: Disturbances, *, workers: int) -> Played:
    """Play a story to its end."""
    chances = random.Random(f"turns {seed}")
    simulation = Simulation(chances, BEGINS, in_order=workers == 1)
    host = Host(simulation, disturbances, story.ends_at)
    tables = MemoryTables()
    watch = Watch(story, tables, simulation.now)
    clients = Clients(host)
    host.prepare = lambda: assemble(story, tables, simulation, disturbances, watch.committed)
    logs = _Logs(lambda: simulation.at)
    with _simulated(story, seed, simulation, disturbances, logs):
        furnish(tables, story)
        _fill_agenda(story, host, clients, disturbances)
        for number in range(workers):
            skew = timedelta(seconds=chances.uniform(-1, 1) * disturbances.rates.skew_seconds)
            simulation.add_worker(f"worker {number}", host.live, skew)
        simulation.run()
    findings = [f"a bug in {bug.where}: {bug.error}" for bug in host.bugs]
    findings += clients.complaints + watch.findings + run_faults(tables, one_clock=not disturbances.skewed)
    findings += [f"left undone: {left}" for left in host.left()]
    findings += _leaks(tables, host, clients, logs)
    return Played(
        tables,
        findings,
        disturbances.injected,
        disturbances.storage_calls,
        simulation.switches,
        host.invocations,
        logs.lines,
    )


def _fill_agenda(story: Story, host: Host, clients: Clients, disturbances: Disturbances) -> None:
    from functions.import_schedules import import_authrocket_users, import_ec2_assets, keep_house
    from functions.ticket_schedules import remove_old_ticket_rows, sweep_vaults

    host.add_queue(IMPORT_PARTS_QUEUE, _do_part, _fail_part, IMPORT_PARTS_QUEUE)
    host.add_queue(EVENTS_QUEUE, _record_event, _quarantine_event, "")

    def timer(name: str, function: Callable[..., None]) -> Callable[[], None]:
        def fire() -> None:
            if not disturbances.happens("timer", disturbances.rates.kills * 3, ("missed",)):
                host.fire(name, lambda outputs: function(timer=None, messages=outputs), IMPORT_PARTS_QUEUE)

        return fire

    def without_outputs(function: Callable[..., None]) -> Callable[..., None]:
        return lambda timer, **_: function(timer=timer)

    imports = bool({"ec2", "users"} & set(story.flows))
    moment = BEGINS
    while moment < story.ends_at:
        hour = timedelta(hours=1)
        if "ec2" in story.flows:
            host.at(moment + 2 * hour, timer("ec2", import_ec2_assets))
        if "users" in story.flows:
            host.at(moment + 2.1 * hour, timer("authrocket", import_authrocket_users))
        if "tickets" in story.flows:
            host.at(moment + 3 * hour, timer("removal", without_outputs(remove_old_ticket_rows)))
        if story.swept:
            host.at(moment + 3.1 * hour, timer("sweep", without_outputs(sweep_vaults)))
        for after in _HOUSEKEEPING if imports else ():
            host.at(moment + (2 + after) * hour, timer("housekeeping", keep_house))
        moment += _DAY
    for at, batch, door in story.deliveries:
        host.at(at, partial(clients.deliver, batch, door))
    for edit in story.edits:
        # Not before the first import: there is nothing to edit yet.
        host.at(max(edit.at, BEGINS + timedelta(hours=4)), partial(clients.edit, edit))
    for at in story.previews:
        host.at(at, clients.preview_and_apply)
    host.at(story.calm_from, disturbances.calm_down)
    if story.people_on_tickets:
        # What people say of a ticket stands until something new is said, so they speak when all events are told; and
        # the bad days begin again, for their sake.
        rates = disturbances.rates
        host.at(story.calm_from + timedelta(hours=12), lambda: disturbances.begin_again(rates))
        host.at(story.calm_from + timedelta(hours=12, minutes=1), clients.work_on_tickets)
        for batch in [batch for _, batch, door in story.deliveries if door == "webhook"][:3]:
            host.at(story.calm_from + timedelta(hours=12, minutes=5), partial(clients.deliver, batch, "webhook"))
        host.at(story.calm_from + timedelta(hours=20), disturbances.calm_down)
    if "tickets" in story.flows:
        host.at(story.ends_at - timedelta(hours=6), clients.replay_quarantine)


def _do_part(message: Any, outputs: Outputs) -> None:
    from functions.import_parts import import_part

    import_part(message=message, messages=outputs)


def _fail_part(message: Any) -> None:
    from functions.poison import fail_import_part

    fail_import_part(message=message)


def _record_event(message: Any, outputs: Outputs) -> None:
    from functions.key_vault_event_queue import record_key_vault_event

    del outputs
    record_key_vault_event(message=message)


def _quarantine_event(message: Any) -> None:
    from functions.key_vault_event_queue import quarantine_key_vault_event

    quarantine_key_vault_event(message=message)


class _Logs(logging.Handler):
    """Keeps what the product logs, as it would be written."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.lines: list[str] = []
        self._now = now

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self._now():%d %H:%M:%S} {self.format(record)}")


@contextmanager
def _simulated(
    story: Story, seed: int, simulation: Simulation, disturbances: Disturbances, logs: _Logs
) -> Iterator[None]:
    """The product's clock, chances, network and logs are the simulation's."""
    chances = random.Random(f"tokens {seed}")
    with ExitStack() as stack:
        stack.enter_context(patch.object(bootstrap, "now", simulation.now))
        stack.enter_context(patch.object(bootstrap, "time", clock_of(simulation)))
        stack.enter_context(patch.object(secrets, "token_hex", lambda size=32: chances.randbytes(size).hex()))
        far_realm = FarRealm(story, simulation, disturbances)
        stack.enter_context(patch("requests.sessions.HTTPAdapter", lambda: far_realm))
        before = random.getstate()
        random.seed(seed)
        stack.callback(random.setstate, before)
        for name in ("shared", "functions"):
            logger = logging.getLogger(name)
            stack.callback(_restore, logger, logger.level, logger.propagate)
            logger.setLevel(logging.INFO)
            logger.propagate = False
            logger.addHandler(logs)
            stack.callback(logger.removeHandler, logs)
        yield


def _restore(logger: logging.Logger, level: int, propagate: bool) -> None:
    logger.setLevel(level)
    logger.propagate = propagate


def _leaks(tables: MemoryTables, host: Host, clients: Clients, logs: _Logs) -> list[str]:
    search = LeakSearch(SECRETS)
    search.search("the tables", repr(tables.contents()))
    search.search("the queues", "\n".join(host.sent))
    search.search("the answers", "\n".join(clients.answers))
    search.search("the log", "\n".join(logs.lines))
    return [f"a secret leaked: {leak.purpose} as {leak.form} in {leak.place}" for leak in search.found]
