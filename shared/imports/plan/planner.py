"""The plan of one part: pure decisions on what the source wants and what is stored. Order of records never matters."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from shared.imports.part_index import PartIndex, SeenRows
from shared.imports.plan.entries import label_of, plan_entry
from shared.imports.plan.model import (
    DONE_AS,
    Action,
    Candidate,
    DesiredRecord,
    ExistingRecord,
    Finder,
    IndexEntry,
    Loader,
    MatchOn,
    MayMatch,
    PlanEntry,
    Policy,
)
from shared.imports.plan.removals import RemovalPlanner
from shared.imports.plan.updates import plan_update
from shared.records.model import MANUAL_PARTITION, Key
from shared.storage.rows import Row, Value

# Columns that say what a candidate is.
_OF_CANDIDATES = ("f_name", "active", "claimed_by")


class PartPlanner:
    """Plans one part, page after page.

    `index` is all that is stored of the part, by row key; `load` reads rows whole; `find` finds candidates of a
    matching column in all parts, and `may_match`, asked first, tells which records have none. What needs the whole part
    (new records that may match, takeovers, what is gone) is decided in `finish`.
    """

    def __init__(
        self,
        partition: str,
        index: PartIndex,
        policy: Policy,
        *,
        now: datetime,
        load: Loader,
        find: Finder,
        may_match: MayMatch = lambda *_: True,
    ) -> None:
        self._partition = partition
        self._index = index
        self._policy = policy
        self._load = load
        self._find = find
        self._may_match = may_match
        self._leaving = RemovalPlanner(partition, index, policy, now=now, load=self._recalled)
        self._live = SeenRows(index)
        self._gone: dict[str, str] = {}
        self._held: list[DesiredRecord] = []
        # Rows that a record of this part takes over, with its key.
        self._taken: dict[Key, str] = {}
        # Rows of other ids that a record of this part follows and changes, as they are afterwards.
        self._changed: dict[Key, Row] = {}

    def take(self, records: Iterable[DesiredRecord]) -> list[PlanEntry]:
        """The entries that can be decided now. A record that was seen before in this part is passed over."""
        entries: list[PlanEntry] = []
        compare: list[DesiredRecord] = []
        for wanted in records:
            key = wanted.row_key
            if key in self._live or key in self._gone:
                continue
            if wanted.gone:
                self._gone[key] = wanted.gone
                if key not in self._index:
                    entries.append(
                        plan_entry(wanted, Action.SKIP, "gone", f"It is {wanted.gone}, and was never imported.")
                    )
                continue
            known = self._index.get(key)
            self._live.add(key)
            if wanted.error:
                entries.append(
                    plan_entry(wanted, Action.ERROR, str(wanted.error_reason or "record_invalid"), wanted.error)
                )
            elif wanted.skip:
                entries.append(plan_entry(wanted, Action.SKIP, "no_rule", wanted.skip))
            elif known is None:
                if self._may_be_there(wanted):
                    self._held.append(wanted)
                else:
                    entries.append(self._new(wanted, None))
            elif known.claimed_by or (known.link is not None and not known.digest):
                self._held.append(wanted)
            elif self._same(wanted, known):
                entries.append(self._unchanged(wanted, known))
            else:
                compare.append(wanted)
        entries += self._compared(compare)
        return entries

    def finish(self, *, read_to_the_end: bool) -> list[PlanEntry]:
        """The rest of the plan. Nothing is deactivated unless the part was read to its end."""
        entries = self._matched()
        return entries + self._leaving.entries(self._gone, self._stays, read_to_the_end=read_to_the_end)

    def again(self, entry: PlanEntry) -> PlanEntry:
        """The entry decided anew, after someone else wrote the row in between."""
        if entry.wanted is not None:
            fresh = self._load_one(self._own(entry.wanted))
            if fresh is not None:
                return self._update(entry.wanted, fresh)
            # The link is not written, and its target changed: decide on the target as it is now.
            target = self._load_one(entry.present.key) if entry.make_link and entry.present is not None else None
            return self._new(entry.wanted, target)
        own = Key(self._partition, entry.row_key)
        fresh = self._load_one(own)
        if fresh is None:
            return replace(
                entry, action=Action.UNCHANGED, assign={}, differences=(), message="It is not there any more."
            )
        if entry.action is Action.SKIP:
            return self._leaving.wait(own.row, fresh, "It is gone.")
        return self._leaving.deactivate(own.row, fresh, entry.message)

    # Records that are there

    def _may_be_there(self, wanted: DesiredRecord) -> bool:
        """Whether a new record may find a row by the matching fields.

        Where records follow rows of other ids, this very run may write a value into one: the order of pages must not
        matter, so all new ones wait.
        """
        return any(
            value and (self._has_links or self._may_match(match, value))
            for match in self._policy.matching
            for value in (match.fold(wanted.values.get(match.column)),)
        )

    @cached_property
    def _has_links(self) -> bool:
        return any(known.link is not None for known in self._index.unusual)

    def _same(self, wanted: DesiredRecord, known: IndexEntry) -> bool:
        return known.active and known.gone_since is None and known.digest == self._policy.digest_of(wanted)

    def _unchanged(self, wanted: DesiredRecord, known: IndexEntry) -> PlanEntry:
        if known.done in DONE_AS:
            return plan_entry(
                wanted, DONE_AS[known.done], "done", "Done by this run before it was interrupted.", done=True
            )
        return plan_entry(wanted, Action.UNCHANGED, "unchanged", "Nothing changed.")

    def _compared(self, records: Sequence[DesiredRecord]) -> list[PlanEntry]:
        if not records:
            return []
        columns = frozenset[str]().union(*(wanted.values for wanted in records))
        loaded = self._recalled([self._own(wanted) for wanted in records], columns)
        entries: list[PlanEntry] = []
        for wanted in records:
            present = loaded.get(self._own(wanted))
            entries.append(self._new(wanted, None) if present is None else self._led(wanted, present))
        return entries

    def _led(self, wanted: DesiredRecord, present: ExistingRecord) -> PlanEntry:
        """The update of a record's row, remembered when it is the row of another id, which others may match."""
        entry = self._update(wanted, present)
        if entry.writes and present.key != self._own(wanted):
            after = {**present.row.values, **entry.assign}
            columns = {*_OF_CANDIDATES, *(match.column for match in self._policy.matching)}
            kept = {column: value for column in columns if (value := after.get(column)) is not None}
            self._changed[present.key] = Row(present.key.partition, present.key.row, kept)
        return entry

    def _update(self, wanted: DesiredRecord, present: ExistingRecord, *, matched: bool = False) -> PlanEntry:
        own = self._own(wanted)
        if other := self._other_holder(own, present):
            return self._claimed(wanted, label_of(present), other)
        return plan_update(own, wanted, present, self._policy, matched=matched)

    # Records that are not there

    def _new(self, wanted: DesiredRecord, target: ExistingRecord | None) -> PlanEntry:
        if target is not None:
            entry = self._update(wanted, target, matched=True)
            return replace(entry, make_link=True) if entry.action is Action.UPDATE else entry
        if not self._policy.create:
            return plan_entry(wanted, Action.SKIP, "create_off", "It matches nothing, and creating is turned off.")
        values = {column: value for column, value in wanted.values.items() if value is not None}
        assign: dict[str, Value | None] = {**values, "active": True, "hash": self._policy.hash_of(wanted)}
        return plan_entry(wanted, Action.CREATE, "new", "It matches nothing that is there.", None, assign)

    def _matched(self) -> list[PlanEntry]:
        """Entries of the records that were held back until all of the part was seen."""
        held = sorted(self._held, key=lambda wanted: wanted.row_key)
        self._held = []
        entries: list[PlanEntry] = []
        unmatched: list[DesiredRecord] = []
        led: list[DesiredRecord] = []
        for wanted in held:
            known = self._index.get(wanted.row_key)
            if known is None:
                unmatched.append(wanted)
            elif known.claimed_by:
                entries.append(self._returned(wanted, known))
            else:
                led.append(wanted)
        entries += self._led_back(led)
        claims: dict[Key, list[tuple[DesiredRecord, Candidate]]] = {}
        for wanted, found in self._candidates(unmatched):
            if isinstance(found, PlanEntry):
                entries.append(found)
            elif found is None:
                entries.append(self._new(wanted, None))
            else:
                claims.setdefault(found.key, []).append((wanted, found))
        for key, claimants in claims.items():
            if len(claimants) > 1:
                entries += self._all_refused([wanted for wanted, _ in claimants], claimants[0][1].label)
                continue
            wanted, candidate = claimants[0]
            if key in self._taken:
                entries.append(self._claimed(wanted, candidate.label, self._taken[key]))
                continue
            holder = Key.parse(candidate.claimed_by)
            if candidate.claimed_by and holder != self._own(wanted) and self._is_live(holder, candidate.active):
                entries.append(self._claimed(wanted, candidate.label, candidate.claimed_by))
                continue
            # It is taken over here: it is not gone with the record that it had before.
            self._taken[key] = self._own(wanted).text
            entries.append(self._new(wanted, self._load_one(key)))
        return entries

    def _candidates(self, records: Sequence[DesiredRecord]) -> list[tuple[DesiredRecord, Candidate | PlanEntry | None]]:
        """For each record what the first matching column finds that finds anything."""
        results: list[tuple[DesiredRecord, Candidate | PlanEntry | None]] = []
        open_records = list(records)
        for match in self._policy.matching:
            keyed = [(wanted, match.fold(wanted.values.get(match.column))) for wanted in open_records]
            values = sorted({value for _, value in keyed if value})
            found = self._found(match, values) if values else {}
            open_records = []
            for wanted, value in keyed:
                free = [one for one in found.get(value, ()) if not self._owned(one)] if value else []
                if not free:
                    open_records.append(wanted)
                elif len(free) == 1:
                    results.append((wanted, free[0]))
                else:
                    names = " and ".join(sorted(candidate.label for candidate in free))
                    message = f"{len(free)} records have the same value in the matching field: {names}."
                    results.append((wanted, plan_entry(wanted, Action.ERROR, "ambiguous", message)))
        return results + [(wanted, None) for wanted in open_records]

    def _found(self, match: MatchOn, values: Sequence[str]) -> Mapping[str, Sequence[Candidate]]:
        """What there is with these values once this run's changes are written: a preview, which writes none, and an
        import that was interrupted find the same."""
        found = self._find(match, values)
        if not self._changed:
            return found
        after = {value: [one for one in same if one.key not in self._changed] for value, same in found.items()}
        for row in self._changed.values():
            value = match.fold(row.values.get(match.column))
            if value in values:
                after.setdefault(value, []).append(Candidate.of(row))
        return after

    def _owned(self, candidate: Candidate) -> bool:
        """Whether the candidate's own record is alive: then that one has it by its id, which is checked first."""
        if candidate.key.partition == self._partition:
            # One that was taken over goes back to its own record, when that of the other is not there any more.
            held = candidate.claimed_by and self._is_live(Key.parse(candidate.claimed_by), candidate.active)
            return candidate.key.row in self._live and not held
        return candidate.owned and candidate.active and not candidate.claimed_by

    def _is_live(self, holder: Key, active: bool) -> bool:
        """Whether the record that holds a row is alive; of another part only the row's state can tell."""
        return holder.row in self._live if holder.partition == self._partition else active

    def _other_holder(self, own: Key, present: ExistingRecord) -> str:
        """The living record, other than this one, that has a row to which this one is led; empty for none."""
        holder = present.row.text("claimed_by")
        if present.key == own or holder == own.text:
            return ""
        if holder and self._is_live(Key.parse(holder), present.active):
            return holder
        if present.key.partition == self._partition:
            is_owned = present.key.row in self._live
        else:
            is_owned = present.active and not holder and present.key.partition != MANUAL_PARTITION
        return present.key.text if is_owned else ""

    def _led_back(self, records: Sequence[DesiredRecord]) -> list[PlanEntry]:
        """Records whose link leads to a row that does not follow them, or nowhere."""
        loaded = self._load([self._own(wanted) for wanted in records]) if records else {}
        entries: list[PlanEntry] = []
        claims: dict[Key, list[tuple[DesiredRecord, ExistingRecord]]] = {}
        for wanted in records:
            own = self._own(wanted)
            present = loaded.get(own)
            if present is None:
                entries.append(self._new(wanted, None))
            elif present.key == own or self._other_holder(own, present):
                entries.append(self._update(wanted, present))
            else:
                claims.setdefault(present.key, []).append((wanted, present))
        for key, claimants in claims.items():
            first, present = claimants[0]
            if len(claimants) == 1:
                entries.append(self._led(first, present))
            else:
                entries += self._all_refused([wanted for wanted, _ in claimants], label_of(present))
            self._taken[key] = self._own(first).text
        return entries

    def _all_refused(self, claimants: Sequence[DesiredRecord], label: str) -> list[PlanEntry]:
        names = " and ".join(wanted.id for wanted in claimants)
        message = f"{names} both match {label}: neither is imported."
        return [plan_entry(wanted, Action.ERROR, "claimed", message) for wanted in claimants]

    def _returned(self, wanted: DesiredRecord, known: IndexEntry) -> PlanEntry:
        """A record whose row another record took over meanwhile."""
        if self._is_live(Key.parse(known.claimed_by), known.active):
            return self._claimed(wanted, wanted.label or wanted.id, known.claimed_by)
        return self._compared([wanted])[0]

    def _claimed(self, wanted: DesiredRecord, label: str, holder: str) -> PlanEntry:
        message = f"{label} belongs to {Key.parse(holder).row} now, and {wanted.id} claims it too."
        return plan_entry(wanted, Action.ERROR, "claimed", message)

    def _own(self, wanted: DesiredRecord) -> Key:
        return Key(self._partition, wanted.row_key)

    def _recalled(self, keys: Sequence[Key], columns: Collection[str] = ()) -> Mapping[Key, ExistingRecord]:
        """Rows of this part as the index kept them, the others as they are read now. What is not so any more is refused
        when it is written, and then decided anew."""
        found: dict[Key, ExistingRecord] = {}
        for key in keys:
            row = self._index.recall(key.row, columns) if key.partition == self._partition else None
            if row is not None:
                found[key] = ExistingRecord(row, whole=False)
        missing = [key for key in keys if key not in found]
        return {**found, **self._load(missing)} if missing else found

    def _load_one(self, key: Key) -> ExistingRecord | None:
        return self._load([key]).get(key)

    def _stays(self, row_key: str) -> bool:
        """Whether the source has the record, or another record has its row now: one that took it over, or the owner
        that came back."""
        if row_key in self._live:
            return True
        known = self._index[row_key]
        target = known.link or Key(self._partition, row_key)
        goes_on = target in self._taken or (target.partition == self._partition and target.row in self._live)
        return bool(known.claimed_by) or goes_on
