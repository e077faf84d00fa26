"""A death at each storage call in turn: of a few scenarios of each flow that have everything in them."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial

from lab.faults.disturbances import CALM, Disturbances, Fault
from lab.faults.parallel_runs import spread
from lab.faults.scenario import Scenario
from lab.faults.scenario_generator import make_scenario
from lab.faults.schedule import Outcome, Played, compare, play, play_undisturbed

_SEARCHED = 60
_PROGRESS_EVERY = 500


@dataclass
class Killed:
    """What the deaths of one flow came to. `where` is in which flow they came."""

    flow: str
    seeds: Sequence[int]
    points: int
    seconds: float = 0.0
    where: Counter[str] = field(default_factory=Counter[str])
    failed: list[Outcome] = field(default_factory=list[Outcome])


def rich_seeds(flow: str, searched: int = _SEARCHED) -> list[int]:
    """A few seeds whose scenarios of this flow have between them everything that any of the first ones has."""
    has = {seed: _step_names(_scenario(seed, flow)) for seed in range(1, searched + 1)}
    missing = set[str]().union(*has.values())
    chosen: list[int] = []
    while missing:
        best = max(has, key=lambda seed: (len(has[seed] & missing), -seed))
        chosen.append(best)
        missing -= has[best]
    return chosen


def points_of(seed: int, flow: str) -> int:
    """At how many points a worker can die in a scenario. In the calm days after it a death would be that of timers,
    which come again all the same."""
    return 2 * _undisturbed(seed, flow)[1].calls_in_days


def run_kill(flow: str, where: tuple[int, int]) -> Outcome:
    """Play the scenario of a seed with one worker that dies once, and nothing else wrong: at the points 1 and 2, before
    and after the first storage call, and so on."""
    seed, point = where
    scenario, calm = _undisturbed(seed, flow)
    call, kind = (point + 1) // 2, Fault.KILLED_BEFORE if point % 2 else Fault.KILLED_AFTER
    disturbances = Disturbances(random.Random(f"kill {seed} {point}"), rates=CALM, kill_at=call, kill_as=kind)
    played = play(scenario, seed, disturbances, workers=1)
    return compare(seed, scenario, f"{kind} storage call {call}", calm, played)


def kill_pass(
    flow: str, seeds: Sequence[int], *, jobs: int, every: int = 1, say: Callable[[str], object] = lambda _: None
) -> Killed:
    """A death at each point, or at each n-th, of the scenarios of these seeds."""
    points = [(seed, point) for seed in seeds for point in range(1, points_of(seed, flow) + 1)][::every]
    killed = Killed(flow, seeds, len(points))
    say(f"{flow}: {len(points)} deaths, before and after each storage call of {len(seeds)} scenarios {seeds}")
    began = time.monotonic()
    for number, outcome in enumerate(spread(partial(run_kill, flow), points, jobs), 1):
        killed.where.update({where: count for (where, _), count in outcome.by_flow.items()})
        if outcome.findings:
            killed.failed.append(outcome)
            say(f"FAILED scenario {outcome.seed}, {outcome.profile}: {'; '.join(outcome.findings[:3])}")
        if number % _PROGRESS_EVERY == 0:
            say(f"    {number} of {len(points)}, {time.monotonic() - began:.0f} s, {len(killed.failed)} failed")
    killed.seconds = time.monotonic() - began
    return killed


def _scenario(seed: int, flow: str) -> Scenario:
    return make_scenario(random.Random(f"story {seed}"), (flow,))


@cache
def _undisturbed(seed: int, flow: str) -> tuple[Scenario, Played]:
    scenario = _scenario(seed, flow)
    return scenario, play_undisturbed(seed, scenario)


def _step_names(scenario: Scenario) -> set[str]:
    steps = scenario.steps
    found = {
        "users' events": steps.user_events,
        "grants": steps.grants,
        "dead letters": steps.dead_letters,
        "dead letters that wait for an operator": steps.dead_letters and steps.keeps_dead_letters,
        "a late vault": steps.late_vault_at,
        "the brake": scenario.policies["braking"] and not steps.confirms_brake,
        "the brake confirmed": steps.confirms_brake,
        "something back before the brake is confirmed": steps.returned,
        "grace": scenario.policies["grace_days"],
        "matching": scenario.policies["matching"] and scenario.manual_assets,
        "rotations": steps.rotations,
        "changes of settings": steps.settings_changes,
        "concurrent edits": steps.concurrent_edits,
        "busy people": steps.busy_people,
        "words of people": scenario.people_on_tickets,
        "a sweep": scenario.swept,
        # People then speak of tickets that one sweep opened.
        "a vault that is swept once before people speak": scenario.people_on_tickets
        and scenario.swept
        and steps.late_vault_at is not None
        and steps.late_vault_at > scenario.calm_from - timedelta(hours=20.9),
        "deletions": any(one.deleted_at for objects in scenario.swept.values() for one in objects),
        "edits": scenario.edits,
        "previews": scenario.previews,
    }
    return {name for name, there in found.items() if there}
