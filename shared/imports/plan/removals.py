"""Rows whose record the source has no more: deactivated, kept for a grace period, or doubted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.imports.plan.model import DEACTIVATED, Action, ExistingRecord, IndexEntry, Loader, PlanEntry, Policy
from shared.imports.plan.withdrawals import ACTIVE_GOES
from shared.records.model import ACTIVE, FieldChange, FieldValue, Key

# Why a record that is still listed, and living, is not imported any more.
NO_RULE = "given no type by any rule any more"

# What becomes of one row, for a sentence that says why.
_Step = Callable[[str, ExistingRecord, str], PlanEntry]
# So many rows are loaded at once.
_AT_ONCE = 1000


class RemovalPlanner:
    """Plans what becomes of a part's rows that its source has no more. Pure but for `load`, which reads rows."""

    def __init__(
        self, partition: str, index: Mapping[str, IndexEntry], policy: Policy, *, now: datetime, load: Loader
    ) -> None:
        self._partition = partition
        self._index = index
        self._policy = policy
        self._now = now
        self._load = load

    def entries(
        self, missing: Sequence[str], gone: Mapping[str, str], *, empty: bool, read_to_the_end: bool
    ) -> Iterator[PlanEntry]:
        """What becomes of the rows that miss their record. `gone` says in a word why one that is listed counts as gone.

        Nothing is deactivated unless the part was read to its end. `empty` says that the source listed nothing at all:
        that is believed when a reading of a later day says so too, or a person confirms it.
        """
        steps: dict[str, tuple[_Step, str]] = {}
        for row_key in missing:
            indexed, listed = self._index[row_key], gone.get(row_key)
            if listed is None and not read_to_the_end:
                continue
            why = f"It is {listed}." if listed else self._policy.why_vanished
            if not indexed.active:
                if indexed.done == DEACTIVATED:
                    yield PlanEntry(row_key, Action.DEACTIVATE, "gone", why, done=True)
            elif self._policy.confirmed is not None and row_key not in self._policy.confirmed:
                continue
            elif not read_to_the_end:
                yield PlanEntry(row_key, Action.SKIP, "gone", f"{why} The part was not read to its end.")
            elif not self._stays_active(listed):
                steps[row_key] = self._step(indexed, empty=empty), why
            elif indexed.gone_since is None:
                steps[row_key] = self.stay, f"{why} {self._policy.why_not_deactivated}"
            else:
                yield PlanEntry(row_key, Action.SKIP, "gone", f"{why} {self._policy.why_not_deactivated}")
            if len(steps) == _AT_ONCE:
                yield from self._taken(steps)
                steps = {}
        yield from self._taken(steps)

    def _step(self, indexed: IndexEntry, *, empty: bool) -> _Step:
        if self._is_in_grace(indexed):
            return self.wait
        return self.doubt if empty and self._is_doubted(indexed) else self.deactivate

    def _taken(self, steps: Mapping[str, tuple[_Step, str]]) -> Iterator[PlanEntry]:
        loaded = self._load([Key(self._partition, row_key) for row_key in steps], ()) if steps else {}
        for row_key, (step, why) in steps.items():
            if existing := loaded.get(Key(self._partition, row_key)):
                yield step(row_key, existing, why)

    def _stays_active(self, listed: str | None) -> bool:
        if listed == NO_RULE:
            return not self._policy.deactivate_unread
        return not (self._policy.deactivate_listed if listed else self._policy.deactivate_vanished)

    def _is_in_grace(self, indexed: IndexEntry) -> bool:
        if not self._policy.grace or self._policy.confirmed is not None:
            return False
        return indexed.gone_since is None or self._now - indexed.gone_since < self._policy.grace

    def _is_doubted(self, indexed: IndexEntry) -> bool:
        if self._policy.believe_empty_answers or self._policy.confirmed is not None:
            return False
        return indexed.gone_since is None or indexed.gone_since.date() >= self._now.date()

    def deactivate(self, row_key: str, existing: ExistingRecord, why: str) -> PlanEntry:
        """The row becomes inactive, unless a person holds it active: at once, or when the run's end has decided. Until
        then it says that its record is gone."""
        if (settled := self._settled_meanwhile(row_key, existing)) is not None:
            return settled
        if ACTIVE in existing.locks:
            return _about(existing, Action.SKIP, "locked", f"{why} A person keeps it active.")
        if self._policy.waits(row_key):
            waiting = _about(existing, Action.DEACTIVATE, "gone", why, self._gone(existing))
            return replace(waiting, withdraws=(ACTIVE_GOES,))
        assign: dict[str, FieldValue | None] = {"active": False, "deactivated_at": self._now, "gone_since": None}
        return _about(existing, Action.DEACTIVATE, "gone", why, assign, (ACTIVE_GOES,))

    def wait(self, row_key: str, existing: ExistingRecord, why: str) -> PlanEntry:
        """The row is in its grace period."""
        if (settled := self._settled_meanwhile(row_key, existing)) is not None:
            return settled
        until = (existing.gone_since or self._now) + self._policy.grace
        message = f"{why} It is deactivated from {until:%Y-%m-%d %H:%M} UTC on."
        return _about(existing, Action.SKIP, "grace", message, self._gone(existing))

    def stay(self, row_key: str, existing: ExistingRecord, why: str) -> PlanEntry:
        """The row stays active. It says that its record is gone, so that another part may take it over."""
        if (settled := self._settled_meanwhile(row_key, existing)) is not None:
            return settled
        return _about(existing, Action.SKIP, "gone", why, self._gone(existing))

    def doubt(self, row_key: str, existing: ExistingRecord, why: str) -> PlanEntry:
        """The source listed nothing at all, for the first day: it may be a wrong key or filter."""
        if (settled := self._settled_meanwhile(row_key, existing)) is not None:
            return settled
        message = (
            f"{why} It lists nothing at all, which is believed when a reading of a later day says so too. Confirm the "
            "run if that is right."
        )
        return _about(existing, Action.HELD_BACK, "empty_answer", message, self._gone(existing))

    def _gone(self, existing: ExistingRecord) -> Mapping[str, FieldValue | None]:
        return {} if existing.gone_since else {"gone_since": self._now}

    def _settled_meanwhile(self, row_key: str, existing: ExistingRecord) -> PlanEntry | None:
        """The row is younger than the index that the decision stands on: another attempt or part may have been here."""
        expected = "" if existing.key == existing.own else Key(self._partition, row_key).text
        if existing.claimed_by != expected:
            return _about(existing, Action.UNCHANGED, "follows_another", "It follows another record now.")
        return None if existing.active else _about(existing, Action.UNCHANGED, "unchanged", "It is inactive already.")


def _about(
    existing: ExistingRecord,
    action: Action,
    reason: str,
    message: str,
    assign: Mapping[str, FieldValue | None] | None = None,
    differences: tuple[FieldChange, ...] = (),
) -> PlanEntry:
    return PlanEntry(
        existing.source_id or existing.own.row,
        action,
        reason,
        message,
        label=existing.label,
        differences=differences,
        assign=assign or {},
        existing=existing,
    )
