"""The two ways by which the product reaches other services, `requests` and botocore: both end in this process.

Above them are the product and its SDKs as they are: their retries act on refusals, and wait by the virtual clock.
"""

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import requests
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.httpsession import URLLib3Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from bench.scale.engine import Engine
from shared import bootstrap

# Status, body and headers.
Answer = tuple[int, bytes, Mapping[str, str]]
# Method, address, headers and body.
Door = Callable[[str, str, Mapping[str, str], bytes], Answer]


def _aws_headers(headers: Mapping[str, str]) -> HTTPHeaders:
    made = HTTPHeaders()
    for name, value in headers.items():
        made[name] = value
    return made


@contextmanager
def opened(engine: Engine, door_of: Callable[[str], Door]) -> Iterator[None]:
    """Within it every request is answered by `door_of` its host, and time is the engine's."""

    def answer(method: str, url: str, headers: Mapping[str, str], body: Any) -> Answer:
        with engine.aside():
            content = body.encode() if isinstance(body, str) else body or b""
            return door_of(urlsplit(url).hostname or "")(method, url, headers, content)

    def send(adapter: HTTPAdapter, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        status, body, headers = answer(request.method or "", request.url or "", request.headers, request.body)
        raw = HTTPResponse(io.BytesIO(body), headers, status, preload_content=False, original_response=None)
        return adapter.build_response(request, raw)

    def send_to_aws(_session: URLLib3Session, request: Any) -> AWSResponse:
        status, body, headers = answer(request.method, request.url, request.headers, request.body)
        raw: Any = HTTPResponse(io.BytesIO(body), headers, status, preload_content=False, decode_content=False)
        return AWSResponse(request.url, status, _aws_headers(headers), raw)

    with (
        patch.object(HTTPAdapter, "send", send),
        patch.object(URLLib3Session, "send", send_to_aws),
        patch.object(time, "sleep", engine.sleep),
        patch.object(time, "monotonic", engine.monotonic),
        patch.object(bootstrap, "now", engine.now),
    ):
        yield
