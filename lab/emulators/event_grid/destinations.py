"""Where a delivery goes: a webhook over HTTP, or a storage queue. Both answer in the same terms."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import requests
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError
from azure.storage.queue import QueueClient

from lab.emulators.event_grid.headers import notification_headers
from lab.emulators.event_grid.retries import NoAnswer

if TYPE_CHECKING:
    from lab.emulators.event_grid.subscription import EventSubscription

_BODY_SHOWN: Final = 2000
QUEUE_MESSAGE_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back: an HTTP status, or why there was none, and the (real) seconds it took."""

    result: int | NoAnswer
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    @property
    def status(self) -> int | None:
        return None if isinstance(self.result, NoAnswer) else self.result


class Destination(Protocol):
    """Takes deliveries; shared between threads, closed by who made it."""

    def deliver(self, events: Sequence[Any], *, earlier_attempts: int) -> Answer: ...

    def close(self) -> None: ...


def compact(body: Any) -> bytes:
    """JSON as it travels: without spaces, in UTF-8."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


class Webhook:
    """An HTTP endpoint, called as Event Grid calls it: no redirects, no proxy, an answer within the timeout or none."""

    def __init__(self, subscription: EventSubscription) -> None:
        self._subscription = subscription
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def deliver(self, events: Sequence[Any], *, earlier_attempts: int) -> Answer:
        """POST the events: one CloudEvent as an object, everything else as an array."""
        single = events[0] if len(events) == 1 and isinstance(events[0], dict) else {}
        event_id = single.get("id")
        headers = notification_headers(
            self._subscription,
            earlier_attempts=earlier_attempts,
            event_id=event_id if isinstance(event_id, str) else None,
        )
        return self.send("POST", headers, self._subscription.delivery_body(events))

    def send(self, method: str, headers: Mapping[str, str], body: Any = None) -> Answer:
        """Send `body` as JSON (None sends none) and wait for the answer. A failing network is an answer too."""
        timeout = self._subscription.response_timeout_seconds
        started = time.monotonic()
        try:
            with self._session().request(
                method,
                self._subscription.endpoint,
                data=None if body is None else compact(body),
                headers=dict(headers),
                timeout=timeout,
                allow_redirects=False,
                verify=self._subscription.ca_file or True,
                stream=True,
            ) as response:
                shown = _read(response, until=started + timeout)
                seconds = time.monotonic() - started
                # requests counts its timeout from byte to byte; Event Grid counts to the whole answer.
                if shown is None:
                    return Answer(NoAnswer.TIMED_OUT, seconds)
                return Answer(response.status_code, seconds, response.headers, shown)
        except requests.Timeout:
            return Answer(NoAnswer.TIMED_OUT, time.monotonic() - started)
        except requests.RequestException as error:
            return Answer(_no_answer(error), time.monotonic() - started, body=type(error).__name__)

    def close(self) -> None:
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()
            self._local = threading.local()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            # Proxies, .netrc and CA settings of this machine must not decide what the webhook is sent.
            session.trust_env = False
            session.headers.clear()
            session.headers.update({"Accept-Encoding": "gzip, deflate", "Connection": "Keep-Alive"})
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session


class StorageQueue:
    """A storage queue: one message per event, the Base64 of its JSON."""

    def __init__(self, connection_string: str, queue: str) -> None:
        # Event Grid's schedule decides about retries, not the client's.
        self._client = QueueClient.from_connection_string(connection_string, queue, retry_total=0)

    @property
    def url(self) -> str:
        """The queue's address: what a subscription names as its endpoint."""
        return str(self._client.url)

    def deliver(self, events: Sequence[Any], *, earlier_attempts: int) -> Answer:  # noqa: ARG002  part of the protocol
        started = time.monotonic()
        status = 201
        for event in events:
            message = base64.b64encode(compact(event)).decode("ascii")
            if len(message) > QUEUE_MESSAGE_BYTES:
                return Answer(413, time.monotonic() - started, body="over 64 KiB")
            try:
                self._client.send_message(message)
            except ServiceRequestError as error:
                return Answer(NoAnswer.SOCKET_ERROR, time.monotonic() - started, body=type(error).__name__)
            except HttpResponseError as error:
                status = error.status_code or 500
                return Answer(status, time.monotonic() - started, body=str(error.error_code or ""))  # type: ignore[attr-defined]
            except AzureError as error:
                return Answer(NoAnswer.SOCKET_ERROR, time.monotonic() - started, body=type(error).__name__)
        return Answer(status, time.monotonic() - started)

    def close(self) -> None:
        self._client.close()


def _read(response: requests.Response, *, until: float) -> str | None:
    """The beginning of the body; None when it did not end in time."""
    kept = bytearray()
    for chunk in response.iter_content(1024):
        if len(kept) < _BODY_SHOWN:
            kept += chunk
        if time.monotonic() > until:
            return None
    return None if time.monotonic() > until else kept[:_BODY_SHOWN].decode("utf-8", "replace")


def _no_answer(error: BaseException) -> NoAnswer:
    """Tell a name that does not resolve from every other failure of the network."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, socket.gaierror) or type(cause).__name__ == "NameResolutionError":
            return NoAnswer.RESOLUTION_ERROR
        inner = getattr(cause, "reason", None) or next(
            (item for item in cause.args if isinstance(item, BaseException)), None
        )
        cause = inner if isinstance(inner, BaseException) else cause.__cause__
    return NoAnswer.SOCKET_ERROR
