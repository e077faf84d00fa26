"""Other services may send gigabytes in a few KB: each door gives up within a small multiple of its own limit."""

import gzip
import json
import ssl
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from azure.storage.blob import ContainerClient

from shared import bootstrap
from shared.assets.aws import clients, parser
from shared.assets.aws.client import Ec2
from shared.assets.aws.keys import AwsKeys, Caller, RoleSession
from shared.assets.aws.web_identity import ManagedIdentityTokens
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.bounded_answers import LARGEST_SMALL_ANSWER, bound_answers, bounded_transport
from shared.environment import load_environment
from shared.errors import DeskbridgeError, TryLaterError
from shared.reasons import Reason
from shared.storage import transport
from shared.storage.queues import Queues
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Row, Save
from shared.tickets.inbound import dead_letters
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.identities import StoreIdentity
from shared.vaults.key_vault import KeyVaultClients
from tests.assets.tenants import ACCOUNT, FakeCredentials, tenant
from tests.costs import measure
from tests.scripted_service import Answer, Service, scripted_service
from tests.storage.test_transport import _connection_string

MIB = 1024 * 1024
TENANT_ID = "11111111-2222-4333-8444-555555555555"
GUID = "22222222-2222-4333-8444-555555555555"
Door = Callable[[], object]


def zeros_in_gzip(mebibytes: int, inside: bytes = b"", again: bytes = b"\0") -> bytes:
    """`inside`, then so many MiB of zeros or of `again`, in one member of a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(inside) + packer.flush(zlib.Z_FULL_FLUSH)
    many = packer.compress(again * (8 * MIB // len(again))) + packer.flush(zlib.Z_FULL_FLUSH)
    return packed + many * (mebibytes // 8)


GIGABYTE = zeros_in_gzip(1024)


@pytest.fixture
def service() -> Iterator[Service]:
    with scripted_service() as service:
        yield service


@pytest.fixture
def safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service that speaks https, and that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with scripted_service(context) as service:
        yield service


def attack(service: Service, door: Door, largest: int, *, body: bytes = GIGABYTE) -> tuple[DeskbridgeError, float]:
    """What the door says to the bomb, and how many times its limit the memory held meanwhile."""
    service.answer = lambda *_: Answer(200, b"{}", {"Content-Type": "application/json"})
    # What is loaded and kept once is no cost of the answer.
    with suppress(Exception):
        door()
    service.asked.clear()
    service.answer = lambda *_: Answer(200, body, {"Content-Type": "application/json", "Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(DeskbridgeError) as refused:
            door()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert service.asked
    return refused.value, peak / largest


def assert_bounded(service: Service, door: Door, reason: Reason, largest: int) -> None:
    refusal, times = attack(service, door, largest)
    assert refusal.reason is reason
    assert times < (10 if largest < 8 * MIB else 3)


def test_tables(service: Service) -> None:
    table = RestTables.from_connection_string(_connection_string(service.url)).table("things")
    for door in (lambda: table.find("p", "r"), lambda: table.page([], size=9), lambda: table.transact("p", [SAVE])):
        assert_bounded(service, door, Reason.ANSWER_TOO_LARGE, transport.LARGEST_PAGE)
        # Once: to ask again is to be sent the same.
        assert len(service.asked) == 1


SAVE = Save(Row("p", "r"))


def test_queues(service: Service) -> None:
    queues = Queues(service.url, lambda: ({}, ""))
    assert_bounded(service, lambda: queues.state("a"), Reason.ANSWER_TOO_LARGE, LARGEST_SMALL_ANSWER)


def test_blobs(service: Service) -> None:
    container = ContainerClient(
        f"{service.url}/acorn", "letters", "a2V5", transport=bounded_transport(dead_letters.LARGEST_ANSWER)
    )
    for door in (lambda: container.download_blob("a").readall(), lambda: next(container.list_blobs())):
        assert_bounded(service, door, Reason.ANSWER_TOO_LARGE, dead_letters.LARGEST_ANSWER)


def environment(**more: str) -> Any:
    names = {"DESKBRIDGE_VAULT_HOSTS": "localhost", "DESKBRIDGE_SIGN_IN_HOSTS": "localhost"}
    return load_environment({"AzureWebJobsStorage": "UseDevelopmentStorage=true", **names, **more})


def store(**content: Any) -> CredentialStore:
    return CredentialStore.model_validate(
        {"vault_url": "https://localhost", "vault_name": "acorn", "method": "system_assigned", **content}
    )


def test_a_vault(safe: Service) -> None:
    there = store(vault_url=safe.url, resource="https://vault.azure.net")
    vaults = KeyVaultClients(environment())
    assert_bounded(
        safe,
        lambda: vaults.fetch("main", there, SecretAddress(there.vault_url, "ec2-key")),
        Reason.ANSWER_TOO_LARGE,
        LARGEST_SMALL_ANSWER,
    )


def test_the_sign_in(safe: Service) -> None:
    one = store(
        method="client_secret", tenant_id=TENANT_ID, client_id=GUID, authority=safe.url, client_secret_setting=None
    )
    env = environment(AzureClientSecret="s3cret", DESKBRIDGE_ALLOWED_PRIVATE_HOSTS=safe.url.removeprefix("https://"))
    assert_bounded(
        safe,
        lambda: StoreIdentity("main", one, env).get_token_info("any"),
        Reason.ANSWER_TOO_LARGE,
        LARGEST_SMALL_ANSWER,
    )


@pytest.mark.parametrize("whose", ["system", "user", "user by its resource", "for AWS", "for storage"])
def test_the_identity_endpoint(service: Service, monkeypatch: pytest.MonkeyPatch, whose: str) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{service.url}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    bootstrap.reset()
    env = environment(IDENTITY_ENDPOINT="there")
    user = store(method="user_assigned", client_id=GUID)
    resource = f"/subscriptions/{GUID}/resourceGroups/a/providers/Microsoft.ManagedIdentity/userAssignedIdentities/b"
    by_resource = store(method="user_assigned", resource_id=resource)
    doors: dict[str, Door] = {
        "system": lambda: StoreIdentity("main", store(), env).get_token_info("any"),
        "user": lambda: StoreIdentity("main", user, env).get_token_info("any"),
        "user by its resource": lambda: StoreIdentity("main", by_resource, env).get_token_info("any"),
        "for AWS": lambda: ManagedIdentityTokens()("api://deskbridge", None),
        "for storage": lambda: bootstrap.storage_identity().get_token("https://storage.azure.com/.default"),
    }
    assert_bounded(service, doors[whose], Reason.ANSWER_TOO_LARGE, LARGEST_SMALL_ANSWER)


@pytest.fixture
def ec2(service: Service, monkeypatch: pytest.MonkeyPatch) -> Ec2:
    monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
    pair = {"username": "AKIAACORN", "password": "s3cret"}
    return Ec2(FakeCredentials({"aws-acorn": json.dumps(pair)}), lambda *_: "token", lambda: datetime.now(UTC))


DOCUMENT = AwsTenantDocument.model_validate(tenant())


def test_sts(service: Service, ec2: Ec2) -> None:
    door = lambda: ec2.caller(DOCUMENT, DOCUMENT.accounts[0])  # noqa: E731 - one line of a table
    assert_bounded(service, door, Reason.AWS_ANSWER_BROKEN, parser.LARGEST_SMALL_ANSWER)
    assert len(service.asked) == 1


BEGIN = b"<DescribeInstancesResponse><reservationSet>"
LISTINGS = {
    "zeros": GIGABYTE,
    "spaces": zeros_in_gzip(1024, BEGIN, b" "),
    "reservations": zeros_in_gzip(1024, BEGIN, b"<item/>"),
    "instances of one reservation": zeros_in_gzip(1024, BEGIN + b"<item><instancesSet>", b"<item/>"),
    "attributes": zeros_in_gzip(1024, BEGIN + b"<item", b' a=""'),
    "too much on the wire": zeros_in_gzip(1024 * 128),
}


@pytest.mark.parametrize("what", LISTINGS)
def test_ec2(service: Service, ec2: Ec2, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    session = RoleSession(AwsKeys("AKIAACORN", "s3cret"), Caller(ACCOUNT, "arn"), datetime.now(UTC))
    monkeypatch.setattr(ec2._sessions, "identify", lambda *_, **__: session)
    # A tenth of both bounds, so that the test is quick.
    monkeypatch.setattr(parser, "_MOST_MARKS", 200_000)
    monkeypatch.setattr(clients, "LARGEST_PAGE", parser.LARGEST_PAGE // 10)
    monkeypatch.setattr(parser, "LARGEST_PAGE", parser.LARGEST_PAGE // 10)
    doors: list[Door] = [lambda: ec2.regions(ALL, ALL.accounts[0])]
    doors.append(lambda: list(ec2.read_instances(DOCUMENT, DOCUMENT.accounts[0], "eu-west-2")))
    for door in doors:
        refusal, times = attack(service, door, parser.LARGEST_PAGE, body=LISTINGS[what])
        assert refusal.reason is Reason.AWS_ANSWER_BROKEN
        assert times < 6


ALL = AwsTenantDocument.model_validate(tenant(regions="all"))


@pytest.mark.parametrize("largest", [LARGEST_SMALL_ANSWER, dead_letters.LARGEST_ANSWER])
def test_the_largest_answer_that_is_taken_costs_little_more_packed_than_plain(service: Service, largest: int) -> None:
    session = requests.Session()
    bound_answers(session, largest)

    def read(body: bytes, *, packed: bool) -> Callable[[], object]:
        headers = {"Content-Encoding": "gzip"} if packed else {}

        def work() -> None:
            service.answer = lambda *_: Answer(200, body, headers)
            assert len(session.get(service.url).content) == largest

        work()
        return work

    plain, packed = read(b"\0" * largest, packed=False), read(gzip.compress(b"\0" * largest), packed=True)
    usual, cost = measure(plain), measure(packed)
    assert cost.cpu < 10 * usual.cpu
    assert cost.memory < 3 * usual.memory
    service.answer = lambda *_: Answer(200, gzip.compress(b"\0" * (largest + 1)), {"Content-Encoding": "gzip"})
    with pytest.raises(TryLaterError):
        session.get(service.url)
