"""The process of an import: do the parts of a run, fail what cannot be done, close it. A message is one part."""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict

from shared.errors import (
    ChangedMeanwhileError,
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
from shared.imports.sources import SourceType
from shared.reasons import Reason
from shared.telemetry import span

logger = logging.getLogger(__name__)


class PartMessage(TypedDict):
    """What the queue carries: which part of which run."""

    run_id: str
    part: str


class ImportRunner:
    """Does the parts of the runs of every registered source."""

    def __init__(self, runs: RunRepository, sources: Mapping[str, SourceType], now: Callable[[], datetime]) -> None:
        self.runs = runs
        self.sources = sources
        self.now = now

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
        now = self.now()
        heard_at = part.heartbeat_at or part.started_at
        if part.state is PartState.RUNNING and not redelivered and heard_at and now - heard_at < SILENT_AFTER:
            return []
        try:
            part = self.runs.save_part(
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
                finished_at=self.now(),
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
            now = self.now()
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
        if run.mode is Mode.IMPORT and not self.has_lease(run):
            raise MisconfiguredError(Reason.RUN_SUPERSEDED, "Another import of the same document took over.")
        source_type = self.source_type(run.kind)
        source = source_type.source(run.name)
        names = source.expand(part.name)
        if names is not None:
            self.runs.add_parts(run.id, names, self.now())
            self.runs.save_part(replace(part, state=PartState.DONE, expanded=True, finished_at=self.now()))
            self.close_if_complete(run)
            return [PartMessage(run_id=run.id, part=name) for name in names]
        policy = source.policy(Trigger(run.trigger))
        if run.confirms:
            policy = replace(policy, confirmed=self._held_back(run.confirms, part.name))
        preview = self._previewed(run.applies, part.name) if run.applies else None
        work = PartImport(self.runs, source_type.rows, source, run, part, self.now, policy=policy, preview=preview)
        counts = work.run()
        if run.mode is Mode.IMPORT:
            source.finish(part.name)
        done = replace(work.part, state=PartState.DONE, finished_at=self.now(), counts=counts, reason="", message="")
        self.runs.save_part(done)
        self.close_if_complete(run)
        return []

    def _fresh(self, part: Part) -> Part:
        """The part as it stands, if this attempt still has it."""
        current = self.runs.find_part(part.run_id, part.name)
        if current is None or current.attempt_id != part.attempt_id:
            raise ChangedMeanwhileError("Another attempt has the part.", row_key=f"part:{part.name}")
        return current

    def _note(self, part: Part, reason: str, message: str) -> None:
        current = self.runs.find_part(part.run_id, part.name)
        if current is not None and current.attempt_id == part.attempt_id:
            # The heartbeat goes too: the queue's next delivery need not wait for it.
            self.runs.save_part(replace(current, reason=str(reason), message=message, heartbeat_at=None))

    def _previewed(self, preview_id: str, part_name: str) -> dict[str, tuple[str, str]]:
        part = self.runs.find_part(preview_id, part_name)
        if part is None or part.state is not PartState.DONE:
            raise InvalidInputError(Reason.PREVIEW_UNUSABLE, "This part of the preview failed: there is no plan of it.")
        return {
            str(entry["id"]): (str(entry["fingerprint"]), str(entry["action"]))
            for entry in self.runs.entries.of_part(part)
        }

    def _held_back(self, run_id: str, part_name: str) -> frozenset[str]:
        part = self.runs.find_part(run_id, part_name)
        if part is None:
            return frozenset()
        return frozenset(str(entry["id"]) for entry in self.runs.entries.of_part(part, Action.HELD_BACK))

    def source_type(self, kind: str) -> SourceType:
        """Raises NotFoundError."""
        if kind not in self.sources:
            known = ", ".join(self.sources)
            raise NotFoundError(Reason.IMPORT_SOURCE_UNKNOWN, f"There is no source {kind!r}; there are {known}.")
        return self.sources[kind]

    def has_lease(self, run: Run) -> bool:
        """Whether the run may import its document."""
        lease = self.runs.find_lease(run.kind, run.name)
        return lease is not None and lease.run_id == run.id


def to_message(message: Any) -> PartMessage:
    """The message of a queue item's JSON; raises InvalidInputError for anything else."""
    if isinstance(message, dict) and isinstance(message.get("run_id"), str) and isinstance(message.get("part"), str):
        return PartMessage(run_id=message["run_id"], part=message["part"])
    raise InvalidInputError(Reason.BODY_NOT_READABLE, "The queue message is not one part of a run.")
