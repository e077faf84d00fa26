"""The process of an import: start a run, do its parts, fail what cannot be done, close it. A message is one part."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypedDict

from shared.errors import (
    ChangedMeanwhileError,
    ConflictError,
    DeskbridgeError,
    InvalidInputError,
    MisconfiguredError,
    NotFoundError,
    TryLaterError,
)
from shared.imports.part_import import PartImport
from shared.imports.plan.model import Action, Trigger
from shared.imports.runs.model import SILENT_AFTER, Mode, Part, PartState, Run, RunState, Summary, summarise
from shared.imports.runs.repository import RunRepository
from shared.imports.sources import SourceType, SyncSource
from shared.reasons import Reason
from shared.telemetry import span

logger = logging.getLogger(__name__)


class PartMessage(TypedDict):
    """What the queue carries: which part of which run."""

    run_id: str
    part: str


@dataclass(frozen=True)
class StartedRun:
    """A new run, and the messages that the caller must send."""

    run: Run
    messages: Sequence[PartMessage]


class ImportRunner:
    """Runs imports of every registered source."""

    def __init__(self, runs: RunRepository, sources: Mapping[str, SourceType], now: Callable[[], datetime]) -> None:
        self.runs = runs
        self.sources = sources
        self._now = now

    # Starting

    def start(
        self,
        kind: str,
        name: str,
        *,
        trigger: Trigger,
        by: str,
        preview: bool = False,
        apply: str = "",
        confirm: str = "",
    ) -> StartedRun:
        """A new run of a document.

        `apply` is the id of a finished preview: exactly its plan is written. `confirm` is the id of a run whose brake
        held: what it withheld is deactivated, if it is still gone. Raises ConflictError while another import of the
        document runs; previews may run beside it.
        """
        if sum([preview, bool(apply), bool(confirm)]) > 1:
            raise InvalidInputError(
                Reason.BODY_NOT_READABLE, "A run is a preview, applies one, or confirms one: only one of them."
            )
        feed = self._source(kind).feed(name)
        trigger = self._trigger_of(kind, name, trigger, apply, confirm)
        now = self._now()
        run = Run(
            id=self.runs.new_id(kind, now),
            kind=kind,
            name=name,
            mode=Mode.PREVIEW if preview else Mode.IMPORT,
            trigger=trigger,
            started_at=now,
            started_by=by,
            applies=apply,
            confirms=confirm,
        )
        if not preview:
            self._check_lease(run)
        run = self.runs.add(run)
        if not preview and not self._take_lease(run):
            # It never was: whoever asked is told so, and the list of runs shows the other alone.
            with suppress(ChangedMeanwhileError):
                self.runs.remove(run)
            lease = self.runs.find_lease(kind, name)
            raise self._running(run, lease.run_id if lease is not None else "")
        try:
            return StartedRun(run, self._create_parts(run, feed))
        except (TryLaterError, ChangedMeanwhileError):
            # The housekeeper lays them, or has.
            raise
        except DeskbridgeError as error:
            # It would fail the housekeeper too; open until then, it would keep every other import from starting.
            with suppress(ChangedMeanwhileError):
                self._close(run, RunState.FAILED, reason=error.reason, message=error.message, remedy=error.remedy)
            raise

    def start_scheduled(self, kind: str) -> list[PartMessage]:
        """A run of every document whose schedule is on. One that cannot start does not keep the others from it."""
        messages: list[PartMessage] = []
        for name, _ in self._source(kind).scheduled():
            try:
                started = self.start(kind, name, trigger=Trigger.SCHEDULED, by="schedule")
            except TryLaterError:
                raise
            except DeskbridgeError as error:
                logger.warning("The import of %s/%s did not start: %s", kind, name, error)
                if error.reason is not Reason.IMPORT_RUNNING:
                    self._record_refusal(kind, name, error)
                continue
            messages += started.messages
        return messages

    def resume(self, run: Run) -> list[PartMessage]:
        """Lay the parts of a run whose start was interrupted; the messages to send."""
        try:
            feed = self._source(run.kind).feed(run.name)
            if run.mode is Mode.IMPORT and not self._has_lease(run):
                lease = self.runs.find_lease(run.kind, run.name)
                holder = self.runs.find(lease.run_id) if lease else None
                if (holder is not None and holder.is_open) or not self.runs.take_lease(run, lease):
                    raise self._running(run, lease.run_id if lease else "")
            return self._create_parts(run, feed)
        except ChangedMeanwhileError:
            # Another housekeeper lays them.
            return []
        except TryLaterError:
            raise
        except DeskbridgeError as error:
            self._close(run, RunState.FAILED, reason=error.reason, message=error.message, remedy=error.remedy)
            return []

    # Parts

    def do_part(self, message: PartMessage, *, redelivered: bool = False) -> list[PartMessage]:
        """Do a part; the messages of further parts that it found.

        `redelivered` says that the queue gives this message again, so that its first reader is gone. Raises
        TryLaterError for what may pass: the queue gives the message again, and at last to `fail_part`.
        """
        with span("part", run=message["run_id"], part=message["part"]):
            return self._do_part(message, redelivered)

    def _do_part(self, message: PartMessage, redelivered: bool) -> list[PartMessage]:
        run = self.runs.find(message["run_id"])
        part = self.runs.find_part(message["run_id"], message["part"]) if run is not None else None
        if run is None or part is None:
            logger.warning("Part %s of run %s is not there any more.", message["part"], message["run_id"])
            return []
        if not part.is_open:
            self.close_if_complete(run)
            return []
        now = self._now()
        heard_at = part.heartbeat_at or part.started_at
        if part.state is PartState.RUNNING and not redelivered and heard_at and now - heard_at < SILENT_AFTER:
            return []
        try:
            part = self.runs.save_part(
                replace(
                    part,
                    state=PartState.RUNNING,
                    token=secrets.token_hex(6),
                    attempts=part.attempts + 1,
                    started_at=part.started_at or now,
                    heartbeat_at=now,
                )
            )
            return self._work(run, part)
        except ChangedMeanwhileError as error:
            if error.row_key and not error.row_key.startswith("part:"):
                raise
            logger.info("Part %s of run %s is in other hands.", part.name, run.id)
            return []

    def fail_part(self, message: PartMessage) -> None:
        """The queue gave up on the part: it fails, in the run."""
        run = self.runs.find(message["run_id"])
        part = self.runs.find_part(message["run_id"], message["part"]) if run is not None else None
        if run is None or part is None or not part.is_open:
            return
        why = part.message or "Its worker ended without saying why."
        self.finish_failed(run, part, part.reason or Reason.PART_FAILED, f"Given up after several attempts. {why}")

    def finish_failed(self, run: Run, part: Part, reason: str, message: str, remedy: str = "") -> None:
        logger.error("Part %s of run %s failed: %s (%s)", part.name, run.id, message, reason)
        self.runs.save_part(
            replace(
                part,
                state=PartState.FAILED,
                finished_at=self._now(),
                reason=str(reason),
                message=message,
                remedy=remedy,
            )
        )
        self.close_if_complete(run)

    def close_if_complete(self, run: Run) -> Summary:
        """The summary; the run is closed when no part is open any more."""
        summary = summarise(run, self.runs.parts(run.id))
        if run.is_open and summary.complete:
            now = self._now()
            if summary.state is RunState.SUCCEEDED and run.mode is Mode.IMPORT:
                self.runs.save_success(run, now)
            closed = replace(run, state=summary.state, finished_at=now, counts=summary.counts)
            try:
                self.runs.save(closed)
            except ChangedMeanwhileError:
                return summarise(self.runs.get(run.id), summary.parts)
            logger.info("Run %s of %s ended: %s, %s", run.id, run.name, summary.state, dict(summary.counts))
            return replace(summary, run=closed)
        return summary

    def summary(self, run_id: str) -> Summary:
        """The run with what its parts say now."""
        run = self.runs.get(run_id)
        return summarise(run, self.runs.parts(run_id))

    # Within

    def _work(self, run: Run, part: Part) -> list[PartMessage]:
        try:
            return self._read_and_write(run, part)
        except ChangedMeanwhileError:
            raise
        except TryLaterError as error:
            self._note(part, error.reason, error.message)
            raise
        except DeskbridgeError as error:
            fresh = self._fresh(part)
            self.finish_failed(run, fresh, error.reason, error.message, error.remedy)
            return []
        except Exception as error:
            # A bug: noted for the run, and left to the queue, which gives the message again and then up.
            self._note(part, Reason.INTERNAL, f"{type(error).__name__}, see the log.")
            raise

    def _read_and_write(self, run: Run, part: Part) -> list[PartMessage]:
        if run.mode is Mode.IMPORT and not self._has_lease(run):
            raise MisconfiguredError(Reason.RUN_SUPERSEDED, "Another import of the same document took over.")
        source = self._source(run.kind)
        feed = source.feed(run.name)
        names = feed.expand(part.name)
        if names is not None:
            self.runs.add_parts(run.id, names, self._now())
            self.runs.save_part(replace(part, state=PartState.DONE, expanded=True, finished_at=self._now()))
            self.close_if_complete(run)
            return [PartMessage(run_id=run.id, part=name) for name in names]
        policy = feed.policy(Trigger(run.trigger))
        if run.confirms:
            policy = replace(policy, confirmed=self._withheld(run.confirms, part.name))
        preview = self._previewed(run.applies, part.name) if run.applies else None
        work = PartImport(self.runs, source, feed, run, part, self._now, policy=policy, preview=preview)
        counts = work.run()
        if run.mode is Mode.IMPORT:
            feed.finish(part.name)
        done = replace(work.part, state=PartState.DONE, finished_at=self._now(), counts=counts, reason="", message="")
        self.runs.save_part(done)
        self.close_if_complete(run)
        return []

    def _fresh(self, part: Part) -> Part:
        """The part as it stands, if this attempt still has it."""
        present = self.runs.find_part(part.run_id, part.name)
        if present is None or present.token != part.token:
            raise ChangedMeanwhileError("The part is in other hands.", row_key=f"part:{part.name}")
        return present

    def _note(self, part: Part, reason: str, message: str) -> None:
        present = self.runs.find_part(part.run_id, part.name)
        if present is not None and present.token == part.token:
            # The heartbeat goes too: the queue's next delivery need not wait for it.
            self.runs.save_part(replace(present, reason=str(reason), message=message, heartbeat_at=None))

    def _previewed(self, preview_id: str, part_name: str) -> dict[str, tuple[str, str]]:
        part = self.runs.find_part(preview_id, part_name)
        if part is None or part.state is not PartState.DONE:
            raise InvalidInputError(Reason.PREVIEW_UNUSABLE, "This part of the preview failed: there is no plan of it.")
        return {
            str(entry["id"]): (str(entry["fingerprint"]), str(entry["action"])) for entry in self.runs.all_entries(part)
        }

    def _withheld(self, run_id: str, part_name: str) -> frozenset[str]:
        part = self.runs.find_part(run_id, part_name)
        if part is None:
            return frozenset()
        return frozenset(str(entry["id"]) for entry in self.runs.all_entries(part, Action.HELD_BACK))

    def _source(self, kind: str) -> SourceType:
        if kind not in self.sources:
            known = ", ".join(self.sources)
            raise NotFoundError(Reason.IMPORT_SOURCE_UNKNOWN, f"There is no source {kind!r}; there are {known}.")
        return self.sources[kind]

    def _trigger_of(self, kind: str, name: str, trigger: Trigger, apply: str, confirm: str) -> Trigger:
        """A run that stands on another one does what that one would have done."""
        if not apply and not confirm:
            return trigger
        before = self.runs.get(apply or confirm)
        if (before.kind, before.name) != (kind, name):
            raise InvalidInputError(Reason.PREVIEW_UNUSABLE, f"The run {before.id} is of {before.kind}/{before.name}.")
        if apply and (before.mode is not Mode.PREVIEW or before.is_open):
            raise ConflictError(Reason.PREVIEW_UNUSABLE, f"The run {before.id} is no finished preview.")
        if apply and not any(part.state is PartState.DONE for part in self.runs.parts(before.id)):
            raise ConflictError(
                Reason.PREVIEW_UNUSABLE,
                f"The preview {before.id} has no plan.",
                remedy="Make a new one: it keeps a day.",
            )
        return Trigger.SCHEDULED if confirm else Trigger(before.trigger)

    def _create_parts(self, run: Run, feed: SyncSource) -> list[PartMessage]:
        if run.applies or run.confirms:
            before = self.runs.parts(run.applies or run.confirms)
            names: Sequence[str] = [part.name for part in before if not part.expanded]
        else:
            names = feed.parts()
        self.runs.add_parts(run.id, names, self._now())
        run = self.runs.save(replace(run, parts_created=True))
        self.close_if_complete(run)
        logger.info("Run %s of %s/%s started: %s parts", run.id, run.kind, run.name, len(names))
        return [PartMessage(run_id=run.id, part=name) for name in names]

    def _check_lease(self, run: Run) -> None:
        lease = self.runs.find_lease(run.kind, run.name)
        holder = self.runs.find(lease.run_id) if lease is not None else None
        if holder is not None and self.close_if_complete(holder).run.is_open:
            raise self._running(run, holder.id)

    def _take_lease(self, run: Run) -> bool:
        lease = self.runs.find_lease(run.kind, run.name)
        holder = self.runs.find(lease.run_id) if lease is not None else None
        if holder is not None and holder.is_open:
            return False
        return self.runs.take_lease(run, lease)

    def _has_lease(self, run: Run) -> bool:
        lease = self.runs.find_lease(run.kind, run.name)
        return lease is not None and lease.run_id == run.id

    def _running(self, run: Run, other: str) -> ConflictError:
        return ConflictError(
            Reason.IMPORT_RUNNING,
            f"An import of {run.name} is running{f' ({other})' if other else ''}.",
            remedy="Wait for its end, or look at it.",
        )

    def _close(self, run: Run, state: RunState, *, reason: str, message: str, remedy: str = "") -> None:
        self.runs.save(
            replace(
                run,
                state=state,
                parts_created=True,
                finished_at=self._now(),
                reason=str(reason),
                message=message,
                remedy=remedy,
            )
        )

    def _record_refusal(self, kind: str, name: str, error: DeskbridgeError) -> None:
        """A scheduled import that could not even start stands among the runs, where an operator looks."""
        now = self._now()
        self.runs.add(
            Run(
                id=self.runs.new_id(kind, now),
                kind=kind,
                name=name,
                mode=Mode.IMPORT,
                trigger=Trigger.SCHEDULED,
                started_at=now,
                started_by="schedule",
                parts_created=True,
                state=RunState.FAILED,
                finished_at=now,
                reason=str(error.reason),
                message=error.message,
                remedy=error.remedy,
            )
        )


def to_message(message: Any) -> PartMessage:
    """The message of a queue item's JSON; raises InvalidInputError for anything else."""
    if isinstance(message, dict) and isinstance(message.get("run_id"), str) and isinstance(message.get("part"), str):
        return PartMessage(run_id=message["run_id"], part=message["part"])
    raise InvalidInputError(Reason.BODY_NOT_READABLE, "The queue message is not one part of a run.")
