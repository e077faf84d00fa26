"""The decision: from what is known about an object to the tickets there should be. Pure; it reads like the rules.

1. A condition has one ticket: each new version its own, each version's expiry one (near expiry opens it, expired
   raises it), a vault's access policies one a day, and all objects without an expiry date one a vault.
2. A version is replaced by the next one that was created. Its place is the moment of its creation; when that was
   never seen, the first moment anything was said about it. So a near expiry that arrives after its successor leaves
   what it would have left in time: its ticket, resolved.
3. What ends an expiry ticket, first match wins: the object is gone (closed), the version was replaced, its expiry
   date was moved, the sweep found it disabled (resolved).
4. What people decided stands until something new is said: then a finished ticket reopens, a snoozed one wakes, and
   the priority can only rise. What ends the condition ends the ticket, unless someone has closed it.
5. What a rule turns off is as if it had not been said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.tickets.domain.model import (
    ChangeType,
    ConditionState,
    Context,
    DesiredTicket,
    ManualOverride,
    Note,
    ObjectType,
    Phase,
    Priority,
    RuleRecord,
    RuleResult,
    Status,
    Ticket,
    TicketKind,
    highest,
    iso,
)
from shared.tickets.domain.observations import BY_EVENT, BY_SWEEP, ObjectState, Occurrence, Version, rank
from shared.tickets.domain.templates import LONGEST_DETAILS, LONGEST_SUMMARY, render

RuleEvaluator = Callable[[RuleRecord], RuleResult]

_PRESSING_DAYS = 10
_AUTHORS = {BY_EVENT: "Key Vault event", BY_SWEEP: "daily sweep"}
_EVENT_NAMES: Mapping[ChangeType, str] = {
    ChangeType.NEW_VERSION_CREATED: "NewVersionCreated",
    ChangeType.NEAR_EXPIRY: "NearExpiry",
    ChangeType.EXPIRED: "Expired",
    ChangeType.ACCESS_POLICY_CHANGED: "AccessPolicyChanged",
    ChangeType.NO_EXPIRY_DATE: "NoExpiryDate",
}
_TICKET_TYPES: Mapping[TicketKind, str] = {
    TicketKind.NEW_VERSION: "New version",
    TicketKind.EXPIRY: "Expiry",
    TicketKind.ACCESS_POLICY: "Security",
    TicketKind.NO_EXPIRY_DATE: "Expiry",
}
_SUMMARIES: Mapping[ChangeType, str] = {
    ChangeType.NEW_VERSION_CREATED: "New version of {object_type} {object_name} in {vault}",
    ChangeType.NEAR_EXPIRY: "{object_type} {object_name} in {vault} expires {expires_on}",
    ChangeType.EXPIRED: "{object_type} {object_name} in {vault} expired {expires_on}",
    ChangeType.ACCESS_POLICY_CHANGED: "Access policies of {vault} changed {expires_on}",
    ChangeType.NO_EXPIRY_DATE: "Objects without an expiry date in {vault}",
}
_DETAILS: Mapping[ChangeType, str] = {
    ChangeType.NEW_VERSION_CREATED: "Version {version} of the {object_type} {object_name} in the vault {vault} was "
    "created on {at}. It expires: {expires_at}. See that whatever uses it takes the new version up.",
    ChangeType.NEAR_EXPIRY: "Version {version} of the {object_type} {object_name} in the vault {vault} expires: "
    "{expires_at}. Create a new version before that; this ticket is then resolved by itself.",
    ChangeType.EXPIRED: "Version {version} of the {object_type} {object_name} in the vault {vault} has expired: "
    "{expires_at}. Create a new version; this ticket is then resolved by itself.",
    ChangeType.ACCESS_POLICY_CHANGED: "Who may read or change what is in the vault {vault} was changed on "
    "{expires_on}. Check in its activity log who did it, and that it was meant.",
    ChangeType.NO_EXPIRY_DATE: "Nobody is told before these stop being safe to use. Give each an "
    "expiry date:\n{version}",
}


@dataclass(frozen=True)
class _Condition:
    """A ticket's condition before people's words: what was said that counts, how it stands, and what ended it."""

    kind: TicketKind
    version: str
    said: tuple[tuple[Occurrence, RuleResult], ...]
    standing: ConditionState
    ending: Note | None = None
    notes: tuple[Note, ...] = ()
    shown: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.version}"


def decide(
    state: ObjectState, words: Mapping[str, ManualOverride], context: Context, ruling: RuleEvaluator
) -> list[DesiredTicket]:
    """The tickets that the object should have, in a fixed order. `words` are people's, by the ticket's key."""
    conditions: list[_Condition] = []
    for version in sorted(state.versions):
        conditions += _access_policy(state, version, context, ruling)
        conditions += _new_version(state, version, context, ruling)
        conditions += _expiry(state, version, context, ruling)
    conditions += _no_expiry_date(state, context, ruling)
    return [_want(state, condition, words.get(condition.key), context) for condition in conditions]


def version_of(key: str) -> str:
    """The version that a ticket's key names; empty for a ticket about the vault as a whole."""
    return key.partition(":")[2]


