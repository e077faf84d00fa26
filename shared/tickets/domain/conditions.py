"""The conditions of an object: what occurred that counts, how it stands now, and what ended it. Pure."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from shared.conditions import ConditionReport
from shared.moments import FAR_AWAY
from shared.tickets.domain.desk_reports import ConditionSpell, spells_of
from shared.tickets.domain.model import (
    DESK_SOURCE,
    ChangeType,
    ConditionState,
    Context,
    Note,
    ObjectType,
    Phase,
    Priority,
    RuleEvaluator,
    RuleRecord,
    RuleResult,
    TicketKind,
)
from shared.tickets.domain.observations import AUTHORS, BY_EVENT, BY_SWEEP, ObjectState, Occurrence, Version
from shared.tickets.domain.succession import Story, Succession
from shared.tickets.domain.templates import TITLES

_EVENT_NAMES: Mapping[ChangeType, str] = {
    ChangeType.NEW_VERSION_CREATED: "NewVersionCreated",
    ChangeType.NEAR_EXPIRY: "NearExpiry",
    ChangeType.EXPIRED: "Expired",
    ChangeType.ACCESS_POLICY_CHANGED: "AccessPolicyChanged",
    ChangeType.NO_EXPIRY_DATE: "NoExpiryDate",
}
# Of the desk's own conditions; the others are high.
_PRIORITIES: Mapping[TicketKind, Priority] = {
    TicketKind.SWEEP_FAILING: Priority.MEDIUM,
    TicketKind.QUARANTINE: Priority.MEDIUM,
    TicketKind.DEAD_LETTERS: Priority.MEDIUM,
    TicketKind.SECRET_EXPIRING: Priority.MEDIUM,
    TicketKind.TOKEN_EXPIRING: Priority.MEDIUM,
}
# Occurrences that count, each with what the rules decided about it.
Ruled = tuple[tuple[Occurrence, RuleResult], ...]


@dataclass(frozen=True)
class TicketCondition:
    """A ticket's condition before people's overrides: the occurrences that count, its state, and what ended it."""

    kind: TicketKind
    version: str
    occurrences: Ruled
    state: ConditionState
    ending: Note | None = None
    notes: tuple[Note, ...] = ()
    objects: str = ""
    opened_at: datetime | None = None
    priority: Priority | None = None
    site: str | None = None
    values: Mapping[str, str] = field(default_factory=dict[str, str])


def conditions_of(
    state: ObjectState, context: Context, rule_results: Mapping[str, RuleResult]
) -> tuple[list[TicketCondition], Mapping[str, RuleResult]]:
    """All conditions of the object, ended ones too, in a fixed order; and what the rules decided for them.

    What `rule_results` hold, the rules are not asked again.
    """
    used: dict[str, RuleResult] = {}
    remembering = Context(context.vault, context.include_disabled, _once(context.evaluate, rule_results, used))
    return list(_conditions(state, remembering)), used


def _conditions(state: ObjectState, context: Context) -> Iterator[TicketCondition]:
    succession = Succession(state) if len(state.versions) > 1 else None
    for version in sorted(state.versions):
        yield from _access_policy(state, version, context)
        yield from _new_version(state, version, succession, context)
        yield from _expiry(state, version, succession, context)
    yield from _no_expiry_date(state, context)
    if state.reports:
        yield from _of_the_desk(state, context)


def _new_version(
    state: ObjectState, name: str, succession: Succession | None, context: Context
) -> Iterator[TicketCondition]:
    creation = state.versions[name].creation
    occurrences = _ruled(state, () if creation is None else (creation,), context)
    if creation is None or not occurrences:
        return
    text = f"Version {name} was created; it {_expires(creation.expires_at)}."
    notes = (Note(creation.at, _author(creation.reported_by), text), *_absences(state, creation.at))
    phase, ending = _how_any_ended(state, name)
    if ending is None:
        phase, ending = _aged(state.versions[name])
        after = None if succession is None else succession.next_created(name)
        if after is not None:
            phase, ending = Phase.REPLACED, after
    yield TicketCondition(TicketKind.NEW_VERSION, name, occurrences, ConditionState(phase, 0), ending, notes)


def _expiry(
    state: ObjectState, name: str, succession: Succession | None, context: Context
) -> Iterator[TicketCondition]:
    version = state.versions[name]
    expires_at, (outdated, current) = version.expires_at, version.outdated_and_current()
    # What the present expiry date confirms comes last: it says how the condition stands, and its rule decides.
    occurrences = _ruled(state, (*outdated, *current), context)
    if not occurrences:
        return
    latest = occurrences[-1][0]
    opened_at = min([one.at for one, _ in occurrences])
    confirmed = latest in current
    phase, ending = _how_any_ended(state, name)
    story = Story() if succession is None else succession.story(name, opened_at)
    if ending is None and story.replaced:
        phase, ending, story = Phase.REPLACED, story.notes[-1], replace(story, notes=story.notes[:-1])
    elif ending is None:
        phase, ending = _how_expiry_ended(version, context, confirmed=confirmed)
    urgency = 1 if latest.change is ChangeType.EXPIRED else -latest.days
    expires_at = expires_at if confirmed and expires_at is not None else latest.expires_at
    condition = ConditionState(phase, urgency, expires_at, story.reopened_at)
    notes = (*[_expiry_note(one) for one, _ in occurrences], *story.notes, *_absences(state, opened_at))
    yield TicketCondition(TicketKind.EXPIRY, name, occurrences, condition, ending, notes)


def _access_policy(state: ObjectState, name: str, context: Context) -> Iterator[TicketCondition]:
    version = state.versions[name]
    if version.last_change_at is None:
        return
    first = Occurrence(ChangeType.ACCESS_POLICY_CHANGED, 0, None, version.changes[0][0], (BY_EVENT,))
    occurrences = _ruled(state, (first,), context)
    if not occurrences:
        return
    notes = tuple(
        Note(at, AUTHORS[BY_EVENT], f"Access policies were changed ({key[:8]}).") for at, key in version.changes
    )
    phase, ending = _aged(version)
    condition = ConditionState(phase, round(version.last_change_at.timestamp() * 1_000_000))
    yield TicketCondition(TicketKind.ACCESS_POLICY, name, occurrences, condition, ending, notes)


def _no_expiry_date(state: ObjectState, context: Context) -> Iterator[TicketCondition]:
    if state.without_expiry is None:
        return
    names, at = state.without_expiry.value, state.without_expiry.stamp
    occurrence = Occurrence(ChangeType.NO_EXPIRY_DATE, 0, None, at, (BY_SWEEP,))
    occurrences = _ruled(state, (occurrence,), context)
    if not occurrences:
        return
    if not names:
        ending = Note(at, AUTHORS[BY_SWEEP], "Resolved: every object has an expiry date, or is gone.")
        yield TicketCondition(TicketKind.NO_EXPIRY_DATE, "", occurrences, ConditionState(Phase.EXPIRY_MOVED, 0), ending)
        return
    latest = max(first for _, first in names)
    note = Note(latest, AUTHORS[BY_SWEEP], f"{len(names)} objects have no expiry date.")
    condition = ConditionState(Phase.OPEN, round(latest.timestamp() * 1_000_000))
    objects = "\n".join(name for name, _ in names)
    yield TicketCondition(TicketKind.NO_EXPIRY_DATE, "", occurrences, condition, None, (note,), objects)


def _of_the_desk(state: ObjectState, context: Context) -> Iterator[TicketCondition]:
    """The desk's own conditions: a ticket a kind, whatever the number of spells."""
    for kind in sorted(state.reports):
        spells = spells_of(state.reports[kind])
        if not spells:
            continue
        spell, report = spells[-1], spells[-1].latest
        result = context.evaluate(_record_of_report(report))
        if not result.open:
            continue
        occurrence = Occurrence(ChangeType.CONDITION, 0, report.expires_at, spell.began_at, ("desk",))
        ending = None if spell.over_at is None else Note(spell.over_at, DESK_SOURCE, "Resolved: it is over.")
        urgency = round(max(spell.began_at, report.since).timestamp() * 1_000_000)
        values = {name: str(getattr(report, name)) for name in ("about", "reason", "message", "remedy")}
        yield TicketCondition(
            kind=TicketKind(kind),
            version="",
            occurrences=((occurrence, result),),
            state=ConditionState(Phase.OPEN if ending is None else Phase.OVER, urgency, report.expires_at),
            ending=ending,
            notes=_notes_of_spells(spells),
            opened_at=spell.began_at,
            priority=_PRIORITIES.get(TicketKind(kind), Priority.HIGH),
            site=report.site or None,
            values={**values, "names": "\n".join(report.names), "title": TITLES[TicketKind(kind)]},
        )


