"""One import of a realm in a process of its own, and the bare reading of the same pages."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from bench.measuring import Memory
from lab.emulators.authrocket import READ_KEY
from shared.bootstrap.kinds import KINDS
from shared.hosts import AllowedHosts, Service
from shared.imports.plan.model import Trigger
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.runner import ImportRunner
from shared.imports.runs.starter import RunStarter
from shared.index.index import Index
from shared.outbound import Outbound
from shared.settings.store import SettingsStore
from shared.storage.rest_tables import RestTables
from shared.users.documents import AuthRocketRealmDocument
from shared.users.grants import GrantTickets, UserRows
from shared.users.source import KIND, Realms, RealmSourceType
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.model import CredentialUser, SecretValue, UserPassword


class _Key:
    def read(self, reference: CredentialReference, user: CredentialUser) -> SecretValue:
        del reference, user
        return SecretValue(READ_KEY, {}, "vault", "authrocket", "1")

    def read_pair(self, reference: CredentialReference, user: CredentialUser) -> UserPassword:
        raise NotImplementedError(reference)

    def invalidate(self, reference: CredentialReference) -> None:
        del reference


def _no_ticket(**_: Any) -> None:
    """Admins of the stand-in's realm open no tickets here: the import alone is measured."""


def main() -> None:
    given = json.load(sys.stdin)

    def now() -> datetime:
        return datetime.now(UTC)

    tables = RestTables.from_connection_string(given["tables"])
    settings = SettingsStore(tables.table("settings"), KINDS, now)
    hosts = AllowedHosts({Service.AUTHROCKET: ("localhost", "127.0.0.1")})
    realms = Realms(settings, _Key(), Outbound(frozenset({"localhost"})), hosts=hosts)
    runs = RunRepository(tables.table("runs"))
    rows = UserRows(tables.table("users"), Index(tables.table("index")))
    source = RealmSourceType(realms, settings, rows, runs, GrantTickets(tables.table("users"), _no_ticket).deliver)
    runner = ImportRunner(runs, {KIND: source}, now)
    api = realms.api("customers", settings.get(AuthRocketRealmDocument, "customers").document, seconds=3600)
    cpu = time.process_time()
    read = sum(len(page) for page in api.users())
    floor = time.process_time() - cpu
    started = RunStarter(runner).start(KIND, "customers", trigger=Trigger.MANUAL, by="bench")
    memory, cpu = Memory(), time.process_time()
    messages = list(started.messages)
    while messages:
        messages += runner.do_part(messages.pop())
    taken = time.process_time() - cpu
    counts = dict(runner.summary(started.run.id).counts)
    assert counts.get("read") == read, counts
    print(json.dumps({"cpu": taken, "floor": floor, "memory": memory.growth(), "counts": counts}))


if __name__ == "__main__":
    main()
