"""The page of the desk's own conditions: every kind with its reasons, and none that there is not."""

import re
from pathlib import Path

import yaml

from shared.conditions import ConditionKind
from shared.reasons import Reason
from shared.tickets.documents import CONDITION_FIELDS, KeyVaultEvents
from shared.tickets.domain.templates import CONDITION_PLACEHOLDERS
from tests.tickets.desk import settings

PAGE = (Path(__file__).parents[2] / "docs" / "conditions.md").read_text("utf-8")


def test_every_kind_of_condition_is_in_the_table_with_reasons_that_there_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert {kind for kind, *_ in rows} - {"event", "kind"} >= set(map(str, ConditionKind))
    for kind, reasons, *cells in rows:
        assert kind in list(ConditionKind)
        assert all(cell.strip() for cell in cells)
        assert set(re.findall(r"`(\w+)`", reasons)) <= set(map(str, Reason)), kind


def test_every_field_and_placeholder_is_on_the_page_and_its_rules_are_accepted() -> None:
    missing = [name for name in (*CONDITION_FIELDS, *CONDITION_PLACEHOLDERS) if not re.search(rf"\b{name}\b", PAGE)]
    assert missing == []
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        KeyVaultEvents.model_validate(settings(**yaml.safe_load(block)))
