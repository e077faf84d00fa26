"""The EC2 emulator, read by the real boto3: EC2's paging rules, its refusals, and its bad days."""

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError
from botocore.parsers import ResponseParserError

from lab.emulators.ec2.accounts import (
    ACORN,
    EXTERNAL_ID,
    KEYLESS_AUDIENCE,
    KEYLESS_ROLE_ARN,
    LONDON,
    REGIONS,
    ROLE_ARN,
    ST_JOHNS,
)
from lab.emulators.ec2.identity import Role
from lab.emulators.ec2.process import EC2Process
from lab.emulators.ec2.records import Record
from lab.emulators.ec2.server import EC2Lab
from tests.lab.emulators.ec2.tokens import unsigned_token

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture(scope="module")
def lab() -> Iterator[EC2Lab]:
    with EC2Lab({(ACORN, LONDON): 130}) as running:
        yield running


@pytest.fixture(autouse=True)
def quiet(lab: EC2Lab) -> Iterator[None]:
    yield
    lab.service.faults.clear()
    lab.service.denied.clear()


def client(
    lab: EC2Lab | EC2Process,
    service: Any = "ec2",
    *,
    region: Any = LONDON,
    config: Config = ONCE,
    key_id: str | None = None,
    secret: str | None = None,
    keys: Any = None,
) -> Any:
    """The lab's own keys; or another id or secret; or the Credentials that STS gave."""
    own = lab.credentials()
    session = (
        boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        if keys
        else boto3.Session(key_id or own.access_key_id, secret or own.secret_access_key)
    )
    return session.client(service, region_name=region, endpoint_url=lab.url, config=config)


