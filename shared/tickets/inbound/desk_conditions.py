"""Makes tickets of what the rooms report of the desk itself: one a condition and document, ended when it is over.

The partition is the document's own, so that reports of many documents at once do not wait for each other. A report
that says nothing new writes nothing.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from shared.conditions import ConditionReport
from shared.errors import ConflictError, DeskbridgeError, MisconfiguredError
from shared.text import escape_key
from shared.tickets.configuration import Configuration
from shared.tickets.domain.decide import ObjectRecord
from shared.tickets.domain.desk_reports import ConditionSpell, reports_with, standing
from shared.tickets.domain.model import DESK_SOURCE, Context, ObjectType
from shared.tickets.reconciler import object_key
from shared.tickets.store.repository import TicketRepository
from shared.tickets.transactions import TicketTransactions

logger = logging.getLogger(__name__)

_TRIES = 8
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_MESSAGE, _LONGEST_REMEDY, _MOST_NAMES = 1_500, 600, 20

# From what a condition is about, and its site where that is known, to the site and the customer that it belongs to.
Belongs = Callable[[str, str], tuple[str, str]]


def partition_of(about: str) -> str:
    """The partition of the tickets about one document, vault, queue or token."""
    kind, _, name = about.partition("/")
    return f"{DESK_SOURCE}:{kind}:{escape_key(name or kind)}".casefold()


class DeskConditions:
    """The port's other side. `wait` takes seconds."""

    def __init__(
        self,
        repository: TicketRepository,
        configured: Callable[[], Configuration | None],
        belongs: Belongs,
        wait: Callable[[float], None],
    ) -> None:
        self._repository = repository
        self._configured = configured
        self._belongs = belongs
        self._wait = wait
        self._transactions = TicketTransactions(repository, None)

    def report(self, report: ConditionReport) -> None:
        """Write what follows, and say so in the log once. What fails is left to the timer, which proves it again."""
        try:
            self._report(self._whole(report))
        except DeskbridgeError as error:
            logger.warning("The condition %s of %s is not stored yet: %s", report.kind, report.about, error)

    # Within

    def _whole(self, report: ConditionReport) -> ConditionReport:
        """With whose it is, and cut to what a row holds."""
        site = customer = ""
        if report.holds:
            # A document that cannot be read is a condition too, and says nothing of whose it is.
            with suppress(MisconfiguredError):
                site, customer = self._belongs(report.about, report.site)
        return replace(
            report,
            message=report.message[:_LONGEST_MESSAGE],
            remedy=report.remedy[:_LONGEST_REMEDY],
            names=report.names[:_MOST_NAMES],
            site=site,
            customer=customer,
        )

    def _report(self, report: ConditionReport) -> None:
        partition_key = partition_of(report.about)
        key, context = object_key(ObjectType.DESK, report.about), self._context(partition_key)
        for tries in range(_TRIES):
            before = self._repository.load(partition_key, key, report.about)
            reports = reports_with(before.state.reports, report)
            if reports == before.state.reports and not before.incomplete:
                return
            after = replace(before, state=replace(before.state, reports=reports))
            plan = self._transactions.plan(key, before, after, (), context, check_id_collisions=tries > 0)
            try:
                self._repository.write(partition_key, plan.operations, plan.told)
            except ConflictError:
                self._wait(_FIRST_WAIT_SECONDS * 2**tries)
                continue
            _log(before, after, report)
            if plan.done:
                return

    def _context(self, partition_key: str) -> Context:
        try:
            configuration = self._configured()
        except DeskbridgeError as error:
            # The rules' own document cannot be read: that, too, is told as a ticket.
            logger.warning("The ticket rules cannot be read: %s", error)
            configuration = None
        return Context(partition_key) if configuration is None else configuration.context(partition_key)


def _log(before: ObjectRecord, after: ObjectRecord, report: ConditionReport) -> None:
    """One line when it begins, or goes on for another reason, and one when it is over: the alerts ask for these."""
    was, now = (standing(record.state.reports, report.kind) for record in (before, after))
    if now is not None and (was is None or _reason(was) != _reason(now)):
        told = now.latest
        logger.error("Condition opened: %s of %s (%s): %s", told.kind, told.about, told.reason, told.message)
    elif now is None and was is not None:
        logger.warning("Condition over: %s of %s (%s).", report.kind, report.about, _reason(was))


def _reason(spell: ConditionSpell) -> str:
    return spell.latest.reason
