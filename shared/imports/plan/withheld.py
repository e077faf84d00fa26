"""Updates that take the same value away from many records at once: a source that answers poorly looks like that."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shared.imports.plan.model import Action, PlanEntry, Policy
from shared.records.model import field_of


def waits_for_the_end(entry: PlanEntry, policy: Policy) -> bool:
    """Whether an update empties a field, and no person has confirmed it."""
    return bool(_emptied(entry)) and (policy.confirmed is None or entry.id not in policy.confirmed)


def decide_emptied(entries: Sequence[PlanEntry], policy: Policy, active: int) -> list[PlanEntry]:
    """The updates of a part that empty fields: as they are, or held back where one field would be emptied in as many
    as a brake holds. `active` is how many records of the part were active before."""
    counted = Counter(field for entry in entries if waits_for_the_end(entry, policy) for field in _emptied(entry))
    held = {field: count for field, count in counted.items() if policy.brake.holds(count, active)}
    return [_held_back(entry, held, active, policy) for entry in entries]


def _held_back(entry: PlanEntry, held: Mapping[str, int], active: int, policy: Policy) -> PlanEntry:
    fields = [field for field in _emptied(entry) if field in held] if waits_for_the_end(entry, policy) else []
    if not fields:
        return entry
    told = " and ".join(f"{field} of {held[field]}" for field in fields)
    message = (
        f"The brake holds: {told} of {active} active records would be emptied, which is more than "
        f"{policy.brake.share:.0%}. Look whether the source shows everything, and confirm the run if that is right."
    )
    return replace(entry, action=Action.HELD_BACK, reason="emptied", message=message, assign={}, differences=())


def _emptied(entry: PlanEntry) -> Sequence[str]:
    """The fields that the update empties."""
    if entry.action is not Action.UPDATE or None not in entry.assign.values():
        return ()
    return sorted(
        {field for column, value in entry.assign.items() if value is None and (field := field_of(column)) is not None}
    )
