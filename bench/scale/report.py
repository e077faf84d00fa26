"""What was played, in words and tables: for the terminal, and for a section of `docs/performance.md`."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench import prices
from bench.scale.run import Played, Result
from bench.scale.stated import LATENCIES, LIMITS, MEMORY_AT_REST, MEMORY_OF_AN_INSTANCE

BEGIN, END = "<!-- make scale writes from here -->", "<!-- to here -->"
_MINUTES = 15
_DOLLARS = 6
_SAME = 1.1
_SAMPLED = (
    "{real:,} executions ran the real code. {after:,} were played after one of their kind: they take its calls and its "
    "processor time, through the same shared limits. What they leave in the tables is assumed: that they were done. "
    "Executions never meet in their middle: races are not looked for here. Other numbers of instances play the same "
    "executions again."
)
_SUMMED = (
    "Rows over the wire: {rows:,}. Processor time: {minutes:.0f} min in all. Messages that came again: {retried:,}; "
    "given up: {poisoned:,}; longer than a function may run: {too_long:,}."
)


@dataclass(frozen=True)
class Asked:
    """A flow with its name, and a small run of it to compare with."""

    name: str
    unit: str
    result: Result
    small: Result


def money(played: Played) -> float:
    """US dollars of one run, by the price table."""
    calls = played.tally.calls
    tables = sum(number for name, number in calls.items() if name.startswith("table "))
    seconds = played.outcome.instance_seconds * MEMORY_OF_AN_INSTANCE / 1_024
    return (
        tables / 10_000 * prices.TABLE_TRANSACTIONS_PER_10_000
        + calls["queue message"] / 10_000 * prices.QUEUE_OPERATIONS_PER_10_000
        + calls["vault"] / 10_000 * prices.KEY_VAULT_OPERATIONS_PER_10_000
        + seconds * prices.FUNCTION_GB_SECOND
        + sum(played.outcome.executions.values()) / 1e6 * prices.FUNCTION_EXECUTIONS_PER_MILLION
    )


def calls_a_unit(result: Result) -> float:
    """Storage calls and messages for each part or vault."""
    calls = result.tally.calls
    found = sum(number for name, number in calls.items() if name.startswith(("table ", "queue ")))
    return found / max(1, result.units)


def to_lines(asked: Sequence[Asked]) -> list[str]:
    """Markdown that a terminal shows as well."""
    lines: list[str] = []
    for one in asked:
        lines += _of_flow(one)
    lines += ["### Aims", "", "| Aim | Found | |", "|---|---|---|", *_aims(asked), ""]
    lines += ["### What it reckons with", "", "| | Figure | From |", "|---|---:|---|"]
    for name, latency in LATENCIES.items():
        rows = f" and {latency.per_row * 1_000:.2f} ms a row" if latency.per_row else ""
        lines.append(f"| {name} | {latency.seconds * 1_000:.0f} ms{rows} | {latency.source} |")
    for name, limit in LIMITS.items():
        lines.append(f"| {name} | {limit.units:,} in {limit.seconds:g} s | {limit.source} |")
    return lines


def _of_flow(one: Asked) -> list[str]:
    result = one.result
    real, after = sum(result.player.real.values()), sum(result.player.played.values())
    lines = [
        f"### {one.name}",
        "",
        _SAMPLED.format(real=real, after=after),
        "",
        "| Instances | Time | Calls refused | Longest over a limit | Most memory of an instance | Money |",
        "|---:|---:|---:|---|---:|---:|",
    ]
    for played in sorted([result, *result.again], key=lambda each: each.instances):
        over, whose = played.tally.buckets.longest_over()
        lines.append(
            f"| {played.instances:,} | {_time(played.outcome.ends)} | {played.tally.refused:,} | "
            f"{f'{over:g} s: {_short(whose)}' if over else 'never'} | "
            f"{played.outcome.memory / 2**20 + MEMORY_AT_REST:,.0f} MB | ${money(played):.2f} |"
        )
    lines += ["", "| Kind of execution | In truth | After another |", "|---|---:|---:|"]
    kinds = dict.fromkeys([*result.player.real, *result.player.played])
    lines += [
        f"| {kind or 'everything else'} | {result.player.real[kind]:,} | {result.player.played[kind]:,} |"
        for kind in kinds
    ]
    lines += ["", f"| Call | All | A {one.unit} |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {number:,} | {number / result.units:.2f} |" for name, number in result.tally.calls.most_common()
    ]
    lines += [
        "",
        _SUMMED.format(
            rows=sum(result.tally.rows.values()),
            minutes=result.tally.processor / 60,
            retried=result.outcome.retried,
            poisoned=len(result.outcome.poisoned),
            too_long=result.outcome.too_long,
        ),
        "",
        f"The next limit, on {result.instances} instances: {_next_limit(result)}.",
        "",
    ]
    if result.player.errors:
        lines += [
            "What failed:",
            "",
            *[f"- {number:,} × {text}" for text, number in result.player.errors.most_common(5)],
            "",
        ]
    return lines


def _aims(asked: Sequence[Asked]) -> list[str]:
    lines: list[str] = []

    def aim(text: str, found: str, *, met: bool) -> None:
        lines.append(f"| {text} | {found} | {'met' if met else '**not met**'} |")

    for one in asked:
        result = one.result
        ends = result.outcome.ends
        aim(f"{one.name}: within {_MINUTES} min", _time(ends), met=ends <= _MINUTES * 60)
        aim(f"{one.name}: nothing lost", f"{result.lost:,} lost", met=result.lost == 0)
        over, whose = result.tally.buckets.longest_over()
        aim(
            f"{one.name}: no bucket over its limit for more than a second at a time",
            f"{over:g} s{f', {_short(whose)}' if over else ''}",
            met=over <= 1,
        )
        large, small = calls_a_unit(result), calls_a_unit(one.small)
        aim(
            f"calls a {one.unit} among {result.units:,}: at most {_SAME} of those among {one.small.units:,}",
            f"{large:.1f} against {small:.1f}",
            met=large <= _SAME * small,
        )
    dollars = sum(money(one.result) for one in asked)
    aim(f"all of it: under {_DOLLARS} USD a day", f"${dollars:.2f}", met=dollars < _DOLLARS)
    return lines


def _next_limit(played: Played) -> str:
    found = sorted(played.tally.buckets.busiest().items(), key=lambda one: -one[1][1])
    return ", ".join(f"{name} at {share:.0%} ({_short(whose) or 'all'})" for name, (whose, share) in found[:3])


def _short(whose: str) -> str:
    return whose if len(whose) <= 60 else f"{whose[:57]}…"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
