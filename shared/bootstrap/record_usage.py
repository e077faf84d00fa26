"""Which records use a settings document: what is used cannot be removed by accident."""

from collections.abc import Mapping

from shared.assets.documents.asset_fields import AssetFieldDocument
from shared.assets.documents.asset_types import AssetTypeDocument
from shared.records.documents.sites import SiteDocument
from shared.records.model import CUSTOM, SITE, TYPE, column_of
from shared.records.table import RecordTable
from shared.settings.base import SettingsDocument


class RecordUses:
    """Looks into the tables of records; `tables` by the word that people use for what is in them."""

    def __init__(self, tables: Mapping[str, RecordTable]) -> None:
        self._tables = tables

    def __call__(self, document: SettingsDocument, name: str) -> str | None:
        """The word for the records that use the document, or None. Reads the whole table."""
        if isinstance(document, AssetFieldDocument):
            column, value = column_of(f"{CUSTOM}{name}" if document.custom else name), None
        elif isinstance(document, SiteDocument):
            column, value = SITE, name
        elif isinstance(document, AssetTypeDocument):
            column, value = TYPE, name
        else:
            return None
        words = ["assets"] if not isinstance(document, SiteDocument) else list(self._tables)
        return next((word for word in words if self._tables[word].is_used(column, value)), None)
