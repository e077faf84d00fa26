"""A proxy on loopback that spoils HTTP on the wire, from a seed: real sockets, real client libraries.

It takes one request, may ask the far side for its answer, and then answers, or not: connections that are refused or
reset before or after the request took place, silence, 429 and 503 with and without Retry-After, answers that come
slowly, break off in the middle, or are nonsense.
"""

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from lab.ports import LOOPBACK

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
_FAR_SECONDS = 20.0
_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length"})


class FaultProxy:
    """Stands between a client and `target` (http://host:port). `rate` is the chance that a request is spoilt."""

    def __init__(self, target: str, *, seed: int, rate: float, silent_seconds: float = 1.0) -> None:
        self.target = urlsplit(target)
        self.rate = rate
        self.silent_seconds = silent_seconds
        self.injected: Counter[str] = Counter()
        self.requests = 0
        self._chances = random.Random(f"wire {seed}")
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._server = _Server(self)
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
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def choose(self) -> str | None:
        """What happens to the next request."""
        with self._lock:
            self.requests += 1
            if self._chances.random() >= self.rate:
                return None
            kind = self._chances.choice(KINDS)
            self.injected[f"wire {kind}"] += 1
            return kind


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, proxy: FaultProxy) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was spoilt on purpose is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's name for it
        """Nothing: the proxy counts."""

    @property
    def _proxy(self) -> FaultProxy:
        assert isinstance(self.server, _Server)
        return self.server.proxy

    def _serve(self) -> None:
        proxy = self._proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = proxy.choose() or ""
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
        status, headers, content = self._ask(body)
        if kind == "slow":
            time.sleep(proxy.silent_seconds / 4)
        elif kind == "silent after":
            time.sleep(proxy.silent_seconds)
        if kind in {"reset after", "silent after"}:
            self._reset()
        elif kind == "503 after":
            self._refuse(503, wait=False)
        elif kind == "malformed":
            self._send(status, headers, b'{"value": [{"PartitionKey": "acorn-v' if content else b"")
        else:
            self._send(status, headers, content, broken_off=kind == "truncated" and len(content) > 1)

    do_GET = do_POST = do_PUT = do_DELETE = do_MERGE = do_PATCH = do_HEAD = _serve  # noqa: N815 - the server's names

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        target = self._proxy.target
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=_FAR_SECONDS)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes, *, broken_off: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
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
