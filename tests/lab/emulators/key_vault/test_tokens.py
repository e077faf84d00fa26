"""Entra and the identity endpoint as azure-identity meets them."""

from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import (
    AzureAuthorityHosts,
    ClientAssertionCredential,
    CredentialUnavailableError,
    EnvironmentCredential,
)

from lab.emulators.key_vault import VaultInterface, VaultLab
from lab.emulators.key_vault.documents import TENANT, TOKEN_EXCHANGE
from lab.emulators.key_vault.tokens import issuer, unverified_claims
from tests.lab.emulators.key_vault.conftest import Clients

SCOPE = "https://vault.azure.net/.default"


def ids(lab: VaultLab, name: str) -> dict[str, str]:
    """The ids of an identity of the host."""
    return next(held for held in lab.describe()["identities"] if held["name"] == name)


def identity_request(lab: VaultLab, raw: Callable[..., Any], **query: str) -> Any:
    header = {"X-IDENTITY-HEADER": lab.environment()["IDENTITY_HEADER"]}
    parameters = {"api-version": "2019-08-01", "resource": "https://vault.azure.net", **query}
    return raw("GET", lab.identity_url, headers=header, params=parameters)


# Client secrets


def test_a_client_secret_opens_the_vault(lab: VaultLab, vault: VaultInterface, clients: Clients) -> None:
    # KV-27, FD-01, FD-06, FD-07, FD-08
    vault.add_secret("db-password", "p@ss")
    assert clients.secrets(clients.application()).get_secret("db-password").value == "p@ss"
    (asked,) = lab.journal(service="entra", operation="token/client_credentials")
    assert (asked.principal, asked.status) == ("desk", 200)


@pytest.mark.parametrize(
    ("secret", "words"), [("wrong", "AADSTS7000215: Invalid client secret"), ("run out", "AADSTS7000222")]
)
def test_a_wrong_and_an_expired_client_secret_say_which_they_are(
    lab: VaultLab, clients: Clients, secret: str, words: str
) -> None:
    with pytest.raises(ClientAuthenticationError, match=words):
        clients.application(secret).get_token(SCOPE)
    assert [entry.status for entry in lab.journal(operation="token/client_credentials")] == [401]


def test_an_unknown_application_and_an_unknown_tenant_say_so(clients: Clients) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        clients.application(name="11111111-2222-4333-8444-555555555555").get_token(SCOPE)
    # The client reads Entra's answer and keeps the number in it to itself.
    with pytest.raises(ClientAuthenticationError, match="double check your tenant name or GUID"):
        clients.application(tenant_id="11111111-2222-4333-8444-555555555555").get_token(SCOPE)


def test_an_unknown_tenant_carries_its_number_on_the_wire(lab: VaultLab, raw: Callable[..., Any]) -> None:
    answer = raw(
        "POST", f"{lab.entra_url}/nowhere.example/oauth2/v2.0/token", data={"grant_type": "client_credentials"}
    )
    assert answer.status_code == 400
    assert answer.json()["error_description"].startswith("AADSTS90002: Tenant 'nowhere.example' not found")
    assert answer.json()["error_codes"] == [90002]


@pytest.mark.parametrize(
    ("form", "number"),
    [
        ({}, 900144),
        ({"grant_type": "password"}, 70003),
        ({"grant_type": "client_credentials"}, 700016),
        ({"grant_type": "client_credentials", "client_id": "desk"}, 7000218),
        ({"grant_type": "client_credentials", "client_id": "desk", "client_secret": "right", "scope": "x"}, 1002012),
    ],
)
def test_a_malformed_token_request_is_refused_with_entras_number(
    lab: VaultLab, raw: Callable[..., Any], form: dict[str, str], number: int
) -> None:
    # FD-10
    if form.get("client_id"):
        form = {**form, "client_id": lab.describe()["applications"][0]["client_id"]}
    answer = raw("POST", f"{lab.entra_url}/{TENANT}/oauth2/v2.0/token", data=form)
    assert answer.json()["error_codes"] == [number]
    assert answer.status_code in {400, 401}


def test_the_tenant_is_known_by_its_domain_too(clients: Clients) -> None:
    assert clients.application(tenant_id="acorn.example").get_token(SCOPE).token


