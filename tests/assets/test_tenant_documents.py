"""What a tenant's document may say, and where it is wrong when it does not."""

from typing import Any

import botocore.session
import pytest

from shared.assets.documents.aws_accounts import PARTITIONS
from shared.assets.documents.aws_tenants import AwsTenantDocument, partition_of
from shared.bootstrap.kinds import KINDS
from shared.errors import ConflictError, InvalidInputError
from shared.settings.store import SettingsStore
from shared.settings.validation import parse_document
from tests.assets.tenants import ACCOUNT, settle, tenant
from tests.fakes.tables import MemoryTables
from tests.imports.worlds import Clock


def _faults(document: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInputError) as refused:
        parse_document(AwsTenantDocument, "acorn", document)
    return [(fault.path, fault.message) for fault in refused.value.faults]


def test_the_guides_tenant_is_accepted() -> None:
    document = parse_document(AwsTenantDocument, "acorn", tenant())
    assert document.matching_field == "asset-number"
    assert document.asset_type.new_types_group == "Network Equipment"  # AWS-34


def test_a_matching_field_without_a_mapping_is_refused() -> None:  # AWS-14
    [(path, message)] = _faults(tenant(matching_field="serial-number"))
    assert path == "matching_field"
    assert "serial-number has no mapping" in message


def test_a_matching_field_that_tells_none_from_another_is_refused() -> None:
    mappings = [*tenant()["field_mappings"], {"source": "InstanceType", "field": "model"}]
    [(path, message)] = _faults(tenant(field_mappings=mappings, matching_field="model"))
    assert path == "matching_field"
    assert "assets are matched by name, asset-number, serial-number, host-name" in message


def test_a_matching_field_of_a_fixed_value_is_refused() -> None:
    mappings = [*tenant()["field_mappings"], {"fixed": "Acorn", "field": "owner"}]
    [(path, _)] = _faults(tenant(field_mappings=mappings, matching_field="owner"))
    assert path == "matching_field"


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"default_site": None}, "default_site", "is missing"),  # AWS-62
        ({"regions": []}, "regions", ""),
        ({"regions": None}, "regions", "is missing"),
        ({"regions": ["Ireland"]}, "regions", "must be a region's name"),
        ({"accounts": [{"account": 12345670123}]}, "accounts.0.account", "must be text: put it in quotes"),
        ({"accounts": [{"account": "1234"}]}, "accounts.0.account", "12 digits"),
        ({"accounts": [{"account": ACCOUNT}, {"account": ACCOUNT}]}, "accounts", "lists an account twice"),
        (
            {"accounts": [{"account": ACCOUNT, "external_id": "x"}]},
            "accounts.0.external_id",
            "is used with a role only",
        ),
        (
            {"accounts": [{"account": ACCOUNT, "role": "arn:aws:iam::444455556666:role/x"}]},
            "accounts.0.role",
            "another account",
        ),
        ({"accounts": [{"account": ACCOUNT, "role": "deskbridge"}]}, "accounts.0.role", "must be the ARN of a role"),
        ({"accounts": [{"account": ACCOUNT}, {"account": "444455556666"}]}, "", "every other one needs a role"),
        ({"partition": "aws-cn"}, "", "eu-west-2 is not in the partition aws-cn"),
        ({"regions": ["cn-north-1"]}, "", "cn-north-1 is not in the partition aws"),
        ({"regions": ["eu-west-2", "eu-west-2"]}, "regions", "lists a region twice"),
        ({"accounts": [{"account": ACCOUNT, "regions": []}]}, "accounts.0.regions", "at least one region"),
        (
            {"access": {"method": "web_identity", "audience": "api://deskbridge-aws"}},
            "",
            "a managed identity can do nothing but take a role",
        ),
        ({"field_mappings": []}, "field_mappings", ""),
        (
            {"field_mappings": [{"source": "tags.Name", "field": "name"}, {"source": "InstanceId", "field": "name"}]},
            "field_mappings",
            "name is mapped twice",
        ),
        (
            {"field_mappings": [{"field": "name"}]},
            "field_mappings.0",
            "exactly one of source and fixed",
        ),
        (
            {"field_mappings": [{"source": "tags[?", "field": "name"}]},
            "field_mappings.0.source",
            "is no JMESPath expression",
        ),
        (
            {"field_mappings": [{"source": "(" * 2_000, "field": "name"}]},
            "field_mappings.0.source",
            "levels are read",
        ),
        (
            {"field_mappings": [{"source": "uppercase(tags.Name)", "field": "name"}]},
            "field_mappings.0.source",
            "calls uppercase, which is no function of JMESPath",
        ),
        (
            {"asset_type": {"mode": "field", "default": "server"}},
            "asset_type",
            "needs the field that names the type",
        ),
        ({"asset_type": {"mode": "rules", "default": "server"}}, "asset_type", "at least one rule"),
        ({"asset_type": {"mode": "same"}}, "asset_type", "a default type is needed"),
        (
            {"asset_type": {"mode": "field", "field": "colour", "default": "server"}},
            "",
            "asset_type.field: colour has no mapping",
        ),
        (
            {"site_rules": [{"site": "leeds", "criteria": [{"field": "nam", "operator": "equals", "value": "x"}]}]},
            "",
            "site_rules.0.criteria.0.field: nam has no mapping",
        ),
        (
            {"site_rules": [{"site": "leeds", "criteria": [{"field": "name", "operator": "is", "value": "x"}]}]},
            "site_rules.0.criteria.0.operator",
            "is no operator",
        ),
        (
            {"site_rules": [{"site": "leeds", "criteria": [{"field": "name", "operator": "matches", "value": "("}]}]},
            "site_rules.0.criteria.0.value",
            "is not a regular expression",
        ),
        ({"site_rules": [{"site": "leeds", "criteria": []}]}, "site_rules.0.criteria", ""),
        ({"brake": {"share": 3}}, "brake.share", ""),
        ({"grace_days": -1}, "grace_days", ""),
        ({"secret_key": "x"}, "secret_key", "there is no such field"),
    ],
)
def test_a_fault_is_named_where_it_is(changes: dict[str, Any], path: str, words: str) -> None:
    faults = _faults(tenant(**changes))
    assert any(found.startswith(path) and words in message for found, message in faults), faults


