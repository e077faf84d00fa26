"""One odd instance is one error, and order is not change: XML of EC2 as it can be, read, mapped and looked at."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import pytest

from shared.assets.aws.client import Ec2
from shared.assets.aws.readable_xml import readable
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.assets.mapping import AssetMapping
from shared.imports.plan.model import DesiredRecord
from shared.reasons import Reason
from tests.assets.tenants import ACCOUNT, FakeCredentials, tenant
from tests.scripted_service import Answer, scripted_service

GOOD = "i-0000000000019001"
ODD = "i-0000000000019002"
NAME = {"source": "tags.Name", "field": "name"}


def instance(instance_id: str, *, tags: str = "", more: str = "") -> str:
    identified = f"<instanceId>{instance_id}</instanceId>" if instance_id else ""
    state = "<instanceState><code>16</code><name>running</name></instanceState>"
    return f"<item>{identified}{state}<tagSet>{tags}</tagSet>{more}</item>"


def tag(key: str, value: str) -> str:
    return f"<item><key>{escape(key)}</key><value>{value}</value></item>"


def page(*instances: str) -> bytes:
    reservations = "".join(
        f"<item><reservationId>r-{number}</reservationId><ownerId>{ACCOUNT}</ownerId>"
        f"<instancesSet>{one}</instancesSet></item>"
        for number, one in enumerate(instances)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><DescribeInstancesResponse '
        f'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
        f"<reservationSet>{reservations}</reservationSet></DescribeInstancesResponse>"
    ).encode()


IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    f"<Arn>arn:aws:iam::{ACCOUNT}:user/desk</Arn><UserId>U</UserId><Account>{ACCOUNT}</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
).encode()


def read(body: bytes, monkeypatch: pytest.MonkeyPatch, *mappings: Mapping[str, Any]) -> dict[str, DesiredRecord]:
    """What becomes of the instances of a page, by id, with all that the product has between the wire and the plan."""
    document = AwsTenantDocument.model_validate(
        tenant(
            field_mappings=list(mappings) or [NAME],
            matching_field=None,
            asset_type={"default": "server"},
            site_rules=[],
        )
    )
    pair = {"username": "AKIAEXAMPLE", "password": "secret"}
    with scripted_service() as service:
        bodies = iter([IDENTITY, body])
        service.answer = lambda *_: Answer(200, next(bodies), {"Content-Type": "text/xml"})
        for name in ("EC2", "STS"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", service.url)
        ec2 = Ec2(
            FakeCredentials({"aws-acorn": json.dumps(pair)}), lambda *_: "", lambda: datetime.now(UTC), attempts=1
        )
        pages = list(ec2.read_instances(document, document.accounts[0], "eu-west-2"))
    mapping = AssetMapping(document, {"Server": "server"}, frozenset())
    return {record.id: record for record in (mapping.map_record(one) for found in pages for one in found)}


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (instance(ODD, tags="<item><key>Name</key></item>"), "tag"),
        (instance(ODD, tags="<item><value>x</value></item>"), "tag"),
        (instance(ODD, tags=tag("Name", "a") + tag("Name", "b")), "tag"),
        (instance(ODD, tags=tag("Name", "a&#1;b")), "control character"),
        (instance(ODD, tags=tag("Name", "a&#x0B;b")), "control character"),
        (instance(ODD, tags=tag("Name", "a\x02b")), "control character"),
        (instance(ODD, tags=tag("Name", "&#xD800;")), "control character"),
        (instance(ODD, more="<keyName>a&#8;</keyName>"), "control character"),
        (instance(ODD, more="<launchTime>yesterday</launchTime>"), "launchTime"),
        (instance(ODD, more="<launchTime>2026-13-45T99:00:00.000Z</launchTime>"), "launchTime"),
        (instance(ODD, more="<amiLaunchIndex>two</amiLaunchIndex>"), "amiLaunchIndex"),
        (instance(ODD, more="<amiLaunchIndex></amiLaunchIndex><launchTime/>"), "amiLaunchIndex and launchTime"),
    ],
)
def test_an_odd_instance_is_an_error_of_its_own_and_the_others_come_in(
    monkeypatch: pytest.MonkeyPatch, odd: str, words: str
) -> None:
    # Imports, case 19
    others = [f"i-{number:017}" for number in range(40)]
    good = [instance(one, tags=tag("Name", "caf\u00e9 &amp; &#10; web")) for one in others]
    records = read(page(*good[:20], odd, *good[20:]), monkeypatch)
    assert set(records) == {ODD, *others}
    assert (records[ODD].error_reason, records[ODD].values) == (Reason.VALUE_UNREADABLE, {})
    assert words in records[ODD].error
    assert all(not records[one].error and records[one].values["f_name"] == "caf\u00e9 & \n web" for one in others)


def test_a_character_that_xml_has_not_is_found_wherever_a_piece_of_the_answer_ends() -> None:
    body = "<a>caf\u00e9 &#x000001;&#10;&amp;\x02&#55296;&#x1F600;</a>".encode()
    for size in range(1, len(body) + 1):
        pieces = (body[start : start + size] for start in range(0, len(body), size))
        assert b"".join(readable(pieces)).decode() == "<a>caf\u00e9 \x7f&#10;&amp;\x7f\x7f&#x1F600;</a>", size


def test_bytes_that_are_no_text_are_an_error_of_their_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    body = page(instance(GOOD, tags=tag("Name", "ok")), instance(ODD, tags=tag("Name", "BYTE"))).replace(
        b"BYTE", b"\xff"
    )
    records = read(body, monkeypatch)
    assert (records[GOOD].error, "control character" in records[ODD].error) == ("", True)


def test_an_instance_without_an_id_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    records = read(page(instance(GOOD), instance("")), monkeypatch)
    assert set(records) == {GOOD, ""}
    assert (records[GOOD].error, records[""].error_reason) == ("", Reason.RECORD_INVALID)


@pytest.mark.parametrize("value", ["1e400", "-1e400", "nan", "inf"])
def test_a_number_that_json_has_not_is_an_error_of_its_instance(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    cost = {"source": "to_number(tags.Cost)", "field": "cost"}
    records = read(
        page(instance(GOOD, tags=tag("Cost", "12")), instance(ODD, tags=tag("Cost", value))), monkeypatch, NAME, cost
    )
    assert records[GOOD].values["f_cost"] == 12
    # jmespath itself makes a number of some of these, and nothing of the others.
    assert records[ODD].error or records[ODD].values["f_cost"] is None
    if records[ODD].error:
        assert records[ODD].error_reason is Reason.VALUE_UNREADABLE


GROUPS = "<item><groupId>sg-{0}</groupId><groupName>{0}</groupName></item>"
INTERFACE = (
    "<item><networkInterfaceId>eni-{0}</networkInterfaceId><privateIpAddress>10.0.0.{0}</privateIpAddress>"
    "<attachment><deviceIndex>{1}</deviceIndex></attachment></item>"
)
DISK = "<item><deviceName>/dev/sd{0}</deviceName></item>"


def lists(order: Sequence[int]) -> str:
    """The same three groups, interfaces, disks and tags in another order."""
    groups = "".join(GROUPS.format(("web", "db", "ssh")[number]) for number in order)
    interfaces = "".join(INTERFACE.format(9 - number, number) for number in order)
    disks = "".join(DISK.format("abc"[number]) for number in order)
    tags = "".join(tag(("Name", "Owner", "stage")[number], "x") for number in order)
    return instance(
        ODD,
        tags=tags,
        more=f"<groupSet>{groups}</groupSet><networkInterfaceSet>{interfaces}</networkInterfaceSet>"
        f"<blockDeviceMapping>{disks}</blockDeviceMapping>",
    )


def test_the_order_of_what_ec2_keeps_as_sets_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    # Imports, case 14
    sources = {
        "groups": "SecurityGroups[].GroupName",
        "ips": "NetworkInterfaces[].PrivateIpAddress",
        "first-ip": "NetworkInterfaces[0].PrivateIpAddress",
        "disks": "BlockDeviceMappings[].DeviceName",
        "all-tags": "Tags",
    }
    mappings = [{"source": source, "field": field, "create_field": True} for field, source in sources.items()]
    found = [read(page(lists(order)), monkeypatch, NAME, *mappings)[ODD] for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0])]
    assert found[0].values == found[1].values == found[2].values
    assert found[0].source == found[1].source == found[2].source
    assert found[0].values["f_groups"] == "db, ssh, web"
    # The first interface of the machine stays the first.
    assert found[0].values["f_ips"] == "10.0.0.9, 10.0.0.8, 10.0.0.7"
    assert found[0].values["f_first_ip"] == "10.0.0.9"


def test_a_function_of_what_an_instance_has_not_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = {"source": "sort(SecurityGroups[].GroupName)", "field": "groups"}
    records = read(page(instance(GOOD, tags=tag("Name", "x"))), monkeypatch, NAME, mapping)
    assert (records[GOOD].error, records[GOOD].values["f_groups"]) == ("", None)


PLAIN_KEYS = ("a.b", "cost:centre", "x y", "a/b+c=d@e")
ODD_KEYS = ("Owner (team)", "app#1", "it's", "a&b", "a|b", "a,b", "a[0]", "a*", 'say "x"', "Name ")


def document_of(source: str) -> AwsTenantDocument:
    mappings = [{"source": source, "field": "name"}]
    changes: dict[str, Any] = {"matching_field": None, "asset_type": {"default": "server"}, "site_rules": []}
    return AwsTenantDocument.model_validate(tenant(field_mappings=mappings, **changes))


@pytest.mark.parametrize(
    ("key", "source"),
    [*((key, f"tags.{key}") for key in PLAIN_KEYS), *((key, f"tags.{json.dumps(key)}") for key in ODD_KEYS)],
)
def test_a_tag_of_any_key_is_read(key: str, source: str) -> None:
    # Imports, case 17
    mapping = AssetMapping(document_of(source), {"Server": "server"}, frozenset())
    record = mapping.map_record({"InstanceId": GOOD, "tags": {key: "VALUE"}})
    assert record.values["f_name"] == "VALUE"


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_that_an_expression_would_hide_is_refused_with_how_to_write_it(key: str) -> None:
    with pytest.raises(ValueError, match="For the tag of") as refused:
        document_of(f"tags.{key}")
    assert f"write tags.{json.dumps(key)}" in str(refused.value)
