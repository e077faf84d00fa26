"""Removes what nobody needs any more: receipts of events, and quarantined events that nobody took up."""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.index.index import Index, IndexKey
from shared.storage.tables import ROWS_PER_PAGE, Condition, delete_present, partition, row_key_prefix, scan
from shared.tickets.inbound.quarantine import PARTITION, Quarantine
from shared.tickets.store.index_rows import old_receipts
from shared.tickets.store.repository import TicketRepository

# Event Grid tries for a day; dead letters are replayed every few minutes. The decision itself forgets nothing.
RECEIPTS_FOR = timedelta(days=30)
QUARANTINE_FOR = timedelta(days=90)
# A function ends after 30 minutes.
_LONGEST = timedelta(minutes=15)


class TicketHousekeeping:
    """Old rows of the table `tickets`."""

    def __init__(
        self, repository: TicketRepository, index: Index, quarantine: Quarantine, now: Callable[[], datetime]
    ) -> None:
        self._repository = repository
        self._index = index
        self._quarantine = quarantine
        self._now = now

    def remove_old(self) -> int:
        """Answers with the number of rows that were removed. Two at once do no harm; what time is short for is removed
        the next time."""
        removed = 0
        until, oldest = self._now() + _LONGEST, self._now() - RECEIPTS_FOR
        received_before = Condition("received_at", "lt", oldest)
        for noted in self._index.merged([old_receipts(oldest)], ROWS_PER_PAGE):
            scope = noted.text("partition")
            where = [partition(scope), *row_key_prefix("event:"), received_before]
            keys = [row.row_key for row in scan(self._repository.table, where, select=["received_at"])]
            removed += delete_present(self._repository.table, scope, keys)
            self._index.replace({}, [IndexKey(noted.partition_key, noted.row_key)])
            if self._now() > until:
                break
        quarantined = list(self._quarantine.older_than(self._now() - QUARANTINE_FOR))
        return removed + delete_present(self._repository.table, PARTITION, quarantined)
