"""EC2 as a source of the import engine: one source a tenant, one part an account and region."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.assets.documents.asset_fields import STANDARD_FIELDS, AssetFieldDocument
from shared.assets.documents.asset_types import AssetTypeDocument
from shared.assets.documents.aws_tenants import ALL_REGIONS, AccountDocument, AwsTenantDocument
from shared.assets.mapping import FIELD_NEED, TYPE_NEED, AssetMapping
from shared.errors import ConflictError, MisconfiguredError, NotFoundError
from shared.imports.part_rows import PartRows
from shared.imports.plan.model import DesiredRecord, MatchOn, Policy, Trigger
from shared.imports.plan.safety import Brake
from shared.reasons import Reason
from shared.records.documents.sites import customers_by_site
from shared.records.model import CUSTOM, SITE, TYPE, column_of
from shared.settings.store import SettingsStore

if TYPE_CHECKING:
    from shared.assets.aws.client import Ec2

# A run is of the kind of the document that it imports.
KIND = AwsTenantDocument.kind
# A part that only finds out which regions an account has, or which account an access key is of.
_LISTING = "regions of "
_OWN_ACCOUNT = "own account"


@dataclass(frozen=True)
class _Place:
    account: str
    region: str


class TenantSource:
    """One tenant's document, as it stands now."""

    def __init__(
        self, name: str, document: AwsTenantDocument, settings: SettingsStore, ec2: Callable[[], "Ec2"]
    ) -> None:
        self.name = name
        self.document = document
        self._settings = settings
        self._ec2 = ec2
        types = settings.list(AssetTypeDocument, fresh=True)
        self.mapping = AssetMapping(
            document, {stored.document.title: stored.name for stored in types}, self._fields_to_create()
        )
        self._titles = {field.target: field.mapping.title for field in self.mapping.fields}

    def parts(self) -> Sequence[str]:
        found: list[str] = []
        for account in self.document.accounts or (None,):
            regions = self.document.regions_of(account)
            if account is None or regions == ALL_REGIONS:
                found.append(_LISTING + (account.account if account is not None else _OWN_ACCOUNT))
            else:
                found += [f"{account.account}:{region}" for region in regions]
        return found

    def expand(self, part: str) -> Sequence[str] | None:
        if not part.startswith(_LISTING):
            return None
        account_id = part.removeprefix(_LISTING)
        account = None if account_id == _OWN_ACCOUNT else self._account(account_id)
        if account is None:
            account_id = self._ec2().caller(self.document, None, tenant=self.name).account
        regions = self._ec2().regions(self.document, account, tenant=self.name)
        return [f"{account_id}:{region}" for region in regions]

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
            matching = (MatchOn(column_of(document.matching_field), document.matching_ignores_case),)
        deactivates = document.deactivate_deleted and trigger is Trigger.SCHEDULED
        why_not = "The tenant leaves such assets active."
        if document.deactivate_deleted:
            why_not = "Only a scheduled import deactivates; the next one does."
        return Policy(
            create=document.create_new_assets,
            deactivate_listed=deactivates,
            deactivate_vanished=deactivates,
            why_not_deactivated=why_not,
            grace=timedelta(days=document.grace_days),
            brake=Brake(document.brake.share, document.brake.at_least),
            only_on_create=frozenset(only_on_create),
            may_blank=frozenset(field.column for field in fields if not field.mapping.keep_when_empty),
            matching=matching,
            columns=frozenset(field.column for field in fields) | {TYPE, SITE},
            customers=customers_by_site(self._settings),
        )

    def read(self, part: str) -> Iterator[Sequence[Any]]:
        place = _place_of(part)
        self._check_alone(place)
        account = self._account(place.account)
        yield from self._ec2().read_instances(self.document, account, place.region, tenant=self.name)

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

    def finish(self, part: str) -> None:
        """Nothing follows from an asset."""

    # Within

    def _make(self, kind: str, name: str, content: Mapping[str, Any], by: str) -> None:
        # Another part of the run makes the same: the document is there, which is all that is needed.
        with suppress(ConflictError):
            self._settings.put(kind, name, content, by=by)

    def _fields_to_create(self) -> frozenset[str]:
        present: set[str] = set()
        for stored in self._settings.list(AssetFieldDocument, fresh=True):
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

    def _account(self, account_id: str) -> AccountDocument | None:
        """The account's entry; None when the tenant names none, which leaves the access key's own."""
        if not self.document.accounts:
            return None
        for account in self.document.accounts:
            if account.account == account_id:
                return account
        raise NotFoundError(
            Reason.NOT_FOUND, f"The tenant {self.name} does not name the account {account_id} any more."
        )

    def _check_alone(self, place: _Place) -> None:
        """Two tenants on one region would each deactivate what only the other one's filters let through."""
        for stored in self._settings.list(AwsTenantDocument):
            if stored.name == self.name:
                continue
            if self._same_own_account(stored.document):
                others: Sequence[AccountDocument | None] = (None,)
            else:
                others = [account for account in stored.document.accounts if account.account == place.account]
            for account in others:
                regions = stored.document.regions_of(account)
                if regions == ALL_REGIONS or place.region in regions:
                    raise MisconfiguredError(
                        Reason.AWS_REGION_SHARED,
                        f"{place.region} of account {place.account} is imported by the tenant {stored.name} too.",
                        remedy="Take it off one of the two tenants.",
                    )

    def _same_own_account(self, other: AwsTenantDocument) -> bool:
        """Whether both name no account and have the same access: then both read the same one."""
        return not self.document.accounts and not other.accounts and self.document.access == other.access


class Ec2SourceType:
    """The source `ec2` of the import engine."""

    kind = KIND

    def __init__(self, rows: PartRows, settings: SettingsStore, ec2: Callable[[], "Ec2"]) -> None:
        self.rows = rows
        self._settings = settings
        # A function: starting a run and answering questions about assets do not pay for boto3.
        self._ec2 = ec2

    def scheduled(self) -> Sequence[tuple[str, datetime]]:
        tenants, unreadable = self._settings.list_with_unreadable(AwsTenantDocument, fresh=True)
        # An unreadable one is tried too: its failure then stands among the runs, where an operator looks.
        due = [(stored.name, stored.changed_at) for stored in tenants if stored.document.syncing]
        return due + [(stored.name, stored.changed_at) for stored in unreadable]

    def source(self, name: str) -> TenantSource:
        stored = self._settings.get(AwsTenantDocument, name, fresh=True)
        return TenantSource(name, stored.document, self._settings, self._ec2)


def _place_of(part: str) -> _Place:
    account, _, region = part.partition(":")
    return _Place(account, region)
