"""The plan of one part: pure decisions on what the source wants and what is stored. Order of records never matters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from shared.imports.plan.matcher import Matcher, refuse_claimed, why_unmatched
from shared.imports.plan.model import (
    DONE_AS,
    Action,
    DesiredRecord,
    ExistingRecord,
    Finder,
    IndexEntry,
    Loader,
    MayExist,
    PlanEntry,
    Policy,
)
from shared.imports.plan.removals import NO_RULE, RemovalPlanner
from shared.imports.plan.takeovers import Takeovers
from shared.imports.plan.withdrawals import UNSETTLED
from shared.records.model import ACTIVE, FieldChange, FieldValue, Key, field_of

# The reason of a record that no rule gives a type any more, and that was imported before.
LEFT_OUT = "left_out"


class PartPlanner(Takeovers):
    """Plans one part, page after page.

    `index` is all that is stored of the part, by row key; `load` reads rows; `find` finds candidates of a matching
    column in all parts, and `may_exist`, asked first, tells which values have none. What needs the whole part (new
    records that may match, takeovers, what is gone) is decided in `finish`.
    """

    def __init__(
        self,
        partition: str,
        index: Mapping[str, IndexEntry],
        policy: Policy,
        *,
        now: datetime,
        load: Loader,
        find: Finder,
        may_exist: MayExist = lambda _, values: (values, ()),
    ) -> None:
        self._partition = partition
        self._index = index
        self._load = load
        self._held = []
        self._taken = {}
        self._policy = policy
        self._now = now
        self._find = find
        self._may_exist = may_exist
        # Whether the source has the record, by row key of the index.
        self._seen = dict.fromkeys(index, False)
        self._gone: dict[str, str] = {}
        self._all_are_known = True
        # Updates of values by which records are matched: others may change theirs too.
        self._changed_matches: list[PlanEntry] = []

    def take(self, records: Sequence[DesiredRecord]) -> list[PlanEntry]:
        """The entries that can be decided now. A record that was seen before in this part is passed over."""
        entries, compare = list[PlanEntry](), list[DesiredRecord]()
        new = [desired for desired in records if desired.row_key not in self._index]
        waiting, notes = self._matcher.may_match(new) if new and self._policy.matching else (frozenset[str](), {})
        for desired in records:
            key = desired.row_key
            if self._seen.get(key) or key in self._gone:
                continue
            if not desired.id or desired.gone:
                self._set_aside(desired, entries)
                continue
            indexed = self._index.get(key)
            left_out = bool(desired.skip) and indexed is not None and indexed.active and not indexed.claimed_by
            if left_out and self._policy.deactivate_unread:
                self._gone[key] = NO_RULE
                continue
            self._seen[key] = True
            if desired.error:
                reason = str(desired.error_reason or "record_invalid")
                entries.append(PlanEntry.about(desired, Action.ERROR, reason, desired.error))
            elif left_out:
                message = f"{desired.skip} It was imported before, and stays as it was."
                entries.append(PlanEntry.about(desired, Action.SKIP, LEFT_OUT, message))
            elif desired.skip:
                entries.append(PlanEntry.about(desired, Action.SKIP, "no_rule", desired.skip))
            elif indexed is None:
                if key in waiting:
                    self._held.append(desired)
                else:
                    entries.append(self._new(desired, None, notes.get(key, ())))
            elif indexed.claimed_by or (indexed.alias_of is not None and not indexed.hash):
                self._held.append(desired)
            elif (
                indexed.active
                and indexed.gone_since is None
                and not (indexed.unmapped and self._policy.clear_unmapped)
                and indexed.hash == self._policy.hash_of(desired)
            ):
                entries.append(self._unchanged(desired, indexed))
            else:
                compare.append(desired)
        return entries + self._compared(compare)

    def _set_aside(self, desired: DesiredRecord, entries: list[PlanEntry]) -> None:
        """A record that counts as gone, or that nobody can tell from others."""
        key = desired.row_key
        if not desired.id:
            # It may be any of those that are missing.
            self._all_are_known = False
            entries.append(PlanEntry.about(desired, Action.ERROR, str(desired.error_reason), desired.error))
        else:
            self._gone[key] = desired.gone
            if key not in self._index:
                message = f"It is {desired.gone}, and was never imported."
                entries.append(PlanEntry.about(desired, Action.SKIP, "gone", message))

    def finish(self, *, read_to_the_end: bool) -> Iterator[PlanEntry]:
        """The rest of the plan. Nothing is deactivated unless the part was read to its end."""
        entries = self._matched() if self._held else []
        if self._changed_matches:
            entries += self._matcher.recheck(self._changed_matches, self._merge)
        yield from entries
        read_to_the_end = read_to_the_end and self._all_are_known
        missing = [row_key for row_key in self._index if not self._stays(row_key)]
        if missing:
            empty = not self._gone and not any(self._seen.values())
            yield from self._removals.entries(missing, self._gone, empty=empty, read_to_the_end=read_to_the_end)

    def again(self, entry: PlanEntry) -> PlanEntry:
        """The entry decided anew, after someone else wrote the row in between."""
        if entry.desired is not None:
            fresh = self._load_one(self._own(entry.desired))
            if entry.merged is not None and entry.existing is not None and fresh is not None and fresh.key == fresh.own:
                return self._merge(entry, entry.existing.key) or self._update(entry.desired, fresh)
            if fresh is not None:
                return self._update(entry.desired, fresh)
            # The alias is not written, and its target changed: decide on the target as it is now.
            existing = entry.existing if entry.make_alias else None
            return self._new(entry.desired, None if existing is None else self._load_one(existing.key))
        own = Key(self._partition, entry.row_key)
        fresh = self._load_one(own)
        if fresh is None:
            return PlanEntry(entry.id, Action.UNCHANGED, "not_there", "It is not there any more.", label=entry.label)
        steps = {"gone": self._removals.stay, "grace": self._removals.wait, "empty_answer": self._removals.doubt}
        if entry.action is not Action.DEACTIVATE:
            return steps[entry.reason](own.row, fresh, "It is gone.")
        return self._removals.deactivate(own.row, fresh, entry.message)

    @cached_property  # Most parts have neither a record to match nor one that is gone.
    def _matcher(self) -> Matcher:
        return Matcher(
            self._partition,
            self._policy,
            self._index,
            find=self._find,
            may_exist=self._may_exist,
            is_seen=self._is_seen,
        )

    @cached_property
    def _removals(self) -> RemovalPlanner:
        return RemovalPlanner(self._partition, self._index, self._policy, now=self._now, load=self._load)

    def _is_seen(self, row_key: str) -> bool:
        return self._seen.get(row_key, False)

    def _unchanged(self, desired: DesiredRecord, indexed: IndexEntry) -> PlanEntry:
        if indexed.done in DONE_AS:
            message = "Done by this run before it was interrupted."
            return PlanEntry.about(desired, DONE_AS[indexed.done], "done", message, done=True)
        return PlanEntry.about(desired, Action.UNCHANGED, "unchanged", "Nothing changed.")

    def _compared(self, records: Sequence[DesiredRecord]) -> list[PlanEntry]:
        if not records:
            return []
        columns = frozenset[str]().union(*(desired.values for desired in records))
        if self._policy.clear_unmapped:
            columns |= self._policy.unmapped
        loaded = self._load([self._own(desired) for desired in records], columns)
        entries: list[PlanEntry] = []
        for desired in records:
            existing = loaded.get(self._own(desired))
            entry = self._new(desired, None) if existing is None else self._followed(desired, existing)
            if entry.action is Action.UPDATE and [one for one in self._policy.matching if entry.assign.get(one.column)]:
                self._changed_matches.append(entry)
            else:
                entries.append(entry)
        return entries

    def _followed(self, desired: DesiredRecord, existing: ExistingRecord) -> PlanEntry:
        """The update of a record's row, remembered when it is the row of another id, which others may match."""
        entry = self._update(desired, existing)
        if entry.assign and existing.key != existing.own:
            self._matcher.remember(entry)
        return entry

    def _update(self, desired: DesiredRecord, existing: ExistingRecord, *, matched: bool = False) -> PlanEntry:
        own = self._own(desired)
        if existing.key != own and (other := self._matcher.other_holder(own, existing)):
            return refuse_claimed(desired, existing.label, other)
        return plan_update(own, desired, existing, self._policy, matched=matched)

    def _new(self, desired: DesiredRecord, target: ExistingRecord | None, notes: Sequence[str] = ()) -> PlanEntry:
        if target is not None:
            entry = self._update(desired, target, matched=True)
            return replace(entry, make_alias=True) if entry.action is Action.UPDATE else entry
        why = " ".join([*why_unmatched(self._policy, desired), *notes])
        if not self._policy.create:
            message = f"It matches nothing, and creating is turned off. {why}".rstrip()
            return PlanEntry.about(desired, Action.SKIP, "create_off", message)
        values = {column: value for column, value in desired.values.items() if value is not None}
        assign: dict[str, FieldValue | None] = {**values, "active": True, "hash": self._policy.hash_of(desired)}
        message = f"It matches nothing that is there. {why}".rstrip()
        return PlanEntry.about(desired, Action.CREATE, "new", message, None, assign)

    def _own(self, desired: DesiredRecord) -> Key:
        return Key(self._partition, desired.row_key)

    def _load_one(self, key: Key) -> ExistingRecord | None:
        return self._load([key]).get(key)

    def _stays(self, row_key: str) -> bool:
        """Whether the source has the record, or another record has its row now: one that took it over, or the owner
        that came back."""
        if self._seen[row_key]:
            return True
        indexed = self._index[row_key]
        target = indexed.alias_of or Key(self._partition, row_key)
        goes_on = target in self._taken or (target.partition == self._partition and self._is_seen(target.row))
        return bool(indexed.claimed_by) or goes_on