def instances(ec2: Any, page_size: int = 1_000, **arguments: Any) -> list[dict[str, Any]]:
    pages = ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": page_size}, **arguments)
    return [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response: Any = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_pages_of_every_size_hold_each_instance_once(lab: EC2Lab) -> None:
    ec2 = client(lab)
    whole = instances(ec2)
    assert len({one["InstanceId"] for one in whole}) == len(whole) == 130
    for page_size in (5, 50, 129, 130):
        assert {one["InstanceId"] for one in instances(ec2, page_size)} == {one["InstanceId"] for one in whole}
    assert [call.page for call in lab.journal[-3:]] == [1, 2, 1]


def test_reservations_hold_several_instances_and_their_owner(lab: EC2Lab) -> None:
    found = client(lab).describe_instances()["Reservations"]
    assert {reservation["OwnerId"] for reservation in found} == {ACORN}
    assert {len(reservation["Instances"]) for reservation in found} == {1, 2, 3, 4, 5}


def test_an_instance_carries_the_members_of_a_present_day_one(lab: EC2Lab) -> None:
    found = instances(client(lab))
    running = next(one for one in found if one["State"]["Name"] == "running" and one.get("PublicIpAddress"))
    present = (
        "ImageId PrivateIpAddress InstanceType LaunchTime Architecture VpcId SubnetId Tags BlockDeviceMappings "
        "NetworkInterfaces SecurityGroups Placement MetadataOptions PlatformDetails CpuOptions Operator"
    )
    for member in present.split():
        assert running[member], member
    assert {one["Architecture"] for one in found} == {"x86_64", "arm64"}
    assert {one["State"]["Name"] for one in found} == {"running", "stopped", "terminated"}
    assert any(one.get("Platform") == "windows" for one in found)
    assert any(one.get("InstanceLifecycle") == "spot" for one in found)
    assert any("Tags" not in one for one in found)
    gone = next(one for one in found if one["State"]["Name"] == "terminated")
    assert "PrivateIpAddress" not in gone
    assert gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"MaxResults": 4}, "InvalidParameterValue"),
        ({"MaxResults": 1001}, "InvalidParameterValue"),
        ({"MaxResults": 5, "InstanceIds": ["i-0123456789abcdef0"]}, "InvalidParameterCombination"),
        ({"NextToken": "made-up"}, "InvalidParameterValue"),
        ({"NextToken": "ümläut"}, "InvalidParameterValue"),
        ({"InstanceIds": ["i-0123456789abcdef0"]}, "InvalidInstanceID.NotFound"),
        ({"InstanceIds": ["web-1"]}, "InvalidInstanceID.Malformed"),
        ({"Filters": [{"Name": "colour", "Values": ["red"]}]}, "InvalidParameterValue"),
    ],
)
def test_ec2s_rules_for_parameters_hold(lab: EC2Lab, arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as error:
        client(lab).describe_instances(**arguments)
    assert refused(error) == (code, 400)


def test_a_token_serves_its_own_request_and_expires(lab: EC2Lab) -> None:
    ec2 = client(lab)
    token = ec2.describe_instances(MaxResults=5)["NextToken"]
    assert ec2.describe_instances(MaxResults=5, NextToken=token)["Reservations"]
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    with pytest.raises(ClientError) as error:
        ec2.describe_instances(MaxResults=5, NextToken=token, Filters=running)
    assert refused(error) == ("InvalidNextToken", 400)
    lab.expire_tokens()
    with pytest.raises(ClientError) as error:
        ec2.describe_instances(MaxResults=5, NextToken=token)
    assert refused(error) == ("InvalidNextToken", 400)


def test_filters_narrow_as_ec2_does(lab: EC2Lab) -> None:
    ec2 = client(lab)
    whole = instances(ec2)

    def names(found: list[dict[str, Any]]) -> set[str]:
        return {one["InstanceId"] for one in found}

    def tag(one: dict[str, Any], key: str) -> str | None:
        return next((tag["Value"] for tag in one.get("Tags", []) if tag["Key"] == key), None)

    def matching(*filters: tuple[str, list[str]]) -> set[str]:
        given = [{"Name": name, "Values": values} for name, values in filters]
        return names(instances(ec2, 7, Filters=given))

    assert matching(("instance-state-name", ["running", "stopped"])) == names(
        [one for one in whole if one["State"]["Name"] != "terminated"]
    )
    assert matching(("tag:Name", ["ACORN-LDN-*", "STJ-00000?"])) == names(
        [one for one in whole if (tag(one, "Name") or "").startswith(("ACORN-LDN-", "STJ-00000"))]
    )
    assert matching(("tag-key", ["Name"])) == names([one for one in whole if tag(one, "Name")])
    assert matching(("instance-state-name", ["stopped"]), ("architecture", ["arm64"])) == names(
        [one for one in whole if one["State"]["Name"] == "stopped" and one["Architecture"] == "arm64"]
    )
    assert matching(("tag:Name", ["*"]), ("tag:Name", ["nothing"])) == set()
    wanted = whole[3]["InstanceId"]
    assert names(instances(ec2, 5, Filters=[{"Name": "instance-id", "Values": [wanted]}])) == {wanted}
    found = ec2.describe_instances(InstanceIds=[wanted])["Reservations"]
    assert [one["InstanceId"] for one in found[0]["Instances"]] == [wanted]


def test_accounts_roles_and_keyless_sessions_see_their_own(lab: EC2Lab) -> None:
    lab.put(
        Record("i-00000000000000001", "r-1", {"Name": "STJ-MOODLE & <co> 'quoted' \"twice\" \r\n東京"}),
        account=ST_JOHNS,
    )
    sts = client(lab, "sts")
    assert sts.get_caller_identity()["Account"] == ACORN
    keys = sts.assume_role(RoleArn=ROLE_ARN, RoleSessionName="deskbridge", ExternalId=EXTERNAL_ID)["Credentials"]
    assert client(lab, "sts", keys=keys).get_caller_identity()["Account"] == ST_JOHNS
    [found] = instances(client(lab, keys=keys))
    assert found["Tags"] == [{"Key": "Name", "Value": "STJ-MOODLE & <co> 'quoted' \"twice\" \r\n東京"}]
    with pytest.raises(ClientError) as error:
        sts.assume_role(RoleArn=ROLE_ARN, RoleSessionName="deskbridge", ExternalId="wrong")
    assert refused(error) == ("AccessDenied", 403)
    keys = sts.assume_role_with_web_identity(
        RoleArn=KEYLESS_ROLE_ARN, RoleSessionName="deskbridge", WebIdentityToken=unsigned_token(KEYLESS_AUDIENCE)
    )["Credentials"]
    assert len(instances(client(lab, keys=keys))) == 130


def test_keys_signatures_and_sessions_are_checked(lab: EC2Lab) -> None:
    for stranger in (client(lab, key_id="AKIAUNKNOWN000000000"), client(lab, secret="wrong")):
        with pytest.raises(ClientError) as error:
            stranger.describe_instances()
        assert refused(error) == ("AuthFailure", 401)
    keys = client(lab, "sts").assume_role(
        RoleArn=ROLE_ARN, RoleSessionName="deskbridge", ExternalId=EXTERNAL_ID, DurationSeconds=900
    )["Credentials"]
    lab.directory.now = lambda: keys["Expiration"]
    try:
        with pytest.raises(ClientError) as error:
            client(lab, keys=keys).describe_instances()
        assert refused(error) == ("RequestExpired", 400)
    finally:
        lab.directory.now = type(lab.directory)().now


def test_regions_and_permissions_refuse_as_ec2_does(lab: EC2Lab) -> None:
    assert {region["RegionName"] for region in client(lab).describe_regions()["Regions"]} == set(REGIONS)
    with pytest.raises(ClientError) as error:
        client(lab, region="ap-east-1").describe_instances()
    assert refused(error) == ("AuthFailure", 401)
    lab.script("refuse", code="OptInRequired")
    with pytest.raises(ClientError) as error:
        client(lab).describe_instances()
    assert refused(error) == ("OptInRequired", 403)
    lab.deny("DescribeInstances", region=LONDON)
    with pytest.raises(ClientError, match="Encoded authorization failure message: ") as error:
        client(lab).describe_instances()
    assert refused(error) == ("UnauthorizedOperation", 403)
    assert client(lab).describe_regions()["Regions"]
    lab.service.denied.clear()
    with pytest.raises(ClientError) as error:
        client(lab).describe_instances(DryRun=True)
    assert refused(error) == ("DryRunOperation", 412)
    with pytest.raises(ClientError) as error:
        client(lab).describe_volumes()
    assert refused(error) == ("InvalidAction", 400)


def test_another_partition_is_its_regions_keys_and_roles() -> None:
    role = Role("arn:aws-us-gov:iam::444455556666:role/deskbridge-read", trusted_accounts=(ACORN,))
    with EC2Lab({}, regions=("us-gov-west-1",), not_opted_in=()) as lab:
        lab.directory.add_roles([role])
        keys = client(lab, "sts").assume_role(RoleArn=role.arn, RoleSessionName="deskbridge")["Credentials"]
        arn = client(lab, "sts", region="us-gov-west-1", keys=keys).get_caller_identity()["Arn"]
        assert arn == "arn:aws-us-gov:sts::444455556666:assumed-role/deskbridge-read/deskbridge"
        assert instances(client(lab, region="us-gov-west-1")) == []


def test_throttling_is_waited_out_by_botocores_standard_mode(lab: EC2Lab) -> None:
    lab.script("refuse", code="RequestLimitExceeded", page=2, times=2)
    patient = client(lab, config=Config(retries={"mode": "standard", "total_max_attempts": 5}))
    assert len(instances(patient, 100)) == 130
    assert [(call.page, call.code) for call in lab.journal[-4:]] == [
        (1, None),
        (2, "RequestLimitExceeded"),
        (2, "RequestLimitExceeded"),
        (2, None),
    ]
    lab.limit_rate(0.001, burst=2)
    with pytest.raises(ClientError) as error:
        instances(client(lab), 5)
    assert refused(error) == ("RequestLimitExceeded", 503)
    assert [call.code for call in lab.journal[-3:]] == [None, None, "RequestLimitExceeded"]


def test_answers_break_in_every_way(lab: EC2Lab) -> None:
    ec2 = client(lab)
    lab.script("reset")
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        ec2.describe_instances()
    lab.script("truncated")  # botocore does not compare the length: it is the parser that notices
    with pytest.raises(ResponseParserError):
        ec2.describe_instances()
    lab.script("malformed")
    with pytest.raises(ResponseParserError):
        ec2.describe_instances()
    lab.script("html")
    with pytest.raises((ResponseParserError, ClientError)):
        ec2.describe_instances()
    lab.script("slow", seconds=0.2)
    started = time.monotonic()
    assert ec2.describe_instances()["Reservations"]
    assert time.monotonic() - started >= 0.2
    token = ec2.describe_instances(MaxResults=5)["NextToken"]
    lab.script("repeat_token")
    assert ec2.describe_instances(MaxResults=5, NextToken=token)["NextToken"] == token


def test_gzip_is_given_to_those_who_ask(lab: EC2Lab) -> None:
    ec2 = client(lab)
    answers: list[requests.Response] = []

    def send_again(request: Any, **_: Any) -> None:  # botocore neither asks for gzip nor undoes it
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        for encoding in ("identity", "gzip"):
            headers["Accept-Encoding"] = encoding
            answers.append(requests.post(request.url, data=request.body, headers=headers, timeout=10))

    ec2.meta.events.register("before-send.ec2.DescribeInstances", send_again)
    ec2.describe_instances()
    plain, compressed = answers
    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.text == plain.text
    assert int(compressed.headers["Content-Length"]) * 10 < int(plain.headers["Content-Length"])
    assert [call.gzip for call in lab.journal[-3:]] == [False, True, False]


def test_generations_change_the_share_they_name_and_nothing_else() -> None:
    with EC2Lab({(ACORN, LONDON): 400}) as lab:
        first = {one["InstanceId"]: one for one in instances(client(lab))}
        lab.advance(changed_percent=10)
        second = {one["InstanceId"]: one for one in instances(client(lab))}
        assert first.keys() == second.keys()
        assert 20 <= sum(first[key] != second[key] for key in first) <= 70
        lab.advance(changed_percent=0, gone_percent=10, added=30)
        third = {one["InstanceId"]: one for one in instances(client(lab))}
        assert len(third.keys() - second.keys()) == 30
        assert 20 <= len(second.keys() - third.keys()) <= 70
        assert all(second[key] == third[key] for key in third.keys() & second.keys())
    with EC2Lab({(ACORN, LONDON): 400}) as again:
        assert {one["InstanceId"]: one for one in instances(client(again))} == first


def test_the_fleet_changes_while_its_pages_are_read(lab: EC2Lab) -> None:
    region = REGIONS[2]
    lab.put(*(Record(f"i-{number:017x}", f"r-{number}") for number in range(12)), region=region)
    lab.on_page(2, lambda: lab.remove(f"i-{1:017x}", region=region))
    found = [one["InstanceId"] for one in instances(client(lab, region=region), 5)]
    assert found == [f"i-{number:017x}" for number in range(12)]
    assert len(instances(client(lab, region=region), 5)) == 11
