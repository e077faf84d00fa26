"""A server of the attacker's: over TLS, on loopback, it keeps what it is sent and sends it back."""

import http.server
import json
import ssl
import threading
from types import TracebackType
from typing import Any, Self

from lab.emulators.ports import LOOPBACK


class EchoServer:
    """Use as a context manager. `heard` has the headers of every request."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.heard: list[dict[str, str]] = []
        heard = self.heard

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = dict(self.headers.items())
                heard.append(headers)
                user = {"id": "usr_1", "state": "active", "email": "a@evil.example", "name": str(headers)}
                body = json.dumps({"collection": [user], "more_results": False}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
