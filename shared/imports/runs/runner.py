"""The process of an import: do the parts of a run, fail what cannot be done, close it. A message is one part."""

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict

from shared.conditions import UNREPORTED, Conditions
from shared.errors import (
    ChangedMeanwhileError,
    DeskbridgeError,
    InvalidInputError,
    MisconfiguredError,
    NotFoundError,
    PassedOverError,
    TryLaterError,
)
from shared.imports.part_import import PartImport
from shared.imports.part_withdrawals import PartWithdrawals
from shared.imports.plan.model import Action, Trigger
from shared.imports.runs import fan_out
from shared.imports.runs.endings import may_take_away, report_end, withheld_of
from shared.imports.runs.fan_out import FIRST, FIRST_SETTLING, children_of, children_of_expanded, first_to_settle
from shared.imports.runs.model import (
    SILENT_AFTER,
    Mode,
    Part,
    PartState,
    Run,
    RunState,
    Summary,
    add_parts,
    count_parts,
    state_at_end,
    told_at_end,
)
from shared.imports.runs.readings import Finding
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.unread import NO_LONGER, UnreadParts
from shared.imports.sources import SourceType, SyncSource
from shared.reasons import Reason
from shared.telemetry import span
from shared.text import escape_key

logger = logging.getLogger(__name__)
# So many parts one step counts, and no more in a second: a partition answers 2,000 rows.
PARTS_COUNTED = 1_000
_COUNTED_A_SECOND = 1_500


class PartMessage(TypedDict):
    """What the queue carries: which part of which run."""

    run_id: str
    part: str


