"""A record's history: its newest lines in the record's own row, what no longer fits there in rows of its own behind it.

So a change is one row to write, and a hundred changes are one transaction. A new line stands in a column of its own
(`change_1`, `change_2`, …, as many as `changes` says), so that nothing of the row needs to be known to add one; when
these are used up, they are gathered in `history`. The line of a record's making names no values while those after it
say what was there before: what it was made with follows from them.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.records.model import FieldChange
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.rows import Create, Row, Value, pack, unpack
from shared.storage.tables import ROWS_PER_PAGE, Table, partition, row_key_prefix
from shared.text import LONE_SURROGATE, descending, microseconds

HISTORY = "~h:"
COLUMN = "history"
# How many lines stand in columns of their own, and the columns.
COUNT = "changes"
_LINE = "change_"
_MOST_APART = 16
_LONGEST_APART = 4_000
# What a row carries at most; beyond it, the older half moves out. A record, its alias and these fit in a transaction.
_LINES = 40
_CHARACTERS = 8_000
# A row takes 1 MiB, two bytes a character.
_LARGEST_LINE = 400_000
# Characters of a text in what is too large to be kept whole.
_CUT_AT = 500
# Columns that the machinery keeps beside the values of the record.
_MACHINERY = frozenset(
    {
        COLUMN,
        COUNT,
        "active",
        "alias_of",
        "claimed_by",
        "changed_at",
        "created_at",
        "deactivated_at",
        "document",
        "gone_since",
        "hash",
        "last_action",
        "last_run",
        "locks",
        "source_id",
        "source_read_at",
    }
)
# What is told as a change beside values: of these columns, and of what a person holds. All other names are fields,
# whatever they are called.
_TOLD_OF_MACHINERY = frozenset({"active", "claimed_by"})
_LOCK = "lock:"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class HistoryEntry:
    """One change of a record: what, from, to, when, by which run or person."""

    action: str
    changes: Sequence[Mapping[str, Any]]
    at: datetime
    by: str


def beginning(action: str, by: str, now: datetime) -> str:
    """The history of a row that is new and has no other values than those it begins with."""
    number = microseconds(now)
    return _text(number, [{"n": number, "action": action, "at": now.astimezone(UTC).isoformat(), "by": by}])


def line_of(action: str, changes: Sequence[FieldChange], by: str, now: datetime) -> str:
    """A change as it is kept."""
    at = now.astimezone(UTC).isoformat()
    told = [change.as_json() for change in changes]
    return _encode({"n": microseconds(now), "action": action, "at": at, "by": by, "changes": told})


def fits(values: Mapping[str, Value], line: str) -> bool:
    """Whether a line can be added of whose row no more than COUNT is known."""
    return _count(values) < _MOST_APART and len(line) <= _LONGEST_APART


def added(row: Row, line: str, *, gather: bool = False) -> tuple[dict[str, Value | None], list[Create]]:
    """The columns with one line more than `row` has, and the rows that older lines move to.

    The row must be whole unless the line fits. `gather` takes the least room, whether it fits or not.
    """
    count = _count(row.values)
    if fits(row.values, line) and not gather:
        return {f"{_LINE}{count + 1}": line, COUNT: count + 1}, []
    newest, lines = _read(row, line)
    apart: dict[str, Value | None] = {f"{_LINE}{number}": None for number in range(1, count + 1)}
    gathered = {**apart, COUNT: None}
    text = _text(newest, lines)
    if len(lines) <= _LINES and len(text) <= _CHARACTERS:
        return {**gathered, COLUMN: text}, []
    kept = lines[: _LINES // 2]
    while len(text := _text(newest, kept)) > _CHARACTERS // 2:
        kept.pop()
    return {**gathered, COLUMN: text}, [Create(_moved(row, line)) for line in lines[len(kept) :]]


def entries_of(table: Table, row: Row) -> Iterator[HistoryEntry]:
    """All changes of a record, newest first."""
    after: str | None = None
    while True:
        entries, after = page_of(table, row, ROWS_PER_PAGE, after)
        yield from entries
        if after is None:
            return


def page_of(table: Table, row: Row, size: int, after: str | None) -> tuple[list[HistoryEntry], str | None]:
    """A page of a record's changes, newest first, and where to go on; it may be short. Raises InvalidInputError."""
    # Below the line of that number, and of the rows where the table says.
    below, rows_after = (None, None) if after is None else decode_cursor(after, int, str | None)
    entries: list[HistoryEntry] = []
    for line in _read(row)[1]:
        if below is not None and line["n"] >= below:
            continue
        if len(entries) == size:
            return entries, encode_cursor(below, None)
        below = line["n"]
        at = datetime.fromisoformat(line["at"])
        entries.append(HistoryEntry(line["action"], line["changes"], at, line["by"]))
    if len(entries) == size and below is not None:
        return entries, encode_cursor(below, None)
    where = [partition(row.partition_key), *row_key_prefix(f"{HISTORY}{row.row_key}:")]
    page = table.page(where, size=size - len(entries), after=rows_after)
    for found in page.rows:
        at_time = found.time("at")
        if at_time is None:
            continue
        number = found.number("n")
        if below is not None and number >= below:
            # It moved out while somebody was reading: it has been shown already.
            continue
        changes = unpack(found, "changes", [])
        entries.append(HistoryEntry(found.text("action"), changes, at_time, found.text("by")))
        below = number
    if page.next is None:
        return entries, None
    return entries, encode_cursor(below if below is not None else 10**18, page.next)


