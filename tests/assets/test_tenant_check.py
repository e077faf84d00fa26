"""A check of a tenant says what an import would meet: who reads, what is missing, and what fails at once."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.emulators.ec2.accounts import ACORN, EXTERNAL_ID, IRELAND, LONDON, REGIONS, ROLE_ARN
from lab.emulators.ec2.accounts import ST_JOHNS as OTHER
from lab.emulators.ec2.organizations import Member
from lab.emulators.ec2.server import EC2Lab
from shared.assets import checks
from shared.assets.accounts import AccountDirectory
from shared.assets.aws.client import Ec2
from shared.assets.checks import CheckFinding, check_tenant
from shared.assets.source import Ec2SourceType
from shared.bootstrap.kinds import KINDS
from shared.errors import DeskbridgeError, NotFoundError
from shared.imports.part_rows import PartRows
from shared.index.index import Index
from shared.settings.store import SettingsStore
from shared.storage.rows import Create, Row
from tests.assets.tenants import FakeCredentials, settle, tenant
from tests.fakes.tables import MemoryTables
from tests.imports.worlds import Clock


class Tenants:
    """Stored tenants, checked and read against the lab's AWS."""

    def __init__(self, lab: EC2Lab) -> None:
        keys = lab.credentials()
        pair = {"username": keys.access_key_id, "password": keys.secret_access_key}
        credentials = FakeCredentials({"aws-acorn": json.dumps(pair)})
        self.ec2 = Ec2(credentials, lambda *_: "", lambda: datetime.now(UTC), attempts=2)
        tables = MemoryTables()
        self.settings = SettingsStore(tables.table("settings"), KINDS, Clock())
        settle(self.settings)
        directory = AccountDirectory(tables.table("runs"), Clock())
        self.sources = Ec2SourceType(
            PartRows(tables.table("assets"), Index(tables.table("index"))), self.settings, directory, lambda: self.ec2
        )

    def put(self, name: str, **changes: Any) -> None:
        self.settings.put("aws-tenants", name, tenant(**changes), by="test")

    def check(self, name: str = "acorn") -> list[CheckFinding]:
        return list(check_tenant(lambda: self.sources.source(name), self.ec2, self.sources.rows.any_active))

    def reason_of_import(self, part: str, name: str = "acorn") -> str:
        """Why an import of the part fails; empty when it does not."""
        try:
            list(self.sources.source(name).read(part))
        except DeskbridgeError as error:
            return str(error.reason)
        return ""


@pytest.fixture(scope="module")
def running() -> Iterator[EC2Lab]:
    with EC2Lab({(ACORN, LONDON): 3}) as lab:
        yield lab


@pytest.fixture
def tenants(running: EC2Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenants]:
    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    yield Tenants(running)
    running.service.denied.clear()
    running.service.faults.clear()
    running.organization.clear()


def test_it_names_each_account_and_region_as_the_import_meets_them(running: EC2Lab, tenants: Tenants) -> None:  # AWS-07
    running.deny("DescribeInstances", ACORN, IRELAND)
    accounts = [{"account": ACORN}, {"account": OTHER, "role": ROLE_ARN, "external_id": "wrong"}]
    tenants.put("acorn", accounts=accounts, regions=[LONDON, IRELAND, "af-south-1"])
    found = tenants.check()
    assert {(one.account, one.region): (one.ok, one.reason) for one in found} == {
        (ACORN, LONDON): (True, ""),
        (ACORN, IRELAND): (False, "aws_permission_missing"),
        (ACORN, "af-south-1"): (False, "aws_region_disabled"),
        (OTHER, ""): (False, "aws_role_refused"),
    }
    assert [one.identity for one in found if one.region == LONDON] == ["arn:aws:iam::111122223333:user/deskbridge"]
    for one in found:
        assert tenants.reason_of_import(f"{one.account}:{one.region or LONDON}") == one.reason


def test_of_all_regions_it_says_how_many_there_are_and_leaves_out_what_the_import_does(tenants: Tenants) -> None:
    tenants.put("acorn", regions="all", except_regions=[IRELAND])
    found = tenants.check()
    assert found[0].message == "3 regions are enabled, and 1 of them left out."
    assert {one.region for one in found if one.region} == {*REGIONS} - {IRELAND}


