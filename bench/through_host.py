"""The webhook as Event Grid meets it: deliveries over HTTP through a functions host, against a handler that does one
create_entity. The host is the lab's, with Microsoft's runtime library for the worker where Python has it."""

import contextlib
import http.client
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from bench.figures import Figure, Results
from bench.measuring import ROOT, Effort
from bench.table_service import TableProcess
from bench.webhook import HEADERS, TOPIC, VAULT, Events
from lab.azurite import EXTRA_KEY, Azurite
from lab.emulators.functions_host.process import HostProcess
from lab.emulators.key_vault import VaultInterface, VaultLab
from lab.hosts import LAB_HOSTS
from shared.bootstrap.kinds import KINDS
from shared.settings.store import SettingsStore
from shared.storage.rest_tables import RestTables

GROUP = "Webhook through a host"
# The account that bench.table_service serves.
_ACCOUNT = "acorn"
_CLIENTS = 4
_BATCHES = (1, 10, 100)
_LARGE = 2_600
_ANSWER_SECONDS = 30
_BARE_APP = """
import os, uuid
import azure.functions as func
from azure.data.tables import TableServiceClient

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
floor = TableServiceClient.from_connection_string(os.environ["AzureWebJobsStorage"]).get_table_client("floor")


@app.route("events/key-vault", methods=["POST"])
def receive(req: func.HttpRequest) -> func.HttpResponse:
    floor.create_entity({"PartitionKey": "p", "RowKey": uuid.uuid4().hex, "text": "x" * 200, "number": 7})
    return func.HttpResponse("{}")
"""
_LAB = {
    "tenants": [{"tenant_id": "11111111-2222-4333-8444-555555555555", "domain": "acorn.example"}],
    "identities": [{"name": "host", "kind": "system"}],
}

# Sends a body as often as told, over a few connections; seconds of it all.
_Send = Callable[[Sequence[bytes]], float]


def measure(effort: Effort, results: Results) -> None:
    with _vault() as vault, Azurite(accounts=(_ACCOUNT,)) as azurite:
        with TableProcess() as tables:
            _rates(effort, results, vault, _with_quick_tables(azurite, tables))
        _large_delivery(effort, results, vault, azurite.connection_string)


def _rates(effort: Effort, results: Results, vault: "_Vault", connection_string: str) -> None:
    """Requests a second of the product and of the bare handler, alternately."""
    events = Events()
    requests = {1: 200, 10: 120, 100: 24} if not effort.quick else dict.fromkeys(_BATCHES, 4)
    taken: dict[str, list[float]] = {}
    with _bare(connection_string) as bare, _product(vault, connection_string) as product:
        for number in range(effort.rounds + 1):
            for batch in _BATCHES:
                count = requests[batch]
                bodies = [events.some(batch) for _ in range(count)]
                rates = {f"product {batch}": product(bodies), f"bare {batch}": bare(bodies)}
                if number or effort.quick:
                    for name, seconds in rates.items():
                        taken.setdefault(name, []).append(count / seconds)
    for batch in _BATCHES:
        ours, floor = taken[f"product {batch}"], taken[f"bare {batch}"]
        results.add(
            Figure(
                GROUP,
                f"requests a second, {batch} event{'s' if batch > 1 else ''} each",
                median(one / other for one, other in zip(ours, floor, strict=True)),
                "×",
                f"a handler that does one create_entity ({median(floor):,.0f} requests/s with the same bodies)",
                f"{median(ours):,.0f} requests/s, {median(ours) * batch:,.0f} events/s",
                note="wall time; the lab's host, its clients and its tables share the cores" if batch == 1 else "",
            )
        )


def _large_delivery(effort: Effort, results: Results, vault: "_Vault", connection_string: str) -> None:
    """More than Event Grid ever sends at once, into the real emulator; and the same once more, as it repeats it."""
    count = 20 if effort.quick else _LARGE
    events = Events()
    with _product(vault, connection_string) as product:
        # The vault's password is held then, and the tables are there.
        product([events.some(1)])
        body = events.some(count)
        first, again = product([body]), product([body])
    load = f"{os.getloadavg()[0]:.1f}"
    for name, seconds in (("new to it", first), ("delivered again", again)):
        results.add(
            Figure(
                GROUP,
                f"one delivery of {count:,} events, {name}",
                seconds,
                "s",
                f"Event Grid waits {_ANSWER_SECONDS} s",
                f"{len(body) / 1e6:.1f} MB; the lab's host and Azurite, this machine with a load of {load}",
                budget=_ANSWER_SECONDS / 2,
            )
        )


