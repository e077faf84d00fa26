"""What is stored of an object: its state, people's overrides, the rules' results and each ticket's rows, as JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from shared.tickets.domain.model import ManualOverride, RuleResult, StoredTicketRows
from shared.tickets.domain.observations import ObjectState

_MOST_RECEIPTS = 40


@dataclass(frozen=True)
class ObjectRecord:
    """All that the tickets of one object are derived from. `row_key` is where
    it is stored; `etag` is empty for an object that has no row yet.

    `rule_results` keeps what the rules decided about each occurrence, so that a later change of the rules decides
    about later occurrences, and does not rewrite tickets that people work on. `incomplete` says that more of the
    tickets' rows have to be written in a further transaction. `receipts` are those of events that were taken in,
    short: not of all of them, and always of the same ones whatever the order.
    """

    state: ObjectState
    overrides: Mapping[str, ManualOverride] = field(default_factory=dict)
    rule_results: Mapping[str, RuleResult] = field(default_factory=dict)
    stored: Mapping[str, StoredTicketRows] = field(default_factory=dict)
    incomplete: bool = False
    receipts: tuple[str, ...] = ()
    row_key: str = ""
    etag: str = ""

    def has_taken(self, receipt: str) -> bool:
        """Whether an event is known to have been here; when it is not, its receipt may stand in the table still."""
        return _short(receipt) in self.receipts

    def receipts_with(self, receipts: Iterable[str]) -> tuple[str, ...]:
        """The greatest are kept: one that falls out stays out, so the order of arrival does not matter."""
        return tuple(sorted({*self.receipts, *map(_short, receipts)})[-_MOST_RECEIPTS:])


_NOT_STORED = {"row_key", "etag"}
_RECORD = TypeAdapter(ObjectRecord)


def to_members(record: ObjectRecord) -> dict[str, Any]:
    """The record without its row key and ETag, ready for JSON; members at their default are left out."""
    members: dict[str, Any] = _RECORD.dump_python(
        record, mode="json", exclude={"row_key", "etag"}, exclude_defaults=True
    )
    return members


def from_members(members: Mapping[str, Any], row_key: str, etag: str) -> ObjectRecord:
    """What `to_members` made."""
    return replace(_RECORD.validate_python(members), row_key=row_key, etag=etag)


def _short(receipt: str) -> str:
    # Of the event's id and of its content: the same id with another content is another event.
    event_id, _, content = receipt.partition(":")
    return event_id[:12] + content
