"""Rules: what finding the first match costs an asset, for rule sets as operators write them."""

from functools import partial
from statistics import median
from typing import Any

from bench.figures import Curve, Figure, Results
from bench.measuring import Effort, alternately
from bench.worlds import rules
from lab.emulators.ec2.accounts import ACORN, LONDON
from lab.emulators.ec2.records import Generated
from shared.rules.documents import CriterionDocument
from shared.rules.model import Criterion, Rule
from shared.rules.rule_set import compile_rules

GROUP = "Rules"


def records(count: int) -> list[dict[str, object]]:
    """The fleet as rules see it."""
    found: list[dict[str, object]] = []
    for _, record in Generated(ACORN, LONDON, count).after(0):
        found.append(
            {
                "name": record.tags.get("Name"),
                "asset-number": record.tags.get("AssetNumber"),
                "model": record.instance_type,
                "source.tags.Environment": record.tags.get("Environment"),
                "source.tags.Team": record.tags.get("Team"),
                "source.tags.Owner": record.tags.get("Owner"),
                "source.Platform": "windows" if record.windows else None,
            }
        )
    return found


def rule_set(count: int) -> Any:
    made = []
    for number, criteria in enumerate(rules(count)):
        parsed: tuple[Criterion, ...] = tuple(CriterionDocument.model_validate(one).to_criterion() for one in criteria)
        made.append(Rule(f"rule {number}", parsed, f"outcome {number}"))
    return compile_rules(made)


def measure(effort: Effort, results: Results) -> None:
    fleet = records(effort.assets)
    # A large set over all assets would take minutes when it is slow: a tenth says the same of each asset.
    sizes = (20, 200, 2_000)
    sets = {size: rule_set(size) for size in sizes}

    def match_all(size: int) -> None:
        first_match = sets[size].first_match
        for record in fleet if size <= 200 else fleet[: len(fleet) // 10 or 1]:
            first_match(record)

    taken = alternately({str(size): partial(match_all, size) for size in sizes}, effort.rounds)
    costs = {
        size: median(taken[str(size)]) / (len(fleet) if size <= 200 else len(fleet) // 10 or 1) * 1e6 for size in sizes
    }
    results.add(
        Figure(GROUP, "200 rules", costs[200], "µs an asset", budget=12, note="absolute: of this machine"),
        Figure(GROUP, "2,000 rules", costs[2_000] / costs[200], "×", "200 rules", f"{costs[2_000]:.1f} µs", budget=2),
    )
    points = [(float(size), costs[size]) for size in sizes]
    results.curves.append(Curve("rules", "First match of a rule set", "rules", "µs an asset", {"rules": points}))
