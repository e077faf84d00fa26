"""A small HTTP server that answers as scripted and remembers what it was sent."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass(frozen=True)
class Reply:
    """What to answer, after so many seconds."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after_seconds: float = 0.0


Script = Callable[[Received, int], Reply]


class Endpoint:
    """`script` gets each request and its number, from 0."""

    def __init__(self, script: Script) -> None:
        self.received: list[Received] = []
        self._script = script
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                received = Received(
                    self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length)
                )
                reply = endpoint._take(received)
                time.sleep(reply.after_seconds)
                try:
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the sender gave up waiting, which some tests want

            do_POST = do_OPTIONS = do_GET = _answer  # noqa: N815  named by http.server

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  named by http.server
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _take(self, received: Received) -> Reply:
        with self._lock:
            number = len(self.received)
            self.received.append(received)
        return self._script(received, number)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/events/key-vault"

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.received]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def serving(script: Script | int | list[int]) -> Iterator[Endpoint]:
    """An endpoint that always answers one status, a row of statuses (the last one repeats), or as a function says."""
    if isinstance(script, int):
        script = [script]
    if isinstance(script, list):
        statuses = script

        def answer(_received: Received, number: int) -> Reply:
            return Reply(statuses[min(number, len(statuses) - 1)])

        made = Endpoint(answer)
    else:
        made = Endpoint(script)
    try:
        yield made
    finally:
        made.close()


def validating(_received: Received, _number: int) -> Reply:
    """An endpoint that accepts both handshakes and every delivery."""
    if _received.method == "OPTIONS":
        return Reply(200, headers={"WebHook-Allowed-Origin": "eventgrid.azure.net", "WebHook-Allowed-Rate": "120"})
    if _received.headers.get("aeg-event-type") == "SubscriptionValidation":
        code = _received.body[0]["data"]["validationCode"]
        return Reply(200, json.dumps({"validationResponse": code}).encode())
    return Reply(200)