# What runs


class _Vault:
    """A vault with the webhook's password, and the environment of a host that may read it."""

    def __init__(self, interface: VaultInterface, environment: Mapping[str, str]) -> None:
        self.interface = interface
        self.environment = {
            **environment,
            **LAB_HOSTS,
            "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS": "localhost",
            "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "false",
        }


@contextlib.contextmanager
def _vault() -> Iterator[_Vault]:
    with VaultLab(_LAB) as lab:
        vault = lab.add_vault(name="kv-bench", grants=[{"principal": "host", "roles": ["Key Vault Secrets User"]}])
        vault.add_secret("webhook", '{"username": "username", "password": "password"}')
        yield _Vault(vault, lab.environment())


def _with_quick_tables(azurite: Azurite, tables: TableProcess) -> str:
    """Queues of the emulator, which the host reads; tables of a service that does not slow the worker down."""
    emulated = azurite.connection_string_for(_ACCOUNT)
    parts = [part for part in emulated.split(";") if part and not part.startswith("TableEndpoint=")]
    assert f"AccountKey={EXTRA_KEY}" in parts
    return ";".join([*parts, f"TableEndpoint={tables.url}/{_ACCOUNT}", ""])


@contextlib.contextmanager
def _product(vault: _Vault, connection_string: str) -> Iterator[_Send]:
    settings = SettingsStore(
        RestTables.from_connection_string(connection_string).table("settings"), KINDS, lambda: datetime.now(UTC)
    )
    store = {"vault_url": vault.interface.url, "vault_name": vault.interface.name, "method": "system_assigned"}
    settings.put("credential-stores", "main", store, by="bench")
    password = {"scope": "key-vault-events", "store": "main", "secret": "webhook"}
    settings.put("credentials", "webhook", password, by="bench")
    desk = {
        "credentials": {"current": {"credential": "webhook"}},
        "allowed_vaults": [{"name": VAULT, "resource_id": TOPIC}],
        "subscriptions": ["deskbridge-kv"],
    }
    settings.put("key-vault-events", "default", desk, by="bench")
    with _host(ROOT, {**vault.environment, "AzureWebJobsStorage": connection_string}) as send:
        yield send


@contextlib.contextmanager
def _bare(connection_string: str) -> Iterator[_Send]:
    with tempfile.TemporaryDirectory(prefix="bench-bare-") as name:
        folder = Path(name)
        (folder / "function_app.py").write_text(_BARE_APP, encoding="utf-8")
        shutil.copyfile(ROOT / "host.json", folder / "host.json")
        with _host(folder, {"AzureWebJobsStorage": connection_string}) as send:
            yield send


@contextlib.contextmanager
def _host(root: Path, environment: Mapping[str, str]) -> Iterator[_Send]:
    foreign = ("AWS_", "AZURE_", "IDENTITY_", "MSI_", "DESKBRIDGE_")
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith(foreign)}
    settings = ROOT / "local.settings.json.example"
    with (
        HostProcess(root, settings=settings, environment={**clean, **environment}) as host,
        ThreadPoolExecutor(_CLIENTS) as pool,
    ):
        address = urlsplit(host.url).netloc

        def send(bodies: Sequence[bytes]) -> float:
            before = time.perf_counter()
            shares = [bodies[place::_CLIENTS] for place in range(_CLIENTS)]
            for statuses in pool.map(_send_all, itertools.repeat(address), filter(None, shares)):
                assert set(statuses) == {200}, statuses
            return time.perf_counter() - before

        yield send


def _send_all(address: str, bodies: Sequence[bytes]) -> list[int]:
    connection = http.client.HTTPConnection(address, timeout=300)
    statuses: list[int] = []
    with contextlib.closing(connection):
        for body in bodies:
            connection.request("POST", "/api/events/key-vault", body, dict(HEADERS))
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
    return statuses
