"""Runs and their parts as plain values. A run's counts are added up once, at its end: no counter is contended."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.imports.plan.model import Action
from shared.imports.plan.safety import Brake, Losses
from shared.reasons import Reason
from shared.text import few

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
    parts of the source, or of those that the part `beneath` led to. What a reading would take away is in its `losses`.
    When the run has decided on them, the part is opened again: it `settles` what the attempt `reading` wrote down.
    `left_out` names a few records that no rule gives a type any more.
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
    settles: bool = False
    reading: str = ""
    losses: Losses = field(default_factory=Losses)
    left_out: str = ""
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

    `counted_to` is set while its parts are counted: a place in the list of parts, up to which its counts go. When all
    parts are read it `settles` their `losses`, under the `brake` of that moment: then it is counted anew.
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
    settles: bool = False
    losses: Losses = field(default_factory=Losses)
    brake: Brake | None = None
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


def add_parts(run: Run, parts: Sequence[Part]) -> Run:
    """The run with what these parts of it did, and would take away."""
    counted = replace(run, counts=count_parts(parts, run.counts))
    if run.settles:
        return counted
    emptied, all_losses = Counter[str](), [run.losses, *(part.losses for part in parts)]
    for one in all_losses:
        emptied.update(one.emptied)
    active, deactivated = sum(one.active for one in all_losses), sum(one.deactivated for one in all_losses)
    withdrawals = sum(one.withdrawals for one in all_losses)
    return replace(counted, losses=Losses(active, deactivated, dict(emptied), withdrawals))


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


@dataclass(frozen=True)
class OutcomeChange:
    """How the outcome of a document changed with an import, where that is to be told."""

    before: Outcome | None
    after: Outcome


def told_at_end(run: Run, first: Part | None, names: Sequence[str]) -> Run:
    """The run with what it says when not all went well. `first` is its list of parts, of one that failed; `names` are
    some of those that are withheld."""
    look = f"GET /api/v1/runs/{run.id}/errors says "
    if first is not None:
        return replace(run, reason=first.reason, message=first.message, remedy=first.remedy)
    if run.state is RunState.FAILED and all_are_errors(run.counts):
        message = f"Of {run.counts['read']:,} records not one could be imported."
        look = "Look at the errors of the run: what they have in common is usually one setting."
        return replace(run, reason=str(Reason.RECORDS_ALL_REFUSED), message=message, remedy=look)
    if run.state is RunState.FAILED and run.counts.get("parts_passed_over"):
        message = "Not one part could be read: all of them were passed over."
        return replace(run, reason=str(Reason.PARTS_NOT_READ), message=message, remedy=f"{look}why, and what to do.")
    messages, remedies = list[str](), list[str]()
    if run.state is RunState.WITHHELD:
        run = replace(run, reason=str(Reason.IMPORT_WITHHELD))
        messages.append(_why_withheld(run, names))
        remedies.append(f"{look}what is withheld. Where the source is right, confirm the run.")
    if warned := run.counts.get("parts_warned"):
        messages.append(f"Something is to be looked at in {warned:,} parts.")
        remedies.append(f"{look}what, and what to do.")
    return replace(run, message=" ".join(messages), remedy=" ".join(remedies))


def _why_withheld(run: Run, names: Sequence[str]) -> str:
    """What the readings of all parts come to, how much of it is withheld, and of whom: a few of the names."""
    losses, held = run.losses, run.counts[Action.HELD_BACK]
    lost = [f"{losses.deactivated:,} are not there any more"] if losses.deactivated else []
    lost += [f"{count:,} have no {field}" for field, count in sorted(losses.emptied.items())]
    told = f"Of {losses.active:,} active records {few(lost)}, the source says. Withheld: {held:,}"
    return f"{told}, of them {few(names)}." if names else f"{told}."
