"""Webhooks as AuthRocket sends them, by function and by command line."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from flask import Flask, request
from werkzeug.serving import make_server

from lab.emulators.authrocket import ACORN_REALM, READ_KEY, AuthRocketLab, webhooks
from lab.emulators.authrocket.__main__ import main


@dataclass
class Receiver:
    """A webhook's receiving end, which keeps what it gets and answers what it is told."""

    url: str = ""
    status: int = 200
    received: list[dict[str, Any]] = field(default_factory=list)
    authorization: list[str | None] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    app, got = Flask("receiver"), Receiver()

    @app.post("/hook")
    def hook() -> tuple[str, int]:
        got.received.append(request.get_json())
        got.authorization.append(request.headers.get("Authorization"))
        return "", got.status

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    got.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield got
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_ping_carries_the_basic_credential_of_the_url(receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "http://desk:p%40ss:w%C3%B6rd@")
    assert main(["ping", url]) == 0
    assert receiver.received[0]["event_type"] == "ping"
    assert receiver.authorization == ["Basic " + base64.b64encode("desk:p@ss:wörd".encode()).decode()]


def test_an_event_is_sent_as_the_api_would_answer_it(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    with AuthRocketLab() as lab:
        jim = lab.find_user("jim.shorts@acorn.example")
        address = lab.url.removesuffix("/v2")
        sent = ["event", receiver.url, "--lab", address, "--realm", ACORN_REALM, "--user", jim["id"], "--times", "3"]
        assert main(sent) == 0
        assert len(receiver.received) == 3
        assert receiver.received[0] == receiver.received[2]
        headers = {"Accept": "application/json", "Authrocket-Api-Key": READ_KEY}
        found = requests.get(f"{lab.url}/events/{receiver.received[0]['id']}", headers=headers, timeout=10).json()
    assert found == receiver.received[0]
    assert (found["event_type"], found["user_id"]) == ("user.updated", jim["id"])
    assert "-> 200" in capsys.readouterr().out


def test_a_refused_delivery_is_reported(receiver: Receiver) -> None:
    receiver.status = 401
    delivery = webhooks.send(receiver.url, webhooks.ping(0.0), username="desk", password="wrong")
    assert (delivery.status, delivery.delivered) == (401, False)
    assert main(["ping", receiver.url]) == 1
