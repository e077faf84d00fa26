"""Records for other programs: CSV that no spreadsheet takes for formulas, and JSON lines. Page by page."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from shared.assets.documents.asset_fields import STANDARD_FIELDS, AssetFieldDocument
from shared.assets.model import asset_id_of
from shared.overview.csv_cells import safe_cell
from shared.records.editor import record_as_json
from shared.records.model import Key
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.rows import Row, size_of_row
from shared.storage.tables import ROWS_PER_PAGE, Condition, Page, partition, row_key_prefix, scan
from shared.tickets.desk.objects import KnownObject
from shared.tickets.domain.model import Ticket
from shared.tickets.store.repository import SCOPES_PARTITION, TicketRepository, ticket_of
from shared.users.desk import user_id_of

WHAT = ("tickets", "objects", "assets", "users")
# What stands in the partitions of scopes, by the beginning of its row keys.
_OF_SCOPES = {"tickets": "ticket:", "objects": "object:"}
# The host sends an answer only when it is whole, and its worker needs five times the size.
LARGEST_ANSWER = 10_000_000
# The host waits 230 s for an answer, and the last rows of a page may have to be tried again.
_SECONDS = 60
_FIRST_ROWS = 100
# Of rows, as the table counts them: what is read at once is small beside what is answered.
_BYTES_AT_ONCE = LARGEST_ANSWER // 4

# Excel takes a CSV file without it for one in the machine's old code page.
_BYTE_ORDER_MARK = "\ufeff"

_TICKET = tuple("id" if name == "ticket_id" else name for name in Ticket.__dataclass_fields__)
_OBJECT = (
    *("id", "vault", "object_type", "object_name", "version", "state", "managed", "created_at", "changed_at"),
    *("not_before", "expires_at", "gone_at", "last_seen_at", "owner", "sites", "teams", "tickets"),
)
_RECORD = (
    "id",
    "partition",
    "source_id",
    "type",
    "site",
    "active",
    "imported_by",
    "created_at",
    "changed_at",
    "deactivated_at",
    "locked_fields",
)
_USER_FIELDS = ("name", "first-name", "last-name", "email", "username", "reference", "locale")


# From rows of objects to the objects; None for a row that is about none.
ObjectsOf = Callable[[Sequence[Row]], Sequence[KnownObject | None]]


@dataclass(frozen=True)
class ExportPage:
    """At most `LARGEST_ANSWER` bytes of an export, and where to go on. All pages in a row are one file."""

    content: bytes
    next: str | None


class Exports:
    """All tickets or objects of all scopes, or all records of all accounts or realms; what is finished, gone or
    inactive too."""

    def __init__(
        self,
        tickets: TicketRepository,
        assets: RecordTable,
        users: RecordTable,
        settings: SettingsStore,
        clock: Callable[[], float],
        objects_of: ObjectsOf = lambda rows: [None] * len(rows),
    ) -> None:
        self._tickets = tickets
        self._objects_of = objects_of
        self._records = {"assets": (assets, asset_id_of), "users": (users, user_id_of)}
        self._settings = settings
        self._clock = clock

    def page(self, what: str, form: str, most: int, after: str | None) -> ExportPage:
        """At most `most` records as `csv` or `jsonl`. Raises InvalidInputError for an `after` of another list."""
        # Where the table reads on, and the last record of there that was answered already.
        place, pk, rk = (None, "", "") if after is None else decode_cursor(after, str | None, str, str)
        columns = self._columns(what)
        lines = [csv_heading(columns)] if form == "csv" and after is None else []
        length, size = sum(map(len, lines)), _FIRST_ROWS
        until = self._clock() + _SECONDS
        while True:
            found = self._rows(what, min(size, most), place)
            for row, record in zip(found.rows, self._records_of(what, found.rows), strict=True):
                if (row.partition_key, row.row_key) <= (pk, rk):
                    continue
                if record is None:
                    continue
                line = csv_line(record, columns) if form == "csv" else _json_line(record)
                if most == 0 or length + len(line) > LARGEST_ANSWER:
                    return ExportPage(b"".join(lines), encode_cursor(place, pk, rk))
                lines.append(line)
                length, most, pk, rk = length + len(line), most - 1, row.partition_key, row.row_key
            place = found.next
            if place is None or most == 0 or self._clock() >= until:
                return ExportPage(b"".join(lines), None if place is None else encode_cursor(place, "", ""))
            if found.rows:
                size = _fitting(found.rows)

    def _columns(self, what: str) -> Sequence[str]:
        """The columns of the CSV: the same for every page, whatever the records have."""
        if what in _OF_SCOPES:
            return _TICKET if what == "tickets" else _OBJECT
        if what == "users":
            return (*_RECORD, *_USER_FIELDS, "other_fields")
        documents = self._settings.list(AssetFieldDocument, fresh=True)
        custom = [f"custom.{one.name}" if one.document.custom else one.name for one in documents]
        return (*_RECORD, *dict.fromkeys([*STANDARD_FIELDS, *custom]), "other_fields")

    def _rows(self, what: str, size: int, after: str | None) -> Page:
        prefix = _OF_SCOPES.get(what)
        return self._records[what][0].page([], size, after) if prefix is None else self._of_scopes(prefix, size, after)

    def _of_scopes(self, prefix: str, size: int, after: str | None) -> Page:
        # One partition after the other: a filter over all of them would read the notes and receipts too.
        scope, token = ("", None) if after is None else decode_cursor(after, str, str | None)
        if token is None:
            later = Condition("RowKey", "gt", scope)
            found = next(scan(self._tickets.table, [partition(SCOPES_PARTITION), later], select=(), size=1), None)
            if found is None:
                return Page(())
            scope = found.row_key
        page = self._tickets.table.page([partition(scope), *row_key_prefix(prefix)], size=size, after=token)
        return Page(page.rows, encode_cursor(scope, page.next))

    def _records_of(self, what: str, rows: Sequence[Row]) -> list[Mapping[str, Any] | None]:
        """None for a row that is no record."""
        if what == "tickets":
            return [_ticket_record(ticket_of(row)) for row in rows]
        if what == "objects":
            return [None if one is None else _object_record(one) for one in self._objects_of(rows)]
        id_of = self._records[what][1]
        return [{"id": id_of(Key(row.partition_key, row.row_key)), **record_as_json(row)} for row in rows]


def _ticket_record(ticket: Ticket) -> Mapping[str, Any]:
    values = asdict(ticket)
    return {"id": values.pop("ticket_id"), **values}


def _object_record(known: KnownObject) -> Mapping[str, Any]:
    values = {
        **asdict(known.shown),
        "id": known.object_id,
        "state": str(known.state),
        "created_at": known.created_at,
        "last_seen_at": known.seen_at,
        "owner": known.owner,
        "sites": known.sites,
        "tickets": [ticket_id for ticket_id, _ in known.shown.tickets],
    }
    return {name: values[name] for name in _OBJECT}


def _fitting(rows: Sequence[Row]) -> int:
    """How many rows like these a page may have."""
    return min(ROWS_PER_PAGE, max(1, _BYTES_AT_ONCE * len(rows) // sum(map(size_of_row, rows))))


def _json_line(record: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(record, ensure_ascii=False, default=_plain)}\n".encode()


def csv_heading(columns: Sequence[str]) -> bytes:
    """The beginning of a file: the byte order mark, and the names of the columns."""
    return _BYTE_ORDER_MARK.encode() + _csv_line(map(safe_cell, columns))


def csv_line(record: Mapping[str, Any], columns: Sequence[str]) -> bytes:
    """A record as RFC 4180 has it. Of its fields, what has no column of its own stands in `other_fields`."""
    fields = record.get("fields")
    if isinstance(fields, Mapping):
        others = {name: value for name, value in fields.items() if name not in columns}
        record = {**record, **fields, "other_fields": others or None}
    return _csv_line(_cell(record.get(column)) for column in columns)


def _csv_line(cells: Iterable[str | int | float]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _cell(value: Any) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return _plain(value)
    if isinstance(value, list | tuple):
        return safe_cell(", ".join(str(one) for one in value))
    if isinstance(value, Mapping):
        return safe_cell(json.dumps(value, ensure_ascii=False, default=_plain))
    return safe_cell(str(value))


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} cannot be exported")
