"""`python -m lab.api_load`: many clients at once call every operation of the API; all that was acknowledged must be
there after, and every answer be one that the OpenAPI document knows."""

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient

from lab.api_accepted import Accepted, Aftermath
from lab.api_client import FAILED_ENTRY, FREE_SECRET, Reply, Stage
from lab.api_operations import Known, Operation, address_of, operations_of, query_of
from lab.api_tester import desk_at_work
from lab.api_ticket_writes import LATER, STRANGE, WEBHOOK, event
from lab.api_token_writes import failed_entry
from lab.api_writes import WRITES, Writer
from lab.desk import WEBHOOK_PASSWORD, WEBHOOK_USER, Desk, DeskError
from lab.emulators.event_grid import DeadLetterBlobs, vault_resource_id
from shared.storage.names import DEAD_LETTERS_CONTAINER

# How often each is called, beside the others. What costs much is called less, as people do.
_WEIGHTS: Mapping[str, float] = {
    "show_readiness": 0.3,
    "show_openapi": 0.3,
    "show_summary": 0.5,
    "export_settings": 0.5,
    "check_authrocket_realm": 0.5,
    "check_aws_tenant": 0.3,
    "check_credential": 0.5,
    "check_credential_store": 0.5,
    "delete_setting": 1,
    "replay_dead_letters": 0.5,
    "sweep_vaults_now": 0.3,
    # Each makes every worker read all tokens again.
    "make_administrator_token": 0.3,
    "make_calendar_token": 0.3,
    "make_token": 0.5,
    "revoke_token": 0.5,
    "start_authrocket_import": 0.3,
    "start_ec2_import": 0.3,
}
_READING, _WRITING = 3.0, 2.0
# An import is running: AuthRocket delivers again after such an answer, and so do the clients here.
_PUT_OFF = ("receive_authrocket_event", "import_running")
_TURNS = 20


@dataclass
class Findings:
    """What the clients met: answers by operation and status, and what was wrong, in sentences."""

    calls: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict[str, Counter[int]](Counter[int]))
    put_off: int = 0
    faults: list[str] = field(default_factory=list[str])
    accepted: Accepted = field(default_factory=Accepted)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, sentence: str) -> None:
        with self.lock:
            self.faults.append(sentence)

    @property
    def answers(self) -> Counter[int]:
        """By status, of all operations."""
        return sum(self.calls.values(), Counter[int]())

    @property
    def succeeded(self) -> set[str]:
        """The operations that were answered with what they are there for, at least once."""
        with self.lock:
            return {name for name, statuses in self.calls.items() if any(200 <= status < 300 for status in statuses)}


