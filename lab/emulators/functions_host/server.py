"""The HTTP side: routes to functions, keys, limits. Administration is in admin.py."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote

from aiohttp import web

from lab.emulators.functions_host.configuration import HostConfiguration
from lab.emulators.functions_host.errors import PortTakenError
from lab.emulators.functions_host.functions import App, HostedFunction, HttpTrigger
from lab.emulators.functions_host.http_messages import query_of, request_message, response_of
from lab.emulators.functions_host.invoker import Call, Invoker
from lab.emulators.functions_host.keys import Keys

_log = logging.getLogger("lab.emulators.functions_host")

# The real host's limit, 100 MB, with the setting that changes it.
_BODY_LIMIT_SETTING = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
_BODY_LIMIT = 104_857_600
# Kestrel takes 32 KiB of headers in all; a client principal can be long.
_HEADER_LIMIT = 32_768

Admin = Callable[[web.BaseRequest, str], Awaitable[web.Response]]


def open_port(port: int, address: str) -> socket.socket:
    """Bind the port before anything slow happens. Port 0 takes any free one. Raises PortTakenError."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        # Two sockets may share a bound port; only one can listen, so the clash shows here at the latest.
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise PortTakenError(
            f"Port {port} is already in use on {address}: stop the other program, or choose another with --port "
            "(--port 0 takes any free one)"
        ) from error
    return listening


def given_key(request: web.BaseRequest) -> str | None:
    """The key that a caller shows: the header first, then ?code=."""
    from_header = request.headers.get("x-functions-key")
    if from_header:
        return from_header
    return next((value for name, value in query_of(request).items() if name.casefold() == "code"), None)


class Server:
    """Serves the app's HTTP functions on a socket that is bound already."""

    def __init__(self, app: App, configuration: HostConfiguration, keys: Keys, invoker: Invoker, admin: Admin) -> None:
        self._routes = _routes(app)
        self._prefix = configuration.route_prefix
        self._keys = keys
        self._invoker = invoker
        self._admin = admin
        self._is_stopping = False
        self._body_limit = int(os.environ.get(_BODY_LIMIT_SETTING) or _BODY_LIMIT)
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None

    async def start(self, listening: socket.socket) -> None:
        application = web.Application(client_max_size=self._body_limit)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            application,
            handle_signals=False,
            access_log=None,
            # A compressed body is for the function to unpack, as in the real host.
            auto_decompress=False,
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
            shutdown_timeout=0.5,
        )
        await self._runner.setup()
        self._site = web.SockSite(self._runner, listening)
        await self._site.start()

    async def stop(self) -> None:
        """Take no new connections, and refuse new requests on old ones."""
        self._is_stopping = True
        if self._site:
            await self._site.stop()

    async def finish(self) -> None:
        """Close every connection."""
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._is_stopping:
            return web.Response(status=503, headers={"Connection": "close"})
        path = request.rel_url.raw_path
        first, _, rest = path.lstrip("/").partition("/")
        if first.casefold() == "admin":
            return await self._admin(request, unquote(rest))
        if path == "/" and self._prefix:
            return web.Response(text="The lab's functions host is up and running.\n")
        return await self._call(request, path)

    async def _call(self, request: web.Request, path: str) -> web.StreamResponse:
        # As the real host: a known route with another method is 404 too, HEAD on a GET route included.
        inner = _without_prefix(path, self._prefix)
        if inner is None:
            return web.Response(status=404)
        for function, trigger in self._routes:
            if trigger.methods and request.method not in trigger.methods:
                continue
            parameters = trigger.route.match(inner)
            if parameters is None:
                continue
            if not self._keys.allows(trigger.auth_level, function.name, given_key(request)):
                return web.Response(status=401)
            body = await request.read()  # aiohttp answers 413 above the limit
            result = await self._invoker.invoke(
                Call(
                    function,
                    "This function was programmatically called via the host APIs.",
                    request_message(request, parameters, body),
                    {},
                    trace_parent=request.headers.get("traceparent", ""),
                    trace_state=request.headers.get("tracestate", ""),
                )
            )
            if result.failure:
                return web.Response(status=500)
            returned = result.return_value
            if function.http_output and function.http_output != "$return":
                returned = result.outputs.get(function.http_output)
            return response_of(returned)
        return web.Response(status=404)


def _routes(app: App) -> Sequence[tuple[HostedFunction, HttpTrigger]]:
    found = [(each, each.trigger) for each in app.functions if isinstance(each.trigger, HttpTrigger)]
    return sorted(found, key=lambda pair: pair[1].route.precedence())


def _without_prefix(path: str, prefix: str) -> str | None:
    inner = path.lstrip("/")
    if not prefix:
        return inner
    head, rest = inner[: len(prefix)], inner[len(prefix) :]
    return rest.lstrip("/") if head.casefold() == prefix.casefold() and rest[:1] in ("", "/") else None
