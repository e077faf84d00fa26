"""Assets as people use them: lists, edits, and the explanation of one asset."""

from collections.abc import Mapping
from typing import Any

from shared.assets.documents.asset_fields import STANDARD_FIELDS, AssetFieldDocument
from shared.assets.documents.asset_types import AssetTypeDocument
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.assets.mapping import AssetMapping, completed
from shared.assets.model import asset_id_of, parse_asset_id
from shared.records.desk import RecordDesk
from shared.records.documents.sites import site_fault
from shared.records.editor import record_as_json
from shared.records.model import ACTIVE, CUSTOM, SITE, TYPE, Key, column_of
from shared.storage.rows import Row, unpack


class AssetDesk(RecordDesk):
    """The desk of assets."""

    def _partitions(self, texts: Mapping[str, str]) -> tuple[str, str]:
        account, region = texts.get("account", ""), texts.get("region", "")
        if account and region:
            return f"aws:{account}:{region}", ""
        return (f"aws:{account}:", f"aws:{account};") if account else ("", "")

    def explain(self, asset_id: str) -> dict[str, Any]:
        """The instance as last read, each value with its expression, what gave type and site, and the history.

        The values and reasons are those of the tenant's document as it is now.
        """
        row = self._editing.get(self._key_of(asset_id))
        source = unpack(row, "source")
        tenant = self._importer(AwsTenantDocument, row)
        stored = self._settings.find(AwsTenantDocument, tenant) if tenant else None
        values: list[dict[str, Any]] = []
        explanation: tuple[str, ...] = ()
        if source is not None:
            source = completed(source, source["account"], source["region"])
        if source is not None and stored is not None:
            types = {one.document.title: one.name for one in self._settings.list(AssetTypeDocument)}
            mapping = AssetMapping(stored.document, types, frozenset())
            locks = row.text("locks").split()
            values = [
                {
                    "field": one.field,
                    "expression": one.expression,
                    "value": one.value,
                    "stored": row.values.get(column_of(one.field)),
                    "locked_fields": column_of(one.field) in locks,
                }
                for one in mapping.explain_values(source)
            ]
            desired = mapping.map_record(source)
            explanation = desired.explain() or tuple(
                sentence for sentence in (desired.error, desired.skip, desired.gone) if sentence
            )
        return {
            **self._shown(row),
            "tenant": tenant,
            "source": source,
            "source_read_at": row.time("source_read_at"),
            "values": values,
            "explanation": list(explanation),
            "history": self.history(asset_id)[0],
        }

    def _key_of(self, record_id: str) -> Key:
        return parse_asset_id(record_id)

    def _shown(self, row: Row) -> dict[str, Any]:
        answer = {"id": asset_id_of(Key(row.partition_key, row.row_key)), **record_as_json(row)}
        return {**answer, "imported_by": self._importer(AwsTenantDocument, row)}

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
            return "there is no such field"
        return None
