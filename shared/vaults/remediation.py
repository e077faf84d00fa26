"""The exact command for each thing that can be wrong between this host, its identity and a vault."""

import itertools
import re
import shlex
from dataclasses import dataclass

from shared.environment import Environment
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import SecretAddress

SECRETS_USER = "Key Vault Secrets User"
READER = "Key Vault Reader"
# A managed HSM has roles of its own; this one sees keys and uses none.
HSM_AUDITOR = "Managed HSM Crypto Auditor"
# Secrets go through a file: what stands on a command line is seen by others, and kept in the shell's history.
_FILE = "settings.json"

_PRINCIPAL = re.compile(r"\boid=([0-9a-fA-F-]{36})")
_VAULT_RESOURCE = re.compile(
    r"(/subscriptions/[^/'\s]+/resourcegroups/[^/'\s]+/providers/microsoft\.keyvault/vaults/[^/'\s]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Output:
    """What another command prints, as a word of a command."""

    of: str


def command(*words: str | Output) -> str:
    """The words as a command to paste: whoever chose one of them must not thereby write a command of their own."""
    return " ".join(f'"$({word.of})"' if isinstance(word, Output) else shlex.quote(word) for word in words)


def set_secret(vault: str, name: str, *more: str) -> str:
    """Stores a value without showing it to the shell's history and the list of processes."""
    where = ("--vault-name", vault, "--name", name)
    return command("az", "keyvault", "secret", "set", *where, "--file", "value.txt", *more)


@dataclass(frozen=True)
class RemediationCommands:
    """The commands for one store on this host. What is not known stands in `<angle brackets>`."""

    store_name: str
    store: CredentialStore
    environment: Environment

    @property
    def vault(self) -> str:
        return self.store.name_of_vault

    @property
    def _app(self) -> tuple[str, ...]:
        name = self.environment.app_setting("WEBSITE_SITE_NAME") or "<function app>"
        group = self.environment.app_setting("WEBSITE_RESOURCE_GROUP") or "<resource group>"
        return ("--name", name, "--resource-group", group)

    def grant_by_role(self, refusal: str) -> str:
        """The role assignment, for a vault whose permission model is Azure RBAC. `refusal` is the vault's own text."""
        found = _VAULT_RESOURCE.search(refusal)
        vault_id = Output(self._keyvault("show", "--query", "id", "--output", "tsv"))
        kind = "User" if self.store.method == "developer" else "ServicePrincipal"
        return command(
            *("az", "role", "assignment", "create", "--role", SECRETS_USER),
            *("--assignee-object-id", _principal(refusal), "--assignee-principal-type", kind),
            *("--scope", found.group(1) if found else vault_id),
        )

    def grant_listing(self) -> str:
        """The role assignment by which a sweep lists a vault."""
        vault_id = Output(self._keyvault("show", "--query", "id", "--output", "tsv"))
        return command(
            *("az", "role", "assignment", "create", "--role", READER),
            *("--assignee", "<identity>", "--scope", vault_id),
        )

    def grant_listing_of_hsm(self) -> str:
        """The same for a managed HSM."""
        return command(
            *("az", "keyvault", "role", "assignment", "create", "--hsm-name", self.vault, "--role", HSM_AUDITOR),
            *("--assignee", "<identity>", "--scope", "/keys"),
        )

    def grant_by_policy(self, refusal: str) -> str:
        """The access policy, for a vault whose permission model is the older one."""
        return self._keyvault("set-policy", "--object-id", _principal(refusal), "--secret-permissions", "get")

    def assign_system_identity(self) -> str:
        return command("az", "functionapp", "identity", "assign", *self._app)

    def assign_user_identity(self) -> str:
        wanted = f"[?clientId=='{self.store.client_id}'].id"
        identity = self.store.resource_id or Output(
            command("az", "identity", "list", "--query", wanted, "--output", "tsv")
        )
        return command("az", "functionapp", "identity", "assign", *self._app, "--identities", identity)

    def show_identities(self) -> str:
        return command("az", "functionapp", "identity", "show", *self._app)

    def renew_client_secret(self, client_id: str, setting: str) -> str:
        reset = command(
            *("az", "ad", "app", "credential", "reset", "--id", client_id, "--append"),
            *("--display-name", "deskbridge", "--years", "1"),
            *("--query", f"{{{setting}: password}}", "--output", "json"),
        )
        return f"{reset} > {_FILE}, then {self._apply_file()}, then delete {_FILE}"

    def set_app_setting(self, setting: str) -> str:
        return f'write {{"{setting}": "<value>"}} to {_FILE}, then {self._apply_file()}, then delete {_FILE}'

    def sign_in(self) -> str:
        return command("az", "login", *(("--tenant", self.store.tenant_id) if self.store.tenant_id else ()))

    def show_vault(self) -> str:
        return self._keyvault("show", "--query", "properties.vaultUri")

    def show_vaults_tenant(self) -> str:
        return self._keyvault("show", "--query", "properties.tenantId")

    def list_secrets(self) -> str:
        return self._secret("list", "--query", "[].name", "--output", "tsv")

    def recover_secret(self, address: SecretAddress) -> str:
        return self._secret("recover", "--name", address.name)

    def list_versions(self, address: SecretAddress) -> str:
        return self._secret("list-versions", "--name", address.name, "--query", "[].id", "--output", "tsv")

    def enable_secret(self, address: SecretAddress) -> str:
        version = ("--version", address.version) if address.version else ()
        return self._secret("set-attributes", "--name", address.name, *version, "--enabled", "true")

    def set_secret(self, address: SecretAddress) -> str:
        return set_secret(self.vault, address.name)

    def open_firewall(self) -> str:
        add = self._keyvault("network-rule", "add", "--ip-address", "<outbound address>")
        addresses = command("az", "functionapp", "show", *self._app, "--query", "possibleOutboundIpAddresses")
        return f"{add}, with each address of {addresses}; or reach the vault over a private endpoint"

    def turn_public_access_on(self) -> str:
        return self._keyvault("update", "--public-network-access", "Enabled")

    def show_app(self, client_id: str) -> str:
        return command("az", "ad", "app", "show", "--id", client_id, "--query", "appId")

    def show_certificate(self) -> str:
        return command("openssl", "s_client", "-connect", self.store.vault_url.removeprefix("https://"), "-showcerts")

    def _keyvault(self, *words: str) -> str:
        verbs = tuple(itertools.takewhile(lambda word: not word.startswith("-"), words))
        where = "--hsm-name" if self.store.is_hsm else "--name"
        return command("az", "keyvault", *verbs, where, self.vault, *words[len(verbs) :])

    def _secret(self, verb: str, *words: str) -> str:
        return command("az", "keyvault", "secret", verb, "--vault-name", self.vault, *words)

    def _apply_file(self) -> str:
        return command("az", "functionapp", "config", "appsettings", "set", *self._app, "--settings", f"@{_FILE}")


def _principal(refusal: str) -> str:
    found = _PRINCIPAL.search(refusal)
    return found.group(1) if found else "<object id of the identity>"
