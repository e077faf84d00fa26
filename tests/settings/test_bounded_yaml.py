"""Texts that are short to write and long to read are refused before they are read; what people write is not."""

from functools import cache
from itertools import repeat

import pytest

from shared.errors import InvalidInputError
from shared.settings.bounded_yaml import DEEPEST, LONGEST_NUMBER, MOST_TOKENS, load_all
from shared.settings.validation import parse_yaml_set, write_yaml
from tests.costs import cpu_of

# Four times what the API takes.
LARGEST = 4 * 1024 * 1024
# Read to their ends, each of these takes between a minute and an hour of CPU; the first ones all the memory there is.
DOUBLED = "- &a0 {x: 1}\n" + "".join(f"- &a{i + 1} {{<<: [*a{i}, *a{i}]}}\n" for i in range(60))
WIDE_MEMBERS = ", ".join(f"k{i}: 1" for i in range(500))
WIDE = f"- &a {{{WIDE_MEMBERS}}}\n" + "- {<<: *a}\n" * 5_000
LONG = "- &a " + "x" * 100_000 + "\n" + "- *a\n" * 5_000
LONG_KEY = "- &a {" + "k" * 1_000 + ": 1}\n" + "- *a\n" * 40_000
HOSTILE = {
    "aliases of a long text": (LONG, "aliases stand for too much"),
    "aliases of a long key": (LONG_KEY, "aliases stand for too much"),
    "merges of merges": (DOUBLED, "must have exactly the fields"),
    "merges of wide merges": (DOUBLED.replace("x: 1", WIDE_MEMBERS), "aliases stand for too much"),
    "a merge of itself": ("- &a {<<: *a}", "is not YAML"),
    "a merge of a text": ("- {<<: text}", r"merges what is no mapping \(line 1\)"),
    "one mapping merged into thousands": (WIDE, "aliases stand for too much"),
    "a number in base 60": ("- 1" + ":1" * (LARGEST // 2 - 2), f"a number of more than {LONGEST_NUMBER} digits"),
    "brackets in brackets": (("- " + "[" * 300 + "]" * 300 + "\n") * (LARGEST // 603), f"more than {DEEPEST} deep"),
    "dashes after dashes": ("- " * (LARGEST // 2), f"more than {DEEPEST} deep"),
    "many directives": ("%A\n" * (LARGEST // 3), f"more than {MOST_TOKENS:,} values"),
    "many values": ("[" + "1," * (LARGEST // 2 - 1) + "]", f"more than {MOST_TOKENS:,} values"),
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_text_that_takes_long_to_read_is_refused_as_soon_as_a_plain_one_is_read_and_told_why(shape: str) -> None:
    text, why = HOSTILE[shape]
    with pytest.raises(InvalidInputError, match=why):
        parse_yaml_set(text.encode())
    assert cpu_of(lambda: parse_yaml_set(text.encode())) < 12 * cpu_of_a_plain_text()


@cache
def cpu_of_a_plain_text() -> float:
    """Of one with a third of the values that are read."""
    text = "kind: sites\nname: york\ndocument:\n  more:\n" + "    - some text\n" * (MOST_TOKENS // 6)
    return cpu_of(lambda: parse_yaml_set(text.encode()))


def test_the_refusal_says_the_line() -> None:
    with pytest.raises(InvalidInputError, match=r"more than 100 digits \(line 3\)"):
        parse_yaml_set(b"kind: sites\nname: a\ndocument: {title: " + b"7" * 101 + b"}\n")


def test_a_set_of_thousands_of_rules_is_read() -> None:
    criteria = [{"field": "Tags.Name", "operator": "starts_with", "value": "ACORN"}]
    rules = [
        {"name": f"rule {number}", "criteria": criteria.copy(), "type": each}
        for number, each in zip(range(4_000), repeat("server"), strict=False)
    ]
    document = {"kind": "aws-tenants", "name": "acorn", "document": {"type_rules": rules}}
    [read] = parse_yaml_set(write_yaml([document]).encode())
    assert read.content == {"type_rules": rules}


def test_a_merge_may_be_used_many_times() -> None:
    shared = "&usual {title: York, customer: acorn, colour: red}"
    text = f"kind: sites\nname: york\ndocument:\n  first: {shared}\n  more:\n" + "    - {<<: *usual}\n" * 2_000
    [read] = parse_yaml_set(text.encode())
    assert read.content["more"] == [{"title": "York", "customer": "acorn", "colour": "red"}] * 2_000


@pytest.mark.parametrize("key", ["k", "key"])
def test_of_merged_mappings_the_earlier_wins_and_what_stands_beside_the_merge_wins_over_both(key: str) -> None:
    first, second = f"a: &a {{{key}: 1, x: 1}}", f"b: &b {{{key}: 2, y: 2}}"
    uses = f"c: {{<<: [*a, *b]}}\nd: &d {{<<: [*b, *a], {key}: 9}}\ne: {{<<: [*d, *a], z: 0}}\n=: 7"
    [read] = load_all(f"{first}\n{second}\n{uses}\n")
    assert read["c"] == {key: 1, "x": 1, "y": 2}
    assert read["d"] == {key: 9, "x": 1, "y": 2}
    assert read["e"] == {key: 9, "x": 1, "y": 2, "z": 0}
    assert read["="] == 7
