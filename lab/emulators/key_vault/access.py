"""Who may do what in a vault, and the words with which Key Vault refuses."""

import uuid
from dataclasses import dataclass

from lab.emulators.key_vault.exchange import Received, Reply
from lab.emulators.key_vault.state import Vault
from lab.emulators.key_vault.tokens import TokenError, Tokens, issuer

# The data actions of Azure's built-in roles, as permissions of this lab.
ROLES: dict[str, frozenset[str]] = {
    "Key Vault Secrets User": frozenset({"secrets/get", "secrets/list"}),
    "Key Vault Reader": frozenset({"secrets/list", "keys/get", "keys/list", "certificates/get", "certificates/list"}),
    "Key Vault Secrets Officer": frozenset({"secrets/*"}),
    "Key Vault Crypto Officer": frozenset({"keys/*"}),
    "Key Vault Crypto User": frozenset({"keys/get", "keys/list"}),
    "Key Vault Certificates Officer": frozenset({"certificates/*"}),
    "Key Vault Certificate User": frozenset(
        {"secrets/get", "secrets/list", "keys/get", "keys/list", "certificates/get", "certificates/list"}
    ),
    "Key Vault Administrator": frozenset({"secrets/*", "keys/*", "certificates/*"}),
}

_RBAC_ACTIONS = {
    "secrets/get": "secrets/getSecret/action",
    "secrets/list": "secrets/readMetadata/action",
    "secrets/set": "secrets/setSecret/action",
    "secrets/delete": "secrets/delete",
    "secrets/recover": "secrets/recover/action",
    "secrets/purge": "secrets/purge/action",
    "keys/get": "keys/read",
    "keys/list": "keys/read",
    "certificates/get": "certificates/read",
    "certificates/list": "certificates/read",
}


@dataclass(frozen=True)
class Caller:
    """Who the token says is calling."""

    client_id: str
    principal_id: str
    tenant_id: str
    name: str | None = None

    def __str__(self) -> str:
        return f"appid={self.client_id};oid={self.principal_id};iss={issuer(self.tenant_id)}"


class Refusal(Exception):  # noqa: N818 - an answer of the vault, not a fault of the lab
    """Key Vault's error answer: {"error": {"code", "message", "innererror": {"code"}}}."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        inner_code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reply = Reply(status, {"error": {"code": code, "message": message}}, headers or {})
        if inner_code:
            self.reply.body["error"]["innererror"] = {"code": inner_code}


def authenticate(vault: Vault, request: Received, tokens: Tokens, authority: str) -> Caller:
    """The caller whose token this vault honours; raises the 401 that carries the challenge."""
    where = f'authorization="{authority}/{vault.tenant_id}", resource="{vault.settings.resource}"'
    challenge = {"WWW-Authenticate": f"Bearer {where}"}

    def unauthorized(message: str) -> Refusal:
        return Refusal(401, "Unauthorized", message, headers=challenge)

    if request.bearer is None:
        raise unauthorized("AKV10000: Request is missing a Bearer or PoP token.")
    try:
        claims = tokens.claims(request.bearer)
    except TokenError as error:
        raise unauthorized(str(error)) from error
    audience = str(claims["aud"])
    if audience.rstrip("/") != vault.settings.resource.rstrip("/"):
        raise unauthorized(f"AKV10022: Invalid audience. Expected {vault.settings.resource}, found: {audience}.")
    if claims["tid"] != vault.tenant_id:
        expected, found = issuer(vault.tenant_id), issuer(str(claims["tid"]))
        raise unauthorized(f"AKV10032: Invalid issuer. Expected one of {expected}, found {found}.")
    return Caller(str(claims["appid"]), str(claims["oid"]), str(claims["tid"]))


def check_network(vault: Vault, caller: Caller, request: Received) -> None:
    """Raises the refusal of a vault whose firewall does not let this address in."""
    place = f"Vault: {vault.name};location={vault.settings.location}"
    if vault.settings.firewall == "closed":
        raise Refusal(
            403,
            "Forbidden",
            "Client address is not authorized and caller is not a trusted service.\r\n"
            f"Client address: {request.client_address}\r\nCaller: {caller}\r\n{place}",
            "ForbiddenByFirewall",
        )
    if vault.settings.firewall == "private":
        raise Refusal(
            403,
            "Forbidden",
            "Public network access is disabled and request is not from a trusted service nor via an approved private "
            f"link.\r\nCaller: {caller}\r\n{place}",
            "ForbiddenByConnection",
        )


def check_permission(vault: Vault, caller: Caller, permission: str, object_name: str | None) -> None:
    """Raises the refusal that the vault's permission model gives to a principal without this permission."""
    if _is_granted(vault, caller, permission, object_name):
        return
    kind, verb = permission.split("/")
    place = f"{vault.name};location={vault.settings.location}"
    if vault.settings.permission_model == "access_policy":
        raise Refusal(
            403,
            "Forbidden",
            f"The user, group or application '{caller}' does not have {kind} {verb} permission on key vault '{place}'. "
            "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287",
            vault.settings.policy_denial_code,
        )
    resource = vault.settings.resource_id.lower() + (f"/{kind}/{object_name}" if object_name else "")
    raise Refusal(
        403,
        "Forbidden",
        "Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, please observe propagation "
        f"time.\r\nCaller: {caller}\r\nAction: 'Microsoft.KeyVault/vaults/{_RBAC_ACTIONS[permission]}'\r\n"
        f"Resource: '{resource}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null \r\n"
        f"Vault: {place}\r\n",
        "ForbiddenByRbac",
    )


def _is_granted(vault: Vault, caller: Caller, permission: str, object_name: str | None) -> bool:
    kind = permission.split("/", maxsplit=1)[0]
    target = f"{kind}/{object_name}".casefold() if object_name else None
    for grant in vault.grants:
        if grant.principal not in {caller.name, caller.principal_id, caller.client_id}:
            continue
        if grant.scope is not None and grant.scope.casefold() != target:
            continue
        held = set(grant.permissions)
        if vault.settings.permission_model == "rbac":
            held |= {action for role in grant.roles for action in ROLES[role]}
        if permission in held or f"{kind}/*" in held:
            return True
    return False


def service_headers(vault: Vault) -> dict[str, str]:
    """The headers that every answer of a vault carries."""
    return {"x-ms-keyvault-region": vault.settings.location, "x-ms-request-id": str(uuid.uuid4())}
