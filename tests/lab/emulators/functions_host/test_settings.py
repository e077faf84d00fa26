"""Settings and host.json are checked whole, and what is wrong is said with its place."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.emulators.functions_host.configuration import HostConfiguration, QueueConfiguration, load_configuration
from lab.emulators.functions_host.errors import StartError
from lab.emulators.functions_host.functions import QueueAddress
from lab.emulators.functions_host.queue_store import messages_of
from lab.emulators.functions_host.queues import poison_queue_of
from lab.emulators.functions_host.settings import connection_string, load_local_settings, put_into, resolve
from lab.emulators.functions_host.worker import JsonText, Output


def configured(folder: Path, document: Any, **environment: str) -> HostConfiguration:
    (folder / "host.json").write_text(json.dumps(document))
    return load_configuration(folder, environment)


def test_an_empty_host_json_has_the_real_hosts_defaults(tmp_path: Path) -> None:
    found = configured(tmp_path, {"version": "2.0"})
    assert found.route_prefix == "api"
    assert found.function_timeout == timedelta(minutes=30)
    assert found.queues == QueueConfiguration(16, 8, timedelta(0), 5, timedelta(seconds=2), is_base64=True)


def test_host_json_is_honoured_and_settings_override_it(tmp_path: Path) -> None:
    queues = {
        "batchSize": 8,
        "visibilityTimeout": "00:01:00",
        "maxDequeueCount": 2,
        "maxPollingInterval": "00:00:05",
        "messageEncoding": "none",
    }
    document = {
        "version": "2.0",
        "functionTimeout": "-1",
        "extensions": {"queues": queues, "http": {"routePrefix": "v1/"}},
    }
    found = configured(tmp_path, document, AzureFunctionsJobHost__Extensions__QUEUES__maxdequeuecount="7")
    assert found.route_prefix == "v1"
    assert found.function_timeout is None
    assert found.queues == QueueConfiguration(8, 4, timedelta(minutes=1), 7, timedelta(seconds=5), is_base64=False)


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], "version"),
        ({"version": "1.0"}, "version"),
        ({"version": "2.0", "functionTimeout": "soon"}, "functionTimeout"),
        ({"version": "2.0", "extensions": []}, "extensions must be an object"),
        ({"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}, "batchSize must be from 1 to 32"),
        ({"version": "2.0", "extensions": {"queues": {"maxDequeueCount": "few"}}}, "maxDequeueCount must be a number"),
        ({"version": "2.0", "extensions": {"queues": {"visibilityTimeout": "24:00:00"}}}, "visibilityTimeout: .*days"),
        ({"version": "2.0", "extensions": {"queues": {"messageEncoding": "utf"}}}, "messageEncoding"),
    ],
)
def test_a_faulty_host_json_is_refused(tmp_path: Path, document: Any, fault: str) -> None:
    with pytest.raises(StartError, match=fault):
        configured(tmp_path, document)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "not valid JSON"),
        ("[]", "Values"),
        ('{"Values": {"A": 5}}', "A is 5"),
        ('{"IsEncrypted": true, "Values": {}}', "encrypted"),
        ('{"Host": {"LocalHttpPort": "x"}}', "LocalHttpPort"),
    ],
)
def test_faulty_local_settings_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(text)
    with pytest.raises(StartError, match=fault):
        load_local_settings(path)


def test_the_environment_wins_over_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text('\ufeff{"Values": {"A": "file", "B": "file"}, "Host": {"LocalHttpPort": 7000}}', encoding="utf-8")
    environment = {"A": "environment"}
    settings = load_local_settings(path)
    put_into(environment, settings)
    assert environment == {"A": "environment", "B": "file"}
    assert settings.http_port == 7000


def test_references_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST", "one")
    monkeypatch.setenv("SECTION__NAME", "two")
    assert resolve("a-%FIRST%-%SECTION:NAME%-b", "here") == "a-one-two-b"
    with pytest.raises(StartError, match="function f, route: %MISSING%"):
        resolve("%MISSING%", "function f, route")


def test_connections_are_found_by_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    monkeypatch.setenv("AzureWebJobsOther", "AccountName=other")
    monkeypatch.setenv("AzureWebJobsCloud__queueServiceUri", "https://x.queue.core.windows.net")
    assert "127.0.0.1:10001" in connection_string("", "here")
    assert connection_string("Other", "here") == "AccountName=other"
    with pytest.raises(StartError, match=r"function f: the app setting Missing is not set$"):
        connection_string("Missing", "function f")
    with pytest.raises(StartError, match="connection strings only"):
        connection_string("AzureWebJobsCloud", "function f")


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        ("text", ["text"]),
        (b"\x00", [b"\x00"]),
        ("[not json]", ["[not json]"]),
        ('["a", {"b": 1}, 2]', ["a", '{\n  "b": 1\n}', "2"]),
        (JsonText('["a", "b"]'), ["a", "b"]),
        (JsonText("[]"), []),
        (JsonText('{"a": 1}'), ['{\n  "a": 1\n}']),
        (JsonText('[{"id": null, "body": "x"}]'), ["x"]),
    ],
)
def test_what_an_output_sends(value: Output, messages: list[str | bytes]) -> None:
    assert list(messages_of(value)) == messages


def test_a_poison_queue_has_none_of_its_own() -> None:
    assert poison_queue_of(QueueAddress("parts", "c")) == QueueAddress("parts-poison", "c")
    assert poison_queue_of(QueueAddress("parts-poison", "c")) is None
    assert poison_queue_of(QueueAddress("p" * 57, "c")) is None
