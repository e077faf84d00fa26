"""The bench measures what it says, and its page says what it measured."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import ec2_import
from bench.__main__ import main
from bench.figures import Curve, Figure, Results
from bench.measuring import ratio
from bench.report import to_page, to_svg, to_terminal


def test_a_trial_of_the_small_benches_gives_figures_as_table_as_json_and_as_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "bench.json"
    assert main(["--quick", "--only", "rules,webhook", f"--json={found}", f"--docs={tmp_path}"]) == 0
    figures = {one["name"]: one for one in json.loads(found.read_text("utf-8"))["figures"]}
    assert figures["storage calls of one event"]["value"] == 2
    shown, page = capsys.readouterr().out, (tmp_path / "performance.md").read_text("utf-8")
    for name in figures:
        assert name in shown
        assert f"| {name} |" in page
    for plot in re.findall(r"\((performance/.*\.svg)\)", page):
        ET.parse(tmp_path / plot)  # noqa: S314 - written by this very run


def test_an_import_is_measured_whole_and_its_calls_are_counted() -> None:
    """`make check` tries out all of the bench; this is the part that promises rest on."""
    results = Results()
    with ec2_import.world(40) as made:
        taken = {
            "unchanged": made.measure("import", made.before, "imported"),
            "1 % changed": made.measure("import", made.after, "imported"),
            "all new": made.measure("import", made.before, "empty"),
        }
    assert all(one["cpu"] > 0 for one in taken.values())
    ec2_import.add_calls(results, 40, taken)
    figures = {figure.name: figure for figure in results.figures}
    for name in taken:
        assert figures[f"40 instances {name}: transactions"].met
    assert figures["40 instances unchanged: transactions"].value == 0
    assert figures["40 instances unchanged: reads"].value == 2
    assert figures["40 instances all new: transactions"].value == 2


def test_budgets_are_met_or_not(tmp_path: Path) -> None:
    assert Figure("g", "n", 0.1, budget=0.16).met is True
    assert Figure("g", "n", 0.2, budget=0.16).met is False
    assert Figure("g", "n", 0.2).met is None
    results = Results([Figure("g", "slow", 0.2, budget=0.16), Figure("g", "quick", 0.1, budget=0.16)])
    slow, quick, _, counted = to_terminal(results).splitlines()[-4:]
    assert "NOT MET" in slow
    assert "NOT MET" not in quick
    assert counted == "1 of 2 budgets met"
    assert "**not met**" in to_page(results, tmp_path, rounds=1)


def test_a_ratio_is_the_median_of_its_rounds() -> None:
    assert ratio([1.0, 2.0, 90.0], [2.0, 4.0, 1.0]) == 0.5


def test_a_plot_has_a_line_for_each_name() -> None:
    lines = {"one": [(10.0, 1.0), (100.0, 2.0)], "two & a half": [(10.0, 3.0), (100.0, 0.0)]}
    root = ET.fromstring(to_svg(Curve("f", "Title", "work", "figure", lines)))  # noqa: S314 - our own
    assert len([one for one in root.iter() if one.tag.endswith("polyline")]) == 2
    assert "two & a half" in [one.text for one in root.iter()]


def test_measuring_some_keeps_the_figures_of_the_others() -> None:
    curve = Curve("rules", "Rules", "rules", "µs", {"decide": [(1.0, 2.0)]})
    earlier = Results([Figure("Rules", "200 rules", 4.0, budget=12), Figure("Lists", "page", 1.0)], [curve])
    now = Results([Figure("Lists", "page", 2.0)]).with_earlier(json.loads(json.dumps(earlier.as_json())))
    assert [(one.group, one.value, one.met) for one in now.figures] == [("Rules", 4.0, True), ("Lists", 2.0, None)]
    assert [one.file for one in now.curves] == ["rules"]