class Client:
    """One caller with a connection of its own."""

    def __init__(self, number: int, operations: Mapping[str, Operation], stage: Stage, found: Findings) -> None:
        self._number = number
        self._address = urlsplit(stage.desk.url).netloc
        self._headers = {
            "X-Api-Key": stage.desk.tokens["administrator"],
            "x-functions-key": str(stage.desk.host.keys["default"]),
            "Content-Type": "application/json",
        }
        self._operations = operations
        self._known = stage.known
        self._found = found
        self._random = random.Random(number)
        self._following: dict[str, tuple[str, str]] = {}
        self._writer = Writer(number, self, stage)

    def work(self, first: Sequence[str], until: float) -> None:
        """Call these operations first, and then any until the time is over."""
        self._connection = http.client.HTTPConnection(self._address, timeout=120)
        names = list(self._operations)
        weights = [
            _WEIGHTS.get(name, _READING if operation.reads else _WRITING)
            for name, operation in self._operations.items()
        ]
        with closing(self._connection):
            for name in first:
                for _ in range(_TURNS):
                    self._do(name)
                    # Another may have been faster at what only one of them can have.
                    if name in self._found.succeeded:
                        break
            while time.monotonic() < until:
                self._do(self._random.choices(names, weights)[0])

    def call(
        self,
        operation: str,
        address: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        query: str = "",
    ) -> Reply:
        """Call it; whatever the document does not know of the answer is a finding."""
        declared = self._operations[operation]
        address = address or address_of(declared, self._known, self._random) or declared.path
        reply = self._counted(declared, f"{address}{query}", body, headers)
        turns = 1
        while reply.status == 503 and (operation, _reason_of(reply)) == _PUT_OFF:
            with self._found.lock:
                self._found.put_off += 1
            if turns == _TURNS:
                # AuthRocket goes on for two days; the daily import brings it too.
                return reply
            time.sleep(0.5)
            turns += 1
            reply = self._counted(declared, f"{address}{query}", body, headers)
        if reply.status >= 500 or reply.status not in declared.statuses:
            self.fault(f"{declared.method} {address}{query}: {reply.status} {str(reply.json)[:300]}")
        known, reason = declared.reasons.get(reply.status), _reason_of(reply)
        if reason is not None and known and reason not in known:
            self.fault(f"{declared.method} {address}: the document does not know {reply.status} {reason}")
        return reply

    def fault(self, sentence: str) -> None:
        self._found.fault(sentence)

    def _do(self, name: str) -> None:
        try:
            if name in WRITES:
                WRITES[name](self._writer)
            else:
                self._by_the_document(self._operations[name])
        except (OSError, http.client.HTTPException) as error:
            self.fault(f"{name}: {error!r}")
            self._connection.close()

    def _by_the_document(self, operation: Operation) -> None:
        """With things that are there, and the example of a body."""
        address = address_of(operation, self._known, self._random)
        if address is None:
            return
        # Half of the time the page that follows the last one.
        token = None
        if operation.id in self._following and self._random.random() < 0.5:
            address, token = self._following.pop(operation.id)
        query = query_of(operation, token, self._random)
        reply = self.call(operation.id, address, None if operation.reads else operation.example, query=query)
        if reply.ok and operation.reads:
            self._known.learn(address, reply.json)
            after = reply.json.get("next") if isinstance(reply.json, dict) else None
            if after:
                self._following[operation.id] = (address, after)

    def _counted(self, operation: Operation, address: str, body: Any, headers: Mapping[str, str] | None) -> Reply:
        reply = self._send(operation.method, address, body, headers)
        with self._found.lock:
            self._found.calls[operation.id][reply.status] += 1
        return reply

    def _send(self, method: str, address: str, body: Any, headers: Mapping[str, str] | None) -> Reply:
        self._connection.request(
            method,
            address,
            None if body is None else json.dumps(body),
            {**self._headers, **(headers or {})},
        )
        answer = self._connection.getresponse()
        content = answer.read()
        kind = answer.getheader("Content-Type", "").partition(";")[0]
        is_json = kind in {"application/json", "application/problem+json"}
        return Reply(answer.status, json.loads(content) if content and is_json else None, answer.getheader("ETag", ""))


def _reason_of(reply: Reply) -> str | None:
    return reply.json.get("reason") if isinstance(reply.json, dict) and reply.status >= 400 else None


