"""Imports, previews and their runs over HTTP."""

from datetime import datetime

from pydantic import Field

from functions.schemas.shapes import Answer, FieldChange
from shared.imports.plan.model import Action
from shared.imports.runs.model import Mode, PartState, RunState
from shared.settings.base import Document


class StartImport(Document):
    """What to start; without anything, an import. `preview`, `apply` and `confirm` exclude each other."""

    preview: bool = Field(default=False, description="Write nothing but the plan.")
    as_scheduled: bool = Field(default=False, description="Preview what the scheduled import would do.")
    apply: str = Field(
        default_factory=str, min_length=1, description="The id of a finished preview: exactly its plan is written."
    )
    confirm: str = Field(
        default_factory=str,
        min_length=1,
        description="The id of a run whose brake held: what it held back is deactivated.",
    )


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
