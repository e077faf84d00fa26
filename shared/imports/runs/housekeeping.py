"""Housekeeping of runs: stalled ones go on or end, old ones go, and a missed daily import is noticed.

A turn ends after some minutes, however large the runs are. The next one goes on: what was done needs nothing any more.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice

from shared.errors import ChangedMeanwhileError
from shared.imports.runs.fan_out import FIRST
from shared.imports.runs.model import SILENT_AFTER, SUCCESS_EXPECTED_WITHIN, Mode, Part, PartState, Run
from shared.imports.runs.repository import Success
from shared.imports.runs.runner import ImportRunner, PartMessage, messages_of
from shared.imports.runs.starter import RunStarter
from shared.reasons import Reason
from shared.storage.cursors import page_of

logger = logging.getLogger(__name__)

# The time in which a message of a live app is surely read, or its start surely over.
_PATIENCE = timedelta(minutes=15)
_ATTEMPTS = 8
_LONGEST_RUN = timedelta(hours=24)
PREVIEW_KEPT = timedelta(days=1)
# Of a run, in one turn of the timer: the next one takes the others.
_PARTS_AT_ONCE = 2_000
# For stalled runs, and as long for old ones: both are less than the time until the next turn.
_TIME_FOR_EACH = timedelta(minutes=5)
# A prime: by it, turns at any distance begin at another run each, and none comes always last.
_TURNS = 9_973


@dataclass(frozen=True)
class ImportFreshness:
    """How old the last successful import of a document is; `warning` is a sentence when it is too old."""

    kind: str
    name: str
    last_success_at: datetime | None
    last_success_run: str
    warning: str = ""


class RunHousekeeping:
    """What the housekeeping timer does with runs. Every step may be repeated, and done by two at once."""

    def __init__(self, runner: ImportRunner, now: Callable[[], datetime], *, kept_for: timedelta) -> None:
        self._runner = runner
        self._starter = RunStarter(runner)
        self._runs = runner.runs
        self._now = now
        self._kept_for = kept_for

    def run(self) -> list[PartMessage]:
        """All of it, as far as the time goes; the messages to send."""
        messages: list[PartMessage] = []
        runs, until = self._runs.open_runs(), self._now() + _TIME_FOR_EACH
        begin = int(self._now().timestamp()) % _TURNS % max(1, len(runs))
        for run in [*runs[begin:], *runs[:begin]]:
            messages += self._resume(run, until)
        self._remove_old()
        for freshness in self.freshness():
            if freshness.warning:
                logger.warning("%s/%s: %s", freshness.kind, freshness.name, freshness.warning)
        return messages

    def _remove_old(self) -> None:
        now = self._now()
        previews = self._runs.closed_before(now - PREVIEW_KEPT, Mode.PREVIEW)
        for old in chain(previews, self._runs.closed_before(now - self._kept_for)):
            # Another housekeeping may remove it.
            with suppress(ChangedMeanwhileError):
                while self._runs.remove_rows(old):
                    if self._now() > now + _TIME_FOR_EACH:
                        return
                self._runs.remove(old)

    def freshness(self) -> Sequence[ImportFreshness]:
        """Every document that is imported by schedule, with its last success."""
        found = self._runs.successes()
        return [self._freshness(*one, found.get((one[0], one[1]))) for one in self._scheduled()]

    def freshness_page(self, size: int, after: str | None) -> tuple[Sequence[ImportFreshness], str | None]:
        """A page of `freshness`, by kind and name, and where to go on."""
        page, following = page_of(self._scheduled(), lambda one: f"{one[0]}/{one[1]}", size, after)
        return [self._freshness(*one, self._runs.find_success(one[0], one[1])) for one in page], following

    def _scheduled(self) -> Iterator[tuple[str, str, datetime]]:
        for kind, source in self._runner.sources.items():
            for name, since in source.scheduled():
                yield kind, name, since

    def _freshness(self, kind: str, name: str, since: datetime, success: Success | None) -> ImportFreshness:
        now = self._now()
        last = success.at if success is not None else None
        warning = ""
        if now - (last or since) > SUCCESS_EXPECTED_WITHIN:
            past = f"was {_hours(now - last)} ago" if last else "has never been"
            warning = f"The last successful import {past}; it is expected every day."
        return ImportFreshness(kind, name, last, success.run_id if success else "", warning)

    def _resume(self, run: Run, until: datetime) -> list[PartMessage]:
        now = self._now()
        if now > until:
            return []
        heard_before = now if self._is_too_long(run) else now - _PATIENCE
        messages: list[PartMessage] = []
        for part in islice(self._runs.parts.queued_before(run.id, heard_before), _PARTS_AT_ONCE):
            try:
                if self._queue_again_if_silent(run, part, now):
                    messages.append(PartMessage(run_id=run.id, part=part.name))
            except ChangedMeanwhileError:
                # Its worker is alive after all.
                continue
            if self._now() > until:
                return messages
        run = self._runner.close_if_complete(self._runs.get(run.id))
        if run.counted_to:
            # Any message of it goes on: this one is of a part that every run has had.
            return messages_of(run, [FIRST])
        if run.is_open and now - run.started_at > _PATIENCE and not self._runs.parts.any(run.id):
            return self._starter.resume(run)
        return messages

    def _queue_again_if_silent(self, run: Run, part: Part, now: datetime) -> bool:
        """Whether the part's message must be sent again."""
        if self._is_too_long(run) or part.attempts >= _ATTEMPTS:
            why = part.message or "Its workers ended without saying why."
            self._runner.finish_failed(
                run, part, part.reason or Reason.PART_ABANDONED, f"Given up after {part.attempts} attempts. {why}"
            )
            return False
        heard_at = part.queued_at
        if part.state is PartState.RUNNING:
            heard_at = part.heartbeat_at or part.queued_at
        if now - heard_at <= max(_PATIENCE, SILENT_AFTER):
            return False
        self._runs.parts.queue_again(replace(part, state=PartState.QUEUED, queued_at=now, heartbeat_at=None))
        return True

    def _is_too_long(self, run: Run) -> bool:
        return self._now() - run.started_at > _LONGEST_RUN


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.0f} h"