def load(desk: Desk, clients: int, seconds: float) -> Findings:
    """Let them all loose; what they met, and what of the acknowledged is missing (as faults)."""
    operations = operations_of(desk.call("GET", "/api/v1/openapi.json"))
    found = Findings()
    blobs = DeadLetterBlobs(desk.connection_string, DEAD_LETTERS_CONTAINER)
    with closing(blobs):
        stage = _set_up(desk, operations, found.accepted, blobs)
        callers = [Client(number, operations, stage, found) for number in range(clients)]
        # Dealt out, so that each is called however short the time is; what needs something to be there comes last.
        order = sorted(operations, key=lambda name: (not operations[name].reads, name in WRITES, name))
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=caller.work, args=(order[number::clients], until))
            for number, caller in enumerate(callers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found.faults += Aftermath(desk, found.accepted).missing()
    return found


def _set_up(desk: Desk, operations: Mapping[str, Operation], accepted: Accepted, blobs: DeadLetterBlobs) -> Stage:
    """Things to work on: counted records, documents, events in the quarantine, a webhook for AuthRocket."""
    known = Known()
    known.put("/api/events/authrocket", "customers")
    container = ContainerClient.from_connection_string(desk.connection_string, DEAD_LETTERS_CONTAINER)
    with container, suppress(ResourceExistsError):
        container.create_container()
    kinds = next(one["schema"]["enum"] for one in operations["list_settings"].parameters if one["name"] == "kind")
    counted = {
        "asset": _made(desk, "assets", "counted"),
        "user": _made(desk, "users", "counted"),
        "imported asset": f"/api/v1/assets/{desk.call('GET', '/api/v1/assets?limit=1')['items'][0]['id']}",
        "imported user": f"/api/v1/users/{desk.call('GET', '/api/v1/users?limit=1')['items'][0]['id']}",
    }
    realm = desk.call("GET", "/api/v1/settings/authrocket-realms/customers")["document"]
    assert desk.vaults is not None
    # A secret of its own: that of the other webhook is kept for Key Vault's events.
    password = json.dumps({"username": WEBHOOK_USER, "password": WEBHOOK_PASSWORD})
    desk.vaults.vault("deskbridge-vault").add_secret(FREE_SECRET, password)
    webhook = {"current": {"in_place": {"store": "deskbridge-vault", "secret": FREE_SECRET}}}
    _put(desk, "authrocket-realms", "customers", {**realm, "webhook": webhook})
    events = desk.call("GET", "/api/v1/settings/key-vault-events/default")["document"]
    accepted.strays.update(f"stray-{number}" for number in range(5))
    accepted.later.update(f"later-{number}" for number in range(20))
    _deliver(desk, [event(STRANGE, name) for name in sorted(accepted.strays)])
    known.learn("strays", desk.call("GET", "/api/v1/quarantine"))
    _deliver(desk, [event(LATER, name) for name in sorted(accepted.later)])
    # These are quarantined, and from now on they can be recorded.
    allowed = [*events["allowed_vaults"], {"name": LATER, "resource_id": vault_resource_id(LATER)}]
    _put(desk, "key-vault-events", "default", {**events, "allowed_vaults": allowed})
    for number in range(0, 10, 2):
        _put(desk, "sites", f"load-{number}", {"title": f"title-{number}", "customer": "acorn"})
        accepted.titles[f"load-{number}"].add(f"title-{number}")
    known.put(FAILED_ENTRY, failed_entry(desk.connection_string))
    for address in ("assets", "users", "tickets", "runs", "quarantine", *(f"settings/{kind}" for kind in kinds)):
        known.learn(f"/api/v1/{address}", desk.call("GET", f"/api/v1/{address}?limit=200"))
    # No event comes any more that would say something new about it.
    policy = desk.call("GET", "/api/v1/tickets?kind=access_policy")["items"][0]["id"]
    return Stage(desk, known, accepted, blobs, counted, policy)


def _made(desk: Desk, what: str, name: str) -> str:
    body = json.dumps({"id": name, "fields": {"name": name}}).encode()
    return f"/api/v1/{what}/{desk.call('POST', f'/api/v1/{what}', body)['id']}"


def _put(desk: Desk, kind: str, name: str, document: Any) -> None:
    body = json.dumps({"documents": [{"kind": kind, "name": name, "document": document}]}).encode()
    desk.call("POST", "/api/v1/settings", body)


def _deliver(desk: Desk, events: Sequence[Any]) -> None:
    with closing(http.client.HTTPConnection(urlsplit(desk.url).netloc, timeout=60)) as connection:
        connection.request("POST", "/api/events/key-vault", json.dumps(events), WEBHOOK)
        answer = connection.getresponse()
        if answer.status != 200:
            raise DeskError(f"the events were not taken: {answer.status} {answer.read()!r}")


def report(found: Findings) -> str:
    """Calls by operation and status, what was acknowledged, and what was wrong."""
    statuses = sorted(found.answers)
    width = max(map(len, found.calls))
    lines = [" " * width + "".join(f"{status:>7}" for status in statuses)]
    for name in sorted(found.calls):
        counts = found.calls[name]
        lines.append(name.ljust(width) + "".join(f"{counts[status] or '':>7}" for status in statuses))
    lines.append("all".ljust(width) + "".join(f"{found.answers[status]:>7}" for status in statuses))
    lines.append(f"acknowledged: {found.accepted.describe()}")
    if found.put_off:
        lines.append(f"put off while an import ran, and delivered again: {found.put_off}")
    lines.append(f"wrong, lost or doubled: {len(found.faults)}")
    return "\n".join([*lines, *(f"  {fault}" for fault in found.faults[:40])])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.api_load", description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    with desk_at_work() as desk:
        found = load(desk, given.clients, given.seconds)
        operations = operations_of(desk.call("GET", "/api/v1/openapi.json"))
    print(f"{given.clients} clients, {given.seconds:.0f} s: {found.answers.total()} answers")
    print(report(found))
    left_out = sorted(set(operations) - found.succeeded)
    if left_out:
        print(f"never answered as they should: {', '.join(left_out)}")
    return 1 if found.faults or left_out else 0


if __name__ == "__main__":
    sys.exit(main())
