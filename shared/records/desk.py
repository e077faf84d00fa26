"""Records as people use them: shown, added by hand, edited, with their history. What a record is, its feature says."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from shared.errors import Fault, InvalidInputError
from shared.index.terms import search_words
from shared.reasons import Reason
from shared.records.editor import RecordEditor
from shared.records.lists import RecordLists, RecordQuery
from shared.records.look_ups import meanings, stored_as
from shared.records.model import ACTIVE, CUSTOM, SITE, TYPE, Key, column_of
from shared.records.table import RecordTable
from shared.settings.base import SettingsDocument
from shared.settings.store import SettingsStore
from shared.storage.etags import short_etag
from shared.storage.rows import Row, unpack
from shared.storage.tables import AnyOf, Condition, partition

D = TypeVar("D", bound=SettingsDocument)

# As many changes as an explanation shows; the rest stands in the history.
NEWEST_CHANGES = 50
NO_SUCH_FIELD = "there is no such field"
# Of parameters that take several values, with commas between them.
_COLUMNS = {TYPE: TYPE, SITE: SITE, "tenant": "document", "owner": column_of("owner")}
# Of documents, which are written in one way.
_NAMES = frozenset({TYPE, SITE, "document"})
# A query of the table service takes 15 comparisons, and there are others beside them.
_MOST_VALUES_ASKED = 8


@dataclass(frozen=True)
class RecordFilters:
    """What a list is asked for: texts by parameter (several values with commas between them), and the others."""

    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    q: str | None = None
    active: bool | None = None
    updated_after: datetime | None = None

    @property
    def sites(self) -> frozenset[str] | None:
        """The sites that are asked for; None for all."""
        return frozenset(text.strip().lower() for text in self.texts[SITE].split(",")) if SITE in self.texts else None

    def accepted(self) -> Iterator[tuple[str, frozenset[str]]]:
        """The accepted texts by column."""
        for name, column in _COLUMNS.items():
            if name in self.texts:
                asked = [text.strip() for text in self.texts[name].split(",")]
                # Names of documents have no capitals.
                yield column, frozenset(asked if name == "owner" else (text.lower() for text in asked))
        if "email" in self.texts:
            yield column_of("email"), frozenset(meanings(self.texts["email"]))
        if "field" in self.texts:
            yield column_of(self.texts["field"]), frozenset(meanings(self.texts.get("value", "")))


class RecordDesk(ABC, Generic[D]):
    """What is the same for every feature's records. Ids are as they stand in addresses."""

    # The documents that import these records, and what answers call one.
    imported_by: type[D]
    importer_word: str

    def __init__(
        self,
        records: RecordTable,
        lists: RecordLists,
        settings: SettingsStore,
        now: Callable[[], datetime],
        reader: Callable[[str, str], str] = lambda _partition, _name: "",
    ) -> None:
        """`reader` says which document reads a partition now: asked when the one that imported a record is gone."""
        self._records = records
        self._lists = lists
        self._settings = settings
        self._reader = reader
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

    def explain(self, record_id: str) -> dict[str, Any]:
        """The record as its source gave it last, each value and where it came from, what gave type and site, and the
        history.

        The values and reasons are those of the importing document as it is now.
        """
        row = self._editing.get(self._key_of(record_id))
        source, importer, locks = self._source_of(row), self._importer(row), row.text("locks").split()
        stored = self._settings.find(self.imported_by, importer) if importer and source is not None else None
        values, reasons = ((), ()) if stored is None or source is None else self._explained(stored.document, source)
        return {
            **self._shown(row),
            self.importer_word: importer,
            "source": source,
            "source_read_at": row.time("source_read_at"),
            "values": [
                {
                    **one,
                    "stored": row.values.get(column_of(one["field"])),
                    "locked_fields": column_of(one["field"]) in locks,
                }
                for one in values
            ],
            "explanation": [reason for reason in reasons if reason],
            "history": self.history(record_id)[0],
        }

    def page(
        self, filters: RecordFilters, *, size: int, after: str | None, sites: frozenset[str] | None = None
    ) -> tuple[list[dict[str, Any]], str | None, datetime]:
        """Records of these sites (None is all, those of no site too), where to go on, and as of when."""
        page = self._lists.page(self._query(filters, size, after, sites))
        return [self._shown(row) for row in page.rows], page.next, page.as_of

    def _query(self, filters: RecordFilters, size: int, after: str | None, sites: frozenset[str] | None) -> RecordQuery:
        begin, end = self._partitions(filters.texts)
        where: list[Condition | AnyOf] = []
        if end:
            where += [Condition("PartitionKey", "ge", begin), Condition("PartitionKey", "lt", end)]
        elif begin:
            where.append(partition(begin))
        equal = {column: accepted for column, accepted in filters.accepted() if column != SITE}
        written: list[AnyOf] = []
        for column, accepted in equal.items():
            values = sorted(accepted) if column in _NAMES else stored_as(accepted)
            if len(values) <= _MOST_VALUES_ASKED:
                written.append(AnyOf([Condition(column, "eq", value) for value in values]))
        if filters.active is not None:
            where.append(Condition(ACTIVE, "eq", filters.active))
        if filters.updated_after is not None:
            where.append(Condition("changed_at", "gt", filters.updated_after))
        asked = filters.sites
        if asked is not None:
            sites = asked if sites is None else sites & asked
        self._check_field(filters.texts)
        words = search_words(filters.q) if filters.q else None
        return RecordQuery(
            tuple(where),
            (begin, end),
            words,
            equal,
            filters.active,
            sites,
            filters.updated_after,
            size,
            after,
            written=tuple(written),
        )

    def _check_field(self, texts: Mapping[str, str]) -> None:
        """Raise InvalidInputError for a field that there is not: nothing could be found in it, whatever was asked."""
        field = texts.get("field", SITE)
        if field not in {SITE, TYPE} and self._fault_of(field, texts.get("value")) == NO_SUCH_FIELD:
            raise InvalidInputError(
                Reason.PARAMETER_INVALID,
                f"field: {NO_SUCH_FIELD} as {field}.",
                remedy=f"Custom fields are written {CUSTOM}<name>.",
                faults=[Fault("field", NO_SUCH_FIELD)],
            )

    def _importer(self, row: Row) -> str | None:
        """The document that imports the record now; None when none does, or nobody imported it."""
        name = row.text("document")
        if not name or self._settings.find_any(self.imported_by, name) is not None:
            return name or None
        partition_key = Key.parse(row.text("claimed_by")).partition or row.partition_key
        return self._reader(partition_key, name) or None

    def _source_of(self, row: Row) -> dict[str, Any] | None:
        """The record as its source gave it last; None when it is not kept, or no source has it."""
        return unpack(row, "source")  # type: ignore[no-any-return]

    @abstractmethod
    def _explained(self, document: D, source: dict[str, Any]) -> tuple[Iterable[Mapping[str, Any]], Sequence[str]]:
        """What the document makes of the record: each value with its `field`, and why it is so."""

    @abstractmethod
    def _partitions(self, texts: Mapping[str, str]) -> tuple[str, str]:
        """The partitions that the filters of this feature lead to: from one up to another, or one alone (and an empty
        text), or all (two empty texts)."""

    @abstractmethod
    def _key_of(self, record_id: str) -> Key:
        """Where the record of that id is kept."""

    @abstractmethod
    def _shown(self, row: Row) -> dict[str, Any]:
        """The record as answers show it."""

    @abstractmethod
    def _fault_of(self, field: str, value: object) -> str | None:
        """What is wrong with a value that a person wants in a field; None when it is well."""
