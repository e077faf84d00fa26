"""How the table client sends: `requests` below the SDK's policies, which sign, try again and follow redirects."""

import os
from typing import Any
from urllib.request import getproxies

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import Retry

# A page of a thousand rows in one piece, where the SDK would take it in many.
_BLOCK_BYTES = 1024 * 1024
# As many as a worker may have threads: a connection over this number is closed after its answer.
_CONNECTIONS = 1000
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class TableTransport(RequestsTransport):  # type: ignore[misc] # exported lazily, without its type
    """The SDK's transport, which reads the bodies that may be asked for again."""

    def __init__(self) -> None:
        super().__init__(session=_session(), connection_data_block_size=_BLOCK_BYTES)

    def send(self, request: Any, **options: Any) -> Any:
        """Send one try of a request."""
        answer = super().send(request, **options)
        # A body that breaks off is then a failed try, and the retry policy above tries again.
        # A refusal is read too: left unread, its connection would be lost.
        if request.method == "GET" or answer.status_code >= 400:
            answer.read()
        return answer


def _session() -> requests.Session:
    session = requests.Session()
    # Without this, `requests` looks for proxies and a netrc file at each request: a tenth of a small one's time.
    session.trust_env = bool(getproxies()) or any(name in os.environ for name in _CERTIFICATES)
    # The SDK alone tries again, and wants to see the error as it was.
    adapter = HTTPAdapter(
        pool_maxsize=_CONNECTIONS, max_retries=Retry(total=False, redirect=False, raise_on_status=False)
    )
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session
