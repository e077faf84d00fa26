"""The AuthRocket import: a realm of users, new and unchanged, for a user."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.figures import Figure, Results
from bench.measuring import Effort, in_process
from bench.table_service import TableProcess
from lab.emulators.authrocket import AuthRocketLab
from lab.emulators.key_vault.authority import CertificateAuthority
from shared.bootstrap.kinds import KINDS
from shared.settings.store import SettingsStore
from shared.storage.rest_tables import RestTables

GROUP = "Users"


def measure(effort: Effort, results: Results) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        TableProcess() as service,
        AuthRocketLab(tls=CertificateAuthority(Path(folder)).server_context(), user_count=effort.users) as lab,
    ):
        trusted = {"REQUESTS_CA_BUNDLE": str(CertificateAuthority(Path(folder)).certificate)}
        tables = RestTables.from_connection_string(service.connection_string)
        settings = SettingsStore(tables.table("settings"), KINDS, lambda: datetime.now(UTC))
        store = {"vault_url": "https://vault.vault.azure.net", "method": "system_assigned"}
        settings.put("credential-stores", "vault", store, by="bench")
        settings.put("customers", "acorn", {"title": "Acorn Construction"}, by="bench")
        settings.put("sites", "leeds", {"title": "Leeds", "customer": "acorn"}, by="bench")
        realm = {
            "title": "Customers",
            "endpoint_url": lab.url,
            "api_key": {"in_place": {"store": "vault", "secret": "authrocket"}},
            "realm": lab.realm_id,
            "default_site": "leeds",
        }
        settings.put("authrocket-realms", "customers", realm, by="bench")
        service.keep("empty")
        taken: dict[str, list[dict[str, float]]] = {"all new": [], "unchanged": []}
        calls: dict[str, int] = {}
        for _ in range(effort.rounds):
            service.restore("empty")
            for found in taken.values():
                service.counts()
                found.append(in_process("bench.user_subject", {"tables": service.connection_string}, trusted))
                calls = service.counts()
        floors = [one["floor"] for one in taken["unchanged"]]
    for name, found in taken.items():
        results.add(
            Figure(
                GROUP,
                f"{effort.users:,} users {name}",
                median(one["cpu"] / floor for one, floor in zip(found, floors, strict=True)),
                "×",
                f"reading the same pages alone ({median(floors) / effort.users * 1e6:.0f} µs a user)",
                f"{median(one['cpu'] for one in found) / effort.users * 1e6:.0f} µs a user; "
                f"memory growth {median(one['memory'] for one in found):.0f} MiB",
                note="" if name == "all new" else f"storage calls: {calls}",
            )
        )
