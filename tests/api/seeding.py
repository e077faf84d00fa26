"""Some of everything, put in by the product's own doors."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.calling import call
from tests.fakes.tables import MemoryTables
from tests.tickets.desk import Desk, configuration, resource_id

VAULTS = ("acorn-vault", "oak-vault")


def near_expiry(vault: str, name: str, expires_at: datetime, change: str = "NearExpiry") -> dict[str, Any]:
    """An event as Event Grid sends it."""
    version = uuid.uuid5(uuid.NAMESPACE_URL, f"{vault}/{name}").hex
    return {
        "id": str(uuid.uuid4()),
        "topic": resource_id(vault),
        "subject": name,
        "eventType": f"Microsoft.KeyVault.Secret{change}",
        "eventTime": datetime.now(UTC).isoformat(),
        "data": {
            "Id": f"https://{vault}.vault.azure.net/secrets/{name}/{version}",
            "VaultName": vault,
            "ObjectType": "Secret",
            "ObjectName": name,
            "Version": version,
            "NBF": None,
            "EXP": int(expires_at.timestamp()),
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    }


def deliver(tables: MemoryTables, *events: dict[str, Any]) -> None:
    desk = Desk(tables, configuration(*VAULTS))
    desk.now = datetime.now(UTC)
    answer = desk.post(json.dumps(list(events)))
    assert (answer.status, dict(answer.body or {})) == (200, {"recorded": len(events), "quarantined": 0})
    desk.settle()


def secrets_of_two_vaults(tables: MemoryTables) -> None:
    now = datetime.now(UTC)
    deliver(
        tables,
        near_expiry("acorn-vault", "in-ten-days", now + timedelta(days=10)),
        near_expiry("acorn-vault", "gone-by", now - timedelta(days=2), "Expired"),
        near_expiry("acorn-vault", "in-a-year", now + timedelta(days=365), "NewVersionCreated"),
        near_expiry("oak-vault", "in-five-days", now + timedelta(days=5)),
    )


def asset(number: int, **fields: Any) -> str:
    answer = call("POST", "assets", {"id": f"SERV-{number}", "fields": {"name": f"Server {number}", **fields}})
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


def user(number: int, **fields: Any) -> str:
    answer = call("POST", "users", {"id": f"person-{number}", "fields": {"name": f"Person {number}", **fields}})
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


def sites_and_types() -> None:
    call("PUT", "settings/sites/london-hq", {"title": "London HQ", "customer": "acorn"})
    call("PUT", "settings/asset-types/server", {"title": "Server", "group": "Servers"})
