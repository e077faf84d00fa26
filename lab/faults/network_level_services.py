"""What answers behind `network_level_proxy`: an emulator at an address, a vault of the lab, or a scenario's own realm.

Each knows what can go wrong with it beside what can go wrong with every connection.
"""

import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from lab.faults.simulated_authrocket import RealmApi

HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length"})
# As with a token that has expired, or a clock that is too far from the service's: the service's own refusal.
WITHOUT_CREDENTIALS = "credentials not taken"
EMPTY_PAGE, REPEATED_PAGE = "empty page", "repeated page"
_UPSTREAM_SECONDS = 20.0
_CREDENTIALS = frozenset({"authorization", "authrocket-api-key"})

Answer = tuple[int, Sequence[tuple[str, str]], bytes]


@dataclass(frozen=True)
class ProxiedRequest:
    """One request. `path` with its query; `proxy_url` is where the client believes the upstream to be."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    proxy_url: str


class Upstream(Protocol):
    """Whoever answers."""

    def kinds(self, asked: ProxiedRequest) -> Sequence[str]:
        """What can go wrong with this request here, beside what can with every one."""
        ...

    def answer(self, asked: ProxiedRequest, kind: str) -> Answer:
        """The answer; `kind` is one of `kinds`, or means nothing to it."""
        ...


class ForwardedService:
    """An emulator at `address` (http://host:port, or https:// with the authority that it is trusted by)."""

    def __init__(self, address: str, authority: Path | None = None) -> None:
        self._address = urlsplit(address)
        self._tls = ssl.create_default_context(cafile=authority) if authority is not None else None

    def kinds(self, asked: ProxiedRequest) -> Sequence[str]:
        return (WITHOUT_CREDENTIALS,) if _CREDENTIALS & {name.lower() for name in asked.headers} else ()

    def answer(self, asked: ProxiedRequest, kind: str) -> Answer:
        dropped = HOP_BY_HOP | (_CREDENTIALS if kind == WITHOUT_CREDENTIALS else frozenset())
        connection = self._connection()
        try:
            headers = {name: value for name, value in asked.headers.items() if name.lower() not in dropped}
            connection.request(asked.method, asked.path, body=asked.body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        # Where a list goes on is an address of the emulator's own.
        here, there = self._address.geturl().encode(), asked.proxy_url.encode()
        return answer.status, answer.getheaders(), content.replace(here, there)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=_UPSTREAM_SECONDS, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=_UPSTREAM_SECONDS)


class ForwardedVault(ForwardedService):
    """A vault, whose lists may have pages with nothing on them that say where they go on."""

    def kinds(self, asked: ProxiedRequest) -> Sequence[str]:
        found = super().kinds(asked)
        parts = urlsplit(asked.path).path.strip("/").split("/")
        is_list = len(parts) == 1 or parts[-1] == "versions"
        return (*found, EMPTY_PAGE) if found and is_list else found

    def answer(self, asked: ProxiedRequest, kind: str) -> Answer:
        if kind != EMPTY_PAGE:
            return super().answer(asked, kind)
        page = {"value": [], "nextLink": f"{asked.proxy_url}{asked.path}"}
        return 200, [("Content-Type", "application/json")], json.dumps(page).encode()


class ServedRealm:
    """A scenario's realm."""

    def __init__(self, api: RealmApi) -> None:
        self._api = api

    def kinds(self, asked: ProxiedRequest) -> Sequence[str]:
        path = urlsplit(asked.path).path
        return (WITHOUT_CREDENTIALS, EMPTY_PAGE, REPEATED_PAGE) if self._api.is_list(path) else (WITHOUT_CREDENTIALS,)

    def answer(self, asked: ProxiedRequest, kind: str) -> Answer:
        key = {name.lower(): value for name, value in asked.headers.items()}.get("authrocket-api-key")
        if kind == WITHOUT_CREDENTIALS:
            key = None
        own = kind if kind in {EMPTY_PAGE, REPEATED_PAGE} else None
        status, content, headers = self._api.answer(asked.path, key, own)
        return status, [("Content-Type", "application/json"), *headers.items()], content
