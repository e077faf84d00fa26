"""What the engine speaks of, whatever the source: records desired, records that exist, policies and plan entries."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple, Protocol

from shared.imports.plan.safety import Brake
from shared.reasons import Reason
from shared.records.comparison import comparable
from shared.records.model import MANUAL_PARTITION, FieldChange, FieldValue, Key, Values, plain_value
from shared.text import escape_key, few


def no_explanation() -> tuple[str, ...]:
    return ()


class Action(StrEnum):
    """What a plan does with one record. `changed_since_preview` is of runs that apply a preview."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    SKIP = "skip"
    DEACTIVATE = "deactivate"
    HELD_BACK = "held_back"
    CHANGED_SINCE_PREVIEW = "changed_since_preview"
    ERROR = "error"


# What a run last did to a row, in the words of its `last_action`.
CREATED = "create"
ALIASED = "alias"
UPDATED = "update"
REACTIVATED = "reactivate"
DEACTIVATED = "deactivate"
ACTIVATING = frozenset({CREATED, ALIASED, REACTIVATED})
DONE_AS = {CREATED: Action.CREATE, UPDATED: Action.UPDATE, REACTIVATED: Action.UPDATE, DEACTIVATED: Action.DEACTIVATE}


class Trigger(StrEnum):
    """What started a run."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"


@dataclass(frozen=True)
class DesiredRecord:
    """One record of the source, as its mapping, type and site rules want it; an error when it has no id.

    `values` are by column; None is nothing. `gone` says in a word why a record that is still listed counts as gone
    (`terminated`, `inactive`). `skip` and `error` are sentences that keep it from being imported. `source` is the
    record as read, for `explain`. `prerequisites` are what must be made before the record is written, each with the
    column whose value asks for it, or an empty text for any. `unproven` are columns whose value nobody has shown to be
    the record's own, each with a sentence: none is found by them.
    """

    id: str
    values: Values = field(default_factory=dict[str, FieldValue | None])
    label: str = ""
    gone: str = ""
    skip: str = ""
    error: str = ""
    error_reason: Reason | None = None
    source: Mapping[str, object] | None = field(default=None, repr=False)
    prerequisites: Mapping[str, str] = field(default_factory=dict[str, str])
    unproven: Mapping[str, str] = field(default_factory=dict[str, str])
    explain: Callable[[], tuple[str, ...]] = field(default=no_explanation, repr=False, compare=False)

    @cached_property
    def row_key(self) -> str:
        return escape_key(self.id)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What the index of a part holds of one row: enough to tell that nothing changed. An alias' is its target's.

    `done` is what this very run did with the row before it was killed or repeated; `activated` that the row did not
    exist, or was not active, when the run began. `claimed_by` is the key of the record of another row that took this
    one over. `kept` are the row's values, packed, when they are few enough: a changed row need not be read again.
    `unmapped` says that it has a value which no mapping fills any more, and no person holds.
    """

    hash: str
    active: bool = True
    alias_of: Key | None = None
    claimed_by: str = ""
    done: str = ""
    activated: bool = False
    gone_since: datetime | None = None
    kept: str = ""
    unmapped: bool = False


@dataclass(frozen=True)
class ExistingRecord:
    """A record's row as read. `own` is the key by which the source's id leads to it: the row's, or that of an alias.

    `whole` says that `values` are all the row's columns, and not only those that the index kept. An alias that leads
    nowhere is no record yet.
    """

    key: Key
    values: Mapping[str, FieldValue]
    own: Key
    source_id: str
    etag: str = ""
    whole: bool = True
    is_record: bool = True

    @property
    def active(self) -> bool:
        return bool(self.values.get("active", True))

    @property
    def alive(self) -> bool:
        """Whether its record is still there, as far as the row says."""
        return self.active and self.gone_since is None

    @property
    def claimed_by(self) -> str:
        return str(self.values.get("claimed_by", ""))

    @property
    def locks(self) -> frozenset[str]:
        return frozenset(str(self.values.get("locks", "")).split())

    @property
    def gone_since(self) -> datetime | None:
        since = self.values.get("gone_since")
        return since if isinstance(since, datetime) else None

    @property
    def label(self) -> str:
        """What a person calls the record."""
        return str(self.values.get("f_name") or self.values.get("source_id") or self.key.row)


