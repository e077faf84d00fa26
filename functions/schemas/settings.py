"""Settings documents over HTTP."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, SkipValidation, WithJsonSchema

from functions.schemas.shapes import Answer, Body, FaultAnswer
from shared.bootstrap.kinds import KINDS
from shared.settings.base import DOCUMENT_NAME, SettingsDocument

if TYPE_CHECKING:
    AnyDocument = SettingsDocument
    Kind = str
else:
    # Each kind's own model, so that the document says every field of every kind.
    AnyDocument = Union[tuple(KINDS)]  # noqa: UP007 - the members are known only here
    Kind = Literal[KINDS.names]


class SettingAnswer(Answer):
    """One settings document as it is stored. `version` is what `If-Match` takes."""

    kind: Kind
    name: str
    document: AnyDocument | dict[str, Any] | list[Any] | str | float | bool | None = Field(
        description="As it was written, without what was left at its default. With faults: as it is stored."
    )
    faults: list[FaultAnswer] = Field(description="Why it no longer passes its check; empty for a good one.")
    version: int = Field(ge=1, description="Counts the changes of its name, from 1, removals too: none is given twice.")
    changed_at: datetime
    changed_by: str


class SettingPage(Answer):
    items: list[SettingAnswer]
    next: str | None


class SettingHistoryEntry(Answer):
    action: Literal["created", "updated", "deleted"]
    version: int
    changed_at: datetime
    changed_by: str
    document: dict[str, Any] = Field(description="The document after the change; before it, for a removal.")


class SettingHistoryPage(Answer):
    """Newest first."""

    items: list[SettingHistoryEntry]
    next: str | None


class SettingChange(Answer):
    """What applying did, or would do, with one document."""

    kind: Kind
    name: str
    action: Literal["created", "updated", "unchanged"]
    before: dict[str, Any] | None
    after: dict[str, Any]


class SettingChanges(Answer):
    dry_run: bool
    items: list[SettingChange]


# Each document's own kind checks its name and content, so that every fault of every document is told at once.
NamedKind = Annotated[str, WithJsonSchema({"type": "string", "enum": list(KINDS.names)})]
NewName = Annotated[str, WithJsonSchema({"type": "string", "pattern": DOCUMENT_NAME})]


class SetMember(Body):
    """One document of a set."""

    kind: NamedKind
    name: NewName
    document: SkipValidation[AnyDocument]


class SettingSet(Body):
    """A set of documents; each is written as given, and those that are not named stay."""

    documents: list[SetMember]
