"""AWS Organizations, asked for accounts, units and tags: the lab's stand-in, and moto's."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from lab.emulators.ec2.accounts import ACCESS_KEY_ID, ACORN, EXTERNAL_ID, ROLE_ARN, SECRET_ACCESS_KEY, ST_JOHNS
from lab.emulators.ec2.organizations import PAGE_SIZE, Member, Unit
from lab.emulators.ec2.server import EC2Lab
from shared.assets.aws.client import Ec2
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.reasons import Reason
from tests.assets.moto_ec2 import MotoFleet
from tests.assets.tenants import FakeCredentials, tenant

Setenv = Callable[[dict[str, str]], None]


def _document(**organization: Any) -> AwsTenantDocument:
    settings = {"account_role": "deskbridge", **organization}
    return AwsTenantDocument.model_validate(tenant(accounts=None, organization=settings))


def _ec2() -> Ec2:
    pair = {"username": ACCESS_KEY_ID, "password": SECRET_ACCESS_KEY}
    return Ec2(FakeCredentials({"aws-acorn": json.dumps(pair)}), lambda *_: "", lambda: datetime.now(UTC), attempts=2)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[EC2Lab]:
    with EC2Lab({}) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def _refused(ask: Callable[[], object]) -> DeskbridgeError:
    with pytest.raises(DeskbridgeError) as caught:
        ask()
    return caught.value


def test_every_account_in_use_is_listed_and_the_others_are_counted(lab: EC2Lab) -> None:
    lab.organization.put(*(Member(f"{number:012}", f"team-{number}") for number in range(1, 50)))
    states = ("SUSPENDED", "PENDING_CLOSURE", "CLOSED", "PENDING_ACTIVATION")
    lab.organization.put(*(Member(f"9{n:011}", "old", state) for n, state in enumerate(states)))
    found = _ec2().organization.accounts(_document(), "acorn")
    assert (len(found.accounts), found.left_out) == (49 + 2, 4)
    assert [one.id for one in found.accounts if one.own] == [ACORN]
    assert {one.name for one in found.accounts} >= {"team-1", "team-49", "Acorn Construction"}
    # As many calls as pages, and one to know who asks.
    assert [call.action for call in lab.journal] == ["GetCallerIdentity", *["ListAccounts"] * (55 // PAGE_SIZE + 1)]


def test_a_delegated_administrators_role_may_ask(lab: EC2Lab) -> None:
    lab.organization.administrators = {ST_JOHNS}
    assert _refused(lambda: _ec2().organization.accounts(_document(), "acorn")).reason is (
        Reason.AWS_ORGANIZATION_REFUSED
    )
    document = _document(role=ROLE_ARN, external_id=EXTERNAL_ID)
    found = _ec2().organization.accounts(document, "acorn")
    assert {one.id for one in found.accounts} == {ACORN, ST_JOHNS}
    # A role is nobody's own: its account too is read by `account_role`.
    assert not any(one.own for one in found.accounts)


def test_whoever_may_not_ask_is_told_where_to_ask_and_by_which_policy(lab: EC2Lab) -> None:
    lab.deny("ListAccounts")
    error = _refused(lambda: _ec2().organization.accounts(_document(), "acorn"))
    assert (type(error), error.reason) == (MisconfiguredError, Reason.AWS_ORGANIZATION_REFUSED)
    assert "arn:aws:iam::111122223333:user/deskbridge" in error.message
    assert '"Action": "organizations:ListAccounts"' in error.remedy
    assert "delegated administrator" in error.remedy


def test_an_account_without_an_organization_is_told_so(lab: EC2Lab) -> None:
    lab.organization.clear()
    error = _refused(lambda: _ec2().organization.accounts(_document(), "acorn"))
    assert error.reason is Reason.AWS_ORGANIZATION_REFUSED
    assert "AWSOrganizationsNotInUseException" in error.message


def test_a_list_without_any_account_is_not_believed(lab: EC2Lab) -> None:
    lab.organization.put(Member(ACORN, "Acorn", "SUSPENDED"), Member(ST_JOHNS, "St Johns", "SUSPENDED"))
    error = _refused(lambda: _ec2().organization.accounts(_document(), "acorn"))
    assert (type(error), error.reason) == (TryLaterError, Reason.AWS_ANSWER_BROKEN)


def test_throttling_of_the_organization_may_pass(lab: EC2Lab) -> None:
    lab.script("refuse", code="TooManyRequestsException", action="ListAccounts", times=None)
    error = _refused(lambda: _ec2().organization.accounts(_document(), "acorn"))
    assert (type(error), error.reason) == (TryLaterError, Reason.AWS_THROTTLED)


def test_units_and_tags_of_an_account(lab: EC2Lab) -> None:
    lab.organization.put_units(Unit("ou-1", "Production"), Unit("ou-2", "Web", "ou-1"))
    lab.organization.put(Member(ST_JOHNS, "St Johns", unit="ou-2", tags={"cost:centre": "4711"}))
    ec2, document = _ec2(), _document()
    assert ec2.organization.units_of(document, "acorn", ST_JOHNS) == ["ou-2", "Web", "ou-1", "Production"]
    assert ec2.organization.units_of(document, "acorn", ACORN) == []
    assert ec2.organization.tags_of(document, "acorn", ST_JOHNS) == {"cost:centre": "4711"}


def test_motos_organization_reads_as_the_labs_does(running_fleet: MotoFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in running_fleet.environment().items():
        monkeypatch.setenv(name, value)
    client: Any = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY).client("organizations", region_name="us-east-1")
    client.create_organization(FeatureSet="ALL")
    [root] = client.list_roots()["Roots"]
    unit = client.create_organizational_unit(ParentId=root["Id"], Name="Production")["OrganizationalUnit"]
    made = client.create_account(AccountName="web", Email="web@acorn.example", Tags=[{"Key": "stage", "Value": "live"}])
    account = made["CreateAccountStatus"]["AccountId"]
    client.move_account(AccountId=account, SourceParentId=root["Id"], DestinationParentId=unit["Id"])
    old = client.create_account(AccountName="old", Email="old@acorn.example")["CreateAccountStatus"]["AccountId"]
    client.close_account(AccountId=old)
    try:
        ec2, document = _ec2(), _document()
        found = ec2.organization.accounts(document, "acorn")
        assert {one.name for one in found.accounts} >= {"web"}
        assert (account in {one.id for one in found.accounts}, found.left_out) == (True, 1)
        assert ec2.organization.units_of(document, "acorn", account) == [unit["Id"], "Production"]
        assert ec2.organization.tags_of(document, "acorn", account) == {"stage": "live"}
    finally:
        for one in client.list_accounts()["Accounts"]:
            if one["Id"] != ACORN:
                client.remove_account_from_organization(AccountId=one["Id"])
        client.delete_organization()
