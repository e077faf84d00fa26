"""Attacks on the commands of remedies: whoever chose a name in one must not write a command of their own."""

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.environment import load_environment
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.errors import VaultRefusal, VaultRefusals
from shared.vaults.remediation import Output, RemediationCommands, command, set_secret

EVIL = "x'; touch pwned; $(touch pwned) `touch pwned` \"; touch pwned #\n touch pwned"
SUBSCRIPTION = "/subscriptions/$(touch${IFS}pwned)/resourcegroups/`touch${IFS}pwned`/providers/microsoft.keyvault"


def commands(evil: str) -> dict[str, str]:
    """Every command, with hostile text wherever somebody else may have chosen it."""
    settings = {"AzureWebJobsStorage": "x", "WEBSITE_SITE_NAME": evil, "WEBSITE_RESOURCE_GROUP": evil}
    store = CredentialStore.model_construct(
        vault_url="https://acorn.vault.azure.net",
        vault_name=evil,
        method="user_assigned",
        client_id=evil,
        resource_id=None,
        tenant_id=evil,
    )
    fix = RemediationCommands(evil, store, load_environment(settings))
    by_id = RemediationCommands(evil, store.model_copy(update={"resource_id": evil}), load_environment(settings))
    address = SecretAddress(evil, evil)
    refusal = f"oid=$(touch pwned) '{SUBSCRIPTION}/vaults/$(touch${{IFS}}pwned)'"
    return {
        "grant_by_role": fix.grant_by_role(refusal),
        "grant_by_role, unknown": fix.grant_by_role(""),
        "grant_by_policy": fix.grant_by_policy(refusal),
        "assign_system_identity": fix.assign_system_identity(),
        "assign_user_identity": fix.assign_user_identity(),
        "assign_user_identity, by id": by_id.assign_user_identity(),
        "show_identities": fix.show_identities(),
        "sign_in": fix.sign_in(),
        "show_vault": fix.show_vault(),
        "show_vaults_tenant": fix.show_vaults_tenant(),
        "list_secrets": fix.list_secrets(),
        "recover_secret": fix.recover_secret(address),
        "list_versions": fix.list_versions(address),
        "enable_secret": fix.enable_secret(address),
        "set_secret": fix.set_secret(address),
        "show_app": fix.show_app(evil),
        "show_certificate": fix.show_certificate(),
        "renew_client_secret": fix.renew_client_secret(evil, evil).partition(" > settings.json")[0],
        "open_firewall": fix.open_firewall().partition(", with each")[0],
        "set a secret": set_secret(evil, evil, "--expires", evil),
    }


@pytest.mark.parametrize("name", commands(EVIL))
def test_a_pasted_command_runs_nothing_but_itself(name: str, tmp_path: Path) -> None:
    for program in ("az", "openssl"):
        stub = tmp_path / program
        stub.write_text("#!/bin/sh\nexit 0\n")
        stub.chmod(0o755)
    ran = subprocess.run(
        ["/bin/sh", "-c", commands(EVIL)[name]],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["az", "openssl"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), min_size=1, max_size=6))
def test_a_command_has_exactly_the_words_that_were_given(words: list[str]) -> None:
    assert shlex.split(command(*words)) == words


def test_the_output_of_a_command_is_one_word() -> None:
    assert command("az", Output(command("echo", "a b"))) == "az \"$(echo 'a b')\""


@pytest.mark.parametrize("name", commands("acorn"))
def test_no_secret_stands_on_a_command_line(name: str) -> None:
    assert "--value" not in commands("acorn")[name]
    assert "password=" not in commands("acorn")[name]


def test_a_refusals_own_text_is_quoted_in_the_remedy() -> None:
    store = CredentialStore.model_validate({"vault_url": "https://acorn.vault.azure.net", "method": "system_assigned"})
    refusals = VaultRefusals("main", store, SecretAddress("x"), load_environment({"AzureWebJobsStorage": "x"}))
    error = refusals.explain(VaultRefusal(403, "Forbidden", "ForbiddenByRbac", f"'{SUBSCRIPTION}/vaults/acorn'"))
    assert f"--scope '{SUBSCRIPTION}/vaults/acorn'" in error.remedy
