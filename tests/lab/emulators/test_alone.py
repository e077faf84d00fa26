"""Each emulator starts alone as a process, and answers its own service's client."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

from lab.emulators.authrocket import ACORN_REALM, READ_KEY
from lab.emulators.ec2.accounts import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from lab.emulators.event_grid import make_event
from lab.emulators.event_grid.events import Schema
from lab.emulators.event_grid.topic import KEY
from lab.emulators.ports import free_port
from lab.emulators.startable import ROOT
from tests.lab.emulators.event_grid.endpoint import serving


@contextmanager
def started(name: str, *arguments: str, **environment: str) -> Iterator[list[str]]:
    """The lines that it prints, the first of them waited for."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"lab.emulators.{name}", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip()]
        if name == "functions_host":
            while lines[-1] != "Host started":
                lines.append(process.stdout.readline().strip())
                assert process.poll() is None, lines
        yield lines
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_key_vault_answers_the_secrets_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with started("key_vault", "--port", str(port), "--folder", str(tmp_path)) as lines:
        for name, value in json.loads(lines[0])["environment"].items():
            monkeypatch.setenv(name, value)
        with (
            ManagedIdentityCredential() as credential,
            SecretClient(
                f"https://localhost:{port}", credential, verify_challenge_resource=False, retry_total=0
            ) as client,
        ):
            assert client.get_secret("sql-password").value == "lab-sql-password"


def test_ec2_answers_boto3() -> None:
    port = free_port()
    with started("ec2", "--port", str(port)) as lines:
        assert lines == [f"http://127.0.0.1:{port}"]
        session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
        ec2: Any = session.client("ec2", region_name="eu-west-2", endpoint_url=lines[0])
        found = ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["ACORN-LDN-WEB-01"]}])
        [instance] = found["Reservations"][0]["Instances"]

        def names() -> set[str | None]:
            described = ec2.describe_instances(InstanceIds=[instance["InstanceId"]])
            return {one["State"].get("Name") for each in described["Reservations"] for one in each["Instances"]}

        assert names() == {"running"}
        # Another process changes the machines by HTTP.
        change = {"instance_id": instance["InstanceId"], "state": "stopped"}
        requests.post(f"{lines[0]}/_lab/set_state", json=change, timeout=10).raise_for_status()
        assert names() == {"stopped"}
        assert requests.post(f"{lines[0]}/_lab/set_state", json={**change, "state": "x"}, timeout=10).status_code == 400
        assert requests.post(f"{lines[0]}/_lab/nothing", json={}, timeout=10).status_code == 404


def test_authrocket_answers_a_plain_client() -> None:
    port = free_port()
    with started("authrocket", "--port", str(port)) as lines:
        assert lines == [f"endpoint http://localhost:{port}/v2"]
        headers = {"Accept": "application/json", "Authrocket-Api-Key": READ_KEY, "Authrocket-Realm": ACORN_REALM}
        answer = requests.get(f"http://localhost:{port}/v2/users", headers=headers, timeout=10)
        assert (len(answer.json()["collection"]), answer.json()["more_results"]) == (100, True)
        assert (
            requests.get(
                f"http://localhost:{port}/v2/users", headers={"Accept": "application/json"}, timeout=10
            ).status_code
            == 403
        )


def test_event_grid_takes_published_events_and_delivers_them_with_retries() -> None:
    port = free_port()
    with serving([503, 200]) as endpoint, started("event_grid", "--port", str(port), "--to", endpoint.url) as lines:
        assert lines == [f"http://127.0.0.1:{port}/api/events"]
        event = make_event("SecretNearExpiry", vault="acorn-vault", name="mail-password").to_json(Schema.EVENT_GRID)

        def publish(body: Any, key: str = KEY) -> int:
            return requests.post(lines[0], json=body, headers={"aeg-sas-key": key}, timeout=10).status_code

        assert publish([event]) == 200
        assert publish([event], key="wrong") == 401
        assert publish([{"id": "1"}]) == 400
        assert publish([{**event, "data": "x" * 1_100_000}]) == 413
        delivered: list[Any] = []
        while not delivered:
            delivered = requests.get(f"http://127.0.0.1:{port}/_lab/events", timeout=10).json()
        assert [attempt["status"] for attempt in delivered[0]["attempts"]] == [503, 200]


def test_the_functions_host_answers_a_plain_client(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(
        "import azure.functions as func\n"
        "app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
        "@app.route('hello')\n"
        "def hello(req: func.HttpRequest) -> str:\n"
        "    return 'Hello'\n"
    )
    port = free_port()
    with started("functions_host", "--port", str(port), "--root", str(tmp_path), "--data", str(tmp_path / "data")):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/api/hello")
        assert connection.getresponse().read() == b"Hello"
        connection.close()