def is_known(state: ObjectState, key: str) -> bool:
    """Whether anything is still known about the version of a ticket's key."""
    return version_of(key) in state.versions or not version_of(key)


# The conditions


def _new_version(state: ObjectState, name: str, context: Context, ruling: RuleEvaluator) -> list[_Condition]:
    said = _counting(state, state.versions[name].announced, context, ruling)
    if not said:
        return []
    text = f"Version {name} was created; it {_expires(said[0][0].expires_at)}."
    note = Note(said[0][0].at, _author(said[0][0].by), text)
    ending = _gone(state)
    standing = ConditionState(Phase.DELETED if ending else Phase.OPEN, 0)
    return [_Condition(TicketKind.NEW_VERSION, name, said, standing, ending, (note,))]


def _expiry(state: ObjectState, name: str, context: Context, ruling: RuleEvaluator) -> list[_Condition]:
    version = state.versions[name]
    said = _counting(state, version.stages, context, ruling)
    if not said:
        return []
    # What still holds comes last: it says how the ticket stands, and its rule decides.
    said = tuple(sorted(said, key=lambda one: (_still_holds(one[0], version), one[0].pressing)))
    most_pressing = said[-1][0]
    phase, ending = _how_it_ended(state, name, version, context, holding=_still_holds(most_pressing, version))
    urgency = 1 if most_pressing.change is ChangeType.EXPIRED else -most_pressing.days
    standing = ConditionState(phase, urgency, most_pressing.expires_at)
    return [_Condition(TicketKind.EXPIRY, name, said, standing, ending, tuple(_stage_note(one) for one, _ in said))]


def _access_policy(state: ObjectState, name: str, context: Context, ruling: RuleEvaluator) -> list[_Condition]:
    version = state.versions[name]
    if version.last_change_at is None:
        return []
    first = Occurrence(ChangeType.ACCESS_POLICY_CHANGED, 0, None, version.changes[0][0], frozenset({BY_EVENT}))
    said = _counting(state, (first,), context, ruling)
    if not said:
        return []
    notes = tuple(
        Note(at, _AUTHORS[BY_EVENT], f"Access policies were changed ({key[:8]}).") for at, key in version.changes
    )
    standing = ConditionState(Phase.OPEN, round(version.last_change_at.timestamp() * 1_000_000))
    return [_Condition(TicketKind.ACCESS_POLICY, name, said, standing, None, notes)]


def _no_expiry_date(state: ObjectState, context: Context, ruling: RuleEvaluator) -> list[_Condition]:
    if state.listed is None:
        return []
    names = state.listed.value
    at = state.listed.stamp
    latest = max((first for _, first in names), default=at)
    said = _counting(
        state, (Occurrence(ChangeType.NO_EXPIRY_DATE, 0, None, at, frozenset({BY_SWEEP})),), context, ruling
    )
    if not said:
        return []
    if not names:
        ending = Note(at, _AUTHORS[BY_SWEEP], "Resolved: every object has an expiry date, or is gone.")
        return [_Condition(TicketKind.NO_EXPIRY_DATE, "", said, ConditionState(Phase.EXPIRY_MOVED, 0), ending)]
    shown = "\n".join(name for name, _ in names)
    note = Note(latest, _AUTHORS[BY_SWEEP], f"{len(names)} objects have no expiry date.")
    standing = ConditionState(Phase.OPEN, round(latest.timestamp() * 1_000_000))
    return [_Condition(TicketKind.NO_EXPIRY_DATE, "", said, standing, None, (note,), shown)]


