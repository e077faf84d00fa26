"""Where `./lab/do` reaches a running lab: a loopback port that takes the words of an experiment and answers lines."""

import hmac
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from lab.emulators.ports import LOOPBACK
from lab.emulators.startable import ServingThread, Startable
from lab.experiments.experiment import ExperimentError

FAILED = "! "
_LONGEST = 10_000


class Door(Startable):
    """Only who can read the lab's folder knows its key: a page in a browser cannot come in."""

    def __init__(self, port: int, carry_out: Callable[[Sequence[str]], Iterator[str]]) -> None:
        self._port = port
        self._carry_out = carry_out
        self._serving: ServingThread | None = None
        self.key = secrets.token_urlsafe(32)

    def start(self) -> Self:
        self._serving = ServingThread(_Server((LOOPBACK, self._port), self.key, self._carry_out))
        return self

    def stop(self) -> None:
        serving, self._serving = self._serving, None
        if serving:
            serving.stop()

    @property
    def url(self) -> str:
        assert self._serving is not None, "the door is closed"
        return f"http://{LOOPBACK}:{self._serving.port}/"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], key: str, carry_out: Callable[[Sequence[str]], Iterator[str]]) -> None:
        super().__init__(address, _Handler)
        self.key = key
        self.carry_out = carry_out


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        given = self.headers.get("X-Lab-Key", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, self.server.key.encode()):
            self.send_error(401)
            return
        try:
            length = int(self.headers.get("Content-Length") or 0)
            words = json.loads(self.rfile.read(length)) if 0 < length <= _LONGEST else None
        except ValueError:
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            self.send_error(400)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        try:
            for line in self.server.carry_out(words):
                self._say(line)
        except ExperimentError as error:
            self._say(f"{FAILED}{error}")

    def _say(self, line: str) -> None:
        # Whoever asked may have gone: the work goes on, and the screen stays as it is.
        with suppress(ConnectionError):
            self.wfile.write(f"{line}\n".encode())
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: whoever asked sees the answer."""
