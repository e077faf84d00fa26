"""Users as their realm gives them, freed of the API's form, and what is stored of their organisations."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.reasons import Reason
from shared.records.values import ValueFaultError
from shared.storage.rows import Value

# Who has one of these owns an organisation, or may manage who is in it.
ADMIN_PERMISSIONS = frozenset({"ar:owner", "ar:admin"})

# Memberships as JSON, over as many columns as they may ever need: a column that is not used is empty, not left behind.
MEMBERSHIP_COLUMNS = ("memberships", "memberships_1", "memberships_2", "memberships_3")
_CHARACTERS_PER_COLUMN = 16_000


@dataclass(frozen=True)
class SourceUser:
    """A user of a realm. `fields` by AuthRocket's names: times as ISO 8601 text, `custom` a mapping, absent if null."""

    id: str
    active: bool
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Membership:
    """A user's place in an organisation. It ends by itself at `expires_at`."""

    id: str
    org_id: str
    org_name: str
    org_reference: str
    permissions: tuple[str, ...]
    expires_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "org_id": self.org_id,
            "org_name": self.org_name,
            "org_reference": self.org_reference,
            "permissions": list(self.permissions),
            "expires_at": None if self.expires_at is None else iso(self.expires_at),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Membership":
        """The other way."""
        until = stored["expires_at"]
        return cls(
            **{name: str(stored[name]) for name in ("id", "org_id", "org_name", "org_reference")},
            permissions=tuple(stored["permissions"]),
            expires_at=None if until is None else datetime.fromisoformat(until),
        )


@dataclass(frozen=True)
class Grant:
    """A permission of ADMIN_PERMISSIONS that a user has in an organisation."""

    org_id: str
    org_name: str
    permission: str


def iso(moment: datetime) -> str:
    """The moment as text, in UTC, with milliseconds only when there are some."""
    moment = moment.astimezone(UTC)
    timespec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def partition_of(realm: str) -> str:
    """The partition of a realm's users."""
    return f"authrocket:{realm}"


def realm_of(partition_key: str) -> str:
    """The other way."""
    return partition_key.removeprefix("authrocket:")


def membership_values(memberships: Sequence[Membership]) -> dict[str, Value | None]:
    """The columns that hold the memberships, all of them. Raises ValueFaultError when they do not fit."""
    text = json.dumps([one.as_json() for one in memberships], ensure_ascii=False, separators=(",", ":"))
    chunks = [text[start : start + _CHARACTERS_PER_COLUMN] for start in range(0, len(text), _CHARACTERS_PER_COLUMN)]
    if len(chunks) > len(MEMBERSHIP_COLUMNS):
        message = f"organisations: {len(memberships)} memberships are more than fit into a row."
        raise ValueFaultError(Reason.VALUE_TOO_LONG, message)
    padded: list[str | None] = [*chunks, *[None] * (len(MEMBERSHIP_COLUMNS) - len(chunks))]
    return dict(zip(MEMBERSHIP_COLUMNS, padded, strict=True))


def memberships_in(values: Mapping[str, object]) -> list[dict[str, Any]] | None:
    """The memberships in a row's columns, as JSON; None when they were never read."""
    texts = [values.get(column) for column in MEMBERSHIP_COLUMNS]
    if texts[0] is None:
        return None
    found: list[dict[str, Any]] = json.loads("".join(text for text in texts if isinstance(text, str)))
    return found


def grants_in(memberships: Iterable[Mapping[str, Any]]) -> frozenset[Grant]:
    """The grants among stored memberships."""
    return frozenset(
        Grant(str(one["org_id"]), str(one["org_name"]), permission)
        for one in memberships
        for permission in one["permissions"]
        if permission in ADMIN_PERMISSIONS
    )
