"""Users, imports of realms and the webhook over HTTP, as the host calls the functions."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from functions.http import endpoints
from functions.http.endpoints import Endpoint
from lab.emulators.authrocket import LAPSED_KEY, WRITE_ONLY_KEY, AuthRocketLab, webhooks
from lab.hosts import LAB_HOSTS
from shared import bootstrap
from shared.errors import DeskbridgeError
from shared.vaults.model import UserPassword
from tests.api.calling import Sent, call
from tests.outbox.settling import settle
from tests.registered import FUNCTIONS
from tests.users.desk import WEBHOOK, Desk

PASSWORD = "lab-only"


@pytest.fixture
def desk(lab: AuthRocketLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    def fail(declared: Endpoint, error: DeskbridgeError) -> None:
        raise AssertionError(f"{declared.function} does not declare {error.reason}")

    monkeypatch.setattr(endpoints, "report_undeclared", fail)
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    monkeypatch.setenv("DESKBRIDGE_ALLOWED_PRIVATE_HOSTS", "localhost")
    for name, value in LAB_HOSTS.items():
        monkeypatch.setenv(name, value)
    bootstrap.reset()
    new = Desk(lab)
    new.secrets.pairs["webhook"] = UserPassword("authrocket", PASSWORD)
    bootstrap.replace("tables", new.tables)
    bootstrap.replace("credentials", new.secrets)
    new.set_up(webhook=WEBHOOK)
    yield new
    bootstrap.reset()


def work(messages: list[str]) -> None:
    """What the queue does."""
    for message in messages:
        more: list[Any] = bootstrap.imports().do_part(json.loads(message))
        work([json.dumps(one) for one in more])


def test_the_timer_imports_every_realm_whose_schedule_is_on(desk: Desk) -> None:  # AR-01, AR-08
    sent = Sent()
    FUNCTIONS["import_authrocket_users"].get_user_function()(timer=None, messages=sent)
    assert len(sent.value) == 1
    work(sent.value)
    runs = call("GET", "runs?kind=authrocket-realms").json["items"]
    assert [(run["name"], run["status"], run["trigger"]) for run in runs] == [("customers", "succeeded", "scheduled")]
    assert call("GET", "users?email=Jim.Shorts@acorn.example").json["items"][0]["fields"]["name"] == "Jim Shorts"


def test_run_now_preview_and_start(desk: Desk) -> None:  # AR-09
    preview = call("POST", "authrocket-realms/customers/imports", {"mode": "preview"})
    assert preview.status == 202
    work(preview.sent)
    assert call("GET", "users").json["items"] == []
    plan = call("GET", f"runs/{preview.json['id']}/plan?action=create&limit=200").json["items"]
    jim = next(entry for entry in plan if entry["label"] == "Jim Shorts")
    assert {"field": "email", "before": None, "after": "jim.shorts@acorn.example"} in jim["changes"]
    start = call("POST", "authrocket-realms/customers/imports", {"mode": "apply", "run_id": preview.json["id"]})
    work(start.sent)
    assert call("GET", f"runs/{start.json['id']}").json["status"] == "succeeded"
    assert call("POST", "authrocket-realms/nowhere/imports", {"mode": "import"}).status == 404


def imported(desk: Desk) -> dict[str, Any]:
    """Jim, after an import."""
    work(call("POST", "authrocket-realms/customers/imports", {"mode": "import"}).sent)
    found: dict[str, Any] = call("GET", "users?email=jim.shorts@acorn.example").json["items"][0]
    return found


def test_an_edit_stays_until_it_is_released(desk: Desk) -> None:
    jim = imported(desk)
    assert jim["id"] == f"authrocket:{desk.lab.realm_id}:{jim['source_id']}"
    address = f"users/{jim['id']}"
    etag = call("GET", address).etag
    edited = call("PATCH", address, {"fields": {"name": "James", "site": "leeds"}}, {"If-Match": etag})
    assert edited.json["locked_fields"] == ["name", "site"]
    assert call("PATCH", address, {"fields": {"name": "Jimbo"}}, {"If-Match": etag}).status == 412
    desk.lab.change_user(jim["source_id"], name="Jimmy", last_name="Long")
    assert imported(desk)["fields"] == {**edited.json["fields"], "last-name": "Long"}
    released = call("PATCH", address, {"release": ["name", "site"]}, {"If-Match": "*"})
    assert released.status == 200
    now = imported(desk)
    assert (now["fields"]["name"], now["site"], now["locked_fields"]) == ("Jimmy", "london-hq", [])
    history = call("GET", f"{address}/history").json["items"]
    assert {"field": "name", "before": "James", "after": "Jimmy"} in history[0]["changes"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"shoe": "1"}, "fields.shoe"),
        ({"site": "nowhere"}, "fields.site"),
        ({"organisations": "mine"}, "fields.organisations"),
        ({"active": "no"}, "fields.active"),
        ({"type": "server"}, "fields.type"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_by_path(desk: Desk, fields: dict[str, Any], path: str) -> None:
    added = call("POST", "users", {"id": "front-desk", "fields": {"name": "Front Desk"}})
    assert added.status == 201
    refused = call("PATCH", f"users/{added.json['id']}", {"fields": fields}, {"If-Match": "*"})
    assert (refused.status, [fault["path"] for fault in refused.json["faults"]]) == (400, [path])


def test_a_user_is_explained(desk: Desk) -> None:
    desk.set_up(
        organisations=True,
        site_rules=[
            {"site": "leeds", "criteria": [{"field": "organisation", "operator": "starts_with", "value": "St Johns"}]}
        ],
    )
    user = desk.lab.find_user("jim.shorts@acorn.example")["id"]
    school = next(one for one in desk.lab.realm().orgs.values() if one["name"].startswith("St Johns"))
    desk.lab.grant(user, school["id"], ["desk:user"])
    jim = imported(desk)
    why = call("GET", f"users/{jim['id']}/explain").json
    assert why["source"]["custom"]["department"] == "Site Operations"
    assert {"source": "email", "value": "jim.shorts@acorn.example"}.items() <= next(
        one for one in why["values"] if one["field"] == "email"
    ).items()
    assert why["explanation"] == [
        'Site: Rule "1" matched: organisation starts with "St Johns" (it is "St Johns High School").'
    ]
    assert "St Johns High School" in [one["org_name"] for one in why["memberships"]]
    assert why["history"][0]["action"] == "create"


def test_lists_are_filtered_and_paged(desk: Desk) -> None:
    imported(desk)
    first = call("GET", "users?limit=20").json
    second = call("GET", f"users?limit=20&after={first['next']}").json
    assert len({user["id"] for user in first["items"] + second["items"]}) == 40
    assert call("GET", "users?site=leeds").json["items"] == []
    assert call("GET", "users?active=false").json["items"] == []
    assert len(call("GET", "users?field=reference&value=HR-00001").json["items"]) == 1
    assert call("GET", "users?realm=rl_other").json["items"] == []
    assert call("GET", "users/authrocket:rl_x:usr_none").status == 404


# Test configuration


@pytest.mark.parametrize(
    ("break_it", "reason", "words"),
    [
        (lambda _: None, "", "Users can be read: 5 on a page of 5"),
        (lambda desk: desk.set_up(organisations=True), "", "organisations can be read: 4"),
        (
            lambda desk: desk.secrets.texts.update(authrocket=LAPSED_KEY),
            "authrocket_subscription_inactive",
            "subscription",
        ),
        (
            lambda desk: desk.secrets.texts.update(authrocket=WRITE_ONLY_KEY),
            "authrocket_key_refused",
            "read permission",
        ),
        (lambda desk: desk.set_up(realm="rl_wrong"), "authrocket_not_found", "another one"),
        # What makes an import fail at once.
        (lambda desk: desk.set_up("other"), "document_invalid", "both name the realm"),
        (
            lambda desk: desk.set_up(field_mappings=[{"source": "abs(name)", "field": "email"}], match_order=[]),
            "records_all_refused",
            "not one can be imported: email:",
        ),
        (lambda desk: desk.set_up(endpoint_url=f"{desk.lab.url}x"), "authrocket_not_found", "finds nothing there"),
        (
            lambda desk: desk.set_up(endpoint_url="https://localhost:1/v2"),
            "authrocket_unreachable",
            "cannot be reached",
        ),
    ],
)
def test_the_configuration_is_tested_in_a_sentence(desk: Desk, break_it: Any, reason: str, words: str) -> None:
    break_it(desk)
    check = call("POST", "authrocket-realms/customers/check")
    assert check.status == 200
    assert (check.json["ok"], check.json["reason"]) == (not reason, reason)
    assert words in check.json["message"]
    assert bool(check.json["remedy"]) == bool(reason)
    assert all(key not in check.body.decode() for key in desk.secrets.texts.values())


# The webhook


def deliver(event: Any, password: str = PASSWORD) -> Any:
    header = "Basic " + base64.b64encode(f"authrocket:{password}".encode()).decode()
    return call("POST", "events/authrocket/customers", event, {"Authorization": header})


def test_the_webhook_answers_by_meaning(desk: Desk) -> None:
    jim = imported(desk)
    assert deliver(webhooks.ping(1.0)).json["outcome"] == "pong"
    assert deliver(webhooks.ping(1.0), "wrong").status == 401
    assert deliver([]).status == 400
    assert deliver({"id": "ev_unknown"}).status == 404
    assert deliver({"id": "ev_x" + "x" * 300_000}).status == 413
    desk.lab.change_user(jim["source_id"], last_name="Long")
    event = next(iter(desk.lab.realm().events.values()))
    assert deliver(event).json["outcome"] == "written"
    assert deliver(event).json["outcome"] == "unchanged"
    assert call("GET", f"users/{jim['id']}").json["fields"]["last-name"] == "Long"
    desk.lab.script("status", status=429, retry_after="3000", times=None)
    answer = deliver(event)
    assert (answer.status, answer.json["reason"]) == (503, "authrocket_throttled")


# Tickets of grants


def test_a_granted_admin_permission_is_a_ticket_like_any_other(desk: Desk) -> None:
    desk.set_up(webhook=WEBHOOK, organisations=True, ticket_on_admin_grant=True)
    imported(desk)
    assert call("GET", "tickets").json["items"] == []
    org = next(iter(desk.lab.realm().orgs.values()))
    user = desk.lab.add_user(email="boss@acorn.example", name="The Boss")["id"]
    desk.lab.grant(user, org["id"], ["ar:owner"])
    for event in [*desk.lab.realm().events.values()] * 2:
        assert deliver(event).status == 200
    settle(bootstrap.gathered_outbox())
    (ticket,) = call("GET", "tickets").json["items"]
    assert ticket["summary"] == f"The Boss was granted ar:owner in {org['name']}"
    assert (ticket["kind"], ticket["object_type"], ticket["object_name"]) == ("admin_grant", "user", user)
    assert (ticket["priority"], ticket["ticket_type"], ticket["site"]) == ("high", "Security", "london-hq")
    # People close it, and it stays closed whatever is delivered again.
    address = f"tickets/{ticket['id']}"
    closed = call("PATCH", address, {"status": "closed", "note": "Ordered by the board."}, {"If-Match": "*"})
    assert closed.status == 200, closed.body
    for event in desk.lab.realm().events.values():
        deliver(event)
    work(call("POST", "authrocket-realms/customers/imports", {"mode": "import"}).sent)
    assert call("GET", address).json["status"] == "closed"
    assert call("GET", "tickets").json["items"] == []
    assert "Ordered by the board." in [note["text"] for note in call("GET", address).json["notes"]]
