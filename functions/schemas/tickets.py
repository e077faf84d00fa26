"""Tickets, quarantined events and dead letters over HTTP."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, PlainValidator, StringConstraints, WithJsonSchema

from functions.http.query import to_moment
from functions.schemas.shapes import Answer, Body
from shared.tickets.domain.model import ObjectType, Priority, Status, TicketKind


def _moment(value: object) -> datetime:
    return to_moment(value if isinstance(value, str) else "")


def _text(longest: int) -> Any:
    # The pattern says in the document what trimming does: blanks alone are no text.
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest, pattern=r"\S")


ShortText = Annotated[str, _text(200)]
NoteText = Annotated[str, _text(8_000)]
Moment = Annotated[datetime, PlainValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]


class TicketAnswer(Answer):
    """A ticket."""

    id: str = Field(description="Derived from the condition, such as `KV-7F3K9-Q2MXB`.")
    kind: TicketKind
    status: Status
    priority: Priority
    ticket_type: str
    summary: str
    scope: str = Field(description="The part of its source: a vault, or a realm of AuthRocket.")
    object_type: ObjectType
    object_name: str
    version: str = Field(description="Empty for a ticket about the vault itself.")
    opened_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    snoozed_until: datetime | None
    team: str | None
    assignee: str | None
    site: str | None
    rule: str | None = Field(description="The ticket rule that decided; null for the defaults.")
    source: str


class TicketPage(Answer):
    """A page may be short, and still have a `next`."""

    items: list[TicketAnswer]
    next: str | None
    as_of: datetime = Field(description="What was changed before it is in the list; what came later may be missing.")


class NoteAnswer(Answer):
    """One entry of a timeline."""

    at: datetime
    author: str
    text: str


class TicketDetailAnswer(TicketAnswer):
    """A ticket with its details and its timeline, oldest note first. `etag` is what `If-Match` takes."""

    details: str
    notes: list[NoteAnswer]
    etag: str


class TicketChange(Body):
    """What to change. A field that is left out stays; null lets the rules' value show again."""

    status: Status | None = None
    priority: Priority | None = None
    team: ShortText | None = None
    assignee: ShortText | None = None
    site: ShortText | None = Field(default=None, description="The name of a `sites` document.")
    snoozed_until: Moment | None = Field(default=None, description="With its zone; null wakes the ticket.")
    note: NoteText | None = Field(default=None, description="Written into the timeline with the change.")


class NewNote(Body):
    """A note for the timeline."""

    text: NoteText


class QuarantinedAnswer(Answer):
    """An event that could not become a ticket."""

    id: str
    reason: str
    message: str
    received_at: datetime


class QuarantinedDetailAnswer(QuarantinedAnswer):
    """With the event as it came; null when it is too long to be replayed, and `text` is then its beginning."""

    event: Any
    text: str


class QuarantinePage(Answer):
    """Newest first."""

    items: list[QuarantinedAnswer]
    next: str | None


class ReplayAnswer(Answer):
    """What became of a quarantined event. When it was quarantined again, `reason` says why."""

    recorded: bool
    reason: str | None
    message: str


class DeadLetterAnswer(Answer):
    """A blob of events that Event Grid gave up."""

    name: str
    size: int = Field(description="In bytes.")
    written_at: datetime


class DeadLetterPage(Answer):
    items: list[DeadLetterAnswer]
    next: str | None


class DeadLettersReplayed(Answer):
    """Blobs read and removed, their events recorded and quarantined, and whether more wait: then call again."""

    blobs: int
    recorded: int
    quarantined: int
    more: bool
