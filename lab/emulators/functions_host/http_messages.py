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
    """Query parameters, repeated ones joined by commas whatever their case; the real host drops empty ones."""
    joined: dict[str, list[str]] = {}
    first_names: dict[str, str] = {}
    for name, value in parse_qsl(request.rel_url.raw_query_string, keep_blank_values=False):
        joined.setdefault(first_names.setdefault(name.casefold(), name), []).append(value)
    return {name: ",".join(values) for name, values in joined.items()}


async def body_of(request: web.BaseRequest) -> bytes:
    """The body that the function gets: the real host passes on only one whose length was announced."""
    return await request.read() if request.content_length else b""


def request_message(
    request: web.BaseRequest, path: str, route_parameters: Mapping[str, str], body: bytes
) -> HttpRequestMessage:
    """The request as the worker gets it; `path` is the normalized one."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    host = request.headers.get("Host", "localhost")
    query = request.rel_url.raw_query_string
    return HttpRequestMessage(
        method=request.method,
        url=f"http://{host}{path}{f'?{query}' if query else ''}",
        headers={name: ",".join(values) for name, values in headers.items()},
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
        if not (name + value).isascii() or any(character in name + value for character in "\r\n\0"):
            _log.error("The response header %r holds a line break, or what is no ASCII: answered with 500", name)
            return web.Response(status=500)
        headers.add(name, value)
    return web.Response(status=message.status, headers=headers, body=message.body)