# What holds, and what ended it


def _still_holds(said: Occurrence, version: Version) -> bool:
    if said.expires_at is None or version.expires is None:
        return True
    return said.expires_at == version.expires.value


def _how_it_ended(
    state: ObjectState, name: str, version: Version, context: Context, *, holding: bool
) -> tuple[Phase, Note | None]:
    gone = _gone(state)
    if gone is not None:
        return Phase.DELETED, gone
    successor = _successor(state, name)
    if successor is not None:
        created_at = state.versions[successor].created_at or rank(state, successor)[0]
        by = frozenset({BY_EVENT} if state.versions[successor].announced else {BY_SWEEP})
        return Phase.REPLACED, Note(created_at, _author(by), f"Resolved: version {successor} replaced this one.")
    if not holding and version.expires is not None:
        text = f"Resolved: this version now {_expires(version.expires.value)}."
        return Phase.EXPIRY_MOVED, Note(version.expires.stamp, _AUTHORS[BY_SWEEP], text)
    if version.enabled is not None and not version.enabled.value and not context.include_disabled:
        return Phase.DISABLED, Note(version.enabled.stamp, _AUTHORS[BY_SWEEP], "Resolved: this version is disabled.")
    return Phase.OPEN, None


def _gone(state: ObjectState) -> Note | None:
    if not state.gone or state.gone_at is None:
        return None
    return Note(state.gone_at, _AUTHORS[BY_SWEEP], f"Closed: the {state.object_type} is no longer in the vault.")


def _successor(state: ObjectState, name: str) -> str | None:
    """The next version that was created after this one."""
    if len(state.versions) == 1:
        return None
    own = rank(state, name)
    later = [
        rank(state, other)
        for other, version in state.versions.items()
        if other != name and version.created_at is not None and rank(state, other) > own
    ]
    return min(later)[1] if later else None


# Rules and defaults


def _counting(
    state: ObjectState, said: tuple[Occurrence, ...], context: Context, ruling: RuleEvaluator
) -> tuple[tuple[Occurrence, RuleResult], ...]:
    """What was said and no rule turns off, each with the rules' outcome; the least pressing first."""
    if not said:
        return ()
    in_order = said if len(said) < 2 else sorted(said, key=lambda one: one.pressing)
    ruled = [(one, ruling(_record(state, one, context))) for one in in_order]
    return tuple([one for one in ruled if one[1].open])


def _record(state: ObjectState, said: Occurrence, context: Context) -> RuleRecord:
    """What the criteria of ticket rules can look at."""
    known = said.expires_at is not None or said.change is ChangeType.NEAR_EXPIRY
    return {
        "event": str(said.change),
        "event_type": f"{state.object_type.capitalize()}{_EVENT_NAMES[said.change]}",
        "vault": context.vault,
        "object_type": str(state.object_type),
        "object_name": state.name,
        "days_to_expiry": said.days if known or said.change is ChangeType.EXPIRED else None,
    }


def _default_priority(said: Occurrence) -> Priority:
    if said.change is ChangeType.NEW_VERSION_CREATED:
        return Priority.LOW
    if said.change is ChangeType.EXPIRED:
        return Priority.HIGH
    # Only the sweep reminds again, so only its reminders rise.
    if said.change is ChangeType.NEAR_EXPIRY and BY_SWEEP in said.by and said.days <= _PRESSING_DAYS:
        return Priority.HIGH
    return Priority.LOW if said.change is ChangeType.NO_EXPIRY_DATE else Priority.MEDIUM


# The ticket