@dataclass(frozen=True)
class MatchOn:
    """A column by which a record finds a row. `identifying` ones must not differ where both have a value."""

    column: str
    ignore_case: bool = False
    identifying: tuple[str, ...] = ()

    def fold(self, value: object) -> str:
        return comparable(value, ignore_case=self.ignore_case)


@dataclass(frozen=True)
class Candidate:
    """A row that the matching found, with the values that were asked for. `owned` when it is a source's; `alive` when
    its record is still there, as far as the row says."""

    key: Key
    label: str
    alive: bool
    owned: bool
    values: Mapping[str, FieldValue] = field(repr=False)

    @property
    def claimed_by(self) -> str:
        return str(self.values.get("claimed_by", ""))

    @classmethod
    def of(cls, key: Key, values: Mapping[str, FieldValue]) -> "Candidate":
        label = f"{few([str(values.get('f_name') or key.row)])} ({key.partition}, {key.row})"
        alive = bool(values.get("active", True)) and values.get("gone_since") is None
        return cls(key, label, alive, key.partition != MANUAL_PARTITION, values)


@dataclass(frozen=True)
class Policy:
    """What an import may do. `deactivate_*` are already decided for the run at hand: the engine asks nothing else.

    `columns` are those that the import's records have, as far as that is known before they are read: what stands there
    is kept with the index, so that a changed row need not be read again. `unmapped` are columns that imports once
    filled and no mapping fills any more. `confirmed` are the row keys that a person confirmed after the brake: those
    alone are deactivated. Of them, and of all when nothing `withdraws` at the run's end, what takes away is done at
    once, under no brake. `customers` says whose each site is; `others` are the documents whose records are not taken
    over. Values of `never_match` mean nothing. `document` is the name of the settings document: a row says which one
    imports it, also when that one has another name now.
    """

    document: str = ""
    create: bool = True
    update: bool = True
    reactivate: bool = True
    deactivate_listed: bool = False
    deactivate_vanished: bool = False
    deactivate_unread: bool = False
    why_not_deactivated: str = "Deactivating is turned off."
    why_vanished: str = "The source does not list it any more."
    grace: timedelta = timedelta(0)
    brake: Brake = field(default_factory=Brake)
    believe_empty_answers: bool = False
    only_on_create: frozenset[str] = frozenset()
    may_blank: frozenset[str] = frozenset()
    matching: tuple[MatchOn, ...] = ()
    merge: bool = False
    columns: frozenset[str] = frozenset()
    unmapped: frozenset[str] = frozenset()
    clear_unmapped: bool = False
    confirmed: frozenset[str] | None = None
    withdraws: bool = True
    customers: Callable[[], Mapping[str, str]] = dict
    others: frozenset[str] = frozenset()
    never_match: tuple[str, ...] = ()

    @cached_property
    def meaningless(self) -> frozenset[str]:
        """`never_match` as `comparable` makes it, without case, with the empty text."""
        return frozenset({"", *(comparable(one, ignore_case=True) for one in self.never_match)})

    @cached_property
    def fingerprint(self) -> str:
        """What of the policy decides a row's values: when it changes, rows are compared anew."""
        return f"{sorted(self.only_on_create)}{sorted(self.may_blank)}{self.document}"

    def waits(self, row_key: str) -> bool:
        """Whether what takes away from the record waits for the end of the run."""
        return self.withdraws and (self.confirmed is None or row_key not in self.confirmed)

    def hash_of(self, desired: DesiredRecord) -> str:
        """What tells that a record is as it was, without looking at its row."""
        return _digest(_encode(sorted(desired.values.items())) + self.fingerprint)


