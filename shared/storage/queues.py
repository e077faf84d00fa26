"""The queues of the account: what stands in them, and since when; and single messages.

What a function sends, it sends through its bindings. What a service sends in the middle of its work goes this way.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from shared.bounded_answers import LARGEST_SMALL_ANSWER, bound_answers
from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason

_VERSION = "2021-12-02"
_SECONDS = 5
_AUDIENCE = "https://storage.azure.com/.default"
_INSERTED = re.compile(r"<InsertionTime>([^<]+)</InsertionTime>")
# The emulator's published account: the same on every machine.
_EMULATOR = (
    "AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1"
)


@dataclass(frozen=True)
class QueueState:
    """`messages` is the service's own estimate; `oldest_at` is when the next message was put in, None without one."""

    messages: int
    oldest_at: datetime | None


class Queues:
    """The queues of one storage account. `authorize` gives headers and query parameters that open them."""

    def __init__(self, endpoint: str, authorize: Callable[[], tuple[Mapping[str, str], str]]) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._authorize = authorize

    @classmethod
    def from_identity(cls, endpoint: str, credential: Any) -> "Queues":
        """The queues at the account's address, opened with tokens of the identity."""
        return cls(endpoint, lambda: ({"Authorization": f"Bearer {credential.get_token(_AUDIENCE).token}"}, ""))

    @classmethod
    def from_connection_string(cls, connection_string: str, now: Callable[[], datetime]) -> "Queues":
        """Raises MisconfiguredError when account or key is not in it."""
        parts = _parts(_EMULATOR if "usedevelopmentstorage=true" in connection_string.casefold() else connection_string)
        name, key = parts.get("accountname", ""), parts.get("accountkey", "")
        suffix = parts.get("endpointsuffix", "core.windows.net")
        endpoint = (
            parts.get("queueendpoint") or f"{parts.get('defaultendpointsprotocol', 'https')}://{name}.queue.{suffix}"
        )
        if not name or not key:
            raise MisconfiguredError(
                Reason.SETTING_INVALID,
                "The connection string AzureWebJobsStorage has no account name and key.",
                remedy="Set it as the storage account shows it.",
            )

        def authorize() -> tuple[Mapping[str, str], str]:
            # The blob library signs for all services of the account; the queue library is not needed for a look.
            from azure.storage.blob import AccountSasPermissions, ResourceTypes, Services, generate_account_sas

            return {}, generate_account_sas(
                name,
                key,
                ResourceTypes(service=True, container=True, object=True),
                AccountSasPermissions(read=True, add=True),
                now() + timedelta(minutes=10),
                services=Services(queue=True),
            )

        return cls(endpoint, authorize)

    def state(self, queue: str) -> QueueState | None:
        """What stands in the queue; None when there is no such queue. Raises TryLaterError, MisconfiguredError."""
        answer = self._ask("GET", f"{queue}?comp=metadata")
        if answer.status_code == 404:
            return None
        messages = int(answer.headers.get("x-ms-approximate-messages-count", "0"))
        found = (
            _INSERTED.search(self._ask("GET", f"{queue}/messages?peekonly=true&numofmessages=1").text)
            if messages
            else None
        )
        return QueueState(messages, None if found is None else parsedate_to_datetime(found[1]).astimezone(UTC))

    def send(self, queue: str, text: str, hidden_seconds: float = 0) -> None:
        """Put a message into the queue, as the host's bindings do, to be seen after so many seconds.

        Raises TryLaterError, MisconfiguredError.
        """
        content = base64.b64encode(text.encode()).decode()
        body = f"<QueueMessage><MessageText>{content}</MessageText></QueueMessage>"
        hidden = f"?visibilitytimeout={round(hidden_seconds)}" if hidden_seconds else ""
        if self._ask("POST", f"{queue}/messages{hidden}", body).status_code == 404:
            raise MisconfiguredError(
                Reason.STORAGE_DENIED, f"There is no queue {queue}.", remedy="Create it, or deploy the infrastructure."
            )

    def _ask(self, method: str, path: str, body: str | None = None) -> requests.Response:
        headers, signature = self._authorize()
        separator = "" if not signature else "&" if "?" in path else "?"
        address = f"{self._endpoint}/{path}{separator}{signature}"
        try:
            with requests.Session() as session:
                bound_answers(session, LARGEST_SMALL_ANSWER)
                answer = session.request(
                    method,
                    address,
                    data=body,
                    headers={**headers, "x-ms-version": _VERSION},
                    timeout=_SECONDS,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            # Its text holds the address, and that the signature.
            raise TryLaterError(
                Reason.STORAGE_UNAVAILABLE, f"The queue service did not answer ({type(error).__name__})."
            ) from None
        if answer.status_code in {401, 403}:
            raise MisconfiguredError(
                Reason.STORAGE_DENIED,
                "The storage account refuses access to its queues.",
                remedy="Give the app's identity the role Storage Queue Data Contributor on the storage account.",
            )
        if answer.status_code not in {200, 201, 404}:
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, f"The queue service answered {answer.status_code}.")
        return answer


def _parts(connection_string: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in connection_string.split(";") if "=" in part]
    return {name.strip().casefold(): value.strip() for name, value in pairs}
