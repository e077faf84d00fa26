"""What the engine speaks of, whatever the source: records wanted, records present, policies and plan entries."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from shared.reasons import Reason
from shared.records.model import MANUAL_PARTITION, FieldChange, Key, Values, plain_value
from shared.storage.rows import Row, Value
from shared.text import escape_key


def no_reasons() -> tuple[str, ...]:
    return ()


class Action(StrEnum):
    """What a plan does with one record. In runs that apply a preview, `left` is what changed since."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    SKIP = "skip"
    DEACTIVATE = "deactivate"
    HELD_BACK = "held_back"
    CHANGED_SINCE_PREVIEW = "changed_since_preview"
    ERROR = "error"


# What this run did to a row before, in the words of its `last_action`.
CREATED = "create"
LINKED = "link"
UPDATED = "update"
REACTIVATED = "reactivate"
DEACTIVATED = "deactivate"
JOINED = frozenset({CREATED, LINKED, REACTIVATED})
DONE_AS = {CREATED: Action.CREATE, UPDATED: Action.UPDATE, REACTIVATED: Action.UPDATE, DEACTIVATED: Action.DEACTIVATE}


class Trigger(StrEnum):
    """What started a run."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"


@dataclass(frozen=True)
class DesiredRecord:
    """One record of the source, as its mapping, type and site rules want it.

    `values` are by column; None means that the source has nothing there. `gone` says in a word why a record that is
    still listed counts as gone (`terminated`, `inactive`). `skip` and `error` are sentences that keep it from being
    imported. `source` is the record as read, for `explain`. `needs` are what must be made before the record is written,
    each with the column whose value asks for it, or an empty text for any.
    """

    id: str
    values: Values = field(default_factory=dict[str, Value | None])
    label: str = ""
    gone: str = ""
    skip: str = ""
    error: str = ""
    error_reason: Reason | None = None
    source: Mapping[str, object] | None = field(default=None, repr=False)
    prerequisites: Mapping[str, str] = field(default_factory=dict[str, str])
    explain: Callable[[], tuple[str, ...]] = field(default=no_reasons, repr=False, compare=False)

    @cached_property
    def row_key(self) -> str:
        return escape_key(self.id)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What the index of a part holds of one row: enough to tell that nothing changed. A link's is its target's.

    `digest` is what the row's hash says in text. `done` is what this very run did with it before it was killed or
    repeated; `joined` that it did not stand there, or not active, when the run began. `claimed_by` is the key of the
    record of another row that took this one over.
    """

    digest: bytes
    active: bool = True
    link: Key | None = None
    claimed_by: str = ""
    done: str = ""
    joined: bool = False
    gone_since: datetime | None = None


@dataclass(frozen=True)
class ExistingRecord:
    """A record's rows as read: `row` holds the values; `link` is the row that points to it, when that is another.

    `whole` says that `row` has all columns, and not only those that the index kept.
    """

    row: Row
    link: Row | None = None
    whole: bool = True

    @property
    def key(self) -> Key:
        return Key(self.row.partition_key, self.row.row_key)

    @property
    def active(self) -> bool:
        return bool(self.row.values.get("active", True))

    @property
    def locks(self) -> frozenset[str]:
        return frozenset(self.row.text("locks").split())


@dataclass(frozen=True)
class MatchOn:
    """A column by which a record without a row of its own finds one."""

    column: str
    ignore_case: bool = False

    def fold(self, value: object) -> str:
        text = value if isinstance(value, str) else "" if value is None else str(value)
        text = text.strip()
        return text.casefold() if self.ignore_case else text


@dataclass(frozen=True)
class Candidate:
    """A row that the matching found. `owned` when its own source has it still, as far as its row says."""

    key: Key
    label: str
    active: bool
    owned: bool
    claimed_by: str = ""

    @classmethod
    def of(cls, row: Row) -> "Candidate":
        label = f"{row.text('f_name') or row.row_key} ({row.partition_key}, {row.row_key})"
        active = bool(row.values.get("active", True))
        owned = row.partition_key != MANUAL_PARTITION
        return cls(Key(row.partition_key, row.row_key), label, active, owned, row.text("claimed_by"))


@dataclass(frozen=True)
class Brake:
    """Nothing is deactivated when `at_least` records and more than `share` of a part's active ones would be."""

    share: float = 0.3
    at_least: int = 10

    def holds(self, count: int, active: int) -> bool:
        return count >= self.at_least and count > self.share * active


