"""Looking rules up finds the match that trying them one by one finds."""

from datetime import UTC, datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.rule_sets import records, rule_set
from shared.errors import InvalidInputError
from shared.rules.model import Criterion, CriterionValue, Rule
from shared.rules.operators import OPERATOR_NAMES, build_test
from shared.rules.rule_set import compile_rules

_FIELDS = st.sampled_from(["name", "tag", "size"])
_TEXTS = st.one_of(
    st.text("abAB-1ßſ", min_size=1, max_size=6),
    st.sampled_from(["ab-1", "ACORN-LDN-1", "acorn-ldn-1", "STRASSE", "straße", "true", "12", "2026-01-31"]),
)
_PATTERNS = st.sampled_from(["^ab", "b$", "a|b", "^$", "", "(?i)AB", "[0-9]+", "a{2,}", "(?x) a # b", "(?s).", "x)"])


def _value(operator: str) -> st.SearchStrategy[CriterionValue]:
    if operator.endswith("empty"):
        return st.none()
    if operator.endswith(("one_of", "none_of")):
        return st.lists(_TEXTS, min_size=1, max_size=3).map(tuple)
    if operator in {"greater_than", "less_than"}:
        return st.one_of(st.integers(-3, 20), st.just("2026-01-31"))
    return _PATTERNS if "match" in operator else _TEXTS


_CRITERIA = st.sampled_from(OPERATOR_NAMES).flatmap(
    lambda operator: st.builds(Criterion, _FIELDS, st.just(operator), _value(operator), st.booleans())
)
_RULES = st.lists(st.lists(_CRITERIA, max_size=3), max_size=8)
_RECORDS = st.dictionaries(
    _FIELDS,
    st.one_of(
        _TEXTS,
        st.none(),
        st.just(""),
        st.booleans(),
        st.integers(-3, 20),
        st.lists(_TEXTS, max_size=2),
        st.just(datetime(2026, 2, 1, tzinfo=UTC)),
    ),
)


def _one_by_one(rules: list[list[Criterion]], record: dict[str, object]) -> int | None:
    for number, criteria in enumerate(rules):
        if all(build_test(one)(record.get(one.field)) for one in criteria):
            return number
    return None


@settings(max_examples=600)
@given(_RULES, st.lists(_RECORDS, min_size=1, max_size=4))
@example([[Criterion("name", "contains", "ſ", True)]], [{"name": "S"}])
@example([[Criterion("name", "matches", "^$")]], [{}])
def test_any_rule_set_matches_as_if_each_rule_were_tried_in_turn(
    criteria: list[list[Criterion]], found: list[dict[str, object]]
) -> None:
    try:
        rules = compile_rules([Rule(str(number), tuple(one), number) for number, one in enumerate(criteria)])
    except InvalidInputError:
        # A pattern that is none; what is wrong with it is another test's.
        return
    for record in found:
        assert rules.outcome(record) == _one_by_one(criteria, record)


def test_a_large_rule_set_as_operators_write_it_matches_as_if_each_rule_were_tried_in_turn() -> None:
    rules = rule_set(400)
    criteria = [list(rule.criteria) for rule in rules._rules]
    matched = 0
    for record in records(200):
        number = _one_by_one(criteria, record)
        assert rules.outcome(record) == (None if number is None else f"outcome {number}")
        matched += number is not None
    assert matched


def test_most_rules_are_not_even_tried() -> None:
    rules = rule_set(2_000)
    tried = [len(rules._index.candidates(record)) for record in records(200)]
    assert sum(tried) / len(tried) < 40
