"""AuthRocket's webhooks: a POST of what Get an Event answers, no signature, basic auth when the URL carries it."""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import requests

from lab.emulators.authrocket.population import identifier


@dataclass(frozen=True)
class Delivery:
    """What the receiver said. AuthRocket takes any 2xx as delivered and tries again for about two days otherwise."""

    status: int
    body: str

    @property
    def delivered(self) -> bool:
        return 200 <= self.status < 300


def ping(at: float) -> dict[str, Any]:
    """The event that tests a URL; it is not to be found through the API."""
    return {"id": identifier("ev", "ping", at), "event_type": "ping", "event_at": round(at, 3)}


def send(
    url: str,
    event: dict[str, Any],
    *,
    username: str | None = None,
    password: str | None = None,
    timeout_seconds: float = 30,
) -> Delivery:
    """Deliver one event. Credentials may stand in the URL, as they do in AuthRocket's settings."""
    parts = urlsplit(url)
    if parts.username is not None:
        username, password = unquote(parts.username), unquote(parts.password or "")
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    headers = {"User-Agent": "AuthRocket Webhook"}
    if username is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{username}:{password or ''}".encode()).decode()
    response = requests.post(url, json=event, headers=headers, timeout=timeout_seconds)
    return Delivery(response.status_code, response.text)
