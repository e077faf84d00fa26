"""`python -m lab.api_load`: many clients at once over all endpoints; all that was acknowledged must be there after."""

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from lab.api_tester import desk_at_work, names_of
from lab.desk import Desk

# What a client does, and how often among hundred things.
_READ = 70


@dataclass
class Findings:
    """What the clients met: answers by status, server errors in words, and what was acknowledged."""

    answers: Counter[int] = field(default_factory=Counter[int])
    faults: list[str] = field(default_factory=list[str])
    notes: set[str] = field(default_factory=set[str])
    assets: set[str] = field(default_factory=set[str])
    documents: Counter[str] = field(default_factory=Counter[str])
    edits: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Client:
    """One caller with a connection of its own."""

    def __init__(self, number: int, desk: Desk, reads: Sequence[str], ticket: str, asset: str, found: Findings) -> None:
        self._number = number
        self._address = urlsplit(desk.url).netloc
        self._key = str(desk.host.keys["default"])
        self._reads = reads
        self._ticket = ticket
        self._asset = asset
        self._found = found
        self._random = random.Random(number)
        self._count = 0

    def work(self, until: float) -> None:
        self._connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            while time.monotonic() < until:
                self._count += 1
                if self._random.randrange(100) < _READ:
                    self.call("GET", self._random.choice(self._reads))
                else:
                    self._random.choice((self._note, self._add, self._write, self._edit))()
        except OSError as error:
            with self._found.lock:
                self._found.faults.append(f"client {self._number}: {error!r}")
        finally:
            self._connection.close()

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, str]:
        """Status, JSON and ETag of an answer; a server error is a finding."""
        self._connection.request(
            method,
            path,
            None if body is None else json.dumps(body),
            {"x-functions-key": self._key, "Content-Type": "application/json", **(headers or {})},
        )
        answer = self._connection.getresponse()
        content = answer.read()
        with self._found.lock:
            self._found.answers[answer.status] += 1
            if answer.status >= 500:
                self._found.faults.append(f"{method} {path}: {answer.status} {content[:300]!r}")
        is_json = "json" in answer.getheader("Content-Type", "") and "ndjson" not in answer.getheader(
            "Content-Type", ""
        )
        return answer.status, json.loads(content) if content and is_json else None, answer.getheader("ETag", "")

    @property
    def _name(self) -> str:
        return f"client-{self._number}-{self._count}"

    def _note(self) -> None:
        text = self._name
        status, _, _ = self.call("POST", f"/api/tickets/{self._ticket}/notes", {"text": text})
        if status == 201:
            with self._found.lock:
                self._found.notes.add(text)

    def _add(self) -> None:
        name = self._name
        status, _, _ = self.call("POST", "/api/assets", {"id": name, "fields": {"name": name}})
        if status == 201:
            with self._found.lock:
                self._found.assets.add(name)

    def _write(self) -> None:
        """A document that a few clients share: one of two writers is told that it moved, and the other wins."""
        name = f"load-{self._number % 10}"
        address = f"/api/settings/sites/{name}"
        status, _, etag = self.call("GET", address)
        headers = {"If-Match": etag} if status == 200 else {}
        status, _, _ = self.call("PUT", address, {"title": self._name, "customer": "Acorn"}, headers)
        if status in {200, 201}:
            with self._found.lock:
                self._found.documents[name] += 1

    def _edit(self) -> None:
        """An asset that all clients count up."""
        status, asset, etag = self.call("GET", f"/api/assets/{quote(self._asset)}")
        if status != 200:
            return
        count = int(asset["fields"].get("model") or 0) + 1
        body = {"fields": {"model": str(count)}}
        status, _, _ = self.call("PATCH", f"/api/assets/{quote(self._asset)}", body, {"If-Match": etag})
        if status == 200:
            with self._found.lock:
                self._found.edits += 1


def load(desk: Desk, clients: int, seconds: float) -> Findings:
    """Let them all loose; what they met, and what of the acknowledged is missing (as faults)."""
    found = Findings()
    ticket = desk.call("GET", "/api/tickets?limit=1")["items"][0]["id"]
    made = desk.call("POST", "/api/assets", b'{"id": "counted", "fields": {"name": "Counted"}}')
    reads = reads_of(desk)
    callers = [_Client(number, desk, reads, ticket, made["id"], found) for number in range(clients)]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=caller.work, args=(until,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _check(desk, found, ticket, made["id"])
    return found


def reads_of(desk: Desk) -> list[str]:
    """An address of every operation that reads, with things that are there."""
    document = desk.call("GET", "/api/openapi.json")
    names = names_of(desk)
    found: list[str] = []
    for path, item in document["paths"].items():
        operation = item.get("get")
        if operation is None:
            continue
        given = names.get(operation["operationId"], {"name": "deskbridge-vault", "kind": "credential-stores"})
        for name, value in given.items():
            path = path.replace(f"{{{name}}}", quote(value))  # noqa: PLW2901 - filled in step by step
        if "{" not in path:
            found.append(path)
    return found


def _check(desk: Desk, found: Findings, ticket: str, asset: str) -> None:
    notes = {note["text"] for note in desk.call("GET", f"/api/tickets/{ticket}")["notes"]}
    lost = found.notes - notes
    assets: set[str] = set()
    after = ""
    while True:
        page = desk.call("GET", f"/api/assets?limit=200{after}")
        assets |= {item["source_id"] for item in page["items"]}
        if page["next"] is None:
            break
        after = f"&after={quote(page['next'])}"
    lost |= found.assets - assets
    for name, count in found.documents.items():
        version = desk.call("GET", f"/api/settings/sites/{name}")["version"]
        if version != count:
            lost.add(f"{name}: version {version} after {count} acknowledged writes")
    counted = desk.call("GET", f"/api/assets/{quote(asset)}")["fields"].get("model", "0")
    if int(counted) != found.edits:
        lost.add(f"counted to {counted} by {found.edits} acknowledged edits")
    found.faults += [f"lost: {one}" for one in sorted(lost)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.api_load", description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    with desk_at_work() as desk:
        found = load(desk, given.clients, given.seconds)
    answers = ", ".join(f"{count} × {status}" for status, count in sorted(found.answers.items()))
    print(f"{given.clients} clients, {given.seconds:.0f} s: {sum(found.answers.values())} answers ({answers})")
    print(
        f"acknowledged: {len(found.notes)} notes, {len(found.assets)} assets, {found.documents.total()} documents, "
        f"{found.edits} edits of one asset; lost or failed: {len(found.faults)}"
    )
    for fault in found.faults[:20]:
        print(f"  {fault}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
