"""AuthRocket's webhooks: an event is a hint to look at one user again, at once. Nothing in its body but the id counts.

It may be repeated, late or out of order: what is written is what AuthRocket says now, by the import's own plan. What
needs the whole realm to decide is left to the next import.
"""

import json
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NoReturn

from shared.access.basic_auth import check_basic, credential_refused, parse_basic_header
from shared.access.strangers import before_authorisation
from shared.errors import InvalidInputError, NotFoundError, TooLargeError, TryLaterError
from shared.imports.applier import Applier
from shared.imports.part_rows import PartRows
from shared.imports.plan.model import (
    Action,
    ExistingRecord,
    Finder,
    Found,
    IndexEntry,
    Loader,
    MatchOn,
    PlanEntry,
    Policy,
    Trigger,
)
from shared.imports.plan.planner import PartPlanner
from shared.imports.plan.safety import Brake
from shared.imports.runs.repository import RunRepository
from shared.reasons import Reason
from shared.records.model import Key
from shared.records.table import records_of
from shared.settings.store import SettingsStore
from shared.storage.tables import Table, scan
from shared.text import escape_key
from shared.users.authrocket.client import PING, AuthRocket, Event
from shared.users.documents import AuthRocketRealmDocument
from shared.users.source import ANSWER_SECONDS, KIND, Realms, RealmSource, RealmSourceType
from shared.vaults.model import Credentials, CredentialUser

logger = logging.getLogger(__name__)

LARGEST_BODY = 256 * 1024
_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_ROUNDS = 5
_DELETED = "user.deleted"
_RETRY_AFTER = 300.0
# Deactivations by events count together for the brake over this time: a mass deletion comes as single events.
_BRAKE_WINDOW = timedelta(hours=24)


class WebhookOutcome(StrEnum):
    """What an event led to."""

    PONG = "pong"
    IGNORED = "ignored"
    WRITTEN = "written"
    UNCHANGED = "unchanged"
    LEFT_TO_IMPORT = "left_to_import"


@dataclass(frozen=True)
class WebhookResult:
    """The outcome, and a sentence about it."""

    outcome: WebhookOutcome
    message: str


class _ConflictedError(Exception):
    """Somebody else wrote the row since it was read: look again."""


class _LeaveError(Exception):
    """Only an import of the whole realm can decide this. The message is the sentence that says why."""


