"""What each operator means, that the first matching rule wins, and that the reasons tell it."""

import time
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.errors import InvalidInputError
from shared.rules.documents import CriterionDocument, to_criteria
from shared.rules.model import Criterion, CriterionValue, Rule
from shared.rules.operators import OPERATOR_NAMES, build_test
from shared.rules.rule_set import compile_rules


def _criterion(operator: str, value: CriterionValue = None, *, ignore_case: bool = False) -> Criterion:
    return Criterion("name", operator, value, ignore_case)


@pytest.mark.parametrize(
    ("operator", "value", "found", "holds"),
    [
        ("equals", "ACORN", "ACORN", True),
        ("equals", "ACORN", "acorn", False),
        ("equals", "4", 4, True),
        ("equals", "true", True, True),
        ("not_equals", "ACORN", "acorn", True),
        ("not_equals", "ACORN", "ACORN", False),
        ("not_equals", "ACORN", None, True),
        ("starts_with", "SERV-", "SERV-12", True),  # AWS-38, the guide's own example
        ("starts_with", "SERV-", "serv-12", False),
        ("starts_with", "SERV-", None, False),
        ("does_not_start_with", "SERV-", None, True),
        ("ends_with", "-db", "web-db", True),
        ("ends_with", "-db", "db-web", False),
        ("does_not_end_with", "-db", "db-web", True),
        ("contains", "ACORN-LDN", "x ACORN-LDN y", True),  # AWS-38
        ("contains", "ACORN-LDN", "ACORN-LEE", False),
        ("contains", "b", ["a", "b"], True),
        ("does_not_contain", "x", "abc", True),
        ("does_not_contain", "x", None, True),
        ("does_not_contain", "x", "axc", False),
        ("matches", r"^web-\d{2}$", "web-07", True),
        ("matches", r"^web-\d{2}$", "web-7", False),
        ("matches", r"\d", "any place 7", True),
        ("does_not_match", r"^web", None, True),
        ("is_empty", None, None, True),
        ("is_empty", None, "  ", True),
        ("is_empty", None, "x", False),
        ("is_empty", None, 0, False),
        ("is_not_empty", None, "x", True),
        ("is_not_empty", None, None, False),
        ("is_one_of", ("a", "b"), "b", True),
        ("is_one_of", ("a", "b"), "c", False),
        ("is_none_of", ("a", "b"), "c", True),
        ("is_none_of", ("a", "b"), None, True),
        ("greater_than", 10, 11, True),
        ("greater_than", 10, "9", False),  # as numbers: as texts "9" would be greater
        ("greater_than", 10, 10, False),
        ("greater_than", 10, "many", False),
        ("greater_than", 10, None, False),
        ("less_than", 10, 9.5, True),
        ("less_than", "2026-01-31", "2026-01-30T23:59:59Z", True),
        ("less_than", "2026-01-31", datetime(2026, 2, 1, tzinfo=UTC), False),
        ("greater_than", "2026-01-31T08:00:00+02:00", "2026-01-31T06:00:01Z", True),
        ("greater_than", "2026-01-31", "17", False),
    ],
)
def test_operator_means_what_its_name_says(operator: str, value: CriterionValue, found: object, holds: bool) -> None:
    assert build_test(_criterion(operator, value))(found) is holds


@pytest.mark.parametrize(
    ("operator", "value", "found"),
    [
        ("equals", "Acorn", "ACORN"),
        ("starts_with", "serv-", "SERV-1"),
        ("ends_with", "DB", "web-db"),
        ("contains", "ldn", "ACORN-LDN"),
        ("matches", "^serv", "SERV-1"),
        ("is_one_of", ("x", "acorn"), "ACORN"),
    ],
)
def test_ignore_case_makes_an_operator_blind_to_case(operator: str, value: CriterionValue, found: str) -> None:
    assert build_test(_criterion(operator, value, ignore_case=True))(found)
    assert not build_test(_criterion(operator, value))(found)


@given(found=st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text())))
def test_an_operator_and_its_opposite_never_agree(found: object) -> None:
    pairs: list[tuple[str, str, CriterionValue]] = [
        ("equals", "not_equals", "a"),
        ("contains", "does_not_contain", "a"),
        ("starts_with", "does_not_start_with", "a"),
        ("ends_with", "does_not_end_with", "a"),
        ("matches", "does_not_match", "a+"),
        ("is_one_of", "is_none_of", ("a", "b")),
        ("is_empty", "is_not_empty", None),
    ]
    for one, other, value in pairs:
        assert build_test(_criterion(one, value))(found) is not build_test(_criterion(other, value))(found)


