"""A rule set: first match wins. Matching is cheap; the reasons are worked out only when asked for.

An index says which rules can match a record at all, by looking its values up. 200 rules take an eighth of the time of
trying each in turn, and 2,000 hardly more than 200. Of each rule one criterion stands guard: the one whose text the
fewest other rules ask for. A rule whose guard does not find its text in the record cannot match. What no text guards
(numbers, negations, no criteria) is always tried.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason
from shared.rules.model import Criterion, CriterionValue, Rule
from shared.rules.operators import OPERATORS, CriterionError, Test, build_test, text_of
from shared.rules.patterns import PATTERNS, PatternError

T = TypeVar("T")
_SHOWN = 80
# Four characters in a row are rare enough: three are shared by every name of a scheme.
_GRAM = 4
# Patterns are joined in small sets too: 49 of them take 1.5 µs a record, and 28 µs when each is tried by itself. As
# many are joined into one as surely fit into the engine's limits.
_JOINED = 200


class RuleSet(Generic[T]):
    """Compiled rules. Safe to share between threads."""

    def __init__(self, rules: Sequence[Rule[T]]) -> None:
        self._rules = tuple(rules)
        self._compiled = tuple((rule, _compile(index, rule)) for index, rule in enumerate(self._rules))
        self._index = _RuleIndex([rule.criteria for rule in self._rules])
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


# The index


class _Key(NamedTuple):
    """What a record's text must have: `kind` says where, `text` says what."""

    kind: str
    field: str
    ignore_case: bool
    text: str


class _RuleIndex:
    """The index of a set of rules. Safe to share between threads."""

    def __init__(self, rules: Sequence[Sequence[Criterion]]) -> None:
        self._always: list[int] = []
        self._fields: dict[tuple[str, bool], _FieldIndex] = {}
        choices = [_guards(criteria) for criteria in rules]
        asked = Counter(key for guards in choices for keys in guards for key in keys)
        patterns: dict[str, list[tuple[int, str]]] = {}
        for number, (criteria, guards) in enumerate(zip(rules, choices, strict=True)):
            if guards:
                # The least asked for, and of those the longest: it finds the fewest records.
                best = min(guards, key=lambda keys: (max(asked[key] for key in keys), -min(len(k.text) for k in keys)))
                for key in best:
                    self._field(key.field, key.ignore_case).add(key, number)
            elif (pattern := next((one for one in criteria if one.operator == "matches"), None)) is not None:
                # Whether case counts stands in the joined pattern: the text is looked at as it is.
                source = f"(?i:{pattern.value})" if pattern.ignore_case else f"(?:{pattern.value})"
                patterns.setdefault(pattern.field, []).append((number, source))
            else:
                self._always.append(number)
        self._joined = [
            _JoinedPatterns(field, found[start : start + _JOINED])
            for field, found in patterns.items()
            for start in range(0, len(found), _JOINED)
        ]

    def candidates(self, record: Mapping[str, object]) -> Sequence[int]:
        """The numbers, in order, of the rules that may match."""
        found: list[int] = []
        find = record.get
        for (field, ignore_case), index in self._fields.items():
            value = find(field)
            text = value if type(value) is str else text_of(value)
            if text:
                index.collect(text.casefold() if ignore_case else text, found)
        for joined in self._joined:
            # An empty value too: a pattern may match nothing at all.
            if joined.may_match(text_of(find(joined.field))):
                found += joined.numbers
        if not found:
            return self._always
        return sorted({*found, *self._always})

    def _field(self, field: str, ignore_case: bool) -> "_FieldIndex":
        return self._fields.setdefault((field, ignore_case), _FieldIndex())


class _JoinedPatterns:
    """Patterns on one field's text, as one. It is compiled for the first record: most documents are only checked."""

    def __init__(self, field: str, patterns: Sequence[tuple[int, str]]) -> None:
        self.field = field
        self.numbers = [number for number, _ in patterns]
        self._source = "|".join(source for _, source in patterns)
        self._matches: Callable[[str], bool] | None = None

    def may_match(self, text: str) -> bool:
        if self._matches is None:
            try:
                self._matches = PATTERNS.get(self._source).isinstance_python
            except PatternError:
                # Together too large for the engine, or written so that they cannot be joined: each is tried by itself.
                self._matches = lambda _: True
        return self._matches(text)


class _FieldIndex:
    """The guards on one field's text."""

    def __init__(self) -> None:
        self._exact: dict[str, list[int]] = {}
        self._starts: dict[int, dict[str, list[int]]] = {}
        self._ends: dict[int, dict[str, list[int]]] = {}
        self._grams: dict[int, dict[str, list[int]]] = {}

    def add(self, key: _Key, number: int) -> None:
        if key.kind == "exact":
            self._exact.setdefault(key.text, []).append(number)
            return
        by_length = {"start": self._starts, "end": self._ends, "gram": self._grams}[key.kind]
        by_length.setdefault(len(key.text), {}).setdefault(key.text, []).append(number)

    def collect(self, text: str, found: list[int]) -> None:
        """Add the numbers of the rules whose guard the text satisfies."""
        if self._exact and text in self._exact:
            found += self._exact[text]
        for length, by_start in self._starts.items():
            if (start := text[:length]) in by_start:
                found += by_start[start]
        for length, by_end in self._ends.items():
            if (end := text[-length:]) in by_end:
                found += by_end[end]
        for length, by_gram in self._grams.items():
            for place in range(len(text) - length + 1):
                if (gram := text[place : place + length]) in by_gram:
                    found += by_gram[gram]


def _guards(criteria: Iterable[Criterion]) -> list[list[_Key]]:
    """The criteria that can stand guard, each as the keys of which one must be found."""
    found: list[list[_Key]] = []
    for one in criteria:
        texts = one.value if isinstance(one.value, tuple) else (one.value,)
        kind = _KINDS.get(one.operator)
        if kind is None:
            continue
        keys: list[_Key] = []
        for text in texts:
            assert isinstance(text, str)  # noqa: S101 - these operators take texts, as `build_test` has checked
            folded = text.casefold() if one.ignore_case else text
            if kind == "gram":
                # Any part of the text will do; the last one tells the names of a scheme apart.
                folded = folded[-_GRAM:]
            keys.append(_Key(kind, one.field, one.ignore_case, folded))
        found.append(keys)
    return found


_KINDS: Mapping[str, str] = {
    "equals": "exact",
    "is_one_of": "exact",
    "starts_with": "start",
    "ends_with": "end",
    "contains": "gram",
}