def test_the_authority_can_come_from_the_environment(
    lab: VaultLab, vault: VaultInterface, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.add_secret("db-password", "p@ss")
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", lab.describe()["applications"][0]["client_id"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "right")
    with EnvironmentCredential(disable_instance_discovery=True) as credential:
        assert clients.secrets(credential).get_secret("db-password").value == "p@ss"
    assert AzureAuthorityHosts.AZURE_PUBLIC_CLOUD not in lab.entra_url


# Client assertions


def test_a_managed_identity_stands_in_for_a_client_secret(
    lab: VaultLab, vault: VaultInterface, clients: Clients
) -> None:
    vault.add_secret("db-password", "p@ss")
    held = ids(lab, "importer")
    trusted = {"issuer": issuer(TENANT), "subject": held["principal_id"]}
    federated = lab.add_application(name="federated", federated_credentials=[trusted])
    vault.grant("federated", "secrets/get")
    importer, stranger = clients.identity("importer"), clients.identity("sweeper")

    def assertion_of(source: Any, resource: str = TOKEN_EXCHANGE) -> ClientAssertionCredential:
        return ClientAssertionCredential(
            TENANT,
            federated["client_id"],
            lambda: source.get_token(f"{resource}/.default").token,
            authority=lab.entra_url,
            disable_instance_discovery=True,
            retry_total=0,
        )

    with assertion_of(importer) as good:
        assert clients.secrets(good).get_secret("db-password").value == "p@ss"
    with assertion_of(stranger) as other, pytest.raises(ClientAuthenticationError, match="AADSTS700213"):
        other.get_token(SCOPE)
    with assertion_of(importer, "api://else") as astray, pytest.raises(ClientAuthenticationError, match="AADSTS700212"):
        astray.get_token(SCOPE)


# Managed identities


def test_the_system_assigned_identity_needs_no_name(vault: VaultInterface, clients: Clients) -> None:
    # KV-29
    vault.add_secret("db-password", "p@ss")
    assert clients.secrets(clients.managed_identity()).get_secret("db-password").value == "p@ss"
    assert vault.journal(operation="secrets/get", status=200)[0].principal == "host"


def test_a_user_assigned_identity_is_found_by_any_of_its_ids(lab: VaultLab, clients: Clients) -> None:
    # KV-30, KV-31
    held = ids(lab, "importer")
    for which in (
        {"client_id": held["client_id"]},
        {"identity_config": {"resource_id": held["resource_id"]}},
        {"identity_config": {"object_id": held["principal_id"]}},
    ):
        token = clients.managed_identity(**which).get_token(SCOPE).token
        assert unverified_claims(token)["oid"] == held["principal_id"]


def test_two_identities_of_one_host_have_different_rights(
    lab: VaultLab, vault: VaultInterface, clients: Clients
) -> None:
    vault.add_secret("db-password", "p@ss")
    vault.grant("importer", "secrets/get")
    assert clients.secrets(clients.identity("importer")).get_secret("db-password").value == "p@ss"
    with pytest.raises(HttpResponseError, match="Caller is not authorized"):
        clients.secrets(clients.identity("sweeper")).get_secret("db-password")


def test_an_unknown_client_id_is_refused_as_app_service_does(clients: Clients) -> None:
    unknown = clients.managed_identity(client_id="11111111-2222-4333-8444-555555555555")
    with pytest.raises(CredentialUnavailableError, match="400, No User Assigned or Delegated Managed Identity found"):
        unknown.get_token(SCOPE)


def test_the_system_assigned_client_id_does_not_count_as_user_assigned(lab: VaultLab, clients: Clients) -> None:
    with pytest.raises(CredentialUnavailableError, match="400, No User Assigned"):
        clients.managed_identity(client_id=ids(lab, "host")["client_id"]).get_token(SCOPE)


def test_a_host_without_a_system_assigned_identity_is_told_so(lab: VaultLab, clients: Clients) -> None:
    lab.remove_identity("host")
    with pytest.raises(CredentialUnavailableError, match="400, Unable to load the proper Managed Identity"):
        clients.managed_identity().get_token(SCOPE)
    assert clients.managed_identity(client_id=ids(lab, "importer")["client_id"]).get_token(SCOPE).token


def test_the_identity_endpoint_answers_nobody_without_the_header(lab: VaultLab, raw: Callable[..., Any]) -> None:
    query = {"api-version": "2019-08-01", "resource": "https://vault.azure.net"}
    for headers in ({}, {"X-IDENTITY-HEADER": "guess"}):
        answer = raw("GET", lab.identity_url, headers=dict(headers), params=query)
        assert answer.status_code == 401
        assert "access_token" not in answer.text


def test_the_identity_endpoint_wants_its_api_version_and_a_resource(lab: VaultLab, raw: Callable[..., Any]) -> None:
    assert identity_request(lab, raw).status_code == 200
    assert identity_request(lab, raw, **{"api-version": "2017-09-01"}).status_code == 400
    assert identity_request(lab, raw, resource="").status_code == 400


def test_tokens_are_served_for_any_resource(lab: VaultLab, clients: Clients, raw: Callable[..., Any]) -> None:
    token = clients.managed_identity().get_token(f"{TOKEN_EXCHANGE}/.default").token
    claims = unverified_claims(token)
    assert (claims["aud"], claims["iss"], claims["tid"]) == (TOKEN_EXCHANGE, issuer(TENANT), TENANT)
    answer = identity_request(lab, raw, resource="https://management.azure.com/").json()
    assert answer["resource"] == "https://management.azure.com/"
    assert answer["client_id"] == ids(lab, "host")["client_id"]
    assert int(answer["expires_on"]) == unverified_claims(answer["access_token"])["exp"]


def test_tokens_live_as_long_as_they_are_told(lab: VaultLab, clients: Clients) -> None:
    lab.set_token_lifetime(120)
    claims = unverified_claims(clients.managed_identity().get_token(SCOPE).token)
    assert int(str(claims["exp"])) - int(str(claims["iat"])) == 120
