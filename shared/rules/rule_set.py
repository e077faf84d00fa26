"""A rule set: first match wins. Matching is cheap; the reasons are worked out only when asked for."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason
from shared.rules.index import RuleIndex
from shared.rules.model import Criterion, CriterionValue, Rule
from shared.rules.operators import OPERATORS, CriterionError, Test, build_test, text_of

T = TypeVar("T")
_SHOWN = 80


class RuleSet(Generic[T]):
    """Compiled rules. Safe to share between threads."""

    def __init__(self, rules: Sequence[Rule[T]]) -> None:
        self._rules = tuple(rules)
        self._compiled = tuple((rule, _compile(index, rule)) for index, rule in enumerate(self._rules))
        self._index = RuleIndex([rule.criteria for rule in self._rules])
        self.fields = frozenset(criterion.field for rule in self._rules for criterion in rule.criteria)

    def first_match(self, record: Mapping[str, object]) -> Rule[T] | None:
        """The first rule all of whose criteria hold."""
        find = record.get
        for number in self._index.candidates(record):
            rule, tests = self._compiled[number]
            for name, test in tests:
                if not test(find(name)):
                    break
            else:
                return rule
        return None

    def outcome(self, record: Mapping[str, object]) -> T | None:
        """The outcome of the first rule that matches."""
        rule = self.first_match(record)
        return None if rule is None else rule.outcome

    def explain(self, record: Mapping[str, object]) -> tuple[str, ...]:
        """Sentences: why each earlier rule did not match, and which criteria made the first match."""
        reasons: list[str] = []
        for rule, tests in self._compiled:
            failed = next(
                (
                    criterion
                    for criterion, (name, test) in zip(rule.criteria, tests, strict=True)
                    if not test(record.get(name))
                ),
                None,
            )
            if failed is not None:
                reasons.append(f'Rule "{rule.name}" did not match: {_is_not(failed, record)}.')
                continue
            held = " and ".join(_holds(criterion, record) for criterion in rule.criteria)
            reasons.append(f'Rule "{rule.name}" matched: {held or "it has no criteria"}.')
            return tuple(reasons)
        reasons.append("No rule matched." if self._rules else "There are no rules.")
        return tuple(reasons)


def compile_rules(rules: Sequence[Rule[T]]) -> RuleSet[T]:
    """The rules, ready to be tried. Raises InvalidInputError with the path of every fault: `0.criteria.1.value`."""
    return RuleSet(rules)


def _compile(index: int, rule: Rule[T]) -> tuple[tuple[str, Test], ...]:
    tests: list[tuple[str, Test]] = []
    faults: list[Fault] = []
    for position, criterion in enumerate(rule.criteria):
        try:
            tests.append((criterion.field, build_test(criterion)))
        except CriterionError as error:
            member = "value" if criterion.operator in OPERATORS else "operator"
            faults.append(Fault(f"{index}.criteria.{position}.{member}", str(error)))
    if faults:
        raise InvalidInputError(
            Reason.DOCUMENT_INVALID, f'The rule "{rule.name}" cannot be tried: {faults[0].message}.', faults=faults
        )
    return tuple(tests)


def _shown(value: object) -> str:
    text = text_of(value)
    return f'"{text[:_SHOWN]}…"' if len(text) > _SHOWN else f'"{text}"'


def _shown_value(value: CriterionValue) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " " + ", ".join(_shown(member) for member in value)
    return f" {_shown(value)}"


def _holds(criterion: Criterion, record: Mapping[str, object]) -> str:
    said = f"{criterion.field} {OPERATORS[criterion.operator].words}{_shown_value(criterion.value)}"
    return said if criterion.operator == "is_empty" else f"{said} (it is {_shown(record.get(criterion.field))})"


def _is_not(criterion: Criterion, record: Mapping[str, object]) -> str:
    wanted = f"{OPERATORS[criterion.operator].words}{_shown_value(criterion.value)}"
    found = record.get(criterion.field)
    return f"{criterion.field} is {'empty' if text_of(found) == '' else _shown(found)}, the rule asks that it {wanted}"
