"""Access tokens: named, stored by their SHA-256, shown once, with a role, customers and an expiry.

A worker keeps the list of all tokens for half a minute, so that an ordinary call reads nothing. Whatever is sent that
is no known token costs at most one reading a second, however many are tried.
"""

import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.access.audit import UNAUDITED, Audit, AuditedChange, AuditedField, AuditKind
from shared.access.principals import Principal, PrincipalKind, View
from shared.access.roles import Role
from shared.access.token_format import digest_of, is_token, new_token
from shared.errors import (
    AlreadyExistsError,
    ChangedMeanwhileError,
    DeskbridgeError,
    NotAuthorisedError,
    NotFoundError,
)
from shared.reasons import Reason
from shared.storage.cursors import page_of
from shared.storage.rows import Create, Delete, Merge, Row, Value
from shared.storage.tables import Condition, Table, partition, scan

logger = logging.getLogger(__name__)

PARTITION = "tokens"
# What follows from a change of a token stands behind them.
_IS_TOKEN = Condition("RowKey", "lt", "~")
# Another worker's revocation is seen after this long at the latest; well within the minute that is promised.
_KNOWN_SECONDS = 30.0
# What is unknown may have been made elsewhere a moment ago.
_LOOK_AGAIN_SECONDS = 1.0
_USE_NOTED_EVERY = timedelta(minutes=5)
# As long as the history may still name it.
KEPT_AFTER_ITS_END = timedelta(days=400)
LONGEST_LIFE = timedelta(days=3650)
USUAL_LIFE = timedelta(days=365)
_TRIES = 5
_REMOVED_A_TURN = 1000


@dataclass(frozen=True)
class Token:
    """A token as it is stored, without its value. `customers` None means all."""

    name: str
    kind: PrincipalKind
    role: Role
    customers: tuple[str, ...] | None
    view: View
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""
    digest: str = ""
    etag: str = ""

    @property
    def principal(self) -> Principal:
        return Principal(self.name, self.kind, self.role, self.customers, self.expires_at, view=self.view)

    def is_limited_to(self, customer: str | None, sites: Collection[str]) -> bool:
        """Whether it names the customer, or one of the sites."""
        named = customer is not None and customer in (*(self.customers or ()), self.view.customer)
        return named or self.view.site in sites

    def refusal(self, now: datetime) -> Reason | None:
        """Why it opens nothing any more; None while it does."""
        if self.revoked_at is not None:
            return Reason.ACCESS_TOKEN_REVOKED
        return Reason.ACCESS_TOKEN_EXPIRED if self.expires_at <= now else None