@dataclass(frozen=True)
class PlanEntry:
    """What is to be done with one record, and why.

    `assign` is written to `existing` (or to a new row); an entry without `assign` writes nothing. `differences` are the
    part of it that a person sees and the history keeps. `withdraws` are changes that take away, and wait until the end
    of the run has decided. `reason` is stable, `message` a sentence. `done` marks what this run did in an earlier
    attempt. `merged` is the record's own row, which gives way to that of a person.
    """

    id: str
    action: Action
    reason: str
    message: str
    label: str = ""
    differences: tuple[FieldChange, ...] = ()
    assign: Values = field(default_factory=dict[str, FieldValue | None], repr=False)
    desired: DesiredRecord | None = field(default=None, repr=False)
    existing: ExistingRecord | None = field(default=None, repr=False)
    make_alias: bool = False
    merged: ExistingRecord | None = field(default=None, repr=False)
    done: bool = False
    withdraws: tuple[FieldChange, ...] = ()

    @classmethod
    def about(
        cls,
        desired: DesiredRecord,
        action: Action,
        reason: str,
        message: str,
        existing: ExistingRecord | None = None,
        assign: Values | None = None,
        differences: tuple[FieldChange, ...] = (),
        *,
        done: bool = False,
    ) -> "PlanEntry":
        """An entry about a record of the source."""
        return cls(
            desired.id, action, reason, message, desired.label, differences, assign or {}, desired, existing, done=done
        )

    @property
    def row_key(self) -> str:
        """The key of the record's own row in its part."""
        if self.desired is not None:
            return self.desired.row_key
        return self.existing.own.row if self.existing is not None else self.id

    @property
    def prerequisites(self) -> frozenset[str]:
        """What must be made before this is written."""
        if not self.assign or self.desired is None:
            return frozenset()
        return frozenset(
            one for one, column in self.desired.prerequisites.items() if not column or column in self.assign
        )

    @property
    def changes(self) -> tuple[FieldChange, ...]:
        """What a person sees change; of a new record each of its values."""
        if self.action is not Action.CREATE or self.desired is None:
            return self.differences + self.withdraws
        values = sorted((column, value) for column, value in self.desired.values.items() if value is not None)
        return tuple(FieldChange(column, None, value) for column, value in values)

    @cached_property
    def fingerprint(self) -> str:
        """Equal when two plans would do the same with the record."""
        changes = [change.as_json() for change in self.changes]
        return _digest(json.dumps([self.id, self.action, changes], ensure_ascii=False))

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "label": self.label,
            "action": str(self.action),
            "reason": self.reason,
            "message": self.message,
            "changes": [change.as_json() for change in self.changes],
            "explanation": [] if self.desired is None else list(self.desired.explain()),
            "fingerprint": self.fingerprint,
        }


class Loader(Protocol):
    """Reads rows. An alias is followed; one that leads nowhere is read as a row of no values.

    With `columns`, rows whose values in these columns the index kept are not read again.
    """

    def __call__(self, keys: Sequence[Key], columns: Collection[str] | None = None) -> Mapping[Key, ExistingRecord]: ...


class Found(NamedTuple):
    """For each folded value the rows, of all partitions, that have it. So many rows have one of `common` that it tells
    none from the others."""

    rows: Mapping[str, Sequence[Candidate]]
    common: Collection[str] = ()


# Which of the folded values some row, of any part, may have in the column: the first. What it leaves out is not there.
# The second are common: so many rows have them that they tell none from the others.
MayExist = Callable[[MatchOn, Collection[str]], tuple[Collection[str], Collection[str]]]
Finder = Callable[[MatchOn, Collection[str]], Found]


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


_encode = json.JSONEncoder(ensure_ascii=False, default=plain_value).encode
