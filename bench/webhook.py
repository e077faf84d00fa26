"""The webhook: what one delivery costs, without storage and with it, against the bare SDK."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import ceil
from statistics import median
from typing import Any

from azure.data.tables import TableServiceClient

from bench.figures import Curve, Figure, Results
from bench.measuring import Effort, alternately, ratio
from bench.table_service import TableProcess
from lab.fakes.tables import MemoryTables
from shared.rules.rule_set import compile_rules
from shared.storage.limits import OPERATIONS_PER_TRANSACTION
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Create, Row
from shared.storage.tables import Tables
from shared.tickets.configuration import Configuration
from shared.tickets.documents import KeyVaultEvents
from shared.tickets.inbound.ingestor import EventIngestor
from shared.tickets.inbound.quarantine import Quarantine
from shared.tickets.inbound.webhook import DeliveryRecorded, EventGridWebhook
from shared.tickets.reconciler import TicketReconciler
from shared.tickets.store.repository import TicketRepository
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.model import SecretValue, UserPassword

GROUP = "Webhook"
_NOW = datetime(2026, 12, 2, 8, 0, tzinfo=UTC)
VAULT = "acorn-vault"
TOPIC = (
    "/subscriptions/00000000-1111-4222-8333-00000000c0de/resourceGroups/rg-acorn/providers/"
    f"Microsoft.KeyVault/vaults/{VAULT}"
)
HEADERS = {
    "content-type": "application/json",
    "aeg-event-type": "Notification",
    "authorization": "Basic dXNlcm5hbWU6cGFzc3dvcmQ=",
}


class _Passwords:
    def read_pair(self, reference: CredentialReference) -> UserPassword:
        del reference
        return UserPassword("username", "password")

    def read(self, reference: CredentialReference) -> SecretValue:
        raise NotImplementedError(reference)

    def invalidate(self, reference: CredentialReference) -> None:
        del reference


class Events:
    """Near expiry events, no two of one object."""

    def __init__(self) -> None:
        self._number = 0

    def some(self, count: int) -> bytes:
        return json.dumps([self._next() for _ in range(count)]).encode()

    def _next(self) -> dict[str, Any]:
        self._number += 1
        name, version = f"secret-{self._number:07}", f"{self._number:032x}"
        return {
            "id": f"event-{self._number}",
            "topic": TOPIC,
            "subject": name,
            "eventType": "Microsoft.KeyVault.SecretNearExpiry",
            "eventTime": (_NOW - timedelta(minutes=5)).isoformat().replace("+00:00", "Z"),
            "data": {
                "Id": f"https://{VAULT}.vault.azure.net/secrets/{name}/{version}",
                "VaultName": VAULT,
                "ObjectType": "Secret",
                "ObjectName": name,
                "Version": version,
                "NBF": None,
                "EXP": int((_NOW + timedelta(days=20)).timestamp()),
            },
            "dataVersion": "1",
            "metadataVersion": "1",
        }


def event_grid_webhook(tables: Tables) -> EventGridWebhook:
    document = KeyVaultEvents.model_validate(
        {
            "credentials": {"current": {"credential": "webhook"}},
            "allowed_vaults": [{"name": VAULT, "resource_id": TOPIC}],
            "subscriptions": ["deskbridge-kv"],
        }
    )
    configuration = Configuration(document, compile_rules(document.rules()))
    table = tables.table("tickets")
    reconciler = TicketReconciler(TicketRepository(table), now=lambda: _NOW, wait=lambda _: None, clock=lambda: 0.0)
    ingestor = EventIngestor(reconciler, Quarantine(table, lambda: _NOW))
    return EventGridWebhook(lambda: configuration, _Passwords(), ingestor, body_limit=2**21)


def measure(effort: Effort, results: Results) -> None:
    events = Events()
    _without_storage(effort, results, events)
    with TableProcess() as service:
        _with_storage(effort, results, events, service)


def _without_storage(effort: Effort, results: Results, events: Events) -> None:
    """Authenticate, parse, decide, build the transaction; tables in memory take it."""
    count = 20 if effort.quick else 200
    desk = event_grid_webhook(MemoryTables())
    to_deliver, to_parse = (iter([events.some(1) for _ in range(count * (effort.rounds + 1))]) for _ in range(2))

    def deliver() -> None:
        for body in islice(to_deliver, count):
            assert isinstance(desk.receive("POST", HEADERS, body), DeliveryRecorded)

    def parse_and_encode() -> None:
        for body in islice(to_parse, count):
            for event in json.loads(body):
                json.dumps({"PartitionKey": event["topic"], "RowKey": event["id"], **event["data"]})

    taken = alternately({"deliver": deliver, "floor": parse_and_encode}, effort.rounds)
    results.add(
        Figure(
            GROUP,
            "one event, without storage",
            ratio(taken["deliver"], taken["floor"]),
            "×",
            f"json.loads of it and json.dumps of one entity ({median(taken['floor']) / count * 1e6:.0f} µs)",
            f"{median(taken['deliver']) / count * 1e6:.0f} µs a delivery",
            note="five rows are decided and built: object, receipt, ticket with its timeline, two of lists",
        )
    )


def _with_storage(effort: Effort, results: Results, events: Events, service: TableProcess) -> None:
    count = 5 if effort.quick else 50
    large = 20 if effort.quick else 1_000
    tables = RestTables.from_connection_string(service.connection_string)
    desk = event_grid_webhook(tables)
    sdk = TableServiceClient.from_connection_string(service.connection_string).get_table_client("floor")
    numbers = iter(range(10**9))

    def create() -> str:
        key = str(next(numbers))
        sdk.create_entity({"PartitionKey": "p", "RowKey": key, "text": "x" * 200, "at": _NOW, "number": 7})
        return key

    def create_and_read() -> None:
        for _ in range(count):
            sdk.get_entity("p", create())

    def creates() -> None:
        for _ in range(large):
            create()

    rounds = effort.rounds
    one = alternately(
        {"deliver": _deliveries(desk, events, 1, count, rounds), "floor": create_and_read},
        rounds,
    )
    calls = _calls_of(service, _deliveries(desk, events, 1, 1, 0))
    many = alternately(
        {
            "deliver": _deliveries(desk, events, large, 1, rounds),
            "rows": _rows_alone(tables, events.some(large), rounds),
            "floor": creates,
        },
        rounds,
    )
    large_calls = _calls_of(service, _deliveries(desk, events, large, 1, 0))
    rows, transactions = large_calls["rows written"], large_calls["transactions"]
    per_event = {name: median(seconds) / large * 1e6 for name, seconds in many.items()}
    results.add(
        Figure(
            GROUP,
            "one event, with storage",
            ratio(one["deliver"], one["floor"]),
            "×",
            f"one SDK create_entity and one get_entity ({median(one['floor']) / count * 1e6:.0f} µs)",
            f"{median(one['deliver']) / count * 1e6:.0f} µs a delivery",
            aim=1.05,
        ),
        Figure(GROUP, "storage calls of one event", sum(_requests(calls).values()), "calls", absolute=_shown(calls)),
        Figure(
            GROUP,
            f"a delivery of {large:,} events",
            ratio(many["deliver"], many["floor"]),
            "×",
            f"{large:,} SDK create_entity ({per_event['floor']:.0f} µs each)",
            f"{per_event['deliver']:.0f} µs an event; {_shown(large_calls)}",
            aim=0.05,
            note=f"each event is decided and stored as {rows / large:.0f} rows; the floor stores one",
        ),
        Figure(
            GROUP,
            f"a delivery of {large:,} events, row by row",
            ratio(many["deliver"], many["floor"]) * large / rows,
            "×",
            f"as many SDK create_entity as rows ({rows:,}, by the cost of {large:,})",
            f"{per_event['deliver'] * large / rows:.0f} µs a row",
            aim=0.05,
        ),
        Figure(
            GROUP,
            f"a delivery of {large:,} events: its rows alone",
            ratio(many["rows"], many["floor"]),
            "×",
            f"{large:,} SDK create_entity",
            f"{per_event['rows']:.0f} µs an event",
            note="the same rows written as JSON and sent in hundreds, with nothing read and nothing decided",
        ),
        Figure(
            GROUP,
            f"a delivery of {large:,} events: transactions",
            transactions,
            "transactions",
            absolute=f"{rows:,} rows, {rows / transactions:.0f} a transaction",
            aim=ceil(rows / OPERATIONS_PER_TRANSACTION),
        ),
    )
    sizes = (1, 10) if effort.quick else (1, 10, 100, 1_000)
    points = []
    for size in sizes:
        times = max(1, 20 // size)
        [taken] = alternately({"deliver": _deliveries(desk, events, size, times, rounds)}, rounds).values()
        points.append((float(size), median(taken) / times / size * 1e6))
    results.curves.append(
        Curve("webhook", "An event with storage, by size of delivery", "events", "µs CPU an event", {"webhook": points})
    )


def _deliveries(desk: EventGridWebhook, events: Events, size: int, times: int, rounds: int) -> Callable[[], None]:
    """Delivers so many bodies of that size at each call, of which there may be `rounds` and one. They are made here."""
    bodies = iter([events.some(size) for _ in range(times * (rounds + 1))])

    def deliver() -> None:
        for body in islice(bodies, times):
            assert isinstance(desk.receive("POST", HEADERS, body), DeliveryRecorded)

    return deliver


def _rows_alone(tables: Tables, body: bytes, rounds: int) -> Callable[[], None]:
    """Creates the rows of one delivery under new keys at each call, of which there may be `rounds` and one."""
    memory = MemoryTables()
    assert isinstance(event_grid_webhook(memory).receive("POST", HEADERS, body), DeliveryRecorded)
    stored = [(key[1], values) for key, values in memory.contents()["tickets"].items() if key[0] == VAULT]
    # Rows remember how they are written: each call gets its own.
    rows = iter(
        [
            [Create(Row("alone", f"{number}:{row_key}", values)) for row_key, values in stored]
            for number in range(rounds + 1)
        ]
    )
    table = tables.table("alone")

    def send() -> None:
        operations = next(rows)
        for start in range(0, len(operations), OPERATIONS_PER_TRANSACTION):
            table.transact("alone", operations[start : start + OPERATIONS_PER_TRANSACTION])

    return send


def _calls_of(service: TableProcess, deliver: Callable[[], None]) -> dict[str, int]:
    service.counts()
    deliver()
    return service.counts()


def _requests(calls: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in calls.items() if not name.startswith("rows")}


def _shown(calls: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in calls.items())
