"""Imports, previews and their runs over HTTP."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, model_validator

from functions.schemas.shapes import Answer, Body, FieldChange
from shared.imports.plan.model import Action
from shared.imports.runs.model import Mode, PartState, RunState

RunId = Annotated[str, Field(default_factory=str, min_length=1)]


class StartImport(Body):
    """What to start. It is always named: a body that lost its members starts nothing."""

    mode: Literal["preview", "import", "apply", "confirm"] = Field(
        description="`preview` writes nothing but its plan. `import` writes, and deactivates nothing. `apply` writes "
        "exactly the plan of a preview. `confirm` reads the source again, and takes away what was withheld and is "
        "still gone: records and values."
    )
    run_id: RunId = Field(description="For `apply`: a finished preview. For `confirm`: a run that withheld something.")
    as_scheduled: StrictBool = Field(default=False, description="Preview what the scheduled import would do.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        needs_run = self.mode in {"apply", "confirm"}
        if needs_run and not self.run_id:
            raise ValueError(f"{self.mode} needs run_id, the id of the run that it stands on")
        if self.run_id and not needs_run:
            raise ValueError(f"run_id is for apply and confirm, and not for {self.mode}")
        if self.as_scheduled and self.mode != "preview":
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
    counts: dict[str, int] = Field(
        description="Of an open run with over 1,000 parts: how many there are, and how many of them are open."
    )
    counts_at_least: bool = Field(description="Whether there may be more parts than counted: of an open run alone.")
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
    """A part that failed as a whole, or that has something to look at."""

    part: str
    action: str = Field(pattern="^(failed|warning)$")
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


class WithheldAnswer(Answer):
    """What a guard holds back until somebody confirms its run, or the source shows everything again."""

    count: int
    run_id: str = Field(description="The run to confirm.")
    since: datetime
    names: list[str] = Field(description="A few of the records.")
    why: str


class UnreadAnswer(Answer):
    """A part with something that no import looks after any more."""

    part: str
    reason: str
    message: str
    remedy: str


class ImportAnswer(Answer):
    """A document that is imported by schedule, or one that is gone and has left active records."""

    kind: str
    name: str
    status: Literal["waiting", "succeeded", "withheld", "partly_failed", "failed"] = Field(
        description="How the last import ended; `waiting` before the first."
    )
    counts: dict[str, int] = Field(description="Of the last import.")
    last_run: str
    last_run_at: datetime | None
    next_run_at: datetime | None = Field(description="By the schedule, in UTC.")
    last_success_at: datetime | None
    last_success_run: str
    withheld: WithheldAnswer | None
    reason: str = Field(description="Why somebody has to look, as a stable reason; empty when nobody has to.")
    warning: str
    unread: list[UnreadAnswer] = Field(description="The first ten parts of which nobody reads all any more.")


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
