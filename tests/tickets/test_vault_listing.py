"""The sweep through Microsoft's clients, on the lab's vaults: which rights it needs, and that it reads no value."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.keyvault.secrets._shared import http_challenge_cache

from lab.emulators.key_vault import VaultLab
from shared.environment import Environment, load_environment
from shared.errors import MisconfiguredError
from shared.hosts import AllowedHosts
from shared.tickets.documents import SweepSettings
from shared.tickets.domain.model import ObjectType
from shared.tickets.inbound.sweep import VaultSweep
from shared.tickets.inbound.vault_listing import KeyVaultLister
from shared.tickets.inbound.vault_progress import VaultProgress
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.key_vault import KeyVaultClients
from tests.tickets.desk import Desk, configuration
from tests.tickets.test_decide import kv_event

# The certificate's own event comes last.
KINDS = ("Secret", "Key", "Certificate")
DOCUMENT: dict[str, Any] = {
    "identities": [{"name": "desk", "kind": "system"}],
    "vaults": [{"name": "acorn-vault", "grants": [{"principal": "desk", "roles": ["Key Vault Reader"]}]}],
}


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultLab]:
    http_challenge_cache.clear()
    with VaultLab(DOCUMENT) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def environment(lab: VaultLab) -> Environment:
    return load_environment(
        {
            **lab.environment(),
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
            "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "false",
            "DESKBRIDGE_VAULT_HOSTS": "localhost",
        }
    )


def listed(lab: VaultLab) -> KeyVaultLister:
    store = CredentialStore.model_validate({"vault_url": lab.vault("acorn-vault").url, "method": "system_assigned"})
    return KeyVaultLister(KeyVaultClients(environment(lab)), "acorn", store, AllowedHosts())


def swept_vault(lab: VaultLab, desk: Desk) -> VaultProgress:
    """The vault, read in one step to its end."""
    sweep = VaultSweep(desk.repository, desk.reconciler)
    assert desk.configured is not None
    begun = VaultProgress(datetime.now(UTC))
    progress = sweep.step(listed(lab), desk.configured.context("acorn-vault"), SweepSettings(), begun)
    assert progress.done
    return progress


def swept_desk() -> Desk:
    return Desk(configured=configuration(allowed_vaults=[{"name": "acorn-vault", "store": "acorn"}]))


def test_a_whole_sweep_needs_the_reader_role_alone_and_reads_no_secret_value(lab: VaultLab) -> None:
    vault = lab.vault("acorn-vault")
    vault.add_secret("mail", "a value that nobody may see", expires_at="+100d", version="a" * 32)
    vault.add_secret("mail", "another one", expires_at="+20d", version="b" * 32)
    vault.add_secret("off", "x", expires_at="+20d", enabled=False)
    vault.add_secret("forever", "x")
    vault.add_key("disk", expires_at="+5d")
    vault.add_certificate("web", expires_at="-1d", not_before="-300d")
    for number in range(60):
        vault.add_secret(f"far-{number}", "x", expires_at="+300d")
    lab.clear_journal()
    desk = swept_desk()
    swept = swept_vault(lab, desk)
    assert (swept.near_or_past_expiry, swept.refusals) == (4, ())
    found = {(str(row["object_type"]), str(row["object_name"])): str(row["priority"]) for row in desk.tickets()}
    assert found == {("secret", "mail"): "medium", ("key", "disk"): "high", ("certificate", "web"): "high"}
    assert desk.ticket("mail")["version"] == "b" * 32
    assert lab.values_read() == []
    assert {str(entry.operation).rpartition("/")[2] for entry in lab.journal(service="vault", status=200)} == {
        "list",
        "list_versions",
    }


def test_without_the_role_the_sweep_says_which_one_mends_it(lab: VaultLab) -> None:
    lab.vault("acorn-vault").revoke("desk")
    refusals = swept_vault(lab, swept_desk()).refusals
    assert [(one.object_type, one.reason) for one in refusals] == [
        (object_type, "vault_permission_missing") for object_type in ("secret", "key", "certificate")
    ]
    assert "Key Vault Reader" in refusals[0].message


def test_a_throttled_or_silent_vault_is_told_as_passing(lab: VaultLab) -> None:
    vault = lab.vault("acorn-vault")
    vault.go_away()
    assert swept_vault(lab, swept_desk()).refusals[0].reason == "vault_unreachable"
    vault.come_back()
    assert swept_vault(lab, swept_desk()).refusals == ()


def test_versions_of_an_object_that_is_not_there_are_none(lab: VaultLab) -> None:
    vault = listed(lab)
    for object_type in (ObjectType.SECRET, ObjectType.KEY, ObjectType.CERTIFICATE):
        assert list(vault.versions(object_type, "nothing")) == []


def test_an_object_that_was_deleted_closes_its_ticket(lab: VaultLab) -> None:
    vault = lab.vault("acorn-vault")
    vault.add_secret("mail", "x", expires_at="+20d")
    desk = swept_desk()
    swept_vault(lab, desk)
    assert desk.ticket("mail")["status"] == "open"
    vault.delete("mail")
    swept_vault(lab, desk)
    assert desk.ticket("mail")["status"] == "closed"


@pytest.mark.parametrize("name", ["a/b#?%", "..", "", "x" * 128, "<b>", "half \ud800"])
def test_a_name_that_no_vault_can_have_is_not_there_and_ends_no_sweep(lab: VaultLab, name: str) -> None:
    assert listed(lab).versions(ObjectType.SECRET, name) == []


def test_a_list_goes_on_page_by_page_and_never_at_another_host(lab: VaultLab) -> None:
    vault = lab.vault("acorn-vault")
    for number in range(60):
        vault.add_secret(f"far-{number:02}", "x", expires_at="+300d")
    first = listed(lab).page(ObjectType.SECRET, "")
    # Another worker goes on with what the first one kept.
    second = listed(lab).page(ObjectType.SECRET, first.next)
    third = listed(lab).page(ObjectType.SECRET, second.next)
    assert [len(page.objects) for page in (first, second, third)] == [25, 25, 10]
    assert third.next == ""
    names = {one.name for page in (first, second, third) for one in page.objects}
    assert names == {f"far-{number:02}" for number in range(60)}
    with pytest.raises(MisconfiguredError, match="another host"):
        listed(lab).page(ObjectType.SECRET, "https://evil.example/secrets?$skiptoken=x")


def test_versions_come_in_no_order_and_in_whole_seconds_and_the_current_one_is_found_all_the_same(
    lab: VaultLab,
) -> None:
    vault = lab.vault("acorn-vault")
    # Made in one second, as scripts do; the ids are in the other order.
    for version, expires in (("c", "+10d"), ("b", "+20d"), ("a", "+300d")):
        vault.add_secret("mail", "x", version=version * 32, expires_at=expires, created_at="2026-01-01T00:00:00Z")
    versions = listed(lab).versions(ObjectType.SECRET, "mail")
    assert [one.version[0] for one in versions] == ["a", "b", "c"]
    assert {one.created_at.microsecond for one in versions} == {0}
    desk = swept_desk()
    swept_vault(lab, desk)
    assert desk.tickets() == []


def test_a_secret_that_is_deleted_and_recovered_keeps_its_ticket_and_its_timeline_says_so(lab: VaultLab) -> None:
    vault = lab.vault("acorn-vault")
    vault.add_secret("mail", "x", expires_at="+20d")
    desk = swept_desk()
    swept_vault(lab, desk)
    vault.delete("mail")
    swept_vault(lab, desk)
    vault.recover("mail")
    swept_vault(lab, desk)
    ticket = desk.ticket("mail")
    assert ticket["status"] == "open"
    assert desk.texts(ticket["ticket_id"])[-2:] == [
        "Closed: the secret is no longer in the vault.",
        "Opened again: the secret is back in the vault.",
    ]


def test_a_certificate_near_its_end_is_one_ticket_and_none_after_its_renewal(lab: VaultLab) -> None:
    vault = lab.vault("acorn-vault")
    vault.add_certificate("web", expires_at="+20d", not_before="-340d", version="b" * 32)
    desk = swept_desk()
    expires = datetime.now(UTC) + timedelta(days=20)
    desk.now = datetime.now(UTC)
    # As events do, which do not say `managed`.
    desk.post([kv_event("NearExpiry", "b" * 32, desk.now, name="web", kind=kind, expires=expires) for kind in KINDS])
    swept_vault(lab, desk)
    assert [row["object_type"] for row in desk.tickets() if row["status"] == "open"] == ["certificate"]
    vault.add_certificate("web", expires_at="+300d", version="a" * 32)
    swept_vault(lab, desk)
    assert [row["object_type"] for row in desk.tickets() if row["status"] == "open"] == []
