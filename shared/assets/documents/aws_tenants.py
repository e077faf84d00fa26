"""AWS tenants: which accounts and regions are read, and how their instances become assets."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from shared.assets.documents.asset_fields import STANDARD_FIELDS, AssetFieldDocument
from shared.assets.documents.asset_types import DEFAULT_GROUP, AssetTypeDocument
from shared.assets.documents.aws_access import AccessKeyDocument, WebIdentityDocument
from shared.assets.documents.aws_accounts import PARTITIONS, OrganizationDocument, Partition, RoleArn
from shared.imports.documents import RAW, BrakeDocument, SiteRuleDocument
from shared.records.comparison import MATCHED_FIELDS, MEANINGLESS
from shared.records.documents.sites import SiteDocument
from shared.rules.documents import CriterionDocument
from shared.rules.expressions import ExpressionError, Read, compile_expression
from shared.settings.base import Document, DocumentName, Reference, SettingsDocument, ShortText, Text, standing_twice

ALL_REGIONS = "all"
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}", re.ASCII)


# Each part of a run compiles the same ones.
@lru_cache(maxsize=1024)
def compile_source(expression: str) -> Read:
    """An expression over an instance: JMESPath, with `tags.<key>` for tags of any key. Raises ExpressionError."""
    return compile_expression(expression, literal_under="tags")


def partition_of(region: str) -> str:
    """The partition that a region's name belongs to."""
    return next((name for name, (_, begins) in PARTITIONS.items() if begins and region.startswith(begins)), "aws")


def _account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise ValueError("must be the 12 digits of an account, in quotes")
    return value


def _region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise ValueError("must be a region's name, such as eu-west-2")
    return value


def _regions(value: tuple[str, ...]) -> tuple[str, ...]:
    # Each becomes a part of the import, and a run has a part once.
    if len(set(value)) != len(value):
        raise ValueError("lists a region twice")
    if not value:
        raise ValueError("at least one region is needed")
    return value


def _expression(value: str) -> str:
    try:
        compile_source(value)
    except ExpressionError as error:
        raise ValueError(str(error)) from error
    return value


AccountId = Annotated[Text, AfterValidator(_account)]
Region = Annotated[Text, AfterValidator(_region)]
Regions = Literal["all"] | Annotated[tuple[Region, ...], AfterValidator(_regions)]


def _whole(value: object) -> object:
    if isinstance(value, str) and value.startswith("tags.") and value != value.rstrip():
        key = json.dumps(value.removeprefix("tags."), ensure_ascii=False)
        raise ValueError(f"ends with a blank. For the tag of a key that does write tags.{key}")
    return value


Expression = Annotated[Text, AfterValidator(_expression), BeforeValidator(_whole)]


