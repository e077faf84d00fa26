"""What one document says of others: whether they are there, whether it may name them, and who names one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shared.errors import Fault
from shared.settings.base import Reference, SettingsDocument
from shared.settings.kinds import DocumentKinds
from shared.settings.reader import Find
from shared.settings.stored import AnyStored, UnreadableDocument


def check_references(
    kinds: DocumentKinds,
    find: Find,
    cls: type[SettingsDocument],
    name: str,
    document: SettingsDocument,
    present: AnyStored | None,
    also: Mapping[tuple[str, str], SettingsDocument],
) -> list[Fault]:
    """The faults of a document beside those that are stored, and those that are written with it (`also`)."""
    faults = list(document.check_kinds(kinds))
    if present is not None and not isinstance(present, UnreadableDocument):
        faults += document.check_change(present.document)
    for reference in document.references():
        named: SettingsDocument | AnyStored | None = also.get((reference.kind, reference.name))
        if named is None:
            named = find(kinds.get(reference.kind), reference.name)
        if named is None:
            faults.append(Fault(reference.path, f"there is no document {reference.kind}/{reference.name}"))
        elif (objection := _objection(kinds, reference, named, cls.kind, name)) is not None:
            faults.append(Fault(reference.path, objection))
    return faults


def _objection(
    kinds: DocumentKinds, reference: Reference, named: SettingsDocument | AnyStored, kind: str, name: str
) -> str | None:
    if isinstance(named, SettingsDocument):
        return named.check_use(kind, name)
    if not isinstance(named, UnreadableDocument):
        found: SettingsDocument = named.document
        return found.check_use(kind, name)
    if kinds.get(reference.kind).check_use is SettingsDocument.check_use:
        return None
    # Whether it may be named stands in what cannot be read.
    return f"the document {reference.kind}/{reference.name} no longer passes its check: write that one again first"


def new_references(document: SettingsDocument, present: AnyStored | None) -> Sequence[Reference]:
    """What the document names and its present version does not."""
    if present is None or isinstance(present, UnreadableDocument):
        return document.references()
    known = {(one.kind, one.name) for one in present.document.references()}
    return [one for one in document.references() if (one.kind, one.name) not in known]


def users_of(kind: str, name: str, documents: Iterable[tuple[str, AnyStored]]) -> list[str]:
    """The documents that name kind/name. One that is unreadable counts when its text holds the name anywhere."""
    users: list[str] = []
    for other_kind, other in documents:
        if (other_kind, other.name) == (kind, name):
            continue
        if isinstance(other, UnreadableDocument):
            users += [f"{other_kind}/{other.name} ({path})" for path in _places_of(name, other.content)]
            continue
        document: SettingsDocument = other.document
        for reference in document.references():
            if (reference.kind, reference.name) == (kind, name):
                users.append(f"{other_kind}/{other.name} ({reference.path})")
    return users


def _places_of(name: str, content: Any) -> Iterator[str]:
    nodes: list[tuple[str, Any]] = [("", content)]
    while nodes:
        path, node = nodes.pop()
        if node == name:
            yield path
        elif isinstance(node, dict):
            nodes += [(f"{path}.{key}".lstrip("."), value) for key, value in node.items()]
        elif isinstance(node, list):
            nodes += [(f"{path}.{index}".lstrip("."), value) for index, value in enumerate(node)]
