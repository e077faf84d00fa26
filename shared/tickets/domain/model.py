"""The words of the ticket feature: events, tickets, notes and what people decide. Plain values, no decisions."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Final

# Crockford's alphabet: no I, L, O, U, so that an id survives being read aloud.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ID_PREFIX = "KV-"
_TAG_CHARACTERS = 2
_ID_CHARACTERS = 10


class ObjectType(StrEnum):
    """What a ticket is about: what a vault holds, the vault itself, or a user of another source."""

    SECRET = "secret"  # noqa: S105 - a type's name
    KEY = "key"
    CERTIFICATE = "certificate"
    VAULT = "vault"
    USER = "user"


class ChangeType(StrEnum):
    """What was said about an object: the four changes of Key Vault's events, and one that only the sweep can see."""

    NEW_VERSION_CREATED = "new_version_created"
    NEAR_EXPIRY = "near_expiry"
    EXPIRED = "expired"
    ACCESS_POLICY_CHANGED = "access_policy_changed"
    NO_EXPIRY_DATE = "no_expiry_date"


class TicketKind(StrEnum):
    """The conditions that tickets stand for; near expiry and expired are one."""

    NEW_VERSION = "new_version"
    EXPIRY = "expiry"
    ACCESS_POLICY = "access_policy"
    NO_EXPIRY_DATE = "no_expiry_date"
    ADMIN_GRANT = "admin_grant"


class Status(StrEnum):
    """Where the work on a ticket stands."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    RESOLVED = "resolved"
    CLOSED = "closed"

    @property
    def finished(self) -> bool:
        return self is Status.RESOLVED or self is Status.CLOSED


class Priority(StrEnum):
    """How pressing a ticket is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


def highest(priorities: list[Priority]) -> Priority:
    return max(priorities, key=lambda priority: priority.rank)


@lru_cache(maxsize=256)
def iso(moment: datetime) -> str:
    """The moment in UTC, in ISO form. It takes its time, and what is said once says when in several places."""
    return moment.astimezone(UTC).isoformat()


# Like those below with `Final`, never changed, and the type checker sees to it: to make a frozen one takes three times
# as long.
@dataclass
class KeyVaultEvent:
    """One event, freed of its schema. `vault` is in lower case; `source` is the vault's resource id in lower case.

    For an access policy change the object is the vault and `version` is empty.
    """

    event_id: Final[str]
    source: Final[str]
    vault: Final[str]
    change: Final[ChangeType]
    object_type: Final[ObjectType]
    object_name: Final[str]
    version: Final[str]
    at: Final[datetime]
    not_before: Final[datetime | None] = None
    expires_at: Final[datetime | None] = None

    @cached_property
    def receipt(self) -> str:
        """Names the event and its content: the same id with another content is another receipt."""
        # Event Grid promises an id that is unique within its source.
        said = "\n".join(
            (
                self.change,
                self.object_type,
                self.object_name,
                self.version,
                iso(self.at),
                _iso_with_a_space(self.not_before),
                _iso_with_a_space(self.expires_at),
            )
        )
        return f"{_digest(self.source, self.event_id)[:32]}:{_digest(said)[:8]}"


@dataclass(frozen=True)
class RuleResult:
    """What the ticket rules decide about one thing that was said; None leaves the default.

    `rule` is the name of the rule that decided, None when none did.
    """

    open: bool = True
    priority: Priority | None = None
    ticket_type: str | None = None
    team: str | None = None
    assignee: str | None = None
    site: str | None = None
    summary: str | None = None
    details: str | None = None
    rule: str | None = None


class Phase(StrEnum):
    """Why a ticket stands or has ended, as far as the facts say."""

    OPEN = "open"
    REPLACED = "replaced"
    EXPIRY_MOVED = "expiry_moved"
    DISABLED = "disabled"
    DELETED = "deleted"


