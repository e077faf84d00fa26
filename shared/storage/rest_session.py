"""The session of the lean tables: sends what the SDK's policies made ready, and does nothing of its own.

`requests.Session` looks for cookies, redirects, hooks, a netrc and the environment's proxies around every request; that
costs more than the request. Here the environment is read once for each host, and the rest has no place: the SDK brings
the authorisation, follows redirects and tries again; the table service gives no cookies.
"""

from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import default_headers
from urllib3 import HTTPConnectionPool, Retry

# A page of a thousand rows in one piece, where the SDK would take it in hundreds.
_BLOCK_BYTES = 1024 * 1024


class _Answer(requests.Response):
    """An answer whose body is read in larger pieces than `requests` would."""

    _whole = False

    @property
    def content(self) -> bytes | Any:
        if not self._whole:
            self._content = b"".join(self.iter_content(_BLOCK_BYTES))
            self._whole = True
        return super().content


class _Adapter(HTTPAdapter):
    """Remembers the connections of a host, which are else looked up at every request; keeps no cookies."""

    def __init__(self) -> None:
        # As the SDK sets its own up: it alone tries again, and wants to see the error as it was.
        super().__init__(max_retries=Retry(total=False, redirect=False, raise_on_status=False))
        self._connections: dict[tuple[Any, ...], HTTPConnectionPool] = {}

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        scheme, _, rest = (request.url or "").partition("://")
        by = (scheme, rest.partition("/")[0], verify, cert, *(proxies or {}).items())
        connections = self._connections.get(by)
        # One that made room for other hosts' is closed, and has no queue any more.
        if connections is None or connections.pool is None:
            found: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
            connections = self._connections[by] = found
        return connections

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        answer = _Answer()
        answer.status_code, answer.reason = resp.status, resp.reason
        answer.headers = CaseInsensitiveDict(resp.headers)
        answer.url, answer.request, answer.raw = req.url or "", req, resp
        return answer


class RestSession(requests.Session):
    """What `RequestsTransport` asks of a session, and no more. Good for several threads, as the SDK's own is."""

    def __init__(self) -> None:
        super().__init__()
        self._environment: dict[str, dict[str, Any]] = {}
        self._headers = dict(default_headers())
        self._adapter = _Adapter()
        for scheme in ("https://", "http://"):
            self.mount(scheme, self._adapter)

    def request(  # type: ignore[override] # what the SDK's transport sends along, and nothing else
        self,
        method: str,
        url: str,
        *,
        headers: Any,
        data: bytes | None,
        timeout: Any,
        verify: Any,
        cert: Any,
        proxies: Any = None,
        **_others: Any,
    ) -> requests.Response:
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.body = method, url, data
        prepared.headers = CaseInsensitiveDict({**self._headers, **headers})
        settings = self._settings(url, proxies, verify, cert)
        # As a stream, whatever is asked for: what is read is read here.
        answer = self._adapter.send(prepared, stream=True, timeout=timeout, **settings)
        # What is asked for and breaks off is a failed try for the SDK's policies, which are around this, and is tried
        # again. And a refusal that is tried again would be left unread, and its connection with it.
        if method == "GET" or answer.status_code >= 400:
            answer.content  # noqa: B018 - reading it is what is asked for
        return answer

    def _settings(self, url: str, proxies: Any, verify: Any, cert: Any) -> dict[str, Any]:
        if proxies:
            return self._merged(url, proxies, verify, cert)
        host = urlsplit(url).netloc
        if host not in self._environment:
            self._environment[host] = self._merged(url, None, verify, cert)
        return self._environment[host]

    def _merged(self, url: str, proxies: Any, verify: Any, cert: Any) -> dict[str, Any]:
        settings = dict(self.merge_environment_settings(url, proxies or {}, None, verify, cert))
        del settings["stream"]
        return settings


def rest_transport() -> RequestsTransport:
    """The SDK's own transport over such a session."""
    return RequestsTransport(session=RestSession(), connection_data_block_size=_BLOCK_BYTES)
