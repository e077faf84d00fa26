"""Where the settings documents live: one partition a kind, each document with its history, written as one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from shared.access.audit import UNAUDITED, Audit, AuditedChange, AuditKind
from shared.errors import (
    AlreadyExistsError,
    ChangedMeanwhileError,
    ConflictError,
    Fault,
    InvalidInputError,
    NotFoundError,
    RowRefusedError,
    TooLargeError,
)
from shared.reasons import Reason
from shared.settings.base import SettingsDocument
from shared.settings.kinds import DocumentKinds
from shared.settings.planned import PlannedSettings
from shared.settings.reader import Find, SettingsReader
from shared.settings.reference_check import check_references, new_references, users_of
from shared.settings.reference_guards import Announcements, NamedMeanwhileError, ReferenceGuards
from shared.settings.stored import AnyStored, StoredDocument, UnreadableDocument, document_as_json
from shared.settings.validation import ReceivedDocument, check_document, document_invalid
from shared.storage.etags import ANY_VERSION, check_version
from shared.storage.rows import Create, Delete, Operation, Replace, Row, Value, check_transaction, pack
from shared.storage.tables import Table, partition, row_key_prefix
from shared.text import descending

T = TypeVar("T")

# Which records use a document of this kind and name (`assets`), or None. The document is None when it is unreadable.
UsedBy = Callable[[type[SettingsDocument], str, SettingsDocument | None], str | None]
# What else is checked before a document is written: its name, the document, and all documents as they will be.
SettingsCheck = Callable[[str, SettingsDocument, PlannedSettings], Iterable[Fault]]
# How often a write is tried while others write the same documents.
_TRIES = 10
# Members of documents that name a secret, a field of one or a credential, and never hold its value.
_NAMES_OF_SECRETS = frozenset(
    {
        *("secret", "credential", "client_secret_setting", "access_key_id", "key_header"),
        *("value_field", "username_field", "password_field", "method", "store"),
    }
)


@dataclass(frozen=True)
class SettingsChange:
    """What `apply` did, or in a dry run would do, with one document."""

    kind: str
    name: str
    action: str  # created, updated, unchanged
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]


class _OvertakenError(ChangedMeanwhileError):
    """Somebody else wrote between the read and the write."""


@dataclass(frozen=True)
class _Written:
    """A document that is to be written, and what is there."""

    cls: type[SettingsDocument]
    name: str
    document: SettingsDocument
    present: AnyStored | None

    @property
    def thing(self) -> str:
        return f"{self.cls.kind}/{self.name}"

    @property
    def action(self) -> str:
        return "created" if self.present is None else "updated"

    @cached_property
    def content(self) -> dict[str, Any]:
        return document_as_json(self.document)


class SettingsStore(SettingsReader):
    """Reads as StoredSettings does, and writes with ETags. Every document is checked whole before it is written."""

    def __init__(
        self,
        table: Table,
        kinds: DocumentKinds,
        now: Callable[[], datetime],
        *,
        used_by: UsedBy | None = None,
        checks: Sequence[SettingsCheck] = (),
        clock: Callable[[], float] | None = None,
        audit: Audit = UNAUDITED,
    ) -> None:
        super().__init__(table, kinds, now, clock=clock)
        self._used_by = used_by
        self._checks = tuple(checks)
        self._audit = audit
        self.guards = ReferenceGuards(table, now)

    def put(
        self, kind: str, name: str, content: Any, *, by: str, if_match: str | None = None
    ) -> tuple[StoredDocument[SettingsDocument], bool]:
        """Write one document; answers with it, and whether it is new.

        `if_match` is the version that was read, `*` for any, None for a document that must be new. Raises
        InvalidInputError with every fault, ChangedMeanwhileError with the present version, ConflictError.
        """
        cls = self.kinds.get(kind)
        document = check_document(cls, name, content)
        return _retry_when_overtaken(lambda: self._put(cls, name, document, by, if_match))

    def _put(
        self, cls: type[SettingsDocument], name: str, document: SettingsDocument, by: str, if_match: str | None
    ) -> tuple[StoredDocument[SettingsDocument], bool]:
        kind = cls.kind
        present = self.find_any(cls, name, fresh=True)
        if present is None and if_match not in {None, ANY_VERSION}:
            raise ChangedMeanwhileError(f"The document {kind}/{name} is not there any more.")
        if present is not None:
            check_version(f"The document {kind}/{name}", if_match, str(present.version))
        written = _Written(cls, name, document, present)
        faults = self._faults_beside(written, PlannedSettings(self, {(kind, name): document}), self.snapshot())
        if faults:
            raise document_invalid(written.thing, faults)
        with self.guards.writing() as announcements:
            return self._write(written, by, announcements), present is None

    def delete(self, kind: str, name: str, *, by: str, if_match: str | None) -> None:
        """Remove a document that nothing names. Raises ConflictError that lists what still does."""
        cls = self.kinds.get(kind)
        _retry_when_overtaken(lambda: self._delete(cls, name, by, if_match))

    def _delete(self, cls: type[SettingsDocument], name: str, by: str, if_match: str | None) -> None:
        kind = cls.kind
        present = self.get_any(cls, name, fresh=True)
        check_version(f"The document {kind}/{name}", if_match, str(present.version))
        guards = self.guards.removals(kind, name)
        users = users_of(kind, name, self.list_all())
        if users:
            raise ConflictError(
                Reason.IN_USE,
                f"The document {kind}/{name} is used by {', '.join(users)}.",
                remedy="Change those first.",
            )
        document = None if isinstance(present, UnreadableDocument) else present.document
        records = self._used_by(cls, name, document) if self._used_by is not None else None
        if records is not None:
            raise ConflictError(
                Reason.IN_USE, f"The document {kind}/{name} is used by {records}.", remedy="Change those first."
            )
        version = present.version + 1
        columns = _columns(present.content, by, version, self._now())
        history = _history_row(kind, name, "deleted", version, columns)
        change = _audited(f"{kind}/{name}", "deleted", by, present.content, None)
        self._transact(kind, [Delete(_key(name), present.etag), Create(history), *guards], change)

    def apply(
        self, documents: Sequence[ReceivedDocument], *, by: str, dry_run: bool = False
    ) -> Sequence[SettingsChange]:
        """Write a set of documents so that each is as given; those not named stay. Applying twice changes nothing.

        All are checked before the first is written, and again when somebody else wrote one of them meanwhile. Raises
        InvalidInputError with every fault of every document, ChangedMeanwhileError when others write all the time.
        """
        done: dict[str, SettingsChange] = {}

        def apply_once() -> list[SettingsChange]:
            changes = self._changes(documents)
            with self.guards.writing() as announcements:
                for change, written in () if dry_run else changes:
                    if change.action == "unchanged":
                        continue
                    self._write(written, by, announcements)
                    # What the first of several writes replaced is what applying changed.
                    first = done.get(written.thing, change)
                    done[written.thing] = replace(change, action=first.action, before=first.before)
            return [done.get(written.thing, change) for change, written in changes]

        return _retry_when_overtaken(apply_once)

    # Within

    def _changes(self, documents: Sequence[ReceivedDocument]) -> Sequence[tuple[SettingsChange, _Written]]:
        """What applying would do to what is there now, in the order in which it can be done."""
        faults: list[Fault] = []
        checked: dict[tuple[str, str], SettingsDocument] = {}
        for received in documents:
            key = (received.kind, received.name)
            try:
                if key in checked:
                    raise document_invalid(f"{received.kind}/{received.name}", [Fault("", "stands twice")])
                checked[key] = check_document(self.kinds.get(received.kind), received.name, received.content)
            except InvalidInputError as error:
                faults += [Fault(_path(key, fault.path), fault.message) for fault in error.faults]
            except NotFoundError as error:
                faults.append(Fault(_path(key, "kind"), error.message))
        order = {kind: position for position, kind in enumerate(self.kinds.names)}
        find, planned = self.snapshot(), PlannedSettings(self, checked)
        changes: list[tuple[SettingsChange, _Written]] = []
        for key in sorted(checked, key=lambda key: (order[key[0]], key[1])):
            kind, name = key
            document, cls = checked[key], self.kinds.get(kind)
            written = _Written(cls, name, document, present := find(cls, name))
            found = [*self._faults_beside(written, planned, find), *self._faults_of_rows(written)]
            faults += [Fault(_path(key, fault.path), fault.message) for fault in found]
            before, after = None if present is None else present.content, written.content
            action = "created" if before is None else "unchanged" if before == after else "updated"
            changes.append((SettingsChange(kind, name, action, before, after), written))
        if faults:
            raise document_invalid("set", faults)
        return changes

    def _faults_beside(self, written: _Written, planned: PlannedSettings, find: Find) -> list[Fault]:
        """What is wrong with the document beside the others as they will be."""
        name, document = written.name, written.document
        faults = check_references(self.kinds, find, written.cls, name, document, written.present, planned.also)
        for check in self._checks:
            faults += check(name, document, planned)
        return faults

    def _faults_of_rows(self, written: _Written) -> list[Fault]:
        """Why storage would refuse the document, asked before the first of a set is written."""
        try:
            check_transaction(written.cls.kind, self._operations(written, "", 1, self._now()))
        except (RowRefusedError, TooLargeError) as error:
            return [Fault("", f"cannot be stored: {error}")]
        return []

    def _write(self, written: _Written, by: str, announcements: Announcements) -> StoredDocument[SettingsDocument]:
        """The version that was written: what is read afterwards may be somebody else's already, or gone."""
        present = written.present
        announcements.announce(written.thing, new_references(written.document, present))
        try:
            return self._write_version(written, by, 1 if present is None else present.version + 1)
        except _OvertakenError:
            if present is not None:
                raise
            # The name was used before. Its versions go on, so that none that somebody holds means another document.
            return self._write_version(written, by, self._last_version(written.cls.kind, written.name) + 1)

    def _write_version(self, written: _Written, by: str, version: int) -> StoredDocument[SettingsDocument]:
        now = self._now()
        before = None if written.present is None else written.present.content
        change = _audited(written.thing, written.action, by, before, written.content)
        etag = self._transact(written.cls.kind, self._operations(written, by, version, now), change)
        return StoredDocument(written.name, written.document, etag, version, now, by)

    def _operations(self, written: _Written, by: str, version: int, now: datetime) -> Sequence[Operation]:
        """What writes a version with its history."""
        kind, name, columns = written.cls.kind, written.name, _columns(written.content, by, version, now)
        row = Row(kind, _key(name), columns)
        history = Create(_history_row(kind, name, written.action, version, columns))
        if written.present is None:
            return [Create(row), history]
        return [Replace(replace(row, etag=written.present.etag)), history]

    def _last_version(self, kind: str, name: str) -> int:
        newest = self._table.page([partition(kind), *row_key_prefix(f"h:{name}:")], select=["version"], size=1).rows
        return newest[0].number("version") if newest else 0

    def _transact(self, kind: str, operations: Sequence[Operation], change: AuditedChange) -> str:
        """The ETag of the document's row."""
        try:
            with self._audit.recording(self._table.name, kind, change) as audited:
                return self._table.transact(kind, [*operations, *audited])[0]
        except (AlreadyExistsError, ChangedMeanwhileError) as error:
            name = change.thing.removeprefix(f"{kind}/")
            present = self._table.find(kind, _key(name), select=["version"])
            version = "" if present is None else str(present.number("version"))
            raise _OvertakenError(
                f"The document {change.thing} was written meanwhile.", present_version=version
            ) from error
        finally:
            self._forget(kind)


def _retry_when_overtaken(write: Callable[[], T]) -> T:
    """Call `write`, and again when somebody else wrote first: it then reads what is there now. Raises its errors."""
    for _ in range(_TRIES - 1):
        try:
            return write()
        except (_OvertakenError, NamedMeanwhileError):
            continue
    return write()


def _audited(thing: str, action: str, by: str, before: Any, after: Any) -> AuditedChange:
    # What stands in an unreadable row may be no object.
    was, becomes = (content if isinstance(content, Mapping) else None for content in (before, after))
    return AuditedChange(AuditKind.SETTINGS, action, thing, by, before=was, after=becomes, names_told=_NAMES_OF_SECRETS)


def _columns(content: Any, by: str, version: int, now: datetime) -> dict[str, Value]:
    return {**pack("document", content), "changed_at": now, "changed_by": by, "version": version}


def _history_row(kind: str, name: str, action: str, version: int, columns: Mapping[str, Value]) -> Row:
    return Row(kind, f"h:{name}:{descending(version)}", {**columns, "action": action})


def _key(name: str) -> str:
    return f"d:{name}"


def _path(key: tuple[str, str], path: str) -> str:
    return f"{key[0]}/{key[1]}: {path}" if path else f"{key[0]}/{key[1]}"