class AccessTokens:
    """Makes, knows, lists and revokes tokens. `clock` gives seconds that never run backwards."""

    def __init__(
        self, table: Table, now: Callable[[], datetime], clock: Callable[[], float], audit: Audit = UNAUDITED
    ) -> None:
        self._table = table
        self._audit = audit
        self._now = now
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Mapping[str, Token] = {}
        self._read_at: float | None = None

    def authenticate(self, text: str) -> Principal:
        """Who holds it. Raises NotAuthorisedError with the reason, or TryLaterError when storage does not answer."""
        if not is_token(text):
            raise token_malformed()
        # Nobody can choose a digest, so that the time of finding one tells nothing of those that there are.
        digest = digest_of(text)
        token = self._tokens(_KNOWN_SECONDS).get(digest) or self._tokens(_LOOK_AGAIN_SECONDS).get(digest)
        if token is None:
            raise _refused(Reason.ACCESS_TOKEN_UNKNOWN)
        refusal = token.refusal(self._now())
        if refusal is not None:
            raise _refused(refusal)
        self._note_use(token)
        return token.principal

    def make(
        self,
        name: str,
        *,
        by: str,
        kind: PrincipalKind = PrincipalKind.TOKEN,
        role: Role = Role.READER,
        customers: Sequence[str] | None = None,
        view: View = View(),  # noqa: B008 - a constant
        expires_at: datetime | None = None,
    ) -> tuple[Token, str]:
        """A new token and its value, which is not kept. Raises AlreadyExistsError for a name that was used before."""
        now = self._now()
        value = new_token()
        limited = None if customers is None else tuple(sorted(set(customers)))
        token = Token(name, kind, role, limited, view, now, by, expires_at or now + USUAL_LIFE, digest=digest_of(value))
        try:
            with self._audit.recording(self._table.name, PARTITION, _made(token)) as audited:
                etag = self._table.transact(PARTITION, [Create(_row_of(token)), *audited])[0]
        except AlreadyExistsError:
            raise AlreadyExistsError(
                f"There is, or was, a token named {name}: a name stands for one token in every history.",
                remedy="Choose another name.",
            ) from None
        finally:
            self._forget()
        return replace(token, etag=etag), value

    def get(self, name: str) -> Token:
        """Raises NotFoundError."""
        row = self._table.find(PARTITION, name)
        token = None if row is None else _token_of(row)
        if token is None:
            raise NotFoundError(Reason.NOT_FOUND, f"There is no token named {name}.")
        return token

    def page(
        self, size: int, after: str | None, *, customer: str | None = None, sites: Collection[str] = ()
    ) -> tuple[list[Token], str | None]:
        """At most `size` tokens, by name; with a customer those that are limited to it or to one of its sites."""
        known = self._tokens(0).values()
        asked = [token for token in known if customer is None or token.is_limited_to(customer, sites)]
        return page_of(asked, lambda token: token.name, size, after)

    def all(self) -> Collection[Token]:
        """Every token that is kept, as of now."""
        return self._tokens(0).values()

    def revoke(self, name: str, *, by: str) -> None:
        """From now on it opens nothing: here at once, elsewhere within a minute. Raises NotFoundError."""
        for left in reversed(range(_TRIES)):
            token = self.get(name)
            if token.revoked_at is not None:
                return
            now = self._now()
            values: dict[str, Value] = {"revoked_at": now, "revoked_by": by}
            fields = (AuditedField("revoked_at", None, now),)
            change = AuditedChange(AuditKind.TOKEN, "revoked", f"tokens/{name}", by, fields)
            try:
                with self._audit.recording(self._table.name, PARTITION, change) as audited:
                    self._table.transact(PARTITION, [Merge(Row(PARTITION, name, values, token.etag)), *audited])
            except ChangedMeanwhileError:
                # Its use was noted in between.
                if not left:
                    raise
            else:
                return
            finally:
                self._forget()

    def limited_to(self, *, customer: str | None = None, site: str | None = None) -> bool:
        """Whether a token that still opens something is limited to that customer or that site."""
        now, sites = self._now(), () if site is None else (site,)
        known = self._tokens(0).values()
        return any(token.refusal(now) is None and token.is_limited_to(customer, sites) for token in known)

    def remove_old(self) -> int:
        """Forget tokens whose end was long ago, at most a thousand; how many. Two at once do no harm."""
        before = self._now() - KEPT_AFTER_ITS_END
        old = [token for token in self._tokens(0).values() if (token.revoked_at or token.expires_at) < before]
        removed = 0
        for token in old[:_REMOVED_A_TURN]:
            try:
                self._table.transact(PARTITION, [Delete(token.name, token.etag)])
            except ChangedMeanwhileError:
                # Another worker removes the same: what is left goes the next time.
                continue
            removed += 1
        self._forget()
        return removed

    # Within

    def _tokens(self, at_most_old: float) -> Mapping[str, Token]:
        """All tokens by digest, read anew when what is known is older than that many seconds."""
        with self._lock:
            if self._read_at is None or self._clock() - self._read_at >= at_most_old:
                read_at = self._clock()
                rows = scan(self._table, [partition(PARTITION), _IS_TOKEN])
                self._known = {token.digest: token for row in rows if (token := _token_of(row)) is not None}
                self._read_at = read_at
            return self._known

    def _forget(self) -> None:
        with self._lock:
            self._read_at = None

    def _note_use(self, token: Token) -> None:
        now = self._now()
        if token.last_used_at is not None and now - token.last_used_at < _USE_NOTED_EVERY:
            return
        etag = token.etag
        try:
            row = Row(PARTITION, token.name, {"last_used_at": now}, token.etag)
            etag = self._table.transact(PARTITION, [Merge(row)])[0]
        except DeskbridgeError as error:
            # Another worker noted it, or storage has a moment: neither is a reason to refuse whoever holds it.
            logger.info("The last use of the token %s is not noted: %s", token.name, error.reason)
        with self._lock:
            # Read anew meanwhile, the list may say that it is revoked.
            if self._known.get(token.digest) is token:
                self._known = {**self._known, token.digest: replace(token, last_used_at=now, etag=etag)}


