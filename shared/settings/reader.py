"""The settings documents as they are read: cached for ten seconds, each version of a document checked once."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from shared.errors import Fault, InvalidInputError, NotFoundError
from shared.reasons import Reason
from shared.settings.base import SettingsDocument
from shared.settings.kinds import DocumentKinds
from shared.settings.stored import AnyStored, StoredDocument, UnreadableDocument
from shared.settings.validation import parse_document
from shared.storage.rows import Row, unpack
from shared.storage.tables import Table, partition, row_key_prefix, scan

D = TypeVar("D", bound=SettingsDocument)

Find = Callable[[type[SettingsDocument], str], AnyStored | None]
# Another worker's change is seen after this long at the latest; a worker's own at once.
_FRESH_SECONDS = 10.0


@dataclass(frozen=True)
class _CachedRows:
    """The rows of a kind as they were read, by the names of their documents."""

    until: float
    rows: dict[str, Row]


class SettingsReader:
    """Reads documents and their history. Another worker's change is seen within ten seconds, with `fresh` at once.

    `clock` gives seconds that never run backwards; without one, `now` is the clock.
    """

    def __init__(
        self,
        table: Table,
        kinds: DocumentKinds,
        now: Callable[[], datetime],
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._table = table
        self.kinds = kinds
        self._now = now
        self._clock = clock or (lambda: now().timestamp())
        self._lock = threading.Lock()
        self._cached: dict[str, _CachedRows] = {}
        self._parsed: dict[tuple[type[SettingsDocument], str], AnyStored] = {}

    def list(self, cls: type[D], *, fresh: bool = False) -> Sequence[StoredDocument[D]]:
        """All documents of a kind that pass their check, by name."""
        return self.list_with_unreadable(cls, fresh=fresh)[0]

    def list_with_unreadable(
        self, cls: type[D], *, fresh: bool = False
    ) -> tuple[Sequence[StoredDocument[D]], Sequence[UnreadableDocument]]:
        """As `list`, and apart from them those that no longer pass their check."""
        readable: list[StoredDocument[D]] = []
        unreadable: list[UnreadableDocument] = []
        for row in self._rows(cls.kind, fresh).values():
            stored = self._read(cls, row)
            if isinstance(stored, UnreadableDocument):
                unreadable.append(stored)
            else:
                readable.append(stored)
        return readable, unreadable

    def find(self, cls: type[D], name: str, *, fresh: bool = False) -> StoredDocument[D] | None:
        """The document, or None. Raises MisconfiguredError when it no longer passes its check."""
        stored = self.find_any(cls, name, fresh=fresh)
        if isinstance(stored, UnreadableDocument):
            raise stored.refusal
        return stored

    def find_any(
        self, cls: type[D], name: str, *, fresh: bool = False
    ) -> StoredDocument[D] | UnreadableDocument | None:
        """The document, whether it passes its check or not, or None."""
        row = self._rows(cls.kind, fresh).get(name)
        return None if row is None else self._read(cls, row)

    def get(self, cls: type[D], name: str, *, fresh: bool = False) -> StoredDocument[D]:
        """As `find`; raises NotFoundError."""
        stored = self.find(cls, name, fresh=fresh)
        if stored is None:
            raise _not_there(cls, name)
        return stored

    def get_any(self, cls: type[D], name: str, *, fresh: bool = False) -> StoredDocument[D] | UnreadableDocument:
        """As `find_any`; raises NotFoundError."""
        stored = self.find_any(cls, name, fresh=fresh)
        if stored is None:
            raise _not_there(cls, name)
        return stored

    def page(
        self, cls: type[D], size: int, after: str | None
    ) -> tuple[Sequence[StoredDocument[D] | UnreadableDocument], str | None]:
        """At most `size` documents of a kind, by name, as they are now; `after` is an earlier page's second answer."""
        page = self._table.page([partition(cls.kind), *row_key_prefix("d:")], size=size, after=after)
        return [self._read(cls, row) for row in page.rows], page.next

    def history(self, cls: type[SettingsDocument], name: str) -> Sequence[Mapping[str, Any]]:
        """What was done with a document, newest first: action, version, changed_at, changed_by, document."""
        entries, following = self.history_page(cls, name, 1000, None)
        found = list(entries)
        while following is not None:
            entries, following = self.history_page(cls, name, 1000, following)
            found += entries
        return found

    def history_page(
        self, cls: type[SettingsDocument], name: str, size: int, after: str | None
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """A page of `history`, and where to go on."""
        where = [partition(cls.kind), *row_key_prefix(f"h:{name}:")]
        page = self._table.page(where, size=size, after=after)
        entries = [
            {
                "action": row.text("action"),
                "version": row.number("version"),
                "changed_at": row.time("changed_at"),
                "changed_by": row.text("changed_by"),
                "document": unpack(row, "document"),
            }
            for row in page.rows
        ]
        return entries, page.next

    def list_all(self) -> Sequence[tuple[str, AnyStored]]:
        """All documents of all kinds, in the order in which they can be applied; also those that are unreadable."""
        return [
            (cls.kind, self._read(cls, row)) for cls in self.kinds for row in self._rows(cls.kind, fresh=True).values()
        ]

    def _rows(self, kind: str, fresh: bool) -> dict[str, Row]:
        seconds = self._clock()
        cached = self._cached.get(kind)
        if not fresh and cached is not None and seconds < cached.until:
            return cached.rows
        rows = {row.row_key[2:]: row for row in scan(self._table, [partition(kind), *row_key_prefix("d:")])}
        with self._lock:
            self._cached[kind] = _CachedRows(seconds + _FRESH_SECONDS, rows)
        return rows

    def snapshot(self) -> Find:
        """`find` over what is there now, each kind read once: a document may name another thousands of times."""
        seen: dict[str, dict[str, Row]] = {}

        def find(cls: type[SettingsDocument], name: str) -> AnyStored | None:
            if cls.kind not in seen:
                seen[cls.kind] = self._rows(cls.kind, fresh=True)
            row = seen[cls.kind].get(name)
            return None if row is None else self._read(cls, row)

        return find

    def _read(self, cls: type[D], row: Row) -> StoredDocument[D] | UnreadableDocument:
        # Documents are frozen, and a version is always the same text: it is checked once.
        parsed = self._parsed.get((cls, row.row_key))
        if parsed is None or parsed.etag != row.etag or not row.etag:
            parsed = self._parse(cls, row)
            with self._lock:
                self._parsed[cls, row.row_key] = parsed
        return parsed

    def _parse(self, cls: type[D], row: Row) -> StoredDocument[D] | UnreadableDocument:
        name, version, by = row.row_key[2:], row.number("version"), row.text("changed_by")
        changed_at = row.time("changed_at") or self._now()
        content: Any = None
        try:
            content = unpack(row, "document")
            return StoredDocument(name, parse_document(cls, name, content), row.etag, version, changed_at, by)
        except InvalidInputError as error:
            faults = error.faults
        except (ValueError, RecursionError):
            faults = (Fault("", "is not JSON"),)
        return UnreadableDocument(cls.kind, name, content, faults, row.etag, version, changed_at, by)

    def _forget(self, kind: str) -> None:
        with self._lock:
            self._cached.pop(kind, None)


def _not_there(cls: type[SettingsDocument], name: str) -> NotFoundError:
    return NotFoundError(Reason.NOT_FOUND, f"There is no document {cls.kind}/{name}.")
