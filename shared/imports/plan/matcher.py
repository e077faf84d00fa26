"""Which existing row a record without a row of its own takes: found by the matching fields, claimed by one alone."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from shared.imports.plan.model import (
    CREATED,
    Action,
    Candidate,
    DesiredRecord,
    ExistingRecord,
    Finder,
    Found,
    IndexEntry,
    MatchOn,
    MayExist,
    PlanEntry,
    Policy,
)
from shared.records.comparison import MOST_ALIKE, comparable
from shared.records.model import MANUAL_PARTITION, SITE, FieldValue, Key, field_of
from shared.text import few

# Columns that say what a candidate is.
OF_CANDIDATES = ("f_name", "source_id", "active", "claimed_by", "gone_since", "document", SITE)
# Of rows that were passed over so many are told.
_MOST_NOTES = 3
IsSeen = Callable[[str], bool]
# The update that a record's own row gives way with to another; None where it has something that would be lost.
Merge = Callable[[PlanEntry, Key], PlanEntry | None]


class Match(NamedTuple):
    """What the matching says of a record: a row, that there is none, or an error. `notes` are sentences about rows that
    were passed over."""

    desired: DesiredRecord
    found: Candidate | PlanEntry | None
    notes: tuple[str, ...] = ()


class Matcher:
    """Finds and judges candidates of one part. `is_seen` tells by row key which records the source has."""

    def __init__(
        self,
        partition: str,
        policy: Policy,
        index: Mapping[str, IndexEntry],
        *,
        find: Finder,
        may_exist: MayExist,
        is_seen: IsSeen,
    ) -> None:
        self._partition = partition
        self._policy = policy
        self._index = index
        self._find = find
        self._may_exist = may_exist
        self._is_seen = is_seen
        # Rows of other ids that a record of this part follows and changes, as they are afterwards.
        self._changed: dict[Key, Mapping[str, FieldValue]] = {}

    def may_match(self, records: Sequence[DesiredRecord]) -> tuple[frozenset[str], Mapping[str, Sequence[str]]]:
        """Which new records, by row key, may find a row by the matching fields; and sentences about the others.

        Where records follow rows of other ids, this very run may write a value into one: the order of pages must not
        matter, so all new ones wait.
        """
        waiting = set[str]()
        notes: dict[str, list[str]] = {}
        for match in self._policy.matching:
            values = {
                desired.row_key: value
                for desired in records
                if not (desired.gone or desired.error or desired.skip)
                and (value := matching_value(self._policy, match, desired))
            }
            asked = frozenset(values.values())
            there, common = (asked, ()) if self._has_aliases or not asked else self._may_exist(match, asked)
            waiting |= {row_key for row_key, value in values.items() if value in there}
            for row_key, value in values.items() if common else ():
                notes.setdefault(row_key, []).extend([_too_common(match, value)] if value in common else [])
        return frozenset(waiting), notes

    @cached_property
    def _has_aliases(self) -> bool:
        return any(indexed.alias_of is not None for indexed in self._index.values())

    def remember(self, entry: PlanEntry) -> None:
        """A row that this run changes may be found, or not be found any more, by what it then holds."""
        if entry.existing is None:
            return
        after = {**entry.existing.values, **entry.assign}
        columns = {*OF_CANDIDATES, *(one for match in self._policy.matching for one in columns_of(match))}
        self._changed[entry.existing.key] = {
            column: value for column in columns if (value := after.get(column)) is not None
        }

    def matches(self, records: Sequence[DesiredRecord]) -> list[Match]:
        """For each record what the first matching column finds that finds anything."""
        results: list[Match] = []
        open_records = list(records)
        notes: dict[str, list[str]] = {}
        for match in self._policy.matching:
            keyed = [(desired, matching_value(self._policy, match, desired)) for desired in open_records]
            values = sorted({value for _, value in keyed if value})
            found = self._found(match, values) if values else Found({})
            open_records = []
            for desired, value in keyed:
                same = found.rows.get(value, ()) if value else ()
                if value in found.common:
                    notes.setdefault(desired.row_key, []).append(_too_common(match, value))
                free: list[Candidate] = []
                for one in same:
                    if self._is_owned(one):
                        continue
                    if why_not := why_not_take(self._policy, match, desired, one):
                        notes.setdefault(desired.row_key, []).append(why_not)
                    else:
                        free.append(one)
                if not free:
                    open_records.append(desired)
                elif len(free) == 1:
                    results.append(Match(desired, free[0]))
                else:
                    names = few(sorted(candidate.label for candidate in free))
                    message = f"{len(free)} records have the same value in the matching field: {names}."
                    results.append(Match(desired, PlanEntry.about(desired, Action.ERROR, "ambiguous", message)))
        return results + [Match(desired, None, _some(notes.get(desired.row_key, ()))) for desired in open_records]

    def recheck(self, entries: Sequence[PlanEntry], merge: Merge) -> list[PlanEntry]:
        """Updates of records that have rows of their own, and get other values in matching columns: an error where
        another record has such a value, because two rows would then be one person or machine. Rows that this run
        makes in the part are not looked at: a preview makes none.

        Where the policy says so, the row gives way to one that a person made, when that alone fits.
        """
        for entry in entries:
            self.remember(entry)
        others: dict[str, str] = {}
        fitting: dict[str, dict[Key, Candidate]] = {}
        for match in self._policy.matching:
            changed = [entry for entry in entries if match.column in entry.assign]
            keyed = [(one, desired, matching_value(self._policy, match, desired)) for one, desired in _desired(changed)]
            values = sorted({value for _, _, value in keyed if value})
            found = self._found(match, values) if values else Found({})
            for entry, desired, value in keyed:
                for one in found.rows.get(value, ()) if value else ():
                    own = entry.existing is not None and one.key == entry.existing.key
                    if not own and not self._is_new(one.key) and not why_not_take(self._policy, match, desired, one):
                        said = f"{field_of(match.column)} is now {few([repr(value)])}, which {one.label} has too."
                        others.setdefault(entry.row_key, said)
                        fitting.setdefault(entry.row_key, {})[one.key] = one
        wanted = Counter(key for found_rows in fitting.values() for key in found_rows)
        return [
            self._merged(entry, [*fitting[entry.row_key].values()], wanted, merge)
            or _refused(entry, others[entry.row_key])
            if entry.row_key in others
            else entry
            for entry in entries
        ]

    def _merged(
        self, entry: PlanEntry, fitting: Sequence[Candidate], wanted: Mapping[Key, int], merge: Merge
    ) -> PlanEntry | None:
        """The entry by which a record's own row gives way; None where that may not be."""
        first = fitting[0]
        is_free = first.key.partition == MANUAL_PARTITION and not (
            first.claimed_by and self.is_live(Key.parse(first.claimed_by), first.alive)
        )
        if not self._policy.merge or len(fitting) > 1 or wanted[first.key] > 1 or not is_free:
            return None
        return merge(entry, first.key)

    def _is_new(self, key: Key) -> bool:
        if key.partition != self._partition:
            return False
        indexed = self._index.get(key.row)
        return indexed is None or indexed.done == CREATED

    def _found(self, match: MatchOn, values: Sequence[str]) -> Found:
        """What there is with these values once this run's changes are written: a preview, which writes none, and an
        import that was interrupted find the same."""
        found = self._find(match, values)
        if not self._changed:
            return found
        after = {value: [one for one in same if one.key not in self._changed] for value, same in found.rows.items()}
        for key, row in self._changed.items():
            value = match.fold(row.get(match.column))
            if value in values and value not in found.common:
                after.setdefault(value, []).append(Candidate.of(key, row))
        return found._replace(rows=after)

    def evened_out(self, desired: DesiredRecord, candidate: Candidate) -> str:
        """A sentence when the two are the same to people, and are written differently."""
        for match in self._policy.matching:
            mine, theirs = desired.values.get(match.column), candidate.values.get(match.column)
            if match.fold(mine) and match.fold(mine) == match.fold(theirs) and mine != theirs:
                # What nobody sees is shown by its number.
                return f"{field_of(match.column)} is {few([ascii(mine)])} here, and {few([ascii(theirs)])} there."
        return ""

    def _is_owned(self, candidate: Candidate) -> bool:
        """Whether the candidate's own record is alive: then that one has it by its id, which is checked first."""
        if candidate.key.partition == self._partition:
            # One that was taken over goes back to its own record, when that of the other is not there any more.
            claimed = candidate.claimed_by and self.is_live(Key.parse(candidate.claimed_by), candidate.alive)
            return self._is_seen(candidate.key.row) and not claimed
        return candidate.owned and candidate.alive and not candidate.claimed_by

    def is_live(self, holder: Key, alive: bool) -> bool:
        """Whether the record that holds a row is alive; of another part only the row can tell, by `alive`."""
        return self._is_seen(holder.row) if holder.partition == self._partition else alive

    def other_holder(self, own: Key, existing: ExistingRecord) -> str:
        """The living record, other than this one, that has a row to which this one is led; empty for none."""
        holder = existing.claimed_by
        if existing.key == own or holder == own.text:
            return ""
        if holder and self.is_live(Key.parse(holder), existing.alive):
            return holder
        if existing.key.partition == self._partition:
            is_owned = self._is_seen(existing.key.row)
        else:
            is_owned = existing.alive and not holder and existing.key.partition != MANUAL_PARTITION
        return existing.key.text if is_owned else ""


