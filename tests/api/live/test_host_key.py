"""On the host: its key opens one endpoint and nothing else, and the operator's program fetches a token by it."""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functions.http.access import Door
from functions.http.endpoints import declared_endpoints
from lab.desk import ROOT
from lab.emulators.functions_host.process import HostProcess
from tests.registered import FUNCTIONS
from tests.storage_emulator import Storage

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, new_storage: Callable[[], Storage]) -> Iterator[HostProcess]:
    storage = new_storage()
    folder = tmp_path_factory.mktemp("host")
    (folder / "keys.json").write_text(json.dumps({"master": "master", "default": "default", "functions": {}}))
    environment = {"PATH": os.environ["PATH"], "AzureWebJobsStorage": storage.connection_string}
    with HostProcess(
        ROOT,
        settings=ROOT / "local.settings.json.example",
        keys=folder / "keys.json",
        data=folder / "data",
        environment=environment,
    ) as running:
        yield running


def status(host: HostProcess, method: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("key", ["default", "master", "wrong", ""])
def test_no_key_of_the_host_opens_an_endpoint_but_one(host: HostProcess, key: str) -> None:
    assert len(FUNCTIONS) > len(declared_endpoints())
    for declared in declared_endpoints().values():
        path = "/api/" + re.sub(r"\{[^}]*\}", "nothing", declared.route)
        found = status(host, declared.methods[0], path, x_functions_key=key)
        if declared.access is Door.HOST_KEY:
            # There is no body, which the app refuses, once the host has let the call in.
            assert found == (400 if key in {"default", "master"} else 401), declared.function
        elif declared.access is not Door.OPEN:
            assert found == 401, declared.function
            assert status(host, declared.methods[0], f"{path}?code={key}") == 401, declared.function


def test_a_probe_by_head_and_with_parameters_of_its_own_sees_that_the_app_is_alive(host: HostProcess) -> None:
    assert status(host, "GET", "/api/health?_=1716372000") == 200
    assert status(host, "HEAD", "/api/health") == 200


def test_a_calendars_token_in_the_path_is_no_address(host: HostProcess) -> None:
    token = "0123456789abcdef0123456789abcdef"
    assert status(host, "GET", f"/api/calendar/{token}/expiries.ics") == 404
    assert status(host, "GET", f"/api/calendar/expiries.ics?token={token}") == 401


_FAKE_AZ = """#!{python}
import json, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(arguments) + "\\n")
if arguments[:2] == ["functionapp", "show"]:
    print(json.dumps({{"defaultHostName": "unused"}}))
if arguments[:3] == ["functionapp", "keys", "list"]:
    print(json.dumps({{"functionKeys": {{"default": "default"}}, "masterKey": "master"}}))
"""


def test_the_operators_program_fetches_an_administrators_token(host: HostProcess, tmp_path: Path) -> None:
    log, fake, out = tmp_path / "log", tmp_path / "az", tmp_path / "token"
    fake.write_text(_FAKE_AZ.format(python=sys.executable, log=str(log)))
    fake.chmod(0o755)
    command = [sys.executable, str(ROOT / "infra/scripts/administrator_token.py"), "--resource-group", "rg"]
    command += ["--app", "desk", "--name", "first", "--out", str(out), "--url", host.url]
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.defpath}", "NO_PROXY": "*"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    token = out.read_text().strip()
    assert out.stat().st_mode & 0o077 == 0
    assert status(host, "GET", "/api/v1/tokens", X_Api_Key=token) == 200
    assert token not in done.stdout + done.stderr + log.read_text()
    # A name stands for one token: the file of the first is left alone, and a second file is not begun.
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (again.returncode, out.read_text().strip()) == (1, token)
    command[command.index(str(out))] = str(tmp_path / "second")
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (refused.returncode, (tmp_path / "second").exists()) == (1, False)
    assert "already_exists" in refused.stderr
