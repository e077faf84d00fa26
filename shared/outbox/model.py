"""Follow-ups as values, and the rows that keep them. It knows no table."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.conditions import ConditionKind, ConditionReport, slot_of
from shared.errors import InvalidInputError, RowRefusedError
from shared.reasons import Reason
from shared.storage.rows import EARLIEST, Create, Row, check_key, pack, unpack

# Behind all other rows of a partition, where no list and no import looks.
OUTBOX = "~outbox:"
# The partition of the table `outbox`. Its rows sort by time, oldest first.
PENDING = "pending"
DAMAGED = "The row in the table outbox is damaged: it does not say where the change is, since when, or in which state."
# As the service takes a table's name.
_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")


class OutboxState(StrEnum):
    """`FAILED` is for good: nobody tries again until a person asks for it."""

    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True)
class FollowUp:
    """What is to follow from a change: which handler carries it out, and what that needs, as JSON."""

    kind: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class DueFollowUp:
    """A follow-up for its handler. `id` is the same at each try: what the handler writes is keyed by it."""

    id: str
    content: Mapping[str, Any]


# Carries a follow-up out; doing it again must change nothing.
Handler = Callable[[DueFollowUp], None]


@dataclass(frozen=True)
class OutboxMessage:
    """Which outbox row the queue speaks of."""

    table: str
    partition: str
    id: str

    @property
    def text(self) -> str:
        return json.dumps({"table": self.table, "partition": self.partition, "id": self.id})

    @classmethod
    def parse(cls, content: Any) -> "OutboxMessage":
        """Raises InvalidInputError for what no outbox sent."""
        members = ("table", "partition", "id")
        if not isinstance(content, dict) or not all(isinstance(content.get(name), str) for name in members):
            raise InvalidInputError(Reason.BODY_INVALID, "The message is none of the outbox.")
        return cls(*(content[name] for name in members))


@dataclass(frozen=True)
class PendingEntry:
    """An outbox row that is not carried out yet, as lists show it."""

    message: OutboxMessage
    at: datetime
    kinds: tuple[str, ...]
    state: OutboxState
    attempts: int
    reason: str
    explanation: str


def outbox_row_key(entry_id: str) -> str:
    return OUTBOX + entry_id


def create_outbox_row(partition: str, entry_id: str, follow_ups: "tuple[FollowUp, ...]") -> Create:
    """The row that goes into the change's own transaction."""
    told = [{"kind": one.kind, "content": one.content} for one in follow_ups]
    return Create(Row(partition, outbox_row_key(entry_id), pack("follow_ups", told)))


def follow_ups_of(row: Row) -> list[FollowUp]:
    """The follow-ups of an outbox row."""
    return [FollowUp(one["kind"], one["content"]) for one in unpack(row, "follow_ups", [])]


def pending_row(message: OutboxMessage, at: datetime, kinds: "tuple[str, ...]") -> Row:
    """The row that leads to the outbox row: nobody has to search for it."""
    return Row(
        PENDING,
        message.id,
        {
            "table": message.table,
            "scope": message.partition,
            "at": at,
            "kinds": " ".join(kinds),
            "state": str(OutboxState.PENDING),
            "attempts": 0,
        },
    )


def failed_entry(since: datetime, at: datetime) -> ConditionReport:
    """That something failed which should follow from a change of the moment `since`."""
    return ConditionReport(
        ConditionKind.OUTBOX_FAILING,
        "desk/outbox",
        slot_of(since),
        slot_of(at),
        reason=str(Reason.FOLLOW_UP_FAILED),
        message="Something that should follow from a change failed five times.",
        remedy="GET /api/v1/outbox?state=failed says what and why. End the cause, and try it again.",
    )


def to_pending(row: Row) -> PendingEntry:
    """The entry of a pending row. A damaged row is a failed entry: it stops no other."""
    message = OutboxMessage(row.text("table"), row.text("scope"), row.row_key)
    at, state = row.time("at"), row.text("state")
    damaged = at is None or state not in list(OutboxState) or not _leads_somewhere(message)
    return PendingEntry(
        message,
        EARLIEST if at is None else at,
        tuple(row.text("kinds").split()),
        OutboxState.FAILED if damaged else OutboxState(state),
        row.number("attempts"),
        str(Reason.PENDING_ROW_DAMAGED) if damaged else row.text("reason"),
        DAMAGED if damaged else row.text("explanation"),
    )


def _leads_somewhere(message: OutboxMessage) -> bool:
    try:
        check_key("partition key", message.partition)
    except RowRefusedError:
        return False
    return _TABLE.fullmatch(message.table) is not None
