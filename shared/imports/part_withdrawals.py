"""The second step of a part: what its reading wrote down is withheld by the brake, or carried out where it still holds.

Killed and repeated, it ends as if undisturbed: of a row that has been written nothing is left to take away.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import islice

from shared.imports.applier import Applier
from shared.imports.part_import import CHANGED_SINCE, PartLog, reading_of, unmapped_left
from shared.imports.part_rows import PartIndex, PartRows
from shared.imports.plan.model import Action, PlanEntry, Policy
from shared.imports.plan.safety import Brake, why_held
from shared.imports.plan.withdrawals import Withdrawal
from shared.imports.runs.model import Mode, Part, Run
from shared.imports.runs.readings import Reading
from shared.imports.runs.repository import RunRepository
from shared.records.model import Key

# Those of deactivations follow each other as their rows do: so many are read at once.
_AT_ONCE = 1000


class PartWithdrawals:
    """The withdrawals of one part, by one attempt. The run says under which brake."""

    def __init__(
        self,
        runs: RunRepository,
        rows: PartRows,
        partition_key: str,
        run: Run,
        part: Part,
        now: Callable[[], datetime],
        *,
        policy: Policy,
    ) -> None:
        self._withdrawals = runs.entries.withdrawals(part)
        self._rows = rows
        self.partition_key = partition_key
        self._policy = policy
        self._run = run
        self._now = now
        self._log = PartLog(runs, run, part, now)
        self._brake = run.brake or Brake()
        self._losses = (part.losses, run.losses)
        self._index = PartIndex(partition_key)
        self.before: Reading | None = None
        self.is_as_before = False
        self._due: dict[str, Withdrawal] = {}
        self._applier = Applier(rows, partition_key, run.id, run.name, now, self._again)

    def run(self) -> Part:
        """Do it; the part with its counts. Raises ChangedMeanwhileError when another attempt took the part over."""
        while some := list(islice(self._withdrawals, _AT_ONCE)):
            self._due = {one.row_key: one for one in some if self._may_go_on(one)}
            found = self._rows.load([self._own(row_key) for row_key in self._due]) if self._due else {}
            entries = [one.carry_out(self._own(one.row_key), found, self._now()) for one in self._due.values()]
            for entry in self._applier.apply([self._applier.prepare(entry) for entry in entries]):
                self._log.settle(entry)
            self._log.flush()
            self._log.beat()
        self._log.flush(everything=True)
        # Fewer records may be active than when the part was read, and have values that no mapping fills.
        self._index = self._rows.index(self.partition_key, self._run.id, self._policy.columns)
        self.before = self._index.before
        part = self._log.part
        counts = {name: part.counts.get(name, 0) + self._log.counts[name] for name in {*part.counts, *self._log.counts}}
        return replace(part, counts=counts)

    def _may_go_on(self, withdrawal: Withdrawal) -> bool:
        """Whether it is to be carried out; else it is told as what becomes of it instead."""
        if why := why_held(withdrawal.fields, self._losses, self._brake):
            for told in withdrawal.withheld(why):
                self._log.tell(told)
        elif withdrawal.held_in_preview:
            action = Action.CHANGED_SINCE_PREVIEW
            self._log.tell({**withdrawal.told, "action": action, "reason": "changed_since", "message": CHANGED_SINCE})
        elif self._run.mode is Mode.PREVIEW:
            self._log.tell(withdrawal.told)
        else:
            return True
        return False

    @property
    def unmapped_left(self) -> frozenset[str]:
        return unmapped_left(self._index)

    @property
    def reading(self) -> Reading:
        return reading_of(self._index, self._run, self._log.part, self._policy.columns)

    def _own(self, row_key: str) -> Key:
        return Key(self.partition_key, row_key)

    def _again(self, entry: PlanEntry) -> PlanEntry:
        self._log.check_that_it_is_ours()
        own = self._own(entry.row_key)
        return self._due[own.row].carry_out(own, self._rows.load([own]), self._now())
