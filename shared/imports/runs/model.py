"""Runs and their parts as plain values. A run's counts are added up once, at its end: no counter is contended."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.imports.plan.model import Action

# A part whose worker has not been heard of for so long is taken to be dead.
SILENT_AFTER = timedelta(minutes=10)


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
    """`withheld`: all went well, and a guard holds back what a person has to look at."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    WITHHELD = "withheld"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"


SUCCESSFUL = frozenset({RunState.SUCCEEDED, RunState.WITHHELD})


@dataclass(frozen=True)
class Part:
    """One part of a run. `attempt_id` names the attempt that has it, whose entries count.

    A part that `fans_out` reads no records: it creates the parts whose names come after `after`, up to `until`; of all
    parts of the source, or of those that the part `beneath` led to.
    """

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
    fans_out: bool = False
    after: str = ""
    until: str = ""
    beneath: str = ""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    reason: str = ""
    message: str = ""
    remedy: str = ""

    @property
    def is_open(self) -> bool:
        return self.state in {PartState.QUEUED, PartState.RUNNING}


@dataclass(frozen=True)
class Run:
    """One import or preview of one document. Its counts stand in it once it is closed.

    `counted_to` is set while its parts are counted: a place in the list of parts, up to which its counts go.
    """

    id: str
    kind: str
    name: str
    mode: Mode
    trigger: str
    started_at: datetime
    started_by: str
    applies: str = ""
    confirms: str = ""
    state: RunState = RunState.RUNNING
    finished_at: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    counted_to: str = ""
    reason: str = ""
    message: str = ""
    remedy: str = ""
    etag: str = ""

    @property
    def is_open(self) -> bool:
        return self.state is RunState.RUNNING


@dataclass(frozen=True)
class Summary:
    """A run with its first parts. `at_least` says that there may be more than its `counts` say."""

    run: Run
    counts: Mapping[str, int]
    parts: Sequence[Part]
    at_least: bool = False

    @property
    def state(self) -> RunState:
        return self.run.state


# What is done with records that were imported, or are left alone by the settings.
_IMPORTED = (Action.CREATE, Action.UPDATE, Action.UNCHANGED, Action.SKIP)


def count_parts(parts: Iterable[Part], before: Mapping[str, int]) -> Mapping[str, int]:
    """What the parts did, and how many there are, done and failed, added to what was counted before. Empty when there
    is no part at all."""
    counts: Counter[str] = Counter(before)
    for part in parts:
        counts.update(part.counts)
        counts["parts"] += not part.expanded
        counts["parts_done"] += part.state is PartState.DONE and not part.expanded
        counts["parts_failed"] += part.state is PartState.FAILED
        if part.state is PartState.DONE and part.reason:
            counts["parts_warned"] += 1
    return dict(counts)


def all_are_errors(counts: Mapping[str, int]) -> bool:
    """Whether records were read, and not one of them could be imported."""
    return bool(counts.get("error")) and not any(counts.get(one) for one in _IMPORTED)


def state_at_end(counts: Mapping[str, int]) -> RunState:
    """The state of a run whose parts have all ended."""
    if not counts["parts_failed"]:
        none_read = 0 < counts.get("parts_passed_over", 0) == counts["parts_done"]
        if none_read or all_are_errors(counts):
            return RunState.FAILED
        return RunState.WITHHELD if counts.get(Action.HELD_BACK) else RunState.SUCCEEDED
    return RunState.PARTLY_FAILED if counts["parts_done"] else RunState.FAILED


@dataclass(frozen=True)
class Withheld:
    """What a guard holds back of a document's records: how many, some of their names, since when, and by which run."""

    count: int
    run_id: str
    since: datetime
    names: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Outcome:
    """The last import of a document, and its last success. `since` is when an import first ended as the last one did.

    `reason`, `message` and `remedy` are the last run's own.
    """

    run_id: str
    state: RunState
    at: datetime
    since: datetime
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    reason: str = ""
    message: str = ""
    remedy: str = ""
    success_at: datetime | None = None
    success_run: str = ""
    withheld: Withheld | None = None
    etag: str = ""
