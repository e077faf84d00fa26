"""Runs as answers: what they did, what went wrong row by row, and the plan of a preview."""

from collections.abc import Collection, Sequence
from typing import Any

from shared.imports.plan.model import Action
from shared.imports.runs.model import Part, PartState, Summary
from shared.imports.runs.runner import ImportRunner
from shared.storage.continuation import invalid_continuation_token
from shared.storage.cursors import decode_cursor, encode_cursor

# What an operator must look at.
TROUBLE = (str(Action.ERROR), str(Action.HELD_BACK), str(Action.CHANGED_SINCE_PREVIEW))
# Where a page of errors stands: among the failed parts, or among the entries.
_FAILED, _ENTRIES = "parts", "entries"
# A run's own answer shows no more of its parts: a large tenant has thousands.
_PARTS_SHOWN = 200


def show_run(summary: Summary) -> dict[str, Any]:
    run = summary.run
    return {
        "id": run.id,
        "kind": run.kind,
        "name": run.name,
        "mode": str(run.mode),
        "trigger": run.trigger,
        "status": str(summary.state),
        "started_at": run.started_at,
        "started_by": run.started_by,
        "finished_at": run.finished_at,
        "applies": run.applies or None,
        "confirms": run.confirms or None,
        "counts": summary.counts,
        "counts_at_least": summary.at_least,
        "reason": run.reason or None,
        "message": run.message or None,
        "remedy": run.remedy or None,
    }


class RunReports:
    """Answers about runs of every source."""

    def __init__(self, runner: ImportRunner) -> None:
        self._runner = runner
        self._runs = runner.runs

    def page(
        self,
        kind: str,
        name: str,
        size: int,
        after: str | None,
        documents: Collection[tuple[str, str]] | None = None,
        states: Collection[str] = (),
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Newest first; open runs with their progress. With `documents`, only theirs, and the page may be short. With
        `states`, only those."""
        runs, following = self._runs.page(kind, name, size, after, documents, states)
        shown = [show_run(self._runner.summarise(run) if run.is_open else Summary(run, run.counts, ())) for run in runs]
        return shown, following

    def run(self, run_id: str) -> dict[str, Any]:
        """With the first of its parts, and where `parts` goes on. Raises NotFoundError."""
        run = self._runs.get(run_id)
        parts, following = self._parts_of(run.id, _PARTS_SHOWN, None)
        summary = self._runner.summarise(run) if run.is_open else Summary(run, run.counts, ())
        return {**show_run(summary), "parts": parts, "parts_next": following}

    def parts(self, run_id: str, size: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """The parts of a run, by name. Raises NotFoundError."""
        return self._parts_of(self._runs.get(run_id).id, size, after)

    def _parts_of(self, run_id: str, size: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        parts, following = self._runs.parts.page(run_id, size, after)
        return [_show_part(part) for part in parts], following

    def errors(self, run_id: str, size: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """Failed parts first, then every record that could not be imported, was held back, or left alone."""
        stage, place = (_FAILED, None) if after is None else decode_cursor(after, str, str | None)
        if stage not in {_FAILED, _ENTRIES}:
            raise invalid_continuation_token()
        self._runs.get(run_id)
        parts: list[dict[str, Any]] = []
        if stage == _FAILED:
            failed, following = self._runs.parts.page(run_id, size, place, with_reason=True)
            parts = [
                {
                    "part": part.name,
                    "action": "failed" if part.state is PartState.FAILED else "warning",
                    "reason": part.reason,
                    "message": part.message,
                    "remedy": part.remedy,
                }
                for part in failed
            ]
            if following is not None or len(parts) == size:
                return parts, encode_cursor(_FAILED, following) if following else encode_cursor(_ENTRIES, None)
            place = None
        entries, following = self._runs.entries.page(run_id, TROUBLE, size=size - len(parts), after=place)
        return [*parts, *entries], encode_cursor(_ENTRIES, following) if following else None

    def plan(
        self, run_id: str, actions: Sequence[str], part: str, size: int, after: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The entries of a preview, by action and part."""
        self._runs.get(run_id)
        # Of one part, each action is read by itself: the entries of the other parts stand in between.
        asked = actions or (tuple(map(str, Action)) if part else ())
        return self._runs.entries.page(run_id, asked, part=part, size=size, after=after)


def _show_part(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "state": str(part.state),
        "attempts": part.attempts,
        "queued_at": part.queued_at,
        "started_at": part.started_at,
        "last_heartbeat_at": part.heartbeat_at,
        "finished_at": part.finished_at,
        "counts": part.counts,
        "reason": part.reason or None,
        "message": part.message or None,
        "remedy": part.remedy or None,
    }
