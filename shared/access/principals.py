"""Who calls: what a token or a sign-in says of its holder."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.access.roles import Role


class PrincipalKind(StrEnum):
    """How a caller proved who it is."""

    TOKEN = "token"  # noqa: S105 - a word, and no token
    SIGNED_IN = "signed_in"
    HOST_KEY = "host_key"
    CALENDAR = "calendar"


class View(NamedTuple):
    """What a calendar shows: of this site, this customer, this team. None leaves a member open."""

    site: str | None = None
    customer: str | None = None
    team: str | None = None


class Principal(NamedTuple):
    """A caller. `customers` None means all of them, an empty list none; `expires_at` None means no end of its own.

    `object_id` is the signed-in person's or app's id in Entra, empty for a token.
    """

    name: str
    kind: PrincipalKind
    role: Role
    customers: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    object_id: str = ""
    view: View = View()

    @property
    def shown(self) -> str:
        """How the history names it."""
        if self.object_id and self.object_id != self.name:
            return f"{self.name} ({self.object_id})"
        return self.name
