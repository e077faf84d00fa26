"""Rules as operators write them. What all rules share is here; their outcomes are each feature's own."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from shared.rules.model import Criterion, CriterionValue
from shared.rules.operators import OPERATOR_NAMES, OPERATORS, CriterionError, build_test, text_of
from shared.settings.base import Document, Text


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
