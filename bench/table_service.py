"""A table service in a process of its own, quick enough that what is measured is its client: 100,000 rows in seconds.

It speaks the wire format that Azure does (pages, continuation headers, transactions, ETags) for the requests that the
product sends, checks no signature, and counts. The real emulator takes minutes for such tables; what is true of it is
tested in `tests/storage`.
"""

import argparse
import json
import re
import sys
import threading
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from bench.table_store import Operation, TableStore
from lab.emulators.startable import ServingProcess, Startable

_ADDRESS = re.compile(r"/acorn/(\w+)\(PartitionKey='(.*)',RowKey='(.*)'\)")


Answer = tuple[int, bytes, Mapping[str, str]]


def read(store: TableStore, path: str) -> Answer:
    """The answer to a GET: one row, or a page of them."""
    parts = urlsplit(path)
    address = _ADDRESS.fullmatch(parts.path)
    if address:
        keys = [unquote(key).replace("''", "'") for key in address.groups()]
        entity = store.find(*keys)
        if entity is None:
            return 404, _refusal("ResourceNotFound", "There is no such row."), {}
        return 200, json.dumps(entity).encode(), {}
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    rows, following = store.page(parts.path.split("/")[-1].removesuffix("()"), query)
    headers = {}
    if following is not None:
        headers = {"x-ms-continuation-NextPartitionKey": following[0], "x-ms-continuation-NextRowKey": following[1]}
    return 200, json.dumps({"value": rows}).encode(), headers


def transact(store: TableStore, operations: list[Operation]) -> Answer:
    """The answer to a transaction."""
    status, answers = store.transact(operations)
    parts: list[str] = []
    if status == 202:
        parts = [f"HTTP/1.1 204 No Content\r\nETag: {etag}\r\n\r\n" for etag in answers]
    else:
        code = {409: "EntityAlreadyExists", 412: "UpdateConditionNotSatisfied", 404: "ResourceNotFound"}[status]
        message = _refusal(code, f"{answers[0]}:No.").decode()
        parts = [f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\n\r\n{message}"]
    head = "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    body = (
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
        + "".join(f"{head}{part}\r\n" for part in parts)
        + "--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    )
    return 202, body.encode(), {"Content-Type": "multipart/mixed; boundary=batchresponse_1"}


def _refusal(code: str, message: str) -> bytes:
    return json.dumps({"odata.error": {"code": code, "message": {"value": message}}}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    store: TableStore

    def do_GET(self) -> None:
        with self.store.lock:
            answer = read(self.store, self.path)
        self._send(*answer)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_bench/"):
            with self.store.lock:
                result = self.store.control(self.path.removeprefix("/_bench/"), json.loads(body or b"{}"))
            self._send(200, json.dumps(result).encode())
        elif self.path.endswith("/$batch"):
            with self.store.lock:
                answer = transact(self.store, operations_of(body))
            self._send(*answer)
        elif self.path.endswith("/Tables"):
            self._send(201, b'{"TableName": "any"}')
        else:
            self._create(body)

    def _create(self, body: bytes) -> None:
        entity = json.loads(body)
        keys = (urlsplit(self.path).path.split("/")[-1], entity["PartitionKey"], entity["RowKey"])
        with self.store.lock:
            status, answers = self.store.transact([("POST", *keys, "", entity)])
        self._send(204 if status == 202 else status, b"", {"ETag": answers[0]})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing."""


def operations_of(body: bytes) -> list[Operation]:
    """What a transaction's body asks for."""
    boundary = body.split(b"boundary=", 1)[1].split(b"\r\n", 1)[0]
    found: list[Operation] = []
    for part in body.split(b"--" + boundary)[1:-1]:
        _, head, content = part.split(b"\r\n\r\n", 2)
        line, *headers = head.decode().split("\r\n")
        method, url, _ = line.split(" ")
        path = urlsplit(url).path
        etag = next((one[10:] for one in headers if one[:10].lower() == "if-match: "), "")
        entity = json.loads(content) if content.strip() else None
        if method == "POST":
            assert entity is not None
            found.append((method, path.split("/")[-1], entity["PartitionKey"], entity["RowKey"], "", entity))
            continue
        address = _ADDRESS.fullmatch(path)
        assert address is not None, path
        table, partition_key, row_key = (unquote(key).replace("''", "'") for key in address.groups())
        found.append((method, table, partition_key, row_key, etag, entity))
    return found


class TableProcess(Startable):
    """`with TableProcess() as tables:` the service in a process of its own; it ends when its owner does."""

    def __init__(self) -> None:
        self._process: ServingProcess | None = None
        self.url = ""

    @property
    def connection_string(self) -> str:
        return f"AccountName=acorn;AccountKey=a2V5;TableEndpoint={self.url}/acorn;"

    def start(self) -> Self:
        self._process = ServingProcess("bench.table_service")
        self.url = self._process.url
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process:
            process.stop()

    def keep(self, name: str) -> None:
        """Remember all tables as they are."""
        self._control("keep", name=name)

    def restore(self, name: str) -> None:
        self._control("restore", name=name)

    def clear(self) -> None:
        self._control("clear")

    def counts(self) -> dict[str, int]:
        """Requests and rows by kind since the last call."""
        return self.counts_by_table().get("", {})

    def counts_by_table(self) -> dict[str, dict[str, int]]:
        """As `counts`, for each table, and for all of them under the name ""."""
        found: dict[str, dict[str, int]] = self._control("counts")
        return found

    def _control(self, what: str, **given: object) -> Any:
        request = urllib.request.Request(f"{self.url}/_bench/{what}", json.dumps(given).encode(), method="POST")  # noqa: S310 - our own loopback address
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=300) as response:
            return json.load(response)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    argparse.ArgumentParser(prog="python -m bench.table_service", description=__doc__).parse_args()
    handler = type("Handler", (_Handler,), {"store": TableStore()})
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
