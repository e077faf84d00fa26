"""One part of a run: pages in, plan, transactions, counts. Killed and repeated, it ends as if undisturbed."""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from shared.errors import ChangedMeanwhileError, RowRefusedError, TooLargeError
from shared.imports.applier import ROWS_BESIDE, Applier, PreparedEntry
from shared.imports.part_rows import PartIndex, PartRows
from shared.imports.plan.model import DEACTIVATED, Action, ExistingRecord, PlanEntry, Policy
from shared.imports.plan.planner import LEFT_OUT, PartPlanner
from shared.imports.plan.safety import Losses
from shared.imports.plan.withdrawals import Withdrawal
from shared.imports.runs.model import Mode, Part, Run
from shared.imports.runs.readings import Finding, Reading
from shared.imports.runs.repository import RunRepository
from shared.imports.sources import SyncSource
from shared.records.history import truncate_for_storage
from shared.records.model import ACTIVE, Key
from shared.storage.rows import OPERATIONS_PER_TRANSACTION
from shared.telemetry import spanned
from shared.text import few

# An operator sees these one by one; the others of an import are counted, and stand in the records' history.
_SHOWN = frozenset({Action.ERROR, Action.HELD_BACK, Action.CHANGED_SINCE_PREVIEW})
_WRITING = frozenset({Action.CREATE, Action.UPDATE, Action.DEACTIVATE})
_BATCH = 50
# What is written down among the entries, and is none yet.
_WITHDRAWN = "withdrawn"
_WRITTEN_TOGETHER = OPERATIONS_PER_TRANSACTION - ROWS_BESIDE
CHANGED_SINCE = "It is not as the preview showed it, so it is left alone."
# Of the entries that wait for the end of the reading; a page has as many.
_AT_ONCE = 1000
_HEARTBEAT_EVERY = timedelta(seconds=20)


