"""The exact command for each thing that can be wrong between this host, its identity and a vault."""

import re
from dataclasses import dataclass

from shared.environment import Environment
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import SecretAddress

SECRETS_USER = "Key Vault Secrets User"

_PRINCIPAL = re.compile(r"\boid=([0-9a-fA-F-]{36})")
_VAULT_RESOURCE = re.compile(
    r"(/subscriptions/[^/'\s]+/resourcegroups/[^/'\s]+/providers/microsoft\.keyvault/vaults/[^/'\s]+)",
    re.IGNORECASE,
)


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
    def _app(self) -> str:
        name = self.environment.app_setting("WEBSITE_SITE_NAME") or "<function app>"
        group = self.environment.app_setting("WEBSITE_RESOURCE_GROUP") or "<resource group>"
        return f"--name {_quoted(name)} --resource-group {_quoted(group)}"

    def grant_by_role(self, refusal: str) -> str:
        """The role assignment, for a vault whose permission model is Azure RBAC. `refusal` is the vault's own text."""
        found = _VAULT_RESOURCE.search(refusal)
        scope = found.group(1) if found else f'"$(az keyvault show --name {self.vault} --query id --output tsv)"'
        kind = "User" if self.store.method == "developer" else "ServicePrincipal"
        return (
            f"az role assignment create --role {_quoted(SECRETS_USER)} --assignee-object-id {_principal(refusal)} "
            f"--assignee-principal-type {kind} --scope {scope}"
        )

    def grant_by_policy(self, refusal: str) -> str:
        """The access policy, for a vault whose permission model is the older one."""
        return f"az keyvault set-policy --name {self.vault} --object-id {_principal(refusal)} --secret-permissions get"

    def assign_system_identity(self) -> str:
        return f"az functionapp identity assign {self._app}"

    def assign_user_identity(self) -> str:
        identity = self.store.resource_id or (
            f'"$(az identity list --query "[?clientId==\'{self.store.client_id}\'].id" --output tsv)"'
        )
        return f"az functionapp identity assign {self._app} --identities {identity}"

    def show_identities(self) -> str:
        return f"az functionapp identity show {self._app}"

    def renew_client_secret(self, client_id: str, setting: str) -> str:
        return (
            f"az ad app credential reset --id {client_id} --append --display-name deskbridge --years 1 "
            f"--query password --output tsv, then az functionapp config appsettings set {self._app} "
            f"--settings {setting}=<that secret>"
        )

    def set_app_setting(self, setting: str) -> str:
        return f"az functionapp config appsettings set {self._app} --settings {setting}=<value>"

    def sign_in(self) -> str:
        return f"az login --tenant {self.store.tenant_id}" if self.store.tenant_id else "az login"

    def show_vault(self) -> str:
        return f"az keyvault show --name {self.vault} --query properties.vaultUri"

    def list_secrets(self) -> str:
        return f'az keyvault secret list --vault-name {self.vault} --query "[].name" --output tsv'

    def recover_secret(self, address: SecretAddress) -> str:
        return f"az keyvault secret recover --vault-name {self.vault} --name {address.name}"

    def list_versions(self, address: SecretAddress) -> str:
        return (
            f"az keyvault secret list-versions --vault-name {self.vault} --name {address.name} "
            '--query "[].id" --output tsv'
        )

    def enable_secret(self, address: SecretAddress) -> str:
        version = f" --version {address.version}" if address.version else ""
        return (
            f"az keyvault secret set-attributes --vault-name {self.vault} --name {address.name}{version} --enabled true"
        )

    def set_secret(self, address: SecretAddress, value: str = "<new value>") -> str:
        return f"az keyvault secret set --vault-name {self.vault} --name {address.name} --value '{value}'"

    def open_firewall(self) -> str:
        return (
            f"az keyvault network-rule add --name {self.vault} --ip-address <outbound address>, with each address of "
            f"az functionapp show {self._app} --query possibleOutboundIpAddresses; or reach the vault over a private "
            "endpoint"
        )


def _principal(refusal: str) -> str:
    found = _PRINCIPAL.search(refusal)
    return found.group(1) if found else "<object id of the identity>"


def _quoted(text: str) -> str:
    return f'"{text}"' if re.search(r"[^\w.-]", text) else text
