"""A settings document as it is stored: one that a reader can trust, or one that no longer passes its check."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from shared.errors import Fault, MisconfiguredError
from shared.reasons import Reason
from shared.settings.base import SettingsDocument

D = TypeVar("D", bound=SettingsDocument)


@dataclass(frozen=True)
class StoredDocument(Generic[D]):
    """A document as it is stored. `version` counts its changes from 1."""

    name: str
    document: D
    etag: str
    version: int
    changed_at: datetime
    changed_by: str

    @property
    def content(self) -> Any:
        """As an operator would write it."""
        return document_as_json(self.document)

    @property
    def faults(self) -> Sequence[Fault]:
        return ()


@dataclass(frozen=True)
class UnreadableDocument:
    """A stored document that no longer passes its check. `content` is what stands in its row."""

    kind: str
    name: str
    content: Any
    faults: tuple[Fault, ...]
    etag: str
    version: int
    changed_at: datetime
    changed_by: str

    @property
    def refusal(self) -> MisconfiguredError:
        """What whoever needs this document is told."""
        listed = "; ".join(f"{fault.path}: {fault.message}" if fault.path else fault.message for fault in self.faults)
        return MisconfiguredError(
            Reason.DOCUMENT_INVALID,
            f"The stored document {self.kind}/{self.name} no longer passes its check: {listed}.",
            remedy="Write the document again, or remove it.",
            faults=self.faults,
        )


AnyStored = StoredDocument[Any] | UnreadableDocument


def document_as_json(document: SettingsDocument) -> dict[str, Any]:
    """The document as JSON, as an operator would write it: without what was left at its default."""
    return document.model_dump(mode="json", exclude_defaults=True, by_alias=True)