class ImportRunner:
    """Does the parts of the runs of every registered source."""

    def __init__(
        self,
        runs: RunRepository,
        sources: Mapping[str, SourceType],
        now: Callable[[], datetime],
        conditions: Conditions = UNREPORTED,
    ) -> None:
        self.runs = runs
        self.sources = sources
        self.now = now
        self.unread = UnreadParts(runs.readings, now)
        self.conditions = conditions

    def do_part(self, message: PartMessage, *, redelivered: bool = False) -> list[PartMessage]:
        """Do a part; the messages of further parts that it found.

        `redelivered` says that the queue gives this message again, so that its first reader is gone. Raises
        TryLaterError for what may pass: the queue gives the message again, and at last to `fail_part`.
        """
        with span("part", run=message["run_id"], part=message["part"]):
            return self._do_part(message, redelivered)

    def _do_part(self, message: PartMessage, redelivered: bool) -> list[PartMessage]:
        run = self.runs.find(message["run_id"])
        if run is None:
            logger.warning("Part %s of run %s is not there any more.", message["part"], message["run_id"])
            return []
        part = self.runs.parts.find(run.id, message["part"])
        if part is None or not part.is_open:
            # Whoever did it may have been killed before it looked whether the run is complete, or before the host
            # had sent all messages of the parts that it led to.
            run = self.close_if_complete(run)
            going_on = self.going_on(run, message["part"])
            if going_on or not run.is_open:
                return going_on
            return messages_of(run, self.runs.parts.queued_children(run.id, message["part"]))
        now = self.now()
        heard_at = part.heartbeat_at or part.started_at
        if part.state is PartState.RUNNING and not redelivered and heard_at and now - heard_at < SILENT_AFTER:
            return []
        try:
            part = self.runs.parts.save(
                replace(
                    part,
                    state=PartState.RUNNING,
                    attempt_id=secrets.token_hex(6),
                    attempts=part.attempts + 1,
                    started_at=part.started_at or now,
                    heartbeat_at=now,
                )
            )
            return self._work(run, part)
        except ChangedMeanwhileError as error:
            if error.row_key and not error.row_key.startswith("part:"):
                raise
            logger.info("Another attempt has part %s of run %s.", part.name, run.id)
            return []

    def fail_part(self, message: PartMessage) -> Sequence[PartMessage]:
        """The queue gave up on the part: it fails, in the run. The messages by which the run goes on."""
        run = self.runs.find(message["run_id"])
        if run is None:
            return []
        part = self.runs.parts.find(run.id, message["part"])
        if part is None or not part.is_open:
            return self.going_on(self.close_if_complete(run), message["part"])
        why = part.message or "Its worker ended without saying why."
        why = f"Given up after several attempts. {why}"
        return self.finish_failed(run, part, part.reason or Reason.PART_FAILED, why)

    def finish_failed(self, run: Run, part: Part, reason: str, message: str, remedy: str = "") -> Sequence[PartMessage]:
        """The part failed; the messages by which the run goes on."""
        logger.error("Part %s of run %s failed: %s (%s)", part.name, run.id, message, reason)
        self.runs.parts.finish(
            replace(
                part,
                state=PartState.FAILED,
                finished_at=self.now(),
                reason=str(reason),
                message=message,
                remedy=remedy,
            )
        )
        return self.going_on(self.close_if_complete(run, begun=True), part.name)

    def close_if_complete(self, run: Run, *, begun: bool = False) -> Run:
        """The run; when no part is open any more, all are counted, so many at each call. Then it is closed, or begins
        to settle what its parts wrote down.

        Of all who see that at once, one counts or closes. `begun` says that the caller has seen a part of it: only a
        run without any may get one after none was open.
        """
        if run.state is not RunState.RUNNING or (not run.counted_to and not self._is_complete(run, begun)):
            return run
        parts, following = self.runs.parts.page(run.id, PARTS_COUNTED, run.counted_to or None)
        counted = replace(add_parts(run, parts), counted_to=following or "")
        try:
            if following is not None:
                # Whoever counts on reads the same partition.
                time.sleep(len(parts) / _COUNTED_A_SECOND)
                return self.runs.save(counted)
            if counted.losses.withdrawals and not run.settles:
                run = self.runs.save(replace(counted, counts={}, settles=True))
                self.runs.parts.begin(first_to_settle(run.id, self.now()))
                return run
            return self._close(replace(counted, state=state_at_end(counted.counts)))
        except ChangedMeanwhileError:
            return self.runs.get(run.id)

    def _is_complete(self, run: Run, begun: bool) -> bool:
        if run.settles and not self.runs.parts.is_begun(run.id, FIRST_SETTLING):
            # Whoever saved that it settles was killed before it began with that.
            self.runs.parts.begin(first_to_settle(run.id, self.now()))
        if self.runs.parts.any_open(run.id):
            return False
        # Or its start was interrupted, and housekeeping begins it; or it was begun between the two looks.
        return begun or (self.runs.parts.any(run.id) and not self.runs.parts.any_open(run.id))

    def _close(self, run: Run) -> Run:
        state, now = run.state, self.now()
        is_held = run.counts.get(Action.HELD_BACK)
        names, why = withheld_of(run, self.runs.entries) if is_held else ([], "")
        if state is not RunState.SUCCEEDED or run.counts.get("parts_warned"):
            # Without its list of parts a run has nothing else to say.
            first = self.runs.parts.find(run.id, FIRST) if state is RunState.FAILED else None
            run = told_at_end(run, first, names)
        changed = None
        if run.mode is Mode.IMPORT:
            changed = self.runs.save_outcome(run, now, names, why, lambda: may_take_away(run, self.source_type))
        closed = self.runs.save(replace(run, finished_at=now))
        if changed is not None:
            report_end(self.conditions, run, changed)
        logger.info("Run %s of %s ended: %s, %s", run.id, run.name, state, run.counts)
        return closed

    def summary(self, run_id: str) -> Summary:
        """The run with its first parts. Raises NotFoundError."""
        return self.summarise(self.runs.get(run_id))

    def summarise(self, run: Run) -> Summary:
        """The run with its first parts. Of an open one the records are counted when these are all."""
        parts, following = self.runs.parts.page(run.id, PARTS_COUNTED, None)
        if not run.is_open:
            return Summary(run, run.counts, parts)
        if following is not None:
            counts, at_least = self.runs.parts.progress(run.id)
            return Summary(run, counts, parts, at_least)
        open_parts = [part for part in parts if part.is_open]
        counts = {**count_parts(parts, {}), "parts_open": len(open_parts)}
        return Summary(run, counts, parts, at_least=any(part.fans_out for part in open_parts))

    def _work(self, run: Run, part: Part) -> list[PartMessage]:
        try:
            return self._read_and_write(run, part)
        except ChangedMeanwhileError:
            raise
        except TryLaterError as error:
            self._note(part, error.reason, error.message)
            raise
        except PassedOverError as error:
            return self._pass_over(run, self._fresh(part), error)
        except DeskbridgeError as error:
            return list(self.finish_failed(run, self._fresh(part), error.reason, error.message, error.remedy))
        except Exception as error:
            # A bug: noted for the run, and left to the queue, which gives the message again and then up.
            self._note(part, Reason.INTERNAL, f"{type(error).__name__}, see the log.")
            raise

    def _read_and_write(self, run: Run, part: Part) -> list[PartMessage]:
        if run.mode is Mode.IMPORT and not self.runs.has_lease(run):
            raise MisconfiguredError(Reason.RUN_SUPERSEDED, "Another import of the same document took over.")
        source_type = self.source_type(run.kind)
        is_unread = part.name.startswith(NO_LONGER)
        # What a document has read is settled by that one: when it is gone, nothing is taken away in its name.
        settles_read = part.settles and not is_unread and not part.fans_out
        source = source_type.source(run.name) if settles_read else self.source(source_type, run.name)
        if part.fans_out:
            if part.settles:
                run = self.runs.save_brake(run, source.policy(Trigger(run.trigger)).brake)
            children = children_of(self.runs.parts, run, part, source, self.now())
            return self._fan_out(run, part, [*children, *self.unread.children(run, part, source_type, source)])
        # One more than a step splits says that there are others.
        most = fan_out.PARTS_AT_ONCE * fan_out.PIECES_AT_ONCE + 1
        expansion = None if is_unread or part.settles else source.expand(part.name, most=most)
        if expansion is not None:
            told = replace(part, reason="", message=expansion.message)
            return self._fan_out(run, told, children_of_expanded(part, expansion.parts, self.now()))
        policy = source.policy(Trigger(run.trigger))
        if is_unread:
            left = self.unread.begin(run, part, source_type, policy)
            if left is None:
                return self._finish(run, replace(part, counts=part.counts if part.settles else {}), Finding())
            source, policy = left
        work: PartImport | PartWithdrawals
        if part.settles:
            partition_key = source.partition_key(part.name)
            work = PartWithdrawals(self.runs, source_type.rows, partition_key, run, part, self.now, policy=policy)
        else:
            if run.confirms:
                policy = replace(policy, confirmed=self._held_back(run.confirms, part.name))
            preview = self._previewed(run.applies, part.name) if run.applies else None
            work = PartImport(self.runs, source_type.rows, source, run, part, self.now, policy=policy, preview=preview)
        # Of what nobody reads nothing is looked at, unless it may be deactivated.
        done = work.run() if not is_unread or policy.deactivate_unread else replace(part, counts={})
        if run.mode is Mode.IMPORT:
            source.finish(part.name, {**done.counts, "withdrawals": done.losses.withdrawals})
        found = Finding() if work.is_as_before else self.unread.end(run, source_type, work, done, policy)
        return self._finish(run, done, found)

    def _pass_over(self, run: Run, part: Part, error: PassedOverError) -> list[PartMessage]:
        """A part that cannot be read: nothing is lost by it while it has no active record, and else it has failed."""
        source_type = self.source_type(run.kind)
        if source_type.rows.any_active(source_type.source(run.name).partition_key(part.name)):
            return list(self.finish_failed(run, part, error.reason, error.message, error.remedy))
        message = f"{error.message} It has no active record, and is passed over."
        found = Finding(str(error.reason), message, error.remedy)
        return self._finish(run, replace(part, counts={"parts_passed_over": 1}), found)

    def _finish(self, run: Run, part: Part, found: Finding) -> list[PartMessage]:
        done = replace(part, state=PartState.DONE, finished_at=self.now())
        done = replace(done, reason=found.reason, message=found.message, remedy=found.remedy)
        self.runs.parts.finish(done)
        return self.going_on(self.close_if_complete(run, begun=True), done.name)

    def _fan_out(self, run: Run, part: Part, children: Sequence[Part]) -> list[PartMessage]:
        self.runs.parts.fan_out(replace(part, finished_at=self.now()), children)
        run = self.close_if_complete(run, begun=True)
        return messages_of(run, [child.name for child in children]) or self.going_on(run, part.name)

    def going_on(self, run: Run, name: str) -> list[PartMessage]:
        """What is to be sent for a run whose parts have ended: while it is counted the message of one of them once
        more, and whoever reads that counts on; then that of the part that opens others again."""
        if run.counted_to:
            return messages_of(run, [name])
        if not run.settles or not run.is_open:
            return []
        first = self.runs.parts.find(run.id, FIRST_SETTLING)
        return messages_of(run, [FIRST_SETTLING]) if first is not None and first.state is PartState.QUEUED else []

    def _fresh(self, part: Part) -> Part:
        """The part as it stands, if this attempt still has it."""
        current = self.runs.parts.find(part.run_id, part.name)
        if current is None or current.attempt_id != part.attempt_id:
            raise ChangedMeanwhileError("Another attempt has the part.", row_key=f"part:{part.name}")
        return current

    def _note(self, part: Part, reason: str, message: str) -> None:
        current = self.runs.parts.find(part.run_id, part.name)
        if current is not None and current.attempt_id == part.attempt_id:
            # The heartbeat goes too: the queue's next delivery need not wait for it.
            self.runs.parts.save(replace(current, reason=str(reason), message=message, heartbeat_at=None))

    def _previewed(self, preview_id: str, part_name: str) -> dict[str, tuple[str, str]]:
        part = self.runs.parts.find(preview_id, part_name)
        if part is None or part.state is not PartState.DONE:
            raise InvalidInputError(Reason.PREVIEW_UNUSABLE, "This part of the preview failed: there is no plan of it.")
        return self.runs.entries.planned(part)

    def _held_back(self, run_id: str, part_name: str) -> frozenset[str]:
        part = self.runs.parts.find(run_id, part_name)
        entries = self.runs.entries.of_part(part, Action.HELD_BACK) if part is not None else ()
        return frozenset(escape_key(str(entry["id"])) for entry in entries)

    def source_type(self, kind: str) -> SourceType:
        """Raises NotFoundError."""
        if kind not in self.sources:
            message = f"There is no source {kind!r}; there are {', '.join(self.sources)}."
            raise NotFoundError(Reason.IMPORT_SOURCE_UNKNOWN, message)
        return self.sources[kind]

    def source(self, source_type: SourceType, name: str) -> SyncSource:
        """The source of a document, or of what one that is gone has left. Raises NotFoundError."""
        try:
            return source_type.source(name)
        except NotFoundError:
            return self.unread.left_by(source_type, name)


def messages_of(run: Run, names: Sequence[str]) -> list[PartMessage]:
    return [PartMessage(run_id=run.id, part=name) for name in names]


def to_message(message: Any) -> PartMessage:
    """The message of a queue item's JSON; raises InvalidInputError for anything else."""
    if isinstance(message, dict) and isinstance(message.get("run_id"), str) and isinstance(message.get("part"), str):
        return PartMessage(run_id=message["run_id"], part=message["part"])
    raise InvalidInputError(Reason.BODY_NOT_READABLE, "The queue message is not one part of a run.")
