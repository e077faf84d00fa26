"""What the lab's parts have in common: they start and stop, serve in a thread, or run as a process of their own."""

import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self

ROOT = Path(__file__).resolve().parents[2]


class Startable(ABC):
    """`with part as running:` starts it and stops it."""

    @abstractmethod
    def start(self) -> Self:
        """Returns when it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it and wait for it. Safe to call twice."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Server(Protocol):
    """A server of the standard library's make, or of Werkzeug's."""

    @property
    def server_address(self) -> Any: ...

    def serve_forever(self, poll_interval: float = ...) -> None: ...

    def shutdown(self) -> None: ...

    def server_close(self) -> None: ...


class KeepAliveServer(ThreadingHTTPServer):
    """HTTP/1.1 on a socket: closing it ends the connections that clients keep alive, and the threads on them."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):
            super().shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or a connection that was reset on purpose, is no news."""


def reset(connection: socket.socket) -> NoReturn:
    """Reset a connection; raises ConnectionResetError, as nobody is left to answer."""
    # Linger of zero seconds: closing sends a reset and not an end.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(connection, ssl.SSLSocket):
        # Its TLS keeps the number of the file, which the next connection gets: it must not write there any more.
        connection._sslobj = None  # type: ignore[attr-defined] # noqa: SLF001 - detach leaves it
    os.close(connection.detach())
    raise ConnectionResetError


class ServingThread:
    """A server at work in a thread of this process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ServingProcess:
    """`python -m module`, which prints its URL first and ends when its standard input is closed."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"{module} ended with status {self._process.wait()}")

    @property
    def process_id(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        # Closes its standard input, which ends it.
        self._process.communicate(timeout=20)
