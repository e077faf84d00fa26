"""The vaults and managed HSMs that an identity sees, listed by Azure Resource Graph. The role is Reader.

Source: Microsoft's REST reference, Azure Resource Graph, Resources; its guidance for throttled requests.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import requests

from shared.bounded_answers import bound_answers
from shared.errors import MisconfiguredError, TryLaterError
from shared.hosts import AllowedHosts, Service
from shared.outbound import Outbound
from shared.reasons import Reason
from shared.tickets.inbound.vault_discovery import READER_REMEDY, VAULTS_A_PAGE, ListedVault, ListedVaults
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.identities import StoreIdentity

_PATH = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
_VAULTS = "resources | where type in~ ('microsoft.keyvault/vaults', 'microsoft.keyvault/managedhsms')"
# Only what has an `id` is paged. In the order of names, a page's vaults stand close together in the table of vaults.
_SHOWN = "| project id, tags, name = tolower(name) | order by name asc"
# A resource has at most 50 tags, some 40 KB of text, and a page a thousand resources.
_LARGEST_ANSWER = 48 * 1024 * 1024
_SECONDS = 30
_PASSING = frozenset({408, 429})
_SERVER_ERRORS = 500


class ResourceGraph:
    """`address` is the cloud's Azure Resource Manager; `token` gives a token for it."""

    def __init__(self, address: str, session: Callable[[], requests.Session], token: Callable[[], str]) -> None:
        self._address = address
        self._session = session
        self._token = token

    def vaults(self, page_token: str, names: Sequence[str] = ()) -> ListedVaults:
        """A page of all that the identity sees, or of those of these names, which are lower-case names of vaults.

        Raises TryLaterError for what may pass, MisconfiguredError for what the answer refuses.
        """
        quoted = ", ".join(f"'{name}'" for name in names)
        query = f"{_VAULTS}{f' | where name in~ ({quoted})' if names else ''} {_SHOWN}"
        options: dict[str, Any] = {"resultFormat": "objectArray", "$top": VAULTS_A_PAGE}
        if page_token:
            options["$skipToken"] = page_token
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        body = json.dumps({"query": query, "options": options})
        try:
            with self._session() as session:
                bound_answers(session, _LARGEST_ANSWER)
                answer = session.post(f"{self._address}{_PATH}", data=body, headers=headers, timeout=_SECONDS)
        except requests.RequestException as error:
            raise TryLaterError(
                Reason.VAULTS_NOT_LISTED, f"Azure Resource Graph did not answer ({type(error).__name__})."
            ) from None
        return _parsed(answer)


def resource_graph(
    store_name: str, store: CredentialStore, identity: StoreIdentity, outbound: Outbound, hosts: AllowedHosts
) -> ResourceGraph:
    """As the identity of a store asks it. Raises MisconfiguredError before anything is sent."""
    address = store.resource_manager_url
    if address is None:
        raise MisconfiguredError(
            Reason.VAULTS_NOT_LISTED,
            f"No Azure Resource Manager is known for the cloud of the credential store {store_name}.",
            remedy="Name it in resource_manager of the store.",
        )
    hosts.check(f"credential-stores/{store_name}", store.host_uses())
    return ResourceGraph(
        address,
        lambda: outbound.session(hosts.names(Service.RESOURCE_MANAGER)),
        lambda: identity.token_for(f"{address}/.default").token,
    )


def _parsed(answer: requests.Response) -> ListedVaults:
    status = answer.status_code
    message = f"Azure Resource Graph did not list the vaults (status {status})."
    if status in _PASSING or status >= _SERVER_ERRORS:
        raise TryLaterError(Reason.VAULTS_NOT_LISTED, message, retry_after=_retry_after(answer))
    if status != requests.codes.ok:
        raise MisconfiguredError(Reason.VAULTS_NOT_LISTED, message, remedy=READER_REMEDY)
    try:
        found = answer.json()
        vaults = [ListedVault(str(one["id"]).casefold(), _tags(one.get("tags"))) for one in found["data"]]
        return ListedVaults(vaults, str(found.get("$skipToken") or ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MisconfiguredError(
            Reason.VAULTS_NOT_LISTED,
            "What answered in place of Azure Resource Graph lists no vaults.",
            remedy="Check resource_manager of the credential store, and the way to it.",
        ) from None


def _tags(tags: Any) -> dict[str, str]:
    """Names of tags in lower case: to Azure capitals do not matter there."""
    return {name.casefold(): str(value) for name, value in (tags or {}).items()}


def _retry_after(answer: requests.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) <= len("86400") else None
