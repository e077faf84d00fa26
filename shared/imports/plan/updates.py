"""What an update of one row writes, and what it leaves: a person's values, what is set once, what is not blanked."""

from shared.imports.plan.entries import kept_sentence, named, plan_entry
from shared.imports.plan.model import Action, DesiredRecord, ExistingRecord, PlanEntry, Policy
from shared.records.columns import ACTIVE
from shared.records.model import FieldChange, Key
from shared.storage.rows import Value


def plan_update(
    own: Key, wanted: DesiredRecord, present: ExistingRecord, policy: Policy, *, matched: bool = False
) -> PlanEntry:
    """The entry that brings the row of a record to what is wanted of it: its own row, of the key `own`, or one that it
    follows. `matched` says that it has just been found by the matching field."""
    holder = present.row.text("claimed_by")
    locks = present.locks
    assign: dict[str, Value | None] = {}
    changes: list[FieldChange] = []
    kept: list[str] = []
    for column, value in wanted.values.items():
        before = present.row.values.get(column)
        if value == before and type(value) is type(before):
            continue
        if column in locks:
            kept.append(column)
            continue
        if column in policy.only_on_create or (value is None and column not in policy.may_blank):
            continue
        assign[column] = value
        changes.append(FieldChange(column, before, value))
    if not present.active:
        if ACTIVE in locks:
            return plan_entry(wanted, Action.SKIP, "locked", "A person made it inactive.", present)
        if not policy.reactivate:
            return plan_entry(
                wanted, Action.SKIP, "inactive", "It is inactive, and reactivating is turned off.", present
            )
        assign["active"] = True
        assign["deactivated_at"] = None
        changes.append(FieldChange("active", False, True))
    if changes and not policy.update and present.active:
        return plan_entry(wanted, Action.SKIP, "update_off", "It changed, and updating is turned off.", present)
    claimed_by = own.text if present.key != own else None
    if (holder or None) != claimed_by:
        # Shown and kept in the history: it says which record of the source an asset follows.
        assign["claimed_by"] = claimed_by
        changes.append(FieldChange("claimed_by", holder or None, claimed_by))
    technical: dict[str, Value | None] = {"hash": policy.hash_of(wanted), "gone_since": None}
    different = {column: value for column, value in technical.items() if present.row.values.get(column) != value}
    if not changes:
        return plan_entry(
            wanted, Action.UNCHANGED, "unchanged", kept_sentence(kept) or "Nothing changed.", present, different
        )
    assign.update(different)
    message = "It is back, and active again." if not present.active else "The source changed."
    if matched:
        message = f"It matched {named(present)}."
    code = "matched" if matched else "reactivated" if not present.active else "changed"
    return plan_entry(
        wanted, Action.UPDATE, code, f"{message} {kept_sentence(kept)}".rstrip(), present, assign, tuple(changes)
    )
