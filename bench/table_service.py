"""A table service in a process of its own, quick enough that what is measured is its client: 100,000 rows in seconds.

It speaks the wire format that Azure does (pages, continuation headers, transactions, ETags) for the requests that the
product sends, checks no signature, and counts. The real emulator takes minutes for such tables; what is true of it is
tested in `tests/storage`.
"""

import argparse
import itertools
import json
import re
import sys
import threading
import urllib.request
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from lab.emulators.startable import ServingProcess, Startable

_ADDRESS = re.compile(r"/acorn/(\w+)\(PartitionKey='(.*)',RowKey='(.*)'\)")
_WORD = re.compile(r"'(?:[^']|'')*'|[()]|[^\s()']+")
_DATETIME = re.compile(r"datetime'[^']*'")

Entity = Mapping[str, Any]


@dataclass
class Partition:
    """The rows of one partition, by row key and in order. Rows are never changed, only replaced."""

    rows: dict[str, Entity] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def copy(self) -> "Partition":
        return Partition(dict(self.rows), list(self.order))

    def put(self, row_key: str, entity: Entity) -> None:
        if row_key not in self.rows:
            if not self.order or row_key > self.order[-1]:
                self.order.append(row_key)
            else:
                insort(self.order, row_key)
        self.rows[row_key] = entity

    def remove(self, row_key: str) -> None:
        del self.rows[row_key]
        del self.order[bisect_left(self.order, row_key)]


