"""What the documents of every source of an import have in common."""

from pydantic import Field

from shared.rules.documents import CriterionDocument
from shared.settings.base import Document, DocumentName, Text

# A field of a rule that begins so is a raw field of the source's record, by expression; any other is a mapped field.
RAW = "source."


class SiteRuleDocument(Document):
    """All criteria must hold; then the record is at this site."""

    site: DocumentName
    criteria: tuple[CriterionDocument, ...] = Field(min_length=1)
    name: Text | None = None


class BrakeDocument(Document):
    """Nothing is deactivated when `at_least` records and more than `share` of the active ones would be, of a part or of
    the whole run."""

    share: float = Field(default=0.3, ge=0, le=1)
    at_least: int = Field(default=10, ge=1)
