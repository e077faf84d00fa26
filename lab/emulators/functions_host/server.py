"""The HTTP side: routes to functions, keys, limits. Administration is in admin.py."""

import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import unquote

from aiohttp import web

from lab.emulators.functions_host import limits
from lab.emulators.functions_host.configuration import HostConfiguration
from lab.emulators.functions_host.errors import PortTakenError
from lab.emulators.functions_host.functions import App, HostedFunction, HttpTrigger
from lab.emulators.functions_host.http_messages import body_of, query_of, request_message, response_of
from lab.emulators.functions_host.invoker import Call, Invoker
from lab.emulators.functions_host.keys import Keys
from lab.emulators.functions_host.paths import normalized
from lab.emulators.functions_host.worker import InvocationResult

_log = logging.getLogger("lab.emulators.functions_host")

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
    """The key that a caller shows: the header, even an empty one, then ?code=."""
    from_header = request.headers.get("x-functions-key")
    if from_header is not None:
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
        self._body_limit = limits.body_limit()
        self._custom_headers = configuration.custom_headers
        self._most_outstanding = configuration.max_outstanding_requests
        self._outstanding = 0
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
            max_line_size=limits.PARSER_BYTES,
            max_field_size=limits.PARSER_BYTES,
            max_headers=limits.PARSER_HEADERS,
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
        answer = await self._unadorned(request)
        for name, value in self._custom_headers.items():
            answer.headers.setdefault(name, value)
        return answer

    async def _unadorned(self, request: web.Request) -> web.StreamResponse:
        if self._is_stopping:
            return web.Response(status=503, headers={"Connection": "close"})
        refused = limits.refusal(request, self._body_limit)
        if refused:
            return web.Response(status=refused, headers={"Connection": "close"})
        path = normalized(request.rel_url.raw_path)
        if path is None:
            return web.Response(status=404)
        first, _, rest = path.lstrip("/").partition("/")
        match first.casefold():
            case "admin":
                return await self._admin(request, unquote(rest))
            case "runtime":
                # No extension serves anything here; whoever has no key is not told so.
                return web.Response(status=404 if self._keys.level(given_key(request)) == "admin" else 401)
            case "" if self._prefix:
                return web.Response(text="The lab's functions host is up and running.\n")
        return await self._call(request, path)

    async def _call(self, request: web.Request, path: str) -> web.StreamResponse:
        # As the real host: a known route with another method is 404 too, HEAD on a GET route included.
        inner = _without_prefix(path, self._prefix)
        found = None if inner is None else self._find(request.method, inner)
        if found is None:
            return web.Response(status=404)
        function, trigger, parameters = found
        if not self._keys.allows(trigger.auth_level, function.name, given_key(request)):
            return web.Response(status=401)
        if self._most_outstanding is not None and self._outstanding >= self._most_outstanding:
            return web.Response(status=429)
        self._outstanding += 1
        try:
            result = await self._invoke(request, path, function, parameters)
        finally:
            self._outstanding -= 1
        if result.failure:
            return web.Response(status=500)
        returned = result.return_value
        if function.http_output and function.http_output != "$return":
            returned = result.outputs.get(function.http_output)
        return response_of(returned)

    def _find(self, method: str, path: str) -> tuple[HostedFunction, HttpTrigger, Mapping[str, str]] | None:
        for function, trigger in self._routes:
            if trigger.methods and method not in trigger.methods:
                continue
            parameters = trigger.route.match(path)
            if parameters is not None:
                return function, trigger, parameters
        return None

    async def _invoke(
        self, request: web.Request, path: str, function: HostedFunction, parameters: Mapping[str, str]
    ) -> InvocationResult:
        return await self._invoker.invoke(
            Call(
                function,
                "This function was programmatically called via the host APIs.",
                request_message(request, path, parameters, await body_of(request)),
                {},
                trace_parent=request.headers.get("traceparent", ""),
                trace_state=request.headers.get("tracestate", ""),
            )
        )


def _routes(app: App) -> Sequence[tuple[HostedFunction, HttpTrigger]]:
    found = [(each, each.trigger) for each in app.functions if isinstance(each.trigger, HttpTrigger)]
    return sorted(found, key=lambda pair: pair[1].route.precedence())


def _without_prefix(path: str, prefix: str) -> str | None:
    inner = path.lstrip("/")
    if not prefix:
        return inner
    head, rest = inner[: len(prefix)], inner[len(prefix) :]
    return rest.lstrip("/") if head.casefold() == prefix.casefold() and rest[:1] in ("", "/") else None
