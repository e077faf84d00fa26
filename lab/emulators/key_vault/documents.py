"""What the lab is told, in a file or by a call: tenants, identities, applications, vaults, objects, faults."""

import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lab.emulators.key_vault.moments import When

TENANT = "72f988bf-0000-4000-8000-00000000ac0e"
SUBSCRIPTION = "5f0c1a2e-0000-4000-8000-00000000ac0e"
TOKEN_EXCHANGE = "api://AzureADTokenExchange"
# Everything that one of Microsoft's current clients can ask for, oldest first.
API_VERSIONS = ("2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")

ObjectType = Literal["secrets", "keys", "certificates"]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[0-9a-zA-Z-]{1,127}$")]
ObjectVersionId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


def stable_id(*parts: str) -> str:
    """A GUID that is the same at each start, so that a second run of the lab meets the objects of the first."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "deskbridge-lab/" + "/".join(parts)))


class Document(BaseModel):
    """Unknown fields are refused: a misspelt one would leave the lab quietly without what was meant."""

    model_config = ConfigDict(extra="forbid")


class TenantDocument(Document):
    tenant_id: str = TENANT
    domain: str = "acorn.example"


class IdentityDocument(Document):
    """A managed identity of the host. One may be system-assigned; the others carry a client id and a resource id."""

    name: str
    kind: Literal["system", "user"] = "user"
    tenant_id: str | None = None
    client_id: str = ""
    principal_id: str = ""
    resource_id: str = ""

    @model_validator(mode="after")
    def _fill(self) -> Self:
        self.client_id = self.client_id or stable_id("client", self.name)
        self.principal_id = self.principal_id or stable_id("principal", self.name)
        self.resource_id = self.resource_id or (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-lab/providers/"
            f"Microsoft.ManagedIdentity/userAssignedIdentities/{self.name}"
        )
        return self


class ClientSecretDocument(Document):
    value: str = Field(repr=False)
    expires_at: When | None = None


class FederatedCredentialDocument(Document):
    """Whose tokens the application accepts in place of a secret (workload identity federation)."""

    issuer: str
    subject: str
    audience: str = TOKEN_EXCHANGE


class ApplicationDocument(Document):
    """An app registration with its client secrets and federated credentials."""

    name: str
    tenant_id: str | None = None
    client_id: str = ""
    principal_id: str = ""
    client_secrets: list[ClientSecretDocument] = []
    federated_credentials: list[FederatedCredentialDocument] = []

    @model_validator(mode="after")
    def _fill(self) -> Self:
        self.client_id = self.client_id or stable_id("client", self.name)
        self.principal_id = self.principal_id or stable_id("principal", self.name)
        return self


class SecretDocument(Document):
    """One version of a secret; naming a secret again adds a version.

    `attributes` are said as they stand here, of each type: vaults hold numbers and texts that are no dates.
    """

    name: ObjectName
    value: str = Field(repr=False)
    version: ObjectVersionId | None = None
    expires_at: When | None = None
    not_before: When | None = None
    created_at: When | None = None
    enabled: bool = True
    content_type: str | None = None
    tags: dict[str, str] = {}
    attributes: dict[str, Any] = {}


class KeyDocument(Document):
    name: ObjectName
    key_type: Literal["EC", "RSA"] = "EC"
    version: ObjectVersionId | None = None
    expires_at: When | None = None
    not_before: When | None = None
    created_at: When | None = None
    enabled: bool = True
    tags: dict[str, str] = {}
    attributes: dict[str, Any] = {}


class CertificateDocument(Document):
    """One version of a certificate; the vault makes the managed key and secret of the same name with it."""

    name: ObjectName
    subject: str = ""
    version: ObjectVersionId | None = None
    expires_at: When = Field(default="+365d", validate_default=True)
    not_before: When | None = None
    created_at: When | None = None
    enabled: bool = True
    tags: dict[str, str] = {}
    attributes: dict[str, Any] = {}


class GrantDocument(Document):
    """What a principal may do: roles (permission model rbac) or permissions such as secrets/get (either model).

    `scope` narrows a role to one object, such as secrets/db-password; access policies know no scope.
    """

    principal: str
    roles: list[str] = []
    permissions: list[str] = []
    scope: str | None = None


class VaultDocument(Document):
    name: str
    port: int = 0
    tenant_id: str | None = None
    resource_id: str = ""
    location: str = "westeurope"
    resource: str = "https://vault.azure.net"
    permission_model: Literal["rbac", "access_policy"] = "rbac"
    policy_denial_code: Literal["AccessDenied", "ForbiddenByPolicy"] = "AccessDenied"
    firewall: Literal["open", "closed", "private"] = "open"
    # Microsoft documents that a get works outside nbf and exp. "refused" plays the stricter vault, to prove that a
    # client copes with either.
    not_yet_valid: Literal["returned", "refused"] = "returned"
    recovery_level: str = "Recoverable+Purgeable"
    recoverable_days: int = 90
    api_versions: list[str] = list(API_VERSIONS)
    grants: list[GrantDocument] = []
    secrets: list[SecretDocument] = []
    keys: list[KeyDocument] = []
    certificates: list[CertificateDocument] = []
    # Objects of the above that are soft-deleted from the start, as secrets/old-password.
    deleted: list[Annotated[str, StringConstraints(pattern=r"^(secrets|keys|certificates)/[0-9a-zA-Z-]{1,127}$")]] = []

    @model_validator(mode="after")
    def _fill(self) -> Self:
        self.resource_id = self.resource_id or (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-lab/providers/Microsoft.KeyVault/vaults/{self.name}"
        )
        return self


class FaultDocument(Document):
    """What the next `times` requests that match get. Anything left out matches everything.

    status: an answer with that status, Retry-After in seconds; a success needs a `body`, which may be an odd one.
    slow: the plain answer, `seconds` late.
    hang: nothing for `seconds`, then the connection cut. reset: the connection cut at once.
    """

    service: Literal["vault", "entra", "identity"] = "vault"
    kind: Literal["status", "slow", "hang", "reset"] = "status"
    times: int = Field(default=1, ge=1)
    vault: str | None = None
    operation: str | None = None
    object_name: str | None = None
    principal: str | None = None
    status: int = Field(default=503, ge=200, le=599)
    code: str | None = None
    message: str | None = None
    inner_code: str | None = None
    retry_after: int | None = None
    seconds: float = Field(default=30, ge=0)
    body: str | None = None
    content_type: str = "text/html; charset=utf-8"
    # The first request of a client carries no token and is answered with the challenge: it would use up a fault
    # that was meant for the read after it.
    before_authentication: bool = False


class LabDocument(Document):
    """The whole lab. Ports are 0 for any free one."""

    tenants: list[TenantDocument] = [TenantDocument()]
    identities: list[IdentityDocument] = []
    applications: list[ApplicationDocument] = []
    vaults: list[VaultDocument] = []
    identity_header: str = Field(default="", repr=False)
    token_lifetime_seconds: int = Field(default=86400, ge=1)
    clock_offset_seconds: float = 0
    entra_port: int = 0
    identity_port: int = 0
    control_port: int = 0
