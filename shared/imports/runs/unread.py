"""What nobody reads any more: found when a run fans out, named in the run, and deactivated where a setting says so."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.errors import NotFoundError
from shared.imports.plan.model import DesiredRecord, Policy, Trigger
from shared.imports.runs.fan_out import FIRST, UNREAD, fan_out_after, queued
from shared.imports.runs.model import Mode, Part, Run
from shared.imports.runs.readings import Finding, Reading, Readings, Walk, joined
from shared.imports.sources import Expansion, SourceType, SyncSource
from shared.reasons import Reason
from shared.records.model import field_of
from shared.text import few

# What the part of a run is called that looks after records which nobody reads.
NO_LONGER = "no longer read: "
# So many parts of a document one step compares.
_AT_ONCE = 200
# A short list is compared in every run; a longer one when the document changed, and once a week.
_SHORT = 40
_WALKED_EVERY = timedelta(days=6, hours=12)


class _Read(Protocol):
    """A part that was read, or settled: of which partition, and how that was read before and is now."""

    partition_key: str
    before: Reading | None

    @property
    def reading(self) -> Reading: ...

    @property
    def unmapped_left(self) -> frozenset[str]:
        """The columns that no mapping fills any more, and where active records still have values."""
        ...


class NothingRead:
    """In place of a source: a part that nobody reads, or a document that is gone. Both list nothing."""

    version = ""

    def __init__(self, name: str, partition: str = "") -> None:
        self.name = name
        self._partition = partition

    def parts(self) -> Sequence[str]:
        return ()

    def expand(self, part: str, after: str = "", most: int | None = None) -> Expansion | None:  # noqa: ARG002 - as asked
        return None

    def partition_key(self, part: str) -> str:  # noqa: ARG002 - it is of one part
        return self._partition

    def policy(self, trigger: Trigger) -> Policy:  # noqa: ARG002 - nobody schedules it
        return Policy(document=self.name, deactivate_unread=True)

    def read(self, part: str) -> Iterator[Sequence[Any]]:  # noqa: ARG002 - whatever it was
        return iter(())

    def map_record(self, part: str, raw: Any) -> DesiredRecord:
        raise LookupError(f"{part} has no record {raw}.")

    def create_prerequisites(self, prerequisites: Collection[str], by: str) -> None:
        """Nothing is created."""

    def finish(self, part: str, counts: Mapping[str, int]) -> None:
        """Nothing follows."""


class UnreadParts:
    """Compares what a document had with what it reads now."""

    def __init__(self, readings: Readings, now: Callable[[], datetime]) -> None:
        self._readings = readings
        self._now = now

    def children(self, run: Run, part: Part, source_type: SourceType, source: SyncSource) -> list[Part]:
        """The parts that nobody reads any more, of those that one step of the fan-out compares."""
        is_first = part.name == FIRST
        if run.applies or run.confirms or not (is_first or part.beneath == UNREAD):
            return []
        walk = self._readings.walk(run.kind, run.name)
        is_due = walk is None or walk.found or walk.version != source.version or self._is_old(walk)
        if is_first and walk is not None and not is_due:
            if not walk.short:
                return []
            listed, more = self._readings.parts(run.kind, run.name, _SHORT)
            if more:
                self._keep(run, replace(walk, short=False), walk)
                return []
        else:
            listed, more = self._readings.parts(run.kind, run.name, _AT_ONCE, part.after)
        unread = [name for name, partition in listed if not source_type.reader(partition, run.name)]
        found = bool(unread) or (not is_first and walk is not None and walk.found)
        short = len(listed) <= _SHORT and not part.after
        self._keep(run, Walk(self._now(), source.version, short, found), walk)
        children = queued(run.id, [NO_LONGER + name for name in unread], self._now())
        return [*children, *([fan_out_after(run.id, self._now(), UNREAD, listed[-1][0])] if more else [])]

    def left_by(self, source_type: SourceType, name: str) -> SyncSource:
        """In place of a document that is gone, while it has left active records. Raises NotFoundError."""
        if not self._readings.parts(source_type.kind, name, 1)[0]:
            raise NotFoundError(Reason.NOT_FOUND, f"There is no document {source_type.kind}/{name}.")
        return NothingRead(name)

    def begin(self, run: Run, part: Part, source_type: SourceType, policy: Policy) -> tuple[SyncSource, Policy] | None:
        """What an unread part is read from, and what its import may do; None when somebody reads its records now."""
        name = part.name.removeprefix(NO_LONGER)
        partition = self._readings.partition_of(run.kind, run.name, name)
        if not partition or source_type.reader(partition, run.name, fresh=True):
            return None
        before = source_type.rows.reading(partition)
        if before is not None and (before.kind, before.document, before.part) != (run.kind, run.name, name):
            return None
        allowed = replace(
            policy,
            deactivate_listed=policy.deactivate_unread,
            deactivate_vanished=policy.deactivate_unread,
            # Nobody asked: that nothing is listed says nothing here.
            believe_empty_answers=True,
            why_vanished=f"No document reads {name} any more.",
            columns=frozenset(),
        )
        return NothingRead(run.name, partition), allowed

    def end(self, run: Run, source_type: SourceType, work: "_Read", part: Part, policy: Policy) -> Finding:
        """What is to be told of the part. In an import it is kept, as what the part leaves."""
        before, after = work.before, work.reading
        if part.name.startswith(NO_LONGER):
            after = replace(after, part=part.name.removeprefix(NO_LONGER))
            columns = before.columns if before is not None else frozenset[str]()
            after = replace(after, columns=columns, finding=_unread(after, policy) if after.active else Finding())
        else:
            finding = joined([*_left_out(part.left_out), *_unmapped(work.unmapped_left)])
            after = replace(after, finding=finding)
        finding = after.finding
        if run.mode is Mode.PREVIEW:
            # It makes nothing, and tells of what is there already.
            if before is None or (before.document, before.part) != (after.document, after.part):
                return finding
            after = replace(before, finding=finding)
        again = part.attempts > 1
        self._readings.save(source_type.rows.table, work.partition_key, before, after, again=again)
        return finding

    # Within

    def _is_old(self, walk: Walk) -> bool:
        return self._now() - walk.at > _WALKED_EVERY

    def _keep(self, run: Run, walk: Walk, before: Walk | None) -> None:
        if run.mode is Mode.PREVIEW:
            return
        if before is None or self._is_old(before) or replace(walk, at=before.at) != before:
            self._readings.save_walk(run.kind, run.name, walk)


def _unread(reading: Reading, policy: Policy) -> Finding:
    remedy = (
        "They are deactivated under the brake."
        if policy.deactivate_unread
        else "Have it read again, or set deactivate_unread: true, with which a scheduled import deactivates them."
    )
    return Finding(
        str(Reason.PART_UNREAD), f"No document reads {reading.part} any more, and it has active records.", remedy
    )


def _left_out(names: str) -> list[Finding]:
    if not names:
        return []
    message = f"No rule gives a type any more to {names}: imported before, they stay as they were."
    return [Finding(str(Reason.RECORDS_LEFT_OUT), message, "Add a rule, or set deactivate_unread: true.")]


def _unmapped(columns: Collection[str]) -> list[Finding]:
    fields = sorted({field for column in columns if (field := field_of(column)) is not None})
    if not fields:
        return []
    message = f"No mapping fills {few(fields)} any more, and records keep what they have there."
    return [Finding(str(Reason.FIELDS_UNMAPPED), message, "Map them again, or set clear_unmapped: true.")]
