"""What all answers share: no field beyond those named, problem documents, pages, changes of fields."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(BaseModel):
    """Base of every body that comes in. `functions.http.bodies` checks it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Problem(BaseModel):
    """A refusal, as RFC 9457 has it. Match on `reason`, which is stable; show `detail` and `remedy` to a person.

    Whoever is not admitted yet gets `type`, `status` and `reason` alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(pattern="^urn:deskbridge:reason:[a-z0-9_]+$")
    title: str = Field(default="", description="The status in words.")
    status: int
    reason: str = Field(description="The stable code; docs/errors.md says what each means and what to do.")
    detail: str = Field(default="", description="A sentence on what is wrong. It never holds a secret.")
    remedy: str = Field(default="", description="What to do about it.")
    faults: list["FaultAnswer"] = Field(default=[], description="Every single fault, with its path.")
    present_version: str = Field(default="", description="With 412: the version that is there now, for `If-Match`.")


class FaultAnswer(Answer):
    """One fault of a body, a document or a parameter."""

    path: str = Field(description="Where it is, such as `site_rules.0.criteria.0.operator`; empty for the whole.")
    message: str


class FieldChange(Answer):
    """One field, before and after; null is nothing."""

    field: str
    before: Any = None
    after: Any = None


class HistoryAnswer(Answer):
    """One change of a record."""

    action: str
    changes: list[FieldChange]
    at: datetime
    by: str


class Alive(Answer):
    """The app answers. Nothing else is said to a stranger."""

    status: Literal["alive"]
