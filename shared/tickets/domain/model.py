"""The vocabulary of tickets: events, tickets, notes and what people decide. Plain values, no decisions."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property

from shared.moments import same_date

# Crockford's alphabet: no I, L, O, U, so that an id survives being read aloud.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KEY_VAULT_PREFIX, DESK_PREFIX = "KV", "DB"
KEY_VAULT_SOURCE, DESK_SOURCE = "Azure Key Vault", "Deskbridge"
_TAG_CHARACTERS = 2
_ID_CHARACTERS = 10


class ObjectType(StrEnum):
    """What a ticket is about: what a vault holds, the vault itself, a user of another source, or the desk itself: one
    of its documents, queues or tokens, or its reading of a vault."""

    SECRET = "secret"  # noqa: S105 - a type's name
    KEY = "key"
    CERTIFICATE = "certificate"
    VAULT = "vault"
    USER = "user"
    DESK = "desk"


class ChangeType(StrEnum):
    """What was said about an object: the four changes of Key Vault's events, one that only the sweep can see, and a
    condition of the desk itself."""

    NEW_VERSION_CREATED = "new_version_created"
    NEAR_EXPIRY = "near_expiry"
    EXPIRED = "expired"
    ACCESS_POLICY_CHANGED = "access_policy_changed"
    NO_EXPIRY_DATE = "no_expiry_date"
    CONDITION = "condition"


class TicketKind(StrEnum):
    """The conditions that tickets stand for; near expiry and expired are one. The last ones are the desk's own."""

    NEW_VERSION = "new_version"
    EXPIRY = "expiry"
    ACCESS_POLICY = "access_policy"
    NO_EXPIRY_DATE = "no_expiry_date"
    ADMIN_GRANT = "admin_grant"
    IMPORT_WITHHELD = "import_withheld"
    IMPORT_FAILING = "import_failing"
    SWEEP_FAILING = "sweep_failing"
    QUARANTINE = "quarantine"
    DEAD_LETTERS = "dead_letters"
    POISON_MESSAGES = "poison_messages"
    QUEUE_STUCK = "queue_stuck"
    SETTINGS_UNREADABLE = "settings_unreadable"
    SECRET_EXPIRING = "secret_expiring"  # noqa: S105 - a kind's name
    TOKEN_EXPIRING = "token_expiring"  # noqa: S105 - a kind's name
    OUTBOX_FAILING = "outbox_failing"


class Status(StrEnum):
    """Where the work on a ticket stands."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    RESOLVED = "resolved"
    CLOSED = "closed"


FINISHED = frozenset({Status.RESOLVED, Status.CLOSED})


class Priority(StrEnum):
    """How pressing a ticket is, the least first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


def iso(moment: datetime) -> str:
    """The moment in UTC, in ISO form."""
    return moment.astimezone(UTC).isoformat()


@dataclass(frozen=True)
class KeyVaultEvent:
    """One event, freed of its schema. `vault` is in lower case; `source` is the vault's resource id in lower case.

    For an access policy change the object is the vault and `version` is empty.
    """

    event_id: str
    source: str
    vault: str
    change: ChangeType
    object_type: ObjectType
    object_name: str
    version: str
    at: datetime
    not_before: datetime | None = None
    expires_at: datetime | None = None

    @cached_property
    def receipt(self) -> str:
        """Names the event and its content: the same id with another content is another receipt."""
        # Event Grid promises an id that is unique within its source.
        times = [iso(moment) if moment is not None else "" for moment in (self.at, self.not_before, self.expires_at)]
        content = _digest(self.change, self.object_type, self.object_name, self.version, *times)
        return f"{_digest(self.source, self.event_id)[:32]}:{content[:8]}"


