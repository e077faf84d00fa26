"""The lab's machines, read by the real boto3: in the lab's own EC2, and in moto's as an independent reading of EC2."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.emulators.ec2.accounts import (
    ACORN,
    EXTERNAL_ID,
    KEYLESS_AUDIENCE,
    KEYLESS_ROLE_ARN,
    REGIONS,
    ROLE_ARN,
    ST_JOHNS,
)
from lab.emulators.ec2.fleet import Fleet
from lab.emulators.ec2.machines import MACHINES, Machine
from tests.assets.moto_ec2 import MotoFleet
from tests.lab.emulators.ec2.tokens import unsigned_token

AnyFleet = Fleet | MotoFleet
ONCE = Config(retries={"total_max_attempts": 1})


class Reader:
    """boto3 as an administrator would use it, with the fleet's keys or another pair."""

    def __init__(
        self, fleet: AnyFleet, key: str | None = None, secret: str | None = None, token: str | None = None
    ) -> None:
        credentials = fleet.credentials()
        self.url = fleet.url
        self.session = boto3.Session(
            key or credentials.access_key_id, secret or credentials.secret_access_key, token, region_name="eu-west-2"
        )

    def ec2(self, region: Any) -> Any:  # boto3-stubs know the regions as literals and no member as certain
        return self.session.client("ec2", region_name=region, endpoint_url=self.url, config=ONCE)

    def sts(self) -> Any:
        return self.session.client("sts", endpoint_url=self.url, config=ONCE)

    def instances(self, region: str) -> dict[str, Any]:
        pages = self.ec2(region).get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5})
        return {
            instance["InstanceId"]: dict(instance)
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        }

    def as_st_johns(self, fleet: AnyFleet) -> "Reader":
        found = self.sts().assume_role(RoleArn=ROLE_ARN, RoleSessionName="deskbridge", ExternalId=EXTERNAL_ID)
        keys = found["Credentials"]
        return Reader(fleet, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


@pytest.fixture(scope="module", params=[Fleet, MotoFleet])
def fleet(request: pytest.FixtureRequest) -> Iterator[AnyFleet]:
    with request.param() as running:
        yield running


@pytest.fixture(scope="module")
def acorn(fleet: AnyFleet) -> Reader:
    return Reader(fleet)


def everything(fleet: AnyFleet) -> str:
    acorn = Reader(fleet)
    found = [reader.instances(region) for reader in (acorn, acorn.as_st_johns(fleet)) for region in REGIONS]
    return json.dumps(found, default=str, sort_keys=True)


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response: Any = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_every_machine_is_listed_in_its_account_and_region(fleet: AnyFleet, acorn: Reader) -> None:
    for account, reader in ((ACORN, acorn), (ST_JOHNS, acorn.as_st_johns(fleet))):
        for region in REGIONS:
            expected = {
                fleet.instance_id(account, machine.label): (machine.state, machine.tags, machine.architecture)
                for machine in MACHINES
                if (machine.account, machine.region) == (account, region)
            }
            assert {
                instance_id: (
                    found["State"]["Name"],
                    {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
                    found["Architecture"],
                )
                for instance_id, found in reader.instances(region).items()
            } == expected
    assert len(MACHINES) >= 40


def test_the_fleet_has_what_real_fleets_have(fleet: AnyFleet, acorn: Reader) -> None:
    found = [
        one
        for reader in (acorn, acorn.as_st_johns(fleet))
        for region in REGIONS
        for one in reader.instances(region).values()
    ]
    tags = [{tag["Key"]: tag["Value"] for tag in one.get("Tags", [])} for one in found]
    names = [each["Name"] for each in tags if "Name" in each]
    assert {one["State"]["Name"] for one in found} == {
        "pending",
        "running",
        "stopping",
        "stopped",
        "shutting-down",
        "terminated",
    }
    assert {one["Architecture"] for one in found} == {"arm64", "x86_64"}
    assert {one.get("Platform") for one in found} == {None, "windows"}
    assert {one.get("InstanceLifecycle") for one in found} == {None, "spot"}
    assert len({one["VpcId"] for one in found if "VpcId" in one}) >= 6
    assert any(interface["Ipv6Addresses"] for one in found for interface in one["NetworkInterfaces"])
    assert any("PublicIpAddress" in one for one in found)
    assert any("PublicIpAddress" not in one for one in found)
    assert {} in tags
    assert "" in names
    assert any("Name" not in each and each for each in tags)
    assert len(names) > len(set(names))
    assert max(len(name) for name in names) > 240
    for piece in ('"', "'", "/", "\\", "東京", "🚀", "\t"):
        assert any(piece in name for name in names), piece
    assert any(each.get("AssetNumber", "").startswith("SERV-") for each in tags)  # AWS-38
    assert any("ACORN-LDN" in name for name in names)
    # EC2's own words for when: a day, not the moment of the lab's start.
    assert len({one["LaunchTime"] for one in found}) > 3


def test_a_second_start_holds_an_unchanged_fleet(fleet: AnyFleet) -> None:
    # Ids, addresses and times are made up: nothing of it is left to chance, nor to what ran before.
    code = "from tests.lab.emulators.ec2.test_fleet import *\n"
    code += f"with {type(fleet).__name__}() as fleet: print(everything(fleet), end='')"
    another = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(another.stdout) > 10_000
    assert another.stdout == everything(fleet)


def test_account_role_and_external_id_are_checked(fleet: AnyFleet, acorn: Reader) -> None:
    assert acorn.sts().get_caller_identity()["Account"] == ACORN
    identity = acorn.as_st_johns(fleet).sts().get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (
        ST_JOHNS,
        f"arn:aws:sts::{ST_JOHNS}:assumed-role/deskbridge-read/deskbridge",
    )
    for arguments in ({"ExternalId": "wrong"}, {}, {"RoleArn": ROLE_ARN + "x"}):
        with pytest.raises(ClientError) as error:
            acorn.sts().assume_role(**{"RoleArn": ROLE_ARN, "RoleSessionName": "deskbridge", **arguments})
        assert refused(error) == ("AccessDenied", 403)


def test_a_wrong_key_or_secret_is_refused_as_aws_does(fleet: AnyFleet, acorn: Reader) -> None:
    for reader in (Reader(fleet, key="AKIAUNKNOWN000000000"), Reader(fleet, secret="wrong")):
        with pytest.raises(ClientError) as error:
            reader.ec2("eu-west-2").describe_instances()
        assert refused(error) == ("AuthFailure", 401)
    with pytest.raises(ClientError) as error:
        Reader(fleet, secret="wrong").sts().get_caller_identity()
    assert refused(error) == ("SignatureDoesNotMatch", 403)


def test_a_region_not_opted_in_answers_auth_failure_and_is_listed_only_among_all(acorn: Reader) -> None:
    with pytest.raises(ClientError) as error:
        acorn.ec2("ap-east-1").describe_instances()
    assert refused(error) == ("AuthFailure", 401)
    ec2 = acorn.ec2("eu-west-2")
    assert {region.get("RegionName") for region in ec2.describe_regions()["Regions"]} == set(REGIONS)
    status = {
        region.get("RegionName"): region.get("OptInStatus")
        for region in ec2.describe_regions(AllRegions=True)["Regions"]
    }
    assert status["ap-east-1"] == "not-opted-in"
    assert status["eu-west-2"] == "opt-in-not-required"


def test_a_managed_identitys_token_becomes_a_session(fleet: AnyFleet) -> None:
    sts = Reader(fleet).sts()

    def exchange(token: str) -> Any:
        return sts.assume_role_with_web_identity(
            RoleArn=KEYLESS_ROLE_ARN, RoleSessionName="deskbridge", WebIdentityToken=token
        )

    keys = exchange(unsigned_token(KEYLESS_AUDIENCE))["Credentials"]
    keyless = Reader(fleet, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    assert keyless.sts().get_caller_identity()["Account"] == ACORN
    assert keyless.instances("eu-west-2")
    for token, code in (
        (unsigned_token("api://other"), "InvalidIdentityToken"),
        (unsigned_token(KEYLESS_AUDIENCE, lifetime_seconds=-1), "ExpiredTokenException"),
        ("not.a.token", "InvalidIdentityToken"),
    ):
        with pytest.raises(ClientError) as error:
            exchange(token)
        assert refused(error) == (code, 400)


def test_changes_to_the_fleet_are_seen_by_the_next_read(fleet: AnyFleet, acorn: Reader) -> None:
    added = fleet.add(Machine(ACORN, "eu-west-1", "added-later", {"Name": "ACORN-DUB-NEW"}))
    assert acorn.instances("eu-west-1")[added]["Tags"] == [{"Key": "Name", "Value": "ACORN-DUB-NEW"}]
    fleet.tag(added, Name="ACORN-DUB-RENAMED", Extra="1")
    fleet.tag(added, Extra=None)
    fleet.stop_instance(added)
    found = acorn.instances("eu-west-1")[added]
    assert (found["Tags"], found["State"]) == (
        [{"Key": "Name", "Value": "ACORN-DUB-RENAMED"}],
        {"Code": 80, "Name": "stopped"},
    )
    fleet.terminate(added)
    assert acorn.instances("eu-west-1")[added]["State"]["Name"] == "terminated"
    fleet.forget(added)
    assert added not in acorn.instances("eu-west-1")


def test_a_region_refuses_on_request_and_the_journal_has_it(fleet: AnyFleet, acorn: Reader) -> None:
    fleet.refuse(ACORN, "us-east-1", "UnauthorizedOperation")
    with pytest.raises(ClientError, match="Encoded authorization failure message") as error:
        acorn.ec2("us-east-1").describe_instances()
    assert refused(error) == ("UnauthorizedOperation", 403)
    call = fleet.journal[-1]
    assert (call.action, call.account, call.region, call.code) == (
        "DescribeInstances",
        ACORN,
        "us-east-1",
        "UnauthorizedOperation",
    )
    fleet.refuse(ACORN, "us-east-1", None)
    assert acorn.instances("us-east-1")


def test_one_process_holds_one_fleet_of_moto() -> None:
    with pytest.raises(RuntimeError, match="another fleet is running"), MotoFleet(), MotoFleet():
        pass
