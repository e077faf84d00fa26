"""Whatever PUT accepts: GET returns it, PUT takes it again unchanged, an export holds it, and an import can load it."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.settings.validation import parse_yaml
from tests.api.calling import call
from tests.api.conftest import tables
from tests.fakes.tables import MemoryTables
from tests.settings.test_unreadable import CREDENTIAL, GOOD, REALM, STORE, TENANT

__all__ = ["tables"]

CRITERIA = [{"field": "name", "operator": "matches", "value": "^web-[0-9]+$", "ignore_case": True}]
BASES: list[tuple[str, str, dict[str, Any]]] = [
    ("sites", "york", {"title": "York", "customer": "acorn"}),
    ("asset-types", "rack", {"title": "Rack", "group": "Racks"}),
    ("asset-fields", "rack-unit", {"title": "Rack unit", "custom": True}),
    ("credential-stores", "other", {**STORE, "resource": "https://vault.azure.net", "cache_seconds": 60}),
    ("credentials", "other", {**CREDENTIAL, "value_field": "key", "description": "A key"}),
    (
        "key-vault-events",
        "default",
        {
            "credentials": {"current": {"credential": "main"}},
            "allowed_vaults": [{"name": "acorn-vault", "site": "leeds", "store": "main"}],
            "ticket_rules": [
                {
                    "name": "a",
                    "criteria": [{"field": "days_to_expiry", "operator": "less_than", "value": 7}],
                    "priority": "high",
                    "summary": "{object_name} in {vault}",
                }
            ],
            "sweep": {"thresholds_days": [60, 7]},
        },
    ),
    (
        "aws-tenants",
        "made",
        {
            **TENANT,
            "accounts": [{"account": "444455556666", "regions": ["eu-west-1"]}],
            "site_rules": [{"site": "leeds", "criteria": CRITERIA}],
            "filters": [{"name": "tag:env", "values": ["prod"]}],
            "grace_days": 3,
        },
    ),
    (
        "authrocket-realms",
        "made",
        {
            **REALM,
            "realm": "rl_made",
            "site_rules": [
                {
                    "site": "leeds",
                    "criteria": [{"field": "email-domain", "operator": "is_one_of", "value": ["a.example"]}],
                }
            ],
            "brake": {"share": 0.5, "at_least": 3},
        },
    ),
]
HOSTILE: list[Any] = [
    "", " ", "x ", "x\n", "\n", "\u2028", "\x00", "\ud800", "é", "é" * 300, "a" * 3_000, "null", "~", "0x10", "1e999",
    "1_000", "2026-01-01", "yes", "- a", "a: b", "*a", "&a", "!!python/object:x", "{", "[", "'", '"', "%", "@", "`",
    "https://[::1]", "https://[::1]:8443/v2", "https://::1/v2", "https://[fe80::1%25eth0]/v2", "https://a@b/v2",
    "https://api-e2.authrocket.com:443/v2/", "HTTPS://API-E2.AUTHROCKET.COM/v2", "https://x.vault.azure.net.",
    "https://İ.example/v2",
    "!" * 489 + "a", "(" * 489 + "a" + ")" * 489, "a" + ".b" * 300, "tags.a b", "source.a", "source." + "(" * 60,
    "\\w{900}",
    0, -1, 1, 7.5, 1e308, 2**63, 2**70, True, False, None, [], {}, [[]], {"a": {"b": []}}, "012345670123", 12345670123,
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, str, Any]:
    kind, name, base = draw(st.sampled_from(BASES))
    content = copy.deepcopy(base)
    for _ in range(draw(st.integers(0, 3))):
        path: tuple[Any, ...] = draw(st.sampled_from(list(places(content)) or [()]))
        if not path:
            break
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            holder[path[-1]] = copy.deepcopy(draw(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))))
        elif isinstance(holder, dict):
            del holder[path[-1]]
        else:
            holder.append(copy.deepcopy(holder[path[-1]]))
    return kind, name, content


@pytest.fixture
def desk(tables: MemoryTables) -> None:
    for kind, name, content in GOOD:
        assert call("PUT", f"settings/{kind}/{name}", content).status == 201, (kind, name)
    for kind, name, content in BASES:
        assert call("PUT", f"settings/{kind}/{name}", content, {"If-Match": "*"}).status in {200, 201}, kind


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents())
def test_what_is_accepted_is_returned_and_taken_again(desk: None, made: tuple[str, str, Any]) -> None:
    kind, name, content = made
    address = f"settings/{kind}/{name}"
    written = call("PUT", address, content, {"If-Match": "*"})
    if written.status != 200:
        assert written.status == 400, written.json
        assert call("GET", address).json["faults"] == []
        return
    shown = call("GET", address).json
    assert (shown["document"], shown["faults"]) == (written.json["document"], [])
    again = call("PUT", address, shown["document"], {"If-Match": "*"})
    assert (again.status, again.json["document"]) == (200, shown["document"])
    exported = call("GET", "settings").body
    found = {(one.kind, one.name): one.content for one in parse_yaml(exported.decode())}
    assert found[kind, name] == shown["document"]
    applied = call("POST", "settings", exported, {"Content-Type": "application/yaml"})
    assert applied.status == 200, applied.json
    assert {item["action"] for item in applied.json["items"]} == {"unchanged"}
    if kind in {"aws-tenants", "authrocket-realms"}:
        started = call("POST", f"{kind}/{name}/imports", {"mode": "preview"})
        # Two realms' documents may name one realm, which is said when it is imported.
        assert started.status == 202 or "both name the realm" in started.json["detail"], started.json


def test_each_way_in_that_was_found_is_closed(desk: None) -> None:
    for address in ("https://[::1]/v2", "https://[fd00::1]:8443/v2"):
        answer = call("PUT", "settings/authrocket-realms/made", {**REALM, "endpoint_url": address}, {"If-Match": "*"})
        assert answer.status == 400 or answer.json["document"]["endpoint_url"] == address
    for deep in ("!" * 489 + "a", "(" * 489 + "a" + ")" * 489):
        mapping = [{"source": deep, "field": "name"}]
        for kind, base in (("authrocket-realms", REALM), ("aws-tenants", TENANT)):
            refused = call("PUT", f"settings/{kind}/made", {**base, "field_mappings": mapping}, {"If-Match": "*"})
            assert refused.status == 400
            told = json.dumps(refused.json["faults"])
            assert "levels are read" in told or "nested too deeply" in told
