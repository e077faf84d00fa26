"""The parser of EC2's answers against botocore's own: the same values, whatever the answer holds."""

import gzip
import random
import string
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import boto3
import botocore.session
import pytest
from botocore.parsers import EC2QueryParser, ResponseParserError
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.emulators.ec2.accounts import ACORN, LONDON
from lab.emulators.ec2.pages import Pages, Query
from lab.emulators.ec2.records import Generated
from lab.emulators.ec2.server import EC2Lab
from shared.assets.aws import parser
from shared.assets.aws.client import Ec2
from shared.assets.aws.parser import EC2Parser, members_of
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.assets.mapping import FAULT, completed
from shared.rules.expressions import compile_expression, names_in
from tests.assets.tenants import FakeCredentials, tenant

_MODEL = botocore.session.get_session().get_service_model("ec2").operation_model("DescribeInstances")
_SHAPE: Any = _MODEL.output_shape
_INSTANCE: Any = _SHAPE.members["Reservations"].member.members["Instances"].member
_ALL = frozenset(_INSTANCE.members)
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


def _response(body: bytes, *, zipped: bool = False, status: int = 200) -> dict[str, Any]:
    headers = {"Content-Type": "text/xml;charset=UTF-8"}
    if zipped:
        body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
    return {"status_code": status, "headers": _CaseBlind(headers), "body": body, "context": {}}


class _CaseBlind(dict[str, str]):
    """As the headers that botocore's endpoint hands to a parser."""

    def get(self, name: str, default: Any = None) -> Any:
        return {key.lower(): value for key, value in self.items()}.get(name.lower(), default)


def _read_by_botocore(body: bytes, members: frozenset[str] = _ALL) -> dict[str, Any]:
    """What botocore reads, with the members of the instances that are asked for."""
    parsed: dict[str, Any] = EC2QueryParser().parse(_response(body), _SHAPE)
    for reservation in parsed.get("Reservations", ()):
        reservation.pop("Groups", None)
        for instance in reservation.get("Instances", ()):
            for name in set(instance) - members:
                del instance[name]
    return parsed


def _read(body: bytes, members: frozenset[str] = _ALL, *, zipped: bool = False) -> dict[str, Any]:
    parsed: dict[str, Any] = EC2Parser(members).parse(_response(body, zipped=zipped), _SHAPE)
    parsed["ResponseMetadata"]["HTTPHeaders"].pop("content-encoding", None)
    return parsed


def _document(*sources: str) -> AwsTenantDocument:
    mappings = [{"source": source, "field": f"field-{number}"} for number, source in enumerate(sources)]
    return AwsTenantDocument.model_validate(
        tenant(
            field_mappings=mappings,
            matching_field=None,
            asset_type={"default": "server"},
            site_rules=[
                {"site": "leeds", "criteria": [{"field": "source.Monitoring.State", "operator": "is_empty"}]},
            ],
        )
    )


# Equal values


@pytest.fixture(scope="module")
def page() -> bytes:
    """A page as the stand-in sends it: all the members of present-day instances."""
    records = Generated(ACORN, LONDON, 250, seed=7)
    rendered = Pages().page(ACORN, LONDON, records, Query(200, (), (), 1, 0), 0)
    return gzip.decompress(rendered.compressed)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("members", [_ALL, frozenset({"InstanceId"}), frozenset({"Tags", "NetworkInterfaces"})])
def test_a_full_page_is_read_as_botocore_reads_it(page: bytes, members: frozenset[str], zipped: bool) -> None:
    expected = _read_by_botocore(page, members)
    assert sum(len(reservation["Instances"]) for reservation in expected["Reservations"]) == 200
    assert expected["NextToken"]
    assert _read(page, members, zipped=zipped) == expected


def _element(draw: st.DrawFn, shape: Any, tag: str) -> str:
    return f"<{tag}>{_content(draw, shape)}</{tag}>"


_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
_SCALARS: dict[str, st.SearchStrategy[str]] = {
    "string": _TEXTS,
    "boolean": st.sampled_from(["true", "false", "", "TRUE"]),
    "integer": st.integers(-9, 10**9).map(str),
    "timestamp": st.one_of(
        st.datetimes(datetime(1601, 1, 1)).map(lambda at: f"{at.isoformat(timespec='milliseconds')}Z"),  # noqa: DTZ001 - the text says Z
        st.datetimes(datetime(1601, 1, 1)).map(lambda at: f"{at.isoformat(timespec='seconds')}Z"),  # noqa: DTZ001
        st.sampled_from(
            ["2020-02-29T23:59:60Z", "2021-03-04T05:06:07+02:00", "1600000000", "2020-02-30T00:00:00Z", ""]
        ),
    ),
}


def _content(draw: st.DrawFn, shape: Any) -> str:
    space = draw(st.sampled_from(["", "\n  ", "<!-- a remark -->"]))
    if shape.type_name == "structure":
        chosen = draw(st.lists(st.sampled_from(sorted(shape.members)), unique=True, max_size=6))
        parts = [_element(draw, shape.members[name], shape.members[name].serialization["name"]) for name in chosen]
        if draw(st.booleans()):
            parts.append("<newMember><item><state>new</state></item></newMember>")
        return space + space.join(parts) + space
    if shape.type_name == "list":
        count = draw(st.integers(0, 2))
        return space + "".join(_element(draw, shape.member, "item") for _ in range(count))
    return escape(draw(_SCALARS[shape.type_name]))


