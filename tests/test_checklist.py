"""docs/features.md and the tests speak of the same features: each id is named beside the test that shows it."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
ID = re.compile(r"\b(?:KV|AWS|AR|FD|AP|Q)-\d{2}\b")
ROWS = re.findall(
    r"^\| ([A-Z]+-\d{2}) \| (.+) \| `(tests/[^`]+)` \|$",
    (TESTS.parent / "docs" / "features.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_every_feature_is_named_beside_a_test_and_no_other_is() -> None:
    listed = [feature for feature, _, _ in ROWS]
    named: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        if path.name != Path(__file__).name:
            named |= set(ID.findall(path.read_text("utf-8")))
    assert len(set(listed)) == len(listed) == 128
    assert sorted(set(listed) - named) == []
    assert sorted(named - set(listed)) == []


def test_the_page_names_a_test_that_shows_each_feature() -> None:
    wrong = [
        f"{feature}: {place}"
        for feature, _, place in ROWS
        if not (TESTS.parent / place).is_file() or feature not in (TESTS.parent / place).read_text("utf-8")
    ]
    assert wrong == []


def test_each_feature_is_told_in_short_sentences() -> None:
    for feature, text, _ in ROWS:
        assert text.endswith("."), feature
        assert all(len(sentence.split()) <= 25 for sentence in re.split(r"[.:;] ", text)), feature
