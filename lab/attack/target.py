"""The desk that is attacked: the lab's own, on loopback, and never more requests than a bound."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lab.desk import WEBHOOK_PASSWORD, WEBHOOK_USER, Desk
from lab.emulators.event_grid import KeyVaultEvent, Schema, basic_authorization
from lab.emulators.ports import LOOPBACK

MOST_REQUESTS = 600
# For one request. What takes longer counts as broken.
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """What the desk said: status, body as text, headers, and how long it took."""

    status: int
    text: str
    headers: Mapping[str, str]
    seconds: float

    @property
    def reason(self) -> str:
        """The stable reason of a refusal; empty without one."""
        try:
            return str(json.loads(self.text).get("reason", ""))
        except (ValueError, AttributeError):
            return ""

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".rstrip()


class TooManyRequestsError(RuntimeError):
    """An attack would go on and on: the harness ends it."""


class Target:
    """The desk, as a stranger and as somebody who holds something see it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._requests = 0

    def as_stranger(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> Answer:
        """One request with nothing but what is given."""
        parts = urlsplit(self.desk.url)
        if parts.hostname != LOOPBACK:
            raise TooManyRequestsError(f"{self.desk.url} is not on loopback: no request goes there")
        self._count()
        began = time.monotonic()
        connection = http.client.HTTPConnection(LOOPBACK, parts.port or 80, timeout=PATIENCE_SECONDS)
        try:
            content: Any = iter([body]) if chunked and body is not None else body
            connection.request(method, path, content, dict(headers or {}), encode_chunked=chunked)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            return Answer(answer.status, text, dict(answer.getheaders()), time.monotonic() - began)
        finally:
            connection.close()

    def with_webhook_credential(self, *events: KeyVaultEvent, chunked: bool = False) -> Answer:
        """A delivery as Event Grid makes it, with the credential of the lab's webhook."""
        body = json.dumps([event.to_json(Schema.EVENT_GRID) for event in events]).encode()
        headers = {
            "Content-Type": "application/json",
            "aeg-event-type": "Notification",
            "aeg-subscription-name": "DESKBRIDGE-LAB",
            "Authorization": basic_authorization(WEBHOOK_USER, WEBHOOK_PASSWORD),
        }
        return self.as_stranger("POST", "/api/events/key-vault", body, headers, chunked=chunked)

    def as_administrator(
        self,
        method: str,
        path: str,
        content: Any = None,
        *,
        content_type: str = "application/json",
        chunked: bool = False,
    ) -> Answer:
        """One request of somebody who may write everything. `content` is JSON, or a body as bytes."""
        body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
        return self.as_stranger(
            method, path, body, {"Content-Type": content_type, **self.desk.credential}, chunked=chunked
        )

    def put(self, kind: str, name: str, document: Mapping[str, Any]) -> Answer:
        """Write a settings document that is not there yet."""
        return self.as_administrator("PUT", f"/api/v1/settings/{kind}/{name}", document)

    @contextmanager
    def document(self, kind: str, name: str, document: Mapping[str, Any]) -> Iterator[Answer]:
        """A settings document for as long as an attack takes."""
        answer = self.put(kind, name, document)
        try:
            yield answer
        finally:
            if answer.status < http.client.BAD_REQUEST:
                self._count()
                self.desk.call("DELETE", f"/api/v1/settings/{kind}/{name}", headers={"If-Match": "*"})

    def log_lines(self) -> list[str]:
        """What the desk's host has logged."""
        return (self.desk.folder / "host.log").read_text("utf-8").splitlines()

    def _count(self) -> None:
        self._requests += 1
        if self._requests > MOST_REQUESTS:
            raise TooManyRequestsError(f"more than {MOST_REQUESTS} requests")
