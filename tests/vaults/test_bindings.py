"""Attacks on a secret: read by a document that it is not kept for, or sent to a host of the attacker's choice."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.emulators.key_vault import VaultInterface, VaultLab
from shared.environment import load_environment
from shared.errors import DeskbridgeError, InvalidInputError, MisconfiguredError
from shared.hosts import HOST_SETTINGS, KNOWN_HOSTS, AllowedHosts, Service, matches_host, parse_host_patterns
from shared.reasons import Reason
from shared.settings.store import SettingsStore
from shared.storage.rows import Save, pack
from shared.vaults.credentials import VaultCredentials
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import CredentialReference, InPlaceCredential
from shared.vaults.documents.vault_addresses import CLOUDS
from shared.vaults.identities import StoreIdentity
from shared.vaults.model import CredentialUser
from tests.vaults.conftest import TENANT, Desk, secret

ACORN = CredentialUser("aws-tenants", "acorn")
EVIL = CredentialUser("authrocket-realms", "evil", "evil.example")
KEY = "k3y-of-acorn"


@pytest.fixture
def bound(vault: VaultInterface, desk: Desk) -> Desk:
    """A desk whose secret ec2-key is kept for one tenant."""
    vault.add_secret("ec2-key", KEY)
    desk.store("main", vault)
    desk.put("credentials", "aws", scope="aws-tenants/acorn", store="main", secret="ec2-key")
    return desk


def unchecked(desk: Desk, kind: str, name: str, **content: Any) -> None:
    """Write a document past every check but its own, as an earlier release or another way in might have."""
    store = SettingsStore(desk.table, desk.settings.kinds, desk_now)
    store.put(kind, name, content, by="attacker", if_match="*")
    # Ten seconds later.
    desk.settings._forget(kind)


def desk_now() -> datetime:
    return datetime.now(UTC)


def refused(desk: Desk, reference: CredentialReference, user: CredentialUser = EVIL) -> MisconfiguredError:
    with pytest.raises(MisconfiguredError) as caught:
        desk.read(reference, user)
    assert KEY not in f"{caught.value} {caught.value.remedy}"
    return caught.value


def test_the_document_that_a_secret_is_kept_for_reads_it(bound: Desk) -> None:
    assert bound.read(CredentialReference(credential="aws"), ACORN).text == KEY
    assert bound.read(secret("main", "ec2-key"), ACORN).text == KEY


@pytest.mark.parametrize("spelling", ["ec2-key", "EC2-Key", "{version}", "{address}", "{address}/{id}"])
def test_no_other_document_reads_it_in_place_however_it_is_spelled(
    spelling: str, bound: Desk, vault: VaultInterface, lab: VaultLab
) -> None:
    version = vault.add_secret("ec2-key", KEY)
    address = f"{vault.url}/secrets/ec2-key"
    name = spelling.format(version=f"ec2-key/{version}", address=address, id=version)
    lab.clear_journal()
    assert refused(bound, secret("main", name)).reason is Reason.CREDENTIAL_OUT_OF_SCOPE
    assert lab.values_read() == []


@pytest.mark.parametrize("host", ["{url}", "{url}/", "https://LOCALHOST:{port}", "https://127.0.0.1:{port}"])
def test_no_other_document_reads_it_through_another_store_of_the_same_vault(
    host: str, bound: Desk, vault: VaultInterface
) -> None:
    port = vault.url.rpartition(":")[2]
    allowed = {"DESKBRIDGE_VAULT_HOSTS": "localhost 127.0.0.1"}
    desk = Desk({**os.environ, **allowed, "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "false"})
    bound.credentials = VaultCredentials(bound.settings, desk.vaults, desk_now, bound.clock)
    unchecked(
        bound,
        "credential-stores",
        "other",
        vault_url=host.format(url=vault.url, port=port),
        vault_name="another-name",
        resource="https://vault.azure.net",
        method="system_assigned",
    )
    assert refused(bound, secret("other", "ec2-key")).reason is Reason.CREDENTIAL_OUT_OF_SCOPE


@pytest.mark.parametrize("scope", ["any", "authrocket-realms", "authrocket-realms/evil"])
def test_a_second_wider_credential_opens_nothing(scope: str, bound: Desk) -> None:
    unchecked(bound, "credentials", "wider", scope=scope, store="main", secret="EC2-key")
    assert refused(bound, CredentialReference(credential="wider")).reason is Reason.CREDENTIAL_OUT_OF_SCOPE


def written(desk: Desk, kind: str, name: str, **content: Any) -> dict[str, str]:
    """The faults of writing it."""
    with pytest.raises(InvalidInputError) as caught:
        desk.put(kind, name, **content)
    return {fault.path: fault.message for fault in caught.value.faults}


@pytest.mark.parametrize("scope", ["any", "aws-tenants", "aws-tenants/bramble", "authrocket-realms"])
def test_a_second_wider_credential_is_refused_when_written(scope: str, bound: Desk) -> None:
    faults = written(bound, "credentials", "wider", scope=scope, store="main", secret="ec2-KEY")
    assert "keeps the same secret" in faults["scope"]
    bound.put("credentials", "same", scope="aws-tenants/acorn", store="main", secret="ec2-key")


def events(reference: dict[str, Any]) -> dict[str, Any]:
    return {"credentials": {"current": reference}}


def test_a_document_that_names_a_kept_secret_is_refused_when_written(bound: Desk) -> None:
    in_place = {"in_place": {"store": "main", "secret": "EC2-key/4387e9f3d6e14c459867679a90fd0f79"}}
    faults = written(bound, "key-vault-events", "default", **events(in_place))
    assert "keeps for others" in faults["credentials.current"]


def test_a_credential_cannot_take_a_secret_away_from_who_uses_it(vault: VaultInterface, desk: Desk) -> None:
    desk.store("main", vault)
    desk.put("key-vault-events", "default", **events({"in_place": {"store": "main", "secret": "hook"}}))
    faults = written(desk, "credentials", "mine", scope="aws-tenants/acorn", store="main", secret="HOOK")
    assert "leaves key-vault-events/default out" in faults["scope"]
    desk.put("credentials", "theirs", scope="key-vault-events", store="main", secret="hook")


def test_a_kept_secret_cannot_be_tried_in_place(bound: Desk, lab: VaultLab) -> None:
    from shared.vaults.checks import CredentialChecks

    checks = CredentialChecks(bound.settings, bound.vaults, desk_now)
    lab.clear_journal()
    found = checks.check_in_place(InPlaceCredential(store="main", secret="Ec2-Key"))
    assert (found.ok, found.reason, found.secret) == (False, Reason.CREDENTIAL_OUT_OF_SCOPE, None)
    assert lab.values_read() == []
    assert checks.check_credential("aws").ok


def test_hosts_of_a_credential_narrow_where_it_is_sent_and_cannot_change(vault: VaultInterface, desk: Desk) -> None:
    vault.add_secret("api-key", KEY)
    desk.store("main", vault)
    own = {"scope": "authrocket-realms", "store": "main", "secret": "api-key"}
    desk.put("credentials", "customers", **own, hosts=["api-e2.authrocket.com"])
    reference = CredentialReference(credential="customers")
    assert desk.read(reference, CredentialUser("authrocket-realms", "a", "api-e2.authrocket.com")).text == KEY
    for host in ("api-e3.authrocket.com", "evil.example", "api-e2.authrocket.com.evil.example"):
        for named in (reference, secret("main", "API-key")):
            error = refused(desk, named, CredentialUser("authrocket-realms", "a", host))
            assert error.reason is Reason.HOST_NOT_ALLOWED
    assert "cannot change" in written(desk, "credentials", "customers", **own, hosts=["*.example"])["hosts"]
    assert "cannot change" in written(desk, "credentials", "customers", **own)["hosts"]


# Variables of the worker, and hosts of stores


@pytest.mark.parametrize(
    "setting",
    [
        "AzureWebJobsStorage",
        "IDENTITY_HEADER",
        "DESKBRIDGE_CALENDAR_TOKEN",
        "azureclientsecret",
        "AzureClientSecret2",
        "DESKBRIDGE_CLIENT_SECRET_",
        "DESKBRIDGE_CLIENT_SECRET_X\n",
        "XDESKBRIDGE_CLIENT_SECRET_A",
        "DESKBRIDGE_CLIENT_SECRET_A B",
    ],
)
def test_no_variable_of_the_worker_can_be_named_as_a_client_secret(setting: str, desk: Desk, lab: VaultLab) -> None:
    content = {"vault_url": "https://acorn.vault.azure.net", "method": "client_secret"}
    if setting.strip() == setting:
        faults = written(desk, "credential-stores", "main", **content, client_secret_setting=setting)
        assert "begins with DESKBRIDGE_CLIENT_SECRET_" in faults["client_secret_setting"]
    environment = load_environment({"AzureWebJobsStorage": "x", setting: "s3cret", "AzureTenantId": TENANT})
    store = CredentialStore.model_construct(
        **{**CredentialStore.model_validate(content).__dict__, "client_secret_setting": setting, "client_id": TENANT}
    )
    with pytest.raises(MisconfiguredError) as caught:
        StoreIdentity("main", store, environment)
    assert caught.value.reason is Reason.SETTING_MISSING
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("authority", "https://login.evil.example"),
        ("authority", "https://login.microsoftonline.com.evil.example"),
        ("authority", "https://x.login.microsoftonline.com"),
        ("authority", "https://localhost:8443"),
        ("authority", "https://169.254.169.254"),
        ("authority", "https://ｌogin.microsoftonline.com"),
        ("vault_url", "https://localhost:8443"),
        ("vault_url", "https://127.0.0.1"),
        ("vault_url", "https://a.b.vault.azure.net"),
        ("vault_url", "https://ａcorn.vault.azure.net"),
        ("resource", "https://azure.net"),
        ("resource", "https://net"),
    ],
)
def test_a_store_cannot_name_a_host_of_its_own_choice(field: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk({"DESKBRIDGE_VAULT_HOSTS": "", "DESKBRIDGE_SIGN_IN_HOSTS": "", "AzureClientSecret": "s3cret"})
    content = {"vault_url": "https://acorn.vault.azure.net", "method": "client_secret", field: value}
    assert "host that this desk knows" in written(desk, "credential-stores", "main", **content)[field]
    # And when it came into the table by another way, at the moment of use.
    unchecked(desk, "credential-stores", "main", **content)
    with pytest.raises(MisconfiguredError) as caught:
        desk.read(secret("main", "ec2-key"))
    assert caught.value.reason is Reason.HOST_NOT_ALLOWED


def test_the_deployer_alone_adds_hosts() -> None:
    further = load_environment({"AzureWebJobsStorage": "x", "DESKBRIDGE_SIGN_IN_HOSTS": "login.example, *.sts.example"})
    hosts = AllowedHosts(further.further_hosts())
    assert hosts.allows(Service.SIGN_IN, "login.example")
    assert hosts.allows(Service.SIGN_IN, "a.sts.example")
    assert not hosts.allows(Service.AUTHROCKET, "login.example")
    assert not hosts.allows(Service.SIGN_IN, "a.b.sts.example")
    for wrong in ("*", "*.*.example", "https://login.example", "login.example/x"):
        with pytest.raises(DeskbridgeError):
            load_environment({"AzureWebJobsStorage": "x", HOST_SETTINGS[Service.SIGN_IN]: wrong})


def test_the_known_hosts_are_those_of_microsofts_clouds() -> None:
    domains = {domain for cloud in CLOUDS for domain in (cloud.vault_domain, cloud.hsm_domain)}
    assert set(KNOWN_HOSTS[Service.VAULT]) == {f"*.{domain}" for domain in domains}
    assert {cloud.authority.removeprefix("https://") for cloud in CLOUDS} <= set(KNOWN_HOSTS[Service.SIGN_IN])


@pytest.mark.parametrize(
    "host", ["", "*.authrocket.com", "x.authrocket.com\n", "ａ.authrocket.com", "a.authrocket.com:1"]
)
def test_only_a_plain_name_is_one_of_the_hosts(host: str) -> None:
    assert not matches_host(host, parse_host_patterns("*.authrocket.com"))


def test_the_check_of_an_unknown_host_builds_no_client(desk: Desk) -> None:
    made: Callable[..., Any] = StoreIdentity
    store = CredentialStore.model_validate({"vault_url": "https://localhost:1", "method": "system_assigned"})
    with pytest.raises(MisconfiguredError) as caught:
        made("main", store, load_environment({"AzureWebJobsStorage": "x"}))
    assert caught.value.reason is Reason.HOST_NOT_ALLOWED


@pytest.mark.parametrize("kind", ["credentials", "credential-stores"])
def test_a_credential_that_no_longer_passes_its_check_keeps_its_secret_all_the_same(
    kind: str, bound: Desk, vault: VaultInterface
) -> None:
    bound.store("other", vault)
    name = "aws" if kind == "credentials" else "main"
    row = bound.table.find(kind, f"d:{name}")
    assert row is not None
    content = {**json.loads(str(row.values["document"])), "of_an_earlier_release": True}
    bound.table.transact(kind, [Save(replace(row, values={**row.values, **pack("document", content)}))])
    bound.settings._forget(kind)
    assert refused(bound, secret("other", "ec2-key")).reason is Reason.CREDENTIAL_OUT_OF_SCOPE
