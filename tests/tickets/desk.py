"""A desk for the tests: the recording service on any tables, with settings and passwords that a test chooses."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from functions.key_vault_events import answer_delivery
from lab.emulators.event_grid.subscription import basic_authorization
from shared import bootstrap
from shared.counts.levels import CountsLevels
from shared.counts.partition_row import PartitionCounts
from shared.errors import DeskbridgeError
from shared.index.index import Index
from shared.outbox.gathered import GatheredHandler, GatheredOutbox
from shared.rules.rule_set import compile_rules
from shared.storage.rows import Value
from shared.storage.tables import Tables, scan
from shared.tickets.configuration import Configuration
from shared.tickets.desk.editor import TicketEditor
from shared.tickets.desk.lists import TicketLists
from shared.tickets.documents import KeyVaultEvents
from shared.tickets.domain.model import Note
from shared.tickets.inbound.ingestor import EventIngestor
from shared.tickets.inbound.quarantine import Quarantine
from shared.tickets.inbound.webhook import EventGridWebhook
from shared.tickets.reconciler import TicketReconciler
from shared.tickets.store.repository import TicketRepository
from shared.tickets.store.ticket_index import TicketIndex
from shared.tickets.transactions import UsesOf
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.model import CredentialUser, SecretValue, UserPassword
from tests.fakes.tables import MemoryTables
from tests.outbox.settling import settle

PAYLOADS = Path(__file__).parents[1] / "payloads" / "event_grid"
VAULT = "acorn-vault"
SITES = ("leeds", "london-hq")
AZURE_SUBSCRIPTION = "00000000-1111-4222-8333-00000000c0de"
NOW = datetime(2026, 12, 2, 8, 0, tzinfo=UTC)
# When the last event of the payload files has happened.
AFTERWARDS = datetime(2027, 6, 1, 8, 0, tzinfo=UTC)
# The guide's own example: `username:password` is `Basic dXNlcm5hbWU6cGFzc3dvcmQ=`.  KV-12
USERNAME, PASSWORD = "username", "password"
AUTHORIZATION = "Basic dXNlcm5hbWU6cGFzc3dvcmQ="


def resource_id(vault: str) -> str:
    return f"/subscriptions/{AZURE_SUBSCRIPTION}/resourceGroups/rg-acorn/providers/Microsoft.KeyVault/vaults/{vault}"


def settings(*vaults: str, **members: Any) -> dict[str, Any]:
    """A settings document as an operator writes it."""
    return {
        "credentials": {"current": {"credential": "webhook"}},
        "allowed_vaults": [{"name": vault, "resource_id": resource_id(vault)} for vault in vaults or (VAULT,)],
        "subscriptions": ["deskbridge-kv"],
        **members,
    }


def configuration(*vaults: str, **members: Any) -> Configuration:
    document = KeyVaultEvents.model_validate(settings(*vaults, **members))
    return Configuration(document, compile_rules(document.rules()))


@dataclass(frozen=True)
class WebhookAnswer:
    """What goes back over HTTP. `body` None is an empty one."""

    status: int
    body: dict[str, Any] | None
    headers: Mapping[str, str]


class Passwords:
    """Credentials by name, as a test wants them: a pair, or the error that reading it raises."""

    def __init__(self, **pairs: tuple[str, str] | DeskbridgeError) -> None:
        self.pairs: dict[str, tuple[str, str] | DeskbridgeError] = dict(pairs)
        self.held: dict[str, tuple[str, str]] = {}
        self.reads = 0

    def read_pair(self, reference: CredentialReference, user: CredentialUser) -> UserPassword:
        self.reads += 1
        name = reference.credential or ""
        pair = self.held.get(name) or self.pairs[name]
        if isinstance(pair, DeskbridgeError):
            raise pair
        self.held[name] = pair
        return UserPassword(*pair)

    def read(self, reference: CredentialReference, user: CredentialUser) -> SecretValue:
        raise NotImplementedError(reference)

    def invalidate(self, reference: CredentialReference) -> None:
        self.held.pop(reference.credential or "", None)


class Desk:
    """The whole of the ticket feature behind its endpoint."""

    def __init__(
        self,
        tables: Tables | None = None,
        configured: Configuration | None = None,
        passwords: Passwords | None = None,
        body_limit: int = 1_572_864,
        uses_of: UsesOf | None = None,
        now: datetime = NOW,
    ) -> None:
        self.tables = tables or MemoryTables()
        self.configured: Configuration | None = configured or configuration()
        self.passwords = passwords or Passwords(webhook=(USERNAME, PASSWORD))
        self.now = now
        self.changed_secrets: list[tuple[str, str]] = []
        table = self.tables.table("tickets")
        self.index = Index(self.tables.table("index"))
        follows = TicketIndex(self.index, self.tables, lambda: self.now)
        self.counts = CountsLevels(self.tables, lambda: self.now, lambda: 0.0)
        handlers: dict[str, GatheredHandler] = {
            "tickets": follows.carry_out,
            "counts": PartitionCounts(self.tables).carry_out,
            "counts-copy": self.counts.carry_out,
        }
        self.outbox = GatheredOutbox(self.tables, handlers, lambda: self.now)
        self.repository = TicketRepository(table, self.outbox)
        self.lists = TicketLists(self.index, self.outbox, self.repository, lambda: self.now)
        self.quarantine = Quarantine(table, lambda: self.now)
        self.reconciler = TicketReconciler(
            self.repository,
            now=lambda: self.now,
            wait=lambda _seconds: None,
            clock=lambda: 0.0,
            uses_of=uses_of,
        )
        self.ingestor = EventIngestor(
            self.reconciler,
            self.quarantine,
            now=lambda: self.now,
            secret_changed=lambda vault, secret: self.changed_secrets.append((vault, secret)),
        )
        self.webhook = EventGridWebhook(lambda: self.configured, self.passwords, self.ingestor, body_limit=body_limit)

    def settle(self) -> None:
        """Carry out what is to follow from what was written: lists show it from then on."""
        settle(self.outbox)

    def editor(self, now: Callable[[], datetime]) -> TicketEditor:
        """What people work with."""

        def site_fault(site: object) -> str | None:
            return None if site in SITES else f"there is no document sites/{site}: name one of {', '.join(SITES)}"

        return TicketEditor(self.repository, self.lists, self.reconciler, lambda: self.configured, now, site_fault)

    def receive(self, method: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
        """One request, through the trigger's own translation."""
        answer = answer_delivery(lambda: self.webhook, method, headers, body)
        content = answer.get_body()
        return WebhookAnswer(answer.status_code, json.loads(content) if content else None, dict(answer.headers))

    def post(self, body: bytes | str | Sequence[Any] | Mapping[str, Any], **headers: str) -> WebhookAnswer:
        """One delivery. Header names are written with underscores; `authorization=""` leaves it out."""
        sent = {"content-type": "application/json", "aeg-event-type": "Notification", "authorization": AUTHORIZATION}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, str):
            body = body.encode()
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.receive("POST", {name: value for name, value in sent.items() if value}, content)

    def post_file(self, name: str, **headers: str) -> WebhookAnswer:
        return self.post((PAYLOADS / name).read_bytes(), **headers)

    def options(self, **headers: str) -> WebhookAnswer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.receive("OPTIONS", sent, b"")

    def rows(self, prefix: str) -> list[dict[str, Value]]:
        """All rows of all vaults whose row key begins so, in key order."""
        table = self.tables.table("tickets")
        return [dict(row.values) for row in scan(table, []) if row.row_key.startswith(prefix)]

    def listed(self, name: str) -> list[dict[str, Value]]:
        """The rows of the list of all tickets (`open`, `due`, `done`), once the index has followed."""
        self.settle()
        rows = scan(self.tables.table("index"), [])
        return [dict(row.values) for row in rows if row.partition_key.startswith(f"tickets:{name}:all:")]

    def tickets(self) -> list[dict[str, Value]]:
        return sorted(self.rows("ticket:"), key=lambda row: (str(row["object_name"]), str(row["ticket_key"])))

    def ticket(self, name: str, kind: str = "expiry") -> dict[str, Value]:
        found = [row for row in self.tickets() if (row["object_name"], row["kind"]) == (name, kind)]
        assert len(found) == 1, found
        return found[0]

    def texts(self, ticket_id: object) -> list[str]:
        return [note.text for note in self.notes(ticket_id)]

    def notes(self, ticket_id: object) -> list[Note]:
        """The timeline of a ticket, oldest first."""
        [ticket] = [row for row in scan(self.tables.table("tickets"), []) if row.row_key == f"ticket:{ticket_id}"]
        return self.repository.notes(ticket)


def ingest_afterwards() -> None:
    """Have the app take events in as it will once those of the payload files have happened."""
    ingestor = EventIngestor(
        bootstrap.ticket_reconciler(),
        bootstrap.quarantine(),
        now=lambda: AFTERWARDS,
        secret_changed=lambda vault, secret: bootstrap.credentials().secret_changed(vault, secret),
    )
    bootstrap.replace("event_ingestor", ingestor)


def pair(username: str, password: str) -> str:
    return basic_authorization(username, password)