def test_a_pattern_that_would_run_away_elsewhere_answers_at_once() -> None:
    test = build_test(_criterion("matches", "^(a+)+$"))
    started = time.perf_counter()
    assert not test("a" * 5_000 + "b")
    assert time.perf_counter() - started < 1


def test_the_first_match_wins() -> None:
    rules = compile_rules(
        [
            Rule("both", (Criterion("a", "equals", "1"), Criterion("b", "equals", "2")), "both"),
            Rule("a only", (Criterion("a", "equals", "1"),), "a"),
            Rule("a again", (Criterion("a", "equals", "1"),), "never"),
        ]
    )
    assert rules.outcome({"a": "1", "b": "2"}) == "both"
    assert rules.outcome({"a": "1", "b": "3"}) == "a"
    assert rules.outcome({"a": "2", "b": "2"}) is None
    assert rules.first_match({"a": "2"}) is None
    assert rules.fields == {"a", "b"}


def test_reasons_say_which_criteria_held_and_why_the_rules_before_did_not() -> None:
    rules = compile_rules(
        [
            Rule("Servers", (Criterion("asset_number", "starts_with", "SERV-"),), "Server"),
            Rule(
                "London", (Criterion("name", "contains", "ACORN-LDN"), Criterion("owner", "is_not_empty")), "London HQ"
            ),
        ]
    )
    assert rules.explain({"asset_number": "WS-1", "name": "ACORN-LDN-7", "owner": "Jim"}) == (
        'Rule "Servers" did not match: asset_number is "WS-1", the rule asks that it starts with "SERV-".',
        'Rule "London" matched: name contains "ACORN-LDN" (it is "ACORN-LDN-7") and owner is not empty (it is "Jim").',
    )
    assert rules.explain({"name": "x"}) == (
        'Rule "Servers" did not match: asset_number is empty, the rule asks that it starts with "SERV-".',
        'Rule "London" did not match: name is "x", the rule asks that it contains "ACORN-LDN".',
        "No rule matched.",
    )


def test_compiling_names_every_fault_with_its_path() -> None:
    with pytest.raises(InvalidInputError) as caught:
        compile_rules([Rule("r", (Criterion("a", "matches", "("), Criterion("a", "resembles", "x")), "o")])
    assert [fault.path for fault in caught.value.faults] == ["0.criteria.0.value", "0.criteria.1.operator"]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"field": "a", "operator": "resembles", "value": "x"}, "operator"),
        ({"field": "a", "operator": "equals"}, "value"),
        ({"field": "a", "operator": "equals", "value": ""}, "value"),
        ({"field": "a", "operator": "equals", "value": 12}, "value"),
        ({"field": "a", "operator": "equals", "value": True}, "value"),
        ({"field": "a", "operator": "matches", "value": "(?=look)"}, "value"),
        ({"field": "a", "operator": "matches", "value": "("}, "value"),
        ({"field": "a", "operator": "is_one_of", "value": "x"}, "value"),
        ({"field": "a", "operator": "is_one_of", "value": []}, "value"),
        ({"field": "a", "operator": "is_empty", "value": "x"}, "value"),
        ({"field": "a", "operator": "greater_than", "value": "soon"}, "value"),
        ({"field": "", "operator": "equals", "value": "x"}, "field"),
    ],
)
def test_a_criterion_that_means_nothing_is_refused_where_it_is_wrong(document: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CriterionDocument.model_validate(document)
    assert [error["loc"][0] for error in caught.value.errors()] == [place]


def test_a_criterion_document_becomes_the_criterion_that_it_says() -> None:
    documents = (
        CriterionDocument.model_validate({"field": "a", "operator": "is_one_of", "value": ["x", "y"]}),
        CriterionDocument.model_validate({"field": "a", "operator": "less_than", "value": date(2026, 1, 31)}),
        CriterionDocument.model_validate({"field": "a", "operator": "equals", "value": "X", "ignore_case": True}),
    )
    assert to_criteria(documents) == (
        Criterion("a", "is_one_of", ("x", "y")),
        Criterion("a", "less_than", "2026-01-31"),
        Criterion("a", "equals", "X", True),
    )


def test_every_operator_of_the_issue_is_there() -> None:
    assert {
        "equals", "not_equals", "starts_with", "ends_with", "contains", "does_not_contain", "matches", "is_empty",
        "is_one_of", "greater_than", "less_than",
    } <= set(OPERATOR_NAMES)  # fmt: skip
