"""Imports, previews and their runs over HTTP."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator

from functions.schemas.shapes import Answer, Body, FieldChange
from shared.imports.plan.model import Action
from shared.imports.runs.model import Mode, PartState, RunState

RunId = Annotated[str, Field(default_factory=str, min_length=1)]


class StartImport(Body):
    """What to start; without anything, an import. `preview`, `apply` and `confirm` exclude each other.

    An empty id is refused: an unset variable of a script must not become an import of everything.
    """

    preview: StrictBool = Field(default=False, description="Write nothing but the plan.")
    as_scheduled: StrictBool = Field(default=False, description="Preview what the scheduled import would do.")
    apply: RunId = Field(description="The id of a finished preview: exactly its plan is written.")
    confirm: RunId = Field(description="The id of a run whose brake held: what it held back is deactivated.")

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if sum((self.preview, bool(self.apply), bool(self.confirm))) > 1:
            raise ValueError("a run is a preview, applies one, or confirms one: send only one of them")
        if self.as_scheduled and not self.preview:
            raise ValueError("as_scheduled is for a preview: imports that are started by hand deactivate nothing")
        return self


class _Run(Answer):
    id: str
    kind: str
    name: str
    mode: Mode
    trigger: str
    status: RunState
    started_at: datetime
    started_by: str
    finished_at: datetime | None
    applies: str | None
    confirms: str | None
    counts: dict[str, int]
    reason: str | None
    message: str | None
    remedy: str | None


class RunAnswer(_Run):
    """A run; an open one with its progress."""


class RunPage(Answer):
    """Newest first."""

    items: list[RunAnswer]
    next: str | None


class RunPart(Answer):
    """One account and region, or one realm."""

    name: str
    state: PartState
    attempts: int
    queued_at: datetime
    started_at: datetime | None
    last_heartbeat_at: datetime | None
    finished_at: datetime | None
    counts: dict[str, int]
    reason: str | None
    message: str | None
    remedy: str | None


class RunWithParts(_Run):
    """A run with the first 200 of its parts."""

    parts: list[RunPart]
    parts_next: str | None = Field(description="The `after` of the list of parts, where there are more.")


class RunPartPage(Answer):
    """By name."""

    items: list[RunPart]
    next: str | None


class FailedPart(Answer):
    """A part that failed as a whole."""

    part: str
    action: str = Field(pattern="^failed$")
    reason: str
    message: str
    remedy: str


class PlanEntry(Answer):
    """What is, or was, to be done with one record, and why."""

    part: str
    id: str
    label: str
    action: Action
    reason: str
    message: str
    changes: list[FieldChange]
    explanation: list[str]
    fingerprint: str


class PlanPage(Answer):
    items: list[PlanEntry]
    next: str | None


class RunErrorPage(Answer):
    items: list[FailedPart | PlanEntry]
    next: str | None


class ImportAnswer(Answer):
    """A document that is imported by schedule."""

    kind: str
    name: str
    last_success_at: datetime | None
    last_success_run: str
    warning: str


class ImportPage(Answer):
    items: list[ImportAnswer]
    next: str | None


class TenantFinding(Answer):
    account: str
    region: str
    ok: bool
    message: str
    identity: str
    reason: str
    remedy: str


class TenantCheck(Answer):
    """200 whether or not it went well, as the check itself was done."""

    ok: bool
    items: list[TenantFinding]


class RealmCheckAnswer(Answer):
    """200 whether or not it went well, as the check itself was done."""

    ok: bool
    realm: str
    endpoint_url: str
    message: str
    reason: str
    remedy: str
    may_pass: bool