def matching_value(policy: Policy, match: MatchOn, desired: DesiredRecord) -> str:
    """The folded value by which the record may find a row; empty for none."""
    value = "" if match.column in desired.unproven else match.fold(desired.values.get(match.column))
    return "" if _means_nothing(policy, value) else value


def why_unmatched(policy: Policy, desired: DesiredRecord) -> list[str]:
    """A sentence for each value that is there, and by which the record finds nothing."""
    said = [desired.unproven[match.column] for match in policy.matching if match.column in desired.unproven]
    for match in policy.matching:
        value = match.fold(desired.values.get(match.column))
        if value and _means_nothing(policy, value):
            said.append(f"{field_of(match.column)} is {few([repr(value)])}, which never matches.")
    return said


def _too_common(match: MatchOn, value: str) -> str:
    return f"More than {MOST_ALIKE} records have {value!r} in {field_of(match.column)}: it finds none."


def why_not_take(policy: Policy, match: MatchOn, desired: DesiredRecord, candidate: Candidate) -> str:
    """A sentence when the record may not take over that row; empty when it may."""
    sites = (desired.values.get(SITE), candidate.values.get(SITE))
    wanted, present = (policy.customers().get(str(site)) for site in sites)
    if present is not None and wanted != present:
        # Whoever is limited to one customer could otherwise prepare a row with another's e-mail address, and read there
        # what the import brings. A row at nobody's site is free: nobody limited can make or read it.
        return f"{candidate.label} is another customer's."
    document = str(candidate.values.get("document", ""))
    if document and document in policy.others:
        return f"{candidate.label} is imported by {document}."
    for column in set(match.identifying) - {match.column}:
        mine, theirs = comparable(desired.values.get(column)), comparable(candidate.values.get(column))
        if mine != theirs and not _means_nothing(policy, mine) and not _means_nothing(policy, theirs):
            return f"{candidate.label} has another {field_of(column)}: {few([theirs])}."
    return ""


