"""How the table client sends: `requests` below the SDK's policies, which sign, try again and follow redirects.

A body is read with its answer: one that breaks off is then a failed try, and the policies try again.
"""

import os
from urllib.request import getproxies

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from shared.bounded_answers import bound_answers

# A thousand rows of 64 KiB. The service itself ends a page much earlier.
LARGEST_PAGE = 64 * 1024 * 1024
# As many as a worker may have threads: a connection over this number is closed after its answer.
_CONNECTIONS = 1000
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def table_transport() -> RequestsTransport:
    """The SDK's transport, on a session of the product's own."""
    certificates = next((os.environ[name] for name in _CERTIFICATES if os.environ.get(name)), True)
    # The SDK passes its own timeouts on to no transport that it is given.
    return RequestsTransport(session=_session(), connection_timeout=4, read_timeout=15, connection_verify=certificates)


def _session() -> requests.Session:
    session = requests.Session()
    # The SDK says who calls and what it takes; an answer that is not compressed is as large as it says.
    session.headers.clear()
    # Without this, `requests` looks for proxies and a netrc file at each request: a tenth of a small one's time.
    session.trust_env = bool(getproxies())
    # The SDK alone tries again, and wants to see the error as it was.
    adapter = HTTPAdapter(
        pool_maxsize=_CONNECTIONS, max_retries=Retry(total=False, redirect=False, raise_on_status=False)
    )
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    bound_answers(session, LARGEST_PAGE)
    return session
