"""The desk of the network level: Microsoft's clients, and requests, on emulators behind proxies.

Only time is simulated, and EC2, whose reader is tried by itself (`network_level_ec2`).

Tables and dead letters are on the storage emulator. Secrets and objects are in vaults of the lab that hold what the
scenario has. Tokens come from the lab's identity endpoint, and the realm is served over TLS.
"""

import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from azure.storage.blob import ContainerClient

from lab.emulators.key_vault import VaultLab
from lab.fakes.tables import MemoryTables
from lab.faults.concurrent_changes import ConcurrentChanges
from lab.faults.disturbances import CALM, Disturbances
from lab.faults.network_level_proxy import FaultProxy
from lab.faults.network_level_services import ForwardedService, ForwardedVault, ServedRealm, Upstream
from lab.faults.operator_access import OperatorAccess
from lab.faults.scenario import BEGINS, REALM, VAULTS, Scenario, SweptObject
from lab.faults.secret_rotation import SECRETS, stored
from lab.faults.simulated_authrocket import ENDPOINT, RealmApi
from lab.faults.simulated_desk import SETTINGS_BY, write_settings
from lab.faults.simulated_services import SimulatedEc2
from lab.faults.simulation import instead_of_real_time
from lab.hosts import LAB_HOSTS
from shared import bootstrap, telemetry
from shared.access.audit import UNAUDITED
from shared.bootstrap.kinds import KINDS
from shared.environment import load_environment
from shared.settings.store import SettingsStore
from shared.settings.stored import document_as_json
from shared.storage.names import DEAD_LETTERS_CONTAINER
from shared.storage.rest_tables import RestTables
from shared.storage.tables import Tables
from shared.users.documents import AuthRocketRealmDocument

# The libraries' own patience, shortened: a silent proxy must not cost 15 s each time.
_QUICK: Mapping[str, Any] = {
    "retry_total": 2,
    "retry_backoff_factor": 0.02,
    "retry_backoff_max": 0.2,
    "connection_timeout": 2,
    "read_timeout": 0.5,
}
_SILENT_SECONDS = 0.7
_PATIENCE_SECONDS = 0.5
_BEGINS = BEGINS + timedelta(hours=2)
_SECRETS_VAULT = "desk-vault"
_AZURE = "https://vault.azure.net"
_COUNTED_AS = {_SECRETS_VAULT: "secrets", **dict.fromkeys(VAULTS, "vault")}
_RATES = {"tables": 0.1, "blobs": 0.3, "identity": 0.4, "authrocket": 0.2, "secrets": 0.3, "vault": 0.25}


class VirtualClock:
    """The time of a play: it goes on by itself, and by every wait."""

    def __init__(self) -> None:
        self.at = _BEGINS

    def restart(self) -> None:
        self.at = _BEGINS

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=max(seconds, 0))

    def pause(self) -> None:
        """Nobody else is there."""


