"""Housekeeping of runs: stalled ones go on or end, and old ones go.

A turn ends after some minutes, however large the runs are. The next one goes on: what was done needs nothing any more.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, islice
from zlib import crc32

from shared.errors import ChangedMeanwhileError
from shared.imports.runs.fan_out import FIRST
from shared.imports.runs.model import SILENT_AFTER, Mode, Part, PartState, Run
from shared.imports.runs.runner import ImportRunner, PartMessage
from shared.imports.runs.starter import RunStarter
from shared.reasons import Reason

# The time in which a message of a live app is surely read, or its start surely over.
_PATIENCE = timedelta(minutes=15)
_ATTEMPTS = 8
_LONGEST_RUN = timedelta(hours=24)
PREVIEW_KEPT = timedelta(days=1)
# Of a run, in one turn of the timer: the next one takes the others.
_PARTS_AT_ONCE = 2_000
# For stalled runs, and as long for old ones: both are less than the time until the next turn.
_TIME_FOR_EACH = timedelta(minutes=5)


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
        # By chance: turns at any distance begin at other runs, and none comes always last.
        begin = crc32(str(self._now()).encode()) % max(1, len(runs))
        for run in [*runs[begin:], *runs[:begin]]:
            messages += self._resume(run, until)
        self._remove_old()
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
        if going_on := self._runner.going_on(run, FIRST):
            # While it is counted any message of it goes on: this one is of a part that every run has had.
            return going_on
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
