"""Which existing row a record without a row of its own takes: found by the matching fields, claimed by one alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from shared.imports.plan.model import (
    Action,
    Candidate,
    DesiredRecord,
    ExistingRecord,
    Finder,
    MatchOn,
    PlanEntry,
    Policy,
)
from shared.records.model import MANUAL_PARTITION, SITE, FieldValue, Key

# Columns that say what a candidate is.
_OF_CANDIDATES = ("f_name", "active", "claimed_by", SITE)
IsSeen = Callable[[str], bool]


class Match(NamedTuple):
    """What the matching says of a record: a row, that there is none, or an error."""

    desired: DesiredRecord
    found: Candidate | PlanEntry | None


class Matcher:
    """Finds and judges candidates of one part. `is_seen` tells by row key which records the source has."""

    def __init__(self, partition: str, policy: Policy, *, find: Finder, is_seen: IsSeen) -> None:
        self._partition = partition
        self._policy = policy
        self._find = find
        self._is_seen = is_seen
        # Rows of other ids that a record of this part follows and changes, as they are afterwards.
        self._changed: dict[Key, Mapping[str, FieldValue]] = {}

    def remember(self, entry: PlanEntry) -> None:
        """A row that this run changes may be found, or not be found any more, by what it then holds."""
        if entry.existing is None:
            return
        after = {**entry.existing.values, **entry.assign}
        columns = {*_OF_CANDIDATES, *(match.column for match in self._policy.matching)}
        self._changed[entry.existing.key] = {
            column: value for column in columns if (value := after.get(column)) is not None
        }

    def matches(self, records: Sequence[DesiredRecord]) -> list[Match]:
        """For each record what the first matching column finds that finds anything."""
        results: list[Match] = []
        open_records = list(records)
        for match in self._policy.matching:
            keyed = [(desired, match.fold(desired.values.get(match.column))) for desired in open_records]
            values = sorted({value for _, value in keyed if value})
            found = self._found(match, values) if values else {}
            open_records = []
            for desired, value in keyed:
                same = found.get(value, ()) if value else ()
                free = [one for one in same if not self._is_owned(one) and self._policy.may_take(desired, one)]
                if not free:
                    open_records.append(desired)
                elif len(free) == 1:
                    results.append(Match(desired, free[0]))
                else:
                    names = " and ".join(sorted(candidate.label for candidate in free))
                    message = f"{len(free)} records have the same value in the matching field: {names}."
                    results.append(Match(desired, PlanEntry.about(desired, Action.ERROR, "ambiguous", message)))
        return results + [Match(desired, None) for desired in open_records]

    def _found(self, match: MatchOn, values: Sequence[str]) -> Mapping[str, Sequence[Candidate]]:
        """What there is with these values once this run's changes are written: a preview, which writes none, and an
        import that was interrupted find the same."""
        found = self._find(match, values)
        if not self._changed:
            return found
        after = {value: [one for one in same if one.key not in self._changed] for value, same in found.items()}
        for key, row in self._changed.items():
            value = match.fold(row.get(match.column))
            if value in values:
                after.setdefault(value, []).append(Candidate.of(key, row))
        return after

    def _is_owned(self, candidate: Candidate) -> bool:
        """Whether the candidate's own record is alive: then that one has it by its id, which is checked first."""
        if candidate.key.partition == self._partition:
            # One that was taken over goes back to its own record, when that of the other is not there any more.
            claimed = candidate.claimed_by and self.is_live(Key.parse(candidate.claimed_by), candidate.active)
            return self._is_seen(candidate.key.row) and not claimed
        return candidate.owned and candidate.active and not candidate.claimed_by

    def is_live(self, holder: Key, active: bool) -> bool:
        """Whether the record that holds a row is alive; of another part only the row's state can tell."""
        return self._is_seen(holder.row) if holder.partition == self._partition else active

    def other_holder(self, own: Key, existing: ExistingRecord) -> str:
        """The living record, other than this one, that has a row to which this one is led; empty for none."""
        holder = existing.claimed_by
        if existing.key == own or holder == own.text:
            return ""
        if holder and self.is_live(Key.parse(holder), existing.active):
            return holder
        if existing.key.partition == self._partition:
            is_owned = self._is_seen(existing.key.row)
        else:
            is_owned = existing.active and not holder and existing.key.partition != MANUAL_PARTITION
        return existing.key.text if is_owned else ""


def refuse_all(claimants: Sequence[DesiredRecord], label: str) -> list[PlanEntry]:
    """Several records claim one row: none has it."""
    names = " and ".join(desired.id for desired in claimants)
    message = f"{names} both match {label}: neither is imported."
    return [PlanEntry.about(desired, Action.ERROR, "claimed", message) for desired in claimants]


def refuse_claimed(desired: DesiredRecord, label: str, holder: str) -> PlanEntry:
    """Another living record has the row."""
    message = f"{label} belongs to {Key.parse(holder).row} now, and {desired.id} claims it too."
    return PlanEntry.about(desired, Action.ERROR, "claimed", message)
