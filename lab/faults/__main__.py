"""`python -m lab.faults`: seeded schedules, one of them again, deaths at every storage call, mutations, broken
sockets, and a soak."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial

from lab.faults.flows import SKEWED, never_met
from lab.faults.kill_points import kill_pass, rich_seeds
from lab.faults.mutations import MUTATIONS, find_mutations
from lab.faults.parallel_runs import Total, run_many, spread
from lab.faults.scenario import FLOWS
from lab.faults.schedule import Outcome, run_seed

_MOST_SHOWN = 12
_FIRST_STORM = 221


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.faults", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="many schedules; the exit code is 1 when one of them shows a fault")
    run.add_argument("--count", type=int, default=2000, help="how many schedules (default 2000)")
    run.add_argument("--seed", type=int, default=1, help="the first seed; the others follow it (default 1)")
    _add_jobs(run)
    _add_flows(run)
    run.set_defaults(act=_run)
    replay = commands.add_parser("replay", help="one schedule again, with all that it did")
    replay.add_argument("seed", type=int)
    _add_flows(replay)
    replay.set_defaults(act=_replay)
    kills = commands.add_parser("kills", help="a few scenarios, and a worker that dies at each storage call in turn")
    kills.add_argument("--seed", type=int, action="append", help="a scenario; without, those with everything in them")
    kills.add_argument("--every", type=int, default=1, help="take only each n-th of the points (default 1: all)")
    _add_jobs(kills)
    _add_flows(kills)
    kills.set_defaults(act=_kills)
    storms = commands.add_parser(
        "storms", help="the worst days: every flow must meet every kind of fault that can come"
    )
    storms.add_argument("--count", type=int, default=60, help="how many of each flow, and of usual days (default 60)")
    _add_jobs(storms)
    storms.set_defaults(act=_storms)
    mutations = commands.add_parser("mutations", help="mutations, one at a time: when each is found")
    mutations.add_argument("--most", type=int, default=300, help="schedules at most for each (default 300)")
    mutations.add_argument("--bug", action="append", choices=MUTATIONS, help="only this one; may be given again")
    _add_jobs(mutations)
    mutations.set_defaults(act=_mutations)
    network = commands.add_parser("network", help="real client libraries on sockets that break")
    network.add_argument("--count", type=int, default=20, help="how many scenarios (default 20)")
    network.add_argument("--seed", type=int, default=1)
    network.set_defaults(act=_network)
    soaking = commands.add_parser("soak", help="the whole lab with all triggers firing: memory, handles, errors")
    soaking.add_argument("--minutes", type=float, default=30)
    soaking.set_defaults(act=_soak)
    chosen = parser.parse_args(arguments)
    return int(chosen.act(chosen))


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")


def _add_flows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--flow", action="append", choices=FLOWS, default=[], help="only scenarios of this flow; may be given again"
    )


def _run(chosen: argparse.Namespace) -> int:
    seeds = range(chosen.seed, chosen.seed + chosen.count)
    total = run_many(seeds, jobs=chosen.jobs, flows=chosen.flow, seen=lambda outcome: _tell(outcome, chosen.flow))
    show(total)
    return 1 if total.failed else 0


def _replay(chosen: argparse.Namespace) -> int:
    (outcome,) = spread(partial(run_seed, flows=chosen.flow, keep_log=True), [chosen.seed], 1)
    print(f"seed {outcome.seed}: {' + '.join(outcome.flows)}, faults of the kind {outcome.profile!r}")
    print(
        f"{outcome.invocations} invocations, {outcome.storage_calls} storage calls, {outcome.switches} changes of turn"
    )
    for fault, count in sorted(outcome.injected.items()):
        print(f"  {count:5} × {fault}")
    print(*outcome.log, sep="\n")
    print(*(outcome.findings or ["nothing is wrong"]), sep="\n")
    return 1 if outcome.findings else 0


def _kills(chosen: argparse.Namespace) -> int:
    failed = 0
    for flow in chosen.flow or FLOWS:
        seeds = chosen.seed or rich_seeds(flow)
        killed = kill_pass(flow, seeds, jobs=chosen.jobs, every=chosen.every, say=partial(print, flush=True))
        print(f"{flow}: {killed.points} deaths in {killed.seconds:.0f} s, {len(killed.failed)} ended otherwise")
        print(f"    in: {', '.join(f'{where} {count}' for where, count in sorted(killed.where.items()))}", flush=True)
        failed += len(killed.failed)
    return 1 if failed else 0


def _storms(chosen: argparse.Namespace) -> int:
    """Nothing is shown by faults that never came."""
    seeds = range(_FIRST_STORM, _FIRST_STORM + chosen.count)
    days = run_many(range(1, chosen.count + 1), jobs=chosen.jobs, seen=lambda one: _tell(one, ()))
    by_flow, failed = days.by_flow, len(days.failed)
    for flow in FLOWS:
        total = run_many(seeds, jobs=chosen.jobs, flows=(flow,), profile="storm", seen=lambda one: _tell(one, ()))
        by_flow.update(total.by_flow)
        failed += len(total.failed)
        print(f"{flow}: {total.schedules} storms in {total.seconds:.0f} s, {len(total.failed)} failed", flush=True)
    missing = never_met(by_flow)
    print(*(f"never met: {one}" for one in missing), sep="\n", end="\n" if missing else "")
    return 1 if failed or missing else 0


def _mutations(chosen: argparse.Namespace) -> int:
    missed = 0
    for found in find_mutations(chosen.bug or list(MUTATIONS), chosen.most, chosen.jobs):
        after = found.after or f"not in {chosen.most}"
        print(f"{after:>12}  {found.bug} ({found.flow}): {found.finding[:120]}", flush=True)
        missed += found.after is None
    return 1 if missed else 0


def _network(chosen: argparse.Namespace) -> int:
    from lab.azurite import Azurite
    from lab.emulators.ec2.accounts import ACORN, LONDON
    from lab.emulators.ec2.server import EC2Lab
    from lab.faults.network_level import run_on_network
    from lab.faults.network_level_ec2 import read_ec2_on_network

    total = Total()
    began = time.monotonic()
    seeds = range(chosen.seed, chosen.seed + chosen.count)
    names = {seed: f"network{seed}" for seed in seeds}
    with Azurite(accounts=list(names.values())) as azurite, EC2Lab({(ACORN, LONDON): 90}) as ec2:
        for seed, name in names.items():
            for outcome in (
                run_on_network(seed, azurite.connection_string_for(name)),
                read_ec2_on_network(seed, ec2, 90),
            ):
                total.add(outcome)
                if outcome.findings:
                    print(f"FAILED network seed {seed}", *outcome.findings[:_MOST_SHOWN], sep="\n    ", flush=True)
    total.seconds = time.monotonic() - began
    show(total)
    return 1 if total.failed else 0


def _soak(chosen: argparse.Namespace) -> int:
    from lab.faults.soak import soak

    soaked = soak(chosen.minutes)
    first, last = soaked.samples[0], soaked.samples[-1]
    print(
        f"{chosen.minutes:g} minutes, {soaked.rounds} rounds of every timer, {soaked.deliveries} deliveries: memory "
        f"{first.memory:.0f} MiB at first, {last.memory:.0f} MiB at the end; handles {first.handles}, {last.handles}"
    )
    findings = soaked.findings()
    print(*(findings or ["nothing is wrong"]), sep="\n")
    return 1 if findings else 0


def _tell(outcome: Outcome, flows: Sequence[str]) -> None:
    if outcome.findings:
        chosen = "".join(f" --flow {flow}" for flow in flows)
        print(f"FAILED seed {outcome.seed} ({' + '.join(outcome.flows)}, {outcome.profile})")
        print(*(f"    {finding}" for finding in outcome.findings[:_MOST_SHOWN]), sep="\n")
        print(f"    again: python -m lab.faults replay {outcome.seed}{chosen}", flush=True)


def show(total: Total) -> None:
    """The figures of docs/reliability.md."""
    print(f"{total.schedules} schedules in {total.seconds:.0f} s, {len(total.failed)} failed")
    print(
        f"  {total.invocations} invocations, {total.storage_calls} storage calls, {total.switches} changes of turn, "
        f"{sum(total.injected.values()) - total.injected[SKEWED]} faults"
    )
    for title, counted in (("flows", total.flows), ("kinds of days", total.profiles)):
        print(f"  {title}: {', '.join(f'{name} {count}' for name, count in sorted(counted.items()))}")
    for fault, count in sorted(total.injected.items()):
        print(f"  {count:8} × {fault}{' (invocations)' if fault == SKEWED else ''}")
    for flow in sorted({flow for flow, _ in total.by_flow if flow}):
        met = {fault: n for (where, fault), n in total.by_flow.items() if where == flow and fault != SKEWED}
        print(f"  {flow}: {sum(met.values())} faults of {len(met)} kinds")
    if total.profiles.keys() - {"network"} and (missing := never_met(total.by_flow)):
        print(f"  never met: {'; '.join(missing[:_MOST_SHOWN])}")
    if total.failed:
        print(f"  failed seeds: {', '.join(str(outcome.seed) for outcome in total.failed)}")


if __name__ == "__main__":
    sys.exit(main())
