"""docs/lab.md lists every experiment, with what it takes, and none that there is not."""

import re

from lab.desk import ROOT
from lab.experiments.catalogue import EXPERIMENTS


def test_the_page_lists_what_there_is_to_do() -> None:
    listed = re.findall(r"^\| `\./lab/do ([^`]+)` \|", (ROOT / "docs" / "lab.md").read_text("utf-8"), re.MULTILINE)
    assert listed == [f"{one.name} {one.takes}".strip() for one in EXPERIMENTS.values()]
