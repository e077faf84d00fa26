"""The outbox: a change's own transaction says what is to follow elsewhere, so that neither is there without the other.

1. A *pending* row in the table `outbox` is written first. It says where the change will be.
2. The change's transaction carries a row `~outbox:<id>` with what is to follow.
3. A queue message hurries it. When the message is lost, a timer finds the pending row and sends another.
4. Whoever gets the message carries it out, removes the outbox row, and then the pending row.

A worker may be killed between any two of these. A pending row without an outbox row is a change that never was, or one
that is done.
"""

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.conditions import UNREPORTED, Conditions
from shared.errors import ChangedMeanwhileError, DeskbridgeError, NotFoundError, TryLaterError
from shared.outbox.model import (
    PENDING,
    DueFollowUp,
    FollowUp,
    Handler,
    OutboxMessage,
    OutboxState,
    PendingEntry,
    create_outbox_row,
    failed_entry,
    follow_ups_of,
    outbox_row_key,
    pending_row,
    to_pending,
)
from shared.reasons import Reason
from shared.storage.names import OUTBOX_TABLE
from shared.storage.rows import Delete, Operation, Replace, Row, Save
from shared.storage.tables import Condition, Tables, partition
from shared.text import KEY_FORBIDDEN, ascending

logger = logging.getLogger(__name__)

# As often as the queue gives a message.
ATTEMPTS = 5
# A message of its own is likely still on its way.
_YOUNG = timedelta(minutes=2)
# No worker lives as long between the pending row and the change: a function ends after 30 minutes.
_SURELY_OVER = timedelta(hours=2)
# What a timer sends at once.
_MOST_AT_ONCE = 1_000
_LONGEST_ID = 100


