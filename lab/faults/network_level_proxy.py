"""A proxy on loopback that spoils HTTP on the network, from a seed: real sockets, real client libraries.

It takes one request, may ask its upstream for its answer, and then answers, or not: connections that are reset before
or after the request took place, silence, 429 and 503 with and without Retry-After, answers that come slowly, break off
in the middle, or are nonsense. What else can go wrong is the upstream's own (`network_level_services`).
"""

import random
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from lab.emulators.ports import LOOPBACK
from lab.faults.network_level_services import HOP_BY_HOP, ForwardedService, ProxiedRequest, Upstream

KINDS = (
    "reset before",
    "reset after",
    "silent before",
    "silent after",
    "429",
    "429 Retry-After",
    "503",
    "503 Retry-After",
    "503 after",
    "slow",
    "truncated",
    "malformed",
)


class FaultProxy:
    """Stands between a client and its upstream (one that answers, or http://host:port).

    `rate` is the probability that a request is spoilt; 0 and it only passes on. With `tls` it is an HTTPS server, named
    localhost. `name` is what its faults are counted under.
    """

    def __init__(
        self,
        upstream: Upstream | str,
        *,
        seed: int,
        rate: float = 0.0,
        silent_seconds: float = 1.0,
        name: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.upstream: Upstream = ForwardedService(upstream) if isinstance(upstream, str) else upstream
        self.rate = rate
        self.silent_seconds = silent_seconds
        self.injected: Counter[str] = Counter()
        self.requests = 0
        self._name = f"{name} " if name else ""
        self._rng = random.Random(f"wire {name} {seed}" if name else f"wire {seed}")
        self._tls = tls
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._server = _Server(self, self._tls)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = int(self._server.server_address[1])
        return f"https://localhost:{port}" if self._tls else f"http://{LOOPBACK}:{port}"

    def choose(self, asked: ProxiedRequest) -> str:
        """What happens to this request; nothing when it is empty."""
        with self._lock:
            self.requests += 1
            if self._rng.random() >= self.rate:
                return ""
            kinds: Sequence[str] = (*KINDS, *self.upstream.kinds(asked))
            kind = self._rng.choice(kinds)
            self.injected[f"network {self._name}{kind}"] += 1
            return kind


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, proxy: FaultProxy, tls: ssl.SSLContext | None) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.proxy = proxy
        if tls is not None:
            # The handshake belongs to the connection's own thread: one silent client must not hold up the others.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was spoilt on purpose is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's name for it
        """Nothing: the proxy counts."""

    def _serve(self) -> None:
        assert isinstance(self.server, _Server)
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = ProxiedRequest(self.command, self.path, dict(self.headers.items()), body, proxy.url)
        kind = proxy.choose(asked)
        if kind == "reset before":
            self._reset()
            return
        if kind == "silent before":
            time.sleep(proxy.silent_seconds)
            self._reset()
            return
        if kind in {"429", "429 Retry-After", "503", "503 Retry-After"}:
            self._refuse(int(kind[:3]), "Retry-After" in kind)
            return
        status, headers, content = proxy.upstream.answer(asked, kind)
        if kind == "slow":
            time.sleep(proxy.silent_seconds / 4)
        elif kind == "silent after":
            time.sleep(proxy.silent_seconds)
        if kind in {"reset after", "silent after"}:
            self._reset()
        elif kind == "503 after":
            self._refuse(503, wait=False)
        elif kind == "malformed":
            # As something on the way passes it on that has lost the rest, and knows nothing of it.
            self._send(status, headers, content[: len(content) // 2])
        else:
            self._send(status, headers, content, broken_off=kind == "truncated" and len(content) > 1)

    do_GET = do_POST = do_PUT = do_DELETE = do_MERGE = do_PATCH = do_HEAD = _serve  # noqa: N815 - the server's names

    def _send(
        self, status: int, headers: Sequence[tuple[str, str]], content: bytes, *, broken_off: bool = False
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if broken_off else content)
        if broken_off:
            self.close_connection = True

    def _refuse(self, status: int, wait: bool) -> None:
        headers = [("Content-Type", "text/html")] + ([("Retry-After", "1")] if wait else [])
        self._send(status, headers, b"<html>The server is busy.</html>")

    def _reset(self) -> None:
        # Linger of zero seconds: closing sends a reset and not an end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
