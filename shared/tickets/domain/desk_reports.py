"""What was reported of the desk's own conditions: the same in whatever order and how often. Pure.

Of each beginning the latest report is kept, and of what is over the first one after it: what is over and told again
is no news. They stand in the order of the moments that they speak of, and the last one decides. What comes late, and
speaks of a moment before an end that was no news, is put right when the timer tells that end again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.conditions import ConditionKind, ConditionReport

# A row has room for these. What falls out stays out, so the order of arrival does not matter.
_MOST_REPORTS = 12

Reports = Mapping[ConditionKind, tuple[ConditionReport, ...]]


@dataclass(frozen=True)
class ConditionSpell:
    """A time in which a condition held: its reports in order, and when it was over; None while it holds."""

    began_at: datetime
    reports: tuple[ConditionReport, ...]
    over_at: datetime | None = None

    @property
    def latest(self) -> ConditionReport:
        return self.reports[-1]


def reports_with(reports: Reports, report: ConditionReport) -> Reports:
    """The reports with one more; the same ones where it is no news."""
    kept = {(one.since, one.holds): one for one in reports.get(report.kind, ())}
    key = (report.since, report.holds)
    kept[key] = max(kept.get(key, report), report, key=_order)
    told = sorted(kept.values(), key=_order)
    # So the last one that holds is among the last two, and no number of ends takes its place.
    news = [one for was, one in zip([None, *told], told, strict=False) if one.holds or was is None or was.holds]
    return {**reports, report.kind: tuple(news[-_MOST_REPORTS:])}


def spells_of(reports: Sequence[ConditionReport]) -> list[ConditionSpell]:
    """The spells of one kind, the last one last. What was over before it began is none."""
    spells: list[ConditionSpell] = []
    over_at: datetime | None = None
    for report in reports:
        if not report.holds:
            if spells and spells[-1].over_at is None:
                spells[-1] = ConditionSpell(spells[-1].began_at, spells[-1].reports, report.at)
            over_at = report.at
        elif spells and spells[-1].over_at is None:
            spells[-1] = ConditionSpell(
                min(spells[-1].began_at, _began(report, over_at)), (*spells[-1].reports, report)
            )
        else:
            spells.append(ConditionSpell(_began(report, over_at), (report,)))
    return spells


def standing(reports: Reports, kind: ConditionKind) -> ConditionSpell | None:
    """The spell that a condition is in; None while it does not hold."""
    spells = spells_of(reports.get(kind, ()))
    return spells[-1] if spells and spells[-1].over_at is None else None


def _began(report: ConditionReport, over_at: datetime | None) -> datetime:
    # What was over, and holds at a later moment, holds again since then at the earliest.
    return report.since if over_at is None else max(report.since, over_at)


def _order(report: ConditionReport) -> tuple[Any, ...]:
    # By all that is told, so that of two about one moment the same one stands whichever came first.
    told = (report.reason, report.message, report.remedy, report.names, report.site, report.customer)
    return (report.at, report.holds, report.since, *told)
