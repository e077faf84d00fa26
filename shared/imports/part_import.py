"""One part of a run: pages in, plan, transactions, counts. Killed and repeated, it ends as if undisturbed."""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.errors import ChangedMeanwhileError, RowRefusedError, TooLargeError
from shared.imports.applier import ROWS_BESIDE, Applier, PreparedEntry
from shared.imports.part_rows import PartRows
from shared.imports.plan.model import Action, ExistingRecord, PlanEntry, Policy
from shared.imports.plan.planner import LEFT_OUT, PartPlanner
from shared.imports.runs.model import Mode, Part, Run
from shared.imports.runs.readings import Finding, Reading
from shared.imports.runs.repository import RunRepository
from shared.imports.sources import SyncSource
from shared.records.history import truncate_for_storage
from shared.records.model import ACTIVE, Key
from shared.storage.rows import OPERATIONS_PER_TRANSACTION
from shared.telemetry import spanned

# An operator sees these one by one; the others of an import are counted, and stand in the records' history.
_SHOWN = frozenset({Action.ERROR, Action.HELD_BACK, Action.CHANGED_SINCE_PREVIEW})
_WRITING = frozenset({Action.CREATE, Action.UPDATE, Action.DEACTIVATE})
_BATCH = 50
_WRITTEN_TOGETHER = OPERATIONS_PER_TRANSACTION - ROWS_BESIDE
# Of the entries that wait for the end of the reading; a page has as many.
_AT_ONCE = 1000
_HEARTBEAT_EVERY = timedelta(seconds=20)


