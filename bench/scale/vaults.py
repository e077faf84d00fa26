"""The daily sweep of all vaults: allowed by one pattern, listed by one store. Few hold what is near its end."""

import json
import random
import zlib
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bench.scale.doors import Answer
from bench.scale.engine import Call, Engine
from bench.scale.follow_ups import FollowUps
from bench.scale.host import Message
from bench.scale.storage import Storage
from bench.table_store import Partition
from shared import bootstrap
from shared.outbox.gathered import LATER
from shared.storage.names import SWEEPS_QUEUE, TICKETS_TABLE, VAULTS_TABLE
from shared.storage.rows import Create, Replace
from shared.text import ascending
from shared.tickets.inbound.vault_rows import KnownVault, changed_vault, partition_of

_SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
_CHALLENGE = 'Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"'
_JSON = {"Content-Type": "application/json"}
# Objects of each vault by type, as its lists have them.
_OBJECTS = {"secrets": 5, "keys": 2, "certificates": 1}
# One vault in so many has a secret that comes near its end.
_NEAR_ONE_IN = 100


class Vaults:
    """Key Vault: what a vault holds follows from its name. The secrets of the desk are read here too."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._engine = engine
        self._number = number

    def list(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Azure Resource Graph: all vaults in the order of their names, page by page."""
        del method, url, headers
        self._engine.charge(Call("resource graph"))
        options = json.loads(body)["options"]
        begin, most = int(options.get("$skipToken") or 0), int(options["$top"])
        end = min(begin + most, self._number)
        found: dict[str, Any] = {"data": [{"id": _resource(vault_name(one)), "tags": {}} for one in range(begin, end)]}
        if end < self._number:
            found["$skipToken"] = str(end)
        return 200, json.dumps(found).encode(), _JSON

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        del method, body
        parts = urlsplit(url)
        vault = str(parts.hostname).partition(".")[0]
        if not self._engine.charge(Call("vault", (("requests of a vault", vault, 1),))):
            return 429, b'{"error": {"code": "Throttled", "message": "Slow down."}}', {"Retry-After": "1"}
        if "Authorization" not in headers:
            return 401, b"{}", {"WWW-Authenticate": _CHALLENGE, **_JSON}
        kind, *rest = parts.path.strip("/").split("/")
        base = f"https://{parts.hostname}/{kind}"
        if not rest:
            listed = [self._object(base, vault, number) for number in range(_OBJECTS[kind])]
            return 200, json.dumps({"value": listed, "nextLink": None}).encode(), _JSON
        if rest[1:] == ["versions"]:
            version = self._object(base, vault, int(rest[0].rpartition("-")[2]))
            name = "kid" if kind == "keys" else "id"
            version[name] = f"{version[name]}/{zlib.crc32(vault.encode()):032x}"
            return 200, json.dumps({"value": [version], "nextLink": None}).encode(), _JSON
        secret = {"value": "not-a-secret", "id": f"{base}/{rest[0]}/1", "attributes": {}}
        return 200, json.dumps(secret).encode(), _JSON

    def _object(self, base: str, vault: str, number: int) -> dict[str, Any]:
        made = int((self._engine.begins - timedelta(days=30)).timestamp())
        days = 20 if number == 0 and is_near(vault) and base.endswith("secrets") else 300
        ends = int((self._engine.begins + timedelta(days=days)).timestamp())
        attributes = {"enabled": True, "created": made, "updated": made, "exp": ends}
        address = f"{base}/item-{number}"
        return {("kid" if base.endswith("keys") else "id"): address, "attributes": attributes}


def is_near(vault: str) -> bool:
    """Whether the vault has a secret whose end came near since yesterday."""
    return zlib.crc32(vault.encode()) % _NEAR_ONE_IN == 0


