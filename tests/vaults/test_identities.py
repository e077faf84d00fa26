"""Which identity asks: each method of a store against the lab's Entra and identity endpoint."""

import os
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.emulators.key_vault import VaultInterface, VaultLab
from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.reasons import Reason
from tests.vaults.conftest import OTHER_TENANT, TENANT, Desk, secret

USER = ("Key Vault Secrets User",)


@pytest.fixture
def ids(lab: VaultLab) -> dict[str, dict[str, str]]:
    """What each identity of the host is called by."""
    return {identity["name"]: identity for identity in lab.describe()["identities"]}


@pytest.fixture
def new_desk(lab: VaultLab) -> Callable[..., Desk]:
    """A host whose environment has these variables more."""

    def build(**environ: str) -> Desk:
        return Desk({**os.environ, "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "false", **environ})

    return build


def failure(desk: Desk, name: str = "ec2-key", store: str = "main") -> DeskbridgeError:
    with pytest.raises(DeskbridgeError) as refused:
        desk.read(secret(store, name))
    return refused.value


def test_two_user_assigned_identities_on_one_host_have_each_their_own_rights(
    lab: VaultLab, vault: VaultInterface, desk: Desk, ids: dict[str, dict[str, str]]
) -> None:
    # KV-30, KV-31
    vault.add_secret("ec2-key", "s3cret")
    vault.grant("reader", roles=USER)
    desk.store("reading", vault, method="user_assigned", client_id=ids["reader"]["client_id"])
    desk.store("strange", vault, method="user_assigned", client_id=ids["stranger"]["client_id"])

    assert desk.read(secret("reading", "ec2-key")).text == "s3cret"
    refused = failure(desk, store="strange")

    assert refused.reason is Reason.VAULT_PERMISSION_MISSING
    assert ids["stranger"]["principal_id"] in refused.remedy
    assert [entry.principal for entry in lab.values_read()] == ["reader"]


def test_what_one_identity_read_is_not_given_to_another(
    vault: VaultInterface, desk: Desk, ids: dict[str, dict[str, str]]
) -> None:
    vault.add_secret("ec2-key", "s3cret")
    desk.store("main", vault)
    assert desk.read(secret("main", "ec2-key")).text == "s3cret"
    desk.store("main", vault, method="user_assigned", client_id=ids["stranger"]["client_id"])
    assert failure(desk).reason is Reason.VAULT_PERMISSION_MISSING


def test_a_user_assigned_identity_can_be_named_by_its_resource_id(
    lab: VaultLab, vault: VaultInterface, desk: Desk, ids: dict[str, dict[str, str]]
) -> None:
    vault.add_secret("ec2-key", "s3cret")
    vault.grant("reader", roles=USER)
    desk.store("main", vault, method="user_assigned", resource_id=ids["reader"]["resource_id"])
    assert desk.read(secret("main", "ec2-key")).text == "s3cret"
    assert [entry.principal for entry in lab.values_read()] == ["reader"]


@pytest.mark.parametrize("method", ["system_assigned", "user_assigned", "client_secret"])
def test_azure_client_id_in_the_environment_changes_nothing(
    method: str,
    lab: VaultLab,
    vault: VaultInterface,
    ids: dict[str, dict[str, str]],
    new_desk: Callable[..., Desk],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # To azure-identity's default chain the one variable names a managed identity and an app registration at once.
    monkeypatch.setenv("AZURE_CLIENT_ID", ids["stranger"]["client_id"])
    monkeypatch.setenv("AZURE_TENANT_ID", "99999999-0000-4000-8000-000000000000")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "not this one")
    vault.add_secret("ec2-key", "s3cret")
    vault.grant("reader", roles=USER)
    app = lab.add_application(name=f"app-{vault.name}", client_secrets=[{"value": "app s3cret"}])
    vault.grant(f"app-{vault.name}", roles=USER)
    desk = new_desk(AzureTenantId=TENANT, AzureClientId=app["client_id"], AzureClientSecret="app s3cret")
    own = {
        "system_assigned": {},
        "user_assigned": {"client_id": ids["reader"]["client_id"]},
        "client_secret": {"authority": lab.entra_url},
    }[method]
    desk.store("main", vault, method=method, **own)

    assert desk.read(secret("main", "ec2-key")).text == "s3cret"

    used = {"system_assigned": "host", "user_assigned": "reader", "client_secret": f"app-{vault.name}"}[method]
    assert [entry.principal for entry in lab.values_read()] == [used]


# The guide's settings, as its sample writes them but for the stray colon behind `AzureTenantId`.
def test_an_app_registration_is_taken_from_the_guides_three_settings(
    lab: VaultLab, vault: VaultInterface, new_desk: Callable[..., Desk]
) -> None:
    # KV-27, KV-28, FD-01, FD-02, FD-06, FD-07, FD-08, Q-17
    vault.add_secret("ec2-key", "s3cret")
    name = f"app-{vault.name}"
    app = lab.add_application(name=name, client_secrets=[{"value": "app s3cret"}])
    vault.grant(name, roles=USER)
    desk = new_desk(AzureTenantId=TENANT, AzureClientId=app["client_id"], AzureClientSecret="app s3cret")
    desk.store("main", vault, method="client_secret", authority=lab.entra_url)

    assert desk.read(secret("main", "ec2-key")).text == "s3cret"

    assert [entry.principal for entry in lab.values_read()] == [name]
    assert [entry.operation for entry in lab.journal(service="entra")][-1] == "token/client_credentials"


def test_an_app_registration_can_be_named_in_the_store_with_a_setting_of_its_own(
    lab: VaultLab, vault: VaultInterface, new_desk: Callable[..., Desk]
) -> None:
    vault.add_secret("ec2-key", "s3cret")
    name = f"app-{vault.name}"
    app = lab.add_application(name=name, client_secrets=[{"value": "app s3cret"}])
    vault.grant(name, roles=USER)
    desk = new_desk(DESKBRIDGE_CLIENT_SECRET_ACORN="app s3cret", AzureClientSecret="another one")
    own = {
        "tenant_id": TENANT,
        "client_id": app["client_id"],
        "client_secret_setting": "DESKBRIDGE_CLIENT_SECRET_ACORN",
    }
    desk.store("main", vault, method="client_secret", authority=lab.entra_url, **own)
    assert desk.read(secret("main", "ec2-key")).text == "s3cret"


@pytest.mark.parametrize("missing", ["AzureTenantId", "AzureClientId", "AzureClientSecret"])
@pytest.mark.parametrize("text", ["", "@Microsoft.KeyVault(SecretUri=https://acorn.vault.azure.net/secrets/x)"])
def test_a_missing_or_unresolved_app_setting_is_named(
    missing: str, text: str, lab: VaultLab, vault: VaultInterface, new_desk: Callable[..., Desk]
) -> None:
    settings = {"AzureTenantId": TENANT, "AzureClientId": TENANT, "AzureClientSecret": "app s3cret", missing: text}
    desk = new_desk(**settings)
    desk.store("main", vault, method="client_secret", authority=lab.entra_url)
    refused = failure(desk)
    assert refused.reason is Reason.SETTING_MISSING
    assert f"app setting {missing}," in refused.message
    assert f'{{"{missing}": "<value>"}} to settings.json' in refused.remedy
    assert "--settings @settings.json" in refused.remedy
    assert lab.journal() == []


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        ({"AzureClientSecret": "wr0ng"}, Reason.CLIENT_SECRET_WRONG, "az ad app credential reset --id"),
        ({"AzureClientSecret": "old s3cret"}, Reason.CLIENT_SECRET_EXPIRED, "az ad app credential reset --id"),
        ({"AzureClientId": "99999999-0000-4000-8000-000000000000"}, Reason.APP_REGISTRATION_UNKNOWN, "az ad app show"),
        ({"AzureTenantId": "99999999-0000-4000-8000-000000000000"}, Reason.TENANT_UNKNOWN, "Check tenant_id"),
        ({"AzureTenantId": "no/tenant"}, Reason.TENANT_UNKNOWN, "az account show"),
    ],
)
def test_what_entra_refuses_is_told_with_the_command_that_mends_it(
    wrong: dict[str, str],
    reason: Reason,
    words: str,
    lab: VaultLab,
    vault: VaultInterface,
    new_desk: Callable[..., Desk],
) -> None:
    secrets = [{"value": "app s3cret"}, {"value": "old s3cret", "expires_at": "-1d"}]
    app = lab.add_application(name=f"app-{vault.name}", client_secrets=secrets)
    right = {"AzureTenantId": TENANT, "AzureClientId": app["client_id"], "AzureClientSecret": "app s3cret"}
    desk = new_desk(**{**right, **wrong})
    desk.store("main", vault, method="client_secret", authority=lab.entra_url)
    refused = failure(desk)
    assert isinstance(refused, MisconfiguredError)
    assert refused.reason is reason
    assert words in refused.remedy
    assert wrong.get("AzureClientSecret", "app s3cret") not in str(refused)


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "retry_after": 1}, {"kind": "reset"}])
def test_an_entra_in_trouble_may_pass(
    fault: dict[str, object], lab: VaultLab, vault: VaultInterface, new_desk: Callable[..., Desk]
) -> None:
    app = lab.add_application(name=f"app-{vault.name}", client_secrets=[{"value": "app s3cret"}])
    desk = new_desk(AzureTenantId=TENANT, AzureClientId=app["client_id"], AzureClientSecret="app s3cret")
    desk.store("main", vault, method="client_secret", authority=lab.entra_url)
    lab.fail_next(service="entra", times=10, **fault)
    refused = failure(desk)
    assert isinstance(refused, TryLaterError)
    assert refused.reason is Reason.IDENTITY_UNAVAILABLE


