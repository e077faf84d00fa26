"""The parts of runs in a table, and a row for each that is open: one page of one row says whether a run is complete.

Both rows are written together, and the open row goes with the transaction that ends its part. Whoever creates parts
holds an open part, and each of its transactions shows that it still does. So a run without an open part never gets one
again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from datetime import datetime
from itertools import islice
from typing import Any

from shared.errors import AlreadyExistsError, ChangedMeanwhileError
from shared.imports.plan.safety import Losses
from shared.imports.runs.entries import PART
from shared.imports.runs.model import Part, PartState
from shared.storage.rows import (
    OPERATIONS_PER_TRANSACTION,
    Create,
    Delete,
    Operation,
    Replace,
    Row,
    Save,
    Value,
    pack,
    unpack,
)
from shared.storage.tables import Condition, Table, partition, row_key_prefix, scan
from shared.text import escape_key

_OPEN = "open:"
# Of the rows that tell the progress of a run so many are read.
_ROWS_COUNTED = 10_000
_LONGEST_SENTENCE = 4_000
# Of a part that led to others: their names, for the case that their messages were not all sent, and how many parts
# the run has more.
_CHILDREN = "children:"
# A part is two rows; the three others are of the part that creates it.
_CREATED_TOGETHER = (OPERATIONS_PER_TRANSACTION - 3) // 2


class PartRepository:
    """Parts in the partition of their run."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # Reading

    def find(self, run_id: str, name: str) -> Part | None:
        row = self._table.find(run_id, PART + escape_key(name))
        return None if row is None else _to_part(row)

    def all(self, run_id: str) -> Iterator[Part]:
        """Page after page, by name."""
        return map(_to_part, scan(self._table, [partition(run_id), *row_key_prefix(PART)]))

    def page(
        self, run_id: str, size: int, after: str | None, *, with_reason: bool = False
    ) -> tuple[Sequence[Part], str | None]:
        """At most `size` parts of a run, by name; `after` is an earlier page's second answer.

        `with_reason` asks for those alone that failed, or could not go on. Such a page may be short, even empty.
        """
        told = [Condition("reason", "gt", "")] if with_reason else []
        page = self._table.page([partition(run_id), *row_key_prefix(PART), *told], size=size, after=after)
        return [_to_part(row) for row in page.rows], page.next

    def names(self, run_id: str, after: str, until: str, most: int) -> list[str]:
        """The names of the parts with records, in the order of their keys: those after `after`, up to `until`."""
        begin, end = _between(after, until)
        found: list[str] = []
        for row in scan(self._table, [partition(run_id), begin, end], select=("name", "expanded", "fans_out")):
            if not row.values.get("expanded") and not row.values.get("fans_out"):
                found.append(row.text("name"))
            if len(found) == most:
                break
        return found

    def withdrawing(self, run_id: str, after: str, until: str, most: int) -> list[Part]:
        """The parts that wrote down what they would take away, as `names`."""
        begin, end = _between(after, until)
        where = [partition(run_id), begin, end, Condition("withdraws", "eq", value=True)]
        found = (part for part in map(_to_part, scan(self._table, where)) if not part.settles)
        return list(islice(found, most))

    def any(self, run_id: str) -> bool:
        return self._any(run_id, PART)

    def is_begun(self, run_id: str, name: str) -> bool:
        """Whether a part that fans out is there, or was."""
        keys = (prefix + escape_key(name) for prefix in (PART, _CHILDREN))
        return any(self._table.find(run_id, key, select=()) is not None for key in keys)

    def any_open(self, run_id: str) -> bool:
        return self._any(run_id, _OPEN)

    def _any(self, run_id: str, prefix: str) -> bool:
        # An empty page may have others after it, so that one page is no answer.
        rows = scan(self._table, [partition(run_id), *row_key_prefix(prefix)], select=(), size=1)
        return next(rows, None) is not None

    def progress(self, run_id: str) -> tuple[Mapping[str, int], bool]:
        """How many parts a run has and how many are open, and whether there may be more: without reading the parts."""
        here = partition(run_id)
        led_to = scan(self._table, [here, *row_key_prefix(_CHILDREN)], select=("parts",))
        parts = [int(str(row.values["parts"])) for row in islice(led_to, _ROWS_COUNTED)]
        open_rows = scan(self._table, [here, *row_key_prefix(_OPEN)], select=("fans_out",))
        fans_out = [bool(row.values.get("fans_out")) for row in islice(open_rows, _ROWS_COUNTED)]
        at_least = any(fans_out) or _ROWS_COUNTED in {len(parts), len(fans_out)}
        return {"parts": sum(parts), "parts_open": fans_out.count(False)}, at_least

    def queued_before(self, run_id: str, moment: datetime) -> Iterator[Part]:
        """The open parts whose last message was sent before."""
        earlier = Condition("queued_at", "lt", moment)
        for row in scan(self._table, [partition(run_id), *row_key_prefix(_OPEN), earlier], select=("name",)):
            part = self.find(run_id, row.text("name"))
            if part is not None and part.is_open:
                yield part

    def queued_children(self, run_id: str, name: str) -> list[str]:
        """The names of the parts that a part has led to and nobody has begun."""
        row = self._table.find(run_id, _CHILDREN + escape_key(name))
        children = () if row is None else (self.find(run_id, child) for child in unpack(row, "names"))
        return [child.name for child in children if child is not None and child.state is PartState.QUEUED]

    # Writing

    def begin(self, first: Part) -> None:
        """The first part of a run, unless it is there already."""
        with suppress(AlreadyExistsError):
            self._table.transact(first.run_id, _created([first]))

    def save(self, part: Part) -> Part:
        """A part that stays open. Raises ChangedMeanwhileError: another attempt has it."""
        etag = self._table.transact(part.run_id, [Replace(_part_row(part))])[0]
        return replace(part, etag=etag)

    def queue_again(self, part: Part) -> None:
        """Raises ChangedMeanwhileError."""
        self._table.transact(part.run_id, [Replace(_part_row(part)), Save(_open_row(part))])

    def finish(self, part: Part) -> None:
        """A part that has ended. Raises ChangedMeanwhileError: another attempt has it."""
        row = _part_row(part)
        self._end(part, [Replace(row), _delete_open(row)], ())

    def fan_out(self, parent: Part, children: Sequence[Part]) -> None:
        """The children stand, and the parent has ended. One that fans out goes; one that expanded stays to be seen.

        Raises ChangedMeanwhileError: another attempt has the parent.
        """
        left = list(children)
        while len(left) > _CREATED_TOGETHER:
            etag = self._transact(parent, [Replace(_part_row(parent))], left[:_CREATED_TOGETHER])
            parent, left = replace(parent, etag=etag), left[_CREATED_TOGETHER:]
        row = _part_row(replace(parent, state=PartState.DONE, expanded=True))
        # What led to nothing stays: a run without any part was never begun.
        own = Delete(row.row_key, row.etag) if parent.fans_out and children else Replace(row)
        # Of what leads to others nothing counts, and a part that turned out to does not count any more.
        count = sum(not (child.fans_out or child.settles) for child in children) - (not parent.fans_out)
        led_to = {"parts": count, **pack("names", [child.name for child in children])}
        kept = Save(Row(parent.run_id, _CHILDREN + escape_key(parent.name), led_to))
        self._end(parent, [own, _delete_open(row), kept], left)

    def _end(self, part: Part, own: Sequence[Operation], children: Sequence[Part]) -> None:
        try:
            self._transact(part, own, children)
        except ChangedMeanwhileError:
            # It may be this attempt's own writing, whose answer was lost, that changed the part.
            present = self.find(part.run_id, part.name)
            if present is not None and (present.is_open or present.attempt_id != part.attempt_id):
                raise

    def _transact(self, part: Part, own: Sequence[Operation], children: Sequence[Part]) -> str:
        """The part's own operations, and the rows of its children that are not there yet; the part's ETag."""
        missing = list(children)
        while True:
            try:
                return self._table.transact(part.run_id, [*own, *_created(missing)])[0]
            except (AlreadyExistsError, ChangedMeanwhileError):
                left = [child for child in missing if not self._is_there(child)]
                if len(left) == len(missing):
                    raise
                missing = left

    def _is_there(self, child: Part) -> bool:
        present = self.find(child.run_id, child.name)
        return present is not None and present.settles >= child.settles