def _count(values: Mapping[str, Value]) -> int:
    """How many lines stand in columns of their own."""
    count = values.get(COUNT, 0)
    return count if isinstance(count, int) else 0


def _text(newest: int, lines: Sequence[Mapping[str, Any]]) -> str:
    return _encode({"newest": newest, "lines": lines})


def _read(row: Row, *further: str) -> tuple[int, list[dict[str, Any]]]:
    """The number of the newest line, wherever it stands, and the lines in a row, newest first, each whole. `further`
    are lines that are not in it yet, though the values of the row are those of before them."""
    newest = 0
    lines: list[dict[str, Any]] = []
    if COLUMN in row.values:
        kept = json.loads(row.text(COLUMN))
        newest, lines = kept["newest"], kept["lines"]
    for text in (row.text(f"{_LINE}{number}") for number in range(1, _count(row.values) + 1)):
        newest = _numbered(json.loads(text), newest, lines)
    if lines and "changes" not in lines[-1]:
        lines[-1]["changes"] = _fitting(_begun(row, lines[:-1]))
    for text in further:
        newest = _numbered(json.loads(text), newest, lines)
    return newest, lines


def _numbered(line: dict[str, Any], newest: int, lines: list[dict[str, Any]]) -> int:
    # Numbers rise with time, and where two clocks disagree or stand still they rise all the same.
    line["n"] = max(line["n"], newest + 1)
    lines.insert(0, line)
    return int(line["n"])


def _begun(row: Row, later: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """What a record began with: the values of its row, with all that changed `later` (newest first) taken back."""
    begun = [FieldChange(column, None, value).as_json() for column, value in row.values.items() if _is_value(column)]
    fields = {change["field"]: change["after"] for change in begun}
    for line in later:
        for change in line["changes"]:
            name = change["field"]
            if name in _TOLD_OF_MACHINERY or name.startswith(_LOCK):
                continue
            if change["before"] is None:
                fields.pop(name, None)
            else:
                fields[name] = change["before"]
    return [{"field": name, "before": None, "after": fields[name]} for name in sorted(fields, key=str)]


def is_history(column: str) -> bool:
    """Whether a row's column holds its history."""
    return column in {COLUMN, COUNT} or column.startswith(_LINE)


def _is_value(column: str) -> bool:
    return column not in _MACHINERY and column != "source" and not column.startswith(("source_", _LINE))


def _moved(record: Row, line: Mapping[str, Any]) -> Row:
    at = datetime.fromisoformat(line["at"])
    values: dict[str, Value] = {
        **pack("changes", _fitting(line["changes"])),
        "action": line["action"],
        "at": at,
        "by": line["by"],
        "n": line["n"],
    }
    key = f"{HISTORY}{record.row_key}:{descending(line['n'])}:{secrets.token_hex(3)}"
    return Row(record.partition_key, key, values)


def _fitting(changes: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The changes, or their beginnings: as JSON they can be larger than the row that they were made in."""
    return changes if len(_encode(changes)) <= _LARGEST_LINE else truncate_for_storage(changes)


def truncate_for_storage(told: Any) -> Any:
    """JSON that fits into a row whatever is in it: long texts are cut, unpaired surrogates marked."""
    if isinstance(told, str):
        text = LONE_SURROGATE.sub("\ufffd", told)
        return text if len(text) <= _CUT_AT else f"{text[:_CUT_AT]}…"
    if isinstance(told, Mapping):
        return {name: truncate_for_storage(value) for name, value in told.items()}
    if isinstance(told, Sequence):
        return [truncate_for_storage(value) for value in told]
    return told
