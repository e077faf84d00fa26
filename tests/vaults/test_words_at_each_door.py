"""What is refused says the same at each door: the check of a store, the sweep of a vault, a credential's read."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from azure.keyvault.secrets._shared import http_challenge_cache

from lab.emulators.key_vault import VaultInterface, VaultLab
from shared.environment import load_environment
from shared.errors import DeskbridgeError
from shared.hosts import AllowedHosts
from shared.tickets.documents import SweepSettings
from shared.tickets.domain.model import ObjectType
from shared.tickets.inbound.sweep import VaultSweep
from shared.tickets.inbound.vault_listing import KeyVaultLister
from shared.tickets.inbound.vault_progress import VaultProgress, message_of, reason_of
from shared.vaults.checks import CredentialChecks
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.key_vault import KeyVaultClients
from tests.tickets.desk import Desk as TicketDesk
from tests.tickets.desk import configuration
from tests.vaults.conftest import TENANT, Desk, secret

HSM = "https://managedhsm.azure.net"
READER = [{"principal": "host", "roles": ["Key Vault Reader"]}]


class Said(NamedTuple):
    """What an operator is told."""

    reason: str
    text: str


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    http_challenge_cache.clear()
    yield
    http_challenge_cache.clear()


def checks(desk: Desk) -> CredentialChecks:
    return CredentialChecks(desk.settings, desk.vaults, lambda: datetime.now(UTC))


def check(desk: Desk) -> Said:
    found = checks(desk).check_store("main")
    return Said(found.reason or "", f"{found.summary} {found.remedy}")


def swept(desk: Desk, tickets: TicketDesk | None = None) -> VaultProgress:
    store = desk.settings.get(CredentialStore, "main").document
    tickets = tickets or TicketDesk(configured=configuration("acorn"))
    assert tickets.configured is not None
    source = KeyVaultLister(desk.vaults, "main", store, AllowedHosts())
    step = VaultSweep(tickets.repository, tickets.reconciler)
    return step.step(source, tickets.configured.context("acorn"), SweepSettings(), VaultProgress(datetime.now(UTC)))


def sweep(desk: Desk) -> Said:
    progress = swept(desk)
    return Said(reason_of(progress), message_of(progress))


def read(desk: Desk) -> Said:
    try:
        desk.read(secret("main", "ec2-key"))
    except DeskbridgeError as error:
        return Said(error.reason, str(error))
    return Said("", "")


DOORS: dict[str, Callable[[Desk], Said]] = {"check": check, "sweep": sweep, "read": read}


@pytest.mark.parametrize("door", DOORS)
def test_a_vault_with_public_access_off_is_not_told_of_rules_for_addresses(
    door: str, desk: Desk, vault: VaultInterface
) -> None:
    desk.store("main", vault)
    vault.configure(firewall="private")
    said = DOORS[door](desk)
    assert said.reason == "vault_firewall"
    assert "public network access is off" in said.text
    assert f"az keyvault update --name {vault.name} --public-network-access Enabled" in said.text
    assert "network-rule" not in said.text


@pytest.mark.parametrize("door", DOORS)
def test_a_vault_whose_firewall_is_closed_says_which_rule_lets_the_app_in(
    door: str, desk: Desk, vault: VaultInterface
) -> None:
    desk.store("main", vault)
    vault.configure(firewall="closed")
    said = DOORS[door](desk)
    assert said.reason == "vault_firewall"
    assert f"az keyvault network-rule add --name {vault.name} --ip-address" in said.text


@pytest.mark.parametrize("door", DOORS)
def test_case_12_an_identity_that_is_not_found_is_unknown_and_not_told_as_passing(
    door: str, desk: Desk, vault: VaultInterface, lab: VaultLab
) -> None:
    desk.store("main", vault, method="user_assigned", client_id=TENANT)
    body = '{"error": "invalid_request", "error_description": "Identity not found"}'
    lab.fail_next(service="identity", times=30, status=400, body=body)
    said = DOORS[door](desk)
    assert said.reason == "identity_unknown"
    assert "az functionapp identity assign" in said.text
    assert "passes" not in said.text


@pytest.mark.parametrize("door", DOORS)
def test_a_vault_of_another_tenant_says_that_the_token_is_refused(door: str, desk: Desk, vault: VaultInterface) -> None:
    desk.store("main", vault)
    body = '{"error": {"code": "Unauthorized", "message": "AKV10032: Invalid issuer."}}'
    vault.fail_next(status=401, times=30, body=body)
    said = DOORS[door](desk)
    assert said.reason == "vault_token_refused"
    assert "belongs to another tenant" in said.text


def test_case_13_json_whose_quotes_powershell_took_is_told_with_a_remedy_that_does_not_repeat_it(
    desk: Desk, vault: VaultInterface
) -> None:
    desk.store("main", vault)
    vault.add_secret("hook", "{username: event-grid, password: s3cret}")
    fields = {"username_field": "username", "password_field": "password"}
    desk.put("credentials", "hook", scope="any", store="main", secret="hook", **fields)
    found = checks(desk).check_credential("hook")
    with pytest.raises(DeskbridgeError) as refused:
        desk.read_pair(secret("main", "hook", **fields))
    for text in (str(refused.value), f"{found.summary} {found.remedy}"):
        assert "PowerShell takes them" in text
        assert "--file value.txt" in text
        assert "s3cret" not in text


def test_case_13b_a_byte_order_mark_before_the_json_is_skipped(desk: Desk, vault: VaultInterface) -> None:
    desk.store("main", vault)
    vault.add_secret("hook", '\ufeff{"username": "event-grid", "password": "s3cret"}')
    fields = {"username_field": "username", "password_field": "password"}
    desk.put("credentials", "hook", scope="any", store="main", secret="hook", **fields)
    assert checks(desk).check_credential("hook").ok
    found = desk.read_pair(secret("main", "hook", **fields))
    assert (found.username, found.password) == ("event-grid", "s3cret")


# Case 14: managed HSMs


@pytest.fixture
def hsm(new_vault: Callable[..., VaultInterface], desk: Desk) -> VaultInterface:
    found = new_vault(resource=HSM, grants=READER)
    desk.store("main", found, resource=HSM)
    return found


def test_case_14_a_managed_hsm_is_swept_for_its_keys_and_asked_for_nothing_else(
    hsm: VaultInterface, desk: Desk, lab: VaultLab
) -> None:
    hsm.add_key("tde-key", expires_at="+5d")
    tickets = TicketDesk(configured=configuration("acorn"))
    lab.clear_journal()
    progress = swept(desk, tickets)
    assert (progress.done, progress.objects, progress.refusals) == (True, 1, ())
    assert tickets.ticket("tde-key")["priority"] == "high"
    asked = {str(entry.operation).partition("/")[0] for entry in lab.journal(service="vault", status=200)}
    assert asked == {"keys"}


def test_case_14_the_store_of_a_managed_hsm_is_checked_by_its_keys(hsm: VaultInterface, desk: Desk) -> None:
    hsm.add_key("tde-key")
    ready = "The credential store main is ready for the sweep: its identity can list the keys of the HSM. "
    assert check(desk) == Said("", ready)
    hsm.revoke("host")
    for said in (check(desk), sweep(desk)):
        assert said.reason == "vault_permission_missing"
        assert (
            f"az keyvault role assignment create --hsm-name {hsm.name} --role 'Managed HSM Crypto Auditor' "
            "--assignee '<identity>' --scope /keys"
        ) in said.text


def test_case_14_no_secret_is_read_from_a_managed_hsm(hsm: VaultInterface, desk: Desk) -> None:
    said = read(desk)
    assert (hsm.url.startswith("https://"), said.reason) == (True, "vault_address_wrong")
    assert "which keeps keys alone" in said.text


@pytest.mark.parametrize("domain", ["azure.net", "usgovcloudapi.net", "azure.cn"])
def test_case_14_the_address_of_a_managed_hsm_says_what_a_token_is_asked_for(domain: str) -> None:
    url = f"https://acorn-hsm.managedhsm.{domain}"
    store = CredentialStore.model_validate({"vault_url": url, "method": "system_assigned"})
    assert (store.is_hsm, store.token_resource) == (True, f"https://managedhsm.{domain}")
    assert store.name_of_vault == "acorn-hsm"
    assert all(AllowedHosts().allows(use.service, use.host) for use in store.host_uses())
    url = f"https://acorn.vault.{domain}"
    vault = CredentialStore.model_validate({"vault_url": url, "method": "system_assigned"})
    assert (vault.is_hsm, vault.token_resource) == (False, f"https://vault.{domain}")
    # One that a pattern allows has the address that follows from its name, and the identity of the store of vaults.
    assert vault.beside("acorn-hsm", is_hsm=True) == store
    assert store.beside("acorn") == vault


def test_a_managed_hsm_of_a_pattern_is_opened_with_an_identity_for_managed_hsms() -> None:
    given = {"vault_url": "https://acorn.vault.azure.net", "method": "system_assigned"}
    store = CredentialStore.model_validate(given)
    found = KeyVaultClients(load_environment({"AzureWebJobsStorage": "UseDevelopmentStorage=true"}))
    provider = "/subscriptions/a/resourcegroups/b/providers/microsoft.keyvault"
    names = ["managedhsms/ash-hsm", "vaults/elm", "managedhsms/fir-hsm"]
    opened = [KeyVaultLister(found, "main", store, AllowedHosts(), f"{provider}/{name}") for name in names]
    domains = ("ash-hsm.managedhsm", "elm.vault", "fir-hsm.managedhsm")
    assert [one._store.vault_url for one in opened] == [f"https://{domain}.azure.net" for domain in domains]
    assert [ObjectType.SECRET in one._lists for one in opened] == [False, True, False]
    # Tokens are kept: one identity for all vaults, one for all managed HSMs.
    asked_for = {identity._scope for _, identity in found._identities.values()}
    assert asked_for == {"https://vault.azure.net/.default", "https://managedhsm.azure.net/.default"}


# One object


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": 403, "body": '{"error": {"code": "Forbidden", "message": "No."}}'}, "vault_permission_missing"),
        ({"status": 400, "body": '{"error": {"code": "BadParameter", "message": "?"}}'}, "vault_address_wrong"),
        ({"status": 500}, "vault_failed"),
        ({"status": 200, "body": '{"value": [{"attributes": {}}]}'}, "vault_address_wrong"),
        ({"status": 200, "body": "[1]"}, "vault_address_wrong"),
        ({"status": 200, "body": '{"value": [{"id": "https://x/odd", "attributes": 5}]}'}, "vault_address_wrong"),
        ({"status": 200, "body": '{"value": 7}'}, "vault_address_wrong"),
        ({"status": 200, "body": "<html>"}, "vault_address_wrong"),
    ],
)
def test_one_object_that_a_vault_refuses_costs_that_one_and_is_named_in_the_report(
    answer: dict[str, Any], reason: str, desk: Desk, new_vault: Callable[..., VaultInterface]
) -> None:
    vault = new_vault(grants=READER)
    desk.store("main", vault)
    for name in ("mail", "odd", "pay"):
        vault.add_secret(name, "x", expires_at="+5d")
    vault.add_key("disk", expires_at="+5d")
    tickets = TicketDesk(configured=configuration("acorn"))
    answer = {"content_type": "application/json", **answer}
    vault.fail_next(operation="secrets/list_versions", object_name="odd", times=9, **answer)
    progress = swept(desk, tickets)
    assert progress.refusals == ()
    assert [(one.object_type, one.name, one.reason) for one in progress.refused_objects] == [("secret", "odd", reason)]
    assert "Left out: secret odd." in message_of(progress)
    assert sorted(str(row["object_name"]) for row in tickets.tickets()) == ["disk", "mail", "pay"]


def test_a_vault_that_fails_for_one_object_after_the_other_costs_the_type_and_not_hours(
    desk: Desk, new_vault: Callable[..., VaultInterface]
) -> None:
    vault = new_vault(grants=READER)
    desk.store("main", vault)
    for number in range(8):
        vault.add_secret(f"mail-{number}", "x", expires_at="+5d")
    vault.add_key("disk", expires_at="+5d")
    vault.fail_next(operation="secrets/list_versions", status=500, times=200)
    progress = swept(desk)
    assert [(one.object_type, one.reason) for one in progress.refusals] == [("secret", "vault_failed")]
    assert progress.near_or_past_expiry == 1
