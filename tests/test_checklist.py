"""Every item of the feature list that the product was specified by is named beside the test that shows it."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
# Key Vault, AWS EC2, AuthRocket, credential stores, connector secrets, and the questions that the guides leave open.
ITEMS = {
    "KV": [*range(1, 16), *range(20, 35)],
    "AWS": [
        *range(1, 8),
        *range(10, 15),
        *range(20, 25),
        *range(30, 42),
        *range(50, 55),
        *range(60, 63),
        *range(70, 73),
    ],
    "AR": [*range(1, 13)],
    "FD": [*range(1, 19)],
    "AP": [*range(1, 12)],
    "Q": [*range(1, 18)],
}


def test_every_item_of_the_feature_list_is_named_beside_a_test() -> None:
    wanted = {f"{area}-{number:02d}" for area, numbers in ITEMS.items() for number in numbers}
    named: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        if path.name != Path(__file__).name:
            named |= set(re.findall(r"\b(?:KV|AWS|AR|FD|AP|Q)-\d{2}\b", path.read_text("utf-8")))
    assert len(wanted) == 128
    assert sorted(wanted - named) == []
    assert sorted(named - wanted) == []