def _want(state: ObjectState, condition: _Condition, word: ManualOverride | None, context: Context) -> DesiredTicket:
    said, outcome = condition.said[-1]
    news = word is not None and condition.standing.is_newer_than(word.seen)
    by_facts = Status.OPEN
    if condition.ending is not None:
        by_facts = Status.CLOSED if condition.standing.phase is Phase.DELETED else Status.RESOLVED
    status = _status(by_facts, word, news=news)
    priority = highest([ruled.priority or _default_priority(one) for one, ruled in condition.said])
    if word is not None and word.priority is not None:
        priority = highest([priority, word.priority]) if news else word.priority
    notes = condition.notes
    opened_at = min([note.at for note in notes or (condition.ending,) if note is not None])
    if condition.ending is not None:
        # What had ended before anything was said of it ends as it opens.
        notes = (*notes, replace(condition.ending, at=max(condition.ending.at, opened_at)))
    expires_at = condition.standing.expires_at or (
        said.expires_at if condition.kind is TicketKind.NEW_VERSION else None
    )
    finished_at = None
    if status.finished:
        by_word = word is not None and word.status is status
        finished_at = word.at if word is not None and by_word else notes[-1].at
    values = _values(state, condition, said, context)
    change = condition.said[-1][0].change
    ticket = Ticket(
        ticket_id="",
        kind=condition.kind,
        status=status,
        priority=priority,
        ticket_type=outcome.ticket_type or _TICKET_TYPES[condition.kind],
        summary=_capitalised(render(outcome.summary or _SUMMARIES[change], values, LONGEST_SUMMARY)),
        details=render(outcome.details or _DETAILS[change], values, LONGEST_DETAILS),
        vault=context.vault,
        object_type=state.object_type,
        object_name=state.name,
        version=condition.version if state.object_type is not ObjectType.VAULT else "",
        opened_at=opened_at,
        updated_at=max([one.at for one in (*notes, word) if one is not None]),
        finished_at=finished_at,
        expires_at=expires_at,
        snoozed_until=None if word is None or news or status.finished else word.snoozed_until,
        team=(word.team if word is not None else None) or outcome.team,
        assignee=(word.assignee if word is not None else None) or outcome.assignee,
        site=(word.site if word is not None else None) or outcome.site,
        rule=outcome.rule,
    )
    reopened = _reopened(condition, word, status, news=news)
    return DesiredTicket(condition.key, ticket, condition.standing, notes, reopened)


def _status(by_facts: Status, word: ManualOverride | None, *, news: bool) -> Status:
    if word is None or word.status is None:
        return by_facts
    if not news:
        return word.status
    if by_facts is Status.OPEN:
        return Status.OPEN if word.status.finished else word.status
    return Status.CLOSED if Status.CLOSED in {by_facts, word.status} else by_facts


def _reopened(condition: _Condition, word: ManualOverride | None, status: Status, *, news: bool) -> tuple[Note, ...]:
    if word is None or not news or status.finished or not condition.notes:
        return ()
    latest = max(condition.notes, key=lambda note: note.at)
    if word.status is not None and word.status.finished:
        return (Note(latest.at, latest.author, f"Reopened, because something new was said: {latest.text}"),)
    if word.snoozed_until is not None:
        return (Note(latest.at, latest.author, f"Woken, because something new was said: {latest.text}"),)
    return ()


def _values(state: ObjectState, condition: _Condition, said: Occurrence, context: Context) -> dict[str, str]:
    expires_at = condition.standing.expires_at or said.expires_at
    on = "" if expires_at is None else f"on {iso(expires_at)[:10]}"
    if condition.kind is TicketKind.ACCESS_POLICY:
        on = f"on {condition.version}"
    elif not on and condition.kind is TicketKind.EXPIRY:
        on = "soon" if said.change is ChangeType.NEAR_EXPIRY else ""
    return {
        "vault": context.vault,
        "object_type": str(state.object_type),
        "object_name": state.name,
        "version": condition.shown or condition.version,
        "expires_at": "the date is not known" if expires_at is None else _moment(expires_at),
        "expires_on": on,
        "days_to_expiry": str(said.days),
        "event": str(said.change),
        "at": _moment(said.at),
    }


def _stage_note(said: Occurrence) -> Note:
    if said.change is ChangeType.EXPIRED:
        when = "" if said.expires_at is None else f" on {_moment(said.expires_at)}"
        return Note(said.at, _author(said.by), f"This version expired{when}.")
    when = "soon" if said.expires_at is None else f"on {_moment(said.expires_at)}"
    return Note(said.at, _author(said.by), f"Near expiry: this version expires {when}, {_days(said.days)} ahead.")


def _author(by: frozenset[str]) -> str:
    return _AUTHORS[BY_EVENT if BY_EVENT in by else BY_SWEEP]


def _expires(expires_at: datetime | None) -> str:
    return "has no expiry date" if expires_at is None else f"expires on {_moment(expires_at)}"


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def _moment(moment: datetime) -> str:
    text = iso(moment)
    return f"{text[:10]} {text[11:16]} UTC"


def _capitalised(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:]
