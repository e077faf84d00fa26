"""What an operator is told of vaults that were moved, of managed HSMs, and of origins that may not deliver."""

import json
from typing import Any

import pytest

from shared.access.strangers import REFUSALS
from tests.tickets.desk import PAYLOADS, Desk, configuration

[EVENT] = json.loads((PAYLOADS / "secret_near_expiry.json").read_bytes())
ALLOWED = "/subscriptions/00000000-1111-4222-8333-00000000c0de/resourcegroups/rg-acorn/providers/microsoft.keyvault"


def desk_of(name: str, resource_id: str) -> Desk:
    return Desk(configured=configuration(allowed_vaults=[{"name": name, "resource_id": resource_id}]))


def from_topic(topic: str, **data: Any) -> dict[str, Any]:
    return {**EVENT, "topic": topic, "data": {**EVENT["data"], **data}}


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (ALLOWED.replace("rg-acorn", "rg-new") + "/vaults", "its resource group is rg-new, not rg-acorn"),
        (ALLOWED.replace("c0de", "beef") + "/vaults", "its subscription is 00000000-1111-4222-8333-00000000beef"),
        (ALLOWED + "/managedHSMs", "its type is managedhsms, not vaults"),
    ],
)
def test_a_vault_under_another_resource_id_is_told_with_what_differs(moved: str, said: str) -> None:
    desk = desk_of("acorn-vault", f"{ALLOWED}/vaults/acorn-vault")
    desk.post([from_topic(f"{moved}/acorn-vault")])
    [item] = desk.rows("item:")
    assert item["reason"] == "vault_not_allowed"
    assert said in str(item["message"])


def test_a_managed_hsm_can_be_allowed() -> None:
    topic = f"{ALLOWED}/managedHSMs/acorn-hsm"
    desk = desk_of("acorn-hsm", topic)
    address = "https://acorn-hsm.managedhsm.azure.net/keys/tde-key/11111111111111111111111111111111"
    event = from_topic(topic, Id=address, VaultName="acorn-hsm", ObjectType="Key", ObjectName="tde-key")
    answer = desk.post([{**event, "eventType": "Microsoft.KeyVault.KeyNearExpiry"}])
    assert (answer.body or {})["recorded"] == 1
    assert desk.configured is not None
    assert desk.configured.allows_topic(topic.casefold())
    assert not desk.configured.allows_topic(topic.casefold().replace("acorn-hsm", "other-hsm"))


def test_an_origin_that_is_refused_stands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    REFUSALS.forget()
    desk = Desk(configured=configuration())
    refused = desk.options(**{"WebHook-Request-Origin": "eventgrid.azure.us"})
    assert refused.status == 401
    assert (refused.body or {})["reason"] == "origin_not_allowed"
    assert "eventgrid.azure.us" in caplog.text
