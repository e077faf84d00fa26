"""Whoever is limited to customers sees and works on their things alone; what has no site is nobody's."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shared import bootstrap
from shared.access.principals import PrincipalKind, View
from shared.access.roles import Role
from shared.imports.runs.model import Mode, Run
from shared.storage.rows import Row, Save
from tests.api.calling import Answer, call
from tests.api.conftest import STORE, tables
from tests.api.seeding import asset, secrets_of_two_vaults, user
from tests.assets.tenants import tenant
from tests.fakes.tables import MemoryTables, WatchedTables

__all__ = ["tables"]


@pytest.fixture
def ids(tables: MemoryTables) -> dict[str, dict[str, str]]:
    """A ticket, an asset and a user of acorn, of oak and of nobody."""
    for site, customer in (("london", "acorn"), ("leeds", "oak")):
        assert call("PUT", f"settings/sites/{site}", {"title": site, "customer": customer}).status == 201
    secrets_of_two_vaults(tables)
    tickets = [item["id"] for item in call("GET", "tickets").json["items"]][:3]
    found: dict[str, dict[str, str]] = {}
    for number, (whose, site) in enumerate((("acorn", "london"), ("oak", "leeds"), ("nobody", ""))):
        fields = {"site": site} if site else {}
        found[whose] = {
            "assets": asset(number, **fields),
            "users": user(number, **fields),
            "tickets": tickets[number],
        }
        if site:
            moved = call("PATCH", f"tickets/{tickets[number]}", {"site": site}, {"If-Match": "*"})
            assert moved.status == 200, moved.json
    return found


@pytest.fixture
def limited(ids: dict[str, dict[str, str]]) -> dict[str, str]:
    _, token = bootstrap.access_tokens().make("of-acorn", by="test", role=Role.OPERATOR, customers=["acorn"])
    return {"X-Api-Key": token}


def ask(limited: dict[str, str], method: str, address: str, body: Any = None) -> Answer:
    return call(method, address, body, {**limited, "If-Match": "*"}, role=None)


@pytest.mark.parametrize("what", ["assets", "users", "tickets"])
def test_lists_leave_others_out_and_single_things_are_404(
    ids: dict[str, dict[str, str]], limited: dict[str, str], what: str
) -> None:
    assert [item["id"] for item in ask(limited, "GET", what).json["items"]] == [ids["acorn"][what]]
    assert ask(limited, "GET", f"{what}?site=leeds").json["items"] == []
    edit = {"team": "x"} if what == "tickets" else {"fields": {"notes": "x"}}
    inner = ["notes"] if what == "tickets" else ["history", "explain"]
    assert ask(limited, "GET", f"{what}/{ids['acorn'][what]}").status == 200
    assert ask(limited, "PATCH", f"{what}/{ids['acorn'][what]}", edit).status == 200
    nothing = "manual:nothing" if what != "tickets" else "KV-00000-00000"
    for other in (ids["oak"][what], ids["nobody"][what], nothing):
        answers = [ask(limited, "GET", f"{what}/{other}"), ask(limited, "PATCH", f"{what}/{other}", edit)]
        for part in inner:
            method, body = ("POST", {"text": "x"}) if part == "notes" else ("GET", None)
            answers.append(ask(limited, method, f"{what}/{other}/{part}", body))
        assert {(answer.status, answer.json["reason"]) for answer in answers} == {(404, "not_found")}
        assert len({answer.json["detail"] for answer in answers}) == 1


def test_nothing_is_put_at_a_site_of_another_customer(ids: dict[str, dict[str, str]], limited: dict[str, str]) -> None:
    mine = ids["acorn"]
    refused = [
        ask(limited, "POST", "assets", {"id": "new", "fields": {"name": "x", "site": "leeds"}}),
        ask(limited, "POST", "users", {"id": "new", "fields": {"name": "x"}}),
        ask(limited, "PATCH", f"assets/{mine['assets']}", {"fields": {"site": "leeds"}}),
        ask(limited, "PATCH", f"users/{mine['users']}", {"fields": {"site": "no-such-site"}}),
        ask(limited, "PATCH", f"tickets/{mine['tickets']}", {"site": "leeds"}),
    ]
    assert {(one.status, one.json["reason"]) for one in refused} == {(403, "site_of_another_customer")}
    added = ask(limited, "POST", "assets", {"id": "mine", "fields": {"name": "x", "site": "london"}})
    assert added.status == 201


@pytest.mark.parametrize("what", ["assets", "users"])
def test_a_taken_id_is_refused_in_the_same_words_whoever_has_it_and_shows_nothing_of_the_record(
    ids: dict[str, dict[str, str]], limited: dict[str, str], what: str
) -> None:
    for whose, site in (("mine", "london"), ("theirs", "leeds"), ("nobodys", "")):
        fields = {"name": f"secret of {whose}", **({"site": site} if site else {})}
        assert call("POST", what, {"id": whose, "fields": fields}).status == 201
    told = set[str]()
    for whose in ("mine", "theirs", "nobodys"):
        refused = ask(limited, "POST", what, {"id": whose, "fields": {"name": "x", "site": "london"}})
        assert refused.json.keys() == {"type", "title", "status", "detail", "reason", "remedy"}
        assert (refused.status, refused.json["reason"]) == (409, "already_exists")
        told.add(json.dumps(refused.json).replace(whose, "ID"))
        # The site is looked at first: nobody learns of ids without a record of their own.
        other = ask(limited, "POST", what, {"id": whose, "fields": {"name": "x", "site": "leeds"}})
        assert (other.status, other.json["reason"]) == (403, "site_of_another_customer")
    assert len(told) == 1
    assert "secret" not in told.pop()


def test_a_customer_or_site_that_tokens_are_limited_to_stays_until_they_are_revoked(tables: MemoryTables) -> None:
    tokens = bootstrap.access_tokens()
    for name in ("ash", "elm"):
        assert call("PUT", f"settings/customers/{name}", {"title": name}).status == 201
    assert call("PUT", "settings/sites/york", {"title": "York", "customer": "elm"}).status == 201
    tokens.make("of-ash", by="test", customers=["ash"])
    tokens.make("shows-ash", by="test", kind=PrincipalKind.CALENDAR, view=View(customer="ash"))
    tokens.make("shows-york", by="test", kind=PrincipalKind.CALENDAR, view=View(site="york"))

    def remove(address: str) -> Answer:
        return call("DELETE", f"settings/{address}", None, {"If-Match": "*"})

    for address, names in (("customers/ash", ("of-ash", "shows-ash")), ("sites/york", ("shows-york",))):
        for name in names:
            refused = remove(address)
            assert (refused.status, refused.json["reason"]) == (409, "in_use")
            assert "access tokens" in refused.json["detail"]
            tokens.revoke(name, by="test")
        assert remove(address).status == 204
    # Nothing is limited to it, though there are sites and customers of other tokens.
    assert remove("customers/elm").status == 204


def test_a_customer_without_sites_sees_nothing(ids: dict[str, dict[str, str]]) -> None:
    _, token = bootstrap.access_tokens().make("of-none", by="test", customers=["gone"])
    for what in ("assets", "users", "tickets"):
        found = ask({"X-Api-Key": token}, "GET", what).json
        assert (found["items"], found["next"]) == ([], None)


def test_a_token_says_whom_it_stands_for(limited: dict[str, str]) -> None:
    me = ask(limited, "GET", "me").json
    assert (me["name"], me["kind"], me["role"], me["customers"]) == ("of-acorn", "token", "operator", ["acorn"])


def test_no_note_is_written_to_a_ticket_that_moves_to_another_customer_meanwhile(
    tables: MemoryTables, ids: dict[str, dict[str, str]], limited: dict[str, str]
) -> None:
    mine = ids["acorn"]["tickets"]
    path, finds = f"tickets/{mine}/notes", [0]
    assert ask(limited, "POST", path, {"text": "Ordered."}).status == 201
    tokens = bootstrap.access_tokens()

    def move_at(number: int) -> None:
        finds[0] = 0
        row = next(row for row in tables.table("tickets").rows.values() if row.row_key == f"ticket:{mine}")

        def move(table: str, verb: str, moment: str) -> None:
            if table != "tickets" or (verb, moment) != ("find", "after"):
                return
            finds[0] += 1
            if finds[0] == number:
                values = {**row.values, "site": "leeds"}
                tables.table("tickets").transact(row.partition_key, [Save(Row(row.partition_key, row.row_key, values))])

        bootstrap.reset()
        bootstrap.replace("access_tokens", tokens)
        bootstrap.replace("tables", WatchedTables(tables, move))
        answer = ask(limited, "POST", path, {"text": f"Number {number}."})
        moved = finds[0] >= number
        written = any(f"Number {number}." in str(one.values) for one in tables.table("tickets").rows.values())
        assert (answer.status, written) == ((404, False) if moved else (201, True))
        now = tables.table("tickets").find(row.partition_key, row.row_key)
        assert now is not None
        tables.table("tickets").transact(row.partition_key, [Save(replace(row, etag=""))])

    number = 1
    while number == 1 or finds[0] >= number - 1:
        move_at(number)
        number += 1
    assert number > 3


@pytest.mark.parametrize("what", ["assets", "users"])
def test_what_moves_to_another_customer_meanwhile_is_not_changed(
    tables: MemoryTables, ids: dict[str, dict[str, str]], limited: dict[str, str], what: str
) -> None:
    mine = ids["acorn"][what]
    tokens, moved = bootstrap.access_tokens(), list[str]()

    def move_once(table: str, verb: str, moment: str) -> None:
        if table != what or (verb, moment) != ("find", "after") or moved:
            return
        moved.append(table)
        row = next(row for row in tables.table(what).rows.values() if row.text("site") == "london")
        values = {**row.values, "site": "leeds"}
        tables.table(what).transact(row.partition_key, [Save(Row(row.partition_key, row.row_key, values))])

    bootstrap.reset()
    bootstrap.replace("access_tokens", tokens)
    bootstrap.replace("tables", WatchedTables(tables, move_once))
    refused = ask(limited, "PATCH", f"{what}/{mine}", {"fields": {"name": "Mine still"}})
    assert moved
    assert (refused.status, refused.json["reason"]) == (412, "changed_meanwhile")
    assert "Mine still" not in json.dumps(call("GET", f"{what}/{mine}").json)


def test_runs_are_listed_by_the_customer_whose_sites_their_documents_name(tables: MemoryTables) -> None:
    settings, now = bootstrap.settings(), bootstrap.now()
    settings.put("sites", "london-hq", {"title": "London HQ", "customer": "acorn"}, by="tests")
    settings.put("sites", "leeds", {"title": "Leeds", "customer": "oak"}, by="tests")
    settings.put("asset-types", "server", {"title": "Server"}, by="tests")
    settings.put("credential-stores", "kv", STORE, by="tests")
    for name, site in (("one", "london-hq"), ("two", "leeds"), ("both", "leeds")):
        rules = tenant()["site_rules"] if name == "both" else []
        settings.put("aws-tenants", name, tenant(default_site=site, site_rules=rules), by="tests")
        bootstrap.runs().add(Run(f"run-{name}", "aws-tenants", name, Mode.IMPORT, "manual", now, "tests"))
    bootstrap.runs().add(Run("run-of-a-realm", "authrocket-realms", "one", Mode.IMPORT, "manual", now, "tests"))

    def listed(query: str) -> set[str]:
        return {item["id"] for item in call("GET", f"runs{query}").json["items"]}

    assert listed("") == {"run-one", "run-two", "run-both", "run-of-a-realm"}
    assert listed("?customer=acorn") == {"run-one", "run-both"}
    assert listed("?customer=oak&name=two") == {"run-two"}
    assert listed("?customer=nobody") == set()


def test_tokens_are_listed_by_the_customer_that_they_are_limited_to(ids: dict[str, dict[str, str]]) -> None:
    tokens = bootstrap.access_tokens()
    tokens.make("of-both", by="test", customers=["acorn", "oak"])
    tokens.make("of-oak", by="test", customers=["oak"])
    tokens.make("shows-acorn", by="test", kind=PrincipalKind.CALENDAR, view=View(customer="acorn"))
    tokens.make("shows-leeds", by="test", kind=PrincipalKind.CALENDAR, view=View(site="leeds"))

    def listed(customer: str) -> list[str]:
        return [item["name"] for item in call("GET", f"tokens?customer={customer}").json["items"]]

    assert listed("acorn") == ["of-both", "shows-acorn"]
    assert listed("oak") == ["of-both", "of-oak", "shows-leeds"]
    assert listed("nobody") == []


def _token_or_removal(
    tables: MemoryTables, admin: dict[str, str], number: int, *, removes_first: bool, view: bool
) -> tuple[int, int, bool]:
    """One request, and the other at its n-th call of the storage; what they answer, and whether they met."""
    answers: dict[str, int] = {}

    def make() -> None:
        body: dict[str, Any] = {"name": f"t{number}", "customer": "ash"} if view else {"name": f"t{number}"}
        body |= {} if view else {"customers": ["ash"], "role": "reader"}
        answers["made"] = call("POST", "tokens/calendar" if view else "tokens", body, admin, role=None).status

    def remove() -> None:
        answers["removed"] = call(
            "DELETE", "settings/customers/ash", None, {**admin, "If-Match": "*"}, role=None
        ).status

    first, second = (remove, make) if removes_first else (make, remove)
    left = [number]

    def meet(_table: str, _verb: str, _when: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            _as_another_worker(tables)
            second()

    _as_another_worker(WatchedTables(tables, meet))
    first()
    met = left[0] < 0
    if not met:
        _as_another_worker(tables)
        second()
    return answers["made"], answers["removed"], met


def _as_another_worker(tables: MemoryTables | WatchedTables) -> None:
    bootstrap.reset()
    bootstrap.replace("tables", tables)


@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("removes_first", [False, True])
def test_no_token_is_left_limited_to_a_customer_that_is_removed_meanwhile(
    tables: MemoryTables, removes_first: bool, view: bool
) -> None:
    _, token = bootstrap.access_tokens().make("admin", by="test", role=Role.ADMINISTRATOR)
    admin = {"X-Api-Key": token}
    number, met, outcomes = 0, True, set[tuple[int, int]]()
    while met:
        assert ask(admin, "PUT", "settings/customers/ash", {"title": "Ash"}).status in {200, 201}
        made, removed, met = _token_or_removal(tables, admin, number, removes_first=removes_first, view=view)
        outcomes.add((made, removed))
        left = ask(admin, "GET", "settings/customers/ash").status == 200
        assert left or made != 201, (number, made, removed)
        if made == 201:
            assert ask(admin, "DELETE", f"tokens/t{number}").status == 204
        number += 1
    assert number > 5
    assert {made for made, _ in outcomes} | {removed for _, removed in outcomes} <= {201, 204, 400, 409, 412, 503}
    assert len(outcomes) > 1
