"""reliability.md, held against the harness of faults: its figures, its mutations and its commands."""

import re
from pathlib import Path

from lab.faults.flows import Flow, expected
from lab.faults.mutations import MUTATIONS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reliability.md").read_text("utf-8")
RESULTS = (DOCS / "reliability-results.md").read_text("utf-8")


def test_the_page_has_the_figures_of_the_harness() -> None:
    assert f"lists {len(Flow)} flows and the faults of each: {len(list(expected()))} pairs" in PAGE
    assert f"each of {len(MUTATIONS)} bugs" in PAGE


def test_every_mutation_has_its_result() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (tickets|ec2|users) \| \d+ \|$", RESULTS, re.MULTILINE)
    assert dict(rows) == {bug: mutation.flow for bug, mutation in MUTATIONS.items()}


def test_every_command_of_the_harness_is_explained() -> None:
    source = (DOCS.parent / "lab" / "faults" / "__main__.py").read_text("utf-8")
    commands = set(re.findall(r"add_parser\(\s*\"(\w+)\"", source))
    assert commands == set(re.findall(r"lab\.faults (\w+)", PAGE))


def test_every_table_of_the_pages_is_whole() -> None:
    """A row that stands alone is no table."""
    for path in sorted(DOCS.glob("*.md")):
        text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            lines = table.splitlines()
            assert len(lines) > 2, f"{path.name}: {lines[0]}"
            assert re.fullmatch(r"\|[-| :]+\|", lines[1]), f"{path.name}: {lines[0]}"
            width = {len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", line))) for line in lines}
            assert len(width) == 1, f"{path.name}: {lines[0]}"