class PartLog:
    """What an attempt tells of its part as it goes: counts, the entries that an operator sees, and that it is alive."""

    def __init__(self, runs: RunRepository, run: Run, part: Part, now: Callable[[], datetime]) -> None:
        self._runs = runs
        self._run = run
        self.part = part
        self._now = now
        self.counts: Counter[str] = Counter()
        self._entries: dict[str, list[Mapping[str, Any]]] = {}
        self._batches = 0

    def settle(self, entry: PlanEntry) -> None:
        """Count what came of an entry, and keep it where an operator sees it."""
        self.counts[entry.action] += 1
        if self._is_shown(entry.action):
            self._entries.setdefault(entry.action, []).append(entry.as_json())

    def tell(self, entry: Mapping[str, Any]) -> None:
        """As `settle`, of an entry that was written down."""
        action = Action(entry["action"])
        self.counts[action] += 1
        if self._is_shown(action):
            self._entries.setdefault(action, []).append(entry)

    def _is_shown(self, action: Action) -> bool:
        return self._run.mode is Mode.PREVIEW or action in _SHOWN

    def withdraw(self, withdrawal: Withdrawal) -> None:
        """Write down what the end of the run decides on."""
        self._entries.setdefault(_WITHDRAWN, []).append(withdrawal.as_json())

    def flush(self, *, everything: bool = False) -> None:
        for action, entries in self._entries.items():
            while entries and (everything or len(entries) >= _BATCH):
                self._keep(action, entries[:_BATCH])
                del entries[:_BATCH]

    def beat(self) -> None:
        """A sign of life, when the last one is some time ago."""
        moment = self._now()
        if moment - (self.part.heartbeat_at or moment) >= _HEARTBEAT_EVERY:
            # What the reading has counted stands until all is settled: whoever repeats that adds to it.
            counts = self.part.counts if self.part.settles else dict(self.counts)
            self.part = self._runs.parts.save(replace(self.part, heartbeat_at=moment, counts=counts))

    def check_that_it_is_ours(self) -> None:
        """Raise ChangedMeanwhileError when another attempt has the part."""
        # Whoever stood still while another attempt did the part has read what may be old by now, and it would be
        # written over what came since.
        part = self._runs.parts.find(self._run.id, self.part.name)
        if part is None or part.attempt_id != self.part.attempt_id:
            raise ChangedMeanwhileError("Another attempt has the part.", row_key=f"part:{self.part.name}")

    def _keep(self, action: str, entries: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._add(action, entries)
        except (RowRefusedError, TooLargeError):
            # What a source calls a record, or has in it, must not keep the others out.
            if len(entries) > 1:
                half = len(entries) // 2
                self._keep(action, entries[:half])
                self._keep(action, entries[half:])
                return
            self._add(action, [truncate_for_storage(entries[0])])
        self._batches += 1

    def _add(self, action: str, entries: Sequence[Mapping[str, Any]]) -> None:
        if action == _WITHDRAWN:
            self._runs.entries.add_withdrawals(self.part, self._batches, entries)
        else:
            self._runs.entries.add(self.part, action, self._batches, entries)


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
        self._rows = rows
        self._source = source
        self._run = run
        self._log = PartLog(runs, run, part, now)
        self._preview = dict(preview) if preview is not None else None
        # Of an applied preview: what it showed as withheld.
        self._held_in_preview: set[str] = set()
        self._emptied: Counter[str] = Counter()
        self._deactivated = self._withdrawals = 0
        self._unwritten: list[PreparedEntry] = []
        self._policy = policy
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

    def run(self) -> Part:
        """Do it; the part with its counts, and with what is still to be settled. Raises ChangedMeanwhileError when
        another attempt took the part over."""
        counts = self._log.counts
        # What reads ahead stops at once when the work ends early, not when the error has been dealt with.
        with closing(self._pages()) as pages:
            for page in pages:
                counts["read"] += len(page)
                desired = [self._source.map_record(self._log.part.name, raw) for raw in page]
                del page
                self._handle(self._planner.take(desired))
                del desired
                self._log.beat()
        # What is decided at the end looks at what is stored.
        self._write(everything=True)
        rest = self._planner.finish(read_to_the_end=True)
        while some := list(islice(rest, _AT_ONCE)):
            self._handle(some)
            self._log.beat()
        if self._preview is not None:
            self._handle(self._missing(self._preview))
        self._write(everything=True)
        self._log.flush(everything=True)
        if self._log.part.attempts == 1 and not self._withdrawals and not self.left_out and not self.unmapped_left:
            reading = self.reading
            self.is_as_before = reading == self.before and not reading.finding.reason
        active = sum((one.active and not one.activated) or one.done == DEACTIVATED for one in self._index.values())
        left_out = few(sorted(self.left_out)) if self.left_out else ""
        losses = Losses(active, self._deactivated, dict(self._emptied), self._withdrawals)
        return replace(self._log.part, counts=dict(counts), losses=losses, left_out=left_out)

    @property
    def unmapped_left(self) -> frozenset[str]:
        return unmapped_left(self._index)

    @property
    def reading(self) -> Reading:
        return reading_of(self._index, self._run, self._log.part, self._columns, self._activated)

    def _pages(self) -> Generator[Sequence[Any], None, None]:
        name = self._log.part.name
        return spanned("page", self._source.read(name), run=self._run.id, part=name)

    def _handle(self, entries: Iterable[PlanEntry]) -> None:
        for entry in entries:
            prepared = self._applier.prepare(entry)
            decided = self._as_previewed(prepared.entry)
            if self._run.mode is Mode.IMPORT and decided.assign:
                self._unwritten.append(prepared)
            else:
                self._settle(decided)
        self._write()
        self._log.flush()

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
        if entry.reason == LEFT_OUT:
            self.left_out.append(entry.label or entry.id)
        if self._run.mode is Mode.IMPORT and entry.assign:
            became = entry.assign.get(ACTIVE)
            self._activated += (became is True or entry.make_alias) - (became is False)
            self._index.unmapped.subtract(column for column in self._index.unmapped if column in _emptied(entry))
        self._deactivated += entry.reason == "empty_answer"
        if not entry.withdraws:
            self._log.settle(entry)
            return
        hash_of_row = "" if entry.desired is None else self._policy.hash_of(entry.desired)
        withdrawal = Withdrawal.of(entry, hash_of_row, self._run.id, held_in_preview=entry.id in self._held_in_preview)
        self._deactivated += not withdrawal.columns
        self._emptied.update(withdrawal.fields)
        self._withdrawals += 1
        self._log.withdraw(withdrawal)

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
        self._log.check_that_it_is_ours()
        fresh = self._planner.again(entry)
        if self._preview is not None and fresh.assign and fresh.fingerprint != entry.fingerprint:
            return _changed_since_preview(fresh)
        self._create_prerequisites(fresh.prerequisites)
        return fresh

    # Applying a preview

    def _as_previewed(self, entry: PlanEntry) -> PlanEntry:
        """In a run that applies a preview: the entry, or that it is left alone because something changed since."""
        if self._preview is None:
            return entry
        fingerprint, action = self._preview.pop(entry.id, ("", ""))
        if action == Action.HELD_BACK:
            self._held_in_preview.add(entry.id)
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


def unmapped_left(index: PartIndex) -> frozenset[str]:
    """The columns that no mapping fills any more, and where active records still have values."""
    return frozenset(column for column, count in index.unmapped.items() if count > 0)


def reading_of(index: PartIndex, run: Run, part: Part, columns: frozenset[str], activated: int = 0) -> Reading:
    """How the part was read, with what was found the time before. `activated` are so many more than the index says."""
    is_active = sum(one.active for one in index.values()) + activated > 0
    found = index.before.finding if index.before is not None else Finding()
    return Reading(run.kind, run.name, part.name, is_active, columns | unmapped_left(index), found)


def _emptied(entry: PlanEntry) -> frozenset[str]:
    return frozenset(column for column, value in entry.assign.items() if value is None)


def _changed_since_preview(entry: PlanEntry) -> PlanEntry:
    return replace(
        entry,
        action=Action.CHANGED_SINCE_PREVIEW,
        reason="changed_since",
        message=CHANGED_SINCE,
        assign={},
        differences=entry.changes,
        withdraws=(),
    )
