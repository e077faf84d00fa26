"""Records as people use them: shown, added by hand, edited, with their history. What a record is, its feature says."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.records.editor import RecordEditor
from shared.records.model import SITE, Key
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.storage.etags import short_etag
from shared.storage.rows import AnyOf, Condition, Row

# As many changes as an explanation shows; the rest stands in the history.
NEWEST_CHANGES = 50
# A query of the table service takes 15 comparisons, and the caller's own filters are among them.
_MOST_SITES_ASKED = 8


class RecordDesk(ABC):
    """What is the same for every feature's records. Ids are as they stand in addresses."""

    def __init__(self, records: RecordTable, settings: SettingsStore, now: Callable[[], datetime]) -> None:
        self._records = records
        self._settings = settings
        self._editing = RecordEditor(records, now, self._fault_of)

    def get(self, record_id: str) -> tuple[dict[str, Any], str]:
        """The record and the tag of its version; raises NotFoundError."""
        row = self._editing.get(self._key_of(record_id))
        return self._shown(row), short_etag(row.etag)

    def edit(
        self, record_id: str, fields: Mapping[str, Any], release: Sequence[str], *, by: str, if_match: str | None
    ) -> tuple[dict[str, Any], str]:
        """As `RecordEditor.edit`."""
        row = self._editing.edit(self._key_of(record_id), fields, release, by=by, if_match=if_match)
        return self._shown(row), short_etag(row.etag)

    def add(self, name: str, fields: Mapping[str, Any], *, by: str) -> tuple[dict[str, Any], str]:
        """As `RecordEditor.add`."""
        row = self._editing.add(name, fields, by=by)
        return self._shown(row), short_etag(row.etag)

    def history(
        self, record_id: str, size: int = NEWEST_CHANGES, after: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of what changed, newest first, and where to go on."""
        row = self._editing.get(self._key_of(record_id))
        entries, following = self._records.history_page(row, size, after)
        return [
            {"action": one.action, "at": one.at, "by": one.by, "changes": one.changes} for one in entries
        ], following

    def _page(
        self, where: Sequence[Condition | AnyOf], size: int, after: str | None, sites: frozenset[str] | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of records of these sites; None is all, those of no site too."""
        if sites is None:
            page = self._records.page(where, size, after)
            return [self._shown(row) for row in page.rows], page.next
        if not sites:
            return [], None
        if len(sites) <= _MOST_SITES_ASKED:
            where = [*where, AnyOf([Condition(SITE, "eq", site) for site in sorted(sites)])]
        page = self._records.page(where, size, after)
        return [self._shown(row) for row in page.rows if row.text(SITE) in sites], page.next

    @abstractmethod
    def _key_of(self, record_id: str) -> Key:
        """Where the record of that id is kept."""

    @abstractmethod
    def _shown(self, row: Row) -> dict[str, Any]:
        """The record as answers show it."""

    @abstractmethod
    def _fault_of(self, field: str, value: object) -> str | None:
        """What is wrong with a value that a person wants in a field; None when it is well."""
