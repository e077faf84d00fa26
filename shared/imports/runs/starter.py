"""How a run begins: checked, leased, its fan-out queued. What was interrupted in between is resumed."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from shared.access.audit import UNAUDITED, Audit, AuditedChange, AuditedField, AuditKind
from shared.errors import ChangedMeanwhileError, ConflictError, DeskbridgeError, InvalidInputError, TryLaterError
from shared.imports.plan.model import Trigger
from shared.imports.runs.endings import report_end
from shared.imports.runs.fan_out import first_fan_out
from shared.imports.runs.model import Mode, Run, RunState
from shared.imports.runs.repository import RUNS_PARTITION
from shared.imports.runs.runner import ImportRunner, PartMessage, messages_of
from shared.reasons import Reason
from shared.storage.names import RUNS_TABLE
from shared.storage.rows import Create, Delete, Operation

logger = logging.getLogger(__name__)

# Who starts what no person does.
_SCHEDULE = "schedule"


@dataclass(frozen=True)
class StartedRun:
    """A new run, and the messages that the caller must send."""

    run: Run
    messages: Sequence[PartMessage]


class RunStarter:
    """Starts runs of every registered source."""

    def __init__(self, runner: ImportRunner, audit: Audit = UNAUDITED) -> None:
        self._runner = runner
        self._runs = runner.runs
        self._audit = audit

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
        held: what it held back is deactivated, if it is still gone. Raises ConflictError while another import of the
        document runs; previews may run beside it.
        """
        if sum([preview, bool(apply), bool(confirm)]) > 1:
            raise InvalidInputError(
                Reason.BODY_INVALID, "A run is a preview, applies one, or confirms one: only one of them."
            )
        self._runner.source(self._runner.source_type(kind), name)
        run = replace(
            self._new_run(kind, name, self._trigger_of(kind, name, trigger, apply, confirm), by),
            mode=Mode.PREVIEW if preview else Mode.IMPORT,
            applies=apply,
            confirms=confirm,
        )
        return self._begin(run, self._add_audited)

    def start_scheduled(self, kind: str) -> list[PartMessage]:
        """A run of every document whose schedule is on. One that cannot start does not keep the others from it."""
        messages: list[PartMessage] = []
        for name, _ in self._runner.source_type(kind).scheduled():
            try:
                self._runner.source_type(kind).source(name)
                started = self._begin(self._new_run(kind, name, Trigger.SCHEDULED, _SCHEDULE), self._add)
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
        """Begin a run whose start was interrupted; the messages to send."""
        if run.mode is Mode.IMPORT and not self._runs.has_lease(run):
            # Where another import has it, the run's first part says so, and fails.
            with suppress(ConflictError):
                self._take_lease(run)
        return self._first_messages(run)

    # Within

    def _new_run(self, kind: str, name: str, trigger: Trigger, by: str) -> Run:
        now = self._runner.now()
        return Run(
            id=self._runs.new_id(kind, now),
            kind=kind,
            name=name,
            mode=Mode.IMPORT,
            trigger=trigger,
            started_at=now,
            started_by=by,
        )

    def _begin(self, run: Run, add: Callable[[Run], Run]) -> StartedRun:
        if run.mode is Mode.IMPORT:
            self._check_lease(run)
        run = add(run)
        return StartedRun(run, self._first_messages(run))

    def _first_messages(self, run: Run) -> list[PartMessage]:
        """One message, whatever the run has to do: nothing of it begins before the host has sent all that there is."""
        first = first_fan_out(run.id, self._runner.now())
        self._runs.parts.begin(first)
        return messages_of(run, [first.name])

    def _trigger_of(self, kind: str, name: str, trigger: Trigger, apply: str, confirm: str) -> Trigger:
        """A run that stands on another one does what that one would have done."""
        if not apply and not confirm:
            return trigger
        before = self._runs.get(apply or confirm)
        if (before.kind, before.name) != (kind, name):
            raise InvalidInputError(Reason.PREVIEW_UNUSABLE, f"The run {before.id} is of {before.kind}/{before.name}.")
        if apply and (before.mode is not Mode.PREVIEW or before.is_open):
            raise ConflictError(Reason.PREVIEW_UNUSABLE, f"The run {before.id} is no finished preview.")
        if apply and not before.counts.get("parts_done"):
            raise ConflictError(
                Reason.PREVIEW_UNUSABLE,
                f"The preview {before.id} has no plan.",
                remedy="Make a new one: it keeps a day.",
            )
        return Trigger.SCHEDULED if confirm else Trigger(before.trigger)

    def _check_lease(self, run: Run) -> None:
        lease = self._runs.find_lease(run.kind, run.name)
        holder = self._runs.find(lease.run_id) if lease is not None else None
        if holder is not None and self._runner.close_if_complete(holder).is_open:
            raise self._running(run, holder.id)

    def _add_audited(self, run: Run) -> Run:
        """A person's run: the schedule's own stand among the runs alone."""
        with self._audit.recording(RUNS_TABLE, RUNS_PARTITION, _audited(run)) as audited:
            return self._add(run, audited)

    def _add(self, run: Run, beside: Sequence[Operation] = ()) -> Run:
        """Write the run, with the operations beside it, and take its lease. Raises ConflictError, and then no run
        is there."""
        run = self._runs.add(run, beside)
        if run.mode is Mode.PREVIEW:
            return run
        try:
            self._take_lease(run)
        except ConflictError:
            # It never was: whoever asked is told so, and the list of runs shows the other alone.
            with suppress(ChangedMeanwhileError):
                self._runs.remove(run, [Delete(one.row.row_key) for one in beside if isinstance(one, Create)])
            raise
        return run

    def _take_lease(self, run: Run) -> None:
        """Raises ConflictError while another import of the document runs."""
        lease = self._runs.find_lease(run.kind, run.name)
        holder = self._runs.find(lease.run_id) if lease is not None else None
        if (holder is not None and holder.is_open) or not self._runs.take_lease(run, lease):
            lease = self._runs.find_lease(run.kind, run.name)
            raise self._running(run, lease.run_id if lease is not None else "")

    def _running(self, run: Run, other: str) -> ConflictError:
        return ConflictError(
            Reason.IMPORT_RUNNING,
            f"An import of {run.name} is running{f' ({other})' if other else ''}.",
            remedy="Wait for its end, or look at it.",
        )

    def _record_refusal(self, kind: str, name: str, error: DeskbridgeError) -> None:
        """A scheduled import that could not even start stands among the runs, where an operator looks."""
        run = self._new_run(kind, name, Trigger.SCHEDULED, _SCHEDULE)
        refused = replace(
            run,
            state=RunState.FAILED,
            finished_at=run.started_at,
            reason=str(error.reason),
            message=error.message,
            remedy=error.remedy,
        )
        self._runs.add(refused)
        changed = self._runs.save_outcome(refused, run.started_at)
        if changed is not None:
            report_end(self._runner.conditions, refused, changed)


def _audited(run: Run) -> AuditedChange:
    action = "applied" if run.applies else "confirmed" if run.confirms else "started"
    kind = AuditKind.CONFIRMATION if run.confirms else AuditKind.IMPORT
    fields = [AuditedField("run", None, run.id), AuditedField("mode", None, str(run.mode))]
    if run.applies or run.confirms:
        fields.append(AuditedField("of", None, run.applies or run.confirms))
    return AuditedChange(kind, action, f"{run.kind}/{run.name}", run.started_by, tuple(fields))
