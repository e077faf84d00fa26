"""The decision: from what is known about an object to the tickets there should be. Pure; it reads like the rules.

1. A condition has one ticket: each new version its own, each version's expiry one (near expiry opens it, expired
   raises it), a vault's access policies one a day, and all objects without an expiry date one a vault.
2. What the vault listed decides over what events said. A version is replaced by a later one while that can be used.
   Its place is the moment of its creation; when that was never seen, the first moment at which anything is known of
   it. So a near expiry that arrives after its successor leaves what it would have left in time: its ticket, resolved.
3. What ends an expiry ticket, first match wins: the object or the version is gone (closed), it is a certificate's own,
   it was replaced, its expiry date was moved, the sweep found it disabled (resolved). A new version's ticket ends with
   the next version, or by age.
4. What people decided stands until something new occurs: then a finished ticket reopens, a snoozed one wakes, and
   the priority can only rise. What ends the condition ends the ticket, unless someone has closed it.
5. What a rule turns off is as if it had not occurred.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from shared.moments import FAR_AWAY, LONG_AGO, same_date
from shared.tickets.domain.conditions import TicketCondition, conditions_of, moment_text
from shared.tickets.domain.model import (
    DESK_SOURCE,
    FINISHED,
    KEY_VAULT_SOURCE,
    ChangeType,
    Context,
    DesiredTicket,
    ManualOverride,
    Note,
    ObjectType,
    Phase,
    Priority,
    RuleResult,
    Status,
    StoredTicketRows,
    Ticket,
    TicketKind,
)
from shared.tickets.domain.observations import BY_SWEEP, ObjectState, Occurrence, Version, rank
from shared.tickets.domain.templates import (
    CONDITION_PLACEHOLDERS,
    DETAILS,
    LONGEST_DETAILS,
    LONGEST_SUMMARY,
    PLACEHOLDER,
    SUMMARIES,
)

_URGENT_DAYS = 10
_MOST_RECEIPTS = 40
_SECOND = timedelta(seconds=1)
_NO_CONDITION = dict.fromkeys(CONDITION_PLACEHOLDERS, "")
_RANKS = {priority: rank for rank, priority in enumerate(Priority)}
_TICKET_TYPES: Mapping[TicketKind, str] = {
    TicketKind.NEW_VERSION: "New version",
    TicketKind.EXPIRY: "Expiry",
    TicketKind.ACCESS_POLICY: "Security",
    TicketKind.NO_EXPIRY_DATE: "Expiry",
}


@dataclass(frozen=True)
class ObjectRecord:
    """All that the tickets of one object are derived from. `row_key` is where it is stored; `etag` is empty for an
    object that has no row yet.

    `rule_results` keeps what the rules decided about each occurrence, so that a later change of the rules decides
    about later occurrences, and does not rewrite tickets that people work on. `incomplete` says that more of the
    tickets' rows have to be written in a further transaction. `receipts` are those of events that were taken in,
    short: not of all of them, and always of the same ones whatever the order. `vault_site` is the site of the vault
    when the object was last looked at: where it is counted unless people or rules gave its tickets a site.
    """

    state: ObjectState
    overrides: Mapping[str, ManualOverride] = field(default_factory=dict)
    rule_results: Mapping[str, RuleResult] = field(default_factory=dict)
    stored: Mapping[str, StoredTicketRows] = field(default_factory=dict)
    incomplete: bool = False
    receipts: tuple[str, ...] = ()
    vault_site: str = ""
    row_key: str = ""
    etag: str = ""

    def has_taken(self, receipt: str) -> bool:
        """Whether an event is known to have been here; when it is not, its receipt may stand in the table still."""
        return _short(receipt) in self.receipts

    def receipts_with(self, receipts: Iterable[str]) -> tuple[str, ...]:
        """The greatest are kept: one that falls out stays out, so the order of arrival does not matter."""
        return tuple(sorted({*self.receipts, *map(_short, receipts)})[-_MOST_RECEIPTS:])


@dataclass(frozen=True)
class Decision:
    """The tickets that an object should have, in a fixed order, and what the rules decided about each occurrence."""

    tickets: tuple[DesiredTicket, ...]
    rule_results: Mapping[str, RuleResult]


def decide(
    state: ObjectState,
    overrides: Mapping[str, ManualOverride],
    context: Context,
    rule_results: Mapping[str, RuleResult] | None = None,
) -> Decision:
    """The tickets that the object should have. `overrides` are people's, by the ticket's key.

    `rule_results` are what the rules decided before: they are not asked again about the same occurrence.
    """
    conditions, used = conditions_of(state, context, rule_results or {})
    keyed = [(f"{condition.kind}:{condition.version}", condition) for condition in conditions]
    tickets = [_ticket(state, key, condition, overrides.get(key), context) for key, condition in keyed]
    return Decision(tuple(tickets), used)


@dataclass(frozen=True)
class Expiry:
    """An object as lists show it: the dates of its current version, its sites and teams, its open tickets with the
    site of each. `version` is empty where no list named it, `enabled` None before a vault was read. `seen_on` is the
    last day on which an event told of it. Lists ask the settings for the site of the vault, counts take `vault_site`.
    """

    vault: str
    object_type: ObjectType
    object_name: str
    version: str
    expires_at: datetime | None
    sites: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    managed: bool = False
    enabled: bool | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    not_before: datetime | None = None
    gone_at: datetime | None = None
    seen_on: str = ""
    tickets: tuple[tuple[str, str], ...] = ()
    vault_site: str = ""


def expiry_of(vault: str, record: ObjectRecord) -> Expiry | None:
    """Of an object that is known, by its newest version, or by how the vault listed it since.

    What people decided goes before what the rules did.
    """
    state, listed = record.state, record.state.listed
    present = [name for name, version in state.versions.items() if not version.absent]
    if state.object_type is ObjectType.VAULT or not (present or listed):
        return None
    name = max(present, key=partial(rank, state), default="")
    newest = state.versions.get(name, Version(LONG_AGO))
    listing, creation = newest.listing, newest.creation
    created_at = newest.created_at
    # By the lists that they stand in.
    open_ones = [one for one in record.stored.values() if "".join(one.list_keys[:1]).startswith("open:")]
    shown = Expiry(
        vault,
        state.object_type,
        state.name,
        name,
        newest.expires_at,
        managed=state.managed or newest.of_certificate,
        enabled=None if listing is None else listing.enabled,
        created_at=created_at,
        changed_at=None if listing is None else listing.changed_at,
        not_before=None if creation is None else creation.not_before,
        gone_at=state.gone_at if state.gone else None,
        seen_on="" if state.last_seen_at is None else str(state.last_seen_at.date()),
        tickets=tuple(sorted([(one.ticket_id, one.site or "") for one in open_ones])),
        vault_site=record.vault_site,
    )
    if listed is not None and (created_at is None or created_at < listed.created_at + _SECOND):
        told = listing is not None and not same_date(newest.expires_at, listing.expires_at)
        shown = replace(
            shown,
            version=name if created_at is not None and created_at >= listed.created_at else "",
            expires_at=newest.expires_at if told else listed.expires_at,
            enabled=listed.enabled,
            created_at=listed.created_at,
            changed_at=listed.changed_at,
            not_before=listed.not_before,
        )
    people, rules = tuple(record.overrides.values()), tuple(record.rule_results.values())
    sites = {one.site for one in people if one.site} or {one.site for one in rules if one.site}
    teams = {one.team for one in people if one.team} or {one.team for one in rules if one.team}
    return replace(shown, sites=tuple(sorted(sites)), teams=tuple(sorted(teams)))


def version_of(key: str) -> str:
    """The version that a ticket's key names; empty for a ticket about the vault as a whole."""
    return key.partition(":")[2]


