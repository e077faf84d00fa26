"""A person's hand on a record: values that are theirs until released, and records made by hand."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, ConflictError, Fault
from shared.reasons import Reason
from shared.records.model import ACTIVE, MANUAL_PARTITION, SITE, TYPE, FieldChange, Key, column_of, field_of, fields_of
from shared.records.table import RecordTable, is_alias
from shared.settings.validation import body_invalid
from shared.storage.etags import check_version, short_etag
from shared.storage.rows import CHARACTERS_PER_TEXT, Row, Value, size_of_text
from shared.text import LONE_SURROGATE

# Of an edit, while others write the same record.
_TRIES = 10
# Among the fields to release: every one that is held.
ALL = "*"
# A sentence about what is wrong with a value of a field, or None.
FieldCheck = Callable[[str, object], str | None]
# Other letters sort behind the history rows, where no list and no import looks.
_ID_CHARACTERS = r"!\"$&'()*+,\-.0-9;<=>@A-Z\[\]^_`a-z{|}"
RECORD_ID = f"^[{_ID_CHARACTERS}]([{_ID_CHARACTERS} ]{{0,98}}[{_ID_CHARACTERS}])?$"


class _OvertakenError(ChangedMeanwhileError):
    """Somebody else wrote between the look and the write."""


class RecordEditor:
    """Edits records of one table. `check` says what a feature's fields may hold."""

    def __init__(self, records: RecordTable, now: Callable[[], datetime], check: FieldCheck) -> None:
        self._records = records
        self._now = now
        self._check = check

    def edit(
        self, key: Key, values: Mapping[str, Any], release: Sequence[str], *, by: str, if_match: str | None
    ) -> Row:
        """Set fields, which are this person's from now on, and release others, or ALL: the next import sets them again.

        Raises InvalidInputError with every fault, ChangedMeanwhileError, NotFoundError.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._edit(key, values, release, by, if_match)
            except _OvertakenError:
                # Looked at again: who takes any version need not be told of others, and who does not is told of theirs.
                continue
        return self._edit(key, values, release, by, if_match)

    def _edit(self, key: Key, values: Mapping[str, Any], release: Sequence[str], by: str, if_match: str | None) -> Row:
        row = self.get(key)
        check_version(f"The record {key.row}", if_match, short_etag(row.etag))
        locks = set(row.text("locks").split())
        if ALL in release:
            release = [field_of(column) or column for column in sorted(locks)]
        faults = self._faults(values)
        faults += [
            Fault(f"release.{index}", f"{field} is not held by a person")
            for index, field in enumerate(release)
            if column_of(field) not in locks
        ]
        _raise(faults)
        assign: dict[str, Value | None] = {}
        changes: list[FieldChange] = []
        for field, value in values.items():
            column = column_of(field)
            before = row.values.get(column)
            if before != value:
                assign[column] = value
                changes.append(FieldChange(column, before, value))
        if values.get(ACTIVE) is False:
            assign["deactivated_at"] = self._now()
        held = (locks | {column_of(field) for field in values}) - {column_of(field) for field in release}
        if held == locks and not changes:
            return row
        assign["locks"] = " ".join(sorted(held)) or None
        if release:
            # The next import must look at the row again, though the source did not change.
            assign["hash"] = ""
        changes += [FieldChange(f"lock:{column}", None, by) for column in sorted(held - locks)]
        changes += [FieldChange(f"lock:{column}", by, None) for column in sorted(locks - held)]
        # Not read again: what is there by now may be somebody else's, and its ETag must not stand for this change.
        try:
            return self._records.save_edit(row, assign, changes, by, self._now())
        except ChangedMeanwhileError as error:
            raise _OvertakenError(f"The record {key.row} was written meanwhile.") from error

    def add(self, record_id: str, values: Mapping[str, Any], *, by: str) -> Row:
        """A record made by hand: its values are that person's, as with `edit`. Raises ConflictError when the id is
        taken."""
        faults = self._faults(values)
        if not re.fullmatch(RECORD_ID.removesuffix("$"), record_id):
            wanted = "1 to 100 ASCII characters without / \\ # ? % ~ and colons, with no blank at its ends"
            faults.insert(0, Fault("id", f"must be {wanted}"))
        _raise(faults)
        columns: dict[str, Value | None] = {column_of(field): value for field, value in values.items()}
        changes = [FieldChange(column, None, value) for column, value in columns.items()]
        columns["locks"] = " ".join(sorted(column for column, value in columns.items() if value is not None)) or None
        now = self._now()
        row = Row(MANUAL_PARTITION, record_id, {"active": True, "source_id": record_id, "created_at": now})
        try:
            return self._records.save_edit(row, columns, changes, by, now)
        except AlreadyExistsError as error:
            raise ConflictError(
                Reason.ALREADY_EXISTS,
                f"There is a record {record_id} already.",
                remedy="Choose another id, or change the record that is there.",
            ) from error

    def get(self, key: Key) -> Row:
        """The record's row; an alias leads to the record that it stands for."""
        row = self._records.get(key)
        return self._records.get(Key.parse(row.text("alias_of"))) if is_alias(row) else row

    def _faults(self, values: Mapping[str, Any]) -> list[Fault]:
        faults: list[Fault] = []
        for field, value in values.items():
            wrong = _not_storable(value)
            if field == ACTIVE and not isinstance(value, bool):
                wrong = "must be true or false"
            elif field in {TYPE, SITE} and not isinstance(value, str):
                wrong = "must be the name of a document"
            wrong = wrong or self._check(field, value)
            if wrong is not None:
                faults.append(Fault(f"fields.{field}", wrong))
        return faults


def record_as_json(row: Row) -> dict[str, Any]:
    """A record as the API answers it, without what only the import needs."""
    fields = fields_of(row.values)
    active = bool(row.values.get(ACTIVE, True))
    return {
        "partition": row.partition_key,
        "source_id": row.text("source_id"),
        "name": fields.get("name"),
        "fields": fields,
        "type": row.text(TYPE) or None,
        "site": row.text(SITE) or None,
        "active": active,
        "status": "active" if active else "inactive",
        "locked_fields": [field_of(column) or column for column in row.text("locks").split()],
        "claimed_by": row.text("claimed_by") or None,
        "imported_by": row.text("document") or None,
        "created_at": row.time("created_at"),
        "changed_at": row.time("changed_at"),
        "deactivated_at": row.time("deactivated_at"),
        "gone_since": row.time("gone_since"),
    }


def _not_storable(value: Any) -> str | None:
    if value is not None and not isinstance(value, str | int | float | bool):
        return "must be a text, a number, true, false or null"
    if isinstance(value, str) and (size_of_text(value) > CHARACTERS_PER_TEXT * 2 or LONE_SURROGATE.search(value)):
        return "is too long, or holds an unpaired surrogate (invalid Unicode)"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "is over 64 bits"
    if isinstance(value, float) and not -1e308 < value < 1e308:
        return "is no number"
    return None


def _raise(faults: Sequence[Fault]) -> None:
    if faults:
        raise body_invalid(faults)
