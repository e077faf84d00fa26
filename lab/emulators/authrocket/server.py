"""The AuthRocket stand-in as a part of the lab: start, stop, keys, and how to change its people and its moods."""

import json
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, Unpack

from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

from lab.emulators.authrocket.api import Api, Request
from lab.emulators.authrocket.faults import Faults, Kind, Script, ScriptOptions
from lab.emulators.authrocket.population import ACORN_REALM, ST_JOHNS_REALM, users
from lab.emulators.authrocket.realms import ApiKey, Realm, Realms
from lab.emulators.ports import LOOPBACK
from lab.emulators.startable import ServingThread, Startable

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
        app = self._api.app()
        add_control(app, self)
        server = make_server(
            LOOPBACK,
            self._wanted_port,
            app,
            threaded=True,
            request_handler=_QuietHandler,
            ssl_context=self._tls,
        )
        if self._tls:
            # The handshake belongs to the connection's own thread: one silent client must not hold up the others.
            listener: Any = server.socket  # typeshed does not know the attribute
            listener.do_handshake_on_connect = False
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
        assert self._serving is not None, "the AuthRocket stand-in is not started"
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


def add_control(app: Flask, lab: AuthRocketLab) -> None:
    """The same by HTTP, for a lab in another process: /_lab/script, /_lab/users, /_lab/journal."""

    def answer(body: object, status: int = 200) -> Response:
        return Response(json.dumps(body, default=str), status=status, mimetype="application/json")

    @app.post("/_lab/script")
    def script() -> Response:
        given: dict[str, Any] = request.get_json()
        given["errors"] = tuple(given.get("errors", ()))
        lab.faults.add(Script(**given))
        return answer({}, 201)

    @app.delete("/_lab/script")
    def clear() -> Response:
        lab.faults.clear()
        return answer({})

    @app.post("/_lab/realms/<realm_id>/users")
    def add(realm_id: str) -> Response:
        return answer(lab.add_user(realm_id, **request.get_json()), 201)

    @app.patch("/_lab/realms/<realm_id>/users/<user_id>")
    def change(realm_id: str, user_id: str) -> Response:
        return answer(lab.change_user(user_id, realm_id, **request.get_json()))

    @app.delete("/_lab/realms/<realm_id>/users/<user_id>")
    def remove(realm_id: str, user_id: str) -> Response:
        lab.remove_user(user_id, realm_id)
        return answer({})

    @app.post("/_lab/realms/<realm_id>/events")
    def event(realm_id: str) -> Response:
        given: dict[str, str] = request.get_json()
        return answer(lab.realms.event(realm_id, given.pop("event_type"), **given), 201)

    @app.get("/_lab/journal")
    def journal() -> Response:
        return answer([vars(line) for line in lab.journal])


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        logging.getLogger("lab.emulators.authrocket").debug("%s: %s", type, message % args)
