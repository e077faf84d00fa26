"""What a rule is, as plain values. `operators` says what its operators mean, `rule_set` how it is tried."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

# A text for most operators, several for `is_one_of`, a number or an ISO date for `greater_than`, none for `is_empty`.
CriterionValue = str | float | tuple[str, ...] | None


@dataclass(frozen=True)
class Criterion:
    """`field operator value`. A field that a record does not have counts as an empty one."""

    field: str
    operator: str
    value: CriterionValue = None
    ignore_case: bool = False


@dataclass(frozen=True)
class Rule(Generic[T]):
    """All criteria must hold; then `outcome` holds."""

    name: str
    criteria: tuple[Criterion, ...] = field(default=())
    outcome: T | None = None
