"""The AuthRocket emulator as a part of the lab: start, stop, keys, and how to change its people and its moods."""

import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self, Unpack
from urllib.parse import parse_qs, unquote, urlsplit

from lab.emulators.authrocket.api import Api, Request
from lab.emulators.authrocket.control import control
from lab.emulators.authrocket.exchange import Received, Reply, ResetError
from lab.emulators.authrocket.faults import Faults, Kind, Script, ScriptOptions
from lab.emulators.authrocket.population import ACORN_REALM, ST_JOHNS_REALM, users
from lab.emulators.authrocket.realms import ApiKey, Realm, Realms
from lab.emulators.ports import LOOPBACK
from lab.emulators.startable import KeepAliveServer, ServingThread, Startable, reset

# Keys of the lab, of no use anywhere else. What each may do is in its name.
READ_KEY = "ks_0vLabReadDeskbridge0001-4c6162206f6e6c792c206e6f20736563"
WRITE_KEY = "ks_0vLabWriteDeskbridge001-4c6162206f6e6c792c206e6f20736564"
ADMIN_KEY = "ks_0vLabAdminDeskbridge001-4c6162206f6e6c792c206e6f20736565"
WRITE_ONLY_KEY = "ks_0vLabWeakDeskbridge0001-4c6162206f6e6c792c206e6f20736566"
ACORN_ONLY_KEY = "ks_0vLabAcornDeskbridge001-4c6162206f6e6c792c206e6f20736567"
LAPSED_KEY = "ks_0vLabLapsedDeskbridge01-4c6162206f6e6c792c206e6f20736568"
_KEYS = (
    ApiKey(READ_KEY),
    ApiKey(WRITE_KEY, frozenset({"read", "write"})),
    ApiKey(ADMIN_KEY, frozenset({"read", "write", "admin"})),
    ApiKey(WRITE_ONLY_KEY, frozenset({"write"})),
    ApiKey(ACORN_ONLY_KEY, realm_id=ACORN_REALM),
    ApiKey(LAPSED_KEY, subscribed=False),
)


class AuthRocketLab(Startable):
    """AuthRocket v2 on one loopback port, over HTTPS when `tls`, or a certificate and its key, is given.

    `user_count` users in the realm ACORN_REALM (250 by default, 5,000 and more for tests), a dozen in ST_JOHNS_REALM;
    the same users for the same `seed`, at every start. Port 0 takes any free one.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        certificate: Path | None = None,
        private_key: Path | None = None,
        tls: ssl.SSLContext | None = None,
        user_count: int = 250,
        seed: int = 1,
    ) -> None:
        self._wanted_port = port
        if tls is None and certificate and private_key:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate, private_key)
        self._tls = tls
        self._serving: ServingThread | None = None
        self.realms = Realms()
        self.faults = Faults()
        self._api = Api(self.realms, self.faults)
        self.realms.add_realm(ACORN_REALM, "Acorn Construction", users(ACORN_REALM, user_count, seed))
        self.realms.add_realm(ST_JOHNS_REALM, "St Johns High School", users(ST_JOHNS_REALM, 12, seed))
        for key in _KEYS:
            self.realms.add_key(key)

    def start(self) -> Self:
        server = _Server((LOOPBACK, self._wanted_port), self)
        if self._tls:
            # The handshake belongs to the connection's own thread: one silent client must not hold up the others.
            server.socket = self._tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._serving = ServingThread(server)
        return self

    def stop(self) -> None:
        """Stop serving, waking whatever hangs. Safe to call twice."""
        self.faults.clear()
        serving, self._serving = self._serving, None
        if serving:
            serving.stop()

    @property
    def port(self) -> int:
        assert self._serving is not None, "the AuthRocket emulator is not started"
        return self._serving.port

    @property
    def url(self) -> str:
        """The API's base URL, as the portal shows it beside a key. It names localhost, as the certificate does."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}/v2"

    @property
    def api_key(self) -> str:
        """A key that may read every realm, and nothing more."""
        return READ_KEY

    @property
    def realm_id(self) -> str:
        return ACORN_REALM

    @property
    def journal(self) -> list[Request]:
        """Every request since the start, in the order they were answered."""
        return self._api.journal

    def answer(self, request: Received) -> Reply:
        """One request, whatever it is. Raises ResetError where the connection is to be reset."""
        if request.path.startswith("/_lab/"):
            return control(self, request)
        if request.path.startswith("/v2/"):
            return self._api.answer(request)
        return Reply(404, b'{"error": "Not Found"}')

    def realm(self, realm_id: str = ACORN_REALM) -> Realm:
        return self.realms.realms[realm_id]

    def add_user(self, realm_id: str = ACORN_REALM, **fields: Any) -> dict[str, Any]:
        return self.realms.add_user(realm_id, fields)

    def change_user(self, user_id: str, realm_id: str = ACORN_REALM, **changes: Any) -> dict[str, Any]:
        return self.realms.change_user(realm_id, user_id, changes)

    def remove_user(self, user_id: str, realm_id: str = ACORN_REALM) -> None:
        self.realms.remove_user(realm_id, user_id)

    def grant(
        self, user_id: str, org_id: str, permissions: list[str], realm_id: str = ACORN_REALM, **more: float | None
    ) -> dict[str, Any]:
        return self.realms.grant(realm_id, user_id, org_id, permissions, **more)

    def find_user(self, email: str, realm_id: str = ACORN_REALM) -> dict[str, Any]:
        """The user with this address; raises KeyError when there is none."""
        for user in self.realm(realm_id).users.values():
            if user["email"] == email:
                return user
        raise KeyError(email)

    def script(self, kind: Kind, **options: Unpack[ScriptOptions]) -> Script:
        """Have something go wrong: see `lab.emulators.authrocket.faults`. By default with the next request, once."""
        script = Script(kind, **options)
        self.faults.add(script)
        return script

    def on_page(self, page: int, action: Callable[[], object]) -> None:
        """Run this just before the given page of a read is answered: the realm changes while it is read."""
        self.faults.add(Script("call", page=page, action=action))


class _Server(KeepAliveServer):
    def __init__(self, address: tuple[str, int], lab: AuthRocketLab) -> None:
        super().__init__(address, _Handler)
        self.lab = lab


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def _serve(self) -> None:
        assert isinstance(self.server, _Server)
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        try:
            reply = self.server.lab.answer(Received(self.command, unquote(parts.path), query, headers, body))
        except ResetError:
            reset(self.connection)
        self.send_response(reply.status)
        for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if reply.is_truncated:
            self.close_connection = True
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.is_truncated else reply.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - named by http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing: the journal has it."""