def is_known(state: ObjectState, key: str) -> bool:
    """Whether anything is still known about the version of a ticket's key."""
    return version_of(key) in state.versions or not version_of(key)


def _ticket(
    state: ObjectState, key: str, condition: TicketCondition, override: ManualOverride | None, context: Context
) -> DesiredTicket:
    occurrence, result = condition.occurrences[-1]
    news = override is not None and condition.state.is_newer_than(override.based_on)
    status = _status(condition, override, news=news)
    reopened = _reopened(condition, override, news=news)
    priority = _priority(condition, override, news=news)
    finished = status in FINISHED
    notes = condition.notes
    opened_at = condition.opened_at or min([note.at for note in notes or (condition.ending,) if note is not None])
    if condition.ending is not None:
        # What had ended before anything was known of it ends as it opens.
        notes = (*notes, replace(condition.ending, at=max(condition.ending.at, opened_at)))
    finished_at = _finished_at(status, override, notes) if finished else None
    expires_at = condition.state.expires_at or occurrence.expires_at
    values = _template_values(context.vault, state, condition, expires_at)
    summary = _render(result.summary or SUMMARIES[occurrence.change], values, LONGEST_SUMMARY).strip()
    people = override or ManualOverride(condition.state, opened_at)
    ticket = Ticket(
        ticket_id="",
        kind=condition.kind,
        status=status,
        priority=priority,
        ticket_type=result.ticket_type or _TICKET_TYPES.get(condition.kind, DESK_SOURCE),
        summary=summary[:1].upper() + summary[1:],
        details=_render(result.details or DETAILS[occurrence.change], values, LONGEST_DETAILS).strip(),
        scope=context.vault.rpartition(":")[2],
        object_type=state.object_type,
        object_name=state.name,
        version=values["version"],
        opened_at=opened_at,
        updated_at=max([one.at for one in (*notes, override) if one is not None]),
        finished_at=finished_at,
        expires_at=expires_at,
        snoozed_until=None if news or finished else people.snoozed_until,
        team=people.team or result.team,
        assignee=people.assignee or result.assignee,
        site=people.site or result.site or condition.site,
        rule=result.rule,
        source=DESK_SOURCE if state.object_type is ObjectType.DESK else KEY_VAULT_SOURCE,
    )
    return DesiredTicket(key, ticket, condition.state, notes, () if finished else reopened)