_REMEDIES = {
    Reason.ACCESS_TOKEN_MALFORMED: (
        "What was sent is no access token.",
        "Send the whole token, which begins with desk_, as the header X-Api-Key.",
    ),
    Reason.ACCESS_TOKEN_UNKNOWN: (
        "There is no such access token.",
        "Ask an administrator of this desk for a token.",
    ),
    Reason.ACCESS_TOKEN_EXPIRED: (
        "The access token has expired.",
        "Ask an administrator of this desk for a new one.",
    ),
    Reason.ACCESS_TOKEN_REVOKED: (
        "The access token was revoked.",
        "Ask an administrator of this desk for a new one.",
    ),
}


def token_malformed(kind: PrincipalKind = PrincipalKind.TOKEN) -> NotAuthorisedError:
    """The refusal of a text that was sent as a token of that kind."""
    if kind is PrincipalKind.CALENDAR:
        message = "The token in the calendar's address is no access token."
        remedy = "Copy the whole address again: the token begins with desk_."
        return NotAuthorisedError(Reason.ACCESS_TOKEN_MALFORMED, message, remedy=remedy)
    return _refused(Reason.ACCESS_TOKEN_MALFORMED)


def _refused(reason: Reason) -> NotAuthorisedError:
    message, remedy = _REMEDIES[reason]
    return NotAuthorisedError(reason, message, remedy=remedy)


def _row_of(token: Token) -> Row:
    return Row(
        PARTITION,
        token.name,
        {
            "sha256": token.digest,
            "kind": str(token.kind),
            "role": str(token.role),
            "customers": json.dumps(token.customers),
            "view": json.dumps(token.view._asdict()),
            "created_at": token.created_at,
            "created_by": token.created_by,
            "expires_at": token.expires_at,
        },
    )


def _made(token: Token) -> AuditedChange:
    """What the audit trail tells of a new token: all but what would open anything."""
    told: dict[str, Any] = {
        "kind": str(token.kind),
        "role": str(token.role),
        "customers": None if token.customers is None else list(token.customers),
        "view": {name: value for name, value in token.view._asdict().items() if value is not None},
        "expires_at": token.expires_at,
    }
    return AuditedChange(AuditKind.TOKEN, "created", f"tokens/{token.name}", token.created_by, after=told)


def _token_of(row: Row) -> Token | None:
    """The token of a row; None for one that cannot be read, which then opens nothing."""
    created_at, expires_at = row.time("created_at"), row.time("expires_at")
    try:
        customers = _customers_of(json.loads(row.text("customers")))
        view = View(**json.loads(row.text("view")))
        kind, role = PrincipalKind(row.text("kind")), Role(row.text("role"))
        if created_at is None or expires_at is None:
            raise ValueError("a time is missing")  # noqa: TRY301 - as unreadable as a member that is none
    except (ValueError, TypeError):
        logger.error("The token %s cannot be read, and opens nothing.", row.row_key)  # noqa: TRY400 - a row is no bug
        return None
    return Token(
        row.row_key,
        kind,
        role,
        customers,
        view,
        created_at,
        row.text("created_by"),
        expires_at,
        row.time("last_used_at"),
        row.time("revoked_at"),
        row.text("revoked_by"),
        row.text("sha256"),
        row.etag,
    )


def _customers_of(stored: Any) -> tuple[str, ...] | None:
    if stored is None:
        return None
    if not isinstance(stored, list) or not all(isinstance(one, str) for one in stored):
        raise ValueError("must be a list of names, or null")
    return tuple(stored)
