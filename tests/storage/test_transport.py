"""How requests reach the table service: by the way that the environment says, and tried again when they break off."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from requests.adapters import HTTPAdapter

from shared.errors import TryLaterError
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Row, Save
from shared.storage.transport import _session
from tests.scripted_service import Answer, Service, scripted_service

_ROW_THERE = b'{"PartitionKey": "p", "RowKey": "r", "odata.etag": "e"}'


_ANSWER = Answer(200, _ROW_THERE, {"Content-Type": "application/json"})


@pytest.fixture
def service() -> Iterator[Service]:
    with scripted_service() as service:
        service.answer = lambda *_: _ANSWER
        yield service


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def _connection_string(endpoint: str) -> str:
    return f"AccountName=acorn;AccountKey=a2V5;TableEndpoint={endpoint}/acorn;"


def _tables(endpoint: str) -> RestTables:
    return RestTables.from_connection_string(_connection_string(endpoint), retry_total=0)


def test_the_environments_proxy_is_used(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", service.url)
    table = _tables("http://acorn.table.example").table("things")
    assert [table.find("p", "r"), table.find("p", "r")] != [None, None]
    assert [path.partition("/things")[0] for _, path, _, _ in service.asked] == ["http://acorn.table.example/acorn"] * 2


def test_a_host_that_the_environment_excepts_is_asked_directly(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert _tables(service.url).table("things").find("p", "r") is not None
    assert service.asked[0][1].startswith("/acorn/things")


def test_the_environments_certificates_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "of-the-firm.pem"))
    with pytest.raises(OSError, match=r"of-the-firm\.pem"):
        _tables("https://127.0.0.1:9").table("things").find("p", "r")


def test_an_answer_that_breaks_off_is_no_answer(service: Service) -> None:
    service.answer = lambda *_: replace(_ANSWER, cut=True)
    table = RestTables.from_connection_string(
        _connection_string(service.url), retry_total=1, retry_backoff_factor=0
    ).table("things")
    with pytest.raises(TryLaterError):
        table.find("p", "r")
    assert len(service.asked) == 2
    with pytest.raises(TryLaterError):
        table.transact("p", [Save(Row("p", "r"))])


def test_as_many_requests_at_once_as_a_worker_has_threads_keep_their_connections(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    all_asked = threading.Barrier(40)

    def answer(*_: object) -> Answer:
        all_asked.wait(20)
        return _ANSWER

    service.answer = answer
    table = _tables(service.url).table("things")
    with ThreadPoolExecutor(40) as threads:
        assert all(threads.map(lambda _: table.find("p", "r"), range(40)))
    assert not [line for line in caplog.messages if "pool is full" in line]
    # So many threads the host gives a worker.
    adapter = _session().get_adapter("https://acorn.table.core.windows.net")
    assert isinstance(adapter, HTTPAdapter)
    assert adapter.poolmanager.connection_pool_kw["maxsize"] >= 1000


class _Identity:
    def __init__(self) -> None:
        self.asked = 0

    def get_token(self, *_scopes: str, **_others: Any) -> AccessToken:
        self.asked += 1
        return AccessToken("the-token", 4_000_000_000)


def test_an_identity_goes_the_same_way() -> None:
    identity = _Identity()
    with pytest.raises(TryLaterError, match="ServiceRequestError"):
        RestTables.from_identity("https://127.0.0.1:9/acorn", identity).table("things").find("p", "r")
    assert identity.asked


def test_a_service_that_is_not_there_is_tried_again_later() -> None:
    with pytest.raises(TryLaterError, match="ServiceRequestError"):
        _tables("http://127.0.0.1:9").table("things").find("p", "r")
