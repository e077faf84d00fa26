"""What was played, in words and tables: for the terminal, and for a section of `docs/performance.md`."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import prices
from bench.scale.run import Played, Result
from bench.scale.searches import Searched
from bench.scale.stated import LATENCIES, LIMITS, MEMORY_AT_REST, MEMORY_OF_AN_INSTANCE

BEGIN, END = "<!-- make scale writes from here -->", "<!-- to here -->"
INDEX = "index"
_MINUTES = 15
_DOLLARS = 6
_SAME = 1.1
_CALLS_OF_A_SEARCH = 6
_SAMPLED = (
    "{real:,} executions ran the real code. {after:,} were played after one of their kind: they take its calls and its "
    "processor time, through the same shared limits. What they leave in the tables is assumed: that they were done, "
    "and that their partition changed. Executions never meet in their middle: races are not looked for here. Other "
    "numbers of instances play the same executions again, without what follows in the index. Each function has that "
    "many instances of its own."
)
_SUMMED = (
    "Rows over the wire: {rows:,}. Processor time: {minutes:.0f} min in all. Money: ${dollars:.2f}. Messages that came "
    "again: {retried:,}; given up: {poisoned:,}; longer than a function may run: {too_long:,}."
)
_FOLLOWED = (
    "{changed:,} partitions changed. The index had followed after {half} for half of them, after {most} for 99 of 100, "
    "and after {last} for the last. The timer that begins it comes once a minute."
)
_HOW_SEARCHED = (
    "The real code searches, while an import of this size is not yet followed everywhere. Of the index the rows are "
    "there that begin with what is searched for, for one instance of each account and region; of the records those "
    "that are found."
)


@dataclass(frozen=True)
class Asked:
    """What was asked of the simulator: flows with what each is called and what it is made of; a large play, a small one
    to compare with, and searches."""

    names: Mapping[str, str]
    units: Mapping[str, str]
    result: Result
    small: Result
    searches: Sequence[Searched]


def money(played: Played, flow: str) -> float:
    """US dollars of one flow, by the price table."""
    calls, work = played.tally.of[flow].calls, played.outcome.of[flow]
    tables = sum(number for name, number in calls.items() if name.startswith("table "))
    return (
        tables / 10_000 * prices.TABLE_TRANSACTIONS_PER_10_000
        + calls["queue message"] / 10_000 * prices.QUEUE_OPERATIONS_PER_10_000
        + calls["vault"] / 10_000 * prices.KEY_VAULT_OPERATIONS_PER_10_000
        + work.instance_seconds * MEMORY_OF_AN_INSTANCE / 1_024 * prices.FUNCTION_GB_SECOND
        + work.executions / 1e6 * prices.FUNCTION_EXECUTIONS_PER_MILLION
    )


def calls_a_unit(result: Result, flow: str) -> float:
    """Storage calls and messages for each part or vault."""
    calls = result.tally.of[flow].calls
    found = sum(number for name, number in calls.items() if name.startswith(("table ", "queue ")))
    return found / max(1, result.flows[flow].units)


def to_lines(asked: Asked) -> list[str]:
    """Markdown that a terminal shows as well."""
    result = asked.result
    lines = _together(asked)
    for flow, name in asked.names.items():
        lines += [f"### {name}", "", *_of_flow(result, flow, asked.units[flow], result.flows[flow].units)]
    lines += ["### What follows in the index", "", *_followed(result)]
    lines += [*_of_flow(result, INDEX, "partition that changed", max(1, len(result.lags)))]
    if asked.searches:
        lines += [*_searched(asked.searches)]
    lines += ["### Aims", "", "| Aim | Found | |", "|---|---|---|", *_aims(asked), ""]
    lines += ["### What it reckons with", "", "| | Figure | From |", "|---|---:|---|"]
    for name, latency in LATENCIES.items():
        rows = f" and {latency.per_row * 1_000:.2f} ms a row" if latency.per_row else ""
        lines.append(f"| {name} | {latency.seconds * 1_000:.0f} ms{rows} | {latency.source} |")
    for name, limit in LIMITS.items():
        lines.append(f"| {name} | {limit.units:,} in {limit.seconds:g} s | {limit.source} |")
    return lines


def _together(asked: Asked) -> list[str]:
    result, flows = asked.result, list(asked.names)
    real, after = sum(result.player.real.values()), sum(result.player.played.values())
    times = "".join(f" Time of the {flow} |" for flow in flows)
    lines = [
        "### All at once",
        "",
        _SAMPLED.format(real=real, after=after),
        "",
        f"| Instances |{times} Calls refused | Longest over a limit | Most memory of an instance | Money |",
        f"|---:|{'---:|' * len(flows)}---:|---|---:|---:|",
    ]
    for played in sorted([result, *result.again], key=lambda each: each.instances):
        over, whose = played.tally.buckets.longest_over()
        ends = "".join(f" {_time(played.outcome.of[flow].ends)} |" for flow in flows)
        dollars = sum(money(played, flow) for flow in list(played.outcome.of))
        lines.append(
            f"| {played.instances:,} |{ends} {played.tally.refused:,} | "
            f"{f'{over:g} s: {_short(whose)}' if over else 'never'} | "
            f"{played.outcome.memory / 2**20 + MEMORY_AT_REST:,.0f} MB | ${dollars:.2f} |"
        )
    lines += ["", "| Kind of execution | In truth | After another |", "|---|---:|---:|"]
    kinds = dict.fromkeys([*result.player.real, *result.player.played])
    lines += [
        f"| {kind or 'everything else'} | {result.player.real[kind]:,} | {result.player.played[kind]:,} |"
        for kind in kinds
    ]
    lines += ["", f"The next limit, on {result.instances} instances: {_next_limit(result)}.", ""]
    if result.player.errors:
        failed = [f"- {number:,} × {text}" for text, number in result.player.errors.most_common(5)]
        lines += ["What failed:", "", *failed, ""]
    return lines


def _of_flow(result: Result, flow: str, unit: str, units: int) -> list[str]:
    counts, work = result.tally.of[flow], result.outcome.of[flow]
    return [
        f"| Call | All | A {unit} |",
        "|---|---:|---:|",
        *(f"| {name} | {number:,} | {number / units:.2f} |" for name, number in counts.calls.most_common()),
        "",
        _SUMMED.format(
            rows=counts.rows, minutes=counts.processor / 60, dollars=money(result, flow), **dataclasses.asdict(work)
        ),
        "",
    ]


def _followed(result: Result) -> list[str]:
    if not result.lags:
        return ["Nothing changed that the index shows.", ""]
    lags = sorted(result.lags)
    return [
        _FOLLOWED.format(
            changed=len(lags),
            half=_time(lags[len(lags) // 2]),
            most=_time(lags[len(lags) * 99 // 100]),
            last=_time(lags[-1]),
        ),
        "",
    ]


def _searched(searches: Sequence[Searched]) -> list[str]:
    return [
        "### Searches",
        "",
        _HOW_SEARCHED,
        "",
        "| Searched for | Rows of the index that begin so | Found on the first page | Storage calls | Time |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {one.what}: `{one.words}` | {one.rows:,} | {one.found} | {one.calls} | {one.seconds * 1_000:.0f} ms |"
            for one in searches
        ),
        "",
    ]


def _aims(asked: Asked) -> list[str]:
    lines: list[str] = []
    result = asked.result

    def aim(text: str, found: str, *, met: bool) -> None:
        lines.append(f"| {text} | {found} | {'met' if met else '**not met**'} |")

    for flow, name in asked.names.items():
        ends = result.outcome.of[flow].ends
        aim(f"{name}: within {_MINUTES} min", _time(ends), met=ends <= _MINUTES * 60)
        aim(f"{name}: nothing lost", f"{result.lost(flow):,} lost", met=result.lost(flow) == 0)
        large, small = calls_a_unit(result, flow), calls_a_unit(asked.small, flow)
        few = asked.small.flows[flow].units
        aim(
            f"calls a {asked.units[flow]} among {result.flows[flow].units:,}: at most {_SAME} of those among {few:,}",
            f"{large:.1f} against {small:.1f}",
            met=large <= _SAME * small,
        )
    over, whose = result.tally.buckets.longest_over()
    aim(
        "no bucket over its limit for more than a second at a time",
        f"{over:g} s{f', {_short(whose)}' if over else ''}",
        met=over <= 1,
    )
    left = result.not_followed + result.outcome.of[INDEX].poisoned
    aim("the index follows everywhere", f"{left:,} partitions left", met=left == 0)
    if asked.searches:
        most = max(one.calls for one in asked.searches)
        aim(f"a search: at most {_CALLS_OF_A_SEARCH} storage calls", str(most), met=most <= _CALLS_OF_A_SEARCH)
    dollars = sum(money(result, flow) for flow in list(result.outcome.of))
    aim(f"all of it: under {_DOLLARS} USD a day", f"${dollars:.2f}", met=dollars < _DOLLARS)
    return lines


def _next_limit(played: Played) -> str:
    found = sorted(played.tally.buckets.busiest().items(), key=lambda one: -one[1][1])
    return ", ".join(f"{name} at {share:.0%} ({_short(whose) or 'all'})" for name, (whose, share) in found[:3])


def _short(whose: str) -> str:
    return whose if len(whose) <= 60 else f"{whose[:57]}…"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
