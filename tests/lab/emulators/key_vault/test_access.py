"""The challenge, the tokens that a vault honours, and its refusals in both permission models."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError

from lab.emulators.key_vault import VaultInterface, VaultLab
from lab.emulators.key_vault.documents import TENANT
from tests.lab.emulators.key_vault.conftest import Clients

SCOPE = "https://vault.azure.net/.default"


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """Message and inner code of the 403 that the call ends in."""
    with pytest.raises(HttpResponseError) as caught:
        call()
    assert caught.value.status_code == 403
    assert caught.value.response is not None
    body = json.loads(caught.value.response.text())["error"]
    assert body["code"] == "Forbidden"
    return body["message"], body["innererror"]["code"]


def test_a_request_without_a_token_is_told_where_to_get_one(
    lab: VaultLab, vault: VaultInterface, raw: Callable[..., Any]
) -> None:
    answer = raw("GET", f"{vault.url}/secrets/db-password?api-version=7.6")
    assert answer.status_code == 401
    expected = f'Bearer authorization="{lab.entra_url}/{TENANT}", resource="https://vault.azure.net"'
    assert answer.headers["WWW-Authenticate"] == expected
    assert answer.json()["error"]["message"].startswith("AKV10000")


def test_the_client_asks_once_for_the_challenge_and_then_keeps_its_token(
    lab: VaultLab, vault: VaultInterface, clients: Clients
) -> None:
    vault.add_secret("db-password", "p@ss")
    client = clients.secrets()
    for _ in range(3):
        client.get_secret("db-password")
    assert [entry.status for entry in vault.journal()] == [401, 200, 200, 200]
    assert len(lab.journal(service="identity")) == 1


def test_the_client_refuses_the_lab_unless_the_challenge_check_is_off(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    with pytest.raises(ValueError, match="does not match the requested domain"):
        clients.secrets(verify_challenge_resource=True).get_secret("db-password")


def test_a_token_for_another_audience_tenant_or_signer_is_not_honoured(
    lab: VaultLab, vault: VaultInterface, clients: Clients, raw: Callable[..., Any]
) -> None:
    vault.add_secret("db-password", "p@ss")
    url = f"{vault.url}/secrets/db-password?api-version=7.6"

    def message(token: str) -> str:
        answer = raw("GET", url, token=token)
        assert answer.status_code == 401
        assert "resource=" in answer.headers["WWW-Authenticate"]
        found: str = answer.json()["error"]["message"]
        return found

    management = clients.managed_identity().get_token("https://management.azure.com/.default").token
    assert message(management).startswith("AKV10022: Invalid audience. Expected https://vault.azure.net, found:")
    lab.add_identity(name="stranger", tenant_id="00000000-0000-4000-8000-000000000002")
    stranger = clients.identity("stranger").get_token(SCOPE).token
    assert message(stranger).startswith("AKV10032: Invalid issuer.")
    with VaultLab({"identities": [{"name": "host", "kind": "system"}]}) as other:
        answer = raw(
            "GET",
            f"{other.identity_url}?api-version=2019-08-01&resource=https://vault.azure.net",
            headers={"X-IDENTITY-HEADER": other.environment()["IDENTITY_HEADER"]},
        )
    assert message(answer.json()["access_token"]).startswith("AKV10046")
    assert message("nonsense").startswith("AKV10046")


def test_a_token_runs_out_by_the_labs_clock(
    lab: VaultLab, vault: VaultInterface, clients: Clients, raw: Callable[..., Any]
) -> None:
    vault.add_secret("db-password", "p@ss")
    lab.set_token_lifetime(600)
    token = clients.managed_identity().get_token(SCOPE)
    url = f"{vault.url}/secrets/db-password?api-version=7.6"
    assert raw("GET", url, token=token.token).status_code == 200
    lab.set_clock_offset(601)
    late = raw("GET", url, token=token.token)
    assert late.status_code == 401
    assert "expired" in late.json()["error"]["message"]
    assert "WWW-Authenticate" in late.headers


def test_rbac_names_the_action_the_caller_and_the_resource(
    lab: VaultLab, vault: VaultInterface, clients: Clients
) -> None:
    # KV-34: the role that was asked for reads and nothing more.
    vault.add_secret("db-password", "p@ss")
    importer = clients.identity("importer")
    message, code = refusal(lambda: clients.secrets(importer).get_secret("db-password"))
    assert code == "ForbiddenByRbac"
    assert message.startswith("Caller is not authorized to perform action on resource.")
    assert "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'" in message
    assert f"Resource: '{vault.resource_id.lower()}/secrets/db-password'" in message
    held = {identity["name"]: identity for identity in lab.describe()["identities"]}["importer"]
    assert f"appid={held['client_id']};oid={held['principal_id']};iss=https://sts.windows.net/{TENANT}/" in message
    assert "Vault: kv-acorn;location=westeurope" in message
    message, _ = refusal(lambda: clients.secrets(clients.identity("host")).set_secret("db-password", "mine"))
    assert "setSecret/action" in message


def test_the_reader_role_lists_everything_and_reads_no_value(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    vault.add_key("signing")
    client = clients.secrets(clients.identity("sweeper"))
    assert [held.name for held in client.list_properties_of_secrets()] == ["db-password"]
    assert [held.name for held in clients.keys().list_properties_of_keys()] == ["signing"]
    assert refusal(lambda: client.get_secret("db-password"))[1] == "ForbiddenByRbac"
    message, _ = refusal(lambda: list(clients.keys(clients.identity("host")).list_properties_of_keys()))
    assert "Action: 'Microsoft.KeyVault/vaults/keys/read'" in message


def test_a_role_can_be_given_for_one_secret_alone(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("mine", "1")
    vault.add_secret("yours", "2")
    vault.grant("importer", roles=("Key Vault Secrets User",), scope="secrets/mine")
    client = clients.secrets(clients.identity("importer"))
    assert client.get_secret("mine").value == "1"
    assert refusal(lambda: client.get_secret("yours"))[1] == "ForbiddenByRbac"


def test_an_access_policy_refuses_in_its_own_words(lab: VaultLab, clients: Clients) -> None:
    # AP-10, AP-11
    legacy = lab.vault("kv-legacy")
    legacy.add_secret("db-password", "p@ss")
    host, sweeper = clients.identity("host"), clients.identity("sweeper")
    assert clients.secrets(host, "kv-legacy").get_secret("db-password").value == "p@ss"
    message, code = refusal(lambda: clients.secrets(sweeper, "kv-legacy").get_secret("db-password"))
    assert code == "AccessDenied"
    assert message.startswith("The user, group or application 'appid=")
    assert "does not have secrets get permission on key vault 'kv-legacy;location=westeurope'" in message
    message, _ = refusal(lambda: list(clients.secrets(host, "kv-legacy").list_properties_of_secrets()))
    assert "does not have secrets list permission" in message
    legacy.configure(policy_denial_code="ForbiddenByPolicy")
    assert refusal(lambda: clients.secrets(sweeper, "kv-legacy").get_secret("db-password"))[1] == "ForbiddenByPolicy"


def test_roles_mean_nothing_to_a_vault_with_access_policies(lab: VaultLab, clients: Clients) -> None:
    legacy = lab.vault("kv-legacy")
    legacy.add_secret("db-password", "p@ss")
    legacy.grant("importer", roles=("Key Vault Administrator",))
    client = clients.secrets(clients.identity("importer"), "kv-legacy")
    assert refusal(lambda: client.get_secret("db-password"))[1] == "AccessDenied"


def test_what_was_granted_can_be_taken_back(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    client = clients.secrets()
    assert client.get_secret("db-password").value == "p@ss"
    vault.revoke("host")
    assert refusal(lambda: client.get_secret("db-password"))[1] == "ForbiddenByRbac"


@pytest.mark.parametrize(
    ("firewall", "code", "words"),
    [
        ("closed", "ForbiddenByFirewall", "Client address: 127.0.0.1"),
        ("private", "ForbiddenByConnection", "Public network access is disabled"),
    ],
)
def test_a_firewall_refuses_whoever_has_the_right(
    vault: VaultInterface, clients: Clients, firewall: str, code: str, words: str
) -> None:
    vault.add_secret("db-password", "p@ss")
    vault.configure(firewall=firewall)
    message, inner = refusal(lambda: clients.secrets().get_secret("db-password"))
    assert (inner, words in message) == (code, True)


def test_a_sovereign_vault_asks_for_its_own_audience(lab: VaultLab, clients: Clients, raw: Callable[..., Any]) -> None:
    china = lab.add_vault(
        name="kv-china",
        resource="https://vault.azure.cn",
        grants=[{"principal": "host", "permissions": ["secrets/get"]}],
        secrets=[{"name": "db-password", "value": "p@ss"}],
    )
    assert clients.secrets(vault="kv-china").get_secret("db-password").value == "p@ss"
    public = clients.managed_identity().get_token(SCOPE).token
    answer = raw("GET", f"{china.url}/secrets/db-password?api-version=7.6", token=public)
    assert answer.status_code == 401


def test_a_client_that_does_not_know_the_labs_authority_does_not_trust_it(
    lab: VaultLab, vault: VaultInterface, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = clients.secrets(clients.identity("host"))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get_secret("db-password")
    assert vault.journal() == []