def plan_update(
    own: Key, desired: DesiredRecord, existing: ExistingRecord, policy: Policy, *, matched: bool = False
) -> PlanEntry:
    """The entry that brings the row of a record to what is desired: its own row, of the key `own`, or one that it
    follows. `matched` says that it has just been found by the matching field."""
    changes, emptied, locked = _differences(desired, existing, policy)
    assign: dict[str, FieldValue | None] = {change.column: change.after for change in changes}
    if not existing.active:
        message = "A person made it inactive." if ACTIVE in existing.locks else ""
        if message or not policy.reactivate:
            message = message or "It is inactive, and reactivating is turned off."
            reason = "locked" if ACTIVE in existing.locks else "inactive"
            return PlanEntry.about(desired, Action.SKIP, reason, message, existing)
        assign |= {"active": True, "deactivated_at": None}
        changes.append(FieldChange("active", False, True))
    elif (changes or emptied) and not policy.update:
        message = "It changed, and updating is turned off."
        return PlanEntry.about(desired, Action.SKIP, "update_off", message, existing)
    holder, claimed_by = existing.claimed_by or None, own.text if existing.key != own else None
    if holder != claimed_by:
        # Shown and kept in the history: it says which record of the source an asset follows.
        assign["claimed_by"] = claimed_by
        changes.append(FieldChange("claimed_by", holder, claimed_by))
    technical: dict[str, FieldValue | None] = {"gone_since": None}
    hash_of_row = policy.hash_of(desired) + (UNSETTLED if emptied else "")
    if existing.values.get("hash") != hash_of_row:
        # The document is part of the hash, and need not be read where that stays.
        technical |= {"hash": hash_of_row, "document": policy.document or existing.values.get("document")}
    assign |= {column: value for column, value in technical.items() if existing.values.get(column) != value}
    stays = f"A person's values stay in {', '.join(locked)}." if locked else ""
    if not changes and not emptied:
        return PlanEntry.about(desired, Action.UNCHANGED, "unchanged", stays or "Nothing changed.", existing, assign)
    reason, message = "changed", "The source changed."
    if matched:
        place = "" if existing.label == existing.key.row else f" ({existing.key.partition}, {existing.key.row})"
        reason, message = "matched", f"It matched {existing.label}{place}."
    elif not existing.active:
        reason, message = "reactivated", "It is back, and active again."
    entry = PlanEntry.about(desired, Action.UPDATE, reason, f"{message} {stays}".rstrip(), existing, assign)
    return replace(entry, differences=tuple(changes), withdraws=tuple(emptied))


def _differences(
    desired: DesiredRecord, existing: ExistingRecord, policy: Policy
) -> tuple[list[FieldChange], list[FieldChange], list[str]]:
    """What the source changes of the values, what it empties and that waits for the run's end, and the fields in which
    a person's value stays in its way."""
    changes, emptied = list[FieldChange](), list[FieldChange]()
    locked: list[str] = []
    locks = existing.locks
    for column, value in desired.values.items():
        before = existing.values.get(column)
        if value == before and type(value) is type(before):
            continue
        if column in locks:
            locked.append(field_of(column) or column)
        elif column not in policy.only_on_create and (value is not None or column in policy.may_blank):
            waits = value is None and policy.waits(desired.row_key)
            (emptied if waits else changes).append(FieldChange(column, before, value))
    if policy.clear_unmapped:
        left = [(column, existing.values.get(column)) for column in sorted(policy.unmapped - locks)]
        cleared = [FieldChange(column, before, None) for column, before in left if before is not None]
        (emptied if policy.waits(desired.row_key) else changes).extend(cleared)
    return changes, emptied, sorted(locked)
