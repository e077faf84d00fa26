"""The rows behind `bench.table_service`: partitions in order, filters, transactions, and what is counted of them."""

import itertools
import re
import threading
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_WORD = re.compile(r"'(?:[^']|'')*'|[()]|[^\s()']+")
_DATETIME = re.compile(r"datetime'[^']*'")

Entity = Mapping[str, Any]
# Method, table, partition key, row key, ETag, entity.
Operation = tuple[str, str, str, str, str, Entity | None]


@dataclass
class Partition:
    """The rows of one partition, by row key and in order. Rows are never changed, only replaced."""

    rows: dict[str, Entity] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def copy(self) -> "Partition":
        return Partition(dict(self.rows), list(self.order))

    def put(self, row_key: str, entity: Entity) -> None:
        if row_key not in self.rows:
            if not self.order or row_key > self.order[-1]:
                self.order.append(row_key)
            else:
                insort(self.order, row_key)
        self.rows[row_key] = entity

    def remove(self, row_key: str) -> None:
        del self.rows[row_key]
        del self.order[bisect_left(self.order, row_key)]


class TableStore:
    """All tables of the account `acorn`.

    `counts` holds requests and operations by kind since it was last asked, for each table and, under "", for all.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tables: dict[str, dict[str, Partition]] = {}
        self.kept: dict[str, dict[str, dict[str, Partition]]] = {}
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._etags = itertools.count(1)

    def control(self, what: str, given: Mapping[str, Any]) -> object:
        if what == "keep":
            self.kept[given["name"]] = self._copy(self.tables)
        elif what == "restore":
            self.tables = self._copy(self.kept[given["name"]])
        elif what == "clear":
            self.tables = {}
        elif what == "counts":
            counts = {table: dict(counter) for table, counter in self.counts.items()}
            self.counts.clear()
            return counts
        return None

    def _count(self, table: str, what: str, number: int = 1) -> None:
        for name in ("", table):
            self.counts[name][what] += number

    def find(self, table: str, partition_key: str, row_key: str) -> Entity | None:
        self._count(table, "reads")
        partition = self.tables.get(table, {}).get(partition_key)
        return partition.rows.get(row_key) if partition else None

    def page(self, table: str, query: Mapping[str, str]) -> tuple[list[Entity], tuple[str, str] | None]:
        """Rows, and the keys of the next one."""
        self._count(table, "pages")
        conditions = _Conditions(query.get("$filter", ""))
        select = query["$select"].split(",") if "$select" in query else None
        size = int(query.get("$top", 1000))
        start = (query.get("NextPartitionKey", ""), query.get("NextRowKey", ""))
        found: list[Entity] = []
        partitions = self.tables.get(table, {})
        for partition_key in sorted(partitions) if conditions.partition is None else [conditions.partition]:
            if partition_key not in partitions or partition_key < start[0]:
                continue
            partition = partitions[partition_key]
            first = max(conditions.lowest, start[1] if partition_key == start[0] else "")
            for place in range(bisect_left(partition.order, first), len(partition.order)):
                row_key = partition.order[place]
                if conditions.beyond(row_key):
                    break
                entity = partition.rows[row_key]
                if conditions.hold(entity):
                    if len(found) == size:
                        self._count(table, "rows read", size)
                        return found, (partition_key, row_key)
                    found.append(entity if select is None else _narrowed(entity, select))
        self._count(table, "rows read", len(found))
        return found, None

    def transact(self, operations: list[Operation]) -> tuple[int, list[str]]:
        """All or none; the place of the operation that failed with its status, or the ETags."""
        self._count(operations[0][1], "transactions")
        for number, (method, table, partition_key, row_key, etag, _) in enumerate(operations):
            present = self.tables.get(table, {}).get(partition_key, Partition()).rows.get(row_key)
            if method == "POST" and present is not None:
                return 409, [str(number)]
            if etag and (present is None or etag not in {"*", present["odata.etag"]}):
                return 412 if present else 404, [str(number)]
        etags: list[str] = []
        for method, table, partition_key, row_key, _, entity in operations:
            self._count(table, "rows written")
            partition = self.tables.setdefault(table, {}).setdefault(partition_key, Partition())
            if method == "DELETE":
                partition.remove(row_key)
                etags.append("")
                continue
            etags.append(f"W/\"datetime'2026-01-01T00%3A00%3A00.{next(self._etags):07}Z'\"")
            stays = partition.rows[row_key] if method == "PATCH" else {}
            partition.put(row_key, {**stays, **(entity or {}), "odata.etag": etags[-1]})
        return 202, etags

    @staticmethod
    def _copy(tables: dict[str, dict[str, Partition]]) -> dict[str, dict[str, Partition]]:
        return {name: {key: one.copy() for key, one in partitions.items()} for name, partitions in tables.items()}


class _Conditions:
    """A filter, with what it says of the keys taken out so that a page begins where it must."""

    def __init__(self, text: str) -> None:
        self.partition: str | None = None
        self.lowest = ""
        self._highest: str | None = None
        words = [_literal(word) for word in _WORD.findall(_DATETIME.sub(lambda found: found.group()[8:], text))]
        self._hold = _compiled(words) if words else (lambda _: True)
        for place, word in enumerate(words):
            if words[place + 1 : place + 2] == ["eq"] and word == "PartitionKey":
                self.partition = words[place + 2][1]
            if word == "RowKey" and "or" not in words:
                comparison, value = words[place + 1], words[place + 2][1]
                if comparison in {"ge", "gt", "eq"}:
                    self.lowest = max(self.lowest, value)
                if comparison in {"lt", "le", "eq"}:
                    self._highest = value if self._highest is None else min(self._highest, value)

    def beyond(self, row_key: str) -> bool:
        return self._highest is not None and row_key > self._highest

    def hold(self, entity: Entity) -> bool:
        return self._hold(entity)


def _literal(word: str) -> Any:
    """A value as a pair, a name or operator as it stands."""
    if word.startswith("'"):
        return "value", word[1:-1].replace("''", "'")
    if word in {"true", "false"}:
        return "value", word == "true"
    if re.fullmatch(r"-?\d+L?", word):
        return "value", int(word.rstrip("L"))
    return word


def _compiled(words: list[Any]) -> Callable[[Entity], bool]:
    # The words are this module's own or quoted by repr: nothing of a request is run as it came.
    names = {"eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    parts: list[str] = []
    for word in words:
        if isinstance(word, tuple):
            parts.append(repr(word[1]))
        elif word in {"and", "or", "(", ")"}:
            parts.append(word)
        else:
            parts.append(names.get(word) or f"row.get({word!r}, absent)")
    source = " ".join(parts)
    holds: Callable[[Entity, object], bool] = eval(f"lambda row, absent: {source}")  # noqa: S307 - see above
    return lambda row: bool(holds(row, _ABSENT))


class _Absent:
    """Compares as nothing does."""

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0

    def __lt__(self, other: object) -> bool:
        return False

    __gt__ = __le__ = __ge__ = __lt__


_ABSENT = _Absent()


def _narrowed(entity: Entity, select: list[str]) -> Entity:
    kept = {"odata.etag": entity["odata.etag"]}
    for column in select:
        if column in entity:
            kept[column] = entity[column]
            annotation = f"{column}@odata.type"
            if annotation in entity:
                kept[annotation] = entity[annotation]
    return kept
