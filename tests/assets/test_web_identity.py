"""Access to AWS without a key: the managed identity's token, from the identity endpoint to the instances."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from azure.core.credentials import AccessToken
from pydantic import ValidationError

from lab.emulators.ec2.accounts import ACORN, KEYLESS_AUDIENCE, KEYLESS_ROLE_ARN, LONDON
from lab.emulators.ec2.server import EC2Lab
from lab.emulators.key_vault.lab import VaultLab
from shared.assets.aws.client import Ec2
from shared.assets.aws.web_identity import ManagedIdentityTokens
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.settings.validation import faults_of
from tests.assets.tenants import FakeCredentials, tenant


@pytest.fixture(scope="module")
def entra() -> Iterator[VaultLab]:
    document = {
        "tenants": [{"tenant_id": "11111111-2222-3333-4444-555555555555", "domain": "acorn.example"}],
        "identities": [{"name": "host", "kind": "system"}],
    }
    with VaultLab(document) as lab:
        yield lab


@pytest.fixture
def host(entra: VaultLab, monkeypatch: pytest.MonkeyPatch) -> VaultLab:
    """This process as a host with a system-assigned identity."""
    for name, value in entra.environment().items():
        monkeypatch.setenv(name, value)
    entra.clear_faults()
    return entra


def test_instances_are_read_with_a_token_and_no_secret_at_all(host: VaultLab, monkeypatch: pytest.MonkeyPatch) -> None:
    with EC2Lab({(ACORN, LONDON): 12}) as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        document = AwsTenantDocument.model_validate(
            tenant(
                access={"method": "web_identity", "audience": KEYLESS_AUDIENCE},
                accounts=[{"account": ACORN, "role": KEYLESS_ROLE_ARN}],
            )
        )
        ec2 = Ec2(FakeCredentials({}), ManagedIdentityTokens(), lambda: datetime.now(UTC), attempts=2)
        pages = ec2.read_instances(document, document.accounts[0], LONDON)
        assert sum(len(page) for page in pages) == 12


def _refused(client_id: str | None) -> DeskbridgeError:
    with pytest.raises(DeskbridgeError) as caught:
        ManagedIdentityTokens()(KEYLESS_AUDIENCE, client_id)
    return caught.value


def test_an_identity_that_the_host_does_not_have_is_named(host: VaultLab) -> None:
    error = _refused("99999999-9999-9999-9999-999999999999")
    assert isinstance(error, MisconfiguredError)
    assert error.reason in {Reason.IDENTITY_MISSING, Reason.AWS_WEB_IDENTITY_REFUSED}
    assert "99999999-9999" in error.message


def test_an_identity_endpoint_that_does_not_answer_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/token")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    monkeypatch.setattr("time.sleep", lambda _: None)
    error = _refused(None)
    assert isinstance(error, TryLaterError), error
    assert error.reason is Reason.IDENTITY_UNAVAILABLE


MICROSOFTS = (
    "https://vault.azure.net",
    "https://management.azure.com/",
    "https://storage.azure.com",
    "https://graph.microsoft.com",
    "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
    "api://AzureADTokenExchange",
    "api://azureadtokenexchangeusgov/",
    "api://AzureADTokenExchange/.default",
    "api://cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
    "api://CFA8B339-82A2-471A-A3C9-0FC0BE7A4093/x",
    "api://00000003-0000-0000-c000-000000000000",
    "API://deskbridge-aws",
    "api://https://vault.azure.net",
    "api://x?resource=https://vault.azure.net",
    "api://x y",
    "api://",
    "deskbridge-aws",
)


@pytest.mark.parametrize("audience", MICROSOFTS)
def test_no_token_for_microsofts_own_services_goes_to_aws(audience: str, host: VaultLab) -> None:
    host.clear_journal()
    access = {"method": "web_identity", "audience": audience}
    accounts = [{"account": ACORN, "role": KEYLESS_ROLE_ARN}]
    with pytest.raises(ValidationError) as caught:
        AwsTenantDocument.model_validate(tenant(access=access, accounts=accounts))
    assert [fault.path for fault in faults_of(caught.value)] == ["access.web_identity.audience"]
    # And at the moment of use.
    with pytest.raises(MisconfiguredError) as refused:
        ManagedIdentityTokens()(audience, None)
    assert refused.value.reason is Reason.AWS_WEB_IDENTITY_REFUSED
    assert host.journal(service="identity") == []


@pytest.mark.parametrize(
    "told", ["https://vault.azure.net", "00000003-0000-0000-c000-000000000000", "https://management.azure.com", None]
)
def test_a_token_that_is_meant_for_another_service_is_not_handed_over(
    told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = {} if told is None else {"aud": told}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    class Credential:
        def __init__(self, **_: object) -> None: ...

        def get_token(self, scope: str) -> AccessToken:
            assert scope == f"{KEYLESS_AUDIENCE}/.default"
            return AccessToken(f"e30.{payload}.sig", 0)

    monkeypatch.setattr("shared.assets.aws.web_identity.ManagedIdentityCredential", Credential)
    with pytest.raises(MisconfiguredError) as refused:
        ManagedIdentityTokens()(KEYLESS_AUDIENCE, None)
    assert payload not in str(refused.value)
