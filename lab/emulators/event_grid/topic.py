"""A topic on loopback: takes published events by HTTP and delivers each to the subscription's endpoint."""

import hmac
import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from lab.emulators.event_grid.report import Report
from lab.emulators.event_grid.simulator import EventGrid
from lab.emulators.ports import LOOPBACK
from lab.emulators.startable import ServingThread, Startable

PATH = "/api/events"
KEY = "lab-only-topic-key"
# The real service's limit on a request that publishes.
LIMIT_BYTES = 1024 * 1024
_KEY_HEADER = "aeg-sas-key"
_REQUIRED = {"eventgrid": ("id", "subject", "eventType", "eventTime", "data"), "cloudevents": ("id", "source", "type")}


@dataclass(frozen=True)
class Refusal:
    """Why a request is not taken, in Event Grid's words."""

    status: int
    code: str
    message: str


class Topic(Startable):
    """Delivers each published request's events, one request after another, in a thread of its own."""

    def __init__(
        self, grid: EventGrid, port: int = 0, *, key: str = KEY, on_report: Callable[[Report], object] | None = None
    ) -> None:
        self._grid = grid
        self._wanted_port = port
        self._key = key
        self._on_report = on_report
        self._serving: ServingThread | None = None
        self._published: queue.Queue[Sequence[Any] | None] = queue.Queue()
        self._delivering: threading.Thread | None = None
        self.events: list[dict[str, Any]] = []  # what became of each, as Report tells it

    def start(self) -> Self:
        self._serving = ServingThread(_Server((LOOPBACK, self._wanted_port), self))
        self._delivering = threading.Thread(target=self._deliver, daemon=True)
        self._delivering.start()
        return self

    def stop(self) -> None:
        """Take no more events, and end after the requests under way."""
        serving, self._serving = self._serving, None
        if serving:
            serving.stop()
            self._grid.stop()
            self._published.put(None)
        if self._delivering:
            self._delivering.join()

    @property
    def url(self) -> str:
        assert self._serving is not None, "the topic is not started"
        return f"http://{LOOPBACK}:{self._serving.port}{PATH}"

    def publish(self, headers: Mapping[str, str], body: bytes) -> Refusal | None:
        """Take the events of one request; None when they are taken."""
        if not hmac.compare_digest(headers.get(_KEY_HEADER, "").encode(), self._key.encode()):
            return Refusal(401, "Unauthorized", f"The request must bear the topic's key in the header {_KEY_HEADER}.")
        if len(body) > LIMIT_BYTES:
            return Refusal(413, "PayloadTooLarge", f"A request may have {LIMIT_BYTES} bytes.")
        try:
            given = json.loads(body)
        except ValueError:
            return Refusal(400, "BadRequest", "The body is not JSON.")
        events = given if isinstance(given, list) else [given]
        schema = self._grid.subscription.schema.value
        for number, event in enumerate(events):
            missing = [name for name in _REQUIRED[schema] if not isinstance(event, dict) or name not in event]
            if missing:
                return Refusal(400, "BadRequest", f"Event {number} has no {', '.join(missing)} ({schema} schema).")
        self._published.put(events)
        return None

    def _deliver(self) -> None:
        while (events := self._published.get()) is not None:
            report = self._grid.deliver(events)
            self.events += report.to_json()["events"]
            if self._on_report:
                self._on_report(report)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], topic: Topic) -> None:
        super().__init__(address, _Handler)
        self.topic = topic


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if urlsplit(self.path).path != PATH:
            self._answer(404, b"")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        refused = self.server.topic.publish(headers, body)
        error = {"error": {"code": refused.code, "message": refused.message}} if refused else None
        self._answer(refused.status if refused else 200, json.dumps(error).encode() if error else b"")

    def do_GET(self) -> None:
        """/_lab/events: what became of each event."""
        assert isinstance(self.server, _Server)
        known = urlsplit(self.path).path == "/_lab/events"
        self._answer(200 if known else 404, json.dumps(self.server.topic.events).encode() if known else b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing: the reports have it."""
