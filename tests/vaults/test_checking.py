"""Checking a store and a credential: one sentence about what is wrong, the command that mends it, never a value."""

import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab.emulators.key_vault import VaultInterface, VaultLab
from shared.errors import NotFoundError
from shared.reasons import Reason
from shared.vaults.checks import CredentialCheck, CredentialChecks
from shared.vaults.documents.credentials import InPlaceCredential
from shared.vaults.key_vault import KeyVaultClients
from tests.vaults.conftest import Desk

VALUE = "v4lue-that-must-not-show"


@pytest.fixture
def checks(desk: Desk) -> CredentialChecks:
    return CredentialChecks(desk.settings, desk.vaults, lambda: datetime.now(UTC))


@pytest.fixture
def check(vault: VaultInterface, desk: Desk, checks: CredentialChecks) -> Callable[..., CredentialCheck]:
    """Checks a credential for a secret of the test's vault, after making both documents."""

    def run(name: str = "ec2-key", store: dict[str, Any] | None = None, **fields: str) -> CredentialCheck:
        desk.store("main", vault, **(store or {}))
        desk.put("credentials", "aws", scope="any", store="main", secret=name, **fields)
        found = checks.check_credential("aws")
        assert VALUE not in repr(found)
        return found

    return run


def test_a_good_credential_is_described_by_length_version_expiry_and_field_names(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=90)
    value = f'{{"username": "desk", "password": "{VALUE}"}}'
    version = vault.add_secret("ec2-key", value, expires_at=ends)

    found = check(username_field="username", password_field="password")

    assert found.ok
    assert found.reason is None
    assert found.identity == "system-assigned identity of this host"
    assert found.secret is not None
    assert (found.secret.length, found.secret.version) == (len(value), version)
    assert (found.secret.expires_at, found.secret.fields) == (ends, ("password", "username"))


