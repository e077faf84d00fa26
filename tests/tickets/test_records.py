"""The row of an object: what is written is what is read, and the same text however it grew."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.tickets.domain.model import (
    ChangeType,
    ConditionState,
    KeyVaultEvent,
    ManualOverride,
    Note,
    ObjectType,
    RuleResult,
    StoredTicketRows,
    TicketKind,
    ticket_id,
)
from shared.tickets.domain.observations import Dated, ObjectState, Occurrence, Version
from shared.tickets.store.object_json import ObjectRecord, from_json, notes_from_json, notes_to_json, to_json

_moments = st.datetimes(datetime(1970, 1, 2), datetime(9990, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_said = st.builds(
    Occurrence,
    change=st.sampled_from(ChangeType),
    days=st.integers(0, 4000),
    expires_at=_optional(_moments),
    at=_moments,
    by=st.frozensets(st.sampled_from(["event", "sweep"]), min_size=1),
)
_versions = st.builds(
    Version,
    first_seen_at=_moments,
    listed_created_at=_optional(_moments),
    announced=st.lists(_said, max_size=1).map(tuple),
    stages=st.lists(_said, max_size=3).map(tuple),
    expires=_optional(st.builds(Dated, _optional(_moments), _moments)),
    enabled=_optional(st.builds(Dated, st.booleans(), _moments)),
    changes=st.lists(st.tuples(_moments, _texts), max_size=2).map(tuple),
    last_change_at=_optional(_moments),
)
_states = st.builds(
    ObjectState,
    object_type=st.sampled_from(ObjectType),
    name=_texts,
    versions=st.dictionaries(_texts, _versions, max_size=3),
    last_seen_at=_optional(_moments),
    gone_at=_optional(_moments),
    listed=_optional(st.builds(Dated, st.lists(st.tuples(_texts, _moments), max_size=2).map(tuple), _moments)),
    forgotten_until=_optional(_moments),
)
_outcomes = st.builds(
    RuleResult,
    **dict.fromkeys(("ticket_type", "team", "assignee", "site", "summary", "details", "rule"), _optional(_texts)),
)
_people = st.builds(
    ManualOverride,
    seen=st.builds(ConditionState, expires_at=_optional(_moments)),
    at=_moments,
    team=_optional(_texts),
    assignee=_optional(_texts),
    site=_optional(_texts),
    snoozed_until=_optional(_moments),
)
_written = st.builds(
    StoredTicketRows,
    _texts,
    st.text("0123456789abcdef", max_size=16),
    st.lists(_texts, max_size=2).map(tuple),
    st.lists(_texts, max_size=2).map(tuple),
)
_records = st.builds(
    ObjectRecord,
    _states,
    st.dictionaries(_texts, _people, max_size=2),
    st.dictionaries(_texts, _outcomes, max_size=2),
    st.dictionaries(_texts, _written, max_size=2),
    st.booleans(),
    st.lists(_texts, max_size=3).map(tuple),
    _texts,
)


def _backwards(members: Any) -> Any:
    return dict(reversed(members.items()))


@given(_records)
@settings(max_examples=40)
def test_a_record_is_read_as_it_was_written(record: ObjectRecord) -> None:
    assert from_json(json.loads(to_json(record)), record.etag) == record


@given(_records)
@settings(max_examples=20)
def test_a_record_is_the_same_text_in_whatever_order_it_grew(record: ObjectRecord) -> None:
    state = ObjectState(
        record.state.object_type,
        record.state.name,
        _backwards(record.state.versions),
        record.state.last_seen_at,
        record.state.gone_at,
        record.state.listed,
        record.state.forgotten_until,
    )
    other = ObjectRecord(
        state,
        _backwards(record.words),
        _backwards(record.rulings),
        _backwards(record.written),
        record.unsettled,
        record.receipts,
        record.etag,
    )
    assert to_json(other) == to_json(record)


def test_what_is_empty_is_left_out() -> None:
    record = ObjectRecord(ObjectState(ObjectType.KEY, "mail"))
    assert json.loads(to_json(record)) == {"form": 1, "type": "key", "name": "mail"}


@given(st.lists(st.builds(Note, _moments, _texts, _texts), max_size=5))
def test_notes_are_read_as_they_were_written_and_oldest_first(notes: list[Note]) -> None:
    text = notes_to_json(notes)
    read = notes_from_json(json.loads(text)) if text else []
    assert read == sorted(notes, key=lambda note: (note.at, note.author, note.text))


def test_one_moment_in_two_zones_is_one_receipt() -> None:
    def receipt(at: datetime) -> str:
        return KeyVaultEvent("1", "s", "v", ChangeType.EXPIRED, ObjectType.KEY, "n", "aa", at, None, at).receipt

    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert receipt(at.astimezone(timezone(timedelta(hours=2)))) == receipt(at)


def test_names_are_those_that_earlier_releases_gave() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    event = KeyVaultEvent("1", "s", "v", ChangeType.EXPIRED, ObjectType.KEY, "n", "aa", at, None, at)
    assert event.receipt == "e2ce58fb211682f2bdd2d43c58c87d13:cf246709"
    assert Note(at, "a", "b").note_id == "117377eba04daaac"
    named = ("acorn-vault", ObjectType.SECRET, "Mail", TicketKind.EXPIRY, "aa")
    assert (ticket_id(*named), ticket_id(*named, 4)) == ("KV-3Q6ZG-38EFJ", "KV-3Q6ZG-38EFJ1VPF")
