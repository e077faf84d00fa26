"""One explicit identity per credential store, by azure-identity; what goes wrong with it, in sentences."""

import re
from collections.abc import Mapping
from typing import Any

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    AzureCliCredential,
    AzureDeveloperCliCredential,
    ChainedTokenCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)

from shared.bounded_answers import LARGEST_SMALL_ANSWER, bound_answers, bounded_transport
from shared.environment import CLIENT_SECRET_SETTING, Environment
from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.hosts import KNOWN_HOSTS, AllowedHosts, Service, matches_host
from shared.network_faults import NetworkFault, below, network_fault
from shared.outbound import Outbound
from shared.reasons import Reason
from shared.vaults.bounded_retry import CONNECT_SECONDS, READ_SECONDS
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import host_of
from shared.vaults.remediation import RemediationCommands

TENANT_SETTING = "AzureTenantId"
CLIENT_SETTING = "AzureClientId"


_TIMEOUTS: Mapping[str, Any] = {"connection_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
_BOUNDS: dict[str, Any] = {
    # Not retried by the client: it would wait as long as a Retry-After says. The cache and the caller's queue retry.
    "retry_total": 0,
}
_ENTRA_ERROR = re.compile(r"AADSTS(\d+)")
_ENDPOINT_STATUS = re.compile(r"\(\w+\) (\d{3}),")
# An unknown tenant fails before sign-in, when its addresses are looked up.
_DISCOVERY_STATUS = re.compile(r"OIDC Discovery failed on .* HTTP status: (\d{3})")
_TRANSIENT_ENTRA_ERRORS = frozenset({"90033", "50196", "90055", "90024"})
_DEVELOPER_TIMEOUT = 10
_THROTTLED = 429
_REFUSED = 400
_SERVER_ERRORS = 500


class StoreIdentity:
    """The identity of one store. It asks for tokens for the store's resource only, whatever a challenge says."""

    def __init__(self, store_name: str, store: CredentialStore, environment: Environment) -> None:
        self._name = store_name
        self._store = store
        self._environment = environment
        self._fix = RemediationCommands(store_name, store, environment)
        self._scope = f"{store.token_resource}/.default"
        self._client_id = ""
        # Before anything is built: a document that came past the check at writing must send nothing either.
        AllowedHosts(environment.further_hosts()).check(f"the credential store {store_name}", store.host_uses())
        self._last_status = 0
        self._credential: Any = self._build()

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for the store's resource; raises MisconfiguredError or TryLaterError."""
        del scopes
        claims = options.get("claims") if options else None
        return self.token_for(self._scope, {"claims": claims} if claims else {})

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        info = self.get_token_info(*scopes)
        return AccessToken(info.token, info.expires_on)

    def token_for(self, scope: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for another resource, such as one that AWS exchanges; the same errors."""
        self._last_status = 0
        try:
            info: AccessTokenInfo = self._credential.get_token_info(scope, options=options or {})
        except (AzureError, ValueError) as error:
            # From None: what an SDK says may quote what it sent.
            raise self._explained(error) from None
        return info

    def close(self) -> None:
        self._credential.close()

    def _build(self) -> Any:
        match self._store.method:
            case "system_assigned":
                return self._managed_identity()
            case "user_assigned":
                if self._store.client_id is not None:
                    return self._managed_identity(client_id=self._store.client_id)
                return self._managed_identity(identity_config={"resource_id": self._store.resource_id or ""})
            case "client_secret":
                return self._app_registration()
            case "developer":
                return self._developer()

    def _managed_identity(self, **which: Any) -> ManagedIdentityCredential:
        self._require_identity_endpoint()
        return ManagedIdentityCredential(
            transport=bounded_transport(connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS),
            raw_response_hook=self._note_status,
            **which,
            **_BOUNDS,
        )

    def _note_status(self, response: Any) -> None:
        """The SDK tells no status of an answer in the form of a virtual machine's endpoint."""
        self._last_status = int(response.http_response.status_code)

    def _app_registration(self) -> ClientSecretCredential:
        store = self._store
        tenant_id = store.tenant_id or self._setting(TENANT_SETTING, "tenant_id")
        self._client_id = store.client_id or self._setting(CLIENT_SETTING, "client_id")
        setting = store.client_secret_setting or CLIENT_SECRET_SETTING
        client_secret = self._present(self._environment.client_secret(setting), setting, "client_secret_setting")
        authority = store.sign_in_authority
        try:
            return ClientSecretCredential(
                tenant_id,
                self._client_id,
                client_secret,
                authority=authority,
                # A host that the deployer lists would be asked about at Microsoft's public cloud first, and refused.
                disable_instance_discovery=not matches_host(host_of(authority), KNOWN_HOSTS[Service.SIGN_IN]),
                transport=self._transport(),
                **_BOUNDS,
            )
        except ValueError:
            raise MisconfiguredError(
                Reason.TENANT_UNKNOWN,
                f"The credential store {self._name} names a tenant that cannot be one.",
                remedy=f"Write the directory's GUID as tenant_id or into the app setting {TENANT_SETTING}: "
                "az account show --query tenantId --output tsv",
            ) from None

    def _transport(self) -> RequestsTransport:
        outbound = Outbound(self._environment.hosts("DESKBRIDGE_ALLOWED_PRIVATE_HOSTS"))
        hosts = AllowedHosts(self._environment.further_hosts())
        session = outbound.session(hosts.names(Service.SIGN_IN))
        bound_answers(session, LARGEST_SMALL_ANSWER)
        return RequestsTransport(session=session, **_TIMEOUTS)

    def _developer(self) -> ChainedTokenCredential:
        if self._environment.deployed:
            raise MisconfiguredError(
                Reason.DEVELOPER_WHEN_DEPLOYED,
                f"The credential store {self._name} uses the method developer, and nobody is signed in on a host in "
                "Azure.",
                remedy=f"Use system_assigned or user_assigned there: {self._fix.assign_system_identity()}",
            )
        tenant = self._store.tenant_id or ""
        return ChainedTokenCredential(
            AzureCliCredential(tenant_id=tenant, process_timeout=_DEVELOPER_TIMEOUT),
            AzureDeveloperCliCredential(tenant_id=tenant, process_timeout=_DEVELOPER_TIMEOUT),
        )

    def _setting(self, setting: str, field: str) -> str:
        return self._present(self._environment.app_setting(setting), setting, field)

    def _present(self, value: str | None, setting: str, field: str) -> str:
        if value is None:
            raise MisconfiguredError(
                Reason.SETTING_MISSING,
                f"The credential store {self._name} needs the app setting {setting}, which is missing, empty, or a Key "
                "Vault reference that Azure could not resolve.",
                remedy=f"Set it ({self._fix.set_app_setting(setting)}), or name another one in the store's {field}.",
            )
        return value

    def _require_identity_endpoint(self) -> None:
        # In Azure the endpoint's address is there exactly when the app has an identity, so nothing needs to be tried.
        if self._environment.deployed and self._environment.app_setting("IDENTITY_ENDPOINT") is None:
            raise self._no_identity()

    def _no_identity(self) -> MisconfiguredError:
        assign = (
            self._fix.assign_system_identity()
            if self._store.method == "system_assigned"
            else self._fix.assign_user_identity()
        )
        where = "" if self._environment.deployed else " On a machine outside Azure use the method developer."
        return MisconfiguredError(
            Reason.IDENTITY_MISSING,
            f"The credential store {self._name} uses a managed identity ({self._store.method}), and this host has "
            "none.",
            remedy=f"Give the function app the identity: {assign}{where}",
        )

    # What the SDK's exceptions mean

    def _explained(self, error: AzureError | ValueError) -> DeskbridgeError:
        # What refused a connection has its own words already.
        for one in below(error):
            if isinstance(one, DeskbridgeError):
                return one
        if self._store.method == "developer":
            return MisconfiguredError(
                Reason.DEVELOPER_NOT_SIGNED_IN,
                f"The credential store {self._name} uses the method developer, and neither the Azure CLI nor the Azure "
                "Developer CLI gave a token.",
                remedy=f"Sign in: {self._fix.sign_in()}",
            )
        if self._store.method == "client_secret":
            return self._explained_by_entra(error)
        return self._explained_by_endpoint(error)

    def _explained_by_endpoint(self, error: AzureError | ValueError) -> DeskbridgeError:
        text = str(error)
        found = _ENDPOINT_STATUS.search(text)
        status = int(found.group(1)) if found else _status_of(error)
        if not status and self._last_status >= _REFUSED:
            status = self._last_status
        if status == _THROTTLED or status >= _SERVER_ERRORS:
            return TryLaterError(
                Reason.IDENTITY_UNAVAILABLE,
                f"The host's identity endpoint answered with status {status} when the credential store {self._name} "
                "asked for a token.",
                remedy="It usually passes within minutes.",
            )
        if status:
            return self._refused_by_endpoint()
        if self._environment.app_setting("IDENTITY_ENDPOINT") is None:
            return self._no_identity()
        return TryLaterError(
            Reason.IDENTITY_UNAVAILABLE,
            f"The host's identity endpoint gave no token to the credential store {self._name}: it did not answer, or "
            "not in its form.",
            remedy="It usually passes; if it stays, restart the function app.",
        )

    def _refused_by_endpoint(self) -> DeskbridgeError:
        if self._store.method == "system_assigned":
            return MisconfiguredError(
                Reason.IDENTITY_MISSING,
                f"The credential store {self._name} uses the system-assigned identity, and this host has none; it has "
                "a user-assigned one at most.",
                remedy=f"Turn it on: {self._fix.assign_system_identity()}",
            )
        which = self._store.client_id or self._store.resource_id
        return MisconfiguredError(
            Reason.IDENTITY_UNKNOWN,
            f"The credential store {self._name} names the user-assigned identity {which}, which is not assigned to "
            "this host.",
            remedy=f"Compare it with those that are ({self._fix.show_identities()}), or assign it: "
            f"{self._fix.assign_user_identity()}. A client id is neither the object id nor the name.",
        )

    def _explained_by_entra(self, error: AzureError | ValueError) -> DeskbridgeError:
        text = " ".join(str(one) for one in below(error))
        found = _ENTRA_ERROR.search(text)
        code = found.group(1) if found else ""
        setting = self._store.client_secret_setting or CLIENT_SECRET_SETTING
        app = f"the app registration {self._client_id}"
        renew = self._fix.renew_client_secret(self._client_id, setting)
        discovery = _DISCOVERY_STATUS.search(text)
        status = int(discovery.group(1)) if discovery else _status_of(error)
        if code in _TRANSIENT_ENTRA_ERRORS or status == _THROTTLED or status >= _SERVER_ERRORS:
            return self._entra_unavailable(f"Entra ID answered with status {status or 'temporarily unavailable'}")
        match code:
            case "7000215" | "7000218":
                return MisconfiguredError(
                    Reason.CLIENT_SECRET_WRONG,
                    f"The credential store {self._name} signs in as {app}, and Entra ID refuses the client secret in "
                    f"the app setting {setting}. The secret's value is needed, not its id.",
                    remedy=f"Make a new one and put it there: {renew}",
                )
            case "7000222":
                return MisconfiguredError(
                    Reason.CLIENT_SECRET_EXPIRED,
                    f"The credential store {self._name} signs in as {app}, and the client secret in the app setting "
                    f"{setting} has expired.",
                    remedy=f"Make a new one and put it there: {renew}",
                )
            case "700016":
                return MisconfiguredError(
                    Reason.APP_REGISTRATION_UNKNOWN,
                    f"The credential store {self._name} signs in as {app}, which its tenant does not know.",
                    remedy=f"Check client_id and tenant_id: {self._fix.show_app(self._client_id)}",
                )
            case "" if not discovery:
                return self._no_answer_from_entra(error)
            case "90002" | "900023" | "50059" | "":
                return MisconfiguredError(
                    Reason.TENANT_UNKNOWN,
                    f"The credential store {self._name} signs in to a tenant that {host_of(self._authority)} does not "
                    "know.",
                    remedy="Check tenant_id, and the authority for another cloud: az account show --query tenantId",
                )
        return MisconfiguredError(
            Reason.SIGN_IN_REFUSED,
            f"The credential store {self._name} signs in as {app}, and Entra ID refuses with AADSTS{code}.",
            remedy=f"Look it up: https://login.microsoftonline.com/error?code={code}",
        )

    @property
    def _authority(self) -> str:
        return self._store.sign_in_authority

    def _no_answer_from_entra(self, error: AzureError | ValueError) -> DeskbridgeError:
        host = host_of(self._authority)
        fault = network_fault(error)
        if fault is NetworkFault.CERTIFICATE:
            return MisconfiguredError(
                Reason.VAULT_CERTIFICATE_UNTRUSTED,
                f"The credential store {self._name} signs in at {host}, whose certificate this host does not trust.",
                remedy="If a proxy opens the traffic, name a bundle that holds its authority in the app setting "
                "REQUESTS_CA_BUNDLE; otherwise correct the store's authority.",
            )
        return self._entra_unavailable(
            f"the sign-in host {host} is not known by that name"
            if fault is NetworkFault.NAME
            else f"the sign-in host {host} gave no answer that can be read"
        )

    def _entra_unavailable(self, what: str) -> TryLaterError:
        return TryLaterError(
            Reason.IDENTITY_UNAVAILABLE,
            f"The credential store {self._name} could not sign in: {what}.",
            remedy="It usually passes; if it stays, check the store's authority and the host's way to it.",
        )


def _status_of(error: BaseException) -> int:
    """The HTTP status behind an error of the SDK, 0 when there was no answer."""
    for one in below(error):
        if isinstance(one, HttpResponseError) and one.status_code:
            return int(one.status_code)
    return 0