class TableService:
    """All tables of the account `acorn`.

    `counts` holds requests and operations by kind since it was last asked, for each table and, under "", for all.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tables: dict[str, dict[str, Partition]] = {}
        self.kept: dict[str, dict[str, dict[str, Partition]]] = {}
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._etags = itertools.count(1)

    def control(self, what: str, given: Mapping[str, Any]) -> object:
        if what == "keep":
            self.kept[given["name"]] = self._copy(self.tables)
        elif what == "restore":
            self.tables = self._copy(self.kept[given["name"]])
        elif what == "clear":
            self.tables = {}
        elif what == "counts":
            counts = {table: dict(counter) for table, counter in self.counts.items()}
            self.counts.clear()
            return counts
        return None

    def _count(self, table: str, what: str, number: int = 1) -> None:
        for name in ("", table):
            self.counts[name][what] += number

    def find(self, table: str, partition_key: str, row_key: str) -> Entity | None:
        self._count(table, "reads")
        partition = self.tables.get(table, {}).get(partition_key)
        return partition.rows.get(row_key) if partition else None

    def page(self, table: str, query: Mapping[str, str]) -> tuple[list[Entity], tuple[str, str] | None]:
        """Rows, and the keys of the next one."""
        self._count(table, "pages")
        conditions = _Conditions(query.get("$filter", ""))
        select = query["$select"].split(",") if "$select" in query else None
        size = int(query.get("$top", 1000))
        start = (query.get("NextPartitionKey", ""), query.get("NextRowKey", ""))
        found: list[Entity] = []
        partitions = self.tables.get(table, {})
        for partition_key in sorted(partitions) if conditions.partition is None else [conditions.partition]:
            if partition_key not in partitions or partition_key < start[0]:
                continue
            partition = partitions[partition_key]
            first = max(conditions.lowest, start[1] if partition_key == start[0] else "")
            for place in range(bisect_left(partition.order, first), len(partition.order)):
                row_key = partition.order[place]
                if conditions.beyond(row_key):
                    break
                entity = partition.rows[row_key]
                if conditions.hold(entity):
                    if len(found) == size:
                        self._count(table, "rows read", size)
                        return found, (partition_key, row_key)
                    found.append(entity if select is None else _narrowed(entity, select))
        self._count(table, "rows read", len(found))
        return found, None

    def transact(self, operations: list[tuple[str, str, str, str, str, Entity | None]]) -> tuple[int, list[str]]:
        """All or none; the place of the operation that failed with its status, or the ETags."""
        self._count(operations[0][1], "transactions")
        for number, (method, table, partition_key, row_key, etag, _) in enumerate(operations):
            present = self.tables.get(table, {}).get(partition_key, Partition()).rows.get(row_key)
            if method == "POST" and present is not None:
                return 409, [str(number)]
            if etag and (present is None or etag not in {"*", present["odata.etag"]}):
                return 412 if present else 404, [str(number)]
        etags: list[str] = []
        for method, table, partition_key, row_key, _, entity in operations:
            self._count(table, "rows written")
            partition = self.tables.setdefault(table, {}).setdefault(partition_key, Partition())
            if method == "DELETE":
                partition.remove(row_key)
                etags.append("")
                continue
            etags.append(f"W/\"datetime'2026-01-01T00%3A00%3A00.{next(self._etags):07}Z'\"")
            stays = partition.rows[row_key] if method == "PATCH" else {}
            partition.put(row_key, {**stays, **(entity or {}), "odata.etag": etags[-1]})
        return 202, etags

    @staticmethod
    def _copy(tables: dict[str, dict[str, Partition]]) -> dict[str, dict[str, Partition]]:
        return {name: {key: one.copy() for key, one in partitions.items()} for name, partitions in tables.items()}


class _Conditions:
    """A filter, with what it says of the keys taken out so that a page begins where it must."""

    def __init__(self, text: str) -> None:
        self.partition: str | None = None
        self.lowest = ""
        self._highest: str | None = None
        words = [_literal(word) for word in _WORD.findall(_DATETIME.sub(lambda found: found.group()[8:], text))]
        self._hold = _compiled(words) if words else (lambda _: True)
        for place, word in enumerate(words):
            if words[place + 1 : place + 2] == ["eq"] and word == "PartitionKey":
                self.partition = words[place + 2][1]
            if word == "RowKey" and "or" not in words:
                comparison, value = words[place + 1], words[place + 2][1]
                if comparison in {"ge", "gt", "eq"}:
                    self.lowest = max(self.lowest, value)
                if comparison in {"lt", "le", "eq"}:
                    self._highest = value if self._highest is None else min(self._highest, value)

    def beyond(self, row_key: str) -> bool:
        return self._highest is not None and row_key > self._highest

    def hold(self, entity: Entity) -> bool:
        return self._hold(entity)


def _literal(word: str) -> Any:
    """A value as a pair, a name or operator as it stands."""
    if word.startswith("'"):
        return "value", word[1:-1].replace("''", "'")
    if word in {"true", "false"}:
        return "value", word == "true"
    if re.fullmatch(r"-?\d+L?", word):
        return "value", int(word.rstrip("L"))
    return word


def _compiled(words: list[Any]) -> Callable[[Entity], bool]:
    # The words are this module's own or quoted by repr: nothing of a request is run as it came.
    names = {"eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    parts: list[str] = []
    for word in words:
        if isinstance(word, tuple):
            parts.append(repr(word[1]))
        elif word in {"and", "or", "(", ")"}:
            parts.append(word)
        else:
            parts.append(names.get(word) or f"row.get({word!r}, absent)")
    source = " ".join(parts)
    holds: Callable[[Entity, object], bool] = eval(f"lambda row, absent: {source}")  # noqa: S307 - see above
    return lambda row: bool(holds(row, _ABSENT))


class _Absent:
    """Compares as nothing does."""

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0

    def __lt__(self, other: object) -> bool:
        return False

    __gt__ = __le__ = __ge__ = __lt__


_ABSENT = _Absent()


def _narrowed(entity: Entity, select: list[str]) -> Entity:
    kept = {"odata.etag": entity["odata.etag"]}
    for column in select:
        if column in entity:
            kept[column] = entity[column]
            annotation = f"{column}@odata.type"
            if annotation in entity:
                kept[annotation] = entity[annotation]
    return kept


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    service: TableService

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        address = _ADDRESS.fullmatch(parts.path)
        with self.service.lock:
            if address:
                keys = [unquote(key).replace("''", "'") for key in address.groups()]
                entity = self.service.find(*keys)
                if entity is None:
                    self._send(404, b"{}", {"x-ms-error-code": "ResourceNotFound"})
                else:
                    self._send(200, json.dumps(entity).encode())
                return
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            rows, following = self.service.page(parts.path.split("/")[-1].removesuffix("()"), query)
        headers = {}
        if following is not None:
            headers = {"x-ms-continuation-NextPartitionKey": following[0], "x-ms-continuation-NextRowKey": following[1]}
        self._send(200, json.dumps({"value": rows}).encode(), headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_bench/"):
            with self.service.lock:
                result = self.service.control(self.path.removeprefix("/_bench/"), json.loads(body or b"{}"))
            self._send(200, json.dumps(result).encode())
        elif self.path.endswith("/$batch"):
            with self.service.lock:
                status, answers = self.service.transact(_operations(body))
            self._send_batch(status, answers)
        elif self.path.endswith("/Tables"):
            self._send(201, b'{"TableName": "any"}')
        else:
            self._create(body)

    def _create(self, body: bytes) -> None:
        entity = json.loads(body)
        keys = (urlsplit(self.path).path.split("/")[-1], entity["PartitionKey"], entity["RowKey"])
        with self.service.lock:
            status, answers = self.service.transact([("POST", *keys, "", entity)])
        self._send(204 if status == 202 else status, b"", {"ETag": answers[0]})

    def _send_batch(self, status: int, answers: list[str]) -> None:
        parts: list[str] = []
        if status == 202:
            parts = [f"HTTP/1.1 204 No Content\r\nETag: {etag}\r\n\r\n" for etag in answers]
        else:
            code = {409: "EntityAlreadyExists", 412: "UpdateConditionNotSatisfied", 404: "ResourceNotFound"}[status]
            message = json.dumps({"odata.error": {"code": code, "message": {"value": f"{answers[0]}:No."}}})
            parts = [f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\n\r\n{message}"]
        head = "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        body = (
            "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
            + "".join(f"{head}{part}\r\n" for part in parts)
            + "--changesetresponse_1--\r\n--batchresponse_1--\r\n"
        )
        self._send(202, body.encode(), {"Content-Type": "multipart/mixed; boundary=batchresponse_1"})

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


def _operations(body: bytes) -> list[tuple[str, str, str, str, str, Entity | None]]:
    boundary = body.split(b"boundary=", 1)[1].split(b"\r\n", 1)[0]
    found: list[tuple[str, str, str, str, str, Entity | None]] = []
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
    handler = type("Handler", (_Handler,), {"service": TableService()})
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
