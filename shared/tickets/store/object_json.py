"""The row of an object: its facts, people's words, the rules' rulings and what is written for each ticket, as JSON."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from json.encoder import encode_basestring as _quoted
from typing import Any, Final, TypeVar

from shared.tickets.domain.model import (
    ChangeType,
    ConditionState,
    ManualOverride,
    Note,
    ObjectType,
    Phase,
    Priority,
    RuleResult,
    Status,
    StoredTicketRows,
    iso,
)
from shared.tickets.domain.observations import Dated, ObjectState, Occurrence, Version

T = TypeVar("T")

# Rows of this form are read by every later release; a new form takes the next number and keeps reading this one.
FORM = 1
_MOST_RECEIPTS = 40


# Never changed, and the type checker sees to it: a frozen one takes three times as long to make.
@dataclass
class ObjectRecord:
    """All that the tickets of one object are derived from. `etag` is empty for an object that has no row yet.

    `rulings` keeps what the rules decided about each thing said, so that a later change of the rules decides about
    what is said later, and does not rewrite tickets that people work on. `unsettled` says that more of the tickets'
    rows have to be written in a further transaction. `receipts` are those of events that were taken in, short:
    not of all of them, and always of the same ones whatever the order.
    """

    state: Final[ObjectState]
    words: Final[Mapping[str, ManualOverride]] = field(default_factory=dict)
    rulings: Final[Mapping[str, RuleResult]] = field(default_factory=dict)
    written: Final[Mapping[str, StoredTicketRows]] = field(default_factory=dict)
    unsettled: Final[bool] = False
    receipts: Final[tuple[str, ...]] = ()
    etag: Final[str] = ""

    def has_taken(self, receipt: str) -> bool:
        """Whether an event is known to have been here; when it is not, its receipt may stand in the table still."""
        return bool(self.receipts) and _short(receipt) in self.receipts

    def receipts_with(self, receipts: Iterable[str]) -> tuple[str, ...]:
        """The greatest are kept: one that falls out stays out, so the order of arrival does not matter."""
        return tuple(sorted({*self.receipts, *[_short(receipt) for receipt in receipts]})[-_MOST_RECEIPTS:])


def to_json(record: ObjectRecord) -> str:
    """The record as JSON, without its ETag; members that are empty are left out.

    In the same order however it grew. Written by hand, as rows are: of every event, and in half the time.
    """
    state = record.state
    return _object(
        form=str(FORM),
        type=_quoted(state.object_type),
        name=_quoted(state.name),
        versions=_by_name(state.versions, _version_to_json),
        seen=_time(state.last_seen_at),
        gone=_time(state.gone_at),
        listed="" if state.listed is None else f"[{_time(state.listed.stamp)},[{_listed_to_json(state.listed.value)}]]",
        forgotten=_time(state.forgotten_until),
        words=_by_name(record.words, _word_to_json),
        rulings=_by_name(record.rulings, _outcome_to_json),
        written=_by_name(record.written, _written_to_json),
        unsettled="true" if record.unsettled else "",
        receipts=_array(map(_quoted, record.receipts)),
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
            key: StoredTicketRows(
                one["id"], one.get("digest", ""), tuple(one.get("notes", ())), tuple(one.get("indexes", ()))
            )
            for key, one in members.get("written", {}).items()
        },
        unsettled=bool(members.get("unsettled", False)),
        receipts=tuple(members.get("receipts", ())),
        etag=etag,
    )


def notes_to_json(notes: Iterable[Note]) -> str:
    """The notes as JSON, oldest first; an empty text when there are none."""
    in_order = sorted([(note.at, note.author, note.text) for note in notes])
    return _array(f"[{_time(at)},{_quoted(author)},{_quoted(text)}]" for at, author, text in in_order)


def notes_from_json(members: Iterable[list[str]]) -> list[Note]:
    """What `notes_to_json` wrote."""
    return [Note(_required(at), author, text) for at, author, text in members]


def _version_to_json(version: Version) -> str:
    expires, enabled = version.expires, version.enabled
    return _object(
        first=_time(version.first_seen_at),
        created=_time(version.listed_created_at),
        announced=_array(map(_said_to_json, version.announced)),
        stages=_array(map(_said_to_json, version.stages)),
        expires="" if expires is None else f"[{_time(expires.stamp)},{_time(expires.value) or 'null'}]",
        enabled="" if enabled is None else f"[{_time(enabled.stamp)},{'true' if enabled.value else 'false'}]",
        changes=_array(f"[{_time(at)},{_quoted(key)}]" for at, key in version.changes),
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


def _said_to_json(said: Occurrence) -> str:
    by = ",".join(map(_quoted, sorted(said.by)))
    expires_at = _time(said.expires_at) or "null"
    return f"[{_quoted(said.change)},{said.days},{expires_at},{_time(said.at)},[{by}]]"


def _said(members: list[Any]) -> Occurrence:
    return Occurrence(
        ChangeType(members[0]), members[1], _moment(members[2]), _required(members[3]), frozenset(members[4])
    )


def _listed_to_json(names: Iterable[tuple[str, datetime]]) -> str:
    return ",".join([f"[{_quoted(name)},{_time(first)}]" for name, first in names])


def _word_to_json(word: ManualOverride) -> str:
    seen = word.seen
    return _object(
        seen=f"[{_quoted(seen.phase)},{seen.urgency},{_time(seen.expires_at) or 'null'}]",
        at=_time(word.at),
        status=_text(word.status),
        priority=_text(word.priority),
        team=_text(word.team),
        assignee=_text(word.assignee),
        site=_text(word.site),
        snoozed=_time(word.snoozed_until),
    )


def _word(members: Mapping[str, Any]) -> ManualOverride:
    phase, urgency, expires_at = members["seen"]
    return ManualOverride(
        seen=ConditionState(Phase(phase), urgency, _moment(expires_at)),
        at=_required(members["at"]),
        status=Status(members["status"]) if "status" in members else None,
        priority=Priority(members["priority"]) if "priority" in members else None,
        team=members.get("team"),
        assignee=members.get("assignee"),
        site=members.get("site"),
        snoozed_until=_moment(members.get("snoozed")),
    )


def _outcome_to_json(outcome: RuleResult) -> str:
    return _object(
        shut="" if outcome.open else "true",
        priority=_text(outcome.priority),
        ticket_type=_text(outcome.ticket_type),
        team=_text(outcome.team),
        assignee=_text(outcome.assignee),
        site=_text(outcome.site),
        summary=_text(outcome.summary),
        details=_text(outcome.details),
        rule=_text(outcome.rule),
    )


def _outcome(members: Mapping[str, Any]) -> RuleResult:
    values = dict(members)
    priority = values.pop("priority", None)
    shut = values.pop("shut", False)
    return RuleResult(open=not shut, priority=None if priority is None else Priority(priority), **values)


def _written_to_json(written: StoredTicketRows) -> str:
    return _object(
        id=_quoted(written.ticket_id),
        digest=_text(written.digest),
        notes=_array(map(_quoted, written.notes)),
        indexes=_array(map(_quoted, written.indexes)),
    )


# JSON, member by member. What is empty is an empty text, and is left out.


def _object(**members: str) -> str:
    filled = [f'"{name}":{member}' for name, member in members.items() if member]
    return f"{{{','.join(filled)}}}"


def _by_name(members: Mapping[str, T], write: Callable[[T], str]) -> str:
    filled = [f"{_quoted(name)}:{write(members[name])}" for name in sorted(members)]
    return f"{{{','.join(filled)}}}" if filled else ""


def _array(members: Iterable[str]) -> str:
    filled = ",".join(members)
    return f"[{filled}]" if filled else ""


def _text(value: str | None) -> str:
    return _quoted(value) if value else ""


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f'"{iso(moment)}"'


def _short(receipt: str) -> str:
    # Of the event's id and of its content: the same id with another content is another event.
    event_id, _, content = receipt.partition(":")
    return event_id[:12] + content


def _required(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