@st.composite
def _answers(draw: st.DrawFn) -> bytes:
    reservations = "".join(
        "<item><reservationId>r-1</reservationId>"
        + draw(st.sampled_from(["", "<ownerId>111122223333</ownerId>", "<groupSet/>"]))
        + "<instancesSet>"
        + "".join(_element(draw, _INSTANCE, "item") for _ in range(draw(st.integers(0, 3))))
        + "</instancesSet></item>"
        for _ in range(draw(st.integers(0, 3)))
    )
    token = draw(st.sampled_from(["", "<nextToken>abc&amp;def</nextToken>", "<nextToken/>"]))
    namespace = draw(
        st.sampled_from([f' xmlns="{_NAMESPACE}"', "", ' xmlns="http://ec2.amazonaws.com/doc/2099-01-01/"'])
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<DescribeInstancesResponse{namespace}><requestId>id-1</requestId>"
        f"<reservationSet>{reservations}</reservationSet>{token}</DescribeInstancesResponse>"
    ).encode()


def _outcome(read: Callable[[], dict[str, Any]]) -> Any:
    try:
        return read()
    except (ValueError, RuntimeError, ResponseParserError) as error:
        return type(error)


def _check_agreed(ours: Any, botocores: Any) -> None:
    """Equal. But one value that cannot be read costs botocore the page, and here the instance alone."""
    if botocores is ValueError:
        faults = [FAULT in one for reservation in ours["Reservations"] for one in reservation.get("Instances", ())]
        assert any(faults)
    else:
        assert ours == botocores


@settings(max_examples=300)
@given(_answers(), st.booleans(), st.integers(300, 5_000))
def test_any_answer_is_read_as_botocore_reads_it(body: bytes, zipped: bool, piece: int) -> None:
    before, parser._PIECE = parser._PIECE, piece
    try:
        _check_agreed(_outcome(lambda: _read(body, zipped=zipped)), _outcome(lambda: _read_by_botocore(body)))
    finally:
        parser._PIECE = before


