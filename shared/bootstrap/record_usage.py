"""Which records and tokens use a settings document: what is used cannot be removed by accident."""

from collections.abc import Mapping

from shared.access.tokens import AccessTokens
from shared.assets.documents.asset_fields import AssetFieldDocument
from shared.assets.documents.asset_types import AssetTypeDocument
from shared.records.documents.sites import CustomerDocument, SiteDocument
from shared.records.model import CUSTOM, SITE, TYPE, column_of
from shared.records.table import RecordTable
from shared.settings.base import SettingsDocument


def token_uses(tokens: AccessTokens, cls: type[SettingsDocument], name: str) -> str | None:
    """The word for the tokens that are limited to the document, or None.

    Whoever makes a document of that name again may mean another customer, whose things such a token would open.
    """
    if issubclass(cls, CustomerDocument):
        limited = tokens.limited_to(customer=name)
    else:
        limited = issubclass(cls, SiteDocument) and tokens.limited_to(site=name)
    return "access tokens" if limited else None


class RecordUses:
    """Looks into the tables of records; `tables` by the word that people use for what is in them."""

    def __init__(self, tables: Mapping[str, RecordTable]) -> None:
        self._tables = tables

    def __call__(self, cls: type[SettingsDocument], name: str, document: SettingsDocument | None) -> str | None:
        """The word for the records that use the document, or None. Reads the whole table."""
        columns: Mapping[str, str | None]
        if issubclass(cls, SiteDocument):
            columns = {SITE: name}
            words = list(self._tables)
        elif issubclass(cls, AssetTypeDocument):
            columns, words = {TYPE: name}, ["assets"]
        elif issubclass(cls, AssetFieldDocument):
            columns = dict.fromkeys(_columns_of_field(name, document))
            words = ["assets"]
        else:
            return None
        used = ((word, column, value) for word in words for column, value in columns.items())
        return next((word for word, column, value in used if self._tables[word].is_used(column, value)), None)


def _columns_of_field(name: str, document: SettingsDocument | None) -> list[str]:
    """Where the field's values stand; of an unreadable document both places."""
    custom, standard = column_of(f"{CUSTOM}{name}"), column_of(name)
    if not isinstance(document, AssetFieldDocument):
        return [custom, standard]
    return [custom if document.custom else standard]
