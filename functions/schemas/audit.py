"""The audit trail, the outbox and the index over HTTP."""

from datetime import datetime

from pydantic import Field

from functions.schemas.shapes import Answer, FieldChange
from shared.access.actor import Origin
from shared.access.audit import AuditKind
from shared.outbox.model import OutboxState


class AuditEntryAnswer(Answer):
    """One thing that somebody did."""

    id: str
    at: datetime
    by: str
    role: str | None = Field(description="The role in which it was done, where one was needed.")
    origin: Origin = Field(description="As the caller's browser says; it is no proof.")
    kind: AuditKind
    action: str = Field(description="What was done, such as `created`, `edited`, `deleted`, `confirmed`.")
    thing: str = Field(description="What it was done to, such as `sites/london-hq`.")
    changes: list[FieldChange] = Field(description="Secrets are masked, long texts cut.")
    more: int = Field(description="How many more fields changed than are told.")


class AuditPage(Answer):
    """Newest first."""

    items: list[AuditEntryAnswer]
    next: str | None


class OutboxEntryAnswer(Answer):
    """What is still to follow from one change."""

    id: str
    at: datetime
    table: str
    partition: str
    kinds: list[str]
    state: OutboxState
    attempts: int
    reason: str | None
    explanation: str | None


class OutboxPage(Answer):
    """Oldest first."""

    items: list[OutboxEntryAnswer]
    next: str | None


class OutboxRetried(Answer):
    """What is tried again."""

    id: str


class LastComparison(Answer):
    """What a comparison found that came to its end."""

    finished_at: datetime
    compared: int = Field(description="How many rows were looked at.")
    repaired: int = Field(description="How many rows of the index were missing, wrong or too many.")


class RunningComparison(Answer):
    """What a comparison found until now."""

    began_at: datetime
    compared: int
    repaired: int


class IndexComparison(Answer):
    """How the index was compared with a table; with `index` itself for what it has too much. `counts:` and a table is
    a full count of it, `counts` the copies of counts."""

    table: str
    last: LastComparison | None
    running: RunningComparison | None


class IndexAnswer(Answer):
    """One for each table; none before the first comparison has begun."""

    items: list[IndexComparison]
