"""The settings documents as they are read: cached for ten seconds, each version of a document checked once."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from shared.errors import InvalidInputError, MisconfiguredError, NotFoundError
from shared.reasons import Reason
from shared.settings.base import SettingsDocument
from shared.settings.kinds import DocumentKinds
from shared.settings.validation import parse_document
from shared.storage.documents import unpack
from shared.storage.rows import Row, partition, row_key_prefix
from shared.storage.tables import Table, scan

D = TypeVar("D", bound=SettingsDocument)

Find = Callable[[type[SettingsDocument], str], "StoredDocument[SettingsDocument] | None"]
# Another worker's change is seen after this long at the latest; a worker's own at once.
_FRESH_SECONDS = 10.0


@dataclass(frozen=True)
class StoredDocument(Generic[D]):
    """A document as it is stored. `version` counts its changes from 1."""

    name: str
    document: D
    etag: str
    version: int
    changed_at: datetime
    changed_by: str


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
        self._parsed: dict[tuple[type[SettingsDocument], str], StoredDocument[Any]] = {}

    def list(self, cls: type[D], *, fresh: bool = False) -> Sequence[StoredDocument[D]]:
        """All documents of a kind, by name. Raises MisconfiguredError when a stored one no longer passes its check."""
        return [self._read(cls, row) for row in self._rows(cls.kind, fresh).values()]

    def list_with_invalid(
        self, cls: type[D], *, fresh: bool = False
    ) -> tuple[Sequence[StoredDocument[D]], Sequence[tuple[str, datetime]]]:
        """As `list`, and apart from them the names of those that no longer pass their check, with their last change.

        For readers where one bad document must not stop what the others are for.
        """
        found: list[StoredDocument[D]] = []
        unreadable: list[tuple[str, datetime]] = []
        for name, row in self._rows(cls.kind, fresh).items():
            try:
                found.append(self._read(cls, row))
            except MisconfiguredError:
                unreadable.append((name, row.time("changed_at") or self._now()))
        return found, unreadable

    def find(self, cls: type[D], name: str, *, fresh: bool = False) -> StoredDocument[D] | None:
        row = self._rows(cls.kind, fresh).get(name)
        return None if row is None else self._read(cls, row)

    def get(self, cls: type[D], name: str, *, fresh: bool = False) -> StoredDocument[D]:
        stored = self.find(cls, name, fresh=fresh)
        if stored is None:
            raise NotFoundError(Reason.NOT_FOUND, f"There is no document {cls.kind}/{name}.")
        return stored

    def page(self, cls: type[D], size: int, after: str | None) -> tuple[Sequence[StoredDocument[D]], str | None]:
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

    def list_all(self) -> Sequence[tuple[str, StoredDocument[SettingsDocument]]]:
        """All documents of all kinds, in the order in which they can be applied."""
        return [(cls.kind, stored) for cls in self.kinds for stored in self.list(cls, fresh=True)]

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

        def find(cls: type[SettingsDocument], name: str) -> StoredDocument[SettingsDocument] | None:
            if cls.kind not in seen:
                seen[cls.kind] = self._rows(cls.kind, fresh=True)
            row = seen[cls.kind].get(name)
            return None if row is None else self._read(cls, row)

        return find

    def _read(self, cls: type[D], row: Row) -> StoredDocument[D]:
        # Documents are frozen, and a version is always the same text: it is checked once.
        parsed = self._parsed.get((cls, row.row_key))
        if parsed is None or parsed.etag != row.etag or not row.etag:
            parsed = self._parse(cls, row)
            with self._lock:
                self._parsed[cls, row.row_key] = parsed
        return cast("StoredDocument[D]", parsed)

    def _parse(self, cls: type[D], row: Row) -> StoredDocument[D]:
        name = row.row_key[2:]
        try:
            document = parse_document(cls, name, unpack(row, "document"))
        except InvalidInputError as error:
            raise MisconfiguredError(
                Reason.DOCUMENT_INVALID,
                f"The stored settings no longer pass their check. {error.message}",
                remedy="Write the document anew.",
                faults=error.faults,
            ) from error
        changed_at = row.time("changed_at")
        assert changed_at is not None  # noqa: S101 - written with every row
        return StoredDocument(name, document, row.etag, row.number("version"), changed_at, row.text("changed_by"))

    def _forget(self, kind: str) -> None:
        with self._lock:
            self._cached.pop(kind, None)
