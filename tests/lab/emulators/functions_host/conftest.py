"""A real host process serving a sample app against the real storage emulator, once with each worker there is."""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueServiceClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from lab.emulators.functions_host.process import HostProcess
from tests.storage_emulator import Storage

APPS = Path(__file__).parent / "apps"
# Microsoft's runtime exists from Python 3.13 on; below, the library worker is all there is.
WORKERS = ("runtime", "library") if sys.version_info >= (3, 13) else ("library",)
NEVER = "0 0 3 1 1 *"


@dataclass(frozen=True)
class Answer:
    """An HTTP response; header names as sent."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each.lower() == name.lower()), None)


class Running:
    """A host at work, the storage it uses, and what its functions noted."""

    def __init__(self, host: HostProcess, storage: Storage, seen: Path) -> None:
        self.host = host
        self.storage = storage
        self._seen = seen

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.host.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def send(self, **wanted: object) -> Answer:
        return self.call("POST", "/api/send", json.dumps(wanted).encode())

    def notes(self, kind: str) -> list[Any]:
        """In the order in which they were written."""
        return [json.loads(path.read_text()) for path in sorted(self._seen.glob(f"{kind}-*.json"))]

    def wait_for(self, kind: str, count: int, seconds: float = 15, where: Callable[[Any], bool] = bool) -> list[Any]:
        """The notes of that kind, as soon as there are so many; fails when there are not in time."""
        wait_until(lambda: len([each for each in self.notes(kind) if where(each)]) >= count, seconds)
        return [each for each in self.notes(kind) if where(each)]

    def work_on(self, body: str, count: int = 1) -> list[Any]:
        return self.wait_for("work", count, where=lambda note: note["body"] == body)

    def wait_for_line(self, *words: str, seconds: float = 15) -> None:
        """Until the host has printed a line with all these words; it is read from a pipe, so a moment later."""
        wait_until(lambda: any(all(each in line for each in words) for line in self.host.lines), seconds)

    @contextmanager
    def queue(self, name: str, *, is_base64: bool = True) -> Iterator[QueueClient]:
        policies: dict[str, Any] = (
            {"message_encode_policy": TextBase64EncodePolicy(), "message_decode_policy": TextBase64DecodePolicy()}
            if is_base64
            else {}
        )
        with (
            QueueServiceClient.from_connection_string(self.storage.connection_string) as service,
            service.get_queue_client(name, **policies) as client,
        ):
            yield client

    def texts(self, name: str, *, is_base64: bool = True) -> list[str]:
        """What lies visibly in a queue."""
        with self.queue(name, is_base64=is_base64) as queue:
            try:
                return [message.content for message in queue.peek_messages(max_messages=32)]
            except ResourceNotFoundError:
                return []


def wait_until(holds: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not become so within {seconds} s"
        time.sleep(0.05)


class Start:
    """Starts hosts of the app "whole"; each call has its own notes and, unless told, its own storage."""

    def __init__(self, worker: str, new_storage: Callable[[], Storage], folder: Path) -> None:
        self.worker = worker
        self._new_storage = new_storage
        self._folder = folder
        self._count = 0

    @contextmanager
    def __call__(
        self, *, storage: Storage | None = None, data: Path | None = None, keys: Path | None = None, **settings: Any
    ) -> Iterator[Running]:
        self._count += 1
        seen = self._folder / f"seen{self._count}"
        seen.mkdir()
        storage = storage or self._new_storage()
        options = {name: settings.pop(name) for name in ("lease_seconds", "stop_seconds") if name in settings}
        environment = {
            **os.environ,
            "AzureWebJobsStorage": storage.connection_string,
            "SEEN": str(seen),
            "WORK_QUEUE": "work",
            "EACH_SECOND": NEVER,
            "ADMIN_ROUTE": "boss",
            **settings,
        }
        with HostProcess(
            APPS / "whole", worker=self.worker, environment=environment, data=data, keys=keys, **options
        ) as host:
            yield Running(host, storage, seen)


@pytest.fixture(scope="module", params=WORKERS)
def start(
    request: pytest.FixtureRequest, new_storage: Callable[[], Storage], tmp_path_factory: pytest.TempPathFactory
) -> Start:
    """Starts hosts, once for each worker that this Python has."""
    return Start(request.param, new_storage, tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def start_default(new_storage: Callable[[], Storage], tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts hosts with this Python's default worker, for what no worker has a part in."""
    return Start(WORKERS[0], new_storage, tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def running(start: Start) -> Iterator[Running]:
    """One host for a whole module."""
    with start() as host:
        yield host
