"""The port by which any room reports a condition of the desk itself: what an operator must know, of one document.

A room says what it knows: it holds, or it is over. The room of tickets carries it out, and nobody else knows of that.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class ConditionKind(StrEnum):
    """What can be wrong with the desk. A ticket of the desk's own has the same kind."""

    IMPORT_WITHHELD = "import_withheld"
    IMPORT_FAILING = "import_failing"
    SWEEP_FAILING = "sweep_failing"
    QUARANTINE = "quarantine"
    DEAD_LETTERS = "dead_letters"
    POISON_MESSAGES = "poison_messages"
    QUEUE_STUCK = "queue_stuck"
    SETTINGS_UNREADABLE = "settings_unreadable"
    SECRET_EXPIRING = "secret_expiring"  # noqa: S105 - a kind's name
    TOKEN_EXPIRING = "token_expiring"  # noqa: S105 - a kind's name
    OUTBOX_FAILING = "outbox_failing"


@dataclass(frozen=True)
class ConditionReport:
    """A condition of one document, vault, queue or token: that it holds, or that it is over.

    `about` names it as the API does (`aws-tenants/acorn`). `since` is when it began, the same each time it is told.
    `at` is the moment that is spoken of: the latest decides. `names` are a few of the things it is about.
    """

    kind: ConditionKind
    about: str
    since: datetime
    at: datetime
    holds: bool = True
    reason: str = ""
    message: str = ""
    remedy: str = ""
    names: tuple[str, ...] = ()
    expires_at: datetime | None = None
    site: str = ""
    customer: str = ""


def over(kind: ConditionKind, about: str, at: datetime) -> ConditionReport:
    """The report that a condition is over."""
    return ConditionReport(kind, about, at, at, holds=False)


def slot_of(moment: datetime) -> datetime:
    """The five minutes of the moment: what is told of a thing that goes on is told again no sooner."""
    return moment.replace(minute=moment.minute // 5 * 5, second=0, microsecond=0)


class Conditions(Protocol):
    """Takes reports."""

    def report(self, report: ConditionReport) -> None:
        """Make it known, once however often it is said. What cannot be stored now is proved again by a timer."""
        ...


class _Unreported:
    def report(self, report: ConditionReport) -> None:
        """Nobody is told."""


UNREPORTED: Conditions = _Unreported()