def _short(receipt: str) -> str:
    # Of the event's id and of its content: the same id with another content is another event.
    event_id, _, content = receipt.partition(":")
    return event_id[:12] + content


def _status(condition: TicketCondition, override: ManualOverride | None, *, news: bool) -> Status:
    observed = Status.OPEN
    if condition.ending is not None:
        observed = Status.CLOSED if condition.state.phase is Phase.DELETED else Status.RESOLVED
    if override is None or override.status is None:
        return observed
    if not news:
        return override.status
    if observed is Status.OPEN:
        return Status.OPEN if override.status in FINISHED else override.status
    return Status.CLOSED if Status.CLOSED in {observed, override.status} else observed


def _priority(condition: TicketCondition, override: ManualOverride | None, *, news: bool) -> Priority:
    priority = max(
        [result.priority or condition.priority or _default_priority(one) for one, result in condition.occurrences],
        key=_RANKS.__getitem__,
    )
    if override is None or override.priority is None:
        return priority
    return max(priority, override.priority, key=_RANKS.__getitem__) if news else override.priority


def _default_priority(occurrence: Occurrence) -> Priority:
    if occurrence.change in {ChangeType.NEW_VERSION_CREATED, ChangeType.NO_EXPIRY_DATE}:
        return Priority.LOW
    if occurrence.change is ChangeType.EXPIRED:
        return Priority.HIGH
    # Only the sweep reminds again, so only its reminders rise.
    near = occurrence.change is ChangeType.NEAR_EXPIRY and BY_SWEEP in occurrence.reported_by
    return Priority.HIGH if near and occurrence.days <= _URGENT_DAYS else Priority.MEDIUM


def _finished_at(status: Status, override: ManualOverride | None, notes: tuple[Note, ...]) -> datetime:
    return override.at if override is not None and override.status is status else notes[-1].at


def _reopened(condition: TicketCondition, override: ManualOverride | None, *, news: bool) -> tuple[Note, ...]:
    if override is None or not news or not condition.notes:
        return ()
    latest = max(condition.notes, key=lambda note: note.at)
    if override.status is not None and override.status in FINISHED:
        return (Note(latest.at, latest.author, f"Reopened, because something new occurred: {latest.text}"),)
    if override.snoozed_until is not None:
        return (Note(latest.at, latest.author, f"Woken, because something new occurred: {latest.text}"),)
    return ()


# Texts


def _template_values(
    vault: str, state: ObjectState, condition: TicketCondition, expires_at: datetime | None
) -> dict[str, str]:
    """What each placeholder stands for; empty where it means nothing for the condition."""
    occurrence = condition.occurrences[-1][0]
    expires_on = "soon" if occurrence.change is ChangeType.NEAR_EXPIRY else ""
    return {
        "vault": vault,
        "object_type": str(state.object_type),
        "object_name": state.name,
        "version": "" if state.object_type is ObjectType.VAULT else condition.version,
        "expires_at": _expiry_text(expires_at),
        "expires_on": expires_on if expires_at is None else f"on {expires_at.astimezone(UTC).date()}",
        "days_to_expiry": str(occurrence.days),
        "changed_on": condition.version if condition.kind is TicketKind.ACCESS_POLICY else "",
        "objects": condition.objects,
        "event": str(occurrence.change),
        "at": moment_text(occurrence.at),
        **_values_of(condition),
    }


def _values_of(condition: TicketCondition) -> dict[str, str]:
    """What stands for the placeholders of the desk's own conditions; the title has some of them itself."""
    values = {**_NO_CONDITION, **condition.values}
    return values | {"title": _render(values["title"], values, LONGEST_SUMMARY)} if condition.values else values


def _expiry_text(expires_at: datetime | None) -> str:
    if expires_at is None:
        return "the date is not known"
    return "in the far future" if expires_at >= FAR_AWAY else moment_text(expires_at)


def _render(template: str, values: Mapping[str, str], longest: int) -> str:
    text = PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
