"""How each document that is imported by schedule stands: its last import, the next, what is withheld, what is wrong."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta

from shared.conditions import ConditionKind, ConditionReport, over
from shared.imports.runs.model import SUCCESS_EXPECTED_WITHIN, Outcome, RunState, Withheld
from shared.imports.runs.repository import RunRepository
from shared.imports.sources import SourceType
from shared.reasons import Reason
from shared.storage.cursors import page_of

_REASONS = {RunState.FAILED: Reason.IMPORT_FAILED, RunState.PARTLY_FAILED: Reason.IMPORT_PARTLY_FAILED}
# Parts in which nobody reads all any more: of one document, and of all together, so many are told.
_TOLD_OF_ONE, _TOLD_IN_ALL = 10, 200
_GONE = "The document is gone, and active records that it has left are read by nobody."
_AFTERWARDS = (
    "An import that is started by hand under its name deactivates them. Or write a document that reads them again."
)
# By a kind of documents, when its next imports start; None when nobody can tell.
NextRun = Callable[[str], datetime | None]


@dataclass(frozen=True)
class UnreadPart:
    """A part with something that no import looks after any more: why, in a sentence, and what to do."""

    part: str
    reason: str
    message: str
    remedy: str


@dataclass(frozen=True)
class ImportStatus:
    """A document's imports. `status` is the last one's, or `waiting` before the first. `reason` and `warning` say why
    a person has to look; they are empty when nobody has to. `unread` are the first parts in which nobody reads all any
    more."""

    kind: str
    name: str
    status: str
    counts: Mapping[str, int]
    last_run: str
    last_run_at: datetime | None
    next_run_at: datetime | None
    last_success_at: datetime | None
    last_success_run: str
    withheld: Withheld | None
    reason: str
    warning: str
    unread: Sequence[UnreadPart] = ()


@dataclass(frozen=True)
class ImportTrouble:
    """Why a person has to look at a document's imports: a stable reason, since when, a sentence that stays the same."""

    reason: Reason
    since: datetime
    message: str


def trouble_of(outcome: Outcome | None, scheduled_since: datetime, now: datetime) -> ImportTrouble | None:
    """What is wrong with a document's imports; None when all is well. Every list, count and ticket asks here.

    What a guard withholds is no trouble in this sense: the import itself went through.
    """
    last = outcome.success_at if outcome is not None else None
    overdue_at = (last or scheduled_since) + SUCCESS_EXPECTED_WITHIN
    past = f"was at {last:%Y-%m-%d %H:%M} UTC" if last else "has never been"
    overdue = f"The last successful import {past}; it is expected every day." if now > overdue_at else ""
    reason = _REASONS.get(outcome.state) if outcome is not None else None
    if outcome is not None and reason is not None:
        failed = outcome.counts.get("parts_failed", 0)
        told = outcome.message or f"{failed} of {outcome.counts.get('parts', failed)} parts failed."
        sentence = f"The last import {outcome.state.replace('_', ' ')}: {told} {overdue}".rstrip()
        return ImportTrouble(reason, outcome.since, sentence)
    if overdue:
        return ImportTrouble(Reason.IMPORT_OVERDUE if last else Reason.IMPORT_NEVER_SUCCEEDED, overdue_at, overdue)
    return None


