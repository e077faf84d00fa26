"""Stores, credentials and references as operators write them: what is taken, what is refused, and where."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.errors import InvalidInputError
from shared.settings.validation import faults_of
from shared.vaults.documents.credential_stores import API_VERSIONS, CredentialStore
from shared.vaults.documents.credentials import Credential, CredentialReference
from shared.vaults.documents.vault_addresses import SecretAddress, host_of, is_loopback, parse_secret_address
from tests.vaults.conftest import Desk

CLIENT = "0f3b1e9a-0000-4000-8000-00000000c0de"
IDENTITY = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
STORE: dict[str, Any] = {"vault_url": "https://acorn.vault.azure.net", "method": "system_assigned"}


def faults(document: type[BaseModel], **content: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as refused:
        document.model_validate(content)
    return {fault.path: fault.message for fault in faults_of(refused.value)}


@pytest.mark.parametrize(
    "method",
    [
        {"method": "system_assigned"},
        {"method": "user_assigned", "client_id": CLIENT},
        {"method": "user_assigned", "resource_id": IDENTITY},
        {"method": "client_secret"},
        {"method": "client_secret", "tenant_id": "acorn.onmicrosoft.com", "client_id": CLIENT},
        {
            "method": "client_secret",
            "client_secret_setting": "DESKBRIDGE_CLIENT_SECRET_ACORN",
            "authority": "login.microsoftonline.us",
        },
        {"method": "developer", "tenant_id": CLIENT},
    ],
)
def test_each_method_takes_what_belongs_to_it(method: dict[str, str]) -> None:
    # KV-24, KV-25, KV-26, KV-27, KV-31, FD-03, FD-05, FD-06, FD-07, FD-08
    assert CredentialStore.model_validate({**STORE, **method}).method == method["method"]


@pytest.mark.parametrize(
    ("content", "path", "words"),
    [
        ({"vault_url": "http://acorn.vault.azure.net"}, "vault_url", "must begin with https://"),
        ({"vault_url": "acorn"}, "vault_url", "such as https://acorn.vault.azure.net"),
        ({"vault_url": "https://acorn.vault.azure.net/secrets/x"}, "vault_url", "without a path"),
        ({"vault_url": "https://acorn.vault.azure.net:99999"}, "vault_url", "not a readable address"),
        ({"vault_url": "https://me:pw@acorn.vault.azure.net"}, "vault_url", "must be an address"),
        ({"vault_url": "https://acorn.example"}, "vault_url", "no vault of a known cloud"),
        ({"vault_url": "https://vault.azure.net.evil.example"}, "vault_url", "no vault of a known cloud"),
        (
            {"vault_url": "https://evil.example", "resource": "https://vault.azure.net"},
            "vault_url",
            "not a host within vault.azure.net",
        ),
        ({"method": "root"}, "method", "must be one of"),
        ({"method": "user_assigned"}, "resource_id", "or client_id is needed"),
        (
            {"method": "user_assigned", "client_id": CLIENT, "resource_id": IDENTITY},
            "resource_id",
            "leave one of them out",
        ),
        ({"method": "user_assigned", "client_id": "reader"}, "client_id", "must be a GUID"),
        ({"method": "user_assigned", "resource_id": "reader"}, "resource_id", "the identity's resource id"),
        ({"client_id": CLIENT}, "client_id", "no meaning for the method system_assigned"),
        ({"method": "client_secret", "client_secret_setting": "p@ss word"}, "client_secret_setting", "never stands"),
        ({"method": "client_secret", "client_secret": "hunter2"}, "client_secret", "there is no such field"),
        ({"method": "client_secret", "authority": "http://login.example"}, "authority", "must begin with https://"),
        ({"method": "client_secret", "tenant_id": "not a tenant"}, "tenant_id", "the directory's GUID"),
        ({"grant_type": "authorization_code"}, "grant_type", "signs in as itself, with client_credentials"),
        ({"api_version": "2016-10-01"}, "api_version", "7.6 is used in its place"),
        ({"api_version": "9.9"}, "api_version", "is not known"),
        ({"expired": "maybe"}, "expired", "must be one of"),
        ({"cache_seconds": -1}, "cache_seconds", "must be at least 0"),
    ],
)
def test_a_fault_in_a_store_is_named_with_its_place(content: dict[str, Any], path: str, words: str) -> None:
    # FD-09, FD-10, FD-11
    found = faults(CredentialStore, **{**STORE, **content})
    assert list(found) == [path]
    assert words in found[path]


def test_all_faults_of_a_store_are_told_at_once_and_no_value_is_repeated() -> None:
    found = faults(
        CredentialStore, vault_url="http://x", method="client_secret", client_secret_setting="hun ter2", api=1
    )
    assert set(found) == {"vault_url", "client_secret_setting", "api"}
    assert "hun ter2" not in str(found)


@pytest.mark.parametrize("written", ["7.4", 7.4, "7.5"])
def test_an_api_version_may_stand_without_quotes(written: Any) -> None:
    assert CredentialStore.model_validate({**STORE, "api_version": written}).api_version == str(written)


def test_every_api_version_that_is_taken_is_one_that_microsofts_client_speaks() -> None:
    from azure.keyvault.secrets import ApiVersion

    assert set(API_VERSIONS) <= {version.value for version in ApiVersion}


@pytest.mark.parametrize(
    ("host", "resource", "authority"),
    [
        ("acorn.vault.azure.net", "https://vault.azure.net", "https://login.microsoftonline.com"),
        ("acorn.vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net", "https://login.microsoftonline.us"),
        ("acorn.vault.azure.cn", "https://vault.azure.cn", "https://login.partner.microsoftonline.cn"),
    ],
)
def test_resource_and_authority_follow_from_the_vaults_host(host: str, resource: str, authority: str) -> None:
    # FD-09
    store = CredentialStore.model_validate({"vault_url": f"https://{host}/", "method": "client_secret"})
    assert (store.name_of_vault, store.token_resource, store.sign_in_authority) == ("acorn", resource, authority)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://Acorn.Vault.Azure.Net/", "https://acorn.vault.azure.net"),
        ("https://acorn.vault.azure.net:443", "https://acorn.vault.azure.net"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_a_vaults_address_is_kept_in_one_form(written: str, read: str) -> None:
    assert CredentialStore.model_validate({**STORE, "vault_url": written}).vault_url == read


def test_a_cloud_of_its_own_names_its_resource() -> None:
    document = {"vault_url": "https://acorn.vault.desk.local", "resource": "https://vault.desk.local/"}
    store = CredentialStore.model_validate({**document, "method": "system_assigned"})
    assert store.token_resource == "https://vault.desk.local"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ec2-key", SecretAddress("ec2-key")),
        ("ec2-key/4387e9f3d6e14c459867679a90fd0f79", SecretAddress("ec2-key", "4387e9f3d6e14c459867679a90fd0f79")),
        (
            "https://Acorn.vault.azure.net/secrets/ec2-key/",
            SecretAddress("ec2-key", "", "https://acorn.vault.azure.net"),
        ),
        ("https://acorn.vault.azure.net/secrets/a/b1", SecretAddress("a", "b1", "https://acorn.vault.azure.net")),
        (" ec2-key ", SecretAddress("ec2-key")),
    ],
)
def test_a_secret_is_named_in_three_forms(text: str, address: SecretAddress) -> None:
    # FD-13, FD-14
    assert parse_secret_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "name/",
        "/version",
        "a/b/c",
        "naïve",
        "http://acorn.vault.azure.net/secrets/a",
        "https://acorn.vault.azure.net/keys/a",
        "https://acorn.vault.azure.net/secrets",
        "https://acorn.vault.azure.net/secrets/a/b/c",
        "https://me@acorn.vault.azure.net/secrets/a",
        "https://acorn.vault.azure.net/secrets/a?api-version=7.4",
        "https://[::1/secrets/a",
        "../../etc/passwd",
    ],
)
def test_anything_else_is_refused_as_a_secrets_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_secret_address(text)


@given(st.text())
def test_no_text_makes_the_address_parser_fail_otherwise(text: str) -> None:
    try:
        address = parse_secret_address(text)
    except ValueError:
        return
    assert parse_secret_address(str(address)) == SecretAddress(address.name, address.version)


@given(st.text())
def test_no_text_makes_the_host_parser_fail(text: str) -> None:
    is_loopback(host_of(text))


def test_a_reference_names_a_credential_or_a_secret_in_place_and_not_both() -> None:
    # FD-12, KV-22, KV-32
    assert CredentialReference.model_validate({"credential": "aws"}).credential == "aws"
    assert CredentialReference.model_validate({"in_place": {"store": "main", "secret": "a"}}).in_place is not None
    for content in ({}, {"credential": "aws", "in_place": {"store": "main", "secret": "a"}}):
        assert faults(CredentialReference, **content).keys() == {""}


@pytest.mark.parametrize(
    "scope", ["any", "aws-tenants", "aws-tenants/acorn", "key-vault-events", "authrocket-realms/x1"]
)
def test_a_credential_has_a_scope(scope: str) -> None:
    # FD-15
    assert Credential.model_validate({"scope": scope, "store": "main", "secret": "a"}).scope == scope


@pytest.mark.parametrize("scope", ["", "aws", "aws-tenants/", "aws-tenants/Acorn", "sites"])
def test_a_scope_that_is_none_is_refused(desk: Desk, scope: str) -> None:
    desk.put("credential-stores", "main", vault_url="https://acorn.vault.azure.net", method="system_assigned")
    with pytest.raises(InvalidInputError) as refused:
        desk.put("credentials", "aws", scope=scope, store="main", secret="a")
    assert [fault.path for fault in refused.value.faults] == ["scope"]


def test_the_scope_of_a_credential_cannot_change_and_everything_else_can(desk: Desk) -> None:
    # FD-16, FD-17
    desk.put("credential-stores", "main", **STORE)
    desk.put("credential-stores", "other", **STORE)
    desk.put("credentials", "aws", scope="aws-tenants", store="main", secret="a")

    with pytest.raises(InvalidInputError) as refused:
        desk.put("credentials", "aws", scope="any", store="main", secret="a")
    assert [fault.path for fault in refused.value.faults] == ["scope"]
    assert "Make a new credential" in refused.value.faults[0].message

    desk.put("credentials", "aws", scope="aws-tenants", store="other", secret="b/2", value_field="key")
    changed = desk.settings.get(Credential, "aws").document
    assert (changed.store, changed.secret, changed.value_field) == ("other", "b/2", "key")


def test_a_credential_needs_its_store_and_holds_it_in_place(desk: Desk) -> None:
    # FD-04, FD-12
    with pytest.raises(InvalidInputError, match="no document credential-stores/main"):
        desk.put("credentials", "aws", scope="any", store="main", secret="a")
    desk.put("credential-stores", "main", **STORE)
    desk.put("credentials", "aws", scope="any", store="main", secret="a")
    with pytest.raises(Exception, match="is used by credentials/aws"):
        desk.settings.delete("credential-stores", "main", by="test", if_match="*")


def test_a_scope_says_who_may_use_a_credential() -> None:
    narrow = Credential.model_validate({"scope": "aws-tenants/acorn", "store": "main", "secret": "a"})
    wide = Credential.model_validate({"scope": "aws-tenants", "store": "main", "secret": "a"})
    assert narrow.check_use("aws-tenants", "acorn") is None
    assert wide.check_use("aws-tenants", "bramble") is None
    assert "may not use it" in (narrow.check_use("aws-tenants", "bramble") or "")
    assert "may not use it" in (wide.check_use("authrocket-realms", "acorn") or "")
