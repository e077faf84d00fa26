"""One HTTP request and its reply, free of any web framework, and the faults a reply may act out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Received:
    """A request as it came; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    client_address: str = "127.0.0.1"

    @property
    def bearer(self) -> str | None:
        """The bearer token, None without one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    def json(self) -> Any:
        """The body as JSON; raises ValueError when it is none."""
        return json.loads(self.body) if self.body else {}

    def form(self) -> dict[str, str]:
        """The body as a URL-encoded form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """What goes back, after how many seconds; or nothing at all and the connection reset (`abort`)."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"
    after_seconds: float = 0
    abort: bool = False

    @property
    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()

    def delayed(self, seconds: float) -> "Reply":
        return replace(self, after_seconds=self.after_seconds + seconds)


class Service(Protocol):
    """Anything that answers requests, from several threads at once."""

    def answer(self, request: Received) -> Reply: ...