def test_a_sign_in_host_that_is_not_there_may_pass_and_is_named(
    vault: VaultInterface, new_desk: Callable[..., Desk]
) -> None:
    desk = new_desk(AzureTenantId=TENANT, AzureClientId=TENANT, AzureClientSecret="app s3cret")
    desk.store("main", vault, method="client_secret", authority="https://localhost:1")
    refused = failure(desk)
    assert isinstance(refused, TryLaterError)
    assert "sign-in host localhost" in refused.message


def test_the_client_secret_goes_to_no_host_whose_certificate_is_not_trusted(
    lab: VaultLab, vault: VaultInterface, new_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    desk = new_desk(AzureTenantId=TENANT, AzureClientId=TENANT, AzureClientSecret="app s3cret")
    desk.store("main", vault, method="client_secret", authority=lab.entra_url)
    assert failure(desk).reason is Reason.VAULT_CERTIFICATE_UNTRUSTED
    assert lab.journal(service="entra") == []


def test_an_app_registration_of_another_tenant_than_the_vaults_is_told_so(
    new_vault: Callable[..., VaultInterface], lab: VaultLab, new_desk: Callable[..., Desk]
) -> None:
    vault = new_vault(tenant_id=OTHER_TENANT)
    name = f"app-{vault.name}"
    app = lab.add_application(name=name, client_secrets=[{"value": "app s3cret"}])
    vault.grant(name, roles=USER)
    vault.add_secret("ec2-key", "s3cret")
    desk = new_desk(AzureTenantId=TENANT, AzureClientId=app["client_id"], AzureClientSecret="app s3cret")
    desk.store("main", vault, method="client_secret", authority=lab.entra_url)
    refused = failure(desk)
    assert refused.reason is Reason.VAULT_TOKEN_REFUSED
    assert "another tenant" in refused.message


def test_a_wrong_client_id_of_a_user_assigned_identity_is_told_with_the_command_that_assigns_it(
    vault: VaultInterface, new_desk: Callable[..., Desk]
) -> None:
    wrong = "99999999-0000-4000-8000-000000000000"
    desk = new_desk(WEBSITE_SITE_NAME="func-acorn", WEBSITE_RESOURCE_GROUP="rg-acorn")
    desk.store("main", vault, method="user_assigned", client_id=wrong)
    refused = failure(desk)
    assert refused.reason is Reason.IDENTITY_UNKNOWN
    assert wrong in refused.message
    assert "az functionapp identity assign --name func-acorn --resource-group rg-acorn --identities" in refused.remedy
    query = f"[?clientId=='{wrong}'].id"
    assert f"--query {shlex.quote(query)} --output tsv" in refused.remedy


def test_a_host_without_a_system_assigned_identity_is_told_with_the_command_that_turns_it_on(
    monkeypatch: pytest.MonkeyPatch, new_desk: Callable[..., Desk]
) -> None:
    with VaultLab({"identities": [{"name": "reader"}], "vaults": [{"name": "kv-acorn"}]}) as other:
        for name, value in other.environment().items():
            monkeypatch.setenv(name, value)
        desk = new_desk()
        desk.store("main", other.vault("kv-acorn"))
        refused = failure(desk)
    assert refused.reason is Reason.IDENTITY_MISSING
    assert "az functionapp identity assign" in refused.remedy


@pytest.mark.parametrize("method", [{}, {"method": "user_assigned", "client_id": TENANT}])
@pytest.mark.parametrize("marks", [{"WEBSITE_INSTANCE_ID": "1"}, {"WEBSITE_SKU": "FlexConsumption"}])
def test_a_deployed_host_without_any_identity_is_told_before_anything_is_tried(
    method: dict[str, str], marks: dict[str, str], lab: VaultLab, vault: VaultInterface, new_desk: Callable[..., Desk]
) -> None:
    desk = new_desk(IDENTITY_ENDPOINT="", IDENTITY_HEADER="", **marks)
    desk.store("main", vault, **method)
    refused = failure(desk)
    assert refused.reason is Reason.IDENTITY_MISSING
    assert "az functionapp identity assign" in refused.remedy
    assert "developer" not in refused.remedy
    assert lab.journal(service="identity") == []


def test_a_machine_outside_azure_is_told_to_use_the_method_developer(
    vault: VaultInterface, new_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.delenv(name)
    # Where a virtual machine's identities would answer; here nobody does.
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://localhost:1")
    desk = new_desk(IDENTITY_ENDPOINT="", IDENTITY_HEADER="")
    desk.store("main", vault)
    refused = failure(desk)
    assert refused.reason is Reason.IDENTITY_MISSING
    assert "use the method developer" in refused.remedy


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 429}, {"kind": "reset"}, {"body": "<html>", "status": 502}]
)
def test_an_identity_endpoint_in_trouble_may_pass(
    fault: dict[str, object], lab: VaultLab, vault: VaultInterface, desk: Desk
) -> None:
    desk.store("main", vault)
    lab.fail_next(service="identity", times=10, **fault)
    refused = failure(desk)
    assert isinstance(refused, TryLaterError)
    assert refused.reason is Reason.IDENTITY_UNAVAILABLE


