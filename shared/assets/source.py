"""EC2 as a source of the import engine: one source a tenant, one part an account and region."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from shared.assets.accounts import AccountDirectory
from shared.assets.documents.asset_fields import STANDARD_FIELDS, AssetFieldDocument
from shared.assets.documents.asset_types import AssetTypeDocument
from shared.assets.documents.aws_tenants import ALL_REGIONS, AccountDocument, AwsTenantDocument
from shared.assets.mapping import FIELD_NEED, TYPE_NEED, AssetMapping
from shared.assets.tenant_accounts import TenantAccounts
from shared.errors import ConflictError, MisconfiguredError, PassedOverError
from shared.imports.part_rows import PartRows
from shared.imports.plan.model import DesiredRecord, MatchOn, Policy, Trigger
from shared.imports.plan.safety import Brake
from shared.imports.sources import Expansion
from shared.reasons import Reason
from shared.records.documents.sites import customers_by_site
from shared.records.model import CUSTOM, SITE, TYPE, column_of
from shared.settings.store import SettingsStore
from shared.settings.stored import StoredDocument

if TYPE_CHECKING:
    from shared.assets.aws.client import Ec2

# A run is of the kind of the document that it imports.
KIND = AwsTenantDocument.kind


class TenantSource:
    """One tenant's document, as it stands now."""

    def __init__(
        self, name: str, settings: SettingsStore, directory: AccountDirectory, ec2: Callable[[], "Ec2"]
    ) -> None:
        """Raises NotFoundError."""
        stored = settings.get(AwsTenantDocument, name, fresh=True)
        types = settings.list(AssetTypeDocument, fresh=True)
        fields = settings.list(AssetFieldDocument, fresh=True)
        self._others = [one for one in settings.list(AwsTenantDocument) if one.name != name]
        self.name = name
        self.document = stored.document
        self._version = f"{stored.version} {stored.changed_at.isoformat()}"
        self._settings = settings
        self._directory = directory
        self._ec2 = ec2
        self._accounts = self._accounts_of(stored)
        titles = {one.document.title: one.name for one in types}
        self.mapping = AssetMapping(self.document, titles, self._fields_to_create(fields))
        self._titles = {field.target: field.mapping.title for field in self.mapping.fields}

    @property
    def version(self) -> str:
        return f"{self._version} {self._directory.lost(self.name)}"

    def parts(self) -> Sequence[str]:
        return self._accounts.parts()

    def expand(self, part: str, after: str = "", most: int | None = None) -> Expansion | None:
        return None if _names_region(part) else self._accounts.expand(part, after, most)

    def partition_key(self, part: str) -> str:
        # A part is named by account and region; ids in addresses begin with this (see `parse_asset_id`).
        return f"aws:{part}"

    def policy(self, trigger: Trigger) -> Policy:
        document = self.document
        fields = self.mapping.fields
        only_on_create = {field.column for field in fields if field.mapping.only_on_create}
        if not document.update_asset_type:
            only_on_create.add(TYPE)
        if not document.update_asset_site:
            only_on_create.add(SITE)
        matching: tuple[MatchOn, ...] = ()
        if document.matching_field is not None:
            serial = column_of("serial-number")
            matching = (MatchOn(column_of(document.matching_field), document.matching_ignores_case, (serial,)),)
        deactivates = document.deactivate_deleted and trigger is Trigger.SCHEDULED
        why_not = "The tenant leaves such assets active."
        if document.deactivate_deleted:
            why_not = "Only a scheduled import deactivates; the next one does."
        return Policy(
            document=self.name,
            create=document.create_new_assets,
            deactivate_listed=deactivates,
            deactivate_vanished=deactivates,
            deactivate_unread=document.deactivate_unread and trigger is Trigger.SCHEDULED,
            clear_unmapped=document.clear_unmapped,
            why_not_deactivated=why_not,
            grace=timedelta(days=document.grace_days),
            brake=Brake(document.brake.share, document.brake.at_least),
            believe_empty_answers=document.believe_empty_answers,
            only_on_create=frozenset(only_on_create),
            may_blank=frozenset(field.column for field in fields if not field.mapping.keep_when_empty),
            matching=matching,
            merge=document.merge_matches,
            columns=frozenset(field.column for field in fields) | {TYPE, SITE},
            customers=cache(partial(customers_by_site, self._settings)),
            others=frozenset() if document.match_other_tenants else frozenset(one.name for one in self._others),
            never_match=document.never_match,
        )

    def read(self, part: str) -> Iterator[Sequence[Any]]:
        account_id, region = _place_of(part)
        self.check_alone(account_id, region)
        account = self.document.named_accounts.get(account_id) or self._accounts.account(account_id)
        try:
            yield from self._ec2().read_instances(self.document, account, region, tenant=self.name)
        except MisconfiguredError as error:
            if error.reason is Reason.AWS_REGION_DENIED and self.document.regions_of(account) == ALL_REGIONS:
                # Nobody named it.
                raise PassedOverError(error.reason, error.message, remedy=error.remedy) from error
            raise

    def map_record(self, part: str, raw: Any) -> DesiredRecord:
        del part
        return self.mapping.map_record(raw)

    def create_prerequisites(self, prerequisites: Collection[str], by: str) -> None:
        for need in sorted(prerequisites):
            if need.startswith(TYPE_NEED):
                type_name, _, title = need.removeprefix(TYPE_NEED).partition(":")
                content = {"title": title, "group": self.document.asset_type.new_types_group}
                self._make(AssetTypeDocument.kind, type_name, content, by)
            elif need.startswith(FIELD_NEED):
                target = need.removeprefix(FIELD_NEED)
                name = target.removeprefix(CUSTOM)
                field_title = self._titles.get(target) or name.replace("-", " ").capitalize()
                self._make(AssetFieldDocument.kind, name, {"title": field_title, "custom": target != name}, by)

    def finish(self, part: str, counts: Mapping[str, int]) -> None:
        # Nothing was read, and nothing active is left here.
        if self.document.empty_regions_every_days > 1 and not any(counts.values()):
            self._accounts.found_empty(*_place_of(part))

    def check_alone(self, account_id: str, region: str) -> None:
        """Two tenants on one region would each deactivate what only the other one's filters let through."""
        for stored in self._others:
            if self._same_own_account(stored.document):
                shared = stored.document.reads(None, region)
            else:
                shared = self._accounts_of(stored).reads(account_id, region)
            if shared:
                raise MisconfiguredError(
                    Reason.AWS_REGION_SHARED,
                    f"{region} of account {account_id} is imported by the tenant {stored.name} too.",
                    remedy="Take it off one of the two tenants.",
                )

    def accounts_to_check(self, ec2: "Ec2", most: int) -> tuple[Sequence[AccountDocument | None], str]:
        """The first accounts of an import, asked of AWS now, and a sentence on those that are not among them."""
        if self.document.reads_own_account:
            return (None,), ""
        return self._accounts.to_check(ec2, most)

    # Within

    def _make(self, kind: str, name: str, content: Mapping[str, Any], by: str) -> None:
        # Another part of the run makes the same: the document is there, which is all that is needed.
        with suppress(ConflictError):
            self._settings.put(kind, name, content, by=by)

    def _fields_to_create(self, fields: Sequence[StoredDocument[AssetFieldDocument]]) -> frozenset[str]:
        present: set[str] = set()
        for stored in fields:
            custom = stored.document.custom
            present.add(f"{CUSTOM}{stored.name}" if custom else stored.name)
            other = stored.name if custom else f"{CUSTOM}{stored.name}"
            if any(mapping.target == other for mapping in self.document.field_mappings):
                raise MisconfiguredError(
                    Reason.DOCUMENT_INVALID,
                    f"The tenant {self.name} maps {stored.name} as {'an asset' if custom else 'a custom'} field, and "
                    f"it is {'a custom' if custom else 'an asset'} field.",
                    remedy="Correct the mapping's field_type.",
                )
        return frozenset(
            mapping.target
            for mapping in self.document.field_mappings
            if mapping.create_field and mapping.target not in present and mapping.target not in STANDARD_FIELDS
        )

    def _accounts_of(self, stored: StoredDocument[AwsTenantDocument]) -> TenantAccounts:
        return TenantAccounts(stored.name, stored.document, stored.changed_at, self._directory, self._ec2)

    def _same_own_account(self, other: AwsTenantDocument) -> bool:
        """Whether both read the access key's own account alone, by the same access."""
        return self.document.reads_own_account and other.reads_own_account and self.document.access == other.access


