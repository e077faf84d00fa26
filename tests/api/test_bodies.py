"""Bodies that could be taken in two ways, or in none, are refused before anything is written."""

import json
import logging
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.http.endpoints import declared_endpoints
from shared.strict_json import parse_json
from tests.api.calling import Answer, call
from tests.api.seeding import asset, secrets_of_two_vaults, user
from tests.fakes.tables import MemoryTables

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def desk(tables: MemoryTables) -> MemoryTables:
    return tables


@given(VALUES)
def test_any_json_is_read_as_it_was_written(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"a": ' * 50_000,
        b'"\xe9"',
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b"NaN",
        b"[1, -Infinity]",
        b"[1e400]",
        b"9" * 5000,
        b"{} x",
        b"{}\x00",
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "\\u0061": 2}}]',
    ],
)
def test_what_is_no_json_or_says_two_things_is_refused_with_a_sentence(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is not JSON|stands twice") as refused:
        parse_json(text)
    assert str(refused.value)


def test_a_body_in_which_a_member_stands_twice_is_refused_by_its_name_and_changes_nothing(desk: MemoryTables) -> None:
    secrets_of_two_vaults(desk)
    ticket = call("GET", "tickets").json["items"][0]["id"]
    record, person = asset(1), user(1)
    before = desk.contents()
    answers: list[Answer] = [
        call("PATCH", f"assets/{record}", b'{"fields": {"notes": "a"}, "fields": {}}', {"If-Match": "*"}),
        call("PATCH", f"users/{person}", b'{"fields": {"notes": "a", "notes": "b"}}', {"If-Match": "*"}),
        call("PATCH", f"tickets/{ticket}", b'{"status": "closed", "status": "open"}', {"If-Match": "*"}),
        call("PUT", "settings/sites/york", b'{"title": "York", "customer": "a", "title": "Leeds"}'),
        call("POST", "assets", b'{"id": "a", "id": "b", "fields": {}}'),
    ]
    for answer in answers:
        assert (answer.status, answer.json["reason"]) == (400, "body_not_readable")
        assert "stands twice" in answer.json["detail"]
    assert desk.contents() == before


@pytest.mark.parametrize("mode", ["apply", "confirm"])
def test_an_empty_id_of_a_run_does_not_start_an_import_of_everything(desk: MemoryTables, mode: str) -> None:
    call("GET", "me")
    before = desk.contents()
    refused = call("POST", "aws-tenants/acorn/imports", {"mode": mode, "run_id": ""})
    assert (refused.status, refused.json["faults"][0]["path"]) == (400, "run_id")
    assert desk.contents() == before


def test_the_address_of_what_was_added_can_be_called_as_it_stands() -> None:
    for name in ("a b", 'a"<b>&c', "a'b+c=d", "100 $ @home [x]"):
        made = call("POST", "assets", {"id": name, "fields": {}})
        location = made.headers["Location"]
        assert re.fullmatch(r"[A-Za-z0-9/:%._-]+", location), location
        assert call("GET", location.removeprefix("/api/v1/")).json["id"] == made.json["id"] == f"manual:{name}"


def test_every_endpoint_that_reads_a_body_refuses_one_that_is_too_large(desk: MemoryTables) -> None:
    secrets_of_two_vaults(desk)
    ids = {"assets": asset(1), "users": user(1), "tickets": call("GET", "tickets").json["items"][0]["id"]}
    large = b'{"fields": {"notes": "' + b"x" * (1024 * 1024) + b'"}}'
    tried = 0
    for declared in declared_endpoints().values():
        if not declared.bodies or declared.basic:
            continue
        route = declared.route.removeprefix("v1/")
        address = route.replace("{id}", ids.get(route.split("/")[0], "x"))
        address = address.replace("{kind}", "sites").replace("{name}", "york")
        refused = call(declared.methods[0], address, large, {"If-Match": "*"})
        assert (refused.status, refused.json["reason"]) == (413, "body_too_large"), declared.function
        tried += 1
    assert tried > 8


BROKEN_OFF = ({"Transfer-Encoding": "chunked"}, {"transfer-encoding": "chunked"}, {"Content-Length": "17"})


@pytest.mark.parametrize("headers", BROKEN_OFF)
def test_a_body_that_did_not_arrive_starts_nothing_anywhere(desk: MemoryTables, headers: dict[str, str]) -> None:
    """The host passes on no body in chunks: the function sees the header and nothing else."""
    secrets_of_two_vaults(desk)
    before = desk.contents()
    tried = 0
    for declared in declared_endpoints().values():
        for method in declared.methods:
            if method in {"GET", "OPTIONS"}:
                continue
            address = re.sub(r"\{[a-z]+\}", "acorn", declared.route.removeprefix("v1/").replace("{kind}", "sites"))
            refused = call(method, address, b"", {"If-Match": "*", **headers})
            assert (refused.status, refused.json["reason"]) == (411, "body_not_arrived"), declared.function
            assert refused.sent == []
            tried += 1
    assert tried > 20
    assert desk.contents() == before


def test_a_body_in_chunks_that_did_arrive_is_read(desk: MemoryTables) -> None:
    body = {"title": "York", "customer": "acorn"}
    assert call("PUT", "settings/sites/york", body, {"Transfer-Encoding": "chunked"}).status == 201


def test_a_request_without_a_body_needs_none_where_none_is_read(desk: MemoryTables) -> None:
    for headers in ({}, {"Content-Length": "0"}):
        assert call("DELETE", "quarantine/x", b"", headers).status == 404
        assert call("DELETE", "quarantine/x", b"{}", headers).status == 404


@pytest.mark.parametrize(
    "address",
    ["sweeps", "aws-tenants/acorn/imports", "authrocket-realms/customers/imports", "credential-stores/x/check"],
)
def test_what_starts_something_says_what(desk: MemoryTables, address: str) -> None:
    before = desk.contents()
    for body in (b"", b"  ", b"{}", b"null"):
        refused = call("POST", address, body)
        assert refused.status == 400, body
        assert refused.sent == []
    assert desk.contents() == before


def test_a_name_with_line_breaks_makes_no_line_of_its_own_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    name = "x%0a2026-11-22 put_setting london by root: 200%0d%1b[2J"
    for method, address in (("PUT", f"settings/sites/{name}"), ("DELETE", f"settings/sites/{name}")):
        assert call(method, address, {}, {"If-Match": "*"}).status in {400, 404}
    assert call("POST", f"aws-tenants/{name}/imports", {"mode": "import"}).status == 404
    lines = [record.getMessage() for record in caplog.records]
    assert any("root: 200" in line for line in lines)
    assert [line for line in lines if not line.isprintable()] == []


PARTS = ("kind", "name", "document")
REFUSED: list[tuple[str, str, Any, dict[str, str]]] = [
    ("POST", "assets", {"id": "a:b"}, {"id": "must be 1 to 100"}),
    ("POST", "assets", {"id": " a"}, {"id": "must be 1 to 100"}),
    ("POST", "assets", {"id": "a%"}, {"id": "must be 1 to 100"}),
    ("POST", "assets", {"id": "a~"}, {"id": "must be 1 to 100"}),
    ("POST", "users", {"id": 7, "fields": []}, {"id": "must be a text", "fields": "must be an object"}),
    ("POST", "users", {}, {"id": "is missing"}),
    ("POST", "assets", {"id": "a", "fields": {"x": [1], "y": {}}}, {"fields.x": "must be a text", "fields.y": "must"}),
    ("PATCH", "assets/{asset}", {"release": [1], "add": 1}, {"release.0": "must be a text", "add": "no such field"}),
    ("PATCH", "assets/{asset}", [], {"": "must be an object"}),
    ("PATCH", "tickets/{ticket}", {"status": "done"}, {"status": "must be one of 'open'"}),
    ("PATCH", "tickets/{ticket}", {"snoozed_until": 4102444800}, {"snoozed_until": "must be a time with its zone"}),
    ("PATCH", "tickets/{ticket}", {"snoozed_until": "4102444800"}, {"snoozed_until": "must be a time with its zone"}),
    ("PATCH", "tickets/{ticket}", {"team": " ", "site": "x" * 201}, {"team": "must", "site": "at most 200"}),
    ("POST", "tickets/{ticket}/notes", {"text": ""}, {"text": "must"}),
    ("POST", "aws-tenants/acorn/imports", {}, {"mode": "is missing"}),
    ("POST", "aws-tenants/acorn/imports", {"mode": "everything"}, {"mode": "must be one of 'preview'"}),
    ("POST", "aws-tenants/acorn/imports", {"preview": True}, {"mode": "is missing", "preview": "no such field"}),
    ("POST", "aws-tenants/acorn/imports", {"mode": "apply"}, {"": "apply needs run_id"}),
    ("POST", "aws-tenants/acorn/imports", {"mode": "confirm"}, {"": "confirm needs run_id"}),
    ("POST", "aws-tenants/acorn/imports", {"mode": "apply", "run_id": None}, {"run_id": "must be a text"}),
    ("POST", "aws-tenants/acorn/imports", {"mode": "import", "run_id": "a"}, {"": "run_id is for apply and confirm"}),
    ("POST", "aws-tenants/acorn/imports", {"mode": "import", "as_scheduled": True}, {"": "is for a preview"}),
    (
        "POST",
        "aws-tenants/acorn/imports",
        {"mode": "preview", "as_scheduled": "true"},
        {"as_scheduled": "must be true or false"},
    ),
    (
        "POST",
        "credential-stores/acorn/check",
        {"check": "secret", "secret": "a", "store": "other"},
        {"store": "no such field"},
    ),
    ("POST", "credential-stores/acorn/check", {}, {"check": "is missing"}),
    ("POST", "credential-stores/acorn/check", {"check": "secret"}, {"": "secret is missing"}),
    ("POST", "credential-stores/acorn/check", {"check": "store", "secret": "a"}, {"": "reads no secret"}),
    ("POST", "sweeps", {}, {"vaults": "is missing"}),
    ("POST", "sweeps", {"vaults": 1}, {"vaults": 'must be "all", or a list'}),
    ("POST", "sweeps", {"vaults": []}, {"vaults": 'must be "all", or a list'}),
    ("POST", "sweeps", {"vaults": ["a"] * 101}, {"vaults": 'must be "all", or a list'}),
    ("POST", "sweeps", {"vault": "a", "vaults": "all"}, {"vault": "no such field"}),
    ("POST", "dead-letters/replay", {"blob": "a"}, {"blob": "no such field"}),
    ("POST", "dead-letters/replay", ["a"], {"": "must be left out"}),
    ("POST", "quarantine/x/replay", {"id": "a"}, {"id": "no such field"}),
    ("POST", "aws-tenants/acorn/check", {"account": "a"}, {"account": "no such field"}),
    ("POST", "credentials/acorn/check", {"secret": "a"}, {"secret": "no such field"}),
    ("POST", "authrocket-realms/acorn/check", {"realm": "a"}, {"realm": "no such field"}),
    ("DELETE", "quarantine/x", {"dry_run": True}, {"dry_run": "no such field"}),
    ("POST", "settings", {"documents": 1}, {"documents": "must be a list"}),
    ("POST", "settings", [], {"": "must be an object"}),
    (
        "POST",
        "settings",
        {"documents": [{"kind": 1, "name": "a"}]},
        {"documents.0.kind": "", "documents.0.document": ""},
    ),
]


@pytest.mark.parametrize(("method", "address", "body", "faults"), REFUSED)
def test_a_body_is_refused_with_every_fault_in_an_operators_words(
    desk: MemoryTables, method: str, address: str, body: Any, faults: dict[str, str]
) -> None:
    secrets_of_two_vaults(desk)
    address = address.format(asset=asset(1), ticket=call("GET", "tickets").json["items"][0]["id"])
    before = desk.contents()
    refused = call(method, address, body, {"If-Match": "*"})
    assert (refused.status, refused.json["reason"]) == (400, "body_invalid")
    assert refused.json["remedy"] == "Fix each fault listed."
    told = {fault["path"]: fault["message"] for fault in refused.json["faults"]}
    assert set(told) == set(faults)
    for path, part in faults.items():
        assert part in told[path]
    assert not re.search(r"Input should|instance|dict|\bstr\b|\bbool\b|None", refused.json["detail"])
    assert desk.contents() == before


def test_every_body_of_the_document_is_checked_by_the_model_that_describes_it(desk: MemoryTables) -> None:
    """Whoever sends what is described nowhere is told so: no endpoint reads its body in a way of its own."""
    secrets_of_two_vaults(desk)
    for declared in declared_endpoints().values():
        if declared.basic or not any(content.model for content in declared.bodies):
            continue
        address = declared.route.removeprefix("v1/").replace("{kind}", "sites")
        refused = call(declared.methods[0], re.sub(r"\{[a-z]+\}", "none", address), {"described_nowhere": 1})
        assert refused.status == 400, declared.function
        told = {fault["path"]: fault["message"] for fault in refused.json["faults"]}
        assert told["described_nowhere"] == "there is no such field", declared.function