def reports_of(
    about: str, outcome: Outcome | None, now: datetime, scheduled_since: datetime | None = None
) -> list[ConditionReport]:
    """What holds of a document's imports, and what does not, as conditions of the desk."""
    kind, _, name = about.partition("/")
    at = now if outcome is None else outcome.at
    trouble, held = trouble_of(outcome, scheduled_since or now, now), None if outcome is None else outcome.withheld
    reports = [over(each, about, at) for each in (ConditionKind.IMPORT_FAILING, ConditionKind.IMPORT_WITHHELD)]
    if trouble is not None:
        # Nothing happens while an import is missed: the hours go on. One back, for an end that is written just now.
        hour = (now - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
        overdue = trouble.reason in {Reason.IMPORT_OVERDUE, Reason.IMPORT_NEVER_SUCCEEDED}
        reports[0] = ConditionReport(
            ConditionKind.IMPORT_FAILING,
            about,
            trouble.since,
            max(trouble.since, hour) if overdue else at,
            reason=str(trouble.reason),
            message=trouble.message,
            remedy=f"Look at GET /api/v1/runs?kind={kind}&name={name}, and at what the errors of its last run say.",
        )
    if held is not None:
        body = f'{{"mode": "confirm", "run_id": "{held.run_id}"}}'
        reports[1] = ConditionReport(
            ConditionKind.IMPORT_WITHHELD,
            about,
            held.since,
            at,
            reason=str(Reason.IMPORT_WITHHELD),
            message=f"{held.count} changes are withheld. {held.why}",
            remedy=f"Look at GET /api/v1/runs/{held.run_id}/errors. If they are right, confirm them: "
            f"POST /api/v1/{kind}/{name}/imports with {body}.",
            names=held.names,
        )
    return reports


class ImportStatuses:
    """The status of every document whose schedule is on, and of those that are gone and have left active records."""

    def __init__(
        self,
        runs: RunRepository,
        sources: Mapping[str, SourceType],
        next_run: NextRun,
        now: Callable[[], datetime],
    ) -> None:
        self._runs = runs
        self._sources = sources
        self._next_run = next_run
        self._now = now

    def all(self) -> Sequence[ImportStatus]:
        """By kind and name: one reading, however many there are."""
        found = self._runs.outcomes()
        following = self._following()
        told: dict[tuple[str, str], list[UnreadPart]] = {}
        for one in self._runs.readings.told(size=_TOLD_IN_ALL):
            told.setdefault((one.kind, one.document), []).append(UnreadPart(one.part, *astuple(one.finding)))
        return [
            self._status(kind, name, since, found.get((kind, name)), following[kind], told.get((kind, name), ()))
            for kind, name, since in self._listed()
        ]

    def reports(self) -> Iterator[ConditionReport]:
        """What holds of each, and what does not, as conditions of the desk."""
        found, now = self._runs.outcomes(), self._now()
        for kind, source in self._sources.items():
            scheduled = source.scheduled()
            for name, since in scheduled:
                yield from reports_of(f"{kind}/{name}", found.get((kind, name)), now, since)
            # The others are imported by hand, and none is expected: what was wrong when the last one ended.
            by_hand = {name for of, name in found if of == kind} - {name for name, _ in scheduled}
            for name in sorted(by_hand & set(source.documents()) if by_hand else ()):
                told = reports_of(f"{kind}/{name}", found[kind, name], found[kind, name].at)
                yield from (one for one in told if one.holds)

    def page(self, size: int, after: str | None) -> tuple[Sequence[ImportStatus], str | None]:
        """A page of `all`, and where to go on."""
        page, following = page_of(self._listed(), lambda one: f"{one[0]}/{one[1]}", size, after)
        runs = self._following()
        return [
            self._status(kind, name, since, self._runs.find_outcome(kind, name), runs[kind], self._unread(kind, name))
            for kind, name, since in page
        ], following

    def _unread(self, kind: str, name: str) -> Sequence[UnreadPart]:
        told = self._runs.readings.told(kind, name, size=_TOLD_OF_ONE)
        return [UnreadPart(one.part, *astuple(one.finding)) for one in told]

    def _following(self) -> Mapping[str, datetime | None]:
        return {kind: self._next_run(kind) for kind in self._sources}

    def _listed(self) -> Iterator[tuple[str, str, datetime | None]]:
        """Kind, name, and since when it stands so; that is None of a document that is gone."""
        present: dict[str, Collection[str]] = {}
        for kind, source in self._sources.items():
            present[kind] = source.documents()
            for name, since in source.scheduled():
                yield kind, name, since
        for kind, name in self._runs.readings.documents():
            if kind in present and name not in present[kind] and self._runs.readings.parts(kind, name, 1)[0]:
                yield kind, name, None

    def _status(
        self,
        kind: str,
        name: str,
        since: datetime | None,
        outcome: Outcome | None,
        next_run_at: datetime | None,
        unread: Sequence[UnreadPart],
    ) -> ImportStatus:
        if since is None:
            # None is to come.
            next_run_at = None
            parts, _ = self._runs.readings.parts(kind, name, _TOLD_OF_ONE)
            unread = [UnreadPart(part, str(Reason.PART_UNREAD), _GONE, _AFTERWARDS) for part, _ in parts]
            trouble: ImportTrouble | None = ImportTrouble(Reason.PART_UNREAD, self._now(), f"{_GONE} {_AFTERWARDS}")
        else:
            trouble = trouble_of(outcome, since, self._now())
        return ImportStatus(
            kind,
            name,
            "waiting" if outcome is None else str(outcome.state),
            {} if outcome is None else outcome.counts,
            "" if outcome is None else outcome.run_id,
            None if outcome is None else outcome.at,
            next_run_at,
            None if outcome is None else outcome.success_at,
            "" if outcome is None else outcome.success_run,
            None if outcome is None else outcome.withheld,
            "" if trouble is None else str(trouble.reason),
            "" if trouble is None else trouble.message,
            tuple(unread),
        )
