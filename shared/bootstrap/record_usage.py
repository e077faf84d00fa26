"""Which records and tokens use a settings document: what is used cannot be removed by accident."""

from collections.abc import Mapping
from dataclasses import replace

from shared.access.tokens import AccessTokens
from shared.assets.documents.asset_fields import AssetFieldDocument
from shared.assets.documents.asset_types import AssetTypeDocument
from shared.records.documents.sites import CustomerDocument, SiteDocument
from shared.records.lists import RecordLists, RecordQuery
from shared.records.model import CUSTOM, TYPE, column_of
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
    """Looks for records by the index. `tables` and `lists` by the word that people use for what is in them."""

    def __init__(self, tables: Mapping[str, RecordTable], lists: Mapping[str, RecordLists]) -> None:
        self._tables = tables
        self._lists = lists

    def __call__(self, cls: type[SettingsDocument], name: str, document: SettingsDocument | None) -> str | None:
        """The word for the records that use the document, or None. Only for a field the whole table is read."""
        if issubclass(cls, SiteDocument):
            query = RecordQuery(sites=frozenset({name}), size=1)
            return next((word for word, lists in self._lists.items() if _finds(lists, query)), None)
        if issubclass(cls, AssetTypeDocument):
            query = RecordQuery(equal={TYPE: frozenset({name})}, size=1)
            return "assets" if _finds(self._lists["assets"], query) else None
        if issubclass(cls, AssetFieldDocument):
            used = (self._tables["assets"].is_used(column) for column in _columns_of_field(name, document))
            return "assets" if any(used) else None
        return None


def _finds(lists: RecordLists, query: RecordQuery) -> bool:
    """Whether there is a record: a page may be empty while there is more."""
    while True:
        page = lists.page(query)
        if page.rows or page.next is None:
            return bool(page.rows)
        query = replace(query, after=page.next)


def _columns_of_field(name: str, document: SettingsDocument | None) -> list[str]:
    """Where the field's values stand; of an unreadable document both places."""
    custom, standard = column_of(f"{CUSTOM}{name}"), column_of(name)
    if not isinstance(document, AssetFieldDocument):
        return [custom, standard]
    return [custom if document.custom else standard]
