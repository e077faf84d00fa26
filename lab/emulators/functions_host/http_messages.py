"""HTTP requests and responses between aiohttp and a worker, as the real host converts them."""

import logging
from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict

from lab.emulators.functions_host.worker import HttpRequestMessage, HttpResponseMessage, JsonText, Output

_log = logging.getLogger("lab.emulators.functions_host")

# The server works these out itself.
_OWN_HEADERS = ("content-length", "transfer-encoding", "connection")


def query_of(request: web.BaseRequest) -> dict[str, str]:
    """Query parameters, repeated ones joined by commas; the real host drops empty ones."""
    joined: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.rel_url.raw_query_string, keep_blank_values=False):
        joined.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in joined.items()}


def request_message(request: web.BaseRequest, route_parameters: Mapping[str, str], body: bytes) -> HttpRequestMessage:
    """The request as the worker gets it."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        if value:
            headers.setdefault(name.lower(), []).append(value)
    host = request.headers.get("Host", "localhost")
    return HttpRequestMessage(
        method=request.method,
        url=f"http://{host}{request.raw_path}",
        headers={name: ("; " if name == "cookie" else ",").join(values) for name, values in headers.items()},
        query=query_of(request),
        route_parameters=route_parameters,
        body=body,
    )


def response_of(value: Output | None) -> web.Response:
    """The answer for what a function returned; 500 for what cannot be answered."""
    match value:
        case HttpResponseMessage():
            return _response(value)
        case None:
            return web.Response(status=204)
        case bytes():
            return web.Response(body=value, content_type="application/octet-stream")
        case str():
            return web.Response(text=value)
        case JsonText():
            return web.Response(text=value.text, content_type="application/json", charset="utf-8")


def _response(message: HttpResponseMessage) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in [*message.headers, *(("Set-Cookie", each) for each in message.cookies)]:
        if name.lower() in _OWN_HEADERS:
            continue
        if any(character in name + value for character in "\r\n\0"):
            _log.error("The response header %r holds a line break: answered with 500", name)
            return web.Response(status=500)
        headers.add(name, value)
    if not 200 <= message.status <= 599:
        _log.error("The response status %s is not one: answered with 500", message.status)
        return web.Response(status=500)
    return web.Response(status=message.status, headers=headers, body=message.body)
