"""Proves again, by a timer, what the rooms report of the desk itself, and ends what is over.

So a report that was lost is made up for, and a condition that nobody reports the end of ends. A turn reads a bounded
amount: lists of what is wrong, page by page, and the open tickets of the desk's own conditions.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeVar
from zlib import crc32

from shared.conditions import ConditionKind, ConditionReport, Conditions, over, slot_of
from shared.errors import DeskbridgeError
from shared.overview.condition_looks import Look
from shared.tickets.desk.lists import TicketLists, TicketQuery
from shared.tickets.domain.model import DESK_SOURCE, Ticket

T = TypeVar("T")

logger = logging.getLogger(__name__)

# In one turn: reports of one look, tickets looked at, and things asked one by one for whether they are over.
_REPORTS_AT_ONCE = 200
_TICKETS_A_PAGE, _PAGES = 200, 5
_ASKED_ONE_BY_ONE = 100


class ConditionChecks:
    """What the timer does. Two at once do no harm."""

    def __init__(
        self,
        conditions: Conditions,
        looks: Sequence[Look],
        lists: TicketLists,
        ask: Callable[[ConditionKind, str], ConditionReport],
        now: Callable[[], datetime],
    ) -> None:
        self._conditions = conditions
        self._looks = looks
        self._lists = lists
        self._ask = ask
        self._now = now

    def prove(self) -> None:
        """One turn. A look that fails ends nothing, and stops no other."""
        # What comes after a look, or in the same five minutes, must count as later than an end that the look told.
        began = slot_of(self._now())
        found: dict[tuple[str, str], ConditionReport] = {}
        complete: set[ConditionKind] = set()
        for look in self._looks:
            try:
                reports = list(look.find())
            except DeskbridgeError as error:
                logger.warning("The conditions of %s are not known at present: %s", look.name, error)
                continue
            complete |= look.kinds
            found |= {(one.kind, one.about): one for one in reports}
            for report in self._some([one for one in reports if one.holds], _REPORTS_AT_ONCE):
                self._conditions.report(report)
        asked: list[tuple[ConditionKind, str]] = []
        for ticket in self._open():
            kind, about = ConditionKind(ticket.kind), ticket.object_name
            known = found.get((kind, about))
            if known is None and kind not in complete:
                asked.append((kind, about))
            elif known is None or not known.holds:
                self._conditions.report(known or over(kind, about, began))
        for kind, about in self._some(asked, _ASKED_ONE_BY_ONE):
            self._prove_one(kind, about)

    # Within

    def _prove_one(self, kind: ConditionKind, about: str) -> None:
        try:
            self._conditions.report(self._ask(kind, about))
        except DeskbridgeError as error:
            logger.warning("Whether %s of %s is over is not known at present: %s", kind, about, error)

    def _open(self) -> Iterator[Ticket]:
        """The open tickets of the desk's own conditions, the newest thousand."""
        after: str | None = None
        for _ in range(_PAGES):
            filters = {"source": frozenset({DESK_SOURCE.casefold()})}
            page = self._lists.page(TicketQuery(snoozed="show", filters=filters, size=_TICKETS_A_PAGE, after=after))
            yield from page.items
            after = page.next
            if after is None:
                return

    def _some(self, items: Sequence[T], most: int) -> Iterator[T]:
        """So many of them, by chance from another one on each turn, so that none comes always last."""
        begin = crc32(str(self._now()).encode()) % max(1, len(items))
        return islice([*items[begin:], *items[:begin]], most)
