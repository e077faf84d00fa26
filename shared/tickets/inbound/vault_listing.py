"""The objects of a vault by Microsoft's clients: lists of properties, never a value. The role is Key Vault Reader."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.paging import ItemPaged
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient

from shared.errors import MisconfiguredError, TryLaterError
from shared.hosts import AllowedHosts
from shared.moments import LONG_AGO, date_of
from shared.reasons import Reason
from shared.tickets.domain.model import ObjectType
from shared.tickets.inbound.listed_objects import ObjectProperties
from shared.tickets.inbound.sweep import ObjectsPage
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import beside, host_and_port
from shared.vaults.key_vault import KeyVaultClients
from shared.vaults.remediation import command

_PASSING = frozenset({408, 429})
_SERVER_ERRORS = 500
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


class KeyVaultLister:
    """One vault, listed with the identity of its store."""

    def __init__(
        self, vaults: KeyVaultClients, store_name: str, store: CredentialStore, hosts: AllowedHosts, vault: str = ""
    ) -> None:
        """The vault of that name in the store's cloud; without one the store's own."""
        identity = vaults.identity(store_name, store)
        if vault:
            url = beside(store.vault_url, vault)
            store = store.model_copy(update={"vault_url": url, "vault_name": None})
            hosts.check(f"credential-stores/{store_name}", store.host_uses())
        self._store_name = store_name
        self._store = store
        options = {"api_version": store.api_version, **vaults.client_options()}
        secrets = SecretClient(store.vault_url, identity, **options)
        keys = KeyClient(store.vault_url, identity, **options)
        certificates = CertificateClient(store.vault_url, identity, **options)
        self._lists: dict[ObjectType, tuple[Callable[[], ItemPaged[Any]], Callable[[str], Iterable[Any]]]] = {
            ObjectType.SECRET: (secrets.list_properties_of_secrets, secrets.list_properties_of_secret_versions),
            ObjectType.KEY: (keys.list_properties_of_keys, keys.list_properties_of_key_versions),
            ObjectType.CERTIFICATE: (
                certificates.list_properties_of_certificates,
                certificates.list_properties_of_certificate_versions,
            ),
        }

    def page(self, object_type: ObjectType, after: str) -> ObjectsPage:
        """Some objects of the type. Raises MisconfiguredError with the role that is missing, TryLaterError."""
        # It is the address of the next page, and a token of the vault goes there.
        if after and host_and_port(after) != host_and_port(self._store.vault_url):
            raise MisconfiguredError(
                Reason.VAULT_ADDRESS_WRONG,
                f"The list of {self._store.name_of_vault} goes on at another host, which is not asked.",
                remedy=f"Check what answers at vault_url of the credential store {self._store_name}.",
            )
        with self._explained(object_type):
            pages: Any = self._lists[object_type][0]().by_page(after or None)
            objects = [_listed(properties) for properties in next(pages, ())]
            return ObjectsPage(objects, pages.continuation_token or "")

    def versions(self, object_type: ObjectType, name: str) -> list[ObjectProperties]:
        """Every version of the object, none when it is not there; the same errors."""
        if not _NAME.fullmatch(name):
            # No vault has it, though an event spoke of it; asked for, the vault refuses with 400, and the sweep ends.
            return []
        with self._explained(object_type):
            try:
                return [_listed(properties) for properties in self._lists[object_type][1](name)]
            except ResourceNotFoundError:
                return []

    @contextmanager
    def _explained(self, object_type: ObjectType) -> Iterator[None]:
        vault = self._store.name_of_vault
        try:
            yield
        except HttpResponseError as error:
            status = error.status_code or 0
            if status in _PASSING or status >= _SERVER_ERRORS:
                raise TryLaterError(
                    Reason.VAULT_THROTTLED if status in _PASSING else Reason.VAULT_FAILED,
                    f"The vault {vault} did not list its {object_type}s (status {status}).",
                    remedy="The next sweep tries again.",
                    retry_after=_retry_after(error),
                ) from None
            if _inner_code(error) in {"ForbiddenByFirewall", "ForbiddenByConnection"}:
                raise MisconfiguredError(
                    Reason.VAULT_FIREWALL,
                    f"The vault {vault} refuses this host's address: its firewall is closed to it.",
                    remedy="Let the function app in: "
                    f"{command('az', 'keyvault', 'network-rule', 'add', '--name', vault, '--ip-address', '<address>')}",
                ) from None
            raise MisconfiguredError(
                Reason.VAULT_PERMISSION_MISSING,
                f"The identity of the credential store {self._store_name} may not list the {object_type}s of the vault "
                f"{vault} (status {status}).",
                remedy="Give it the role Key Vault Reader on the vault (az role assignment create --role "
                "'Key Vault Reader' --assignee '<identity>' --scope '<vault id>'), or with access policies the "
                "permission List for secrets, keys and certificates. Neither reads a value.",
            ) from None
        except (ServiceRequestError, ServiceResponseError) as error:
            raise TryLaterError(
                Reason.VAULT_UNREACHABLE,
                f"The vault {vault} did not answer ({type(error).__name__}).",
                remedy="If it stays, check vault_url of its store, and the way to it.",
            ) from None
        except (AzureError, ValueError) as error:
            raise MisconfiguredError(
                Reason.VAULT_ADDRESS_WRONG,
                f"What answers at {self._store.vault_url} is no Key Vault of that cloud ({type(error).__name__}).",
                remedy=f"Check vault_url of the credential store {self._store_name}.",
            ) from None


def _listed(properties: Any) -> ObjectProperties:
    created_at = date_of(properties.created_on) or LONG_AGO
    return ObjectProperties(
        name=properties.name,
        # A list leaves `enabled` out for what always was.
        enabled=properties.enabled is not False,
        created_at=created_at,
        updated_at=date_of(properties.updated_on) or created_at,
        version=(properties.version or "").casefold(),
        not_before=date_of(properties.not_before),
        expires_at=date_of(properties.expires_on),
        managed=bool(getattr(properties, "managed", False)),
    )


def _retry_after(error: HttpResponseError) -> float | None:
    response: Any = error.response
    try:
        seconds = float(response.headers.get("Retry-After", "") if response is not None else "")
    except ValueError:
        return None
    # NaN is no time to wait.
    return seconds if seconds > 0 else None


def _inner_code(error: HttpResponseError) -> str:
    inner = getattr(error.error, "innererror", None)
    return str(inner.get("code") or "") if isinstance(inner, dict) else ""
