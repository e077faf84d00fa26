"""The desk of a simulation: its settings as operators would write them, and the product put together for one worker."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from azure.storage.blob import ContainerClient

from lab.fakes.tables import MemoryTables
from lab.faults.disturbances import Disturbances
from lab.faults.disturbed_tables import Committed, DisturbedTables, Read
from lab.faults.operator_access import OperatorAccess
from lab.faults.scenario import ACCOUNTS, BEGINS, REALM, REALM_ID, REGIONS, TENANT, VAULTS, Scenario, resource_id
from lab.faults.secret_rotation import SECRETS
from lab.faults.simulated_authrocket import ENDPOINT, SimulatedNetwork
from lab.faults.simulated_services import SimulatedContainer, SimulatedEc2, SimulatedVault, SimulatedVaultObjects
from lab.faults.simulation import Simulation
from shared import bootstrap
from shared.access.audit import UNAUDITED
from shared.access.strangers import REFUSALS
from shared.bootstrap.kinds import KINDS
from shared.environment import load_environment
from shared.hosts import AllowedHosts, Service
from shared.imports.part_rows import PartRows
from shared.index.index import Index
from shared.outbox.gathered import GatheredOutbox
from shared.reasons import Reason
from shared.records.index_rows import moved_by
from shared.records.match_rows import MatchRows
from shared.records.model import MANUAL_PARTITION, Key, column_of
from shared.settings.store import SettingsStore
from shared.storage.names import INDEX_TABLE, TICKETS_TABLE, VAULTS_TABLE
from shared.storage.rows import Create, Row, Value
from shared.tickets.domain.model import ChangeType, KeyVaultEvent, ObjectType
from shared.tickets.inbound.quarantine import Quarantine
from shared.tickets.store.repository import TicketRepository, create_receipt

SETTINGS_BY = "operator"
_STORE = {"vault_url": "https://acorn-vault.vault.azure.net", "method": "system_assigned"}


def write_settings(tables: MemoryTables, scenario: Scenario) -> None:
    """Write the settings, and the assets that stand there by hand. Nothing goes wrong here."""
    settings = SettingsStore(tables.table("settings"), KINDS, lambda: BEGINS)

    def put(kind: str, name: str, content: Mapping[str, Any]) -> None:
        settings.put(kind, name, content, by=SETTINGS_BY)

    put("credential-stores", "kv", _STORE)
    for name in (*SECRETS, "webhook-previous", "authrocket-webhook-previous"):
        put("credentials", name, {"store": "kv", "secret": name, "scope": "any"})
    put("customers", "st-johns", {"title": "St Johns High School"})
    put("sites", "leeds", {"title": "Leeds", "customer": "st-johns"})
    put("sites", "york", {"title": "York", "customer": "st-johns"})
    put("asset-types", "server", {"title": "Server"})
    if "tickets" in scenario.flows:
        for vault in VAULTS:
            put("credential-stores", f"of-{vault}", {**_STORE, "vault_url": f"https://{vault}.vault.azure.net"})
        vaults = VAULTS if scenario.steps.late_vault_at is None else VAULTS[:1]
        put("key-vault-events", "default", _events(scenario, vaults))
        _leave_old_rows(tables)
    if "ec2" in scenario.flows:
        put("aws-tenants", TENANT, _tenant(scenario))
    if "users" in scenario.flows:
        put("authrocket-realms", REALM, _realm(scenario))
    for name, number in scenario.manual_assets.items():
        columns: dict[str, Value] = {"active": True, "source_id": name, "created_at": BEGINS}
        columns |= {column_of("name"): name, column_of("asset-number"): number}
        index = Index(tables.table(INDEX_TABLE))
        rows = PartRows(tables.table("assets"), index, GatheredOutbox(tables, {}, lambda: BEGINS))
        MatchRows(index, "assets").announce([(Key(MANUAL_PARTITION, name), columns)], BEGINS)
        moved = [one for one in [moved_by(name, {}, columns, is_new=True)] if one is not None]
        rows.write(MANUAL_PARTITION, [Create(Row(MANUAL_PARTITION, name, columns))], moved)


def _leave_old_rows(tables: MemoryTables) -> None:
    """What the removal of old rows finds: receipts of an event, and an event that nobody took up."""
    repository, long_ago = TicketRepository(tables.table(TICKETS_TABLE)), BEGINS - timedelta(days=100)
    repository.ensure_scope(VAULTS[0])
    for number in range(3):
        event = KeyVaultEvent(
            f"old-{number}", "any", VAULTS[0], ChangeType.EXPIRED, ObjectType.SECRET, "old", "aa", long_ago
        )
        repository.table.transact(VAULTS[0], [create_receipt(event, long_ago)])
    Quarantine(repository.table, lambda: long_ago).keep({"old": True}, Reason.VAULT_NOT_ALLOWED, "It is old.")


def assemble(
    scenario: Scenario,
    tables: MemoryTables,
    simulation: Simulation,
    disturbances: Disturbances,
    committed: Committed,
    read: Read,
    container: SimulatedContainer,
    hurry: Callable[[str], None],
    later: Callable[[str, float], None],
) -> None:
    """Stand the simulated parts in for the real ones, in the objects of the worker whose turn it is."""
    bootstrap.replace("environment", load_environment({**_environment(), "AzureWebJobsStorage": "simulated"}))
    bootstrap.replace("callers_are_signed_in", False)
    bootstrap.replace("access_tokens", OperatorAccess())
    # It is of the process, and a schedule must not know of another one before it.
    REFUSALS.forget(simulation.monotonic)
    bootstrap.replace("tables", DisturbedTables(tables, simulation, disturbances, committed, read))
    bootstrap.replace("outbox_messages", hurry)
    if not is_audited(scenario):
        # There its calls would only stand between those that are played.
        bootstrap.replace("audit", UNAUDITED)
    bootstrap.replace("vaults", SimulatedVault(scenario, simulation, disturbances))
    bootstrap.replace("ec2", SimulatedEc2(scenario, simulation, disturbances, bootstrap.credentials()))
    from shared.tickets.inbound.dead_letters import DeadLetters
    from shared.tickets.inbound.sweep import VaultSweep
    from shared.tickets.inbound.sweeps import Sweeps
    from shared.tickets.inbound.vault_discovery import ListedVaults
    from shared.users.source import Clock, Realms

    def open_vault(store: str, _vault: str) -> SimulatedVaultObjects:
        return SimulatedVaultObjects(scenario, store.removeprefix("of-"), simulation, disturbances)

    def list_vaults(store: str, _token: str, _names: Sequence[str]) -> ListedVaults:
        raise AssertionError(f"no simulated pattern names a store: {store}")

    configuration, reconciler = bootstrap.ticket_configuration(), bootstrap.ticket_reconciler()
    step, table = VaultSweep(bootstrap.tickets(), reconciler), bootstrap.tables().table(VAULTS_TABLE)
    further = (bootstrap.now, later, list_vaults, bootstrap.conditions())
    bootstrap.replace("sweeps", Sweeps(table, configuration, open_vault, step, *further))
    client = cast("ContainerClient", container)
    letters = DeadLetters(client, configuration, bootstrap.event_ingestor(), bootstrap.quarantine())
    bootstrap.replace("dead_letters", letters)
    clock = Clock(simulation.monotonic, simulation.sleep)
    hosts = AllowedHosts({Service.AUTHROCKET: (urlsplit(ENDPOINT).hostname or "",)})
    realms = Realms(bootstrap.settings(), bootstrap.credentials(), SimulatedNetwork(), clock, hosts)
    bootstrap.replace("realms", realms)


def is_audited(scenario: Scenario) -> bool:
    """Whether changes write to the audit trail, through the outbox."""
    return "users" in scenario.flows


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("DESKBRIDGE_")}


def allowed(scenario: Scenario, vaults: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of allowed vaults; the first has a site, where its objects are counted."""
    stores = {vault: {"store": f"of-{vault}"} for vault in vaults} if scenario.swept else {}
    sites = {vault: {"site": "leeds"} for vault in vaults[:1]}
    return [
        {"name": vault, "resource_id": resource_id(vault), **stores.get(vault, {}), **sites.get(vault, {})}
        for vault in vaults
    ]


