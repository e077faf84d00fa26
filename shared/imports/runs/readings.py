"""Which document reads which partition of records, and what of it nobody reads any more: kept where it changes.

The state of a partition stands beside its records. The table of runs has the lists: of each document the parts that
have active records, and over all documents what an operator should look at.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.errors import ChangedMeanwhileError
from shared.storage.rows import Delete, Row, Save, Value
from shared.storage.tables import Condition, Table, partition, row_key_prefix, scan
from shared.text import escape_key

# Behind the records of a partition, and behind their history.
READING = "~read"
_WALKS = "read"
_TOLD = "unread"


@dataclass(frozen=True)
class Finding:
    """What somebody should look at: why, in a sentence, and what to do. Empty when there is nothing."""

    reason: str = ""
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Reading:
    """How a partition of records was read last: by which document, as which part.

    `active` says that it has active records; `columns` are those that imports have filled.
    """

    kind: str
    document: str
    part: str
    active: bool
    columns: frozenset[str]
    finding: Finding = field(default_factory=Finding)


@dataclass(frozen=True)
class Walk:
    """When a document's list was last compared with what it reads now: of which `version` of it, whether the list is
    short, and whether there was something that nobody reads."""

    at: datetime
    version: str
    short: bool
    found: bool


@dataclass(frozen=True)
class Told:
    """A finding with the part that it is about."""

    kind: str
    document: str
    part: str
    finding: Finding


class Readings:
    """What is known of readings. Everything may be written twice, and by two workers at once."""

    def __init__(self, runs: Table) -> None:
        self._runs = runs

    # Of a partition of records

    def save(
        self, records: Table, partition_key: str, before: Reading | None, after: Reading, *, again: bool = False
    ) -> None:
        """What changed is written; all of it `again`, after an attempt that may have been cut short.

        What is to be found stands in the lists before the state says so, and is taken off them afterwards.
        """
        if (after == before and not again) or (before is None and not after.active and not after.finding.reason):
            return
        listed = Row(
            _listed(after.kind, after.document),
            escape_key(after.part),
            {"part": after.part, "partition": partition_key},
        )
        about: dict[str, Value] = {"kind": after.kind, "document": after.document, "part": after.part}
        told = Row(_TOLD, _place(after), {**about, **_columns_of(after.finding)})
        if after.active:
            self._save(listed)
        if after.finding.reason:
            self._save(told)
        if before is not None and _place(before) != _place(after):
            # Another document reads it now, or this one by another name.
            self._drop(_listed(before.kind, before.document), escape_key(before.part))
            self._drop(_TOLD, _place(before))
        columns = " ".join(sorted(after.columns))
        state = {**about, "active": after.active, "columns": columns, **_columns_of(after.finding)}
        records.transact(partition_key, [Save(Row(partition_key, READING, state))])
        # The list of the document last: while it has the part, a repetition comes here again.
        if before is not None and not after.finding.reason:
            self._drop(*_key_of(told))
        if before is not None and not after.active:
            self._drop(*_key_of(listed))

    # Of a document

    def parts(self, kind: str, document: str, size: int, after: str = "") -> tuple[list[tuple[str, str]], bool]:
        """Parts with active records and their partitions, by key, those after the part `after`; whether there are
        more."""
        where = [partition(_listed(kind, document))]
        if after:
            where.append(Condition("RowKey", "gt", escape_key(after)))
        found: list[tuple[str, str]] = []
        for row in scan(self._runs, where, size=size + 1):
            if len(found) == size:
                return found, True
            found.append((row.text("part"), row.text("partition")))
        return found, False

    def partition_of(self, kind: str, document: str, part: str) -> str:
        """The partition of a part that has active records; empty for another part."""
        row = self._runs.find(_listed(kind, document), escape_key(part))
        return "" if row is None else row.text("partition")

    def walk(self, kind: str, document: str) -> Walk | None:
        row = self._runs.find(_WALKS, f"{kind}:{document}")
        values: Any = None if row is None else row.values
        return None if row is None else Walk(values["at"], values["version"], values["short"], values["found"])

    def save_walk(self, kind: str, document: str, walk: Walk) -> None:
        values: dict[str, Value] = {
            "kind": kind,
            "document": document,
            "at": walk.at,
            "version": walk.version,
            "short": walk.short,
            "found": walk.found,
        }
        self._save(Row(_WALKS, f"{kind}:{document}", values))

    def documents(self) -> Iterator[tuple[str, str]]:
        """Kind and name of every document that was imported, also those that are not there any more."""
        for row in scan(self._runs, [partition(_WALKS)], select=("kind", "document")):
            yield row.text("kind"), row.text("document")

    # Of all

    def told(self, kind: str = "", document: str = "", *, size: int) -> list[Told]:
        """The first findings, of one document or of all."""
        where = [partition(_TOLD), *(row_key_prefix(f"{kind}:{document}:") if kind else ())]
        found: list[Told] = []
        for row in scan(self._runs, where, size=size):
            finding = _finding_in(row.values)
            found.append(Told(row.text("kind"), row.text("document"), row.text("part"), finding))
            if len(found) == size:
                break
        return found

    # Within

    def _save(self, row: Row) -> None:
        self._runs.transact(row.partition_key, [Save(row)])

    def _drop(self, partition_key: str, row_key: str) -> None:
        # It may be gone already.
        with suppress(ChangedMeanwhileError):
            self._runs.transact(partition_key, [Delete(row_key)])


def _listed(kind: str, document: str) -> str:
    return f"read:{kind}:{document}"


def _place(reading: Reading) -> str:
    return f"{reading.kind}:{reading.document}:{escape_key(reading.part)}"


def _key_of(row: Row) -> tuple[str, str]:
    return row.partition_key, row.row_key


def _columns_of(finding: Finding) -> dict[str, Value]:
    return {"reason": finding.reason, "message": finding.message, "remedy": finding.remedy}


def _finding_in(values: Mapping[str, Any]) -> Finding:
    return Finding(values["reason"], values["message"], values["remedy"])


def joined(findings: Sequence[Finding]) -> Finding:
    """One of several; the first gives the reason."""
    if not findings:
        return Finding()
    texts = (" ".join(one.message for one in findings), " ".join(one.remedy for one in findings))
    return Finding(findings[0].reason, *texts)
