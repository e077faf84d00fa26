"""The webhook: what one delivery costs with its storage, against the bare SDK."""

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import ceil
from statistics import median
from typing import Any

from azure.data.tables import TableClient, TableServiceClient

from bench.figures import Curve, Figure, Results
from bench.measuring import Effort, alternately, ratio
from bench.table_service import TableProcess
from shared.outbox.gathered import GatheredOutbox
from shared.rules.rule_set import compile_rules
from shared.storage.rest_tables import RestTables
from shared.storage.rows import OPERATIONS_PER_TRANSACTION
from shared.storage.tables import Tables
from shared.tickets.configuration import Configuration
from shared.tickets.documents import KeyVaultEvents
from shared.tickets.inbound.ingestor import EventIngestor
from shared.tickets.inbound.quarantine import Quarantine
from shared.tickets.inbound.webhook import DeliveryRecorded, EventGridWebhook
from shared.tickets.reconciler import TicketReconciler
from shared.tickets.store.repository import TicketRepository
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.model import CredentialUser, SecretValue, UserPassword

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
    def read_pair(self, reference: CredentialReference, user: CredentialUser) -> UserPassword:
        del reference, user
        return UserPassword("username", "password")

    def read(self, reference: CredentialReference, user: CredentialUser) -> SecretValue:
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
    # Whatever follows is not carried out here: a delivery only writes it down.
    repository = TicketRepository(table, GatheredOutbox(tables, {}, lambda: _NOW))
    reconciler = TicketReconciler(repository, now=lambda: _NOW, wait=lambda _: None, clock=lambda: 0.0)
    ingestor = EventIngestor(
        reconciler, Quarantine(table, lambda: _NOW), now=lambda: _NOW, secret_changed=lambda _vault, _secret: None
    )
    return EventGridWebhook(lambda: configuration, _Passwords(), ingestor, body_limit=2**21)


def measure(effort: Effort, results: Results) -> None:
    events = Events()
    with TableProcess() as service:
        tables = RestTables.from_connection_string(service.connection_string)
        sdk = TableServiceClient.from_connection_string(service.connection_string).get_table_client("floor")
        desk, floor = event_grid_webhook(tables), _Floor(sdk)
        _one_event(effort, results, service, _Deliveries(desk, events), floor)
        _many_events(effort, results, service, _Deliveries(desk, events), floor)
        _add_curve(effort, results, _Deliveries(desk, events))


class _Floor:
    """What the bare SDK costs, a row at a time."""

    def __init__(self, table: TableClient) -> None:
        self._table = table
        self._numbers = itertools.count()

    def create(self) -> str:
        key = str(next(self._numbers))
        self._table.create_entity({"PartitionKey": "p", "RowKey": key, "text": "x" * 200, "at": _NOW, "number": 7})
        return key

    def create_and_read(self, times: int) -> None:
        for _ in range(times):
            self._table.get_entity("p", self.create())

    def create_many(self, times: int) -> None:
        for _ in range(times):
            self.create()


class _Deliveries:
    """Deliveries of new events. Their bodies are made before anything is measured."""

    def __init__(self, desk: EventGridWebhook, events: Events) -> None:
        self._desk = desk
        self._events = events

    def of(self, size: int, times: int, rounds: int) -> Callable[[], None]:
        """Delivers so many bodies of that size at each call, of which there may be `rounds` and one."""
        bodies = iter([self._events.some(size) for _ in range(times * (rounds + 1))])

        def deliver() -> None:
            for body in islice(bodies, times):
                assert isinstance(self._desk.receive("POST", HEADERS, body), DeliveryRecorded)

        return deliver

    def calls_of(self, service: TableProcess, size: int) -> dict[str, int]:
        """What one delivery asks of the tables."""
        deliver = self.of(size, 1, 0)
        service.counts()
        deliver()
        return service.counts()


def _one_event(effort: Effort, results: Results, service: TableProcess, deliveries: _Deliveries, floor: _Floor) -> None:
    count = 5 if effort.quick else 50
    taken = alternately(
        {"deliver": deliveries.of(1, count, effort.rounds), "floor": lambda: floor.create_and_read(count)},
        effort.rounds,
    )
    calls = deliveries.calls_of(service, 1)
    requests = sum(number for name, number in calls.items() if not name.startswith("rows"))
    results.add(
        Figure(
            GROUP,
            "one event",
            ratio(taken["deliver"], taken["floor"]),
            "×",
            f"one SDK create_entity and one get_entity ({median(taken['floor']) / count * 1e6:.0f} µs)",
            f"{median(taken['deliver']) / count * 1e6:.0f} µs a delivery",
            budget=1.05,
        ),
        Figure(GROUP, "storage calls of one event", requests, "calls", absolute=_shown(calls)),
    )


def _many_events(
    effort: Effort, results: Results, service: TableProcess, deliveries: _Deliveries, floor: _Floor
) -> None:
    count = 20 if effort.quick else 1_000
    taken = alternately(
        {"deliver": deliveries.of(count, 1, effort.rounds), "floor": lambda: floor.create_many(count)},
        effort.rounds,
    )
    calls = deliveries.calls_of(service, count)
    rows, transactions = calls["rows written"], calls["transactions"]
    per_event = {name: median(seconds) / count * 1e6 for name, seconds in taken.items()}
    results.add(
        Figure(
            GROUP,
            f"a delivery of {count:,} events",
            ratio(taken["deliver"], taken["floor"]),
            "×",
            f"{count:,} SDK create_entity ({per_event['floor']:.0f} µs each)",
            f"{per_event['deliver']:.0f} µs an event; {_shown(calls)}",
            budget=0.30,
            note=f"each event is decided and stored as {rows / count:.0f} rows; the floor stores one",
        ),
        Figure(
            GROUP,
            f"a delivery of {count:,} events: transactions",
            transactions,
            "transactions",
            absolute=f"{rows:,} rows, {rows / transactions:.0f} a transaction",
            budget=ceil(rows / OPERATIONS_PER_TRANSACTION),
        ),
    )


def _add_curve(effort: Effort, results: Results, deliveries: _Deliveries) -> None:
    points = []
    for size in (1, 10) if effort.quick else (1, 10, 100, 1_000):
        times = max(1, 20 // size)
        taken = alternately({"deliver": deliveries.of(size, times, effort.rounds)}, effort.rounds)["deliver"]
        points.append((float(size), median(taken) / times / size * 1e6))
    results.curves.append(
        Curve("webhook", "An event, by size of its delivery", "events", "µs CPU an event", {"webhook": points})
    )


def _shown(calls: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in calls.items())