def test_a_region_that_a_policy_denies_is_told_as_the_import_takes_it(running: EC2Lab, tenants: Tenants) -> None:
    said = "User is not authorized, with an explicit deny in a service control policy"
    running.script(
        "refuse", code="UnauthorizedOperation", message=said, region=IRELAND, action="DescribeInstances", times=None
    )
    tenants.put("acorn", regions="all")
    found = {one.region: (one.ok, one.reason) for one in tenants.check() if one.region}
    assert found[IRELAND] == (True, "aws_region_denied")
    assert all(ok for ok, _ in found.values())
    # Named, or with assets there, it fails the import.
    table = tenants.sources.rows.table
    table.transact(f"aws:{ACORN}:{IRELAND}", [Create(Row(f"aws:{ACORN}:{IRELAND}", "i-1", {"active": True}))])
    assert {one.region: one.ok for one in tenants.check()}[IRELAND] is False


def test_a_region_of_two_tenants_fails_the_check_as_it_fails_the_import(tenants: Tenants) -> None:
    tenants.put("acorn", regions=[LONDON, IRELAND])
    tenants.put("other", regions=[LONDON])
    found = {one.region: one.reason for one in tenants.check()}
    assert found == {LONDON: "aws_region_shared", IRELAND: ""}
    assert tenants.reason_of_import(f"{ACORN}:{LONDON}") == "aws_region_shared"


def test_a_field_of_another_kind_fails_the_check_as_it_fails_the_import(tenants: Tenants) -> None:
    mappings = [{"source": "tags.Name", "field": "name"}, {"source": "tags.X", "field": "rack", "create_field": True}]
    tenants.put("acorn", field_mappings=mappings, matching_field=None, asset_type={"default": "server"})
    tenants.settings.put("asset-fields", "rack", {"title": "Rack", "custom": True}, by="test")
    [finding] = tenants.check()
    assert (finding.ok, finding.reason) == (False, "document_invalid")
    assert tenants.reason_of_import(f"{ACORN}:{LONDON}") == "document_invalid"


def test_a_mapping_that_no_instance_bears_fails_the_check_as_it_fails_the_import(tenants: Tenants) -> None:
    mappings = [{"source": "abs(InstanceId)", "field": "name"}]
    tenants.put("acorn", field_mappings=mappings, matching_field=None, asset_type={"default": "server"}, site_rules=[])
    [finding] = tenants.check()
    assert (finding.ok, finding.reason) == (False, "records_all_refused")
    assert "name: " in finding.message
    source = tenants.sources.source("acorn")
    raw = [one for page in source.read(f"{ACORN}:{LONDON}") for one in page]
    assert raw
    mapped = [source.map_record(f"{ACORN}:{LONDON}", one) for one in raw]
    assert all(one.error or one.gone for one in mapped)


def test_a_tenant_that_is_not_there_is_no_finding(tenants: Tenants) -> None:
    with pytest.raises(NotFoundError):
        tenants.check("nobody")


def test_of_very_many_accounts_the_first_are_tried(
    running: EC2Lab, tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_MOST_ACCOUNTS", 2)
    running.organization.put(Member(ACORN, "Acorn"), Member(OTHER, "St Johns"), Member("9" * 12, "zoo"))
    running.organization.put(Member("8" * 12, "old", "SUSPENDED"), Member("7" * 12, "sandbox-1"))
    organization = {
        "account_role": ROLE_ARN.rpartition("/")[2],
        "account_external_id": EXTERNAL_ID,
        "except_accounts": [{"name": "sandbox-*"}],
    }
    tenants.put("acorn", accounts=None, organization=organization)
    first, *found = tenants.check()
    assert first.message == (
        "The organization has 4 accounts in use, of which 3 may be read. Of 3 accounts the first 2 were tried."
    )
    assert {(one.account, one.region, one.ok) for one in found} == {(ACORN, LONDON, True), (OTHER, LONDON, True)}


def test_an_organization_that_refuses_is_a_finding(running: EC2Lab, tenants: Tenants) -> None:
    running.organization.clear()
    tenants.put("acorn", accounts=None, organization={"account_role": "desk"})
    [finding] = tenants.check()
    assert (finding.ok, finding.reason) == (False, "aws_organization_refused")
