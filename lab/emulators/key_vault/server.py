"""Serves the lab's services on loopback from one event loop in a thread of its own."""

import asyncio
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from aiohttp import web

from lab.emulators.key_vault.exchange import Received, Reply, Service
from lab.emulators.ports import LOOPBACK, PortTakenError

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
# Closing with a linger time of nought makes the kernel send a reset in place of an orderly end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Servers:
    """Any number of listeners; `close` ends them all and drops the connections that clients keep open."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._runners: dict[int, web.ServerRunner] = {}
        self._thread = threading.Thread(target=self._run, name="lab-vault", daemon=True)
        self._thread.start()

    def listen(self, service: Service, *, purpose: str, port: int = 0, tls: ssl.SSLContext | None = None) -> int:
        """The port on which the service now answers; raises PortTakenError when the wanted one is in use."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
            listener.listen(256)
        except OSError as error:
            listener.close()
            raise PortTakenError(port, purpose) from error
        bound: int = listener.getsockname()[1]
        self._runners[bound] = self._wait(_serve(service, listener, tls))
        return bound

    def stop_listening(self, port: int) -> None:
        """Close one listener and its connections, as when a vault is out of reach."""
        runner = self._runners.pop(port, None)
        if runner is not None:
            self._wait(_end(runner))

    def close(self) -> None:
        if self._loop.is_closed():
            return
        for port in list(self._runners):
            self.stop_listening(port)
        self._wait(_cancel_the_rest())
        self._wait(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)


async def _serve(service: Service, listener: socket.socket, tls: ssl.SSLContext | None) -> web.ServerRunner:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await _handle(service, request)

    # A hanging request must not hold up the end of the lab.
    runner = web.ServerRunner(web.Server(handle, keepalive_timeout=75, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=tls).start()
    return runner


async def _end(runner: web.ServerRunner) -> None:
    # Cut and not closed: an orderly end of TLS waits for the client, which keeps its idle connections for later.
    for connection in runner.server.connections if runner.server else []:
        if connection.transport is not None:
            connection.transport.abort()
    await runner.cleanup()
    await asyncio.sleep(0)  # the loop closes the sockets of what was cut in its next round


async def _cancel_the_rest() -> None:
    # A request that still hangs after its client has left belongs to no connection any more.
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


async def _handle(service: Service, request: web.BaseRequest) -> web.StreamResponse:
    received = Received(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.read(),
        client_address=request.remote or LOOPBACK,
    )
    # Off the loop: a control request may open or close listeners, which this same loop has to do.
    reply = await asyncio.to_thread(service.answer, received)
    if reply.after_seconds:
        await _within(request, asyncio.sleep(reply.after_seconds))
    if reply.abort:
        _reset(request)
    return _response(reply)


async def _within(request: web.BaseRequest, pause: Awaitable[None]) -> None:
    try:
        await pause
    except asyncio.CancelledError:
        # The lab is stopping, or the client gave up waiting.
        _reset(request)
        raise


def _reset(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _response(reply: Reply) -> web.Response:
    headers = {"Cache-Control": "no-cache", "Pragma": "no-cache", **reply.headers}
    if reply.body is not None:
        headers["Content-Type"] = reply.content_type
    return web.Response(status=reply.status, body=reply.encoded, headers=headers)