def _some(sentences: Sequence[str]) -> tuple[str, ...]:
    """Some of the sentences, and how many more there are: as many records as rows could each have them all."""
    left = len(sentences) - _MOST_NOTES
    return (*sentences[:_MOST_NOTES], *([f"{left:,} more do not fit either."] if left > 0 else []))


def _means_nothing(policy: Policy, value: str) -> bool:
    return not value or comparable(value, ignore_case=True) in policy.meaningless


def columns_of(match: MatchOn) -> tuple[str, ...]:
    """The columns that the matching by one column looks at."""
    return (match.column, *match.identifying)


def _desired(entries: Sequence[PlanEntry]) -> list[tuple[PlanEntry, DesiredRecord]]:
    return [(entry, entry.desired) for entry in entries if entry.desired is not None]


def _refused(entry: PlanEntry, said: str) -> PlanEntry:
    message = f"{said} Correct one of them, or deactivate the record that is not needed."
    return replace(
        entry, action=Action.ERROR, reason="matches_another", message=message, assign={}, differences=(), withdraws=()
    )


def refuse_all(claimants: Sequence[DesiredRecord], label: str) -> list[PlanEntry]:
    """Several records claim one row: none has it."""
    names = few([desired.id for desired in claimants])
    both, neither = ("both", "neither") if len(claimants) == 2 else ("all", "none")
    message = f"{names} {both} match {label}: {neither} is imported."
    return [PlanEntry.about(desired, Action.ERROR, "claimed", message) for desired in claimants]


def refuse_claimed(desired: DesiredRecord, label: str, holder: str) -> PlanEntry:
    """Another living record has the row."""
    message = f"{label} belongs to {Key.parse(holder).row} now, and {desired.id} claims it too."
    return PlanEntry.about(desired, Action.ERROR, "claimed", message)
