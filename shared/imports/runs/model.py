"""Runs and their parts as plain values. A run's summary is computed from its parts, so that no counter is contended."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.reasons import Reason

# A part whose worker has not been heard of for so long is taken to be dead.
SILENT_AFTER = timedelta(minutes=10)
# Longer than this the last success may not be past: the daily import was missed.
SUCCESS_EXPECTED_WITHIN = timedelta(hours=26)


class Mode(StrEnum):
    """A preview writes nothing but its plan."""

    IMPORT = "import"
    PREVIEW = "preview"


class PartState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class RunState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"


@dataclass(frozen=True)
class Part:
    """One part of a run. `attempt_id` names the attempt that has it, whose entries count."""

    run_id: str
    name: str
    state: PartState
    queued_at: datetime
    etag: str = ""
    attempt_id: str = ""
    attempts: int = 0
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None
    finished_at: datetime | None = None
    expanded: bool = False
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    reason: str = ""
    message: str = ""
    remedy: str = ""

    @property
    def is_open(self) -> bool:
        return self.state in {PartState.QUEUED, PartState.RUNNING}


@dataclass(frozen=True)
class Run:
    """One import or preview of one document. `parts_created` once all of them stand in the table."""

    id: str
    kind: str
    name: str
    mode: Mode
    trigger: str
    started_at: datetime
    started_by: str
    applies: str = ""
    confirms: str = ""
    parts_created: bool = False
    state: RunState = RunState.RUNNING
    finished_at: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    reason: str = ""
    message: str = ""
    remedy: str = ""
    etag: str = ""

    @property
    def is_open(self) -> bool:
        return self.state is RunState.RUNNING


@dataclass(frozen=True)
class Summary:
    """A run with what its parts say now."""

    run: Run
    state: RunState
    counts: Mapping[str, int]
    parts: Sequence[Part]

    @property
    def complete(self) -> bool:
        return self.run.parts_created and not any(part.is_open for part in self.parts)


def summarise(run: Run, parts: Sequence[Part]) -> Summary:
    """The summary of a run that is open, or was closed: from its parts."""
    parts = as_shown(run, parts)
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
    counts["parts"] = sum(not part.expanded for part in parts)
    counts["parts_done"] = sum(part.state is PartState.DONE and not part.expanded for part in parts)
    counts["parts_failed"] = sum(part.state is PartState.FAILED for part in parts)
    if not run.is_open:
        state = run.state
    elif not run.parts_created or any(part.is_open for part in parts):
        state = RunState.RUNNING
    elif not counts["parts_failed"]:
        state = RunState.SUCCEEDED
    else:
        state = RunState.PARTLY_FAILED if counts["parts_done"] else RunState.FAILED
    return Summary(run, state, dict(counts), parts)


def as_shown(run: Run, parts: Sequence[Part]) -> Sequence[Part]:
    """The parts as they are told of.

    A part that is still open in a closed run was created just as the run was given up, or by a worker that was slower
    than the rest: nobody was ever told to do it, and it is shown as what it is.
    """
    return parts if run.is_open else [_given_up(part, run) if part.is_open else part for part in parts]


def _given_up(part: Part, run: Run) -> Part:
    return replace(
        part,
        state=PartState.FAILED,
        finished_at=run.finished_at,
        reason=part.reason or str(Reason.PART_ABANDONED),
        message=part.message or "Its run had ended before it was begun.",
        remedy=part.remedy or "Nothing is to be done: the next import reads it.",
    )