class AccountDocument(Document):
    """An account. Without `role` the access key reads it itself; `regions` stand in for the tenant's."""

    account: AccountId
    role: RoleArn | None = None
    external_id: Text | None = None
    regions: Regions | None = None

    @field_validator("external_id")
    @classmethod
    def _needs_a_role(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("role") is None and "role" in info.data:
            raise ValueError("is used with a role only")
        return value

    @field_validator("role")
    @classmethod
    def _is_of_the_account(cls, value: str | None, info: ValidationInfo) -> str | None:
        account = info.data.get("account")
        if value is not None and account is not None and f"::{account}:" not in value:
            raise ValueError(f"is a role of another account than {account}")
        return value


class FilterDocument(Document):
    """One filter of DescribeInstances: name, such as `tag:Environment`, and values of which one must hold."""

    name: Text
    values: tuple[Text, ...] = Field(min_length=1)


class FieldMappingDocument(Document):
    """One row of the field mappings: `source` (an expression) or `fixed` (a text) into `field`."""

    source: Expression | None = None
    fixed: Text | None = None
    field: DocumentName
    field_type: Literal["asset_field", "custom_field"] = "asset_field"
    create_field: bool = False
    title: Text | None = None
    only_on_create: bool = False
    keep_when_empty: bool = False

    @model_validator(mode="after")
    def _has_source_or_fixed(self) -> "FieldMappingDocument":
        if (self.source is None) == (self.fixed is None):
            raise ValueError("needs exactly one of source and fixed")
        return self

    @cached_property
    def target(self) -> str:
        """The field as rules and answers call it."""
        return f"custom.{self.field}" if self.field_type == "custom_field" else self.field


class TypeRuleDocument(Document):
    """All criteria must hold; then the asset is of this type."""

    asset_type: DocumentName
    criteria: tuple[CriterionDocument, ...] = Field(min_length=1)
    name: Text | None = None


class AssetTypeChoiceDocument(Document):
    """How an asset's type is determined: `same` for all, by a `field`, or by `rules`."""

    mode: Literal["same", "field", "rules"] = "same"
    default: DocumentName | None = None
    field: Text | None = None
    new_types_group: Text = DEFAULT_GROUP
    rules: tuple[TypeRuleDocument, ...] = ()
    import_unmatched: bool = True

    @model_validator(mode="after")
    def _fits_the_mode(self) -> "AssetTypeChoiceDocument":
        if self.mode == "field" and self.field is None:
            raise ValueError("the mode field needs the field that names the type")
        if self.mode != "field" and self.field is not None:
            raise ValueError(f"field is not used in the mode {self.mode}")
        if self.mode == "rules" and not self.rules:
            raise ValueError("the mode rules needs at least one rule")
        if self.mode != "rules" and (self.rules or not self.import_unmatched):
            raise ValueError(f"rules and import_unmatched are not used in the mode {self.mode}")
        if self.default is None and self.import_unmatched:
            raise ValueError("a default type is needed")
        return self


class AwsTenantDocument(SettingsDocument):
    """One tenant: access, accounts, regions, mapping, type, site and policies."""

    kind: ClassVar[str] = "aws-tenants"
    credential_use: ClassVar[str] = "EC2 import of tenant {name}"

    title: Text
    syncing: bool = False
    partition: Partition = "aws"
    home_region: Region | None = None
    access: Annotated[AccessKeyDocument | WebIdentityDocument, Field(discriminator="method")]
    accounts: tuple[AccountDocument, ...] = ()
    organization: OrganizationDocument | None = None
    regions: Regions = Field(min_length=1)
    except_regions: tuple[Region, ...] = ()
    empty_regions_every_days: int = Field(default=1, ge=1, le=30)
    filters: tuple[FilterDocument, ...] = ()
    field_mappings: tuple[FieldMappingDocument, ...] = Field(min_length=1)
    matching_field: Text | None = None
    matching_ignores_case: bool = False
    match_other_tenants: bool = False
    merge_matches: bool = False
    never_match: tuple[ShortText, ...] = Field(default=MEANINGLESS, max_length=200)
    asset_type: AssetTypeChoiceDocument
    default_site: DocumentName
    site_rules: tuple[SiteRuleDocument, ...] = ()
    deactivate_deleted: bool = False
    deactivate_unread: bool = False
    clear_unmapped: bool = False
    grace_days: int = Field(default=0, ge=0, le=365)
    brake: BrakeDocument = BrakeDocument()
    believe_empty_answers: bool = False
    create_new_assets: bool = True
    update_asset_type: bool = True
    update_asset_site: bool = True

    @field_validator("accounts")
    @classmethod
    def _accounts_are_unique(cls, value: tuple[AccountDocument, ...]) -> tuple[AccountDocument, ...]:
        if len({account.account for account in value}) != len(value):
            raise ValueError("lists an account twice")
        return value

    @field_validator("field_mappings")
    @classmethod
    def _targets_are_unique(cls, value: tuple[FieldMappingDocument, ...]) -> tuple[FieldMappingDocument, ...]:
        targets = [mapping.target for mapping in value]
        twice = standing_twice(targets)
        if twice:
            raise ValueError(f"{', '.join(twice)} is mapped twice")
        return value

    @field_validator("matching_field")
    @classmethod
    def _matching_field_is_mapped(cls, value: str | None, info: ValidationInfo) -> str | None:
        mappings: tuple[FieldMappingDocument, ...] = info.data.get("field_mappings", ())
        if value is not None and mappings and value not in {one.target for one in mappings if one.fixed is None}:
            raise ValueError(f"{value} has no mapping from the source: nothing could be matched by it")
        if value is not None and value not in MATCHED_FIELDS["assets"]:
            raise ValueError(f"assets are matched by {', '.join(MATCHED_FIELDS['assets'])}, and by no other field")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "AwsTenantDocument":
        faults = list(self._faults())
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def references(self) -> Sequence[Reference]:
        found = [Reference("default_site", SiteDocument.kind, self.default_site)]
        if self.asset_type.default is not None:
            found.append(Reference("asset_type.default", AssetTypeDocument.kind, self.asset_type.default))
        for index, site_rule in enumerate(self.site_rules):
            found.append(Reference(f"site_rules.{index}.site", SiteDocument.kind, site_rule.site))
        for index, rule in enumerate(self.asset_type.rules):
            path = f"asset_type.rules.{index}.asset_type"
            found.append(Reference(path, AssetTypeDocument.kind, rule.asset_type))
        for index, mapping in enumerate(self.field_mappings):
            standard = mapping.field_type == "asset_field" and mapping.field in STANDARD_FIELDS
            if not standard and not mapping.create_field:
                found.append(Reference(f"field_mappings.{index}.field", AssetFieldDocument.kind, mapping.field))
        if isinstance(self.access, AccessKeyDocument):
            found += self.access.secret.references("access.secret")
        return found

    @property
    def home(self) -> str:
        """The region where STS is asked, and EC2 for the regions of an account."""
        return self.home_region or PARTITIONS[self.partition][0]

    @property
    def reads_own_account(self) -> bool:
        """Whether it reads the account that the access key is of, and no other."""
        return not self.accounts and self.organization is None

    @cached_property
    def named_accounts(self) -> Mapping[str, AccountDocument]:
        """The accounts that are named, by id."""
        return {account.account: account for account in self.accounts}

    @property
    def organization_asker(self) -> AccountDocument | None:
        """Who asks the organization; None for the access key itself."""
        organization = self.organization
        if organization is None or organization.role is None:
            return None
        account = organization.role.split(":")[4]
        return AccountDocument(account=account, role=organization.role, external_id=organization.external_id)

    def account_found(self, account_id: str) -> AccountDocument:
        """The entry of an account of the organization."""
        assert self.organization is not None  # noqa: S101 - nothing was found otherwise
        role = f"arn:{self.partition}:iam::{account_id}:role/{self.organization.account_role}"
        return AccountDocument(account=account_id, role=role, external_id=self.organization.account_external_id)

    def regions_of(self, account: AccountDocument | None) -> Regions:
        return account.regions if account is not None and account.regions is not None else self.regions

    def reads(self, account: AccountDocument | None, region: str) -> bool:
        """Whether the region of an account of the tenant is read, as far as its settings say."""
        regions = self.regions_of(account)
        return region in regions if regions != ALL_REGIONS else region not in self.except_regions

    def _faults(self) -> Iterator[str]:
        yield from self._region_faults()
        yield from self._account_faults()
        mapped = {mapping.target for mapping in self.field_mappings}
        for path, name in self._fields_of_rules():
            if name.startswith(RAW):
                try:
                    compile_source(name.removeprefix(RAW))
                except ExpressionError as error:
                    yield f"{path}: {error}"
            elif name not in mapped:
                yield f"{path}: {name} has no mapping; name a mapped field, or source.<expression>"

    def _region_faults(self) -> Iterator[str]:
        lists = [self.regions, *(account.regions for account in self.accounts if account.regions is not None)]
        named = {region for regions in lists if regions != ALL_REGIONS for region in regions}
        for path, regions in (
            ("regions", named),
            ("except_regions", self.except_regions),
            ("home_region", [self.home]),
        ):
            for region in sorted(regions):
                if partition_of(region) != self.partition:
                    yield f"{path}: {region} is not in the partition {self.partition}"
        if self.except_regions and ALL_REGIONS not in lists:
            yield "except_regions: are used with regions: all only"

    def _account_faults(self) -> Iterator[str]:
        needs_role = isinstance(self.access, WebIdentityDocument)
        for index, account in enumerate(self.accounts):
            if account.role is not None and not account.role.startswith(f"arn:{self.partition}:"):
                yield f"accounts.{index}.role: is not in the partition {self.partition}"
            if account.role is None and needs_role:
                yield f"accounts.{index}.role: is needed, because a managed identity can do nothing but take a role"
        asker = self.organization.role if self.organization is not None else None
        if asker is not None and not asker.startswith(f"arn:{self.partition}:"):
            yield f"organization.role: is not in the partition {self.partition}"
        if self.organization is not None and asker is None and needs_role:
            yield "organization.role: is needed, because a managed identity can do nothing but take a role"
        if not self.accounts and self.organization is None and needs_role:
            yield "accounts: are needed with web_identity, each with its role"
        if sum(account.role is None for account in self.accounts) > 1:
            yield "accounts: an access key belongs to one account; every other one needs a role"

    def _fields_of_rules(self) -> Iterator[tuple[str, str]]:
        if self.asset_type.field is not None:
            yield "asset_type.field", self.asset_type.field
        for index, rule in enumerate(self.asset_type.rules):
            for position, criterion in enumerate(rule.criteria):
                yield f"asset_type.rules.{index}.criteria.{position}.field", criterion.field
        for index, site_rule in enumerate(self.site_rules):
            for position, criterion in enumerate(site_rule.criteria):
                yield f"site_rules.{index}.criteria.{position}.field", criterion.field
