"""Withdrawals: what an import would take away of single records, written down until the end of the run decides.

A part writes them down, and applies all the rest. What they stand on stays in the row: that its record is gone since,
or a hash that says which values wait. Whoever sees the record again changes that, and the withdrawal is void.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

from shared.imports.plan.model import Action, ExistingRecord, PlanEntry
from shared.records.model import ACTIVE, FieldChange, FieldValue, Key, field_of

# Ends the hash of a row whose record has values less, which stay until the end of the run decides.
UNSETTLED = "~"
ACTIVE_GOES = FieldChange(ACTIVE, True, False)


@dataclass(frozen=True)
class Withdrawal:
    """What is to be taken away of one record: these columns, or for none that it is active.

    `hash` is that of the record without them; `updated` says that the run has written what else changed of it. `told`
    is the entry as a person sees it, were it carried out. `held_in_preview` says that the preview which is applied
    showed it as withheld.
    """

    row_key: str
    columns: tuple[str, ...]
    hash: str
    updated: bool
    held_in_preview: bool
    told: Mapping[str, Any]

    @classmethod
    def of(cls, entry: PlanEntry, hash_of_row: str, run_id: str, *, held_in_preview: bool) -> "Withdrawal":
        told = entry.as_json()
        if entry.action is Action.DEACTIVATE:
            return cls(entry.row_key, (), "", updated=False, held_in_preview=held_in_preview, told=told)
        columns = tuple(change.column for change in entry.withdraws)
        # What an earlier attempt wrote is the run's too.
        ours = entry.existing is not None and entry.existing.values.get("last_run") == run_id
        updated = bool(entry.differences) or ours
        return cls(entry.row_key, columns, hash_of_row, updated=updated, held_in_preview=held_in_preview, told=told)

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "Withdrawal":
        row_key, columns, hash_of_row, updated, held_in_preview, entry = told["withdrawal"]
        return cls(row_key, tuple(columns), hash_of_row, updated, held_in_preview, entry)

    def as_json(self) -> dict[str, Any]:
        return {"withdrawal": astuple(self)}

    @property
    def fields(self) -> tuple[str, ...]:
        """What an operator calls the columns."""
        return tuple(field_of(column) or column for column in self.columns)

    def withheld(self, why: str) -> list[Mapping[str, Any]]:
        """The entries that say so: of all else that was written of the record one of its own."""
        reason = "emptied" if self.columns else "brake"
        held = {**self.told, "action": Action.HELD_BACK, "reason": reason, "message": f"{self.told['message']} {why}"}
        if not self.updated:
            return [held]
        rest = [change for change in self.told["changes"] if change["field"] not in self.fields]
        held["changes"] = [change for change in self.told["changes"] if change["field"] in self.fields]
        return [held, {**self.told, "changes": rest}]

    def carry_out(self, own: Key, rows: Mapping[Key, ExistingRecord], now: datetime) -> PlanEntry:
        """The entry that takes it away of the row as it is now, or that says why nothing is taken away any more."""
        existing = rows.get(own)
        if existing is None:
            return self._entry(Action.UNCHANGED, "not_there", "It is not there any more.")
        if existing.claimed_by != ("" if existing.key == existing.own else own.text):
            return self._entry(Action.UNCHANGED, "follows_another", "It follows another record now.")
        return self._empty(existing) if self.columns else self._deactivate(existing, now)

    def _deactivate(self, existing: ExistingRecord, now: datetime) -> PlanEntry:
        if not existing.active:
            return self._entry(Action.UNCHANGED, "unchanged", "It is inactive already.", existing)
        if ACTIVE in existing.locks:
            return self._entry(Action.SKIP, "locked", f"{self.told['message']} A person keeps it active.", existing)
        if existing.gone_since is None:
            return self._entry(Action.UNCHANGED, "is_back", "It is there again.", existing)
        assign: dict[str, FieldValue | None] = {"active": False, "deactivated_at": now, "gone_since": None}
        return self._entry(Action.DEACTIVATE, "gone", self.told["message"], existing, assign, (ACTIVE_GOES,))

    def _empty(self, existing: ExistingRecord) -> PlanEntry:
        if existing.values.get("hash") == self.hash:
            return self._entry(Action.UNCHANGED, "unchanged", "Nothing changed.", existing)
        if existing.values.get("hash") != self.hash + UNSETTLED or not existing.active:
            return self._entry(Action.UNCHANGED, "is_back", "It changed since it was read.", existing)
        changes = tuple(
            FieldChange(column, existing.values[column], None)
            for column in self.columns
            if column in existing.values and column not in existing.locks
        )
        assign: dict[str, FieldValue | None] = {**{change.column: None for change in changes}, "hash": self.hash}
        action = Action.UPDATE if changes else Action.UNCHANGED
        return self._entry(action, "changed", self.told["message"], existing, assign, changes)

    def _entry(
        self,
        action: Action,
        reason: str,
        message: str,
        existing: ExistingRecord | None = None,
        assign: Mapping[str, FieldValue | None] | None = None,
        differences: tuple[FieldChange, ...] = (),
    ) -> PlanEntry:
        return PlanEntry(
            str(self.told["id"]),
            Action.UPDATE if action is Action.UNCHANGED and self.updated else action,
            reason,
            message,
            label=str(self.told["label"]),
            differences=differences,
            assign=assign or {},
            existing=existing,
        )