class PartImport:
    """The work on one part by one attempt.

    `preview` is what an applied preview planned: fingerprint and action by id.
    """

    def __init__(
        self,
        runs: RunRepository,
        rows: PartRows,
        source: SyncSource,
        run: Run,
        part: Part,
        now: Callable[[], datetime],
        *,
        policy: Policy,
        preview: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self._runs = runs
        self._rows = rows
        self._source = source
        self._run = run
        self.part = part
        self._now = now
        self._preview = dict(preview) if preview is not None else None
        self._counts: Counter[str] = Counter()
        self._entries: dict[str, list[dict[str, Any]]] = {}
        self._unwritten: list[PreparedEntry] = []
        self._batches = 0
        partition_key = self.partition_key = source.partition_key(part.name)
        self._index = rows.index(partition_key, run.id, policy.columns)
        if self._index.unmapped_columns:
            policy = replace(policy, unmapped=self._index.unmapped_columns)
        self._columns = policy.columns
        self.before = self._index.before
        # Whether the part was read as the time before, and there is nothing to tell of it.
        self.is_as_before = False
        # Records that no rule gives a type any more, and how many more are active than there were.
        self.left_out: list[str] = []
        self._activated = 0
        self._planner = PartPlanner(
            partition_key,
            self._index,
            policy,
            now=now(),
            load=self._load,
            find=rows.find,
            may_exist=lambda match, values: rows.may_exist(match, values, self._index),
        )
        self._applier = Applier(rows, partition_key, run.id, run.name, now, self._again)

    def run(self) -> Mapping[str, int]:
        """Do it; the counts. Raises ChangedMeanwhileError when another attempt took the part over."""
        # What reads ahead stops at once when the work ends early, not when the error has been dealt with.
        with closing(self._pages()) as pages:
            for page in pages:
                self._counts["read"] += len(page)
                desired = [self._source.map_record(self.part.name, raw) for raw in page]
                del page
                self._handle(self._planner.take(desired))
                del desired
                self._beat()
        # What is decided at the end looks at what is stored.
        self._write(everything=True)
        rest = self._planner.finish(read_to_the_end=True)
        for start in range(0, len(rest), _AT_ONCE):
            self._handle(rest[start : start + _AT_ONCE])
            self._beat()
        if self._preview is not None:
            self._handle(self._missing(self._preview))
        self._write(everything=True)
        self._flush(everything=True)
        if self.part.attempts == 1 and not self.left_out and not self.unmapped_left:
            reading = self.reading
            self.is_as_before = reading == self.before and not reading.finding.reason
        return dict(self._counts)

    @property
    def unmapped_left(self) -> frozenset[str]:
        """The columns that no mapping fills any more, and where active records still have values."""
        return frozenset(column for column, count in self._index.unmapped.items() if count > 0)

    @property
    def reading(self) -> Reading:
        """How the part was read, with what was found the time before."""
        is_active = sum(one.active for one in self._index.values()) + self._activated > 0
        found = self.before.finding if self.before is not None else Finding()
        columns = self._columns | self.unmapped_left
        return Reading(self._run.kind, self._run.name, self.part.name, is_active, columns, found)

    def _pages(self) -> Generator[Sequence[Any], None, None]:
        return spanned("page", self._source.read(self.part.name), run=self._run.id, part=self.part.name)

    def _handle(self, entries: Iterable[PlanEntry]) -> None:
        for entry in entries:
            prepared = self._applier.prepare(entry)
            decided = self._as_previewed(prepared.entry)
            if self._run.mode is Mode.IMPORT and decided.assign:
                self._unwritten.append(prepared)
            else:
                self._settle(decided)
        self._write()
        self._flush()

    def _write(self, *, everything: bool = False) -> None:
        """Write by full transactions, whatever pages the entries come from."""
        count = len(self._unwritten)
        due = self._unwritten[: count if everything else count - count % _WRITTEN_TOGETHER]
        if not due:
            return
        del self._unwritten[: len(due)]
        self._create_prerequisites(frozenset[str]().union(*(entry.prerequisites for entry, _ in due)))
        for entry in self._applier.apply(due):
            self._settle(entry)

    def _create_prerequisites(self, prerequisites: frozenset[str]) -> None:
        if prerequisites:
            self._source.create_prerequisites(prerequisites, f"run {self._run.id}")

    def _settle(self, entry: PlanEntry) -> None:
        """Count what came of an entry, and keep it where an operator sees it."""
        self._counts[entry.action] += 1
        if entry.reason == LEFT_OUT:
            self.left_out.append(entry.label or entry.id)
        if self._run.mode is Mode.IMPORT and entry.assign:
            became = entry.assign.get(ACTIVE)
            self._activated += (became is True or entry.make_alias) - (became is False)
            self._index.unmapped.subtract(column for column in self._index.unmapped if column in _emptied(entry))
        if self._run.mode is Mode.PREVIEW or entry.action in _SHOWN:
            self._entries.setdefault(entry.action, []).append(entry.as_json())

    # What the planner asks for

    def _load(self, keys: Sequence[Key], columns: Collection[str] | None = None) -> Mapping[Key, ExistingRecord]:
        found: dict[Key, ExistingRecord] = {}
        if columns is not None:
            recalled = {key: self._index.recall(key, columns) for key in keys}
            found = {key: existing for key, existing in recalled.items() if existing is not None}
        missing = [key for key in keys if key not in found]
        return {**found, **self._rows.load(missing)} if missing else found

    def _again(self, entry: PlanEntry) -> PlanEntry:
        """An entry decided anew, because the row was written since it was read; what a preview did not show so is not
        written in its name. Raises ChangedMeanwhileError when this attempt has lost the part."""
        self._check_that_it_is_ours()
        fresh = self._planner.again(entry)
        if self._preview is not None and fresh.assign and fresh.fingerprint != entry.fingerprint:
            return _changed_since_preview(fresh)
        self._create_prerequisites(fresh.prerequisites)
        return fresh

    def _check_that_it_is_ours(self) -> None:
        # Whoever stood still while another attempt did the part has read what may be old by now, and it would be
        # written over what came since.
        part = self._runs.parts.find(self._run.id, self.part.name)
        if part is None or part.attempt_id != self.part.attempt_id:
            raise ChangedMeanwhileError("Another attempt has the part.", row_key=f"part:{self.part.name}")

    # Applying a preview

    def _as_previewed(self, entry: PlanEntry) -> PlanEntry:
        """In a run that applies a preview: the entry, or that it is left alone because something changed since."""
        if self._preview is None:
            return entry
        fingerprint, _ = self._preview.pop(entry.id, ("", ""))
        if entry.done or entry.fingerprint == fingerprint or not (entry.assign or entry.action in _WRITING):
            return entry
        return _changed_since_preview(entry)

    def _missing(self, preview: Mapping[str, tuple[str, str]]) -> list[PlanEntry]:
        """What the preview planned to write, and this reading did not meet any more."""
        message = "The preview showed it, and it is not there any more."
        return [
            PlanEntry(record_id, Action.CHANGED_SINCE_PREVIEW, "changed_since", message)
            for record_id, (_, action) in sorted(preview.items())
            if action in _WRITING
        ]

    # Progress

    def _beat(self) -> None:
        moment = self._now()
        if moment - (self.part.heartbeat_at or moment) >= _HEARTBEAT_EVERY:
            self.part = self._runs.parts.save(replace(self.part, heartbeat_at=moment, counts=dict(self._counts)))

    def _flush(self, *, everything: bool = False) -> None:
        for action, entries in self._entries.items():
            while entries and (everything or len(entries) >= _BATCH):
                self._keep(action, entries[:_BATCH])
                del entries[:_BATCH]

    def _keep(self, action: str, entries: Sequence[dict[str, Any]]) -> None:
        try:
            self._runs.entries.add(self.part, action, self._batches, entries)
        except (RowRefusedError, TooLargeError):
            # What a source calls a record, or has in it, must not keep the others out.
            if len(entries) > 1:
                half = len(entries) // 2
                self._keep(action, entries[:half])
                self._keep(action, entries[half:])
                return
            self._runs.entries.add(self.part, action, self._batches, [truncate_for_storage(entries[0])])
        self._batches += 1


def _emptied(entry: PlanEntry) -> frozenset[str]:
    return frozenset(column for column, value in entry.assign.items() if value is None)


def _changed_since_preview(entry: PlanEntry) -> PlanEntry:
    message = "It is not as the preview showed it, so it is left alone."
    return replace(
        entry,
        action=Action.CHANGED_SINCE_PREVIEW,
        reason="changed_since",
        message=message,
        assign={},
        differences=entry.changes,
    )
