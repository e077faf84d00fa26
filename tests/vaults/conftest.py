"""The real SDKs in a host that lives in the lab: its vaults, its Entra, its identity endpoint."""

import itertools
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.emulators.key_vault import VaultInterface, VaultLab
from shared import bootstrap
from shared.bootstrap.kinds import KINDS
from shared.environment import load_environment
from shared.hosts import AllowedHosts
from shared.settings.store import SettingsStore
from shared.vaults.credentials import VaultCredentials
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.key_vault import KeyVaultClients
from shared.vaults.model import CredentialUser, SecretValue, UserPassword
from tests.fakes.tables import MemoryTable

_numbers = itertools.count(1)

TENANT = "11111111-2222-4333-8444-555555555555"
OTHER_TENANT = "22222222-2222-4333-8444-555555555555"
AZURE = "https://vault.azure.net"


# A document that no credential is kept for.
ANYBODY = CredentialUser("authrocket-realms", "anybody")


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Desk:
    """The product's part that reads credentials, as bootstrap builds it, on settings in memory."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environment = load_environment(
            {
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "DESKBRIDGE_VAULT_HOSTS": "localhost",
                "DESKBRIDGE_SIGN_IN_HOSTS": "localhost",
                **environ,
            }
        )
        self.table = MemoryTable("settings")
        hosts = AllowedHosts(self.environment.further_hosts())
        checks = bootstrap.settings_checks(hosts)
        self.settings = SettingsStore(self.table, KINDS, lambda: datetime.now(UTC), checks=checks)
        self.vaults = KeyVaultClients(self.environment)
        self.clock = Clock()
        self.credentials = VaultCredentials(self.settings, self.vaults, lambda: datetime.now(UTC), self.clock)

    def read(self, reference: CredentialReference, user: CredentialUser = ANYBODY) -> SecretValue:
        return self.credentials.read(reference, user)

    def read_pair(self, reference: CredentialReference, user: CredentialUser = ANYBODY) -> UserPassword:
        return self.credentials.read_pair(reference, user)

    def put(self, kind: str, name: str, **content: Any) -> None:
        self.settings.put(kind, name, content, by="test", if_match="*")

    def store(self, name: str, vault: VaultInterface, **content: Any) -> None:
        """A credential store for a vault of the lab, with the system-assigned identity unless told otherwise."""
        self.put(
            "credential-stores",
            name,
            **{
                "vault_url": vault.url,
                "vault_name": vault.name,
                "resource": AZURE,
                "method": "system_assigned",
                **content,
            },
        )


def secret(store: str, name: str, **fields: str) -> CredentialReference:
    """A reference to a secret, written in place."""
    return CredentialReference.model_validate({"in_place": {"store": store, "secret": name, **fields}})


@pytest.fixture(scope="session")
def shared_lab() -> Iterator[VaultLab]:
    document = {
        "tenants": [
            {"tenant_id": TENANT, "domain": "acorn.example"},
            {"tenant_id": OTHER_TENANT, "domain": "bramble.example"},
        ],
        "identities": [{"name": "host", "kind": "system"}, {"name": "reader"}, {"name": "stranger"}],
    }
    with VaultLab(document) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab: VaultLab, monkeypatch: pytest.MonkeyPatch) -> VaultLab:
    """The lab with nothing asked of it yet, and this process as a host in it."""
    for name, value in shared_lab.environment().items():
        # The authority is what a store says, so that a host's environment cannot redirect a client secret.
        if name != "AZURE_AUTHORITY_HOST":
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("DESKBRIDGE_ALLOWED_PRIVATE_HOSTS", "localhost")
    shared_lab.clear_faults()
    shared_lab.clear_journal()
    return shared_lab


@pytest.fixture
def new_vault(lab: VaultLab) -> Callable[..., VaultInterface]:
    """Starts a vault of its own for the test; the host's system-assigned identity may read it."""

    def start(**settings: Any) -> VaultInterface:
        granted = {"grants": [{"principal": "host", "roles": ["Key Vault Secrets User"]}]}
        return lab.add_vault(**{"name": f"kv-acorn-{next(_numbers)}", **granted, **settings})

    return start


@pytest.fixture
def vault(new_vault: Callable[..., VaultInterface]) -> VaultInterface:
    return new_vault()


@pytest.fixture
def desk(lab: VaultLab) -> Desk:
    return Desk({**os.environ, "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "false"})