class Outbox:
    """Keeps follow-ups and carries them out. `hurry` sends a queue message; it may fail, the timer makes up for it."""

    def __init__(
        self,
        tables: Tables,
        handlers: Mapping[str, Handler],
        now: Callable[[], datetime],
        hurry: Callable[[str], None],
        conditions: Conditions = UNREPORTED,
    ) -> None:
        self._tables = tables
        self._pending = tables.table(OUTBOX_TABLE)
        self._handlers = handlers
        self._now = now
        self._hurry = hurry
        self._conditions = conditions

    @contextmanager
    def following(self, table: str, partition_key: str, *follow_ups: FollowUp) -> Iterator[Sequence[Operation]]:
        """Within it, write the change together with these operations: one transaction of that partition.

        Nothing follows when the change was refused.
        """
        now = self._now()
        message = OutboxMessage(table, partition_key, f"{ascending(now)}-{secrets.token_hex(4)}")
        kinds = tuple(sorted({one.kind for one in follow_ups}))
        self._pending.transact(PENDING, [Save(pending_row(message, now, kinds))])
        try:
            yield [create_outbox_row(partition_key, message.id, follow_ups)]
        except TryLaterError:
            # It may have been written all the same: the timer finds out.
            raise
        except DeskbridgeError:
            with suppress(DeskbridgeError):
                self._clear_refused(message)
            raise
        self._send(message)

    def carry_out(self, message: OutboxMessage) -> None:
        """Do all that is to follow, in its order. Raises what a handler raises: then the queue gives it again."""
        table = self._tables.table(message.table)
        try:
            row = table.find(message.partition, outbox_row_key(message.id))
            if row is None:
                if message.id < ascending(self._now() - _SURELY_OVER):
                    self._remove_pending(message.id)
                return
            for number, follow_up in enumerate(follow_ups_of(row)):
                self._handlers[follow_up.kind](DueFollowUp(f"{message.id}-{number}", follow_up.content))
        except TryLaterError:
            # It passes by itself: it is no attempt.
            raise
        except Exception as error:
            # A row that cannot be read is counted too: nobody else would end its turns.
            self._count_attempt(message.id, error)
            raise
        # Another worker may have done the same.
        with suppress(ChangedMeanwhileError):
            table.transact(message.partition, [Delete(row.row_key)])
        self._remove_pending(message.id)

    def overdue(self) -> list[OutboxMessage]:
        """The messages to send again, oldest first, at most a thousand. What is damaged fails here, for good."""
        where = [partition(PENDING), Condition("RowKey", "lt", ascending(self._now() - _YOUNG))]
        unfailed = self._pending.page([*where, Condition("state", "ne", str(OutboxState.FAILED))], size=_MOST_AT_ONCE)
        # A row without the column is in no answer to a question about it.
        oldest = self._pending.page(where, size=_MOST_AT_ONCE)
        messages: list[OutboxMessage] = []
        for row in (*unfailed.rows, *(row for row in oldest.rows if "state" not in row.values)):
            entry = to_pending(row)
            if entry.state is OutboxState.FAILED:
                self._write_attempts(row, entry.attempts, entry.state, entry.reason, entry.explanation)
            else:
                messages.append(entry.message)
        return messages

    def page(
        self, state: OutboxState | None, size: int, after: str | None
    ) -> tuple[Sequence[PendingEntry], str | None]:
        """What is not carried out yet, oldest first."""
        where = [partition(PENDING)]
        if state is not None:
            where.append(Condition("state", "eq", str(state)))
        page = self._pending.page(where, size=size, after=after)
        return [to_pending(row) for row in page.rows], page.next

    def retry(self, entry_id: str) -> OutboxMessage:
        """Begin anew with what failed; the message to send. Raises NotFoundError."""
        row = self._find_pending(entry_id)
        if row is None:
            raise NotFoundError(
                Reason.NOT_FOUND, f"Nothing named {entry_id[:40]!r} waits in the outbox.", remedy="List what does."
            )
        values = {**row.values, "state": str(OutboxState.PENDING), "attempts": 0}
        # Another worker counts, or has carried it out.
        with suppress(ChangedMeanwhileError):
            self._pending.transact(PENDING, [Replace(replace(row, values=values))])
        return to_pending(row).message

    # Within

    def _clear_refused(self, message: OutboxMessage) -> None:
        """After a refusal: the change was not written, unless it was and what came after it was refused."""
        if self._tables.table(message.table).find(message.partition, outbox_row_key(message.id), select=()) is None:
            self._remove_pending(message.id)
        else:
            self._send(message)

    def _send(self, message: OutboxMessage) -> None:
        try:
            self._hurry(message.text)
        except DeskbridgeError as error:
            # The change is made: whoever asked for it must not be told that it failed.
            logger.warning("The outbox entry %s waits for the timer: %s", message.id, error)

    def _remove_pending(self, entry_id: str) -> None:
        with suppress(ChangedMeanwhileError):
            self._pending.transact(PENDING, [Delete(entry_id)])

    def _find_pending(self, entry_id: str) -> Row | None:
        if not 0 < len(entry_id) <= _LONGEST_ID or KEY_FORBIDDEN.search(entry_id):
            return None
        return self._pending.find(PENDING, entry_id)

    def _count_attempt(self, entry_id: str, error: Exception) -> None:
        row = self._find_pending(entry_id)
        if row is None:
            return
        attempts = row.number("attempts") + 1
        reason, explanation = Reason.INTERNAL, f"It failed with {type(error).__name__}; the log says where."
        if isinstance(error, DeskbridgeError):
            reason, explanation = error.reason, f"{error.message} {error.remedy}".strip()
        state = OutboxState.FAILED if attempts >= ATTEMPTS else OutboxState.PENDING
        self._write_attempts(row, attempts, state, reason, explanation)

    def _write_attempts(self, row: Row, attempts: int, state: OutboxState, reason: str, explanation: str) -> None:
        values = {
            **row.values,
            "attempts": attempts,
            "state": str(state),
            "reason": str(reason),
            "explanation": explanation[:1_000],
        }
        if state is OutboxState.FAILED:
            logger.error("The outbox entry %s failed for good (%s): %s", row.row_key, reason, explanation)
        # Another worker writes the same.
        with suppress(ChangedMeanwhileError):
            self._pending.transact(PENDING, [Replace(replace(row, values=values))])
        if state is OutboxState.FAILED:
            self._conditions.report(failed_entry(row.time("at") or self._now(), self._now()))