def _notes_of_spells(spells: Sequence[ConditionSpell]) -> tuple[Note, ...]:
    """How each began, why it went on for another reason, and how all but the last ended."""
    notes: list[Note] = []
    for number, spell in enumerate(spells):
        told = ""
        for report in spell.reports:
            at = max(spell.began_at, report.since)
            if report.reason != told:
                notes.append(Note(at, DESK_SOURCE, f"{report.message} ({report.reason})"))
            told = report.reason
        if spell.over_at is not None and number < len(spells) - 1:
            notes.append(Note(spell.over_at, DESK_SOURCE, "Resolved: it was over."))
    return tuple(notes)


def _record_of_report(report: ConditionReport) -> RuleRecord:
    """What the criteria of ticket rules can look at, of a condition of the desk."""
    document_kind, _, document = report.about.partition("/")
    return {
        "event": str(ChangeType.CONDITION),
        "kind": str(report.kind),
        "object_type": str(ObjectType.DESK),
        "object_name": report.about,
        "document_kind": document_kind,
        "document": document,
        "reason": report.reason,
        "site": report.site,
        "customer": report.customer,
    }


# What ended it


def _how_any_ended(state: ObjectState, name: str) -> tuple[Phase, Note | None]:
    """What ends every ticket about a version."""
    version = state.versions[name]
    if state.gone_at is not None and state.gone:
        text = f"Closed: the {state.object_type} is no longer in the vault."
        return Phase.DELETED, Note(state.gone_at, AUTHORS[BY_SWEEP], text)
    if version.listing is not None and version.absent:
        text = "Closed: this version is not in the vault."
        return Phase.DELETED, Note(version.listing.changed_at, AUTHORS[BY_SWEEP], text)
    if version.of_certificate or state.managed:
        text = f"Resolved: this belongs to the certificate {state.name}, whose ticket tells of it."
        return Phase.FOLDED, Note(version.first_seen_at, "Deskbridge", text)
    return Phase.OPEN, None


