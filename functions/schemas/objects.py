"""Objects of vaults over HTTP."""

from datetime import datetime

from pydantic import Field

from functions.schemas.shapes import Answer
from shared.tickets.desk.objects import ObjectStatus
from shared.tickets.domain.model import ObjectType, TicketKind


class ObjectAnswer(Answer):
    """A secret, key or certificate of a vault, by its current version. It has no value in it."""

    id: str = Field(description="Vault, type and name: `acorn-vault:secret:mail-password`.")
    scope: str = Field(description="The vault.")
    object_type: ObjectType
    object_name: str
    version: str | None = Field(description="Null where no event and no list of versions named it.")
    state: ObjectStatus = Field(description="The first that holds: gone, disabled, expired, not valid yet, usable.")
    managed: bool = Field(description="Whether it is a certificate's own key or secret.")
    created_at: datetime | None
    changed_at: datetime | None = Field(description="When its properties were last changed, as a sweep read it.")
    not_before: datetime | None
    expires_at: datetime | None = Field(description="Null for one that never expires.")
    gone_at: datetime | None = Field(description="When a sweep did not find it any more.")
    last_seen_at: datetime | None = Field(
        description="When a sweep last read it in its vault; where only events told of it, that day."
    )
    owner: str | None = Field(description="Who answers for its vault.")
    sites: list[str] = Field(description="Those of its tickets, else that of its vault.")
    teams: list[str]
    tickets: list[str] = Field(description="The ids of its open tickets.")


class ObjectsPage(Answer):
    """A page may be short, and still have a `next`."""

    items: list[ObjectAnswer]
    next: str | None
    as_of: datetime = Field(description="What was changed before it is in the list; what came later may be missing.")


class ObjectVersion(Answer):
    """What is known of one version. The newest comes first."""

    version: str
    created_at: datetime | None
    expires_at: datetime | None
    enabled: bool | None = Field(description="Null before a sweep read it.")
    in_vault: bool | None = Field(description="Null before a sweep read it.")


class ObjectAbsence(Answer):
    """A time in which it was not in its vault."""

    gone_at: datetime
    back_at: datetime | None


class ObjectTicket(Answer):
    """A ticket about it."""

    id: str
    kind: TicketKind
    version: str
    open: bool


class ObjectDetailAnswer(ObjectAnswer):
    """An object with the versions that the desk remembers, and all its tickets."""

    versions: list[ObjectVersion]
    absences: list[ObjectAbsence]
    all_tickets: list[ObjectTicket]
