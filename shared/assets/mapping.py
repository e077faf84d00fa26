"""From an instance to the asset that a tenant's document wants: mapped values, type and site, each with its reason."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from shared.assets.documents.aws_tenants import AwsTenantDocument, FieldMappingDocument, compile_source
from shared.assets.model import document_name_of
from shared.imports.documents import RAW
from shared.imports.plan.model import DesiredRecord
from shared.reasons import Reason
from shared.records.model import SITE, TYPE, column_of
from shared.records.values import RawRecord, ValueFaultError, storable
from shared.rules.documents import to_criteria
from shared.rules.expressions import ExpressionError, Read
from shared.rules.model import Rule
from shared.rules.operators import text_of
from shared.rules.rule_set import RuleSet, compile_rules
from shared.storage.rows import Value

# States in which an instance is on its way out, or a corpse that EC2 lists for another hour.
GONE_STATES = frozenset({"shutting-down", "terminated"})
TAGS = "tags"
# Where an instance says what is wrong with it; such a one is an error, and the others of its page come in.
FAULT = "deskbridge:fault"
FIELD_NEED = "field:"
TYPE_NEED = "type:"


class MappedField(NamedTuple):
    """A field of assets, its column, and how it is read from an instance."""

    target: str
    column: str
    mapping: FieldMappingDocument
    read: Read


def completed(instance: dict[str, Any], account: str, region: str) -> dict[str, Any]:
    """The instance with `account`, `region` and `tags` (names and values), and its lists in an order of their own.

    EC2 keeps sets, and gives them in any order: that order is no change.
    """
    instance["account"], instance["region"] = account, region
    _put_in_order(instance)
    tags = instance.get("Tags", ())
    instance[TAGS] = {tag["Key"]: tag["Value"] for tag in tags if "Key" in tag and "Value" in tag}
    if len(instance[TAGS]) < len(tags):
        # A tag without its key or value, or one that stands twice.
        instance.setdefault(FAULT, "EC2 gives a tag of it without a key or a value, or twice.")
    return instance


def _put_in_order(value: Any) -> None:
    """Every list within, at any depth."""
    for member in value.values() if isinstance(value, dict) else value:
        if isinstance(member, dict):
            _put_in_order(member)
        elif isinstance(member, list) and member:
            if isinstance(member[0], dict):
                _put_in_order(member)
            if len(member) > 1:
                member.sort(key=_place)


def _place(member: Any) -> tuple[Any, ...]:
    """Where a member of a set stands: what is first on the machine first, then by its key or name."""
    if not isinstance(member, dict):
        return (str(member),)
    key = member.get("Key")
    if key is not None:
        return (False, 0, key)
    device = (member.get("Attachment") or {}).get("DeviceIndex", 0)
    return (not member.get("Primary"), device, json.dumps(member, sort_keys=True, default=str))


class AssetMapping:
    """A tenant's document, compiled. Safe to share between threads; pure.

    `types` are the asset types that there are: document name by title.
    """

    def __init__(self, document: AwsTenantDocument, types: Mapping[str, str], created_fields: frozenset[str]) -> None:
        self._document = document
        self._types = types
        self._type_names = frozenset(types.values())
        targets = [mapping.target for mapping in document.field_mappings]
        self.fields: list[MappedField] = [
            MappedField(target, column_of(target), mapping, _reader(mapping))
            for target, mapping in zip(targets, document.field_mappings, strict=True)
        ]
        self._type_rules: RuleSet[str] = compile_rules(
            [
                Rule(rule.name or f"{index + 1}: {rule.asset_type}", to_criteria(rule.criteria), rule.asset_type)
                for index, rule in enumerate(document.asset_type.rules)
            ]
        )
        self._site_rules: RuleSet[str] = compile_rules(
            [
                Rule(rule.name or f"{index + 1}: {rule.site}", to_criteria(rule.criteria), rule.site)
                for index, rule in enumerate(document.site_rules)
            ]
        )
        names = self._type_rules.fields | self._site_rules.fields | {document.asset_type.field or ""}
        self._raw = {name: compile_source(name.removeprefix(RAW)) for name in names if name.startswith(RAW)}
        self._field_prerequisites = {FIELD_NEED + target: "" for target in targets if target in created_fields}

    def map_record(self, instance: Mapping[str, Any]) -> DesiredRecord:
        """The asset of an instance, as `ec2.read_instances` gives it."""
        instance_id = str(instance["InstanceId"])
        if not instance_id:
            said = instance.get(FAULT, "EC2 gives an instance without an id.")
            error = f"{said} No instance that is missing is taken for gone in this run."
            return DesiredRecord("", label="?", error=error, error_reason=Reason.RECORD_INVALID)
        state = str((instance.get("State") or {}).get("Name", ""))
        if state in GONE_STATES:
            return DesiredRecord(instance_id, gone=state)
        if FAULT in instance:
            return DesiredRecord(instance_id, error=str(instance[FAULT]), error_reason=Reason.VALUE_UNREADABLE)
        values: dict[str, Value | None] = {}
        record: dict[str, object] = {}
        found: list[Any] = []
        try:
            for field in self.fields:
                found.append(field.read(instance))  # noqa: PERF401 - what was read tells which field failed
            for field, value in zip(self.fields, found, strict=True):
                values[field.column] = record[field.target] = storable(field.target, value)
        except ExpressionError as error:
            unread = self.fields[len(found)].target
            return DesiredRecord(instance_id, error=f"{unread}: {error}.", error_reason=Reason.VALUE_UNREADABLE)
        except ValueFaultError as error:
            return DesiredRecord(instance_id, error=error.message, error_reason=error.reason)
        view = RawRecord(record, instance, self._raw)
        label = str(record.get("name") or instance_id)
        asset_type, prerequisites = self._type_of(view)
        if asset_type is None:
            skip = "No rule gives it a type, and instances without one are not imported."
            return DesiredRecord(instance_id, label=label, skip=skip, explain=self._explainer(view))
        values[TYPE] = asset_type
        values[SITE] = self._site_rules.outcome(view) or self._document.default_site
        source = {**instance}
        # They stand there as EC2 lists them.
        source.pop(TAGS, None)
        return DesiredRecord(
            instance_id,
            values,
            label=label,
            source=source,
            prerequisites={**self._field_prerequisites, **dict.fromkeys(prerequisites, TYPE)},
            explain=self._explainer(view),
        )

    def explain_values(self, instance: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Each mapped value with its expression."""
        for target, _, mapping, read in self.fields:
            expression = mapping.source if mapping.source is not None else f"fixed: {mapping.fixed}"
            try:
                value = storable(target, read(instance))
            except (ExpressionError, ValueFaultError) as error:
                expression, value = f"{expression} ({error})", None
            yield {"field": target, "expression": expression, "value": value}

    def _type_of(self, record: Mapping[str, object]) -> tuple[str | None, tuple[str, ...]]:
        choice = self._document.asset_type
        if choice.mode == "rules":
            return self._type_rules.outcome(record) or (choice.default if choice.import_unmatched else None), ()
        if choice.mode == "field" and choice.field is not None:
            # The name must be identical: neither case nor inner spaces are evened out.
            title = text_of(record.get(choice.field)).strip()
            if title and title in self._types:
                return self._types[title], ()
            if title:
                name = document_name_of(title, self._type_names)
                return name, (f"{TYPE_NEED}{name}:{title}",)
        return choice.default, ()

    def _explainer(self, record: Mapping[str, object]) -> Callable[[], tuple[str, ...]]:
        return lambda: tuple(self._reasons(record))

    def _reasons(self, record: Mapping[str, object]) -> Iterator[str]:
        choice = self._document.asset_type
        asset_type, prerequisites = self._type_of(record)
        if choice.mode == "rules":
            for reason in self._type_rules.explain(record):
                yield f"Type: {reason}"
        if choice.mode == "field":
            value = text_of(record.get(choice.field or "")).strip()
            yield f'Type: {choice.field} is "{value}".' if value else f"Type: {choice.field} is empty."
        if prerequisites:
            yield f'Type: there is none of that title, so it is made in the group "{choice.new_types_group}".'
        elif asset_type is not None and asset_type == choice.default:
            yield f"Type: {asset_type}, the default, unless a rule or field named it."
        for reason in self._site_rules.explain(record):
            yield f"Site: {reason}"
        if self._site_rules.first_match(record) is None:
            yield f"Site: {self._document.default_site}, the default."


def _reader(mapping: FieldMappingDocument) -> Read:
    if mapping.source is not None:
        return compile_source(mapping.source)
    return lambda _: mapping.fixed
