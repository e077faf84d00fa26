"""A desk with realms, on tables in memory: settings, credentials, the import engine, and AuthRocket's stand-in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.emulators.authrocket import READ_KEY, AuthRocketLab
from shared.bootstrap.kinds import KINDS
from shared.hosts import AllowedHosts, Service
from shared.imports.plan.model import Trigger
from shared.imports.runs.model import Summary
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.runner import ImportRunner, PartMessage
from shared.imports.runs.starter import RunStarter
from shared.index.index import Index
from shared.outbound import Outbound
from shared.records.match_rows import MatchRows
from shared.records.model import Key
from shared.records.table import RecordTable
from shared.settings.store import SettingsStore
from shared.storage.rows import Create, Row, Save, Value
from shared.storage.tables import Tables
from shared.users.grants import GrantTickets, UserRows
from shared.users.model import partition_of
from shared.users.source import KIND, Clock, Realms, RealmSourceType
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.model import CredentialUser, SecretValue, UserPassword
from tests.fakes.tables import KilledError, MemoryTables

# What a deployer of the lab allows.
LAB_HOSTS = AllowedHosts({Service.AUTHROCKET: ("localhost", "127.0.0.1")})
BEGINNING = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
API_KEY: Mapping[str, Any] = {"in_place": {"store": "vault", "secret": "authrocket"}}
WEBHOOK: Mapping[str, Any] = {"current": {"in_place": {"store": "vault", "secret": "webhook"}}}


def copied(tables: MemoryTables) -> MemoryTables:
    """The same rows in tables of their own."""
    copy = MemoryTables()
    for name, table in tables.tables.items():
        for row in table.rows.values():
            copy.table(name).transact(row.partition_key, [Save(row)])
    return copy


def killer(after: int, when: str) -> Callable[[str, str, str], None]:
    """A watch that kills the worker at a call of the users' table: `after` calls later, before or after it took place.

    The engine's own tests kill at every other call.
    """
    left = after

    def watch(table: str, verb: str, moment: str) -> None:
        nonlocal left
        if moment == when and table == "users":
            if left == 0:
                raise KilledError
            left -= 1

    return watch


@dataclass
class Secrets:
    """A vault's secrets by name; those missing cannot be read. A pair of `held` is read until it is refused."""

    texts: dict[str, str] = field(default_factory=lambda: {"authrocket": READ_KEY})
    pairs: dict[str, UserPassword] = field(default_factory=dict)
    held: dict[str, UserPassword] = field(default_factory=dict)
    refusals: int = 0
    fails: Exception | None = None

    def read(self, reference: CredentialReference, user: CredentialUser) -> SecretValue:
        if self.fails is not None:
            raise self.fails
        assert reference.in_place is not None
        name = reference.in_place.secret
        return SecretValue(self.texts[name], {}, "vault", name, "1")

    def read_pair(self, reference: CredentialReference, user: CredentialUser) -> UserPassword:
        if self.fails is not None:
            raise self.fails
        assert reference.in_place is not None
        name = reference.in_place.secret
        return self.held.get(name) or self.pairs[name]

    def invalidate(self, reference: CredentialReference) -> None:
        self.refusals += 1
        self.held.clear()


@dataclass
class Tickets:
    """What a ticket service keeps: one ticket a condition."""

    opened: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: int = 0

    def __call__(
        self, *, realm: str, user_id: str, condition: str, summary: str, details: str, site: str, at: datetime
    ) -> None:
        self.calls += 1
        self.opened.setdefault(condition, {"summary": summary, "details": details, "site": site, "at": at})


ON_LOOPBACK = Outbound(frozenset({"localhost"}))


class Desk:
    """Time stands still between steps: move it by `wait`."""

    def __init__(self, lab: AuthRocketLab, tables: Tables | None = None, tickets: Tickets | None = None) -> None:
        self.lab = lab
        self.tables = tables or MemoryTables()
        self.moment = BEGINNING
        self.settings = SettingsStore(self.tables.table("settings"), KINDS, self.now)
        self.secrets = Secrets()
        self.tickets = tickets or Tickets()
        self.waits: list[float] = []
        self.rows = UserRows(self.tables.table("users"), Index(self.tables.table("index")))
        self.records = RecordTable(self.tables.table("users"), index=Index(self.tables.table("index")))
        self.runs = RunRepository(self.tables.table("runs"))
        clock = Clock(sleep=self.waits.append)
        self.realms = Realms(self.settings, self.secrets, ON_LOOPBACK, clock, LAB_HOSTS)
        self.grants = GrantTickets(self.tables.table("users"), self.tickets)
        self.source = RealmSourceType(self.realms, self.settings, self.rows, self.runs, self.grants.deliver)
        self.runner = ImportRunner(self.runs, {KIND: self.source}, self.now)

    def now(self) -> datetime:
        return self.moment

    def wait(self, **time: float) -> None:
        self.moment += timedelta(**time)

    def store_by_hand(self, key: str, values: Mapping[str, Value]) -> None:
        """A user that somebody made at the desk, as the table has it."""
        MatchRows(Index(self.tables.table("index")), "users").announce([(Key("manual", key), values)], self.moment)
        self.tables.table("users").transact("manual", [Create(Row("manual", key, values))])

    def set_up(self, name: str = "customers", **changes: Any) -> None:
        """The sites, the store, and a realm's document with `changes`."""
        store = {"vault_url": "https://vault.vault.azure.net", "method": "system_assigned"}
        self.settings.put("credential-stores", "vault", store, by="test", if_match="*")
        self.settings.put("customers", "acorn", {"title": "Acorn Construction"}, by="test", if_match="*")
        for site, title in (("london-hq", "London HQ"), ("leeds", "Leeds")):
            document = {"title": title, "customer": "acorn"}
            self.settings.put("sites", site, document, by="test", if_match="*")
        realm = {
            "title": "Customers",
            "syncing": True,
            "endpoint_url": self.lab.url,
            "api_key": API_KEY,
            "realm": self.lab.realm_id,
            "default_site": "london-hq",
            **changes,
        }
        self.settings.put(KIND, name, realm, by="test", if_match="*")

    def run(self, name: str = "customers", **options: Any) -> Summary:
        """One import by hand, to its end."""
        started = RunStarter(self.runner).start(KIND, name, trigger=Trigger.MANUAL, by="test", **options)
        self.work(list(started.messages))
        return self.runner.summary(started.run.id)

    def work(self, messages: list[PartMessage]) -> None:
        """What the queue does with messages that pass."""
        while messages:
            messages += self.runner.do_part(messages.pop(0))

    def users(self, realm: str | None = None) -> dict[str, Row]:
        """The users' rows by AuthRocket id, links left out."""
        page = self.records.page([], 1000, None)
        partition_key = partition_of(realm or self.lab.realm_id)
        return {row.text("source_id"): row for row in page.rows if row.partition_key == partition_key}

    def entries(self, summary: Summary, *actions: str) -> list[dict[str, Any]]:
        found, after = self.runs.entries.page(summary.run.id, actions)
        while after is not None:
            more, after = self.runs.entries.page(summary.run.id, actions, after=after)
            found += more
        return found
