"""Every door at which somebody changes something leaves one entry with the right from and to, and no secret."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import bootstrap
from shared.access.tokens import KEPT_AFTER_ITS_END
from shared.imports.plan.model import Trigger
from shared.imports.runs.model import Mode, Run, RunState
from shared.outbox.model import OUTBOX, OutboxState
from shared.storage.rows import Delete
from tests.api.calling import call
from tests.api.conftest import CREDENTIAL, STORE
from tests.api.seeding import asset, near_expiry, secrets_of_two_vaults, sites_and_types, user
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.registered import FUNCTIONS
from tests.tickets.desk import Desk, configuration
from tests.tokens import token_of

PLANTED = "hunter2-of-the-planted-secret"
SITE = {"title": "London HQ", "customer": "acorn"}


def carry_out() -> None:
    """What the queue does with the messages of the outbox."""
    for entry in bootstrap.outbox().page(None, 1000, None)[0]:
        bootstrap.outbox().carry_out(entry.message)


@pytest.fixture(autouse=True)
def nothing_audited_yet(tables: MemoryTables) -> None:
    """The callers have their tokens, and the making of these is not looked at."""
    token_of()
    carry_out()
    for partition_key, row_key in tables.table("audit").rows:
        tables.table("audit").transact(partition_key, [Delete(row_key)])


def audited(**wanted: str) -> list[dict[str, Any]]:
    """All entries, newest first, without what is of the moment."""
    carry_out()
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    found = call("GET", f"audit?limit=200&{query}").json["items"]
    return [{name: value for name, value in one.items() if name not in {"id", "at"}} for one in found]


def entry(kind: str, action: str, thing: str, *changes: tuple[str, Any, Any]) -> dict[str, Any]:
    told = [{"field": field, "before": before, "after": after} for field, before, after in changes]
    return {
        "by": "the-administrator",
        "role": "administrator",
        "origin": "request",
        "kind": kind,
        "action": action,
        "thing": thing,
        "changes": told,
        "more": 0,
    }


# Settings


def test_each_change_of_a_settings_document_is_an_entry(tables: MemoryTables) -> None:
    call("PUT", "settings/sites/london-hq", SITE)
    call("PUT", "settings/sites/london-hq", {**SITE, "title": "London"}, {"If-Match": "*"})
    call("DELETE", "settings/sites/london-hq", headers={"If-Match": "*"})
    thing = "sites/london-hq"
    assert audited() == [
        entry("settings", "deleted", thing, ("customer", "acorn", None), ("title", "London", None)),
        entry("settings", "updated", thing, ("title", "London HQ", "London")),
        entry("settings", "created", thing, ("customer", None, "acorn"), ("title", None, "London HQ")),
    ]


def test_applying_a_set_leaves_an_entry_for_each_document_that_it_changes_and_none_for_others(
    tables: MemoryTables,
) -> None:
    documents = [{"kind": "sites", "name": name, "document": SITE} for name in ("a", "b")]
    call("POST", "settings?dry_run=true", {"documents": documents})
    assert audited() == []
    call("POST", "settings", {"documents": documents})
    call("POST", "settings", {"documents": documents})
    assert sorted(one["thing"] for one in audited()) == ["sites/a", "sites/b"]


def test_what_is_refused_leaves_no_entry(tables: MemoryTables) -> None:
    sites_and_types()
    before = len(audited())
    assert call("PUT", "settings/sites/london-hq", {"title": 5}, {"If-Match": "*"}).status == 400
    assert call("PUT", "settings/sites/london-hq", SITE, {"If-Match": "99"}).status == 412
    assert call("DELETE", "settings/sites/nowhere", headers={"If-Match": "*"}).status == 404
    assert call("PATCH", f"assets/{asset(1)}", {"fields": {"site": "nowhere"}}, {"If-Match": "*"}).status == 400
    # The asset itself.
    assert len(audited()) == before + 1


def test_names_of_secrets_are_told_and_a_secret_that_somebody_planted_in_a_document_is_not(
    tables: MemoryTables,
) -> None:
    call("PUT", "settings/credential-stores/acorn", {**STORE, "description": f"its password: {PLANTED}"})
    call("PUT", "settings/credentials/acorn-ec2", CREDENTIAL)
    call("PUT", "settings/credentials/acorn-ec2", {**CREDENTIAL, "secret": "ec2-new-key"}, {"If-Match": "*"})
    found = audited(thing="credentials/acorn-ec2")
    assert found[0]["changes"] == [{"field": "secret", "before": "ec2-access-key", "after": "ec2-new-key"}]
    assert PLANTED not in _told(tables)


# Tokens


def test_the_making_and_revoking_of_a_token_are_entries_that_tell_all_but_its_value(tables: MemoryTables) -> None:
    made = call("POST", "tokens", {"name": "kims-script", "role": "operator", "expires_at": "2027-05-01T00:00:00Z"})
    assert made.status == 201, made.body
    assert call("DELETE", "tokens/kims-script").status == 204
    assert call("DELETE", "tokens/kims-script").status == 204
    revoked, created = audited(thing="tokens/kims-script")
    assert created["action"] == "created"
    assert created["role"] == "administrator"
    assert {"field": "role", "before": None, "after": "operator"} in created["changes"]
    assert {"field": "expires_at", "before": None, "after": "2027-05-01T00:00:00Z"} in created["changes"]
    assert (revoked["action"], [change["field"] for change in revoked["changes"]]) == ("revoked", ["revoked_at"])
    assert made.json["token"] not in _told(tables)
    assert made.json["token"].removeprefix("desk_")[:20] not in _told(tables)


# Records


@pytest.mark.parametrize(("many", "field"), [("assets", "notes"), ("users", "last-name")])
def test_each_edit_of_a_record_is_an_entry(tables: MemoryTables, many: str, field: str) -> None:
    record = asset(1) if many == "assets" else user(1)
    thing = f"{many}/{record}"
    call("PATCH", f"{many}/{record}", {"fields": {field: "new"}}, {"If-Match": "*"})
    call("PATCH", f"{many}/{record}", {"fields": {field: "new"}}, {"If-Match": "*"})
    call("PATCH", f"{many}/{record}", {"release": [field]}, {"If-Match": "*"})
    released, edited, added = audited()
    assert (added["action"], added["thing"]) == ("added", thing)
    assert {"field": "name", "before": None, "after": added["changes"][0]["after"]} in added["changes"]
    assert edited == entry(
        "record",
        "edited",
        thing,
        (field, None, "new"),
        (f"lock:f_{field.replace('-', '_')}", None, "the-administrator"),
    )
    assert released["changes"] == [
        {"field": f"lock:f_{field.replace('-', '_')}", "before": "the-administrator", "after": None}
    ]


def test_a_secret_that_somebody_planted_in_a_record_is_not_told(tables: MemoryTables) -> None:
    call("PUT", "settings/asset-fields/admin-password", {"title": "Admin password", "custom": True})
    record = asset(1)
    fields = {"custom.admin-password": PLANTED, "notes": f"the password is password={PLANTED}"}
    answered = call("PATCH", f"assets/{record}", {"fields": fields}, {"If-Match": "*"})
    assert answered.status == 200, answered.body
    assert audited(thing=f"assets/{record}")[0]["action"] == "edited"
    assert PLANTED not in _told(tables)


# Tickets


@pytest.fixture
def ticket(tables: MemoryTables) -> str:
    secrets_of_two_vaults(tables)
    return str(call("GET", "tickets").json["items"][0]["id"])


def test_each_change_of_a_ticket_and_each_note_is_an_entry(ticket: str) -> None:
    call("PATCH", f"tickets/{ticket}", {"assignee": "kim", "status": "in_progress"}, {"If-Match": "*"})
    call("PATCH", f"tickets/{ticket}", {"assignee": "kim"}, {"If-Match": "*"})
    call("POST", f"tickets/{ticket}/notes", {"text": f"call them; password={PLANTED}"})
    thing = f"tickets/{ticket}"
    noted, edited = audited()
    changes = (("assignee", None, "kim"), ("status", "open", "in_progress"))
    assert edited == entry("ticket", "edited", thing, *changes)
    assert noted == entry("ticket", "noted", thing, ("note", None, "call them; password=(masked)"))


# Runs


TENANT = {
    "title": "acorn",
    "access": {"method": "web_identity", "audience": "api://deskbridge"},
    "accounts": [{"account": "111122223333", "role": "arn:aws:iam::111122223333:role/Deskbridge"}],
    "regions": ["eu-west-2"],
    "field_mappings": [{"source": "InstanceId", "field": "name"}],
    "asset_type": {"mode": "same", "default": "server"},
    "default_site": "london-hq",
}


def test_a_start_and_a_preview_are_entries_and_a_refused_start_is_none(tables: MemoryTables) -> None:
    sites_and_types()
    put = call("PUT", "settings/aws-tenants/acorn", TENANT)
    assert put.status == 201, put.body
    started = call("POST", "aws-tenants/acorn/imports", {"mode": "import"})
    assert started.status == 202, started.body
    assert call("POST", "aws-tenants/acorn/imports", {"mode": "import"}).status == 409
    previewed = call("POST", "aws-tenants/acorn/imports", {"mode": "preview"})
    assert previewed.status == 202, previewed.body
    run, preview = started.json["id"], previewed.json["id"]
    assert audited(kind="import") == [
        entry("import", "started", "aws-tenants/acorn", ("run", None, preview), ("mode", None, "preview")),
        entry("import", "started", "aws-tenants/acorn", ("run", None, run), ("mode", None, "import")),
    ]
    assert [one["id"] for one in call("GET", "runs").json["items"]] == [preview, run]


@pytest.mark.parametrize(
    ("mode", "before", "kind", "action"),
    [("apply", Mode.PREVIEW, "import", "applied"), ("confirm", Mode.IMPORT, "confirmation", "confirmed")],
)
def test_whoever_applies_a_preview_or_confirms_is_told_with_the_run_that_it_stands_on(
    tables: MemoryTables, mode: str, before: Mode, kind: str, action: str
) -> None:
    sites_and_types()
    assert call("PUT", "settings/aws-tenants/acorn", TENANT).status == 201
    now = bootstrap.now()
    runs = bootstrap.runs()
    one = Run(runs.new_id("aws-tenants", now), "aws-tenants", "acorn", before, Trigger.MANUAL, now, "kim")
    runs.add(replace(one, state=RunState.SUCCEEDED, finished_at=now, counts={"parts_done": 1}))
    assert call("POST", "aws-tenants/acorn/imports", {"mode": mode, "run_id": "no-such-run"}).status == 404
    started = call("POST", "aws-tenants/acorn/imports", {"mode": mode, "run_id": one.id})
    assert started.status == 202, started.body
    changes = (("run", None, started.json["id"]), ("mode", None, "import"), ("of", None, one.id))
    assert audited(kind=kind) == [entry(kind, action, "aws-tenants/acorn", *changes)]
    assert [found["kind"] for found in audited() if found["thing"] == "aws-tenants/acorn"] == [kind, "settings"]


def test_the_schedule_leaves_no_entry_and_a_caller_of_that_name_does(tables: MemoryTables) -> None:
    sites_and_types()
    assert call("PUT", "settings/aws-tenants/acorn", {**TENANT, "syncing": True}).status == 201
    assert len(bootstrap.run_starter().start_scheduled("aws-tenants")) == 1
    assert audited(kind="import") == []
    bootstrap.run_starter().start("aws-tenants", "acorn", trigger=Trigger.MANUAL, by="schedule", preview=True)
    assert [one["by"] for one in audited(kind="import")] == ["schedule"]


# Events


def test_a_sweep_and_replays_are_entries_before_they_are_done(
    tables: MemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = near_expiry("stranger-vault", "x", datetime.now(UTC) + timedelta(days=5))
    Desk(tables).post([event])
    bootstrap.replace("ticket_configuration", lambda: configuration("acorn-vault"))
    [item] = call("GET", "quarantine").json["items"]

    class Nothing:
        def replay(self) -> Any:
            raise KilledError

    bootstrap.replace("dead_letters", Nothing())
    assert call("POST", f"quarantine/{item['id']}/replay").status == 200
    call("POST", "sweeps", {"vaults": ["oak-vault"]})
    with pytest.raises(KilledError):
        call("POST", "dead-letters/replay")
    assert call("DELETE", f"quarantine/{item['id']}").status == 204
    thing = f"quarantine/{item['id']}"
    assert audited() == [
        entry("quarantine", "removed", thing),
        entry("replay", "replayed", "dead-letters"),
        entry("sweep", "started", "vaults", ("vaults", None, "oak-vault")),
        entry("replay", "replayed", thing),
    ]


# In the change's own transaction


def _told(tables: MemoryTables) -> str:
    """All that is stored of the audit trail, carried out or not."""
    contents = tables.contents()
    waiting = {key: row for rows in contents.values() for key, row in rows.items() if key[1].startswith(OUTBOX)}
    return json.dumps([str(contents.get("audit")), str(waiting), str(contents.get("outbox"))])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_change_is_never_there_without_its_entry_nor_the_entry_without_its_change(
    tables: MemoryTables, when: str
) -> None:
    record = asset(1)
    carry_out()
    number = 0
    while True:
        left = [number]

        def kill(table: str, verb: str, moment: str, left: list[int] = left) -> None:
            if moment == when:
                left[0] -= 1
                if left[0] < 0:
                    raise KilledError

        _worker(WatchedTables(tables, kill))
        value = f"value {number}"
        try:
            call("PATCH", f"assets/{record}", {"fields": {"notes": value}}, {"If-Match": "*"})
            killed = False
        except KilledError:
            killed = True
        _worker(tables)
        is_there = call("GET", f"assets/{record}").json["fields"].get("notes") == value
        told = [change["after"] for one in audited(kind="record") for change in one["changes"]]
        assert told.count(value) == int(is_there), (number, is_there)
        if not killed:
            break
        number += 1
    assert number >= 3


def _worker(tables: Any) -> None:
    bootstrap.reset()
    bootstrap.replace("tables", tables)


# The list and the outbox


def test_the_list_is_paged_and_refuses_what_it_does_not_know(tables: MemoryTables) -> None:
    for number in range(5):
        asset(number)
    carry_out()
    first = call("GET", "audit?limit=3").json
    second = call("GET", f"audit?limit=3&after={first['next']}").json
    things = [one["thing"] for one in [*first["items"], *second["items"]]]
    assert things == [f"assets/manual:SERV-{number}" for number in (4, 3, 2, 1, 0)]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert call("GET", f"audit?since={tomorrow}").json["items"] == []
    assert len(call("GET", f"audit?until={tomorrow}").json["items"]) == 5
    assert call("GET", "audit?kind=gossip").status == 400
    assert call("GET", "audit?since=yesterday").status == 400
    assert call("GET", "audit?after=made-up").status == 400


def test_a_page_of_this_desk_is_told_as_the_console(tables: MemoryTables) -> None:
    call("PUT", "settings/sites/a", SITE, {"Sec-Fetch-Site": "same-origin"})
    call("PUT", "settings/sites/b", SITE, {"Sec-Fetch-Site": "cross-site"})
    assert [one["origin"] for one in audited()] == ["request", "console"]


def test_what_waits_and_what_failed_is_listed_and_tried_again(tables: MemoryTables) -> None:
    asset(1)
    [waiting] = call("GET", "outbox").json["items"]
    assert (waiting["state"], waiting["table"], waiting["kinds"]) == ("pending", "assets", ["audit"])
    assert call("GET", "outbox?state=failed").json["items"] == []
    [pending] = bootstrap.outbox().page(OutboxState.PENDING, 10, None)[0]
    retried = call("POST", f"outbox/{waiting['id']}/retry")
    assert (retried.status, retried.sent) == (202, [pending.message.text])
    assert call("POST", "outbox/nothing/retry").status == 404
    assert [one["action"] for one in audited()] == ["retried", "added"]
    assert call("GET", "outbox").json["items"] == []


def test_the_functions_of_the_outbox_carry_out_hurry_and_drop(tables: MemoryTables) -> None:
    from azure.functions.queue import QueueMessage

    from tests.api.calling import Sent

    asset(1)
    [pending] = bootstrap.outbox().page(None, 10, None)[0]
    sent = Sent()
    FUNCTIONS["hurry_overdue_follow_ups"].get_user_function()(timer=None, messages=sent)
    assert sent.value is None, "it is on its way"
    message = QueueMessage(id="m", body=pending.message.text.encode())
    FUNCTIONS["drop_follow_up_message"].get_user_function()(message=message)
    FUNCTIONS["drop_follow_up_message"].get_user_function()(message=QueueMessage(id="m", body=b"[]"))
    assert len(bootstrap.outbox().page(None, 10, None)[0]) == 1
    FUNCTIONS["carry_out_follow_ups"].get_user_function()(message=message)
    assert bootstrap.outbox().page(None, 10, None)[0] == []
    assert len(call("GET", "audit").json["items"]) == 1
    FUNCTIONS["remove_old_access_rows"].get_user_function()(timer=None)
    assert len(call("GET", "audit").json["items"]) == 1


def test_the_housekeeping_of_the_outbox_forgets_old_tokens(tables: MemoryTables) -> None:
    tokens = bootstrap.access_tokens()
    tokens.make("old", by="kim", expires_at=bootstrap.now() - KEPT_AFTER_ITS_END - timedelta(seconds=1))
    tokens.make("ended", by="kim", expires_at=bootstrap.now() - KEPT_AFTER_ITS_END + timedelta(days=1))
    FUNCTIONS["remove_old_access_rows"].get_user_function()(timer=None)
    listed = {item["name"] for item in call("GET", "tokens").json["items"]}
    assert "ended" in listed
    assert "old" not in listed