class NetworkLevelDesk:
    """All other services of one scenario, each behind its proxy; `connection_string` is of an empty storage account."""

    def __init__(self, scenario: Scenario, seed: int, connection_string: str) -> None:
        self.scenario = scenario
        self.clock = VirtualClock()
        self.proxies: dict[str, FaultProxy] = {}
        self._seed = seed
        self._connection_string = connection_string
        self._stack = ExitStack()
        self._lab = VaultLab(_vaults(scenario))

    def __enter__(self) -> "NetworkLevelDesk":
        with self._stack:
            self._stack.enter_context(self._lab)
            for service, kind in (("tables", "Table"), ("blobs", "Blob")):
                self._put_proxy_before(service, ForwardedService(_endpoint(self._connection_string, kind)))
            identity = urlsplit(self._lab.identity_url)
            self._put_proxy_before("identity", ForwardedService(f"{identity.scheme}://{identity.netloc}"))
            clock: Any = self.clock
            changes = ConcurrentChanges(self.scenario, clock, Disturbances(random.Random(0), rates=CALM))
            self._put_proxy_before("authrocket", ServedRealm(RealmApi(self.scenario, clock, changes)), tls=True)
            for vault in (_SECRETS_VAULT, *VAULTS):
                upstream = ForwardedVault(self._lab.vault(vault).url, self._lab.ca_certificate)
                self._put_proxy_before(vault, upstream, tls=True)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _put_proxy_before(self, service: str, upstream: Upstream, *, tls: bool = False) -> None:
        context = self._lab.authority.server_context() if tls else None
        name = _COUNTED_AS.get(service, service)
        seed = self._seed + 1000 * len(self.proxies)
        proxy = FaultProxy(upstream, seed=seed, silent_seconds=_SILENT_SECONDS, name=name, tls=context)
        self.proxies[service] = self._stack.enter_context(proxy)

    # Moods

    def begin_trouble(self) -> None:
        for service, proxy in self.proxies.items():
            proxy.rate = _RATES[_COUNTED_AS.get(service, service)]

    def calm_down(self) -> None:
        for proxy in self.proxies.values():
            proxy.rate = 0.0

    @property
    def injected(self) -> Counter[str]:
        return sum((proxy.injected for proxy in self.proxies.values()), Counter[str]())

    @property
    def requests(self) -> int:
        return sum(proxy.requests for proxy in self.proxies.values())

    # Storage

    def direct_tables(self) -> RestTables:
        return RestTables.from_connection_string(self._connection_string)

    def spoilt_tables(self) -> RestTables:
        return RestTables.from_connection_string(self._spoilt, **_QUICK)

    def direct_letters(self) -> ContainerClient:
        return ContainerClient.from_connection_string(self._connection_string, DEAD_LETTERS_CONTAINER)

    @property
    def _spoilt(self) -> str:
        found = self._connection_string
        for service, kind in (("tables", "Table"), ("blobs", "Blob")):
            found = found.replace(f"{_endpoint(found, kind)}/", f"{self.proxies[service].url}/")
        return found

    def settings_rows(self) -> MemoryTables:
        """The settings of the scenario, with the addresses of its proxies."""
        tables = MemoryTables()
        write_settings(tables, self.scenario)
        settings = SettingsStore(tables.table("settings"), KINDS, lambda: BEGINS)
        for store, vault in (("kv", _SECRETS_VAULT), *((f"of-{vault}", vault) for vault in VAULTS)):
            content = {"vault_url": self.proxies[vault].url, "vault_name": vault, "resource": _AZURE}
            content |= {"method": "system_assigned"}
            settings.put("credential-stores", store, content, by=SETTINGS_BY, if_match="*")
        realm = document_as_json(settings.get(AuthRocketRealmDocument, REALM).document)
        realm["endpoint_url"] = self.proxies["authrocket"].url + urlsplit(ENDPOINT).path
        settings.put("authrocket-realms", REALM, realm, by=SETTINGS_BY, if_match="*")
        return tables

    # The product

    @contextmanager
    def composed(self, tables: Tables) -> Iterator[None]:
        """The product put together over these tables; all else goes through the proxies."""
        environment = self._environment()
        before = bootstrap.swap_instances({})
        with ExitStack() as stack:
            stack.callback(bootstrap.swap_instances, before)
            stack.enter_context(patch.dict("os.environ", environment))
            stack.enter_context(patch.object(bootstrap, "now", self.clock.now))
            stack.enter_context(patch("shared.users.authrocket.http.SILENCE_SECONDS", _PATIENCE_SECONDS))
            me = {threading.current_thread()}
            stack.enter_context(instead_of_real_time(me, self.clock.sleep, self.clock.monotonic))
            self._assemble(tables, environment)
            yield

    def _assemble(self, tables: Tables, environment: Mapping[str, str]) -> None:
        from shared.tickets.inbound.dead_letters import DeadLetters
        from shared.users.source import Clock, Realms
        from shared.vaults.key_vault import KeyVaultClients

        # As the composition root does with the environment.
        telemetry.quieten_sdks()
        loaded = load_environment({**environment, "AzureWebJobsStorage": "through the proxy"})
        bootstrap.replace("environment", loaded)
        bootstrap.replace("callers_are_signed_in", False)
        bootstrap.replace("access_tokens", OperatorAccess())
        bootstrap.replace("tables", tables)
        # Its own tests kill the outbox at every call; here its calls would only stand between those that are played.
        bootstrap.replace("audit", UNAUDITED)
        bootstrap.replace("vaults", KeyVaultClients(loaded, read_seconds=_PATIENCE_SECONDS))
        calm = Disturbances(random.Random(0), rates=CALM)
        clock: Any = self.clock
        bootstrap.replace("ec2", SimulatedEc2(self.scenario, clock, calm, bootstrap.credentials()))
        container = ContainerClient.from_connection_string(
            self._spoilt, DEAD_LETTERS_CONTAINER, retry_total=3, connection_timeout=2, read_timeout=_PATIENCE_SECONDS
        )
        letters = DeadLetters(
            container, bootstrap.ticket_configuration(), bootstrap.event_ingestor(), bootstrap.quarantine()
        )
        bootstrap.replace("dead_letters", letters)
        realms = Realms(
            bootstrap.settings(),
            bootstrap.credentials(),
            bootstrap.outbound(),
            Clock(self.clock.monotonic, self.clock.sleep),
            bootstrap.allowed_hosts(),
        )
        bootstrap.replace("realms", realms)

    def _environment(self) -> dict[str, str]:
        identity = urlsplit(self._lab.identity_url)
        return {
            **self._lab.environment(),
            "IDENTITY_ENDPOINT": f"{self.proxies['identity'].url}{identity.path}",
            # The lab's own authority alone: the public ones beside it would be read anew for every connection.
            "REQUESTS_CA_BUNDLE": str(self._lab.ca_certificate),
            "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "false",
            "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS": "localhost",
            **LAB_HOSTS,
        }


