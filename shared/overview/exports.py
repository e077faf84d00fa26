"""Rows for other programs: CSV that no spreadsheet takes for formulas, and JSON lines. Page by page."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from shared.assets.documents.asset_fields import STANDARD_FIELDS, AssetFieldDocument
from shared.overview.csv_cells import safe_cell
from shared.records.editor import record_as_json
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.rows import partition, row_key_prefix
from shared.tickets.domain.model import Ticket
from shared.tickets.store.repository import TicketRepository, ticket_of

WHAT = ("tickets", "assets", "users")

# Excel takes a CSV file without it for one in the machine's old code page.
_BYTE_ORDER_MARK = "\ufeff"

Records = Sequence[Mapping[str, Any]]

_TICKET = tuple("id" if name == "ticket_id" else name for name in Ticket.__dataclass_fields__)
_RECORD = (
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


class Exports:
    """Pages of everything: of all scopes of tickets, accounts and realms, finished and inactive ones too."""

    def __init__(
        self, tickets: TicketRepository, assets: RecordTable, users: RecordTable, settings: SettingsStore
    ) -> None:
        self._tickets = tickets
        self._records = {"assets": assets, "users": users}
        self._settings = settings

    def columns(self, what: str) -> Sequence[str]:
        """The columns of the CSV: the same for every page, whatever the rows have."""
        if what == "tickets":
            return _TICKET
        if what == "users":
            return (*_RECORD, *_USER_FIELDS, "other_fields")
        documents = self._settings.list(AssetFieldDocument, fresh=True)
        custom = [f"custom.{one.name}" if one.document.custom else one.name for one in documents]
        return (*_RECORD, *dict.fromkeys([*STANDARD_FIELDS, *custom]), "other_fields")

    def page(self, what: str, size: int, after: str | None) -> tuple[Records, str | None]:
        """At most `size` records, and where to go on. Raises InvalidInputError for an `after` of another list."""
        if what == "tickets":
            return self._ticket_page(size, after)
        page = self._records[what].page([], size, after)
        return [record_as_json(row) for row in page.rows], page.next

    def _ticket_page(self, size: int, after: str | None) -> tuple[Records, str | None]:
        # One partition after the other: a filter over all of them would read the notes and receipts too.
        scopes = sorted(self._tickets.scopes())
        begun, token = ("", None) if after is None else decode_cursor(after, str, str | None)
        left = [scope for scope in scopes if scope >= begun]
        for index, scope in enumerate(left):
            page = self._tickets.table.page(
                [partition(scope), *row_key_prefix("ticket:")], size=size, after=token if scope == begun else None
            )
            following = encode_cursor(scope, page.next) if page.next else None
            if following is None and index + 1 < len(left):
                following = encode_cursor(left[index + 1], None)
            if page.rows or page.next:
                return [_ticket(ticket_of(row)) for row in page.rows], following
        return [], None


def flatten(record: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """The record with its fields as columns; what has no column of its own stands in `other_fields`."""
    fields = record.get("fields")
    if not isinstance(fields, Mapping):
        return dict(record)
    others = {name: value for name, value in fields.items() if name not in columns}
    return {
        **record,
        **{name: value for name, value in fields.items() if name in columns},
        "other_fields": others or None,
    }


def _ticket(ticket: Ticket) -> dict[str, Any]:
    values = asdict(ticket)
    return {"id": values.pop("ticket_id"), **values}


def as_csv(records: Records, columns: Sequence[str], *, first: bool) -> str:
    """The records as CSV (RFC 4180). The first page has the byte order mark and the names of the columns."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if first:
        text.write(_BYTE_ORDER_MARK)
        writer.writerow([safe_cell(column) for column in columns])
    for record in records:
        writer.writerow([_cell(record.get(column)) for column in columns])
    return text.getvalue()


def as_json_lines(records: Iterable[Mapping[str, Any]]) -> str:
    """One JSON object a line."""
    return "".join(f"{json.dumps(record, ensure_ascii=False, default=_plain)}\n" for record in records)


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
