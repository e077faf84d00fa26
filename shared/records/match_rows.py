"""Where records stand by the values that matching asks for: exact, over all partitions, and never late.

Such a row is saved before its record. So no record is ever stored that matching does not find, however new it is: but
for one by its name, which an import has written within the last minute.
A row whose record never came, or has another value by now, does no harm: what is found is read before it is believed.
Housekeeping takes it away.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

from shared.errors import MisconfiguredError
from shared.index.index import Index, IndexKey, Stream
from shared.reasons import Reason
from shared.records.comparison import MATCHED_FIELDS, MOST_ALIKE, comparable
from shared.records.model import Key, Values, column_of, field_of
from shared.storage.rows import Row, Value

MATCHED = {kind: frozenset(map(column_of, fields)) for kind, fields in MATCHED_FIELDS.items()}
# Names change often, and tell little: that of an imported record follows like all else that the index shows.
FOLLOWING = frozenset({column_of("name")})
MATCH = "match"
_DIGITS = 24


class MatchRows:
    """The rows of the index by which records of one kind are matched; `kind` is the name of their table."""

    def __init__(self, index: Index, kind: str) -> None:
        self._index = index
        self._kind = kind

    @property
    def columns(self) -> frozenset[str]:
        """The columns that records of this kind are matched by."""
        return MATCHED.get(self._kind, frozenset())

    def announce(self, changes: Iterable[tuple[Key, Values]], now: datetime) -> None:
        """Save the rows of values that are about to be written into these records."""
        rows: dict[IndexKey, Mapping[str, Value]] = {}
        for key, assigned in changes:
            columns: dict[str, Value] = {"partition": key.partition, "row": key.row, "at": now}
            rows.update(dict.fromkeys(match_keys(self._kind, key, assigned), columns))
        self._index.replace(rows, ())

    def find(self, column: str, values: Collection[str]) -> dict[str, list[Key]]:
        """The records that may have one of the values, by the value without its case; of each at most one more than
        `MOST_ALIKE`. Raises MisconfiguredError for a column that the index has not."""
        if column not in self.columns:
            raise MisconfiguredError(
                Reason.DOCUMENT_INVALID,
                f"{self._kind.capitalize()} cannot be matched by {field_of(column)}.",
                remedy=f"Match them by one of {', '.join(MATCHED_FIELDS.get(self._kind, ()))}.",
            )
        places: dict[str, dict[str, str]] = {}
        for value in {comparable(one, ignore_case=True) for one in values}:
            partition_key, digest = _place(self._kind, column, value)
            places.setdefault(partition_key, {})[digest] = value
        found: dict[str, list[Key]] = {}
        for partition_key, by_digest in sorted(places.items()):
            for digest, rows in self._index.beginning_with(partition_key, by_digest, MOST_ALIKE + 1).items():
                found[by_digest[digest]] = [Key(row.text("partition"), row.text("row")) for row in rows]
        return found


def stream_of_value(kind: str, column: str, value: str) -> Stream:
    """Where the records stand that may have the value in a column of MATCHED."""
    partition_key, digest = _place(kind, column, comparable(value, ignore_case=True))
    return Stream(partition_key, f"{digest}|", f"{digest}~")


def match_keys(kind: str, key: Key, values: Mapping[str, object]) -> Iterator[IndexKey]:
    """Where a record stands that has these values."""
    for column in sorted(MATCHED.get(kind, frozenset()) & values.keys()):
        value = comparable(values[column], ignore_case=True) if values[column] is not None else ""
        if value:
            partition_key, digest = _place(kind, column, value)
            yield IndexKey(partition_key, f"{digest}|{key.text}")


def match_rows(kind: str, row: Row, only: Collection[str] | None = None) -> dict[IndexKey, Mapping[str, Value]]:
    """The rows by which a record is matched, or those of some columns, but for the moment at which each was saved; none
    of an alias."""
    if row.values.get("alias_of"):
        return {}
    key = Key(row.partition_key, row.row_key)
    columns: dict[str, Value] = {"partition": key.partition, "row": key.row}
    values = row.values if only is None else {column: row.values[column] for column in only if column in row.values}
    return dict.fromkeys(match_keys(kind, key, values), columns)


def _place(kind: str, column: str, value: str) -> tuple[str, str]:
    """The partition, one of sixteen a column, and how the row keys begin."""
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{kind}:{MATCH}:{column}:{digest[0]}", digest
