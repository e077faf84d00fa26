"""Assets as people use them: lists, edits, and the explanation of one asset."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.assets.documents.asset_fields import STANDARD_FIELDS, AssetFieldDocument
from shared.assets.documents.asset_types import AssetTypeDocument
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.assets.mapping import AssetMapping, completed
from shared.assets.model import asset_id_of, parse_asset_id
from shared.records.desk import NO_SUCH_FIELD, RecordDesk
from shared.records.documents.sites import site_fault
from shared.records.editor import record_as_json
from shared.records.model import ACTIVE, CUSTOM, SITE, TYPE, Key
from shared.storage.rows import Row


class AssetDesk(RecordDesk[AwsTenantDocument]):
    """The desk of assets."""

    imported_by = AwsTenantDocument
    importer_word = "tenant"

    def _partitions(self, texts: Mapping[str, str]) -> tuple[str, str]:
        account, region = texts.get("account", ""), texts.get("region", "")
        if account and region:
            return f"aws:{account}:{region}", ""
        return (f"aws:{account}:", f"aws:{account};") if account else ("", "")

    def _source_of(self, row: Row) -> dict[str, Any] | None:
        source = super()._source_of(row)
        return None if source is None else completed(source, source["account"], source["region"])

    def _explained(
        self, document: AwsTenantDocument, source: dict[str, Any]
    ) -> tuple[Iterable[Mapping[str, Any]], Sequence[str]]:
        types = {one.document.title: one.name for one in self._settings.list(AssetTypeDocument)}
        mapping = AssetMapping(document, types, frozenset())
        desired = mapping.map_record(source)
        return mapping.explain_values(source), desired.explain() or (desired.error, desired.skip, desired.gone)

    def _key_of(self, record_id: str) -> Key:
        return parse_asset_id(record_id)

    def _shown(self, row: Row) -> dict[str, Any]:
        answer = {"id": asset_id_of(Key(row.partition_key, row.row_key)), **record_as_json(row)}
        return {**answer, "imported_by": self._importer(row)}

    def _fault_of(self, field: str, value: object) -> str | None:
        if field == ACTIVE or field in STANDARD_FIELDS:
            return None
        if field == TYPE:
            known = self._settings.find(AssetTypeDocument, str(value)) is not None
            return None if known else f"there is no document {AssetTypeDocument.kind}/{value}"
        if field == SITE:
            return site_fault(self._settings, value)
        stored = self._settings.find(AssetFieldDocument, field.removeprefix(CUSTOM))
        if stored is None or stored.document.custom != field.startswith(CUSTOM):
            return NO_SUCH_FIELD
        return None