def without_empty(columns: Mapping[str, Value | None]) -> dict[str, Value]:
    return {column: value for column, value in columns.items() if value is not None and value != ""}


def cut(sentence: str) -> str:
    """A sentence as a row holds it: it may quote what another service said at length."""
    return sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[:_LONGEST_SENTENCE]}…"


def _created(parts: Sequence[Part]) -> list[Operation]:
    """The rows of new parts, and of those that are opened again."""
    rows = [(_part_row(part), _open_row(part)) for part in parts]
    return [one for row, opened in rows for one in (Replace(row) if row.etag else Create(row), Create(opened))]


def _between(after: str, until: str) -> tuple[Condition, Condition]:
    """The rows of parts whose names come after `after`, up to `until`, in the order of their keys."""
    begin, end = row_key_prefix(PART)
    if after:
        begin = Condition("RowKey", "gt", PART + escape_key(after))
    if until:
        end = Condition("RowKey", "le", PART + escape_key(until))
    return begin, end


def _delete_open(part_row: Row) -> Operation:
    return Delete(_OPEN + part_row.row_key.removeprefix(PART))


def _open_row(part: Part) -> Row:
    values: dict[str, Value] = {"name": part.name, "queued_at": part.queued_at}
    return Row(part.run_id, _OPEN + escape_key(part.name), values | ({"fans_out": True} if part.fans_out else {}))


