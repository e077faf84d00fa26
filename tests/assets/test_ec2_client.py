"""Reading EC2: real paging, throttling, refusals, broken answers, roles and tokens, against the lab's stand-in."""

import gc
import json
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.retries import standard

from lab.emulators.ec2.accounts import (
    ACORN,
    EXTERNAL_ID,
    KEYLESS_AUDIENCE,
    KEYLESS_ROLE_ARN,
    LONDON,
    REGIONS,
    ROLE_ARN,
)
from lab.emulators.ec2.accounts import ST_JOHNS as OTHER
from lab.emulators.ec2.identity import Role
from lab.emulators.ec2.records import Listed, Record
from lab.emulators.ec2.server import EC2Lab
from shared.assets.aws import sessions
from shared.assets.aws.client import Ec2
from shared.assets.aws.clients import AwsClients
from shared.assets.aws.errors import CODES, AccessContext, classify
from shared.assets.documents.aws_tenants import AccountDocument, AwsTenantDocument
from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.reasons import Reason
from tests.assets.tenants import FakeCredentials, tenant
from tests.lab.emulators.ec2.tokens import unsigned_token


@pytest.fixture(scope="module")
def running() -> Iterator[EC2Lab]:
    with EC2Lab({(ACORN, LONDON): 230}) as lab:
        yield lab


