"""The row of an object: its facts, people's words, the rules' rulings and what is written for each ticket, as JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.tickets.facts import Dated, ObjectState, Said, Version
from shared.tickets.model import Change, ObjectType, Outcome, Phase, Priority, Standing, Status, Word, Written

# Rows of this form are read by every later release; a new form takes the next number and keeps reading this one.
FORM = 1
_MOST_RECEIPTS = 40


@dataclass(frozen=True)
class ObjectRecord:
    """All that the tickets of one object are derived from. `etag` is empty for an object that has no row yet.

    `rulings` keeps what the rules decided about each thing said, so that a later change of the rules decides about
    what is said later, and does not rewrite tickets that people work on. `unsettled` says that more of the tickets'
    rows have to be written in a further transaction. `receipts` are those of events that were taken in, short:
    not of all of them, and always of the same ones whatever the order.
    """

    state: ObjectState
    words: Mapping[str, Word] = field(default_factory=dict[str, Word])
    rulings: Mapping[str, Outcome] = field(default_factory=dict[str, Outcome])
    written: Mapping[str, Written] = field(default_factory=dict[str, Written])
    unsettled: bool = False
    receipts: tuple[str, ...] = ()
    etag: str = ""

    def has_taken(self, receipt: str) -> bool:
        """Whether an event is known to have been here; when it is not, its receipt may stand in the table still."""
        return _short(receipt) in self.receipts

    def receipts_with(self, receipts: Iterable[str]) -> tuple[str, ...]:
        """The greatest are kept: one that falls out stays out, so the order of arrival does not matter."""
        return tuple(sorted({*self.receipts, *[_short(receipt) for receipt in receipts]})[-_MOST_RECEIPTS:])


def to_json(record: ObjectRecord) -> dict[str, Any]:
    """The record as JSON, without its ETag; members that are empty are left out."""
    state = record.state
    return _filled(
        form=FORM,
        type=str(state.object_type),
        name=state.name,
        versions={name: _version_to_json(version) for name, version in state.versions.items()},
        seen=_time(state.last_seen_at),
        gone=_time(state.gone_at),
        listed=None
        if state.listed is None
        else [_time(state.listed.stamp), [[name, _time(first)] for name, first in state.listed.value]],
        forgotten=_time(state.forgotten_until),
        words={key: _word_to_json(word) for key, word in record.words.items()},
        rulings={key: _outcome_to_json(outcome) for key, outcome in record.rulings.items()},
        written={
            key: _filled(id=one.ticket_id, digest=one.digest, notes=list(one.notes), indexes=list(one.indexes))
            for key, one in record.written.items()
        },
        unsettled=record.unsettled or None,
        receipts=list(record.receipts),
    )


def from_json(members: Mapping[str, Any], etag: str) -> ObjectRecord:
    """What `to_json` wrote."""
    listed = members.get("listed")
    state = ObjectState(
        object_type=ObjectType(members["type"]),
        name=members["name"],
        versions={name: _version(one) for name, one in members.get("versions", {}).items()},
        last_seen_at=_moment(members.get("seen")),
        gone_at=_moment(members.get("gone")),
        listed=None
        if listed is None
        else Dated(tuple((name, _required(first)) for name, first in listed[1]), _required(listed[0])),
        forgotten_until=_moment(members.get("forgotten")),
    )
    return ObjectRecord(
        state,
        words={key: _word(one) for key, one in members.get("words", {}).items()},
        rulings={key: _outcome(one) for key, one in members.get("rulings", {}).items()},
        written={
            key: Written(one["id"], one.get("digest", ""), tuple(one.get("notes", ())), tuple(one.get("indexes", ())))
            for key, one in members.get("written", {}).items()
        },
        unsettled=bool(members.get("unsettled", False)),
        receipts=tuple(members.get("receipts", ())),
        etag=etag,
    )


def _version_to_json(version: Version) -> dict[str, Any]:
    return _filled(
        first=_time(version.first_seen_at),
        created=_time(version.listed_created_at),
        announced=[_said_to_json(said) for said in version.announced],
        stages=[_said_to_json(said) for said in version.stages],
        expires=None if version.expires is None else [_time(version.expires.stamp), _time(version.expires.value)],
        enabled=None if version.enabled is None else [_time(version.enabled.stamp), version.enabled.value],
        changes=[[_time(at), key] for at, key in version.changes],
        changed=_time(version.last_change_at),
    )


def _version(members: Mapping[str, Any]) -> Version:
    expires, enabled = members.get("expires"), members.get("enabled")
    return Version(
        first_seen_at=_required(members["first"]),
        listed_created_at=_moment(members.get("created")),
        announced=tuple(_said(one) for one in members.get("announced", ())),
        stages=tuple(_said(one) for one in members.get("stages", ())),
        expires=None if expires is None else Dated(_moment(expires[1]), _required(expires[0])),
        enabled=None if enabled is None else Dated(bool(enabled[1]), _required(enabled[0])),
        changes=tuple((_required(at), key) for at, key in members.get("changes", ())),
        last_change_at=_moment(members.get("changed")),
    )


def _said_to_json(said: Said) -> list[Any]:
    return [str(said.change), said.days, _time(said.expires_at), _time(said.at), sorted(said.by)]


def _said(members: list[Any]) -> Said:
    return Said(Change(members[0]), members[1], _moment(members[2]), _required(members[3]), frozenset(members[4]))


def _word_to_json(word: Word) -> dict[str, Any]:
    return _filled(
        seen=[str(word.seen.phase), word.seen.urgency, _time(word.seen.expires_at)],
        at=_time(word.at),
        status=_text(word.status),
        priority=_text(word.priority),
        team=word.team,
        assignee=word.assignee,
        site=word.site,
        snoozed=_time(word.snoozed_until),
    )


def _word(members: Mapping[str, Any]) -> Word:
    phase, urgency, expires_at = members["seen"]
    return Word(
        seen=Standing(Phase(phase), urgency, _moment(expires_at)),
        at=_required(members["at"]),
        status=Status(members["status"]) if "status" in members else None,
        priority=Priority(members["priority"]) if "priority" in members else None,
        team=members.get("team"),
        assignee=members.get("assignee"),
        site=members.get("site"),
        snoozed_until=_moment(members.get("snoozed")),
    )


def _outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    return _filled(
        shut=None if outcome.open else True,
        priority=_text(outcome.priority),
        ticket_type=outcome.ticket_type,
        team=outcome.team,
        assignee=outcome.assignee,
        site=outcome.site,
        summary=outcome.summary,
        details=outcome.details,
        rule=outcome.rule,
    )


def _outcome(members: Mapping[str, Any]) -> Outcome:
    values = dict(members)
    priority = values.pop("priority", None)
    shut = values.pop("shut", False)
    return Outcome(open=not shut, priority=None if priority is None else Priority(priority), **values)


def _filled(**members: Any) -> dict[str, Any]:
    # No member is a number or a truth that could be 0 or false.
    return {name: value for name, value in members.items() if value}


def _short(receipt: str) -> str:
    # Of the event's id and of its content: the same id with another content is another event.
    event_id, _, content = receipt.partition(":")
    return event_id[:12] + content


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.isoformat() if moment.tzinfo is UTC else moment.astimezone(UTC).isoformat()


def _required(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