@dataclass(frozen=True)
class ConditionState:
    """What is known about a ticket's condition, so that one can say whether there is something new.

    `urgency` grows as the condition gets more pressing: the negative number of days to the expiry, 1 once expired.
    """

    phase: Phase
    urgency: int
    expires_at: datetime | None = None

    def is_newer_than(self, seen: "ConditionState") -> bool:
        """Whether this says something that someone who decided at `seen` did not know."""
        if self.phase is not seen.phase:
            return True
        if self.phase is not Phase.OPEN:
            return False
        if self.expires_at is not None and seen.expires_at is not None and self.expires_at != seen.expires_at:
            return True
        return self.urgency > seen.urgency


@dataclass(frozen=True)
class ManualOverride:
    """What people decided about a ticket, and what was known when they did. None: nobody decided that."""

    seen: ConditionState
    at: datetime
    status: Status | None = None
    priority: Priority | None = None
    team: str | None = None
    assignee: str | None = None
    site: str | None = None
    snoozed_until: datetime | None = None


@dataclass(frozen=True)
class Note:
    """One entry of a ticket's timeline. `author` says who or what did it."""

    at: datetime
    author: str
    text: str

    @cached_property
    def note_id(self) -> str:
        """Derived from what it says, so that saying it twice is saying it once."""
        return _digest(iso(self.at), self.author, self.text)[:16]


@dataclass
class Ticket:
    """A ticket as a person sees it."""

    ticket_id: Final[str]
    kind: Final[TicketKind]
    status: Final[Status]
    priority: Final[Priority]
    ticket_type: Final[str]
    summary: Final[str]
    details: Final[str]
    vault: Final[str]
    object_type: Final[ObjectType]
    object_name: Final[str]
    version: Final[str]
    opened_at: Final[datetime]
    updated_at: Final[datetime]
    finished_at: Final[datetime | None] = None
    expires_at: Final[datetime | None] = None
    snoozed_until: Final[datetime | None] = None
    team: Final[str | None] = None
    assignee: Final[str | None] = None
    site: Final[str | None] = None
    rule: Final[str | None] = None
    source: Final[str] = "Azure Key Vault"


def ticket_id(
    vault: str, object_type: ObjectType, object_name: str, kind: TicketKind, version: str, longer: int = 0
) -> str:
    """The id of a condition's ticket, such as `KV-7F3K9-Q2MXB`.

    Its first two characters come from the vault alone, so that the ticket is found without asking every vault.
    `longer` adds characters, for the case that two conditions share an id.
    """
    number = int(_digest(vault, object_type, object_name.casefold(), kind, version), 16)
    letters = _tag(vault) + _letters(number, _ID_CHARACTERS - _TAG_CHARACTERS + longer)
    return f"{_ID_PREFIX}{letters[:5]}-{letters[5:]}"


def may_be_of(vault: str, wanted_id: str) -> bool:
    """Whether a ticket of that id can belong to the vault."""
    letters = wanted_id.removeprefix(_ID_PREFIX)
    return letters[:_TAG_CHARACTERS] == _tag(vault)


@lru_cache(maxsize=1024)
def _tag(vault: str) -> str:
    return _letters(int(_digest(vault), 16), _TAG_CHARACTERS)


def _letters(number: int, count: int) -> str:
    # The number's last digits to the base of 32, last one first.
    return "".join([_ALPHABET[number >> place & 31] for place in range(0, 5 * count, 5)])


def _iso_with_a_space(moment: datetime | None) -> str:
    return "None" if moment is None else iso(moment).replace("T", " ")


def _digest(*parts: str) -> str:
    # A separator that no part can hold keeps ("ab", "c") apart from ("a", "bc").
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class DesiredTicket:
    """A ticket as the facts and people's words want it, with the notes that the facts give it.

    `lasting_notes` are written and never taken back: they tell what happened between facts and people.
    """

    key: str
    ticket: Ticket
    standing: ConditionState
    notes: tuple[Note, ...]
    lasting_notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Context:
    """What a vault's settings say to the decision."""

    vault: str
    include_disabled: bool = False


RuleRecord = Mapping[str, object]


@dataclass(frozen=True)
class StoredTicketRows:
    """What stands in the table for a ticket: enough to see the difference without reading it."""

    ticket_id: str
    digest: str = ""
    notes: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
