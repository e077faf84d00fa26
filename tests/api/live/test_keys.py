"""Two classes of keys, on the host: reading opens what reads and nothing else, writing opens all."""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functions.http.endpoints import Access, declared_endpoints
from lab.desk import ROOT
from lab.emulators.functions_host.process import HostProcess
from tests.registered import FUNCTIONS
from tests.storage_emulator import Storage

pytestmark = pytest.mark.timeout(300)

READING, WRITING = "reading-key-of-the-test", "writing-key-of-the-test"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, new_storage: Callable[[], Storage]) -> Iterator[HostProcess]:
    storage = new_storage()
    folder = tmp_path_factory.mktemp("host")
    keys = {
        each.function: {"writing": WRITING, **({"reading": READING} if each.access is Access.READING else {})}
        for each in declared_endpoints().values()
        if each.access is not Access.OPEN
    }
    (folder / "keys.json").write_text(json.dumps({"master": "master", "default": "default", "functions": keys}))
    environment = {"PATH": os.environ["PATH"], "AzureWebJobsStorage": storage.connection_string}
    with HostProcess(
        ROOT,
        settings=ROOT / "local.settings.json.example",
        keys=folder / "keys.json",
        data=folder / "data",
        environment=environment,
    ) as running:
        yield running


def status(host: HostProcess, method: str, path: str, key: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
    try:
        connection.request(method, path, headers={"x-functions-key": key} if key else {})
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_reading_key_opens_what_reads_and_nothing_that_writes(host: HostProcess) -> None:
    assert len(FUNCTIONS) > len(declared_endpoints())
    for declared in declared_endpoints().values():
        if declared.access is Access.OPEN:
            continue
        path = "/api/" + re.sub(r"\{[^}]*\}", "nothing", declared.route)
        reads = declared.access is Access.READING
        # Checks of readiness sign in to vaults, which has its own tests; that the host lets them in is the same code.
        assert (status(host, declared.methods[0], path, READING) != 401) is reads, declared.function
        assert status(host, declared.methods[0], path, WRITING) != 401, declared.function
        assert status(host, declared.methods[0], path, "") == 401, declared.function
        assert status(host, declared.methods[0], path, "wrong") == 401, declared.function


def test_a_probe_by_head_and_with_parameters_of_its_own_sees_that_the_app_is_alive(host: HostProcess) -> None:
    assert status(host, "GET", "/api/health?_=1716372000", "") == 200
    assert status(host, "HEAD", "/api/health", "") == 200
    # A calendar's address that is none is unknown, whatever is added to it.
    assert status(host, "HEAD", "/api/calendar/none/expiries.ics?nocache=1", "") == 404


_FAKE_AZ = """#!{python}
import json, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    body = next((one[1:] for one in arguments if one.startswith("@")), None)
    content = json.load(open(body)) if body else None
    log.write(json.dumps([arguments, content]) + "\\n")
if arguments[:2] == ["functionapp", "show"]:
    print(json.dumps({{"id": "/subscriptions/s/sites/desk", "host": "unused"}}))
if arguments[:3] == ["functionapp", "keys", "list"]:
    print(json.dumps({{"functionKeys": {{"default": "default"}}, "masterKey": "master"}}))
"""


def test_the_operators_script_sets_the_keys_that_the_document_says(host: HostProcess, tmp_path: Path) -> None:
    log, fake = tmp_path / "log", tmp_path / "az"
    fake.write_text(_FAKE_AZ.format(python=sys.executable, log=str(log)))
    fake.chmod(0o755)
    command = [sys.executable, str(ROOT / "infra/scripts/function_keys.py"), "--resource-group", "rg", "--app", "desk"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "keys.json"), "--url", host.url],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.defpath}", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    keys = json.loads((tmp_path / "keys.json").read_text())
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    found = {
        (match[1], match[2], content["properties"]["value"])
        for arguments, content in calls
        for argument in arguments
        if (match := re.search(r"/functions/([a-z0-9_]+)/keys/([a-z]+)\?", argument))
    }
    wanted = {
        (each.function, name, keys[name])
        for each in declared_endpoints().values()
        for name in {Access.READING: ("reading", "writing"), Access.WRITING: ("writing",), Access.OPEN: ()}[each.access]
    }
    assert found == wanted
    assert not any(key in argument for key in keys.values() for arguments, _ in calls for argument in arguments)