class Ec2SourceType:
    """The source `ec2` of the import engine."""

    kind = KIND

    def __init__(
        self, rows: PartRows, settings: SettingsStore, directory: AccountDirectory, ec2: Callable[[], "Ec2"]
    ) -> None:
        self.rows = rows
        self._settings = settings
        self._directory = directory
        # A function: starting a run and answering questions about assets do not pay for boto3.
        self._ec2 = ec2

    def scheduled(self) -> Sequence[tuple[str, datetime]]:
        tenants, unreadable = self._settings.list_with_unreadable(AwsTenantDocument, fresh=True)
        # An unreadable one is tried too: its failure then stands among the runs, where an operator looks.
        due = [(stored.name, stored.changed_at) for stored in tenants if stored.document.syncing]
        return due + [(stored.name, stored.changed_at) for stored in unreadable]

    def documents(self) -> Collection[str]:
        tenants, unreadable = self._settings.list_with_unreadable(AwsTenantDocument)
        return [*(stored.name for stored in tenants), *(stored.name for stored in unreadable)]

    def reader(self, partition_key: str, likely: str, *, fresh: bool = False) -> str:
        kind, _, part = partition_key.partition(":")
        if kind != "aws":
            return ""
        account_id, region = _place_of(part)
        tenants, unreadable = self._settings.list_with_unreadable(AwsTenantDocument, fresh=fresh)
        for stored in sorted(tenants, key=lambda one: one.name != likely):
            accounts = TenantAccounts(stored.name, stored.document, stored.changed_at, self._directory, self._ec2)
            if accounts.may_read(account_id, region):
                return stored.name
        # What an unreadable one reads cannot be told.
        return unreadable[0].name if unreadable else ""

    def source(self, name: str) -> TenantSource:
        return TenantSource(name, self._settings, self._directory, self._ec2)


def _names_region(part: str) -> bool:
    """Whether the part has instances: the others only find out which parts there are."""
    return ":" in part


def _place_of(part: str) -> tuple[str, str]:
    """Account and region."""
    account_id, _, region = part.partition(":")
    return account_id, region
