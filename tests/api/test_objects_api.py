"""Objects of all vaults over HTTP: what a reader sees, what a caller limited to customers sees, and the export."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import bootstrap
from shared.access.roles import Role
from tests.api.calling import call
from tests.api.conftest import CREDENTIAL, STORE, tables
from tests.api.seeding import secrets_of_two_vaults
from tests.fakes.tables import MemoryTables

__all__ = ["tables"]


@pytest.fixture
def objects(tables: MemoryTables) -> list[dict[str, Any]]:
    """Three of acorn-vault, one of oak-vault; each vault with a site and an owner."""
    for site, customer in (("london", "acorn"), ("leeds", "oak")):
        assert call("PUT", f"settings/sites/{site}", {"title": site, "customer": customer}).status == 201
    call("PUT", "settings/credential-stores/acorn", STORE)
    call("PUT", "settings/credentials/webhook", {**CREDENTIAL, "scope": "key-vault-events"})
    document = {
        "credentials": {"current": {"credential": "webhook"}},
        "subscriptions": ["deskbridge-kv"],
        "allowed_vaults": [
            {"name": "acorn-vault", "site": "london", "owner": "Platform"},
            {"name": "oak-vault", "site": "leeds", "owner": "Payments"},
        ],
    }
    assert call("PUT", "settings/key-vault-events/default", document).status == 201
    secrets_of_two_vaults(tables)
    found: list[dict[str, Any]] = call("GET", "objects", role=Role.READER).json["items"]
    return found


def test_a_reader_sees_all_objects_with_dates_state_owner_and_ticket(objects: list[dict[str, Any]]) -> None:
    shown = [(one["id"], one["state"], one["owner"], one["sites"], len(one["tickets"])) for one in objects]
    assert shown == [
        ("acorn-vault:secret:gone-by", "expired", "Platform", ["london"], 1),
        ("oak-vault:secret:in-five-days", "usable", "Payments", ["leeds"], 1),
        ("acorn-vault:secret:in-ten-days", "usable", "Platform", ["london"], 1),
        ("acorn-vault:secret:in-a-year", "usable", "Platform", ["london"], 1),
    ]
    ticket = call("GET", f"tickets/{objects[2]['tickets'][0]}").json
    assert (ticket["object_name"], ticket["expires_at"]) == ("in-ten-days", objects[2]["expires_at"])
    today = datetime.now(UTC).date().isoformat()
    assert {one["last_seen_at"][:10] for one in objects} <= {today, (datetime.now(UTC) - timedelta(days=1)).isoformat()}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=expired", ["gone-by"]),
        ("state=gone", []),
        ("scope=oak-vault", ["in-five-days"]),
        ("owner=payments", ["in-five-days"]),
        ("site=london&order=name", ["gone-by", "in-a-year", "in-ten-days"]),
        ("customer=oak", ["in-five-days"]),
        ("customer=oak&site=london", []),
        ("q=five", ["in-five-days"]),
        ("object_type=key", []),
        ("limit=1", ["gone-by"]),
    ],
)
def test_parameters_say_which(objects: list[dict[str, Any]], query: str, names: list[str]) -> None:
    answer = call("GET", f"objects?{query}")
    assert (answer.status, [one["object_name"] for one in answer.json["items"]]) == (200, names)


@pytest.mark.parametrize(
    "query", ["state=open", "order=newest", "object_type=vault", "q=a", "q=mail&order=name", "after=x", "kind=expiry"]
)
def test_what_no_parameter_may_be_is_refused_by_name(tables: MemoryTables, query: str) -> None:
    answer = call("GET", f"objects?{query}")
    assert answer.status == 400
    assert answer.json["reason"] in {"parameter_invalid", "parameter_unknown", "continuation_invalid"}


def test_one_object_shows_its_versions_and_all_its_tickets(objects: list[dict[str, Any]]) -> None:
    found = call("GET", "objects/Acorn-Vault:secret:in-ten-days").json
    assert {name: found[name] for name in objects[2]} == objects[2]
    assert [(one["version"], one["in_vault"]) for one in found["versions"]] == [(objects[2]["version"], None)]
    assert [(one["id"], one["kind"], one["open"]) for one in found["all_tickets"]] == [
        (objects[2]["tickets"][0], "expiry", True)
    ]
    moved = call("PATCH", f"tickets/{objects[2]['tickets'][0]}", {"status": "resolved"}, {"If-Match": "*"})
    assert moved.status == 200
    found = call("GET", "objects/acorn-vault:secret:in-ten-days").json
    assert (found["tickets"], [one["open"] for one in found["all_tickets"]]) == ([], [False])
    assert call("GET", "objects/acorn-vault:secret:nothing").status == 404


def test_a_caller_limited_to_a_customer_sees_that_customers_objects_alone(objects: list[dict[str, Any]]) -> None:
    _, token = bootstrap.access_tokens().make("of-oak", by="test", role=Role.READER, customers=["oak"])
    limited = {"X-Api-Key": token}
    page = call("GET", "objects", None, limited, role=None).json
    assert [one["id"] for one in page["items"]] == ["oak-vault:secret:in-five-days"]
    for query in ("site=london", "scope=acorn-vault", "customer=acorn", "owner=Platform", "q=acorn", "order=name"):
        items = call("GET", f"objects?{query}", None, limited, role=None).json["items"]
        assert all(one["scope"] == "oak-vault" for one in items)
    assert call("GET", "objects/oak-vault:secret:in-five-days", None, limited, role=None).status == 200
    others = [
        call("GET", f"objects/{one}", None, limited, role=None)
        for one in ("acorn-vault:secret:in-ten-days", "acorn-vault:secret:nothing", "oak-vault:secret:nothing", "x")
    ]
    assert {(one.status, one.json["detail"]) for one in others} == {(404, "There is no such object.")}
    # The place where it goes on may name another's object: it is sealed.
    following = call("GET", "objects?limit=1&order=name", None, limited, role=None).json["next"]
    assert following is None or "acorn" not in following


def test_of_an_object_with_tickets_of_two_customers_each_sees_its_own(objects: list[dict[str, Any]]) -> None:
    moved = call("PATCH", f"tickets/{objects[2]['tickets'][0]}", {"site": "leeds"}, {"If-Match": "*"})
    assert moved.status == 200
    _, token = bootstrap.access_tokens().make("of-acorn", by="test", role=Role.READER, customers=["acorn"])
    items = call("GET", "objects", None, {"X-Api-Key": token}, role=None).json["items"]
    # It is at the site that a person gave its ticket.
    assert [one["object_name"] for one in items] == ["gone-by", "in-a-year"]
    assert objects[2]["tickets"][0] not in json.dumps(items)


def test_all_objects_are_exported_with_the_same_columns(objects: list[dict[str, Any]]) -> None:
    answer = call("GET", "exports/objects?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert [(row["id"], row["state"], row["owner"], row["sites"]) for row in rows] == sorted(
        (one["id"], one["state"], one["owner"], one["sites"][0]) for one in objects
    )
    assert {row["tickets"] for row in rows} == {one["tickets"][0] for one in objects}
    lines = call("GET", "exports/objects?format=jsonl&limit=3")
    assert len(lines.body.decode().splitlines()) == 3
    assert lines.headers["Link"].startswith("</api/v1/exports/objects?")