def test_an_unknown_secret_is_told_with_the_commands_that_list_recover_and_make_it(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    found = check("ec2-key")
    assert (found.ok, found.reason, found.may_pass) == (False, Reason.SECRET_NOT_FOUND, False)
    assert found.summary == f"The vault {vault.name} has no secret ec2-key."
    for command in ("secret list", "secret recover", "secret set"):
        assert f"az keyvault {command} --vault-name {vault.name}" in found.remedy


def test_an_unknown_version_is_told_apart_from_an_unknown_secret(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    vault.add_secret("ec2-key", VALUE)
    found = check(f"ec2-key/{'0' * 32}")
    assert found.reason is Reason.SECRET_NOT_FOUND
    assert "has the secret ec2-key, but no version 000" in found.summary
    assert f"az keyvault secret list-versions --vault-name {vault.name} --name ec2-key" in found.remedy
    assert "has no secret other." in check(f"other/{'0' * 32}").summary


def test_a_deleted_secret_is_told_as_unknown(vault: VaultInterface, check: Callable[..., CredentialCheck]) -> None:
    vault.add_secret("ec2-key", VALUE)
    vault.delete("ec2-key")
    assert f"az keyvault secret recover --vault-name {vault.name} --name ec2-key" in check().remedy


def test_a_disabled_secret_is_told_with_the_command_that_enables_it(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    vault.add_secret("ec2-key", VALUE, enabled=False)
    found = check()
    assert found.reason is Reason.SECRET_DISABLED
    command = f"az keyvault secret set-attributes --vault-name {vault.name} --name ec2-key --enabled true"
    assert command in found.remedy


def test_a_secret_whose_time_has_not_come_is_told_so_where_the_vault_refuses_it(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    vault.add_secret("ec2-key", VALUE, not_before="+1d")
    assert check().ok
    vault.configure(not_yet_valid="refused")
    assert check().reason is Reason.SECRET_NOT_YET_VALID


def test_a_missing_permission_on_an_rbac_vault_is_told_with_the_exact_role_assignment(
    lab: VaultLab, vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    # AP-08, AP-09, KV-33, KV-34, Q-06
    vault.add_secret("ec2-key", VALUE)
    vault.revoke("host")
    found = check()
    principal = next(i["principal_id"] for i in lab.describe()["identities"] if i["name"] == "host")
    assert found.reason is Reason.VAULT_PERMISSION_MISSING
    assert "role-based access control" in found.summary
    assert (
        f"az role assignment create --role 'Key Vault Secrets User' --assignee-object-id {principal} "
        f"--assignee-principal-type ServicePrincipal --scope {vault.resource_id.lower()}"
    ) in found.remedy
    assert "Azure Key Vault Administrator" not in found.remedy

    vault.grant("host", roles=("Key Vault Secrets User",))
    assert check().ok


@pytest.mark.parametrize("code", ["AccessDenied", "ForbiddenByPolicy"])
def test_a_missing_permission_on_a_vault_with_access_policies_is_told_with_the_policy(
    code: str, lab: VaultLab, vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    # AP-08, AP-10, AP-11, KV-28, KV-34
    vault.add_secret("ec2-key", VALUE)
    vault.configure(permission_model="access_policy", policy_denial_code=code)
    found = check()
    principal = next(i["principal_id"] for i in lab.describe()["identities"] if i["name"] == "host")
    assert found.reason is Reason.VAULT_PERMISSION_MISSING
    assert "access policies" in found.summary
    assert (
        f"az keyvault set-policy --name {vault.name} --object-id {principal} --secret-permissions get" in found.remedy
    )

    vault.grant("host", "secrets/get")
    assert check().ok


@pytest.mark.parametrize("firewall", ["closed", "private"])
def test_a_closed_firewall_is_told_as_such(
    firewall: str, vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    vault.configure(firewall=firewall)
    found = check()
    assert found.reason is Reason.VAULT_FIREWALL
    rule = f"az keyvault network-rule add --name {vault.name}"
    # Where no address gets in, a rule for one has no effect.
    assert (rule in found.remedy) == (firewall == "closed")
    assert "private endpoint" in found.remedy


def test_a_throttled_vault_may_pass(vault: VaultInterface, check: Callable[..., CredentialCheck]) -> None:
    vault.fail_next(status=429, retry_after=20, times=5)
    found = check()
    assert (found.reason, found.may_pass) == (Reason.VAULT_THROTTLED, True)


def test_a_vault_in_trouble_may_pass(vault: VaultInterface, check: Callable[..., CredentialCheck]) -> None:
    vault.fail_next(status=503, times=5, body="<html>gateway</html>")
    found = check()
    assert (found.reason, found.may_pass) == (Reason.VAULT_FAILED, True)


def test_an_unreachable_vault_may_pass_and_says_where_to_look(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    vault.go_away()
    found = check()
    assert (found.reason, found.may_pass) == (Reason.VAULT_UNREACHABLE, True)
    assert f"az keyvault show --name {vault.name}" in found.remedy


def test_a_vault_that_keeps_silent_is_waited_for_once_and_not_for_long(vault: VaultInterface, desk: Desk) -> None:
    vaults = KeyVaultClients(desk.environment, read_seconds=0.5)
    desk.store("main", vault)
    vault.fail_next(kind="hang", seconds=20, times=5)
    started = time.monotonic()
    found = CredentialChecks(desk.settings, vaults, lambda: datetime.now(UTC)).check_store("main")
    assert time.monotonic() - started < 2
    assert found.reason is Reason.VAULT_UNREACHABLE


def test_a_vault_that_asks_for_patience_is_not_waited_for(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    vault.fail_next(status=503, retry_after=30, times=5)
    started = time.monotonic()
    assert check().reason is Reason.VAULT_FAILED
    assert time.monotonic() - started < 2


def test_a_certificate_that_is_not_trusted_is_told_and_nothing_is_sent(
    vault: VaultInterface, check: Callable[..., CredentialCheck], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    found = check()
    assert (found.reason, found.may_pass) == (Reason.VAULT_CERTIFICATE_UNTRUSTED, False)
    assert "REQUESTS_CA_BUNDLE" in found.remedy
    assert "openssl s_client -connect localhost:" in found.remedy
    assert vault.journal() == []


def test_a_host_name_that_nobody_knows_is_told_as_a_wrong_url(
    desk: Desk, checks: CredentialChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    desk.put("credential-stores", "main", vault_url="https://acrn.vault.azure.net", method="system_assigned")
    found = checks.check_store("main")
    assert found.reason is Reason.VAULT_HOST_UNKNOWN
    assert "There is no host acrn.vault.azure.net: vault_url of the credential store main is wrong" in found.summary
    assert "az keyvault show --name acrn" in found.remedy


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer nonsense\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_host_that_is_no_vault_is_told_as_a_wrong_url(
    answer: bytes, lab: VaultLab, vault: VaultInterface, desk: Desk, checks: CredentialChecks
) -> None:
    with stranger(lab, answer) as url:
        desk.store("main", vault, vault_url=url)
        found = checks.check_store("main")
    assert (found.ok, found.reason) == (False, Reason.VAULT_ADDRESS_WRONG)
    assert f"az keyvault show --name {vault.name}" in found.remedy


@contextmanager
def stranger(lab: VaultLab, answer: bytes) -> Iterator[str]:
    """An HTTPS server that gives every request one answer."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = lab.authority.server_context().wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"https://localhost:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_vault_that_asks_for_tokens_of_another_cloud_gets_none(lab: VaultLab, vault: VaultInterface) -> None:
    # The lab's vaults name vault.azure.net in their challenge, which localhost is no part of.
    strict = Desk({**os.environ, "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "true"})
    strict.store("main", vault)
    found = CredentialChecks(strict.settings, strict.vaults, lambda: datetime.now(UTC)).check_store("main")
    assert found.reason is Reason.VAULT_ADDRESS_WRONG
    assert "so none was sent" in found.summary
    assert lab.journal(service="identity") == []


def test_a_wrong_resource_is_told(vault: VaultInterface, check: Callable[..., CredentialCheck]) -> None:
    found = check(store={"resource": "https://vault.usgovcloudapi.net"})
    assert found.reason is Reason.VAULT_TOKEN_REFUSED
    assert "resource is not https://vault.usgovcloudapi.net" in found.summary


def test_an_api_version_that_the_vault_does_not_speak_is_told(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    # FD-11
    vault.configure(api_versions=["2026-04-01"])
    found = check(store={"api_version": "7.2"})
    assert found.reason is Reason.VAULT_ADDRESS_WRONG
    assert "status 400 (BadParameter)" in found.summary
    assert "leave api_version out" in found.remedy


def test_the_api_version_of_the_store_is_the_one_that_is_spoken(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    vault.add_secret("ec2-key", VALUE)
    check(store={"api_version": "7.4"})
    assert {entry.api_version for entry in vault.journal()} == {"7.4"}


def test_a_field_that_is_not_there_is_told_with_the_names_of_those_that_are(
    vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    vault.add_secret("ec2-key", f'{{"user": "x", "pass": "{VALUE}"}}')
    found = check(password_field="password")
    assert found.reason is Reason.SECRET_FIELD_MISSING
    assert "it has pass, user" in found.summary
    assert found.secret is not None


@pytest.mark.parametrize(("expired", "ok"), [("allow", True), ("warn", True), ("deny", False)])
def test_an_expired_secret_is_told(
    expired: str, ok: bool, vault: VaultInterface, check: Callable[..., CredentialCheck]
) -> None:
    vault.add_secret("ec2-key", VALUE, expires_at="-1d")
    found = check(store={"expired": expired})
    assert found.ok is ok
    assert "expired at" in (found.notes[0] if ok else found.summary)


def test_an_empty_secret_is_told(vault: VaultInterface, check: Callable[..., CredentialCheck]) -> None:
    vault.add_secret("ec2-key", "")
    assert check().reason is Reason.SECRET_EMPTY


def test_a_check_is_not_answered_from_the_cache(
    vault: VaultInterface, desk: Desk, check: Callable[..., CredentialCheck]
) -> None:
    vault.add_secret("ec2-key", VALUE)
    assert check().ok
    vault.change("ec2-key", enabled=False)
    assert check().reason is Reason.SECRET_DISABLED


def test_a_store_is_checked_without_reading_any_value(
    lab: VaultLab, vault: VaultInterface, desk: Desk, checks: CredentialChecks
) -> None:
    vault.add_secret("ec2-key", VALUE)
    desk.store("main", vault)
    found = checks.check_store("main")
    assert found.ok
    assert lab.values_read() == []
    vault.revoke("host")
    assert checks.check_store("main").reason is Reason.VAULT_PERMISSION_MISSING


def test_a_store_that_only_the_sweep_uses_is_ready_when_its_identity_may_list(
    lab: VaultLab, vault: VaultInterface, desk: Desk, checks: CredentialChecks
) -> None:
    vault.add_secret("ec2-key", VALUE)
    vault.revoke("host")
    vault.grant("host", roles=("Key Vault Reader",))
    desk.store("main", vault)
    found = checks.check_store("main")
    assert found.ok
    assert "ready for the sweep" in found.summary
    assert lab.values_read() == []
    # As soon as a password is to be read through it, that is not enough.
    desk.put("credentials", "aws", scope="any", store="main", secret="ec2-key")
    desk.put(
        "key-vault-events",
        "default",
        credentials={"current": {"credential": "aws"}},
    )
    assert checks.check_store("main").reason is Reason.VAULT_PERMISSION_MISSING


def test_a_secret_can_be_tried_before_any_document_names_it(
    vault: VaultInterface, desk: Desk, checks: CredentialChecks
) -> None:
    vault.add_secret("ec2-key", VALUE)
    desk.store("main", vault)
    assert checks.check_in_place(InPlaceCredential(store="main", secret="ec2-key")).ok
    assert not checks.check_in_place(InPlaceCredential(store="main", secret="other")).ok


def test_what_is_not_there_cannot_be_checked(checks: CredentialChecks) -> None:
    with pytest.raises(NotFoundError):
        checks.check_store("main")
    with pytest.raises(NotFoundError):
        checks.check_credential("aws")
    with pytest.raises(NotFoundError):
        checks.check_in_place(InPlaceCredential(store="main", secret="a"))
