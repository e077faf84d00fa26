"""What is told of an import at its end: whom a guard withholds, and what is wrong with its document now."""

from collections.abc import Callable
from contextlib import suppress

from shared.conditions import Conditions
from shared.errors import DeskbridgeError
from shared.imports.plan.model import Action, Trigger
from shared.imports.runs.entries import EntryRepository
from shared.imports.runs.model import OutcomeChange, Run
from shared.imports.runs.statuses import reports_of
from shared.imports.sources import SourceType

# Of what a guard withholds, so many are named.
_NAMES_SHOWN = 5


def withheld_of(run: Run, entries: EntryRepository) -> tuple[list[str], str]:
    """Some names of what a guard withholds of a run, and why."""
    held = entries.page(run.id, [Action.HELD_BACK], size=_NAMES_SHOWN)[0]
    return [str(entry["label"] or entry["id"]) for entry in held], str(held[0]["message"]) if held else ""


def may_take_away(run: Run, source_type: Callable[[str], SourceType]) -> bool:
    """Whether the run decided on what a guard withholds: an import by hand may take nothing away."""
    with suppress(DeskbridgeError):
        policy = source_type(run.kind).source(run.name).policy(Trigger(run.trigger))
        return run.trigger == Trigger.SCHEDULED or policy.deactivate_listed or policy.deactivate_vanished
    return False


def report_end(conditions: Conditions, run: Run, change: OutcomeChange) -> None:
    """Report what is wrong with a document since an import of it ended, and what is not any more."""
    about, at = f"{run.kind}/{run.name}", change.after.at
    was = set() if change.before is None else {one.kind for one in reports_of(about, change.before, at) if one.holds}
    for report in reports_of(about, change.after, at):
        if report.holds or report.kind in was:
            conditions.report(report)