@pytest.fixture
def lab(running: EC2Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[EC2Lab]:
    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    running.journal.clear()
    yield running
    running.service.faults.clear()
    running.service.denied.clear()


@pytest.fixture
def credentials(lab: EC2Lab) -> FakeCredentials:
    keys = lab.credentials()
    pair = {"username": keys.access_key_id, "password": keys.secret_access_key}
    return FakeCredentials({"aws-acorn": json.dumps(pair), "secret-only": keys.secret_access_key})


def _token(audience: str, _client_id: str | None) -> str:
    return unsigned_token(audience)


@pytest.fixture
def ec2(credentials: FakeCredentials) -> Ec2:
    return Ec2(credentials, _token, lambda: datetime.now(UTC), attempts=3)


def _document(**changes: Any) -> AwsTenantDocument:
    return AwsTenantDocument.model_validate(tenant(**changes))


def _read(ec2: Ec2, document: AwsTenantDocument, region: str = LONDON, page_size: int = 100) -> list[dict[str, Any]]:
    account = document.accounts[0] if document.accounts else None
    pages = ec2.read_instances(document, account, region, page_size=page_size)
    return [dict(instance) for page in pages for instance in page]


def _refused(read: Callable[[], object]) -> DeskbridgeError:
    with pytest.raises(DeskbridgeError) as caught:
        read()
    return caught.value


def test_every_instance_is_read_once_page_by_page_with_account_region_and_tags(lab: EC2Lab, ec2: Ec2) -> None:
    instances = _read(ec2, _document())
    assert len({instance["InstanceId"] for instance in instances}) == len(instances) == 230
    assert [call.action for call in lab.journal] == ["GetCallerIdentity", *["DescribeInstances"] * 3]
    assert {instance["account"] for instance in instances} == {ACORN}
    assert {instance["region"] for instance in instances} == {LONDON}
    assert any(instance["tags"].get("Name") for instance in instances)


def test_an_access_key_id_in_the_document_needs_a_secret_of_the_secret_key_alone(lab: EC2Lab, ec2: Ec2) -> None:
    # AWS-04 AWS-05: any access key serves, a root user's as well as an IAM user's
    access = {
        "method": "access_key",
        "access_key_id": lab.credentials().access_key_id,
        "secret": {"in_place": {"store": "kv", "secret": "secret-only"}},
    }
    assert len(_read(ec2, _document(access=access))) == 230


def test_filters_are_ec2s_own(lab: EC2Lab, ec2: Ec2) -> None:
    stopped = _read(ec2, _document(filters=[{"name": "instance-state-name", "values": ["stopped"]}]))
    assert {instance["State"]["Name"] for instance in stopped} <= {"stopped"}
    error = _refused(lambda: _read(ec2, _document(filters=[{"name": "colour", "values": ["red"]}])))
    assert error.reason is Reason.AWS_FILTER_REFUSED


def test_another_account_is_read_by_an_assumed_role_with_external_id_assumed_once(lab: EC2Lab, ec2: Ec2) -> None:
    lab.put(Record("i-0000000000000000a", "r-1", {"Name": "STJ"}), account=OTHER, region=LONDON)
    document = _document(accounts=[{"account": OTHER, "role": ROLE_ARN, "external_id": EXTERNAL_ID}])
    for _ in range(2):
        [instance] = _read(ec2, document)
        assert (instance["account"], instance["tags"]) == (OTHER, {"Name": "STJ"})
    assert [call.action for call in lab.journal].count("AssumeRole") == 1


@pytest.mark.parametrize(("partition", "region"), [("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1")])
def test_the_tenant_of_another_partition_is_read_there(
    monkeypatch: pytest.MonkeyPatch, partition: str, region: str
) -> None:
    with EC2Lab({(ACORN, region): 3}, regions=(region,), not_opted_in=()) as lab:
        for name, value in lab.environment().items():
            monkeypatch.setenv(name, value)
        keys = lab.credentials()
        pair = {"username": keys.access_key_id, "password": keys.secret_access_key}
        ec2 = Ec2(FakeCredentials({"aws-acorn": json.dumps(pair)}), _token, lambda: datetime.now(UTC), attempts=3)
        document = _document(partition=partition, accounts=[{"account": ACORN}], regions=[region])
        assert len(_read(ec2, document, region)) == 3
        assert ec2.regions(_document(partition=partition, accounts=[{"account": ACORN}], regions="all"), None) == [
            region
        ]
        # Nobody of another partition was asked.
        assert {call.region for call in lab.journal} == {region}


@pytest.mark.parametrize("external_id", [None, "wrong"])
def test_a_role_that_does_not_trust_us_says_what_its_policy_needs(
    lab: EC2Lab, ec2: Ec2, external_id: str | None
) -> None:
    account = {"account": OTHER, "role": ROLE_ARN}
    if external_id:
        account["external_id"] = external_id
    error = _refused(lambda: _read(ec2, _document(accounts=[account])))
    assert (type(error), error.reason) == (MisconfiguredError, Reason.AWS_ROLE_REFUSED)
    assert ROLE_ARN in error.message
    assert f'"Resource": "{ROLE_ARN}"' in error.remedy


def test_no_key_at_all_the_managed_identitys_token_is_exchanged(lab: EC2Lab, ec2: Ec2) -> None:
    access = {"method": "web_identity", "audience": KEYLESS_AUDIENCE}
    document = _document(access=access, accounts=[{"account": ACORN, "role": KEYLESS_ROLE_ARN}])
    assert len(_read(ec2, document)) == 230
    assert lab.journal[0].action == "AssumeRoleWithWebIdentity"


def test_a_token_for_another_audience_is_refused_with_what_the_account_needs(lab: EC2Lab, ec2: Ec2) -> None:
    access = {"method": "web_identity", "audience": "api://somebody-else"}
    document = _document(access=access, accounts=[{"account": ACORN, "role": KEYLESS_ROLE_ARN}])
    error = _refused(lambda: _read(ec2, document))
    assert error.reason is Reason.AWS_WEB_IDENTITY_REFUSED
    assert "identity provider" in error.remedy


def test_a_strangers_account_is_never_imported(lab: EC2Lab, ec2: Ec2) -> None:
    error = _refused(lambda: _read(ec2, _document(accounts=[{"account": "444455556666"}])))
    assert error.reason is Reason.AWS_ACCOUNT_DIFFERS
    assert "belongs to account 111122223333" in error.message
    assert "DescribeInstances" not in [call.action for call in lab.journal]


def test_a_tenant_without_accounts_reads_the_access_keys_own(lab: EC2Lab, ec2: Ec2) -> None:
    document = _document(accounts=None)
    assert ec2.caller(document, None).account == ACORN
    assert {instance["account"] for instance in _read(ec2, document)} == {ACORN}


def test_all_regions_are_those_that_the_account_has_enabled(lab: EC2Lab, ec2: Ec2) -> None:  # AWS-10
    document = _document(regions="all")
    assert set(ec2.regions(document, document.accounts[0])) == set(REGIONS)


def test_a_region_that_is_not_opted_in_is_told_from_a_wrong_key(lab: EC2Lab, ec2: Ec2) -> None:
    error = _refused(lambda: _read(ec2, _document(regions=["af-south-1"]), "af-south-1"))
    assert (type(error), error.reason) == (MisconfiguredError, Reason.AWS_REGION_DISABLED)
    assert "af-south-1" in error.message


def test_a_missing_permission_comes_with_the_smallest_policy_that_mends_it(lab: EC2Lab, ec2: Ec2) -> None:  # AWS-06
    lab.deny("DescribeInstances", ACORN, LONDON)
    error = _refused(lambda: _read(ec2, _document()))
    assert error.reason is Reason.AWS_PERMISSION_MISSING
    assert "arn:aws:iam::111122223333:user/deskbridge may not call ec2:DescribeInstances" in error.message
    assert '"Action": "ec2:DescribeInstances", "Resource": "*"' in error.remedy


@pytest.mark.parametrize(
    "said",
    [
        "You are not authorized to perform this operation, with an explicit deny in a service control policy",
        "Explicit deny in an identity-based policy.",
    ],
)
def test_an_explicit_denial_is_told_from_a_missing_permission(lab: EC2Lab, ec2: Ec2, said: str) -> None:
    lab.script("refuse", code="UnauthorizedOperation", message=said, action="DescribeInstances", times=None)
    error = _refused(lambda: _read(ec2, _document()))
    assert (type(error), error.reason) == (MisconfiguredError, Reason.AWS_REGION_DENIED)
    assert LONDON in error.message
    assert "except_regions" in error.remedy


@pytest.mark.parametrize(
    ("id_or_secret", "reason"),
    [
        ("username", Reason.AWS_ACCESS_KEY_UNKNOWN),
        ("password", Reason.AWS_SECRET_KEY_WRONG),
    ],
)
def test_a_refused_key_is_fetched_anew_once_and_then_named(
    lab: EC2Lab, ec2: Ec2, credentials: FakeCredentials, id_or_secret: str, reason: Reason
) -> None:
    good = credentials.secrets["aws-acorn"]
    credentials.secrets["aws-acorn"] = json.dumps(json.loads(good) | {id_or_secret: "AKIAWRONGWRONGWRONG1"})
    error = _refused(lambda: _read(ec2, _document()))
    assert (type(error), error.reason) == (MisconfiguredError, reason)
    assert credentials.refused_names == ["aws-acorn"]
    assert "AKIAWRONG" not in str(error)

    # Rotated in the vault meanwhile: the second fetch brings the new one, and the run goes on.
    def rotate() -> None:
        credentials.secrets["aws-acorn"] = good

    credentials.on_refused = rotate
    assert len(_read(ec2, _document())) == 230


def test_throttling_is_waited_out(lab: EC2Lab, ec2: Ec2) -> None:
    lab.script("refuse", code="RequestLimitExceeded", action="DescribeInstances", page=2)
    assert len(_read(ec2, _document())) == 230


def test_throttling_that_lasts_is_left_to_the_queue(lab: EC2Lab, ec2: Ec2) -> None:
    lab.script("refuse", code="RequestLimitExceeded", action="DescribeInstances", page=2, times=None)
    error = _refused(lambda: _read(ec2, _document()))
    assert (type(error), error.reason) == (TryLaterError, Reason.AWS_THROTTLED)


@pytest.mark.parametrize(
    ("fault", "options", "reasons"),
    [
        ("reset", {}, {Reason.AWS_UNREACHABLE}),
        ("truncated", {}, {Reason.AWS_UNREACHABLE, Reason.AWS_ANSWER_BROKEN}),
        ("malformed", {}, {Reason.AWS_ANSWER_BROKEN}),
        ("html", {}, {Reason.AWS_ANSWER_BROKEN, Reason.AWS_FAILED}),
        ("repeat_token", {}, {Reason.AWS_ANSWER_BROKEN}),
        ("refuse", {"code": "InvalidNextToken"}, {Reason.AWS_ANSWER_BROKEN}),
        ("refuse", {"code": "InternalError"}, {Reason.AWS_FAILED}),
        ("refuse", {"code": "Unavailable"}, {Reason.AWS_FAILED}),
    ],
)
def test_a_reading_that_breaks_off_raises_and_never_just_ends(
    lab: EC2Lab, ec2: Ec2, fault: Any, options: dict[str, Any], reasons: set[Reason]
) -> None:
    lab.script(fault, action="DescribeInstances", page=2, times=None, **options)
    error = _refused(lambda: _read(ec2, _document()))
    assert isinstance(error, TryLaterError), error
    assert error.reason in reasons


def test_tokens_that_expire_during_a_read_fail_the_reading(lab: EC2Lab, ec2: Ec2) -> None:
    lab.on_page(3, lab.expire_tokens)
    lab.expire_tokens()
    document = _document()
    pages = ec2.read_instances(document, document.accounts[0], LONDON, page_size=100)
    next(pages)
    lab.expire_tokens()
    assert _refused(lambda: list(pages)).reason is Reason.AWS_ANSWER_BROKEN


def test_an_endpoint_that_is_not_there_may_pass(ec2: Ec2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    error = _refused(lambda: _read(ec2, _document()))
    assert (type(error), error.reason) == (TryLaterError, Reason.AWS_UNREACHABLE)


def test_every_code_of_the_table_has_a_message_and_a_cure(lab: EC2Lab, ec2: Ec2) -> None:
    # One attempt: most of these would be retried.
    once = Ec2(ec2._sessions._credentials, _token, lambda: datetime.now(UTC), attempts=1)
    document = _document()
    for code in CODES:
        lab.script("refuse", code=code, action="DescribeInstances")
        error = _refused(lambda: _read(once, document))
        assert error.message.endswith("."), code
        assert error.remedy, code
        assert "{" not in error.message, code


def test_a_code_that_nobody_knows_is_named(lab: EC2Lab, ec2: Ec2) -> None:
    lab.script("refuse", code="NeverHeardOfIt", action="DescribeInstances")
    error = _refused(lambda: _read(ec2, _document()))
    assert error.reason is Reason.AWS_FAILED
    assert "NeverHeardOfIt" in error.message


def test_no_secret_shows_in_the_keys_that_are_held(lab: EC2Lab, ec2: Ec2) -> None:
    keys = ec2._sessions.identify(_document(), AccountDocument(account=ACORN), "acorn").keys
    assert lab.credentials().secret_access_key not in repr(keys)
    assert lab.credentials().access_key_id not in repr(keys)


def test_of_many_accounts_only_so_many_clients_stay(
    lab: EC2Lab, credentials: FakeCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Soak: the clients of AWS, one for each part, once stayed until they filled the memory."""
    made: list[weakref.ref[Any]] = []
    make = AwsClients._make

    def watch(self: AwsClients, *given: Any) -> Any:
        client = make(self, *given)
        made.append(weakref.ref(client))
        return client

    monkeypatch.setattr(AwsClients, "_make", watch)
    ec2 = Ec2(credentials, _token, lambda: datetime.now(UTC), attempts=3)
    roles = {f"{number:012}": f"arn:aws:iam::{number:012}:role/reader" for number in range(1, 101)}
    lab.service.directory.add_roles(Role(role, trusted_accounts=(ACORN,)) for role in roles.values())
    for account, role in roles.items():
        monkeypatch.setitem(lab.service.records, (account, LONDON), Listed())
        assert _read(ec2, _document(accounts=[{"account": account, "role": role}])) == []
    gc.collect()
    assert len(made) > 100
    assert sum(client() is not None for client in made) <= 32


def test_whatever_botocore_tries_again_passes() -> None:
    # Imports, case 09
    """By its own lists: those of its standard mode, and those of its data for the services that are asked."""
    loader: Any = botocore.session.get_session().get_component("data_loader")
    found: set[str] = {
        *standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES,  # type: ignore[attr-defined] # the stubs lack them
        *standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES,  # type: ignore[attr-defined]
    }
    data = loader.load_data("_retry")
    nodes: list[Any] = [data["definitions"]]
    nodes += [data["retry"][service] for service in ("__default__", "ec2", "sts", "organizations")]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            if "service_error_code" in node:
                found.add(node["service_error_code"])
            nodes += node.values()
    assert len(found) > 15
    assert {code for code in found if code not in CODES or not CODES[code].passes} == set()


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("EC2ThrottledException", 503, Reason.AWS_THROTTLED),
        ("RequestThrottled", 400, Reason.AWS_THROTTLED),
        ("NeverHeardOfIt", 429, Reason.AWS_THROTTLED),
        ("NeverHeardOfIt", 502, Reason.AWS_FAILED),
        ("InvalidInstanceID.NotFound", 400, Reason.AWS_ANSWER_BROKEN),
        ("InvalidNetworkInterfaceID.NotFound", 400, Reason.AWS_ANSWER_BROKEN),
        ("RequestInTheFuture", 400, Reason.AWS_CLOCK_SKEWED),
    ],
)
def test_what_passes_is_left_to_the_queue(code: str, status: int, reason: Reason) -> None:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    context = AccessContext(ACORN, LONDON, "ec2:DescribeInstances", "arn")
    error = classify(ClientError(answer, "DescribeInstances"), context)
    assert (type(error), error.reason) == (TryLaterError, reason)


def test_sts_is_asked_once_an_account_and_hour_and_not_for_each_region(
    lab: EC2Lab, credentials: FakeCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime.now(UTC)
    monkeypatch.setattr(lab.directory, "now", lambda: at)
    ec2 = Ec2(credentials, _token, lambda: at, attempts=3)
    document = _document(
        accounts=[{"account": ACORN}, {"account": OTHER, "role": ROLE_ARN, "external_id": EXTERNAL_ID}],
        regions=list(REGIONS),
    )

    def asked() -> Counter[str]:
        lab.journal.clear()
        # Many workers' parts at once, and then one after the other.
        with ThreadPoolExecutor(8) as pool:
            parts = [(account, region) for account in document.accounts for region in REGIONS] * 2
            list(pool.map(lambda part: list(ec2.read_instances(document, *part)), parts))
        return Counter(call.action for call in lab.journal if call.service == "sts")

    assert asked() == {"GetCallerIdentity": 1, "AssumeRole": 1}
    at += timedelta(minutes=45)
    assert asked() == {}
    # Ten minutes before a role's keys end, others are asked for: a large region takes its time.
    at += timedelta(minutes=6)
    assert asked() == {"AssumeRole": 1}
    at += timedelta(minutes=10)
    assert asked() == {"GetCallerIdentity": 1}


def test_a_key_that_is_switched_off_within_the_hour_is_told_from_a_region_that_is(
    lab: EC2Lab, ec2: Ec2, credentials: FakeCredentials
) -> None:
    assert len(_read(ec2, _document())) == 230
    keys = lab.directory.keys.pop(lab.credentials().access_key_id)
    try:
        assert _refused(lambda: _read(ec2, _document())).reason is Reason.AWS_ACCESS_KEY_UNKNOWN
        assert credentials.refused_names == ["aws-acorn"]
    finally:
        lab.directory.add_keys([keys])


def test_of_very_many_sessions_only_so_many_are_kept(
    lab: EC2Lab, credentials: FakeCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_MOST_SESSIONS", 3)
    ec2 = Ec2(credentials, _token, lambda: datetime.now(UTC), attempts=3)
    roles = [f"arn:aws:iam::{number:012}:role/reader" for number in range(1, 6)]
    lab.service.directory.add_roles(Role(role, trusted_accounts=(ACORN,)) for role in roles)
    for role in roles:
        account = role.split(":")[4]
        document = _document(accounts=[{"account": account, "role": role}])
        assert ec2.caller(document, document.accounts[0]).account == account
    assert len(ec2._sessions._sessions) == 3


@pytest.mark.parametrize("home", ["eu-west-2", None])
def test_sts_and_the_list_of_regions_are_asked_where_the_tenant_is_at_home(
    lab: EC2Lab, ec2: Ec2, home: str | None
) -> None:
    # Imports, case 18
    lab.deny("DescribeRegions", ACORN, "us-east-1")
    document = _document(regions="all", home_region=home)
    if home is None:
        assert _refused(lambda: ec2.regions(document, document.accounts[0])).reason is Reason.AWS_PERMISSION_MISSING
    else:
        assert set(ec2.regions(document, document.accounts[0])) == set(REGIONS)
        assert {call.region for call in lab.journal} == {home}
