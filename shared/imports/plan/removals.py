"""Rows whose record the source has no more: deactivated, kept for a grace period, or withheld by the brake."""

from collections.abc import Callable, Mapping
from datetime import datetime

from shared.imports.part_index import PartIndex
from shared.imports.plan.entries import id_of, label_of
from shared.imports.plan.model import DEACTIVATED, Action, ExistingRecord, IndexEntry, Loader, PlanEntry, Policy
from shared.records.columns import ACTIVE
from shared.records.model import FieldChange, Key
from shared.storage.rows import Value


class RemovalPlanner:
    """Plans what becomes of a part's rows that its source has no more. Pure but for `load`, which reads rows."""

    def __init__(self, partition: str, index: PartIndex, policy: Policy, *, now: datetime, load: Loader) -> None:
        self._partition = partition
        self._index = index
        self._policy = policy
        self._now = now
        self._load = load

    def entries(
        self, gone: Mapping[str, str], stays: Callable[[str], bool], *, read_to_the_end: bool
    ) -> list[PlanEntry]:
        """What becomes of each row that does not stay. `gone` says in a word why a record that is listed is gone.

        Nothing is deactivated unless the part was read to its end.
        """
        policy = self._policy
        entries: list[PlanEntry] = []
        due: list[tuple[str, str]] = []
        waiting: list[tuple[str, str]] = []
        done = 0
        for row_key in self._index:
            if stays(row_key):
                continue
            known, listed = self._index[row_key], gone.get(row_key)
            if listed is None and not read_to_the_end:
                continue
            why = f"It is {listed}." if listed else "The source does not list it any more."
            if not known.active:
                if known.done == DEACTIVATED:
                    done += 1
                    entries.append(PlanEntry(row_key, Action.DEACTIVATE, "gone", why, done=True))
                continue
            if policy.confirmed is not None and row_key not in policy.confirmed:
                continue
            if not (policy.deactivate_listed if listed else policy.deactivate_vanished) or not read_to_the_end:
                without = policy.why_not_deactivated if read_to_the_end else "The part was not read to its end."
                entries.append(PlanEntry(row_key, Action.SKIP, "gone", f"{why} {without}"))
            elif policy.grace and policy.confirmed is None and not self._grace_is_over(known):
                waiting.append((row_key, why))
            else:
                due.append((row_key, why))
        unusual = self._index.unusual
        active = len(self._index) - len(unusual)
        active += sum((known.active and not known.joined) or known.done == DEACTIVATED for known in unusual)
        if policy.confirmed is None and policy.brake.holds(len(due) + done, active):
            message = (
                f"The brake holds: {len(due)} of {active} active records would be deactivated, which is more than "
                f"{policy.brake.share:.0%}. Look at the run, and confirm it if that is right."
            )
            return entries + [PlanEntry(row_key, Action.HELD_BACK, "brake", f"{why} {message}") for row_key, why in due]
        loaded = self._load([Key(self._partition, row_key) for row_key, _ in due + waiting])
        for row_key, why in due:
            if present := loaded.get(Key(self._partition, row_key)):
                entries.append(self.deactivate(row_key, present, why))
        for row_key, why in waiting:
            if present := loaded.get(Key(self._partition, row_key)):
                entries.append(self.wait(row_key, present, why))
        return entries

    def _grace_is_over(self, known: IndexEntry) -> bool:
        return known.gone_since is not None and self._now - known.gone_since >= self._policy.grace

    def deactivate(self, row_key: str, present: ExistingRecord, why: str) -> PlanEntry:
        """The row becomes inactive, unless a person holds it active."""
        if (settled := self._settled_meanwhile(row_key, present)) is not None:
            return settled
        if ACTIVE in present.locks:
            kept = f"{why} A person keeps it active."
            return PlanEntry(
                id_of(row_key, present), Action.SKIP, "locked", kept, label=label_of(present), present=present
            )
        assign: dict[str, Value | None] = {"active": False, "deactivated_at": self._now, "gone_since": None}
        return PlanEntry(
            id_of(row_key, present),
            Action.DEACTIVATE,
            "gone",
            why,
            label=label_of(present),
            differences=(FieldChange("active", True, False),),
            assign=assign,
            present=present,
        )

    def _settled_meanwhile(self, row_key: str, present: ExistingRecord) -> PlanEntry | None:
        """The row is younger than the index that the decision stands on: another attempt or part may have been here."""
        expected = "" if present.link is None else Key(self._partition, row_key).text
        if present.active and present.row.text("claimed_by") == expected:
            return None
        message = "It follows another record now." if present.active else "It is inactive already."
        return PlanEntry(id_of(row_key, present), Action.UNCHANGED, "unchanged", message, present=present)

    def wait(self, row_key: str, present: ExistingRecord, why: str) -> PlanEntry:
        """The row is in its grace period."""
        if (settled := self._settled_meanwhile(row_key, present)) is not None:
            return settled
        since = present.row.time("gone_since")
        until = (since or self._now) + self._policy.grace
        assign: dict[str, Value | None] = {} if since else {"gone_since": self._now}
        message = f"{why} It is deactivated from {until:%Y-%m-%d %H:%M} UTC on."
        entry_id, label = id_of(row_key, present), label_of(present)
        return PlanEntry(entry_id, Action.SKIP, "grace", message, label=label, assign=assign, present=present)