def test_an_identity_that_the_endpoint_of_a_machine_does_not_find_is_unknown(
    lab: VaultLab, vault: VaultInterface, desk: Desk
) -> None:
    desk.store("main", vault, method="user_assigned", client_id=TENANT)
    body = '{"error": "invalid_request", "error_description": "Identity not found"}'
    lab.fail_next(service="identity", times=10, status=400, body=body)
    refused = failure(desk)
    assert refused.reason is Reason.IDENTITY_UNKNOWN
    assert "az functionapp identity assign" in refused.remedy


def test_a_developer_is_refused_in_azure(vault: VaultInterface, new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(WEBSITE_SKU="FlexConsumption")
    desk.store("main", vault, method="developer")
    assert failure(desk).reason is Reason.DEVELOPER_WHEN_DEPLOYED


def test_a_developer_who_is_not_signed_in_is_told_to(
    vault: VaultInterface, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    desk.store("main", vault, method="developer", tenant_id=TENANT)
    refused = failure(desk)
    assert refused.reason is Reason.DEVELOPER_NOT_SIGNED_IN
    assert f"az login --tenant {TENANT}" in refused.remedy


def test_a_developer_who_is_signed_in_reads_as_themselves(
    lab: VaultLab, vault: VaultInterface, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vault.add_secret("ec2-key", "s3cret")
    token = _token_of(lab, "host")
    az = tmp_path / "az"
    answer = f'{{"accessToken": "{token}", "expires_on": 4102444800, "tokenType": "Bearer"}}'
    az.write_text(f"#!{sys.executable}\nprint('''{answer}''')\n", "utf-8")
    az.chmod(az.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    desk.store("main", vault, method="developer")
    assert desk.read(secret("main", "ec2-key")).text == "s3cret"


def _token_of(lab: VaultLab, principal: str) -> str:
    """A token as the Azure CLI would have it, from the lab's identity endpoint."""
    import requests

    environment = lab.environment()
    assert principal == "host"
    answer = requests.get(
        environment["IDENTITY_ENDPOINT"],
        params={"api-version": "2019-08-01", "resource": "https://vault.azure.net"},
        headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]},
        timeout=5,
    )
    return str(answer.json()["access_token"])


def test_a_client_secret_goes_to_no_authority_within_the_own_network(
    new_desk: Callable[..., Desk], vault: VaultInterface, lab: VaultLab
) -> None:
    desk = new_desk(
        AzureTenantId=TENANT, AzureClientId=TENANT, AzureClientSecret="app s3cret", DESKBRIDGE_ALLOWED_PRIVATE_HOSTS=""
    )
    desk.store("main", vault, method="client_secret", authority=lab.entra_url)
    lab.clear_journal()

    refused = failure(desk)

    assert refused.reason is Reason.HOST_REFUSED
    assert "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS" in refused.remedy
    assert {entry.service for entry in lab.journal()} == {"vault"}  # which asks for a token, without one
