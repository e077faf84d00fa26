"""Keeps references from dangling when one request removes a document while another writes a document that names it.

The two stand in different partitions, which no transaction spans. So whoever writes announces it first, in the
partition of what is named, and touches that document: a removal that read it before then fails, and looks again.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from shared.errors import ChangedMeanwhileError, TryLaterError
from shared.reasons import Reason
from shared.settings.base import Reference
from shared.storage.rows import Delete, Merge, Operation, Row, Save, Value
from shared.storage.tables import Table, partition, row_key_prefix, scan

# A writer that has said nothing for so long has died: its write is done, or will never be.
_ANNOUNCED_FOR = timedelta(minutes=5)
# Two operations a reference, of the hundred of a transaction.
_TOGETHER = 50
_TRIES = 3


class NamedMeanwhileError(ChangedMeanwhileError):
    """What a document is about to name was changed or removed since it was looked up."""


class ReferenceGuards:
    """Rows `g:<named document>:<ticket of the writer>` beside the documents that are named."""

    def __init__(self, table: Table, now: Callable[[], datetime]) -> None:
        self._table = table
        self._now = now

    @contextmanager
    def writing(self) -> Iterator["Announcements"]:
        """What is announced within cannot be removed until the end. A worker that dies leaves its announcements: they
        count for five minutes."""
        announcements = Announcements(self._table, self._now)
        try:
            yield announcements
        finally:
            announcements.withdraw()

    @contextmanager
    def naming(self, writer: str, references: Sequence[Reference]) -> Iterator[None]:
        """Within it, write what names these documents and is no document itself.

        Raises NamedMeanwhileError for one that is gone.
        """
        with self.writing() as announcements:
            for left in reversed(range(_TRIES)):
                try:
                    announcements.announce(writer, references)
                    break
                except NamedMeanwhileError:
                    # Another one names it at this moment.
                    if not left:
                        raise
            yield

    def removals(self, kind: str, name: str) -> Sequence[Operation]:
        """What goes with the document when it is removed: guards of writers that died.

        Raises TryLaterError while somebody is about to name it.
        """
        guards = list(scan(self._table, [partition(kind), *row_key_prefix(f"g:{name}:")]))
        since = self._now() - _ANNOUNCED_FOR
        for guard in guards:
            if (guard.time("announced_at") or since) > since:
                writer = guard.text("announced_by")
                raise TryLaterError(
                    Reason.CONTENDED,
                    f"The document {kind}/{name} is being named by {writer} at this moment.",
                    remedy="Try again in some minutes.",
                    retry_after=_ANNOUNCED_FOR.total_seconds(),
                )
        return [Delete(guard.row_key) for guard in guards[:_TOGETHER]]


class Announcements:
    """What one request is about to name."""

    def __init__(self, table: Table, now: Callable[[], datetime]) -> None:
        self._table = table
        self._now = now
        # Of two requests that write the same document, one must not withdraw what the other announced.
        self._ticket = secrets.token_hex(8)
        self._announced: dict[tuple[str, str], str] = {}

    def announce(self, writer: str, references: Iterable[Reference]) -> None:
        """Say that the document `writer` is about to name these, each once.

        Raises NamedMeanwhileError when one is gone, or was changed at this moment.
        """
        new = dict.fromkeys((one.kind, one.name) for one in references)
        by_kind: dict[str, list[str]] = {}
        for kind, name in new:
            if (kind, name) not in self._announced:
                by_kind.setdefault(kind, []).append(name)
        for kind, names in by_kind.items():
            for start in range(0, len(names), _TOGETHER):
                self._announce(writer, kind, names[start : start + _TOGETHER])

    def withdraw(self) -> None:
        """All is written, or refused."""
        for (kind, _), row_key in self._announced.items():
            # It may be gone, or storage silent: it then counts for its five minutes.
            with suppress(ChangedMeanwhileError, TryLaterError):
                self._table.transact(kind, [Delete(row_key)])

    def _announce(self, writer: str, kind: str, names: Sequence[str]) -> None:
        operations: list[Operation] = []
        for name in names:
            present = self._table.find(kind, f"d:{name}", select=["version"])
            if present is None:
                raise NamedMeanwhileError(f"The document {kind}/{name} is not there any more.")
            guard: dict[str, Value] = {"announced_at": self._now(), "announced_by": writer}
            operations.append(Save(Row(kind, f"g:{name}:{self._ticket}", guard)))
            operations.append(Merge(Row(kind, f"d:{name}", {"named_at": self._now()}, present.etag)))
        try:
            self._table.transact(kind, operations)
        except ChangedMeanwhileError as error:
            raise NamedMeanwhileError(f"A document of {kind} was changed meanwhile.") from error
        self._announced |= {(kind, name): f"g:{name}:{self._ticket}" for name in names}
