"""A credential store: one vault, and the identity that reads it."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from shared.environment import CLIENT_SECRET_PREFIX, CLIENT_SECRET_SETTING, is_client_secret_setting
from shared.hosts import HostUse, Service
from shared.settings.base import SettingsDocument, Text
from shared.vaults.documents.vault_addresses import CLOUDS, HSM_LABEL, beside, cloud_of, host_of, is_loopback

Method = Literal["system_assigned", "user_assigned", "client_secret", "developer"]
# Microsoft's SDK speaks these; the newest that every supported SDK release knows is the default.
API_VERSIONS = ("7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6")
DEFAULT_API_VERSION = API_VERSIONS[-1]

_VERSION = re.compile(r"[0-9][0-9a-z.-]{0,30}")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TENANT = re.compile(r"([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-z-]+(\.[0-9a-z-]+)+)", re.IGNORECASE)
_IDENTITY = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/[^/]+",
    re.IGNORECASE,
)


def _root(address: str, what: str) -> str:
    """The address without its trailing slash; raises ValueError when it is more than https and a host."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a readable address: write {what}") from None
    if parts.scheme.lower() == "http":
        raise ValueError(f"must begin with https://: a token never travels unencrypted; write {what}")
    if parts.scheme.lower() != "https" or not parts.hostname or parts.username is not None or "\\" in address:
        raise ValueError(f"must be an address such as {what}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"must be the host alone, without a path: write {what}")
    name = parts.hostname.rstrip(".")
    host = f"[{name}]" if ":" in name else name
    return f"https://{host}{f':{port}' if port not in (None, 443) else ''}"


def _vault_url(text: str) -> str:
    return _root(text, "the vault's address, such as https://acorn.vault.azure.net")


def _resource(text: str) -> str:
    return _root(text, "the App ID URI of Key Vault, such as https://vault.azure.net")


def _resource_manager(text: str) -> str:
    return _root(text, "the cloud's Azure Resource Manager, such as https://management.azure.com")


def parse_authority(text: str) -> str:
    """The address of a sign-in host, without a path. Raises ValueError."""
    # Microsoft's own pages show the authority both as a host and as an address.
    return _root(text if "://" in text else f"https://{text}", "the sign-in host, such as login.microsoftonline.com")


def _guid(text: str) -> str:
    if not _GUID.fullmatch(text):
        raise ValueError("must be a GUID, such as 11111111-2222-3333-4444-555555555555 (a client id, not a name)")
    return text.lower()


def _tenant(text: str) -> str:
    if not _TENANT.fullmatch(text):
        raise ValueError("must be the directory's GUID or one of its domains, such as acorn.onmicrosoft.com")
    return text.lower()


def _identity(text: str) -> str:
    if not _IDENTITY.fullmatch(text.rstrip("/")):
        raise ValueError(
            "must be the identity's resource id: "
            "/subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/<name>"
        )
    return text.rstrip("/")


def _setting(text: str) -> str:
    if not is_client_secret_setting(text):
        raise ValueError(
            f"must be {CLIENT_SECRET_SETTING}, or the name of an app setting that begins with {CLIENT_SECRET_PREFIX}; "
            "the client secret itself never stands in a document"
        )
    return text


def _api_version(value: object) -> object:
    # YAML reads an unquoted 7.4 as a number, and an unquoted 2016-10-01 as a date.
    text = str(value).strip() if isinstance(value, str | float | date) else value
    if isinstance(text, str) and text not in API_VERSIONS:
        if _VERSION.fullmatch(text) is None:
            raise ValueError(f"is no version of Key Vault's API: write one of {', '.join(API_VERSIONS)}")
        raise ValueError(
            f"{text} is not updated any more; leave api_version out and {DEFAULT_API_VERSION} is used in its place, "
            f"or write one of {', '.join(API_VERSIONS)}"
            if text < "2017"
            else f"{text} is not known; leave api_version out and {DEFAULT_API_VERSION} is used, "
            f"or write one of {', '.join(API_VERSIONS)}"
        )
    return text


# Which fields say something, by method; the others would be silently without effect.
_MEANINGFUL: dict[str, frozenset[str]] = {
    "system_assigned": frozenset(),
    "user_assigned": frozenset({"client_id", "resource_id"}),
    "client_secret": frozenset({"tenant_id", "client_id", "client_secret_setting", "authority"}),
    "developer": frozenset({"tenant_id"}),
}


class CredentialStore(SettingsDocument):
    """One vault and the identity that reads it. Several vaults are several stores.

    The order of the fields matters: one that depends on another stands behind it, so that a fault has its own path.
    """

    kind: ClassVar[str] = "credential-stores"

    resource: Annotated[Text, AfterValidator(_resource)] | None = None
    vault_url: Annotated[Text, AfterValidator(_vault_url)]
    vault_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,63}$")] | None = None
    method: Method
    client_id: Annotated[Text, AfterValidator(_guid)] | None = None
    resource_id: Annotated[Annotated[Text, AfterValidator(_identity)] | None, Field(validate_default=True)] = None
    tenant_id: Annotated[Text, AfterValidator(_tenant)] | None = None
    client_secret_setting: Annotated[Text, AfterValidator(_setting)] | None = None
    authority: Annotated[Text, AfterValidator(parse_authority)] | None = None
    resource_manager: Annotated[Text, AfterValidator(_resource_manager)] | None = None
    grant_type: Text = "client_credentials"
    api_version: Annotated[str, BeforeValidator(_api_version)] = DEFAULT_API_VERSION
    expired: Literal["allow", "warn", "deny"] = "warn"
    cache_seconds: Annotated[int, Field(ge=0, le=86_400)] = 300
    stale_seconds: Annotated[int, Field(ge=0, le=604_800)] = 3_600
    description: Text | None = None

    @field_validator("vault_url")
    @classmethod
    def _a_vault_of_its_resource(cls, value: str, info: ValidationInfo) -> str:
        if "resource" not in info.data:
            return value
        host, resource = host_of(value), info.data["resource"]
        if is_loopback(host):
            return value
        cloud = cloud_of(host)
        if resource is None and cloud is None:
            domains = ", ".join(f"<vault>.{cloud.vault_domain}" for cloud in CLOUDS)
            raise ValueError(f"is no vault of a known cloud ({domains}): check it, or name its cloud under `resource`")
        if resource is not None and not host.endswith(f".{host_of(resource)}"):
            # A token for Azure's vaults must never be sent to a stranger's host.
            raise ValueError(f"is not a host within {host_of(resource)}, which `resource` asks tokens for")
        return value

    @field_validator("client_id", "resource_id", "tenant_id", "client_secret_setting", "authority")
    @classmethod
    def _fits_the_method(cls, value: str | None, info: ValidationInfo) -> str | None:
        method = info.data.get("method")
        if method is None:
            return value
        if value is not None and info.field_name not in _MEANINGFUL[method]:
            raise ValueError(f"has no meaning for the method {method}: leave it out")
        if info.field_name == "resource_id" and method == "user_assigned" and "client_id" in info.data:
            client_id = info.data["client_id"]
            if value is None and client_id is None:
                raise ValueError("or client_id is needed: the user-assigned identity is told apart by one of them")
            if value is not None and client_id is not None:
                raise ValueError("and client_id name the same thing: leave one of them out")
        return value

    @field_validator("grant_type")
    @classmethod
    def _only_client_credentials(cls, value: str) -> str:
        if value != "client_credentials":
            raise ValueError(
                f"{value} is not supported: an unattended service signs in as itself, with client_credentials"
            )
        return value

    def host_uses(self) -> Sequence[HostUse]:
        """The vault, what a token is asked for, the sign-in host that gets the client secret, and who gets tokens."""
        found = [HostUse("vault_url", Service.VAULT, self.host)]
        if self.resource is not None:
            # The resource of vaults is their domain: a vault of it stands for all.
            found.append(HostUse("resource", Service.VAULT, f"any.{host_of(self.resource)}"))
        if self.authority is not None:
            found.append(HostUse("authority", Service.SIGN_IN, host_of(self.authority)))
        if self.resource_manager is not None:
            found.append(HostUse("resource_manager", Service.RESOURCE_MANAGER, host_of(self.resource_manager)))
        return found

    @property
    def host(self) -> str:
        return host_of(self.vault_url)

    @property
    def name_of_vault(self) -> str:
        """The vault's name as Azure and its events say it."""
        return self.vault_name or self.host.partition(".")[0]

    @property
    def token_resource(self) -> str:
        """What a token is asked for."""
        cloud = cloud_of(self.host)
        return self.resource or (cloud or CLOUDS[0]).resource(self.host)

    @property
    def is_hsm(self) -> bool:
        """Whether it is a managed HSM: that keeps keys alone, and has roles of its own."""
        return host_of(self.token_resource).startswith(f"{HSM_LABEL}.")

    def beside(self, name: str, *, is_hsm: bool = False) -> Self:
        """The same identity for another vault, or managed HSM, of the cloud."""
        changed = {"vault_url": beside(self.vault_url, name, is_hsm=is_hsm), "vault_name": None}
        return self.model_copy(update=changed if is_hsm == self.is_hsm else {**changed, "resource": None})

    @property
    def resource_manager_url(self) -> str | None:
        """Where the vaults of its cloud are listed; None when nobody knows."""
        cloud = cloud_of(self.host)
        return self.resource_manager or (cloud.resource_manager if cloud else None)

    @property
    def sign_in_authority(self) -> str:
        cloud = cloud_of(self.host)
        return self.authority or (cloud.authority if cloud else CLOUDS[0].authority)
