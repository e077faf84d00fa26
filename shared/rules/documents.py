"""Rules as operators write them. What all rules share is here; their outcomes are each feature's own."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from shared.rules.model import Criterion, CriterionValue
from shared.rules.operators import OPERATOR_NAMES, OPERATORS, CriterionError, build_test, text_of
from shared.rules.patterns import LARGEST_PATTERNS, LONGEST_PATTERN, MOST_PATTERNS, estimated_size
from shared.settings.base import Document, Text

_OF_PATTERNS = frozenset({"matches", "does_not_match"})


def _known_operator(name: str) -> str:
    if name not in OPERATORS:
        raise ValueError(f"is no operator: use one of {', '.join(OPERATOR_NAMES)}")
    return name


def _plain(value: Any) -> Any:
    # YAML reads an unquoted 2026-01-31 as a date; the criterion keeps its text.
    if isinstance(value, date | datetime):
        return text_of(value)
    if isinstance(value, bool):
        raise ValueError("must be a text: put it in quotes")  # noqa: TRY004 - pydantic turns ValueError into a fault
    return tuple(value) if isinstance(value, list) else value


def _spend(pattern: str, context: Any) -> None:
    """Count the pattern among those of its document, before it is compiled. Raises ValueError beyond the bounds."""
    if len(pattern) > LONGEST_PATTERN:
        return  # refused for that
    spent = context if isinstance(context, dict) else {}
    spent["patterns"] = spent.get("patterns", 0) + 1
    spent["size"] = spent.get("size", 0) + estimated_size(pattern)
    if spent["patterns"] > MOST_PATTERNS:
        raise ValueError(f"is one pattern too many: a document has at most {MOST_PATTERNS}; use other operators")
    if spent["size"] > LARGEST_PATTERNS:
        raise ValueError(
            "makes the patterns of the document too large: repeat less, and write [a-z0-9] in place of \\w and \\d"
        )


OperatorName = Annotated[str, AfterValidator(_known_operator)]


class CriterionDocument(Document):
    """One criterion: `field`, `operator`, `value`. `is_empty` and `is_not_empty` take no value, `is_one_of` and
    `is_none_of` a list of texts, `greater_than` and `less_than` a number or a date, the others a text."""

    field: Text
    operator: OperatorName
    ignore_case: bool = False
    # A default is not validated by itself, and an operator without its value must be refused.
    value: Annotated[str | int | float | tuple[str, ...] | None, BeforeValidator(_plain)] = Field(
        default=None, validate_default=True
    )

    @field_validator("value", mode="after")
    @classmethod
    def _fits_the_operator(cls, value: CriterionValue, info: ValidationInfo) -> CriterionValue:
        operator = info.data.get("operator")
        if operator is not None:
            if operator in _OF_PATTERNS and isinstance(value, str):
                _spend(value, info.context)
            try:
                build_test(Criterion("field", operator, value, bool(info.data.get("ignore_case", False))))
            except CriterionError as error:
                raise ValueError(str(error)) from error
        return value

    def to_criterion(self) -> Criterion:
        return Criterion(self.field, self.operator, self.value, self.ignore_case)


def to_criteria(documents: tuple[CriterionDocument, ...]) -> tuple[Criterion, ...]:
    """The criteria of a rule, for `Rule.criteria`."""
    return tuple(document.to_criterion() for document in documents)
