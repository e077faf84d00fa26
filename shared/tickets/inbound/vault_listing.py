"""The objects of a vault by Microsoft's clients: lists of properties, never a value. The role is Key Vault Reader."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from azure.core.exceptions import (
    ResourceNotFoundError,
)
from azure.core.paging import ItemPaged
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient

from shared.errors import MisconfiguredError
from shared.hosts import AllowedHosts
from shared.moments import LONG_AGO, date_of
from shared.reasons import Reason
from shared.tickets.domain.model import ObjectType
from shared.tickets.inbound.listed_objects import ObjectProperties
from shared.tickets.inbound.sweep import ObjectsPage
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import host_and_port
from shared.vaults.key_vault import KeyVaultClients
from shared.vaults.lists import explained_list

_PASSING = frozenset({408, 429})
_SERVER_ERRORS = 500
_NO_TOKEN, _FORBIDDEN = 401, 403
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


# Of each type: what lists its objects, and what lists the versions of one.
_Lists = dict[ObjectType, tuple[Callable[[], ItemPaged[Any]], Callable[[str], Iterable[Any]]]]


class KeyVaultLister:
    """One vault, listed with the identity of its store."""

    def __init__(
        self,
        vaults: KeyVaultClients,
        store_name: str,
        store: CredentialStore,
        hosts: AllowedHosts,
        resource_id: str = "",
    ) -> None:
        """The vault or managed HSM of that resource id, in the store's cloud; without one the store's own."""
        own = store
        if resource_id:
            store = store.beside(resource_id.rpartition("/")[2], is_hsm="/managedhsms/" in resource_id)
            hosts.check(f"credential-stores/{store_name}", store.host_uses())
        # A token for vaults opens no managed HSM.
        is_other = store.token_resource != own.token_resource
        identity = vaults.identity(store_name, store.beside("any", is_hsm=store.is_hsm) if is_other else own)
        self._store_name = store_name
        self._store = store
        self._fix = vaults.commands(store_name, store)
        options = {"api_version": store.api_version, **vaults.client_options()}
        keys = KeyClient(store.vault_url, identity, **options)
        self._lists: _Lists = {ObjectType.KEY: (keys.list_properties_of_keys, keys.list_properties_of_key_versions)}
        if store.is_hsm:
            # It has keys alone.
            return
        secrets = SecretClient(store.vault_url, identity, **options)
        certificates = CertificateClient(store.vault_url, identity, **options)
        self._lists[ObjectType.SECRET] = (
            secrets.list_properties_of_secrets,
            secrets.list_properties_of_secret_versions,
        )
        self._lists[ObjectType.CERTIFICATE] = (
            certificates.list_properties_of_certificates,
            certificates.list_properties_of_certificate_versions,
        )

    def page(self, object_type: ObjectType, after: str) -> ObjectsPage:
        """Some objects of the type. Raises MisconfiguredError with the role that is missing, TryLaterError."""
        if object_type not in self._lists:
            return ObjectsPage(())
        # It is the address of the next page, and a token of the vault goes there.
        if after and host_and_port(after) != host_and_port(self._store.vault_url):
            raise MisconfiguredError(
                Reason.VAULT_ADDRESS_WRONG,
                f"The list of {self._store.name_of_vault} goes on at another host, which is not asked.",
                remedy=f"Check what answers at vault_url of the credential store {self._store_name}.",
            )
        with explained_list(f"{object_type}s", self._store_name, self._store, self._fix):
            pages: Any = self._lists[object_type][0]().by_page(after or None)
            objects = [_listed(properties) for properties in next(pages, ())]
            return ObjectsPage(objects, pages.continuation_token or "")

    def versions(self, object_type: ObjectType, name: str) -> list[ObjectProperties]:
        """Every version of the object, none when it is not there; the same errors."""
        if object_type not in self._lists or not _NAME.fullmatch(name):
            # No vault has it, though an event spoke of it; asked for, the vault refuses with 400, and the sweep ends.
            return []
        with explained_list(f"{object_type}s", self._store_name, self._store, self._fix):
            try:
                return [_listed(properties) for properties in self._lists[object_type][1](name)]
            except ResourceNotFoundError:
                return []


def _listed(properties: Any) -> ObjectProperties:
    if not properties.name:
        raise ValueError("an entry of the list has no id")
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