def _endpoint(connection_string: str, kind: str) -> str:
    found = re.search(rf"{kind}Endpoint=(http://[^/;]+)", connection_string)
    assert found is not None
    return found[1]


def _vaults(scenario: Scenario) -> dict[str, Any]:
    """A lab whose vaults hold the desk's secrets, and what the scenario's vaults have."""
    secrets = [
        {"name": name, "value": stored(scenario, name, BEGINS)}
        for name in (*SECRETS, "webhook-previous", "authrocket-webhook-previous")
    ]
    reads = [{"principal": "desk", "roles": ["Key Vault Secrets User"]}]
    lists = [{"principal": "desk", "roles": ["Key Vault Reader"]}]
    vaults: list[dict[str, Any]] = [{"name": _SECRETS_VAULT, "grants": reads, "secrets": secrets}]
    for vault in VAULTS:
        held: dict[str, Any] = {"name": vault, "grants": lists, "secrets": [], "keys": [], "certificates": []}
        for one in scenario.swept[vault]:
            held[f"{one.object_type}s"].append(_document(one))
        vaults.append(held)
    return {"identities": [{"name": "desk", "kind": "system"}], "vaults": vaults}


def _document(one: SweptObject) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": one.name,
        "version": one.version,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "enabled": one.enabled,
    }
    return document | ({"value": "of no meaning"} if one.object_type == "secret" else {})


def vault_holds(objects: Sequence[SweptObject], certified: str) -> list[SweptObject]:
    """What one vault can hold: a certificate takes the names of a key and a secret, so only `certified` is one."""
    return [one for one in objects if (one.object_type == "certificate") == (one.name == certified)]


__all__ = ["NetworkLevelDesk", "VirtualClock", "vault_holds"]
