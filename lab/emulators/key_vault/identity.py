"""The managed identity endpoint of App Service and Functions: tokens for the identities that the host has."""

import hmac
import uuid
from datetime import UTC, datetime

from lab.emulators.key_vault.documents import IdentityDocument
from lab.emulators.key_vault.exchange import Received, Reply
from lab.emulators.key_vault.faults import Faults, reply_for
from lab.emulators.key_vault.journal import Journal
from lab.emulators.key_vault.state import LabState
from lab.emulators.key_vault.tokens import Tokens

PATH = "/msi/token"
API_VERSION = "2019-08-01"
_UNKNOWN_IDENTITY = (
    "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
)


class IdentityEndpoint:
    """Answers GET requests that carry the host's X-IDENTITY-HEADER."""

    def __init__(self, state: LabState, tokens: Tokens, faults: Faults, journal: Journal, header: str) -> None:
        self._state = state
        self._tokens = tokens
        self._faults = faults
        self._journal = journal
        self.header = header

    def answer(self, request: Received) -> Reply:
        with self._state.lock:
            identity = self._find(request)
        name = identity.name if identity else None
        fault = self._faults.take("identity", principal=name, operation="token/managed_identity")
        reply = (reply_for(fault) if fault else None) or self._perform(request, identity)
        if fault and fault.kind == "slow":
            reply = reply.delayed(fault.seconds)
        self._journal.add(
            at=datetime.now(UTC).isoformat(),
            service="identity",
            method=request.method,
            path=request.path,
            operation="token/managed_identity",
            principal=name,
            api_version=request.query.get("api-version"),
            status=None if reply.abort else reply.status,
            fault=fault.kind if fault else None,
        )
        return reply

    def _perform(self, request: Received, identity: IdentityDocument | None) -> Reply:
        # A request forged through the host cannot set a header: that is all the header is for.
        if not hmac.compare_digest(request.headers.get("x-identity-header", "").encode(), self.header.encode()):
            return _problem(401, "The X-IDENTITY-HEADER header is missing or wrong.")
        if request.method != "GET" or request.path != PATH:
            return _problem(404, "Not found.")
        if request.query.get("api-version") != API_VERSION:
            return _problem(400, f"The api-version must be {API_VERSION}.")
        resource = request.query.get("resource")
        if not resource:
            return _problem(400, "The resource parameter is missing.")
        if identity is None:
            if _asked(request):
                return _problem(400, _UNKNOWN_IDENTITY)
            return _problem(400, "Unable to load the proper Managed Identity.")
        token, expires_at = self._tokens.issue(self._state.principal(identity), resource)
        return Reply(
            200,
            {
                "access_token": token,
                "expires_on": str(expires_at),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": identity.client_id,
            },
        )

    def _find(self, request: Received) -> IdentityDocument | None:
        """The identity that the request names; the system-assigned one when it names none."""
        asked = _asked(request)
        for identity in self._state.identities.values():
            if not asked:
                if identity.kind == "system":
                    return identity
            elif identity.kind == "user" and all(
                getattr(identity, field).casefold() == value.casefold() for field, value in asked.items()
            ):
                return identity
        return None


def _asked(request: Received) -> dict[str, str]:
    # MSAL says object_id, the documentation of App Service principal_id; both are answered.
    names = {
        "client_id": "client_id",
        "mi_res_id": "resource_id",
        "principal_id": "principal_id",
        "object_id": "principal_id",
    }
    return {field: request.query[name] for name, field in names.items() if request.query.get(name)}


def _problem(status: int, message: str) -> Reply:
    return Reply(status, {"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())})
