"""Secrets from Azure Key Vault: one client per store, one GET per fetch, and what each refusal means."""

import json
import threading
from typing import Any

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.keyvault.secrets import KeyVaultSecret, SecretClient

from shared.bounded_answers import bounded_transport
from shared.environment import Environment
from shared.errors import MisconfiguredError
from shared.moments import date_of
from shared.reasons import Reason
from shared.vaults.bounded_retry import CONNECT_SECONDS, READ_SECONDS, BoundedRetryPolicy
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.errors import VaultRefusal, VaultRefusals
from shared.vaults.identities import StoreIdentity
from shared.vaults.lists import explained_list
from shared.vaults.model import SecretValue, json_fields
from shared.vaults.remediation import RemediationCommands

_OK = 200


class KeyVaultClients:
    """A client of Key Vault for each store, built anew when the store's document changes."""

    def __init__(self, environment: Environment, *, read_seconds: float = READ_SECONDS) -> None:
        self._environment = environment
        self._read_seconds = read_seconds
        self._lock = threading.Lock()
        self._identities: dict[tuple[str, str], tuple[CredentialStore, StoreIdentity]] = {}
        self._clients: dict[str, tuple[StoreIdentity, SecretClient]] = {}

    def fetch(self, store_name: str, store: CredentialStore, address: SecretAddress) -> SecretValue:
        """The secret, by one request (and one more for the first of a client, which the vault challenges).

        Raises MisconfiguredError with what is wrong and what to do, TryLaterError for what may pass.
        """
        if store.is_hsm:
            raise MisconfiguredError(
                Reason.VAULT_ADDRESS_WRONG,
                f"The credential store {store_name} is a managed HSM, which keeps keys alone and no secret "
                f"{address.name}.",
                remedy="Store the secret in a vault, and name the store of that vault.",
            )
        refusals = VaultRefusals(store_name, store, address, self._environment)
        try:
            found = self._client(store_name, store).get_secret(
                address.name, address.version or None, raw_response_hook=_require_a_secret
            )
        except HttpResponseError as error:
            raise refusals.explain(_refusal(error)) from None
        except (ServiceRequestError, ServiceResponseError) as error:
            raise refusals.no_answer(error) from None
        except (AzureError, ValueError, NotImplementedError) as error:
            raise refusals.no_vault(error) from None
        return self._value(store, address, found)

    def commands(self, store_name: str, store: CredentialStore) -> RemediationCommands:
        """What an operator may type about the store."""
        return RemediationCommands(store_name, store, self._environment)

    def check_list(self, store_name: str, store: CredentialStore) -> None:
        """List the properties of the vault's secrets, or of the managed HSM's keys: one request, for one of them.

        Raises MisconfiguredError with the role that is missing, TryLaterError.
        """
        what = "keys" if store.is_hsm else "secrets"
        with explained_list(what, store_name, store, self.commands(store_name, store)):
            if not store.is_hsm:
                next(iter(self._client(store_name, store).list_properties_of_secrets(max_page_size=1)), None)
                return
            from azure.keyvault.keys import KeyClient

            identity, options = self.identity(store_name, store), self.client_options()
            keys = KeyClient(store.vault_url, identity, api_version=store.api_version, **options)
            next(iter(keys.list_properties_of_keys(max_page_size=1)), None)

    def identity(self, store_name: str, store: CredentialStore) -> StoreIdentity:
        """The identity of the store, for every client that reads its vault; it keeps its tokens.

        Raises MisconfiguredError when there can be none.
        """
        with self._lock:
            # That of vaults, and that of managed HSMs.
            key = (store_name, store.token_resource)
            known = self._identities.get(key)
            if known is None or known[0] != store:
                known = self._identities[key] = (store, StoreIdentity(store_name, store, self._environment))
            return known[1]

    def client_options(self) -> dict[str, Any]:
        """What every client of a vault is built with: bounds of time, and whether its challenge is verified."""
        return {
            "verify_challenge_resource": self._environment.flag("DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE"),
            "retry_policy": BoundedRetryPolicy(give_up_after=self._read_seconds),
            "transport": bounded_transport(connect_seconds=CONNECT_SECONDS, read_seconds=self._read_seconds),
        }

    def _client(self, store_name: str, store: CredentialStore) -> SecretClient:
        identity = self.identity(store_name, store)
        with self._lock:
            known = self._clients.get(store_name)
            if known is None or known[0] is not identity:
                client = SecretClient(store.vault_url, identity, api_version=store.api_version, **self.client_options())
                known = self._clients[store_name] = (identity, client)
            return known[1]

    @staticmethod
    def _value(store: CredentialStore, address: SecretAddress, found: KeyVaultSecret) -> SecretValue:
        properties = found.properties
        return SecretValue(
            text=found.value or "",
            fields=json_fields(found.value or ""),
            vault_name=store.name_of_vault,
            secret_name=properties.name or address.name,
            version=properties.version or "",
            expires_at=date_of(properties.expires_on),
        )


def _require_a_secret(response: Any) -> None:
    """Raises ValueError for a success that is no secret: the SDK would make an empty one of it, or stumble."""
    answer = response.http_response
    if answer.status_code != _OK:
        return
    bundle = json.loads(answer.text())
    if (
        not isinstance(bundle, dict)
        or not isinstance(bundle.get("value"), str)
        or not isinstance(bundle.get("id"), str)
    ):
        raise ValueError("the answer is no secret")  # noqa: TRY004 - it is what the answer says that is wrong


def _refusal(error: HttpResponseError) -> VaultRefusal:
    """What Key Vault answered, out of the SDK's exception."""
    code, inner, message = "", "", ""
    body: Any = error.error
    response: Any = error.response
    if body is not None:
        code, message = str(body.code or ""), str(body.message or "")
        if isinstance(body.innererror, dict):
            inner = str(body.innererror.get("code") or "")
    headers = response.headers if response is not None else {}
    try:
        retry_after = float(headers.get("Retry-After", ""))
    except ValueError:
        retry_after = None
    return VaultRefusal(
        status=int(error.status_code or 0),
        code=code,
        inner_code=inner,
        message=message,
        retry_after=retry_after,
    )