@dataclass(frozen=True)
class RuleResult:
    """What the ticket rules decide about one occurrence; None leaves the default.

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
    """Why a ticket is open or has ended, as far as events and the sweep know.

    `folded`: a certificate's ticket tells of it. `aged`: nothing more came of it for long. `over`: a condition of the
    desk holds no more.
    """

    OPEN = "open"
    REPLACED = "replaced"
    EXPIRY_MOVED = "expiry_moved"
    DISABLED = "disabled"
    DELETED = "deleted"
    FOLDED = "folded"
    AGED = "aged"
    OVER = "over"


@dataclass(frozen=True)
class ConditionState:
    """What is known about a ticket's condition, so that one can say whether there is something new.

    `urgency` grows as the condition gets more pressing: the negative number of days to the expiry, 1 once expired.
    `reopened_at` is when what had replaced the version ceased to be usable.
    """

    phase: Phase
    urgency: int
    expires_at: datetime | None = None
    reopened_at: datetime | None = None

    def is_newer_than(self, earlier: "ConditionState") -> bool:
        """Whether this says something that someone who decided at `earlier` did not know."""
        if self.phase is not earlier.phase:
            return True
        if self.phase is not Phase.OPEN:
            return False
        both_dated = self.expires_at is not None and earlier.expires_at is not None
        if both_dated and not same_date(self.expires_at, earlier.expires_at):
            return True
        if self.reopened_at is not None and self.reopened_at != earlier.reopened_at:
            return earlier.reopened_at is None or self.reopened_at > earlier.reopened_at
        return self.urgency > earlier.urgency


@dataclass(frozen=True)
class ManualOverride:
    """What people decided about a ticket, and what was known when they did. None: nobody decided that."""

    based_on: ConditionState
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


@dataclass(frozen=True)
class Ticket:
    """A ticket as a person sees it. `scope` is the part of its source that it is about: a vault, or a realm."""

    ticket_id: str
    kind: TicketKind
    status: Status
    priority: Priority
    ticket_type: str
    summary: str
    details: str
    scope: str
    object_type: ObjectType
    object_name: str
    version: str
    opened_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    snoozed_until: datetime | None = None
    team: str | None = None
    assignee: str | None = None
    site: str | None = None
    rule: str | None = None
    source: str = KEY_VAULT_SOURCE


def ticket_id(
    scope: str,
    object_type: ObjectType,
    object_name: str,
    condition: str,
    longer: int = 0,
    *,
    prefix: str = KEY_VAULT_PREFIX,
) -> str:
    """The id of a condition's ticket, such as `KV-7F3K9-Q2MXB`. `prefix` names the source.

    Its first two characters come from the scope alone, so that the ticket is found without asking every scope.
    `longer` adds characters, for the case that two conditions share an id.
    """
    number = int(_digest(scope, object_type, object_name.casefold(), condition), 16)
    letters = _tag(scope) + _letters(number, _ID_CHARACTERS - _TAG_CHARACTERS + longer)
    return f"{prefix}-{letters[:5]}-{letters[5:]}"


def may_be_of(scope: str, wanted_id: str) -> bool:
    """Whether a ticket of that id can belong to the scope, whatever its source."""
    return wanted_id.partition("-")[2][:_TAG_CHARACTERS] == _tag(scope)


def _tag(scope: str) -> str:
    return _letters(int(_digest(scope), 16), _TAG_CHARACTERS)


def _letters(number: int, count: int) -> str:
    # The number's last digits to the base of 32, last one first.
    return "".join([_ALPHABET[number >> place & 31] for place in range(0, 5 * count, 5)])


def _digest(*parts: str) -> str:
    # A separator that no part can hold keeps ("ab", "c") apart from ("a", "bc").
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class DesiredTicket:
    """A ticket as observations and people's overrides want it, with the notes that observations give it.

    `lasting_notes` are written and never taken back: they tell what happened between observations and people.
    """

    key: str
    ticket: Ticket
    condition: ConditionState
    notes: tuple[Note, ...]
    lasting_notes: tuple[Note, ...] = ()


RuleRecord = Mapping[str, str | int | None]
RuleEvaluator = Callable[[RuleRecord], RuleResult]


def no_rules(record: RuleRecord) -> RuleResult:
    """The evaluator of a desk without ticket rules."""
    del record
    return RuleResult()


@dataclass(frozen=True)
class Context:
    """What the settings say to the decision about a vault's objects. `site` is the vault's, empty for none; None when
    the settings do not say anything of the vault."""

    vault: str
    include_disabled: bool = False
    evaluate: RuleEvaluator = no_rules
    site: str | None = None


@dataclass(frozen=True)
class StoredTicketRows:
    """Where a ticket stands in the lists, and the digest of what its row says: enough to see whether they differ."""

    ticket_id: str
    digest: str = ""
    list_keys: tuple[str, ...] = ()
    site: str | None = None
    # The priority by which an open ticket is counted; None when it is finished, or not stored yet.
    open_as: str | None = None