class AuthRocketWebhook:
    """Takes deliveries of AuthRocket's webhooks."""

    def __init__(
        self,
        settings: SettingsStore,
        credentials: Credentials,
        realms: Realms,
        source_type: RealmSourceType,
        table: Table,
        runs: RunRepository,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._realms = realms
        self._source_type = source_type
        self._table = table
        self._runs = runs
        self._now = now

    def receive(self, name: str, authorization: str | None, body: bytes) -> WebhookResult:
        """One delivery for the realm's document `name`.

        Raises NotAuthorisedError, InvalidInputError for what is no event, NotFoundError for an event that AuthRocket
        does not know, TryLaterError for what may pass, MisconfiguredError: AuthRocket delivers again after each.
        """
        with before_authorisation("AuthRocket's webhook"):
            document = self._authorised(name, authorization)
        event_id, kind = _read(body)
        if kind == PING:
            return WebhookResult(WebhookOutcome.PONG, "The webhook works.")
        source = self._source_type.source(name)
        self._check_no_import(name)
        api = self._realms.api(name, document, seconds=ANSWER_SECONDS)
        event = api.find_event(event_id)
        if event is None:
            raise NotFoundError(
                Reason.AUTHROCKET_EVENT_UNKNOWN,
                f"AuthRocket does not know the event {event_id} in this realm.",
                remedy="Look at the realm of the settings and of the webhook. On a plan without event history, events "
                "cannot be read: leave the webhook out, the daily import brings everything.",
            )
        if not event.concerns_people or not event.user_id:
            return WebhookResult(WebhookOutcome.IGNORED, f"{event.type} is about no single user.")
        followed = self._follow(source, api, event)
        # An import that began meanwhile may have read an older state of the user, and write it yet.
        self._check_no_import(name)
        logger.info("Event %s (%s) of %s: %s, %s", event.id, event.type, name, followed.outcome, followed.message)
        return followed

    def _authorised(self, name: str, authorization: str | None) -> AuthRocketRealmDocument:
        stored = self._settings.find(AuthRocketRealmDocument, name)
        webhook = stored.document.webhook if stored is not None else None
        given = parse_basic_header(authorization)
        if given is None:
            raise credential_refused()
        # A realm that there is not, or that has no webhook, is refused like a wrong password.
        pairs = (webhook.current, webhook.previous) if webhook is not None else ()
        check_basic(given, pairs, self._credentials, CredentialUser(KIND, name))
        if stored is None:
            raise credential_refused()
        return stored.document

    def _check_no_import(self, name: str) -> None:
        lease = self._runs.find_lease(KIND, name)
        run = self._runs.find(lease.run_id) if lease is not None else None
        if run is not None and run.is_open:
            raise TryLaterError(
                Reason.IMPORT_RUNNING,
                f"An import of {name} is running, so the event waits for its end.",
                remedy="Nothing is to be done: AuthRocket delivers it again.",
                retry_after=_RETRY_AFTER,
            )

    def _follow(self, source: RealmSource, api: AuthRocket, event: Event) -> WebhookResult:
        for _ in range(_ROUNDS):
            try:
                return self._plan_and_write(source, api, event)
            except _ConflictedError:
                continue
            except _LeaveError as left:
                return WebhookResult(WebhookOutcome.LEFT_TO_IMPORT, str(left))
        raise TryLaterError(Reason.CONTENDED, f"The user {event.user_id} keeps changing.", retry_after=_RETRY_AFTER)

    def _plan_and_write(self, source: RealmSource, api: AuthRocket, event: Event) -> WebhookResult:
        realm = source.document.realm
        own = Key(source.partition_key(realm), escape_key(event.user_id))
        # The row before the user: whoever writes the row after this has a younger state, and wins by the ETag.
        existing = self._source_type.rows.load([own]).get(own)
        index = {} if existing is None else {own.row: _indexed(existing)}
        user = api.find_user(event.user_id)
        if user is None and event.type != _DELETED:
            # A 404 alone may also be a missing permission.
            raise _LeaveError("AuthRocket does not show the user, and did not say that it is deleted.")
        planner = PartPlanner(
            own.partition,
            index,
            self._policy(source),
            now=self._now(),
            load=_loader(self._source_type.rows, own, existing),
            find=_finder(self._source_type.rows, own),
        )
        entries: list[PlanEntry] = []
        if user is not None:
            memberships = api.memberships_of(user.id) if source.document.organisations else None
            entries += planner.take([source.mapper.map_record(user, memberships)])
        entries += planner.finish(read_to_the_end=True)
        if any(entry.action is Action.DEACTIVATE for entry in entries):
            self._check_brake(source, own.partition)
        applier = Applier(self._source_type.rows, own.partition, event.id, source.name, self._now, _conflicted)
        entries = applier.apply([applier.prepare(entry) for entry in entries])
        source.finish(realm, {})
        message = " ".join(entry.message for entry in entries) or "Nothing is known of the user."
        if any(entry.action is Action.ERROR for entry in entries):
            raise _LeaveError(message)
        written = any(entry.assign and entry.changes for entry in entries)
        return WebhookResult(WebhookOutcome.WRITTEN if written else WebhookOutcome.UNCHANGED, message)

    def _policy(self, source: RealmSource) -> Policy:
        # No plan of one record is braked; the events of a day are, here.
        return replace(source.policy(Trigger.SCHEDULED), withdraws=False, believe_empty_answers=True)

    def _check_brake(self, source: RealmSource, partition_key: str) -> None:
        """Raise when this deactivation and those of the last day's events together are as many as a brake holds."""
        since = self._now() - _BRAKE_WINDOW
        active = recent = 0
        for row in scan(self._table, records_of(partition_key), select=("active", "deactivated_at")):
            at = row.time("deactivated_at")
            if bool(row.values.get("active", True)):
                active += 1
            elif at is not None and at > since:
                recent += 1
        brake = Brake(source.document.brake.share, source.document.brake.at_least)
        if brake.holds(recent + 1, active + recent):
            raise _LeaveError(
                f"The brake holds: {recent} of {active + recent} users were deactivated within a day. The next import "
                "decides, under its own brake."
            )


def _read(body: bytes) -> tuple[str, str]:
    """The event's id, and its type as far as a ping says so itself. Raises InvalidInputError, TooLargeError."""
    if len(body) > LARGEST_BODY:
        raise TooLargeError(Reason.BODY_TOO_LARGE, f"The body has {len(body)} bytes; an event has a few hundred.")
    try:
        event: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(Reason.BODY_NOT_READABLE, "The body is not JSON.") from error
    event_id = event.get("id") if isinstance(event, dict) else None
    if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
        raise InvalidInputError(Reason.BODY_NOT_READABLE, "The body is no event of AuthRocket: it has no readable id.")
    # A ping cannot be read through the API, and does nothing: its own word is enough.
    return event_id, PING if event.get("event_type") == PING else ""


def _indexed(existing: ExistingRecord) -> IndexEntry:
    """The record's state as the index of an import would have it."""
    is_alias = existing.key != existing.own
    if is_alias and existing.claimed_by != existing.own.text:
        raise _LeaveError("The user's desk user follows another user now.")
    if not is_alias and existing.claimed_by:
        raise _LeaveError("The user's desk user was taken over by another user.")
    return IndexEntry(
        str(existing.values.get("hash", "")),
        existing.active,
        alias_of=existing.key if is_alias else None,
        gone_since=existing.gone_since,
    )


def _loader(rows: PartRows, own: Key, existing: ExistingRecord | None) -> Loader:
    """Reads rows, the record's own as it was read before the user was."""

    def load(keys: Sequence[Key], columns: Collection[str] | None = None) -> Mapping[Key, ExistingRecord]:
        del columns
        others = [key for key in keys if key != own]
        found = dict(rows.load(others)) if others else {}
        if own in keys and existing is not None:
            found[own] = existing
        return found

    return load


def _finder(rows: PartRows, own: Key) -> Finder:
    """Finds candidates for a new user. One of the same realm may be another user's, which one event cannot tell."""

    def find(match: MatchOn, values: Collection[str]) -> Found:
        found = rows.find(match, values)
        candidates = [one for same in found.rows.values() for one in same]
        if any(one.key == own for one in candidates):
            # Somebody else brought the user in since its row was looked for.
            raise _ConflictedError(own.text)
        if any(one.key.partition == own.partition or one.claimed_by for one in candidates):
            raise _LeaveError("The user may be one that the desk knows by another id.")
        return found

    return find


def _conflicted(entry: PlanEntry) -> NoReturn:
    raise _ConflictedError(entry.id)