@dataclass(frozen=True)
class Policy:
    """What an import may do. `deactivate_*` are already decided for the run at hand: the engine asks nothing else.

    `columns` are those that the import's records have, as far as that is known before they are read: what stands there
    is kept with the index, so that a changed row need not be read again. `confirmed` are the ids that a person
    confirmed after the brake: those alone are deactivated, and no brake holds.
    """

    create: bool = True
    update: bool = True
    reactivate: bool = True
    deactivate_listed: bool = False
    deactivate_vanished: bool = False
    why_not_deactivated: str = "Deactivating is turned off."
    grace: timedelta = timedelta(0)
    brake: Brake = field(default_factory=Brake)
    only_on_create: frozenset[str] = frozenset()
    may_blank: frozenset[str] = frozenset()
    matching: tuple[MatchOn, ...] = ()
    columns: frozenset[str] = frozenset()
    confirmed: frozenset[str] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """What of the policy decides a row's values: when it changes, rows are compared anew."""
        return f"{sorted(self.only_on_create)}{sorted(self.may_blank)}"

    def digest_of(self, wanted: DesiredRecord) -> bytes:
        """What tells that a record is as it was, without looking at its row."""
        text = _encode(sorted(wanted.values.items())) + self.fingerprint
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()

    def hash_of(self, wanted: DesiredRecord) -> str:
        """The digest as a row carries it."""
        return self.digest_of(wanted).hex()


@dataclass(frozen=True)
class PlanEntry:
    """What is to be done with one record, and why.

    `assign` is written to `present` (or to a new row), `differences` from `present` are the part of it that a person
    sees and the history keeps; an entry without `assign` writes nothing. `code` is stable, `message` a sentence. `done`
    marks what this run did in an earlier attempt.
    """

    id: str
    action: Action
    code: str
    message: str
    label: str = ""
    differences: tuple[FieldChange, ...] = ()
    assign: Mapping[str, Value | None] = field(default_factory=dict[str, Value | None], repr=False)
    wanted: DesiredRecord | None = field(default=None, repr=False)
    present: ExistingRecord | None = field(default=None, repr=False)
    make_link: bool = False
    done: bool = False

    @property
    def row_key(self) -> str:
        """The key of the record's own row in its part."""
        if self.wanted is not None:
            return self.wanted.row_key
        return (self.present.link or self.present.row).row_key if self.present is not None else self.id

    @property
    def prerequisites(self) -> frozenset[str]:
        """What must be made before this is written."""
        if not self.writes or self.wanted is None:
            return frozenset()
        return frozenset(
            need for need, column in self.wanted.prerequisites.items() if not column or column in self.assign
        )

    @property
    def writes(self) -> bool:
        return bool(self.assign) and not self.done

    @property
    def changes(self) -> tuple[FieldChange, ...]:
        """What a person sees change; of a new record each of its values."""
        if self.action is not Action.CREATE or self.wanted is None:
            return self.differences
        values = sorted((column, value) for column, value in self.wanted.values.items() if value is not None)
        return tuple(FieldChange(column, None, value) for column, value in values)

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.wanted.explain() if self.wanted is not None else ()

    @cached_property
    def fingerprint(self) -> str:
        """Equal when two plans would do the same with the record."""
        text = json.dumps([self.id, self.action, [change.as_json() for change in self.changes]], ensure_ascii=False)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "label": self.label,
            "action": str(self.action),
            "code": self.code,
            "message": self.message,
            "changes": [change.as_json() for change in self.changes],
            "reasons": list(self.reasons),
            "fingerprint": self.fingerprint,
        }


# Rows read whole, by the key of the record. A link is followed; one that leads nowhere is read as a row of no values.
Loader = Callable[[Sequence[Key]], Mapping[Key, ExistingRecord]]
# Whether some row, in any part, may have the folded value in the column. What it denies is not there.
MayMatch = Callable[[MatchOn, str], bool]
# For each of the folded values the rows, in all partitions, that have it in the column.
Finder = Callable[[MatchOn, Sequence[str]], Mapping[str, Sequence[Candidate]]]


_encode = json.JSONEncoder(ensure_ascii=False, default=plain_value).encode