class VaultsFlow:
    """A daily sweep by its timer, `Flow` of `bench.scale.player`."""

    name = "sweep"
    timer = "sweep_vaults"
    begins_with = frozenset({timer, SWEEPS_QUEUE})

    def __init__(self, engine: Engine, storage: Storage, number: int, follow_ups: FollowUps) -> None:
        self._follow_ups = follow_ups
        self._engine = engine
        self._storage = storage
        self._number = number

    def settle_settings(self) -> None:
        """The documents, and a row of every vault: known since its first event, swept yesterday."""
        put = bootstrap.settings().put
        put("credentials", "webhook", {"store": "kv", "secret": "webhook", "scope": "key-vault-events"}, by="scale")
        pattern = {"subscription": _SUBSCRIPTION, "store": "kv"}
        events = {"credentials": {"current": {"credential": "webhook"}}, "vault_patterns": [pattern]}
        put("key-vault-events", "default", events, by="scale")
        yesterday = self._engine.begins - timedelta(days=1)
        lanes: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
        for name in map(vault_name, range(self._number)):
            lanes[partition_of(name)].update(_rows_of(name, yesterday))
        vaults = self._storage.store.tables.setdefault(VAULTS_TABLE, {})
        vaults.update((lane, Partition(rows, sorted(rows))) for lane, rows in lanes.items())

    def kind_of(self, message: Message) -> str:
        vault = _vault_of(message)
        # Those with something near always run in truth: what follows from their tickets does so too.
        return "vault with nothing near" if vault and not is_near(vault) else ""

    def places_of(self, message: Message) -> tuple[str, ...]:
        vault = _vault_of(message)
        return (vault,) if vault else ()

    def prepare(self, message: Message) -> None:
        """Nothing was near yesterday, and so nothing is stored of its objects."""

    def forget(self, message: Message) -> None:
        """A ticket or none is kept, and what follows from it."""
        partition = self._storage.store.tables.get(TICKETS_TABLE, {}).get(_vault_of(message))
        if partition is not None and any(key.startswith(LATER) for key in partition.rows):
            self._follow_ups.note(TICKETS_TABLE, _vault_of(message), marked=True)

    def settle(self, message: Message) -> None:
        """Its place in the order goes: a vault that was swept is not due again."""
        vault = _vault_of(message)
        partition = self._storage.store.tables[VAULTS_TABLE][partition_of(vault)]
        key = _due_key(vault, self._engine.begins - timedelta(days=1))
        if key in partition.rows:
            partition.remove(key)

    def elsewhere(self, call: Call, chance: random.Random) -> Call:
        del chance
        return call

    def done(self) -> tuple[int, str]:
        """How many vaults a sweep has come to today, and whether to all."""
        today = f"due:{ascending(self._engine.begins)}"
        lanes = self._storage.store.tables[VAULTS_TABLE].values()
        left = sum(1 for lane in lanes for key in lane.rows if "due:" <= key < today)
        return self._number - left, "not swept" if left else "swept"


def vault_name(number: int) -> str:
    return f"vault-{number:06}"


def _vault_of(message: Message) -> str:
    return str(json.loads(message.text).get("vault", "")) if message.queue == SWEEPS_QUEUE else ""


def _known(vault: str, swept_at: datetime) -> KnownVault:
    return KnownVault(vault, swept_at, "kv", resource_id=_resource(vault), tried_at=swept_at, swept_at=swept_at)


def _resource(vault: str) -> str:
    return f"/subscriptions/{_SUBSCRIPTION}/resourcegroups/desk/providers/microsoft.keyvault/vaults/{vault}"


def _rows_of(vault: str, swept_at: datetime) -> list[tuple[str, Mapping[str, Any]]]:
    """As the product writes them."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for operation in changed_vault(None, _known(vault, swept_at)):
        assert isinstance(operation, Create | Replace)
        entity = {**json.loads(operation.row.entity), "odata.etag": 'W/"yesterday"'}
        found.append((operation.row.row_key, entity))
    return found


def _due_key(vault: str, swept_at: datetime) -> str:
    (key,) = [key for key, _ in _rows_of(vault, swept_at) if key.startswith("due:")]
    return key
