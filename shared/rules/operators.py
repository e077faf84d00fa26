"""The operators of a criterion: a plain table, name to function. Each is checked whole before any rule is tried."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from shared.rules.model import Criterion, CriterionValue
from shared.rules.patterns import LONGEST_PATTERN, PATTERNS, PatternError

Test = Callable[[object], bool]


class CriterionError(ValueError):
    """A criterion that means nothing. The message is a sentence about its value."""


@dataclass(frozen=True)
class Operator:
    """`build` gives the test for one value of a criterion; `words` stand between field and value in an explanation."""

    words: str
    build: Callable[[CriterionValue, bool], Test]


def text_of(value: object) -> str:
    """A record's value as text, the way operators, keys of types and explanations see it."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(text_of(member) for member in value)
    return str(value)


def _one_text(value: CriterionValue) -> str:
    if not isinstance(value, str):
        raise CriterionError("must be a text: put it in quotes")
    if not value:
        raise CriterionError("must not be empty: use is_empty to ask for an empty field")
    return value


def _texts(value: CriterionValue) -> tuple[str, ...]:
    if not isinstance(value, tuple) or not value:
        raise CriterionError("must be a list with at least one text")
    return tuple(_one_text(member) for member in value)


def _on_text(compare: Callable[[str, str], bool]) -> Callable[[CriterionValue, bool], Test]:
    def build(value: CriterionValue, ignore_case: bool) -> Test:
        wanted = _one_text(value)
        if ignore_case:
            wanted = wanted.casefold()
            return lambda found: compare(text_of(found).casefold(), wanted)
        return lambda found: compare(found if type(found) is str else text_of(found), wanted)

    return build


def _is_one_of(value: CriterionValue, ignore_case: bool) -> Test:
    wanted = frozenset(text.casefold() if ignore_case else text for text in _texts(value))
    if ignore_case:
        return lambda found: text_of(found).casefold() in wanted
    return lambda found: text_of(found) in wanted


def _is_empty(value: CriterionValue, _ignore_case: bool) -> Test:
    if value is not None:
        raise CriterionError("is not used by this operator: leave it out")
    return lambda found: not text_of(found).strip()


def _matches(value: CriterionValue, ignore_case: bool) -> Test:
    pattern = _one_text(value)
    if len(pattern) > LONGEST_PATTERN:
        raise CriterionError(f"is a pattern of {len(pattern)} characters: at most {LONGEST_PATTERN} are allowed")
    source = f"(?i){pattern}" if ignore_case else pattern
    try:
        PATTERNS.get(source)
    except PatternError as error:
        raise CriterionError(str(error)) from error
    matches: Callable[[str], bool] | None = None

    def test(found: object) -> bool:
        # Held from the first record on only: most rules are never tried, and the cache may let their patterns go.
        nonlocal matches
        if matches is None:
            matches = PATTERNS.get(source).isinstance_python
        return matches(text_of(found))

    return test


def number_of(value: object) -> float | None:
    """The number that a value is or spells, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def moment_of(value: object) -> datetime | None:
    """The moment that a value is or spells (ISO 8601; without an offset it is UTC; a date is its midnight), or None."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[CriterionValue, bool], Test]:
    def build(value: CriterionValue, _ignore_case: bool) -> Test:
        limit = number_of(value)
        if limit is not None:

            def compare_numbers(found: object) -> bool:
                number = number_of(found)
                return number is not None and compare(number, limit)

            return compare_numbers
        moment = moment_of(value)
        if moment is None:
            raise CriterionError("must be a number, or a date such as 2026-01-31 or 2026-01-31T08:00:00Z")
        limit_at = moment.timestamp()

        def compare_moments(found: object) -> bool:
            found_at = moment_of(found)
            return found_at is not None and compare(found_at.timestamp(), limit_at)

        return compare_moments

    return build


def _not(build: Callable[[CriterionValue, bool], Test]) -> Callable[[CriterionValue, bool], Test]:
    def build_opposite(value: CriterionValue, ignore_case: bool) -> Test:
        test = build(value, ignore_case)
        return lambda found: not test(found)

    return build_opposite


_equals = _on_text(lambda found, wanted: found == wanted)
_starts_with = _on_text(lambda found, wanted: found.startswith(wanted))
_ends_with = _on_text(lambda found, wanted: found.endswith(wanted))
_contains = _on_text(lambda found, wanted: wanted in found)

OPERATORS: Mapping[str, Operator] = {
    "equals": Operator("equals", _equals),
    "not_equals": Operator("does not equal", _not(_equals)),
    "starts_with": Operator("starts with", _starts_with),
    "does_not_start_with": Operator("does not start with", _not(_starts_with)),
    "ends_with": Operator("ends with", _ends_with),
    "does_not_end_with": Operator("does not end with", _not(_ends_with)),
    "contains": Operator("contains", _contains),
    "does_not_contain": Operator("does not contain", _not(_contains)),
    "matches": Operator("matches", _matches),
    "does_not_match": Operator("does not match", _not(_matches)),
    "is_empty": Operator("is empty", _is_empty),
    "is_not_empty": Operator("is not empty", _not(_is_empty)),
    "is_one_of": Operator("is one of", _is_one_of),
    "is_none_of": Operator("is none of", _not(_is_one_of)),
    "greater_than": Operator("is greater than", _ordered(lambda found, limit: found > limit)),
    "less_than": Operator("is less than", _ordered(lambda found, limit: found < limit)),
}
OPERATOR_NAMES = tuple(OPERATORS)


def build_test(criterion: Criterion) -> Test:
    """The test of a criterion on one value of a record. Raises CriterionError."""
    operator = OPERATORS.get(criterion.operator)
    if operator is None:
        raise CriterionError(f"{criterion.operator!r} is no operator: use one of {', '.join(OPERATOR_NAMES)}")
    return operator.build(criterion.value, criterion.ignore_case)