def _how_expiry_ended(version: Version, context: Context, *, confirmed: bool) -> tuple[Phase, Note | None]:
    listing = version.listing
    if not confirmed:
        told = version.told_expires
        at = listing.changed_at if listing is not None else told.stamp if told is not None else version.first_seen_at
        text = f"Resolved: this version now {_expires(version.expires_at)}."
        return Phase.EXPIRY_MOVED, Note(at, AUTHORS[BY_SWEEP], text)
    if listing is not None and not listing.enabled and not context.include_disabled:
        return Phase.DISABLED, Note(listing.changed_at, AUTHORS[BY_SWEEP], "Resolved: this version is disabled.")
    return Phase.OPEN, None


def _aged(version: Version) -> tuple[Phase, Note | None]:
    if version.aged_at is None:
        return Phase.OPEN, None
    return Phase.AGED, Note(version.aged_at, "Deskbridge", "Resolved: nothing more came of it for long.")


def _absences(state: ObjectState, since: datetime) -> tuple[Note, ...]:
    """When the object was not in the vault and came back, from a moment on."""
    notes: list[Note] = []
    for gone_at, closed_at in state.absences:
        back_at = closed_at or (state.last_seen_at if not state.gone else None)
        if gone_at >= since and back_at is not None:
            text = f"Closed: the {state.object_type} is no longer in the vault."
            notes.append(Note(gone_at, AUTHORS[BY_SWEEP], text))
            text = f"Opened again: the {state.object_type} is back in the vault."
            notes.append(Note(max(gone_at, back_at), AUTHORS[BY_SWEEP], text))
    return tuple(notes)


# Rules


def _once(evaluate: RuleEvaluator, known: Mapping[str, RuleResult], used: dict[str, RuleResult]) -> RuleEvaluator:
    """Evaluates the rules once about each record; `used` is filled with what was needed."""

    def evaluate_once(record: RuleRecord) -> RuleResult:
        key = hashlib.sha256(json.dumps(record).encode()).hexdigest()[:12]
        if key not in used:
            used[key] = known[key] if key in known else evaluate(record)
        return used[key]

    return evaluate_once


def _ruled(state: ObjectState, occurrences: Iterable[Occurrence], context: Context) -> Ruled:
    """The occurrences that no rule turns off, each with what the rules decided about it."""
    ruled = [(one, context.evaluate(_record(state, one, context))) for one in occurrences]
    return tuple([one for one in ruled if one[1].open])


def _record(state: ObjectState, occurrence: Occurrence, context: Context) -> RuleRecord:
    """What the criteria of ticket rules can look at."""
    dated = occurrence.expires_at is not None or occurrence.change in {ChangeType.NEAR_EXPIRY, ChangeType.EXPIRED}
    return {
        "event": str(occurrence.change),
        "event_type": f"{state.object_type.capitalize()}{_EVENT_NAMES[occurrence.change]}",
        "vault": context.vault,
        "object_type": str(state.object_type),
        "object_name": state.name,
        "days_to_expiry": occurrence.days if dated else None,
    }


# Notes


def _expiry_note(occurrence: Occurrence) -> Note:
    by = _author(occurrence.reported_by)
    known = "" if occurrence.expires_at is None else date_text(occurrence.expires_at)
    if occurrence.change is ChangeType.EXPIRED:
        return Note(occurrence.at, by, f"This version expired{known and ' '}{known}.")
    ahead = "1 day" if occurrence.days == 1 else f"{occurrence.days} days"
    return Note(occurrence.at, by, f"Near expiry: this version expires {known or 'soon'}, {ahead} ahead.")


def _author(reported_by: tuple[str, ...]) -> str:
    return AUTHORS[BY_EVENT if BY_EVENT in reported_by else BY_SWEEP]


def _expires(expires_at: datetime | None) -> str:
    return "has no expiry date" if expires_at is None else f"expires {date_text(expires_at)}"


def date_text(date: datetime) -> str:
    """The date of an expiry for a person, after `expires`."""
    return "in the far future" if date >= FAR_AWAY else f"on {moment_text(date)}"


def moment_text(moment: datetime) -> str:
    """The moment for a person, to the minute."""
    return f"{moment.astimezone(UTC).isoformat(' ')[:16]} UTC"
