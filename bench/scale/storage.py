"""The storage account: tables that keep only what was written, queues that hand on to the host. With their limits."""

import base64
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from bench.scale.doors import Answer
from bench.scale.engine import Call, Engine
from bench.table_service import operations_of, read, transact
from bench.table_store import TableStore

CONNECTION = (
    "AccountName=acorn;AccountKey=a2V5;"
    "TableEndpoint=https://acorn.table.example/acorn;QueueEndpoint=https://acorn.queue.example/acorn"
)
_PARTITION = re.compile(r"PartitionKey(?:='| eq ')((?:[^']|'')*)'")
_MESSAGE = re.compile(rb"<MessageText>([^<]*)</MessageText>")
_BUSY = (
    503,
    b'{"odata.error": {"code": "ServerBusy", "message": {"value": "The server is busy."}}}',
    {"Retry-After": "0"},
)


class Storage:
    """`store` holds the rows; another one may stand in for it while something is prepared."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.store = TableStore()

    def tables(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        del headers
        path = url[url.index("/acorn/") :]
        if method == "GET":
            return self._read(path)
        if not path.startswith("/acorn/$batch"):
            return 201, b'{"TableName": "any"}', {}
        operations = operations_of(body)
        _, table, partition, *_ = operations[0]
        rows = len(operations)
        if not self._charge("table transaction", f"{table}/{partition}", rows):
            return _BUSY
        return transact(self.store, operations)

    def queues(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        del headers
        name = urlsplit(url).path.split("/")[2]
        if not self._engine.charge(message_to(name)):
            return _BUSY
        found = _MESSAGE.search(body) if method == "POST" else None
        if found is None:
            return 200, b"", {"x-ms-approximate-messages-count": "0"}
        seconds = float(parse_qs(urlsplit(url).query).get("visibilitytimeout", ["0"])[0])
        self._engine.send(name, base64.b64decode(found[1]).decode(), seconds)
        return 201, b"", {}

    def _read(self, path: str) -> Answer:
        parts = urlsplit(path)
        words = parts.path if "(PartitionKey=" in parts.path else parse_qs(parts.query).get("$filter", [""])[0]
        found = _PARTITION.search(words)
        table = parts.path.split("/")[2].split("(")[0]
        answer = read(self.store, path)
        if "(PartitionKey=" in parts.path:
            what, rows = "table read", 1
        else:
            what, rows = "table page", max(1, answer[1].count(b'"RowKey"'))
        return answer if self._charge(what, f"{table}/{found[1] if found else '*'}", rows) else _BUSY

    def _charge(self, what: str, whose: str, rows: int) -> bool:
        asked = (("rows of a partition", whose, rows), ("requests of the account", "", 1))
        return self._engine.charge(Call(what, asked, rows, whose.partition("/")[0]))


def message_to(queue: str) -> Call:
    """One message, in or out."""
    return Call("queue message", (("messages of a queue", queue, 1),))
