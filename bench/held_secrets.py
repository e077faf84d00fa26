"""Secrets: a held one against fetching it, and fetching it against the plain client."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median

from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

from bench.figures import Figure, Results
from bench.measuring import Effort, alternately, ratio
from lab.emulators.key_vault import VaultInterface, VaultLab
from lab.fakes.tables import MemoryTables
from shared.bootstrap.kinds import KINDS
from shared.environment import load_environment
from shared.settings.store import SettingsStore
from shared.vaults.credentials import VaultCredentials
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.key_vault import KeyVaultClients

GROUP = "Secrets"
_LAB = {
    "tenants": [{"tenant_id": "11111111-2222-4333-8444-555555555555", "domain": "acorn.example"}],
    "identities": [{"name": "host", "kind": "system"}],
}


def measure(effort: Effort, results: Results) -> None:
    with _vault() as vault:
        vault.add_secret("ec2-key", "s3cret")
        environment = load_environment({"AzureWebJobsStorage": "UseDevelopmentStorage=true", **os.environ})
        settings = SettingsStore(
            MemoryTables().table("settings"), KINDS, lambda: datetime.now(UTC), clock=time.monotonic
        )
        content = {
            "vault_url": vault.url,
            "vault_name": vault.name,
            "resource": "https://vault.azure.net",
            "method": "system_assigned",
        }
        settings.put("credential-stores", "main", content, by="bench")
        vaults = KeyVaultClients(environment)
        credentials = VaultCredentials(settings, vaults, lambda: datetime.now(UTC), time.monotonic)
        reference = CredentialReference.model_validate({"in_place": {"store": "main", "secret": "ec2-key"}})
        store, address = CredentialStore.model_validate(content), SecretAddress("ec2-key")
        client = SecretClient(vault.url, ManagedIdentityCredential(), verify_challenge_resource=False)
        fetches, reads = (3, 100) if effort.quick else (50, 20_000)

        def fetch() -> None:
            for _ in range(fetches):
                vaults.fetch("main", store, address)

        def fetch_plainly() -> None:
            for _ in range(fetches):
                client.get_secret("ec2-key")

        def read_held() -> None:
            for _ in range(reads):
                credentials.read(reference)

        # The stand-in runs in threads of this process: they do not count.
        taken = alternately(
            {"fetch": fetch, "plain": fetch_plainly, "held": read_held}, effort.rounds, clock=time.thread_time
        )
    per_fetch = median(taken["plain"]) / fetches * 1e6
    per_read = median(taken["held"]) / reads * 1e6
    results.add(
        Figure(
            GROUP,
            "fetching a secret",
            ratio(taken["fetch"], taken["plain"]),
            "×",
            f"SecretClient.get_secret ({per_fetch:.0f} µs)",
            f"{median(taken['fetch']) / fetches * 1e6:.0f} µs",
        ),
        Figure(
            GROUP,
            "a held secret",
            ratio(taken["held"], taken["plain"]) * fetches / reads,
            "×",
            "SecretClient.get_secret",
            f"{per_read:.2f} µs",
            aim=0.001,
        ),
    )


@contextmanager
def _vault() -> Iterator[VaultInterface]:
    """A vault that the host's own identity may read, and the environment of such a host."""
    with VaultLab(_LAB) as lab:
        before = dict(os.environ)
        os.environ.update({name: value for name, value in lab.environment().items() if name != "AZURE_AUTHORITY_HOST"})
        os.environ["DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE"] = "false"
        try:
            yield lab.add_vault(name="kv-bench", grants=[{"principal": "host", "roles": ["Key Vault Secrets User"]}])
        finally:
            os.environ.clear()
            os.environ.update(before)