def _events(scenario: Scenario, vaults: Sequence[str]) -> dict[str, Any]:
    rules = [
        {
            "name": "pressing",
            "criteria": [
                {"field": "object_type", "operator": "equals", "value": "secret"},
                {"field": "days_to_expiry", "operator": "less_than", "value": 32},
            ],
            "priority": "critical",
            "team": "Platform",
        },
        {
            "name": "no new versions of keys",
            "criteria": [{"field": "event_type", "operator": "equals", "value": "KeyNewVersionCreated"}],
            "open": False,
        },
    ]
    return {
        "credentials": {"current": {"credential": "webhook"}, "previous": {"credential": "webhook-previous"}},
        "allowed_vaults": allowed(scenario, vaults),
        "ticket_rules": rules,
        "dead_letters": "keep" if scenario.steps.keeps_dead_letters else "replay",
    }


def _tenant(scenario: Scenario) -> dict[str, Any]:
    places: dict[str, list[str]] = {}
    for part in scenario.parts:
        if part != REALM_ID:
            account, _, region = part.partition(":")
            places.setdefault(account, []).append(region)
    accounts: list[dict[str, Any]] = []
    for account, regions in places.items():
        entry: dict[str, Any] = {"account": account}
        entry["regions"] = "all" if scenario.policies["all_regions"] else regions
        if account != ACCOUNTS[0]:
            entry["role"] = f"arn:aws:iam::{account}:role/deskbridge"
        accounts.append(entry)
    mappings: list[dict[str, Any]] = [
        {"source": "tags.Name", "field": "name"},
        {"source": "tags.AssetNumber", "field": "asset-number"},
        {"source": "tags.Note", "field": "notes"},
    ]
    if scenario.policies["new_fields"]:
        size = {"source": "InstanceType", "field": "size", "field_type": "custom_field", "create_field": True}
        mappings.append(size)
    types: dict[str, Any] = {"default": "server"}
    if scenario.policies["types_by_field"]:
        mappings.append({"source": "InstanceType", "field": "model"})
        types = {"mode": "field", "field": "model", "default": "server"}
    content: dict[str, Any] = {
        "title": "Acorn Construction",
        "syncing": True,
        "access": {"method": "access_key", "access_key_id": "AKIAEXAMPLE", "secret": {"credential": "aws"}},
        "accounts": accounts,
        "regions": list(REGIONS),
        "field_mappings": mappings,
        "asset_type": types,
        "default_site": "leeds",
        **_leaving(scenario, "deactivate_deleted"),
    }
    return content | ({"matching_field": "asset-number"} if scenario.policies["matching"] else {})


def _realm(scenario: Scenario) -> dict[str, Any]:
    return {
        "title": "Customers",
        "syncing": True,
        "endpoint_url": ENDPOINT,
        "api_key": {"credential": "authrocket"},
        "realm": REALM_ID,
        "page_size": 3,
        "default_site": "leeds",
        "deactivate_inactive": True,
        "organisations": scenario.steps.organisations,
        "ticket_on_admin_grant": scenario.steps.organisations,
        "webhook": {
            "current": {"credential": "authrocket-webhook"},
            "previous": {"credential": "authrocket-webhook-previous"},
        },
        **_leaving(scenario, "deactivate_vanished"),
    }


def _leaving(scenario: Scenario, deactivates: str) -> dict[str, Any]:
    brake = {"share": 0.3, "at_least": 2} if scenario.policies["braking"] else {"share": 0.3, "at_least": 100}
    return {deactivates: True, "grace_days": scenario.policies["grace_days"], "brake": brake}
