"""Where the desk's own conditions are found: each look reads one place, and says what holds there."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.access.tokens import AccessTokens, Token
from shared.conditions import ConditionKind, ConditionReport, over, slot_of
from shared.imports.runs.statuses import ImportStatuses
from shared.outbox.gathered import GatheredOutbox
from shared.outbox.model import OutboxState, failed_entry
from shared.outbox.outbox import Outbox
from shared.reasons import Reason
from shared.settings.store import SettingsStore
from shared.settings.stored import UnreadableDocument
from shared.storage.names import WORKED_QUEUES
from shared.storage.queues import Queues
from shared.tickets.inbound.quarantine import Quarantine
from shared.tickets.inbound.sweep_conditions import SWEEP_EXPECTED_WITHIN, report_of_vault
from shared.tickets.inbound.sweeps import Sweeps
from shared.vaults.credentials import VaultCredentials

if TYPE_CHECKING:
    # It loads the blob client.
    from shared.tickets.inbound.dead_letters import DeadLetters

# A message waits this long when all workers are busy; longer, and nobody reads the queue.
MESSAGE_READ_WITHIN = timedelta(minutes=30)
# The timer has hurried it several times by then.
FOLLOW_UP_WITHIN = timedelta(hours=1)
_TOKEN_TOLD_BEFORE = timedelta(days=14)
_EXPIRED_TOKEN_TOLD_FOR = timedelta(days=30)
# Vaults whose last sweep failed. Where nothing sweeps any more all are overdue, and few of them say so.
_REFUSED_AT_ONCE, _OVERDUE_AT_ONCE = 200, 20


@dataclass(frozen=True)
class Look:
    """One place where conditions are found. It finds all that hold of its `kinds`; without any it may miss some."""

    name: str
    find: Callable[[], Iterable[ConditionReport]]
    kinds: frozenset[ConditionKind] = frozenset()


def import_look(statuses: ImportStatuses) -> Look:
    return Look("imports", statuses.reports, frozenset({ConditionKind.IMPORT_FAILING, ConditionKind.IMPORT_WITHHELD}))


def sweep_look(sweeps: Sweeps, now: Callable[[], datetime]) -> Look:
    """A few vaults whose last sweep failed, and those that waited longest for one."""

    def find() -> Iterator[ConditionReport]:
        refused = [one.vault for one in sweeps.vaults.some_refused(_REFUSED_AT_ONCE)]
        overdue = sweeps.vaults.overdue(now() - SWEEP_EXPECTED_WITHIN, _OVERDUE_AT_ONCE)
        for known in sweeps.vaults.find_all(sorted({*refused, *overdue})).values():
            yield report_of_vault(known, now())

    return Look("sweeps", find)


def recovery_looks(quarantine: Quarantine, dead_letters: "Callable[[], DeadLetters]") -> list[Look]:
    def kept() -> Iterator[ConditionReport]:
        newest = quarantine.newest()
        if newest is not None:
            yield newest

    def letters() -> Iterator[ConditionReport]:
        for one in dead_letters().list(1, None)[0]:
            yield ConditionReport(
                ConditionKind.DEAD_LETTERS,
                "desk/dead-letters",
                one.written_at,
                slot_of(one.written_at),
                reason=str(Reason.DEAD_LETTERS_PRESENT),
                message="Event Grid gave up on events, and they are not recorded yet.",
                remedy="Look at GET /api/v1/dead-letters, and record them: POST /api/v1/dead-letters/replay.",
            )

    return [
        Look("the quarantine", kept, frozenset({ConditionKind.QUARANTINE})),
        Look("dead letters", letters, frozenset({ConditionKind.DEAD_LETTERS})),
    ]


def queue_look(queues: Callable[[], Queues], now: Callable[[], datetime]) -> Look:
    def find() -> Iterator[ConditionReport]:
        for queue, poison in WORKED_QUEUES:
            state = queues().state(queue)
            if state is not None and state.oldest_at is not None and now() - state.oldest_at > MESSAGE_READ_WITHIN:
                yield _waiting(ConditionKind.QUEUE_STUCK, queue, state.oldest_at, now(), state.messages)
            state = queues().state(poison)
            if state is not None and state.messages:
                yield _waiting(ConditionKind.POISON_MESSAGES, poison, state.oldest_at or now(), now(), state.messages)

    return Look("queues", find, frozenset({ConditionKind.QUEUE_STUCK, ConditionKind.POISON_MESSAGES}))


def _waiting(kind: ConditionKind, queue: str, since: datetime, now: datetime, messages: int) -> ConditionReport:
    stuck = kind is ConditionKind.QUEUE_STUCK
    told = "and the oldest has waited over 30 minutes" if stuck else "which failed for good"
    return ConditionReport(
        kind,
        f"queues/{queue}",
        since,
        max(since, _hour(now)),
        reason=str(Reason.QUEUE_STUCK if stuck else Reason.MESSAGES_POISONED),
        message=f"The queue {queue} holds {messages} messages, {told}.",
        remedy="See whether the function that reads it is enabled, and what its log says. What is no Base64 stays for "
        f"ever: look at it with `az storage message peek --queue-name {queue}`, and remove it.",
    )


def settings_look(settings: SettingsStore, now: Callable[[], datetime]) -> Look:
    def find() -> Iterator[ConditionReport]:
        for _, stored in settings.list_all():
            if isinstance(stored, UnreadableDocument):
                refusal = stored.refusal
                yield ConditionReport(
                    ConditionKind.SETTINGS_UNREADABLE,
                    f"{stored.kind}/{stored.name}",
                    stored.changed_at,
                    max(stored.changed_at, _hour(now())),
                    reason=str(refusal.reason),
                    message=refusal.message,
                    remedy=f"{refusal.remedy} See GET /api/v1/settings/{stored.kind}/{stored.name}.",
                )

    return Look("settings", find, frozenset({ConditionKind.SETTINGS_UNREADABLE}))


def token_look(tokens: AccessTokens, now: Callable[[], datetime]) -> Look:
    def find() -> Iterator[ConditionReport]:
        yield from (report for token in tokens.all() if (report := _token(token, now())) is not None)

    return Look("access tokens", find, frozenset({ConditionKind.TOKEN_EXPIRING}))


def _token(token: Token, now: datetime) -> ConditionReport | None:
    # Who makes a token for an hour knows that it ends.
    before = min(_TOKEN_TOLD_BEFORE, (token.expires_at - token.created_at) / 4)
    told = token.expires_at - before <= now < token.expires_at + _EXPIRED_TOKEN_TOLD_FOR
    if token.revoked_at is not None or not told:
        return None
    expired = token.expires_at <= now
    since = token.expires_at if expired else token.expires_at - before
    return ConditionReport(
        ConditionKind.TOKEN_EXPIRING,
        f"tokens/{token.name}",
        since,
        since,
        reason=str(Reason.ACCESS_TOKEN_EXPIRED if expired else Reason.ACCESS_TOKEN_EXPIRES),
        message=f"The access token {token.name} {'ended' if expired else 'ends'} at {token.expires_at:%Y-%m-%d %H:%M} "
        "UTC.",
        remedy="Make a new one, give it to whoever uses this one, and revoke this one.",
        expires_at=token.expires_at,
    )


def outbox_look(
    outbox: Callable[[], Outbox], gathered: Callable[[], GatheredOutbox], now: Callable[[], datetime]
) -> Look:
    def find() -> Iterator[ConditionReport]:
        failed, _ = outbox().page(OutboxState.FAILED, 1, None)
        if failed:
            yield failed_entry(failed[0].at, max(failed[0].at, _hour(now())))
        waiting, _ = outbox().page(OutboxState.PENDING, 1, None)
        late = gathered().behind()
        since = now() - late if late is not None else waiting[0].at if waiting else now()
        if late is not None or now() - since > FOLLOW_UP_WITHIN:
            yield ConditionReport(
                ConditionKind.OUTBOX_FAILING,
                "desk/follow-ups",
                since,
                max(since, _hour(now())),
                reason=str(Reason.FOLLOW_UPS_LATE),
                message="Lists, searches and what else follows from changes are late.",
                remedy="See whether follow_marked_partitions and carry_out_follow_ups run, and what their log says. "
                "GET /api/v1/outbox lists what waits.",
            )

    return Look("the outbox", find, frozenset({ConditionKind.OUTBOX_FAILING}))


def asking(
    sweeps: Callable[[], Sweeps], credentials: Callable[[], VaultCredentials], now: Callable[[], datetime]
) -> Callable[[ConditionKind, str], ConditionReport]:
    """Asks for one condition whose look may miss some: of a vault, a store, a secret."""

    def ask(kind: ConditionKind, about: str) -> ConditionReport:
        place, _, name = about.partition("/")
        if kind is ConditionKind.SECRET_EXPIRING:
            return credentials().prove(about)
        if place == "credential-stores":
            return sweeps().discovery.report_of(name)
        known = sweeps().vaults.find(name)
        return over(kind, about, now()) if known is None else report_of_vault(known, now())

    return ask


def _hour(now: datetime) -> datetime:
    # What goes on is told again each hour, with its numbers.
    return now.replace(minute=0, second=0, microsecond=0)