def _part_row(part: Part) -> Row:
    values = without_empty(
        {
            "name": part.name,
            "state": str(part.state),
            "queued_at": part.queued_at,
            "attempt_id": part.attempt_id,
            "attempts": part.attempts,
            "started_at": part.started_at,
            "heartbeat_at": part.heartbeat_at,
            "finished_at": part.finished_at,
            "expanded": part.expanded,
            "fans_out": part.fans_out,
            "after": part.after,
            "until": part.until,
            "beneath": part.beneath,
            "settles": part.settles or None,
            "reading": part.reading,
            "losses": json.dumps(astuple(part.losses)),
            "left_out": part.left_out,
            "withdraws": part.losses.withdrawals > 0 or None,
            "counts": json.dumps(part.counts),
            "reason": part.reason,
            "message": cut(part.message),
            "remedy": cut(part.remedy),
        }
    )
    return Row(part.run_id, PART + escape_key(part.name), values, part.etag)


def _to_part(row: Row) -> Part:
    values: Any = row.values
    return Part(
        run_id=row.partition_key,
        name=values["name"],
        state=PartState(values["state"]),
        queued_at=values["queued_at"],
        etag=row.etag,
        attempt_id=values.get("attempt_id", ""),
        attempts=values["attempts"],
        started_at=values.get("started_at"),
        heartbeat_at=values.get("heartbeat_at"),
        finished_at=values.get("finished_at"),
        expanded=values["expanded"],
        fans_out=values["fans_out"],
        after=values.get("after", ""),
        until=values.get("until", ""),
        beneath=values.get("beneath", ""),
        settles=values.get("settles", False),
        reading=values.get("reading", ""),
        losses=Losses(*json.loads(values.get("losses", "[]"))),
        left_out=values.get("left_out", ""),
        counts=json.loads(values["counts"]),
        reason=values.get("reason", ""),
        message=values.get("message", ""),
        remedy=values.get("remedy", ""),
    )
