"""A running lab for each test, and Microsoft's clients for it, closed at the end."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.identity import ClientSecretCredential, ManagedIdentityCredential
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets._shared import http_challenge_cache

from lab.emulators.key_vault import VaultInterface, VaultLab
from lab.emulators.key_vault.documents import TENANT

DOCUMENT: dict[str, Any] = {
    "identities": [{"name": "host", "kind": "system"}, {"name": "importer"}, {"name": "sweeper"}],
    "applications": [
        {
            "name": "desk",
            "client_secrets": [{"value": "right"}, {"value": "run out", "expires_at": "-1d"}],
        }
    ],
    "vaults": [
        {
            "name": "kv-acorn",
            "grants": [
                {"principal": "host", "roles": ["Key Vault Secrets User"]},
                {"principal": "sweeper", "roles": ["Key Vault Reader"]},
                {"principal": "desk", "roles": ["Key Vault Administrator"]},
            ],
        },
        {
            "name": "kv-legacy",
            "permission_model": "access_policy",
            "grants": [
                {"principal": "host", "permissions": ["secrets/get"]},
                {"principal": "sweeper", "permissions": ["secrets/list", "keys/list", "certificates/list"]},
            ],
        },
    ],
}


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultLab]:
    # Ports come round again, and the clients remember what a port once asked of them.
    http_challenge_cache.clear()
    with VaultLab(DOCUMENT) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def vault(lab: VaultLab) -> VaultInterface:
    return lab.vault("kv-acorn")


class Clients:
    """Makes Azure's clients for a lab. They give up at the first failure unless told otherwise."""

    def __init__(self, lab: VaultLab, closing: contextlib.ExitStack) -> None:
        self._lab = lab
        self._closing = closing

    def _kept(self, client: Any) -> Any:
        return self._closing.enter_context(client)

    def managed_identity(self, **which: Any) -> ManagedIdentityCredential:
        made: ManagedIdentityCredential = self._kept(ManagedIdentityCredential(retry_total=0, **which))
        return made

    def application(self, secret: str | None = None, name: str = "desk", **options: Any) -> ClientSecretCredential:
        registered = {held["name"]: held for held in self._lab.describe()["applications"]}
        client_id = registered[name]["client_id"] if name in registered else name
        made: ClientSecretCredential = self._kept(
            ClientSecretCredential(
                options.pop("tenant_id", TENANT),
                client_id,
                secret or "right",
                authority=self._lab.entra_url,
                disable_instance_discovery=True,
                retry_total=0,
                **options,
            )
        )
        return made

    def identity(self, name: str) -> ManagedIdentityCredential:
        """The managed identity of the host that the lab knows by this name."""
        held = next(held for held in self._lab.describe()["identities"] if held["name"] == name)
        which = {} if held["kind"] == "system" else {"client_id": held["client_id"]}
        return self.managed_identity(**which)

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"verify_challenge_resource": False, "retry_total": 0, **options}

    def secrets(self, credential: Any = None, vault: str = "kv-acorn", **options: Any) -> SecretClient:
        url = self._lab.vault(vault).url
        made: SecretClient = self._kept(
            SecretClient(url, credential or self.managed_identity(), **self._options(options))
        )
        return made

    def keys(self, credential: Any = None, vault: str = "kv-acorn", **options: Any) -> KeyClient:
        url = self._lab.vault(vault).url
        made: KeyClient = self._kept(KeyClient(url, credential or self.identity("sweeper"), **self._options(options)))
        return made

    def certificates(self, credential: Any = None, vault: str = "kv-acorn", **options: Any) -> CertificateClient:
        url = self._lab.vault(vault).url
        made: CertificateClient = self._kept(
            CertificateClient(url, credential or self.identity("sweeper"), **self._options(options))
        )
        return made


@pytest.fixture
def clients(lab: VaultLab) -> Iterator[Clients]:
    with contextlib.ExitStack() as closing:
        yield Clients(lab, closing)


@pytest.fixture
def raw(lab: VaultLab) -> Iterator[Callable[..., Any]]:
    """A request without any Azure client in between; `token_of` names a managed identity and a resource."""
    import requests

    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(lab.ca_certificate)

        def send(method: str, url: str, *, token: str | None = None, **options: Any) -> requests.Response:
            headers = options.pop("headers", {})
            if token:
                headers["Authorization"] = f"Bearer {token}"
            return session.request(method, url, headers=headers, timeout=10, **options)

        yield send