def test_every_fault_is_told_at_once() -> None:
    faults = _faults(tenant(regions=["Ireland"], accounts=[{"account": "1"}], brake={"share": 3}))
    assert len(faults) >= 3


@pytest.fixture
def settings() -> SettingsStore:
    store = SettingsStore(MemoryTables().table("settings"), KINDS, Clock())
    settle(store)
    return store


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"default_site": "nowhere"}, "default_site"),
        ({"asset_type": {"default": "toaster"}}, "asset_type.default"),
        (
            {"field_mappings": [{"source": "InstanceType", "field": "size"}], "matching_field": None,
             "asset_type": {"default": "server"}, "site_rules": []},
            "field_mappings.0.field",
        ),
        (
            {"access": {"method": "access_key", "secret": {"in_place": {"store": "elsewhere", "secret": "x"}}}},
            "access.secret.in_place.store",
        ),
    ],
)  # fmt: skip
def test_what_a_tenant_names_must_exist(settings: SettingsStore, changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        settings.put("aws-tenants", "acorn", tenant(**changes), by="test")
    assert [fault.path for fault in refused.value.faults] == [path]


def test_nothing_that_a_tenant_uses_can_be_removed_by_accident(settings: SettingsStore) -> None:
    settings.put("asset-fields", "size", {"title": "Size"}, by="test")
    mappings = [*tenant()["field_mappings"], {"source": "InstanceType", "field": "size"}]
    settings.put("aws-tenants", "acorn", tenant(field_mappings=mappings), by="test")
    for kind, name in (("sites", "london-hq"), ("sites", "leeds"), ("asset-types", "server"), ("asset-fields", "size")):
        with pytest.raises(ConflictError) as refused:
            settings.delete(kind, name, by="test", if_match="*")
        assert "aws-tenants/acorn" in refused.value.message


def test_every_partition_that_botocore_knows_is_known_with_its_regions() -> None:
    # Imports, case 18
    session = botocore.session.get_session()
    assert set(session.get_available_partitions()) == set(PARTITIONS)
    for partition, (home, _) in PARTITIONS.items():
        regions = session.get_available_regions("ec2", partition)
        assert home in regions
        assert {partition_of(region) for region in regions} == {partition}
        for region in regions:
            role = f"arn:{partition}:iam::{ACCOUNT}:role/desk"
            content = tenant(partition=partition, regions=[region], accounts=[{"account": ACCOUNT, "role": role}])
            assert parse_document(AwsTenantDocument, "acorn", content).home == home


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"regions": ["eusc-de-east-1"]}, "", "regions: eusc-de-east-1 is not in the partition aws"),
        ({"partition": "aws-eusc"}, "", "regions: eu-west-2 is not in the partition aws-eusc"),
        ({"home_region": "cn-north-1"}, "", "home_region: cn-north-1 is not in the partition aws"),
        ({"except_regions": ["eu-west-1"]}, "", "except_regions: are used with regions: all only"),
        ({"organization": {}}, "organization.account_role", "is missing"),
        ({"organization": {"account_role": "arn:aws:iam::1:role/x"}}, "organization.account_role", "name of a role"),
        ({"organization": {"account_role": "x", "external_id": "y"}}, "organization.external_id", "with a role only"),
        ({"organization": {"account_role": "x", "accounts": [{}]}}, "organization.accounts.0", "at least one of"),
        (
            {"organization": {"account_role": "x", "accounts": [{"id": "1", "value": "y"}]}},
            "organization.accounts.0",
            "value is used with a tag only",
        ),
        ({"organization": {"account_role": "x", "accounts": [{"id": 1}]}}, "organization.accounts.0.id", "in quotes"),
        ({"empty_regions_every_days": 31}, "empty_regions_every_days", "at most 30"),
    ],
)
def test_a_fault_of_accounts_and_regions_is_named(changes: dict[str, Any], path: str, words: str) -> None:
    [(found, message)] = _faults(tenant(**changes))
    assert found == path
    assert words in message
