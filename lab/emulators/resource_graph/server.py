"""Azure Resource Manager's address, with Azure Resource Graph alone behind it.

Whoever may see nothing gets an empty list, not a refusal. A page's token is good for the same query alone.
Source: Microsoft's REST reference, Azure Resource Graph, Resources; its guidance for throttled requests.
"""

import base64
import hashlib
import json
import threading
from typing import Any, Self

from lab.emulators.key_vault.authority import CertificateAuthority
from lab.emulators.key_vault.exchange import Received, Reply
from lab.emulators.key_vault.moments import Clock
from lab.emulators.key_vault.server import Servers
from lab.emulators.key_vault.tokens import TokenError, Tokens
from lab.emulators.resource_graph.query import QueryError, run
from lab.emulators.startable import Startable

PATH = "/providers/Microsoft.ResourceGraph/resources"
VAULT = "microsoft.keyvault/vaults"
_VERSIONS = {"2021-03-01", "2022-10-01"}
_MOST = 1_000


class ResourceGraphLab(Startable):
    """The resources of some subscriptions, and who may read which of those. It honours tokens that the lab's Entra and
    identity endpoint sign with `authority`."""

    def __init__(self, authority: CertificateAuthority) -> None:
        self._authority = authority
        self._tokens = Tokens(authority.token_key, Clock(0), 0)
        self._lock = threading.Lock()
        self._resources: dict[str, dict[str, Any]] = {}
        self._readers: dict[str, set[str]] = {}
        self._throttled = 0
        self._retry_after = ""
        self._servers: Servers | None = None
        self.url = ""
        # The body of each request that carried a good token.
        self.asked: list[dict[str, Any]] = []

    def start(self) -> Self:
        self._servers = Servers()
        tls = self._authority.server_context()
        self.url = f"https://localhost:{self._servers.listen(self, purpose='the Azure Resource Graph', tls=tls)}"
        return self

    def stop(self) -> None:
        servers, self._servers = self._servers, None
        if servers is not None:
            servers.close()

    def put(self, resource_id: str, tags: dict[str, str] | None = None, resource_type: str = VAULT) -> None:
        """Add a resource, or change its tags."""
        name, subscription = resource_id.rpartition("/")[2], resource_id.split("/")[2]
        row = {"id": resource_id, "name": name, "type": resource_type, "subscriptionId": subscription, "tags": tags}
        with self._lock:
            self._resources[resource_id.casefold()] = row

    def remove(self, resource_id: str) -> None:
        with self._lock:
            del self._resources[resource_id.casefold()]

    def grant(self, principal_id: str, subscription: str) -> None:
        """Give the role Reader on a subscription."""
        with self._lock:
            self._readers.setdefault(principal_id, set()).add(subscription)

    def revoke(self, principal_id: str) -> None:
        with self._lock:
            self._readers.pop(principal_id, None)

    def throttle(self, times: int, retry_after: str = "") -> None:
        """Refuse the next requests with 429."""
        with self._lock:
            self._throttled, self._retry_after = times, retry_after

    def answer(self, request: Received) -> Reply:
        if request.path != PATH or request.method != "POST":
            return _refusal(404, "NotFound", "There is nothing here.")
        if request.query.get("api-version") not in _VERSIONS:
            return _refusal(400, "InvalidApiVersionParameter", f"The api-version is none of {sorted(_VERSIONS)}.")
        try:
            claims = self._tokens.claims(request.bearer or "")
        except TokenError as error:
            return _refusal(401, "InvalidAuthenticationToken", str(error))
        if str(claims["aud"]).rstrip("/") != self.url:
            return _refusal(401, "InvalidAuthenticationTokenAudience", f"The token is for {claims['aud']}.")
        with self._lock:
            return self._answer(str(claims["oid"]), request)

    def _answer(self, principal_id: str, request: Received) -> Reply:
        if self._throttled:
            self._throttled -= 1
            headers = {"Retry-After": self._retry_after} if self._retry_after else {}
            return _refusal(429, "RateLimiting", "Please provide below info when asking for support.", headers)
        try:
            body = request.json()
            self.asked.append(body)
            readable = self._readers.get(principal_id, set())
            seen = [one for one in self._resources.values() if one["subscriptionId"] in readable]
            return Reply(200, _page(run(body["query"], seen), body["query"], body.get("options", {})), _QUOTA)
        except (ValueError, KeyError, TypeError) as error:
            return _refusal(400, "BadRequest", f"Please check the query: {error}")


_QUOTA = {"x-ms-user-quota-remaining": "14", "x-ms-user-quota-resets-after": "00:00:05"}


def _page(found: list[dict[str, Any]], query: str, options: dict[str, Any]) -> dict[str, Any]:
    top = options.get("$top", 100)
    if not 1 <= top <= _MOST:
        raise QueryError(f"$top must be 1 to {_MOST}")
    mark = hashlib.sha256(query.encode()).hexdigest()[:8]
    start = 0
    if token := options.get("$skipToken"):
        held, start = json.loads(base64.b64decode(token))
        if held != mark:
            raise QueryError("the $skipToken is of another query")
    page = found[start : start + top]
    answer: dict[str, Any] = {"totalRecords": len(found), "count": len(page), "facets": [], "data": page}
    # Truncated and without a token is what is not paged, as it shows no `id`.
    more = start + top < len(found)
    answer["resultTruncated"] = "true" if more and not all("id" in one for one in page) else "false"
    if more and answer["resultTruncated"] == "false":
        answer["$skipToken"] = base64.b64encode(json.dumps([mark, start + top]).encode()).decode()
    return answer


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, {"error": {"code": code, "message": message}}, headers or {})