def test_a_page_is_read_in_pieces_and_never_held_as_a_whole_tree(page: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    take = EC2Parser._take

    def watch(self: EC2Parser, root: ET.Element, *arguments: Any, **named: Any) -> None:
        nonlocal largest
        largest = max(largest, sum(1 for _ in root.iter()))
        take(self, root, *arguments, **named)

    monkeypatch.setattr(EC2Parser, "_take", watch)
    _read(page, zipped=True)
    whole = sum(1 for _ in ET.fromstring(page).iter())  # noqa: S314 - our own page
    assert largest < whole / 10


# Broken answers


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("cut", [0, 10, 5_000, 100_000, -1])
def test_an_answer_that_is_cut_off_is_never_taken_for_a_short_one(page: bytes, cut: int, zipped: bool) -> None:
    with pytest.raises(ResponseParserError):
        _read(page[:cut], zipped=zipped)


@pytest.mark.parametrize("cut", [1, 15, 1_000, -1, -9])
def test_a_compressed_answer_that_is_cut_off_or_broken_is_refused(page: bytes, cut: int) -> None:
    whole = gzip.compress(page)
    response = _response(page, zipped=True)
    with pytest.raises(ResponseParserError):
        EC2Parser(_ALL).parse({**response, "body": whole[:cut]}, _SHAPE)
    broken = bytearray(whole)
    broken[len(broken) // 2] ^= 0xFF
    with pytest.raises(ResponseParserError):
        EC2Parser(_ALL).parse({**response, "body": bytes(broken)}, _SHAPE)


def test_a_compressed_answer_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "LARGEST_PAGE", 1_000_000)
    bomb = b"<a>" + b" " * 50_000_000
    with pytest.raises(ResponseParserError, match="more than 1000000 bytes"):
        _read(bomb, zipped=True)


_ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">
<!ENTITY f SYSTEM "file:///etc/passwd">]><DescribeInstancesResponse><reservationSet><item><ownerId>&b;%s</ownerId>
<instancesSet/></item></reservationSet></DescribeInstancesResponse>"""


@pytest.mark.parametrize("more", [b"", b"&f;", b"x" * 100_000])
def test_entities_are_refused(more: bytes) -> None:
    with pytest.raises(ResponseParserError):
        _read(_ENTITIES % more)


@pytest.mark.parametrize("body", [b"", b"   ", b"<html><body>Sign in</body></html>", b"nothing", b"<a><b></a>"])
def test_another_answer_than_ec2s_is_refused_or_read_as_botocore_does(body: bytes) -> None:
    read, expected = _outcome(lambda: _read(body)), _outcome(lambda: _read_by_botocore(body))
    assert read is expected is ResponseParserError or read["Reservations"] == expected.get("Reservations", [])


@pytest.mark.parametrize("zipped", [True, False])
def test_refusals_are_read_by_botocore_compressed_or_not(zipped: bool) -> None:
    body = (
        b"<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Slow down</Message></Error></Errors>"
        b"<RequestID>1</RequestID></Response>"
    )
    parsed = EC2Parser(_ALL).parse(_response(body, zipped=zipped, status=503), _SHAPE)
    assert parsed["Error"]["Code"] == "RequestLimitExceeded"
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == 503


# Which members


def test_of_structures_and_lists_only_the_named_are_read() -> None:
    members = members_of(_document("NetworkInterfaces[0].PrivateIpAddress", "tags.Cost Centre/1", "KeyName"), _INSTANCE)
    assert {"NetworkInterfaces", "Monitoring", "State", "Tags", "Placement", "InstanceType", "LaunchTime"} <= members
    assert not members & {"BlockDeviceMappings", "SecurityGroups", "CpuOptions", "MetadataOptions"}


@pytest.mark.parametrize("source", ["@", "keys(@)", "*.Name", "to_string({a: @})", "Tags | @"])
def test_an_expression_over_the_whole_instance_has_all_of_it_read(source: str) -> None:
    assert members_of(_document(source), _INSTANCE) == _ALL


_EXPRESSIONS = (
    "State.Name",
    "NetworkInterfaces[].Association.PublicIp | [0]",
    "SecurityGroups[*].GroupName",
    "BlockDeviceMappings[?Ebs.Status=='attached'].DeviceName",
    "length(BlockDeviceMappings)",
    "{cores: CpuOptions.CoreCount, threads: CpuOptions.ThreadsPerCore}",
    "SecurityGroups[].GroupId | [-1]",
    "not_null(PublicIpAddress, PrivateIpAddress)",
    "[InstanceType, Placement.AvailabilityZone]",
    "MetadataOptions.HttpTokens || 'none'",
    "sort_by(BlockDeviceMappings, &DeviceName)[0].Ebs.VolumeId",
    "tags.Name",
)


@pytest.mark.parametrize("source", _EXPRESSIONS)
def test_an_expression_finds_the_same_in_what_is_read_as_in_the_whole(page: bytes, source: str) -> None:
    names = names_in(source, literal_under="tags")
    assert names is not None
    read = compile_expression(source, literal_under="tags")
    found = []
    for members in (_ALL, members_of(_document(source), _INSTANCE)):
        instances = [one for each in _read(page, members)["Reservations"] for one in each["Instances"]]
        for one in instances:
            one["tags"] = {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())}
        found.append([read(one) for one in instances])
    assert found[0] == found[1]
    assert any(value is not None for value in found[0])


# The whole way


def test_the_client_reads_what_boto3_reads_and_asks_for_gzip(monkeypatch: pytest.MonkeyPatch) -> None:
    with EC2Lab({(ACORN, LONDON): 130}) as lab:
        for name, value in lab.environment().items():
            monkeypatch.setenv(name, value)
        keys = lab.credentials()
        document = AwsTenantDocument.model_validate(
            tenant(
                access={
                    "method": "access_key",
                    "access_key_id": keys.access_key_id,
                    "secret": {"in_place": {"store": "kv", "secret": "aws-acorn"}},
                },
                field_mappings=[*tenant()["field_mappings"], {"source": "SecurityGroups[0].GroupId", "field": "notes"}],
            )
        )
        ec2 = Ec2(FakeCredentials({"aws-acorn": keys.secret_access_key}), lambda *_: "", lambda: datetime.now(UTC))
        pages = list(ec2.read_instances(document, document.accounts[0], LONDON, page_size=50))
        calls = [call for call in lab.journal if call.action == "DescribeInstances"]
        assert [(call.page, call.gzip) for call in calls] == [(1, True), (2, True), (3, True)]
        plain = boto3.Session(keys.access_key_id, keys.secret_access_key).client("ec2", region_name=LONDON)
        asked = plain.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 50})
        members = members_of(document, _INSTANCE)
        expected = [
            [
                completed({name: value for name, value in instance.items() if name in members}, ACORN, LONDON)
                for reservation in page["Reservations"]
                for instance in reservation.get("Instances", ())
            ]
            for page in asked
        ]
        added = {"account", "region", "tags"}
        assert pages == expected
        assert {"SecurityGroups", *added} <= set(pages[0][0])


def test_times_are_in_utc_whichever_way_they_are_read() -> None:
    random.seed(1)
    texts = ["".join(random.choices(string.digits + "-:TZ.", k=20)) for _ in range(200)]
    for text in ["2024-01-02T03:04:05.000Z", *texts]:
        body = (
            f"<R><reservationSet><item><instancesSet><item><launchTime>{text}</launchTime></item></instancesSet></item>"
            "</reservationSet><requestId>1</requestId></R>"
        ).encode()
        _check_agreed(
            _outcome(lambda body=body: _read(body)),  # type: ignore[misc] # bound at once
            _outcome(lambda body=body: _read_by_botocore(body)),  # type: ignore[misc] # bound at once
        )
