"""Access tokens over HTTP, and who calls. The value of a token is in one answer only: that to its making."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from functions.schemas.shapes import Answer, Body
from shared.access.roles import Role
from shared.access.token_format import PATTERN
from shared.settings.base import DocumentName, Text

_EXPIRY = Field(default=None, description="When it stops opening anything: within ten years. Without it in one year.")


class NewAdministratorToken(Body):
    """A token that may do everything."""

    name: DocumentName = Field(description="Stands in every history. A name is never used twice.")
    expires_at: AwareDatetime | None = _EXPIRY


class NewToken(Body):
    """A token with a role, and with customers when it is limited to some."""

    name: DocumentName = Field(description="Stands in every history. A name is never used twice.")
    role: Role
    customers: Annotated[list[DocumentName], Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Documents of the kind `customers`. It then sees nothing of others. Null is all."
    )
    expires_at: AwareDatetime | None = _EXPIRY


class NewCalendarToken(Body):
    """A token for a calendar's address. What it leaves open is of all."""

    name: DocumentName = Field(description="Stands in the list of tokens. A name is never used twice.")
    site: DocumentName | None = None
    customer: DocumentName | None = None
    team: Text | None = None
    expires_at: AwareDatetime | None = _EXPIRY


class ViewAnswer(Answer):
    """What a calendar shows."""

    site: str | None
    customer: str | None
    team: str | None


class TokenAnswer(Answer):
    """A token, without its value."""

    name: str
    kind: Literal["token", "calendar"]
    role: Role
    customers: list[str] | None = Field(description="Those it is limited to; null is all.")
    view: ViewAnswer = Field(description="Of a calendar's token: what it shows.")
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None = Field(description="To within five minutes.")
    revoked_at: datetime | None
    revoked_by: str


class TokenMade(TokenAnswer):
    """A new token. Its value is not kept, and no other answer has it."""

    token: str = Field(pattern=f"^{PATTERN}$", description="The value, for the header `X-Api-Key`.")


class TokenPage(Answer):
    items: list[TokenAnswer]
    next: str | None


class Me(Answer):
    """Who calls."""

    name: str
    kind: Literal["token", "signed_in"]
    role: Role
    customers: list[str] | None = Field(description="Those the caller is limited to; null is all.")
    expires_at: datetime | None = Field(description="Of the token. Null for a person who signed in.")
