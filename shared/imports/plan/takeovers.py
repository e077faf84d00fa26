"""Records that wait until their part has been read to its end: new ones that may match, and takeovers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from shared.imports.plan.matcher import Matcher, refuse_all, refuse_claimed
from shared.imports.plan.model import Action, Candidate, DesiredRecord, ExistingRecord, IndexEntry, Loader, PlanEntry
from shared.records.model import Key


class Takeovers(ABC):
    """The part of the planner that decides which rows they take."""

    _partition: str
    _index: Mapping[str, IndexEntry]
    _load: Loader
    _held: list[DesiredRecord]
    # Rows that a record of this part takes over, with its key.
    _taken: dict[Key, str]

    @cached_property
    @abstractmethod
    def _matcher(self) -> Matcher: ...

    @abstractmethod
    def _own(self, desired: DesiredRecord) -> Key: ...

    @abstractmethod
    def _load_one(self, key: Key) -> ExistingRecord | None: ...

    @abstractmethod
    def _compared(self, records: Sequence[DesiredRecord]) -> list[PlanEntry]: ...

    @abstractmethod
    def _followed(self, desired: DesiredRecord, existing: ExistingRecord) -> PlanEntry: ...

    @abstractmethod
    def _update(self, desired: DesiredRecord, existing: ExistingRecord, *, matched: bool = False) -> PlanEntry: ...

    @abstractmethod
    def _new(self, desired: DesiredRecord, target: ExistingRecord | None, notes: Sequence[str] = ()) -> PlanEntry: ...

    def _matched(self) -> list[PlanEntry]:
        """Entries of the records that were held back until all of the part was seen."""
        held = sorted(self._held, key=lambda desired: desired.row_key)
        self._held = []
        entries: list[PlanEntry] = []
        unmatched: list[DesiredRecord] = []
        astray: list[DesiredRecord] = []
        for desired in held:
            indexed = self._index.get(desired.row_key)
            if indexed is None:
                unmatched.append(desired)
            elif indexed.claimed_by:
                entries += self._returned(desired, indexed)
            else:
                astray.append(desired)
        entries += self._led_back(astray)
        claims: dict[Key, list[tuple[DesiredRecord, Candidate]]] = {}
        for desired, found, notes in self._matcher.matches(unmatched):
            if isinstance(found, PlanEntry):
                entries.append(found)
            elif found is None:
                entries.append(self._new(desired, None, notes))
            else:
                claims.setdefault(found.key, []).append((desired, found))
        for key, claimants in claims.items():
            if len(claimants) > 1:
                entries += refuse_all([desired for desired, _ in claimants], claimants[0][1].label)
            else:
                entries.append(self._claim(key, *claimants[0]))
        return entries

    def _merge(self, entry: PlanEntry, key: Key) -> PlanEntry | None:
        """The record's own row gives way to one that a person made, and that it follows from now on. None where a
        person holds something of it, or another record follows it."""
        own = self._load_one(Key(self._partition, entry.row_key))
        target = self._load_one(key)
        if entry.desired is None or own is None or target is None or own.key != own.own:
            return None
        is_followed = any(indexed.alias_of == own.key for indexed in self._index.values())
        if own.locks or own.claimed_by or is_followed or not target.active or key in self._taken:
            return None
        merged = self._new(entry.desired, target)
        if merged.action is not Action.UPDATE:
            return None
        self._taken[key] = own.key.text
        message = f"It is one with {target.label} now, which a person made and whose record is kept. {merged.message}"
        return replace(merged, reason="merged", message=message, merged=own)

    def _claim(self, key: Key, desired: DesiredRecord, candidate: Candidate) -> PlanEntry:
        """A record takes over the row that it alone matches, unless another living record has it."""
        if key in self._taken:
            return refuse_claimed(desired, candidate.label, self._taken[key])
        holder = Key.parse(candidate.claimed_by)
        if candidate.claimed_by and holder != self._own(desired) and self._matcher.is_live(holder, candidate.alive):
            return refuse_claimed(desired, candidate.label, candidate.claimed_by)
        # It is taken over here: it is not gone with the record that it had before.
        self._taken[key] = self._own(desired).text
        entry = self._new(desired, self._load_one(key))
        return replace(entry, message=f"{entry.message} {self._matcher.evened_out(desired, candidate)}".rstrip())

    def _led_back(self, records: Sequence[DesiredRecord]) -> list[PlanEntry]:
        """Records whose alias leads to a row that does not follow them, or nowhere."""
        loaded = self._load([self._own(desired) for desired in records]) if records else {}
        entries: list[PlanEntry] = []
        claims: dict[Key, list[tuple[DesiredRecord, ExistingRecord]]] = {}
        for desired in records:
            own = self._own(desired)
            existing = loaded.get(own)
            if existing is None:
                entries.append(self._new(desired, None))
            elif existing.key == own or self._matcher.other_holder(own, existing):
                entries.append(self._update(desired, existing))
            else:
                claims.setdefault(existing.key, []).append((desired, existing))
        for key, claimants in claims.items():
            first, existing = claimants[0]
            if len(claimants) == 1:
                entries.append(self._followed(first, existing))
            else:
                entries += refuse_all([desired for desired, _ in claimants], existing.label)
            self._taken[key] = self._own(first).text
        return entries

    def _returned(self, desired: DesiredRecord, indexed: IndexEntry) -> list[PlanEntry]:
        """A record whose row another record took over meanwhile."""
        if self._matcher.is_live(Key.parse(indexed.claimed_by), indexed.active and indexed.gone_since is None):
            return [refuse_claimed(desired, desired.label or desired.id, indexed.claimed_by)]
        return self._compared([desired])
