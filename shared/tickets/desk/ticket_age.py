"""Ends tickets that tell of something done once, when nobody took them up for long: new versions, access policies."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from shared.index.index import Index, Stream
from shared.storage.rows import Row
from shared.storage.tables import ROWS_PER_PAGE
from shared.text import descending
from shared.tickets.configuration import Configuration
from shared.tickets.domain.decide import version_of
from shared.tickets.domain.model import ObjectType, Status
from shared.tickets.domain.observations import Aged
from shared.tickets.reconciler import ObjectChanges, TicketReconciler, object_key
from shared.tickets.store.index_rows import AGING, SHARDS, list_partition
from shared.tickets.store.repository import TicketRepository

# A function ends after 30 minutes, and removes old rows too.
_LONGEST = timedelta(minutes=10)


class TicketAging:
    """Resolves what has been open for `aging_days` of the settings and was left alone: what someone works on or has
    snoozed stays."""

    def __init__(
        self,
        repository: TicketRepository,
        index: Index,
        reconciler: TicketReconciler,
        configured: Callable[[], Configuration | None],
        now: Callable[[], datetime],
    ) -> None:
        self._repository = repository
        self._index = index
        self._reconciler = reconciler
        self._configured = configured
        self._now = now

    def end_old(self) -> int:
        """Answers with the number of tickets that were ended. Two at once do no harm; the rest follows next time."""
        configuration, until, ended = self._configured(), self._now() + _LONGEST, 0
        if configuration is None:
            return 0
        after = timedelta(days=configuration.document.aging_days)
        for listed in self._old(after):
            vault = listed.text("scope")
            row = self._repository.find_ticket(vault, listed.text("ticket_id"))
            # The index may be behind: the ticket's own row decides.
            opened_at = row.time("opened_at") if row is not None and _was_left_alone(row) else None
            if row is not None and opened_at is not None:
                key = object_key(ObjectType(row.text("object_type")), row.text("object_name"))
                aged = Aged(version_of(row.text("ticket_key")), opened_at + after)
                changes = [ObjectChanges(key, row.text("object_name"), (aged,))]
                self._reconciler.reconcile(changes, configuration.context(vault))
                ended += 1
            if self._now() > until:
                break
        return ended

    def _old(self, after: timedelta) -> Iterator[Row]:
        begin = descending(self._now() - after)
        streams = [Stream(list_partition(AGING, shard), begin, ":") for shard in SHARDS]
        for row in self._index.merged(streams, ROWS_PER_PAGE):
            if _was_left_alone(row):
                yield row


def _was_left_alone(row: Row) -> bool:
    return row.text("status") == Status.OPEN and row.time("snoozed_until") is None
