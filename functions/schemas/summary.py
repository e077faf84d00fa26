"""The dashboard's summary over HTTP."""

from datetime import datetime

from pydantic import Field

from functions.schemas.shapes import Answer


class ByPriority(Answer):
    critical: int
    high: int
    medium: int
    low: int


class ScopeTickets(Answer):
    scope: str
    open: int
    by_priority: ByPriority


class TicketCounts(Answer):
    open: int = Field(description="Every ticket that is neither resolved nor closed.")
    by_priority: ByPriority
    by_scope: list[ScopeTickets] | None = Field(
        description="The 20 vaults, or other scopes, with most open tickets. `null` when the summary is of customers."
    )


class ObjectCounts(Answer):
    """Objects by the days to the expiry of their newest version, whole days in UTC; each is counted once."""

    expired: int
    within_7_days: int
    within_14_days: int
    within_30_days: int
    within_90_days: int
    later: int
    without_expiry_date: int


class LastRun(Answer):
    """The newest run of a document, and its last success."""

    kind: str
    name: str
    run: str | None
    mode: str | None
    status: str | None
    started_at: datetime | None
    finished_at: datetime | None
    last_success_at: datetime | None
    withheld: int = Field(description="How many changes a guard holds back.")
    reason: str = Field(description="Why somebody has to look, as in the list of imports; empty when nobody has to.")
    warning: str = Field(description="The same as a sentence.")


class TypeCount(Answer):
    type: str | None
    count: int


class SiteCount(Answer):
    site: str | None
    count: int


class StatusCounts(Answer):
    active: int
    inactive: int


class AssetCounts(Answer):
    by_status: StatusCounts
    by_type: list[TypeCount] = Field(description="Of the active ones.")
    by_site: list[SiteCount] = Field(description="Of the active ones: the 50 sites with most.")


class UserCounts(Answer):
    by_status: StatusCounts
    by_site: list[SiteCount] = Field(description="Of the active ones: the 50 sites with most.")


class SummaryAnswer(Answer):
    as_of: datetime | None = Field(
        description="Up to when all changes are counted; of later ones some may be. `null` before the first ones are."
    )
    tickets: TicketCounts
    objects: ObjectCounts
    runs: list[LastRun] | None = Field(description="`null` when the summary is of customers.")
    assets: AssetCounts
    users: UserCounts
