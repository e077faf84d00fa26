"""Stored documents that no longer pass their check: they can be seen, replaced, removed, applied over and exported."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from shared import bootstrap
from shared.imports.plan.model import Trigger
from shared.settings.validation import parse_yaml
from shared.storage.names import SETTINGS_TABLE
from shared.storage.rows import Replace, Row, pack
from shared.storage.tables import Table, get
from shared.vaults.documents.credentials import CredentialReference
from tests.api.calling import call
from tests.api.conftest import tables
from tests.fakes.tables import MemoryTables

__all__ = ["tables"]

SITE = {"title": "Leeds", "customer": "acorn"}
STORE = {"vault_url": "https://acorn-vault.vault.azure.net", "method": "system_assigned"}
CREDENTIAL = {"store": "main", "secret": "key", "scope": "any"}
REALM = {
    "title": "Customers",
    "syncing": True,
    "endpoint_url": "https://api-e2.authrocket.com/v2",
    "api_key": {"credential": "main"},
    "realm": "rl_1",
    "default_site": "leeds",
}
TENANT = {
    "title": "Acorn",
    "syncing": True,
    "access": {"method": "access_key", "secret": {"credential": "main"}},
    "regions": ["eu-west-2"],
    "accounts": [{"account": "111122223333"}],
    "field_mappings": [{"source": "tags.Name", "field": "name"}],
    "asset_type": {"mode": "same", "default": "server"},
    "default_site": "leeds",
}
GOOD: Sequence[tuple[str, str, dict[str, Any]]] = (
    ("sites", "leeds", SITE),
    ("credential-stores", "main", STORE),
    ("credentials", "main", CREDENTIAL),
    ("asset-types", "server", {"title": "Server"}),
    ("authrocket-realms", "good", REALM),
    ("aws-tenants", "good", TENANT),
    ("key-vault-events", "default", {"credentials": {"current": {"credential": "main"}}}),
)
BAD = "no-more"
# One of each kind that a release, or a hand in the table, could have left.
SPOILT: Sequence[tuple[str, dict[str, Any]]] = (
    ("sites", {"title": "York"}),
    ("credential-stores", {**STORE, "vault_url": "https://::1"}),
    ("credentials", {**CREDENTIAL, "scope": "A B"}),
    ("asset-types", {"title": 7}),
    ("asset-fields", {"title": "Rack", "gone": True}),
    ("authrocket-realms", {**REALM, "endpoint_url": "https://::1/v2"}),
    ("aws-tenants", {**TENANT, "matching_field": "name" * 2}),
)


def spoil(kind: str, name: str, content: Any, text: str | None = None) -> None:
    """Store what no door would take."""
    table: Table = bootstrap.tables().table(SETTINGS_TABLE)
    columns = pack("document", content) if text is None else {"document": text}
    present = get(table, kind, f"d:{name}")
    table.transact(kind, [Replace(Row(kind, f"d:{name}", {**present.values, **columns}, present.etag))])
    bootstrap.reset()
    bootstrap.replace("tables", _tables_of[0])


_tables_of: list[MemoryTables] = []


@pytest.fixture(autouse=True)
def desk(tables: MemoryTables) -> None:
    _tables_of[:] = [tables]
    for kind, name, content in GOOD:
        assert call("PUT", f"settings/{kind}/{name}", content).status == 201, (kind, name)


@pytest.fixture(params=[kind for kind, _ in SPOILT])
def spoilt(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """A kind, and what stands under BAD in it."""
    kind, content = next(one for one in SPOILT if one[0] == request.param)
    good: dict[str, Any] = {"asset-fields": {"title": "Rack"}}
    known = next((dict(one) for known, _, one in GOOD if known == kind), good.get(kind))
    if "realm" in (known or {}):
        known = {**(known or {}), "realm": "rl_2"}
    assert call("PUT", f"settings/{kind}/{BAD}", known).status == 201
    spoil(kind, BAD, content)
    return kind, content


def good_of(kind: str) -> dict[str, Any]:
    return next((dict(content) for known, _, content in GOOD if known == kind), {"title": "Rack"})


def test_it_is_listed_and_shown_as_it_is_stored_with_its_faults(spoilt: tuple[str, dict[str, Any]]) -> None:
    kind, content = spoilt
    items = {item["name"]: item for item in call("GET", f"settings/{kind}").json["items"]}
    shown = call("GET", f"settings/{kind}/{BAD}")
    assert shown.status == 200
    assert shown.json == items[BAD]
    assert shown.json["document"] == content
    assert shown.json["faults"][0]["message"]
    assert all(item["faults"] == [] for name, item in items.items() if name != BAD)


def test_it_is_replaced(spoilt: tuple[str, dict[str, Any]]) -> None:
    kind, _ = spoilt
    etag = call("GET", f"settings/{kind}/{BAD}").headers["ETag"]
    assert call("PUT", f"settings/{kind}/{BAD}", good_of(kind)).status == 409
    assert call("PUT", f"settings/{kind}/{BAD}", good_of(kind), {"If-Match": etag}).status == 200
    assert call("GET", f"settings/{kind}/{BAD}").json["faults"] == []


def test_it_is_removed_and_its_history_stays(spoilt: tuple[str, dict[str, Any]]) -> None:
    kind, content = spoilt
    assert call("DELETE", f"settings/{kind}/{BAD}", headers={"If-Match": "*"}).status == 204
    assert call("GET", f"settings/{kind}/{BAD}").status == 404
    assert call("GET", f"settings/{kind}/{BAD}/history").json["items"][0]["document"] == content


def test_it_is_applied_over(spoilt: tuple[str, dict[str, Any]]) -> None:
    kind, content = spoilt
    one = {"kind": kind, "name": BAD, "document": good_of(kind)}
    changes = call("POST", "settings", {"documents": [one]}).json["items"]
    assert (changes[0]["action"], changes[0]["before"]) == ("updated", content)
    assert call("GET", f"settings/{kind}/{BAD}").json["faults"] == []


def test_an_export_holds_it_and_all_the_others(spoilt: tuple[str, dict[str, Any]]) -> None:
    kind, content = spoilt
    exported = {(one.kind, one.name): one.content for one in parse_yaml(call("GET", "settings").body.decode())}
    assert exported[kind, BAD] == content
    assert {(kind, name) for kind, name, _ in GOOD} <= set(exported)


def test_others_are_written_removed_read_and_imported(spoilt: tuple[str, dict[str, Any]]) -> None:
    assert call("PUT", "settings/sites/hull", SITE).status == 201
    assert call("DELETE", "settings/sites/hull", headers={"If-Match": "*"}).status == 204
    used = call("DELETE", "settings/sites/leeds", headers={"If-Match": "*"})
    assert (used.status, used.json["reason"]) == (409, "in_use")
    for kind in ("aws-tenants", "authrocket-realms"):
        assert call("POST", f"{kind}/good/imports", {"mode": "preview"}).status == 202
    assert bootstrap.credentials().source(CredentialReference(credential="main")).secret == "key"
    started = bootstrap.run_starter().start("aws-tenants", "good", trigger=Trigger.MANUAL, by="test")
    assert started.run.id


def test_what_an_unreadable_document_may_name_is_not_removed(tables: MemoryTables) -> None:
    call("PUT", "settings/sites/york", SITE)
    call("PUT", f"settings/authrocket-realms/{BAD}", {**REALM, "realm": "rl_2", "default_site": "york"})
    spoil("authrocket-realms", BAD, {"default_site": "york", "and": [{"site": "leeds"}]})
    refused = call("DELETE", "settings/sites/york", headers={"If-Match": "*"})
    assert refused.status == 409
    assert f"authrocket-realms/{BAD} (default_site)" in refused.json["detail"]
    assert call("DELETE", f"settings/authrocket-realms/{BAD}", headers={"If-Match": "*"}).status == 204
    assert call("DELETE", "settings/sites/york", headers={"If-Match": "*"}).status == 204


def test_an_unreadable_credential_may_not_be_named_anew(tables: MemoryTables) -> None:
    """Its scope stands in what cannot be read."""
    call("PUT", f"settings/credentials/{BAD}", CREDENTIAL)
    spoil("credentials", BAD, {**CREDENTIAL, "scope": "A B"})
    realm = {**REALM, "realm": "rl_9", "api_key": {"credential": BAD}}
    refused = call("PUT", "settings/authrocket-realms/other", realm)
    assert (refused.status, refused.json["faults"][0]["path"]) == (400, "api_key.credential")


@pytest.mark.parametrize("text", ["{", "", "null", "[]", '"text"', "7", "[" * 2_000])
def test_a_row_that_holds_no_document_at_all_is_shown_replaced_and_removed(text: str) -> None:
    for name in ("one", "two"):
        call("PUT", f"settings/sites/{name}", SITE)
        spoil("sites", name, None, text)
        assert call("GET", f"settings/sites/{name}").json["faults"]
    assert call("PUT", "settings/sites/one", SITE, {"If-Match": "*"}).status == 200
    assert call("DELETE", "settings/sites/two", headers={"If-Match": "*"}).status == 204


def test_readiness_says_which_document_it_is(tables: MemoryTables) -> None:
    call("PUT", f"settings/sites/{BAD}", SITE)
    spoil("sites", BAD, {"title": "York"})
    ready = call("GET", "health/ready")
    assert f"sites/{BAD}" in json.dumps(ready.json)
    assert ready.json["status"] != "ready"
