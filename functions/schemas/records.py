"""Assets and users over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from functions.schemas.shapes import Answer, Body, HistoryAnswer
from shared.records.editor import RECORD_ID

FieldValue = str | int | float | bool | None


class _Record(Answer):
    id: str
    partition: str = Field(description="Where it came from: an account and region, a realm, or `manual`.")
    source_id: str = Field(description="Its id in the source.")
    name: str | None
    fields: dict[str, FieldValue] = Field(description="Every other field, custom ones as `custom.…`.")
    site: str | None
    active: bool
    status: Literal["active", "inactive"]
    locked_fields: list[str] = Field(description="Fields that somebody set by hand: imports leave them alone.")
    claimed_by: str | None = Field(description="The record of the source that this one was matched with.")
    imported_by: str | None = Field(description="The settings document that imports it.")
    created_at: datetime | None
    changed_at: datetime | None
    deactivated_at: datetime | None
    gone_since: datetime | None = Field(description="Since when the source no longer lists it.")


class AssetAnswer(_Record):
    type: str | None


class AssetPage(Answer):
    items: list[AssetAnswer]
    next: str | None
    as_of: datetime


class AssetSource(Answer):
    """An expression that a mapping can have as its source, and what it gives."""

    source: str
    about: str


class AssetSourcePage(Answer):
    items: list[AssetSource]
    next: str | None


class MembershipAnswer(Answer):
    """A user's membership in an organisation."""

    org_id: str
    org_name: str
    org_reference: str
    permissions: list[str]
    expires_at: datetime | None


class UserAnswer(_Record):
    email: str | None
    memberships: list[dict[str, Any]] | None = Field(description="Null when they were never read.")


class UserPage(Answer):
    items: list[UserAnswer]
    next: str | None
    as_of: datetime


class HistoryPage(Answer):
    """Newest first."""

    items: list[HistoryAnswer]
    next: str | None


class ExplainedValue(Answer):
    """A field's mapping, what it reads from the record, and what is stored."""

    field: str
    expression: str
    value: FieldValue = None
    stored: FieldValue = None
    locked_fields: bool


class ExplainedUserValue(Answer):
    field: str
    source: str | None
    fixed: FieldValue = None
    value: FieldValue = None
    problem: str = ""
    stored: FieldValue = None
    locked_fields: bool


class AssetExplanation(AssetAnswer):
    """Why an asset is as it is: by the tenant's document as it is now."""

    tenant: str | None
    source: dict[str, Any] | None = Field(description="The instance as it was last read.")
    source_read_at: datetime | None
    values: list[ExplainedValue]
    explanation: list[str] = Field(description="Which rule and criterion gave type and site, and why not those before.")
    history: list[HistoryAnswer]


class UserExplanation(UserAnswer):
    """Why a user is as it is: by the realm's document as it is now."""

    realm: str | None
    source: dict[str, Any] | None = Field(description="The user as it was last read.")
    source_read_at: datetime | None
    values: list[ExplainedUserValue]
    explanation: list[str]
    history: list[HistoryAnswer]


def _plain_value(value: object) -> object:
    if value is not None and not isinstance(value, str | int | float | bool):
        raise ValueError("must be a text, a number, true, false or null")
    return value


_ANY_FIELD = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]}
FieldInput = Annotated[Any, AfterValidator(_plain_value), WithJsonSchema(_ANY_FIELD)]
# The record's editor checks it by the same pattern, and says in words what it must be.
NewId = Annotated[str, WithJsonSchema({"type": "string", "pattern": RECORD_ID})]


class NewRecord(Body):
    """A record made by hand."""

    id: NewId
    fields: dict[str, FieldInput] = Field(default_factory=dict)


class RecordEdit(Body):
    """What a person sets, and what is given back to the import."""

    fields: dict[str, FieldInput] = Field(default_factory=dict)
    release: list[str] = Field(default_factory=list)
