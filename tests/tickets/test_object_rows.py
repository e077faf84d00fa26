"""The row of an object: what is written is what is read, and the same text however it grew."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.storage.rows import pack, unpack
from shared.tickets.domain.decide import ObjectRecord
from shared.tickets.domain.listings import Listing, Spell
from shared.tickets.domain.model import (
    ChangeType,
    ConditionState,
    KeyVaultEvent,
    ManualOverride,
    ObjectType,
    RuleResult,
    StoredTicketRows,
    ticket_id,
)
from shared.tickets.domain.observations import Dated, ObjectState, Occurrence, Version
from shared.tickets.store.repository import from_members, to_members

_moments = st.datetimes(datetime(1970, 1, 2), datetime(9990, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_occurrences = st.builds(
    Occurrence,
    change=st.sampled_from(ChangeType),
    days=st.integers(0, 4000),
    expires_at=_optional(_moments),
    at=_moments,
    reported_by=st.sets(st.sampled_from(["event", "sweep"]), min_size=1).map(sorted).map(tuple),
    not_before=_optional(_moments),
)
_versions = st.builds(
    Version,
    first_seen_at=_moments,
    creation=_optional(_occurrences),
    expiry_occurrences=st.lists(_occurrences, max_size=3).map(tuple),
    told_expires=_optional(st.builds(Dated, _moments, _moments)),
    listing=_optional(
        st.builds(
            Listing,
            created_at=_optional(_moments),
            changed_at=_moments,
            expires_at=_optional(_moments),
            told_until=_optional(_moments),
        )
    ),
    spells=st.lists(st.builds(Spell, _moments, _texts, _optional(_moments)), max_size=2).map(tuple),
    aged_at=_optional(_moments),
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
    without_expiry=_optional(st.builds(Dated, st.lists(st.tuples(_texts, _moments), max_size=2).map(tuple), _moments)),
    forgotten_until=_optional(_moments),
    absences=st.lists(st.tuples(_moments, _optional(_moments)), max_size=2).map(tuple),
)
_rule_results = st.builds(
    RuleResult,
    **dict.fromkeys(("ticket_type", "team", "assignee", "site", "summary", "details", "rule"), _optional(_texts)),
)
_people = st.builds(
    ManualOverride,
    based_on=st.builds(ConditionState, expires_at=_optional(_moments)),
    at=_moments,
    team=_optional(_texts),
    assignee=_optional(_texts),
    site=_optional(_texts),
    snoozed_until=_optional(_moments),
)
_stored = st.builds(
    StoredTicketRows,
    _texts,
    st.text("0123456789abcdef", max_size=16),
    st.lists(_texts, max_size=2).map(tuple),
)
_records = st.builds(
    ObjectRecord,
    _states,
    st.dictionaries(_texts, _people, max_size=2),
    st.dictionaries(_texts, _rule_results, max_size=2),
    st.dictionaries(_texts, _stored, max_size=2),
    st.booleans(),
    st.lists(_texts, max_size=3).map(tuple),
    _texts,
    _texts,
)


def _backwards(members: Any) -> Any:
    return dict(reversed(members.items()))


@given(_records)
@settings(max_examples=40)
def test_a_record_is_read_as_it_was_written(record: ObjectRecord) -> None:
    assert from_members(unpack(pack("record", to_members(record)), "record"), record.row_key, record.etag) == record


@given(_records)
@settings(max_examples=20)
def test_a_record_is_the_same_text_in_whatever_order_it_grew(record: ObjectRecord) -> None:
    other = replace(
        record,
        state=replace(record.state, versions=_backwards(record.state.versions)),
        overrides=_backwards(record.overrides),
        rule_results=_backwards(record.rule_results),
        stored=_backwards(record.stored),
    )
    assert pack("record", to_members(other)) == pack("record", to_members(record))


def test_what_is_empty_is_left_out() -> None:
    record = ObjectRecord(ObjectState(ObjectType.KEY, "mail"))
    assert to_members(record) == {"state": {"object_type": "key", "name": "mail"}}


def test_one_moment_in_two_zones_is_one_receipt() -> None:
    def receipt(at: datetime) -> str:
        return KeyVaultEvent("1", "s", "v", ChangeType.EXPIRED, ObjectType.KEY, "n", "aa", at, None, at).receipt

    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert receipt(at.astimezone(timezone(timedelta(hours=2)))) == receipt(at)


def test_the_id_of_a_condition_never_changes() -> None:
    about = ("acorn-vault", ObjectType.SECRET, "Mail", "expiry:aa")
    assert (ticket_id(*about), ticket_id(*about, 4)) == ("KV-3Q0C8-VK9JZ", "KV-3Q0C8-VK9JZC3HR")
    assert ticket_id(*about, prefix="AR") == "AR-3Q0C8-VK9JZ"
