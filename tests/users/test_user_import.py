"""Imports of a realm, from the stand-in to the rows: what arrives, what changes, what leaves, and what does not."""

from collections.abc import Callable
from typing import Any

import pytest

from lab.emulators.authrocket import ST_JOHNS_REALM, AuthRocketLab
from shared.errors import InvalidInputError, MisconfiguredError, TryLaterError
from shared.imports.plan.model import Action
from shared.imports.runs.model import RunState
from shared.imports.runs.starter import RunStarter
from shared.reasons import Reason
from tests.users.desk import Desk


@pytest.fixture
def desk(lab: AuthRocketLab) -> Desk:
    return Desk(lab)


def counts(summary: object) -> dict[str, int]:
    found = dict(summary.counts)  # type: ignore[attr-defined] # a Summary
    return {action: found[action] for action in map(str, Action) if found.get(action)}


def test_jim_shorts_arrives_with_names_address_and_the_default_site(desk: Desk) -> None:  # AR-10, AR-11, AR-12
    desk.set_up()
    summary = desk.run()
    assert summary.state is RunState.SUCCEEDED
    jim = desk.users()[desk.lab.find_user("jim.shorts@acorn.example")["id"]]
    shown = {name: jim.values[name] for name in ("f_name", "f_first_name", "f_last_name", "f_email", "site", "active")}
    assert shown == {
        "f_name": "Jim Shorts",
        "f_first_name": "Jim",
        "f_last_name": "Shorts",
        "f_email": "jim.shorts@acorn.example",
        "site": "london-hq",
        "active": True,
    }
    active = sum(user["state"] == "active" for user in desk.lab.realm().users.values())
    assert counts(summary) == {"create": active, "skip": 250 - active}


def test_a_second_import_writes_no_row(desk: Desk) -> None:
    desk.set_up(organisations=True)
    desk.run()
    before = {key: row.etag for key, row in desk.users().items()}
    again = desk.run()
    assert set(counts(again)) == {"unchanged", "skip"}
    assert {key: row.etag for key, row in desk.users().items()} == before


def test_run_now_and_the_schedule_do_the_same(desk: Desk) -> None:  # AR-01, AR-08, AR-09
    desk.set_up()
    desk.set_up("not-synced", realm=ST_JOHNS_REALM, syncing=False)
    desk.work(RunStarter(desk.runner).start_scheduled("authrocket-realms"))
    scheduled = desk.users()
    assert len(scheduled) > 200
    assert desk.users(ST_JOHNS_REALM) == {}
    assert set(counts(desk.run())) == {"unchanged", "skip"}
    assert len(desk.run("not-synced").parts) == 1
    assert desk.users(ST_JOHNS_REALM)


def test_a_changed_user_is_updated_and_an_emptied_field_is_empty(desk: Desk) -> None:
    desk.set_up()
    desk.run()
    jim = desk.lab.find_user("jim.shorts@acorn.example")["id"]
    desk.lab.change_user(jim, email="jim@acorn.example", last_name=None, name="Jim")
    summary = desk.run()
    assert counts(summary)["update"] == 1
    row = desk.users()[jim]
    assert row.text("f_email") == "jim@acorn.example"
    assert "f_last_name" not in row.values


def test_inactive_and_vanished_users_stay_unless_the_settings_say_otherwise(desk: Desk) -> None:
    desk.set_up()
    desk.run()
    jim, other = (desk.lab.find_user("jim.shorts@acorn.example")["id"], next(reversed(desk.users())))
    desk.lab.change_user(jim, state="inactive")
    desk.lab.remove_user(other)
    desk.run()
    assert desk.users()[jim].values["active"] is True
    desk.set_up(deactivate_inactive=True)
    desk.run()
    assert [desk.users()[one].values["active"] for one in (jim, other)] == [False, True]
    desk.set_up(deactivate_inactive=True, deactivate_vanished=True)
    desk.run()
    assert [desk.users()[one].values["active"] for one in (jim, other)] == [False, False]
    desk.lab.change_user(jim, state="active")
    desk.run()
    assert desk.users()[jim].values["active"] is True


def test_the_brake_keeps_users_active_until_a_person_confirms(desk: Desk) -> None:
    desk.set_up(deactivate_vanished=True)
    desk.run()
    for user_id in list(desk.users())[:100]:
        desk.lab.remove_user(user_id)
    braked = desk.run()
    assert counts(braked)["held_back"] == 100
    assert all(row.values["active"] for row in desk.users().values())
    confirmed = desk.run(confirm=braked.run.id)
    assert counts(confirmed)["deactivate"] == 100


@pytest.mark.parametrize("status", [402, 403, 404, 422, 429, 500])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_reading_that_fails_at_any_page_deactivates_nobody(desk: Desk, status: int, page: int) -> None:
    desk.set_up(deactivate_vanished=True, deactivate_inactive=True, page_size=100, brake={"at_least": 1000})
    desk.run()
    for user_id in list(desk.users())[::2]:
        desk.lab.remove_user(user_id)
    desk.lab.script("status", status=status, page=min(page, 2), times=None, retry_after="100000")
    started = RunStarter(desk.runner).start("authrocket-realms", "customers", trigger="manual", by="test")  # type: ignore[arg-type] # its text
    [message] = desk.runner.do_part(started.messages[0])
    if status in {429, 500}:
        with pytest.raises(TryLaterError):
            desk.work([message])
        desk.runner.fail_part(message)
    else:
        desk.work([message])
    summary = desk.runner.summary(started.run.id)
    assert summary.state is RunState.FAILED
    assert summary.parts[0].message
    assert all(row.values["active"] for row in desk.users().values())


def test_a_password_that_cannot_be_read_fails_the_run_with_its_reason(desk: Desk) -> None:
    desk.set_up(deactivate_vanished=True)
    desk.run()
    desk.secrets.fails = MisconfiguredError(
        Reason.VAULT_PERMISSION_MISSING,
        "The vault refuses the secret authrocket.",
        remedy="az role assignment create …",
    )
    failed = desk.run()
    assert failed.state is RunState.FAILED
    assert (failed.parts[0].reason, failed.parts[0].remedy) == (
        "vault_permission_missing",
        "az role assignment create …",
    )
    assert all(row.values["active"] for row in desk.users().values())


# by AuthRocket id, then e-mail, then reference


def by_hand(desk: Desk, key: str, **fields: str) -> None:
    """A user that somebody made at the desk."""
    desk.store_by_hand(key, {**{f"f_{name}": value for name, value in fields.items()}, "active": True})


def manual(desk: Desk, key: str) -> dict[str, object]:
    row = desk.tables.table("users").find("manual", key)
    assert row is not None
    return dict(row.values)


def test_a_user_made_by_hand_is_found_by_address_whatever_its_case(desk: Desk) -> None:
    by_hand(desk, "jim", name="J. Shorts", email="Jim.Shorts@ACORN.example")
    desk.set_up()
    desk.run()
    jim = desk.lab.find_user("jim.shorts@acorn.example")["id"]
    assert jim not in desk.users()
    assert manual(desk, "jim")["f_first_name"] == "Jim"
    # From now on by id: the address may change.
    desk.lab.change_user(jim, email="another@acorn.example", reference=None)
    desk.run()
    assert manual(desk, "jim")["f_email"] == "another@acorn.example"


def test_a_user_made_by_hand_is_found_by_reference_when_no_address_fits(desk: Desk) -> None:
    by_hand(desk, "jim", name="J. Shorts", email="private@home.example", reference="HR-00001")
    desk.set_up()
    desk.run()
    assert manual(desk, "jim")["f_email"] == "jim.shorts@acorn.example"


def test_the_address_is_asked_before_the_reference(desk: Desk) -> None:
    by_hand(desk, "address", email="jim.shorts@acorn.example")
    by_hand(desk, "reference", reference="HR-00001")
    desk.set_up()
    desk.run()
    assert manual(desk, "address")["f_name"] == "Jim Shorts"
    assert "f_name" not in manual(desk, "reference")


def test_users_without_an_address_match_no_empty_one(desk: Desk) -> None:
    by_hand(desk, "nobody", name="Nobody", email=" ")
    agent = desk.lab.add_user(username="agent", name="agent")["id"]
    desk.set_up()
    desk.run()
    assert desk.users()[agent].text("f_username") == "agent"
    assert manual(desk, "nobody")["f_name"] == "Nobody"


def test_two_users_that_claim_one_desk_user_are_an_error_that_names_both(desk: Desk) -> None:
    by_hand(desk, "shared", name="Front Desk", reference="FRONT")
    one = desk.lab.add_user(email="a@acorn.example", reference="FRONT")["id"]
    two = desk.lab.add_user(email="b@acorn.example", reference="FRONT")["id"]
    desk.set_up()
    summary = desk.run()
    assert counts(summary)["error"] == 2
    for entry in desk.entries(summary, "error"):
        assert one in entry["message"]
        assert two in entry["message"]
    assert {one, two}.isdisjoint(desk.users())
    assert manual(desk, "shared")["f_name"] == "Front Desk"


def test_an_address_of_two_desk_users_is_an_error_that_names_both(desk: Desk) -> None:
    by_hand(desk, "first", name="First Jim", email="jim.shorts@acorn.example")
    by_hand(desk, "second", name="Second Jim", email="JIM.shorts@acorn.example")
    desk.set_up()
    summary = desk.run()
    (entry,) = desk.entries(summary, "error")
    assert "First Jim" in entry["message"]
    assert "Second Jim" in entry["message"]


def test_a_user_that_was_made_anew_in_authrocket_takes_over_the_desk_user(desk: Desk) -> None:
    desk.set_up(deactivate_vanished=True)
    desk.run()
    old = desk.lab.find_user("jim.shorts@acorn.example")
    desk.lab.remove_user(old["id"])
    desk.lab.add_user(**{**old, "id": "usr_0vJimAgain"})
    summary = desk.run()
    assert counts(summary)["update"] == 1
    row = desk.users()[old["id"]]
    assert (row.values["active"], row.values["claimed_by"]) == (True, f"{row.partition_key}|usr_0vJimAgain")
    assert set(counts(desk.run())) == {"unchanged", "skip"}


def test_two_realms_with_the_same_address_keep_their_own_users(desk: Desk) -> None:
    desk.set_up()
    desk.set_up("school", realm=ST_JOHNS_REALM, default_site="leeds")
    desk.run()
    desk.run("school")
    sites = (
        {row.text("site") for row in desk.users().values()},
        {row.text("site") for row in desk.users(ST_JOHNS_REALM).values()},
    )
    assert sites == ({"london-hq"}, {"leeds"})
    emails = [row.text("f_email") for realm in (None, ST_JOHNS_REALM) for row in desk.users(realm).values()]
    assert emails.count("jim.shorts@acorn.example") == 2


def test_two_documents_of_one_realm_are_refused(desk: Desk) -> None:
    desk.set_up()
    desk.set_up("again")
    with pytest.raises(MisconfiguredError, match=r"customers.*both name the realm"):
        desk.run("again")


# the site


def test_the_site_comes_from_the_first_rule_that_matches_else_the_default(desk: Desk) -> None:
    desk.lab.add_user(email="school@stjohns.example", name="Domain")
    desk.lab.add_user(email="estates@x.example", name="Custom", custom={"department": "Estates"})
    desk.lab.add_user(email="locale@x.example", name="Raw", locale="xx-YY")
    desk.set_up(
        site_rules=[
            {
                "site": "leeds",
                "criteria": [{"field": "email-domain", "operator": "equals", "value": "stjohns.example"}],
            },
            {
                "site": "leeds",
                "criteria": [
                    {"field": "source.custom.department", "operator": "equals", "value": "Estates"},
                    {"field": "email", "operator": "ends_with", "value": "@x.example"},
                ],
            },
            {"site": "leeds", "criteria": [{"field": "source.locale", "operator": "starts_with", "value": "xx"}]},
        ]
    )
    preview = desk.run(preview=True)
    desk.run()
    sites = {row.text("f_name"): row.text("site") for row in desk.users().values()}
    assert (sites["Domain"], sites["Custom"], sites["Raw"], sites["Jim Shorts"]) == (
        "leeds",
        "leeds",
        "leeds",
        "london-hq",
    )
    jim = next(entry for entry in desk.entries(preview, "create") if entry["label"] == "Jim Shorts")
    assert jim["explanation"][0].startswith('Site: Rule "1" did not match: email-domain is "acorn.example"')
    assert jim["explanation"][-1] == "Site: london-hq, the default."


def test_the_site_may_come_from_any_of_a_users_organisations(desk: Desk) -> None:
    orgs = list(desk.lab.realm().orgs.values())
    user = desk.lab.add_user(email="two@acorn.example", name="Two")["id"]
    desk.lab.grant(user, orgs[0]["id"], [])
    desk.lab.grant(user, orgs[2]["id"], [])
    desk.set_up(
        organisations=True,
        site_rules=[
            {"site": "leeds", "criteria": [{"field": "organisation", "operator": "equals", "value": orgs[2]["name"]}]}
        ],
    )
    desk.run()
    row = desk.users()[user]
    assert row.text("site") == "leeds"
    assert row.text("f_organisations") == f"{orgs[0]['name']}, {orgs[2]['name']}"


def test_the_site_of_users_that_are_there_can_be_left_alone(desk: Desk) -> None:
    desk.set_up()
    desk.run()
    desk.set_up(default_site="leeds", update_user_site=False)
    desk.run()
    assert {row.text("site") for row in desk.users().values()} == {"london-hq"}


# Mapping


def test_custom_attributes_of_every_shape_are_mapped_by_expression(desk: Desk) -> None:
    user = desk.lab.add_user(
        email="vip@acorn.example",
        custom={"vip": True, "nick names": ["Boss", "Chef"], "manager": {"name": "Jim"}, "floor": -1, "note": " "},
    )["id"]
    rows = [
        ("custom.vip", "vip"),
        ('custom."nick names"', "nick-names"),
        ("custom.manager.name", "manager"),
        ("custom.floor", "floor"),
        ("custom.note", "note"),
        ("custom.manager", "manager-record"),
    ]
    mappings = [{"source": source, "field": name, "field_type": "custom_field"} for source, name in rows]
    fixed = {"fixed": "AuthRocket", "field": "notes"}
    desk.set_up(
        field_mappings=[{"source": "email", "field": "email"}, fixed, *mappings], match_order=[{"field": "email"}]
    )
    desk.run()
    values = desk.users()[user].values
    assert {name: value for name, value in values.items() if name.startswith(("c_", "f_"))} == {
        "f_email": "vip@acorn.example",
        "f_notes": "AuthRocket",
        "c_vip": True,
        "c_nick_names": "Boss, Chef",
        "c_manager": "Jim",
        "c_floor": -1,
        "c_manager_record": '{"name": "Jim"}',
    }


def test_a_value_that_does_not_fit_is_an_error_of_its_user_alone(desk: Desk) -> None:
    desk.lab.add_user(email="long@acorn.example", name="x" * 40_000)
    desk.set_up()
    summary = desk.run()
    (entry,) = desk.entries(summary, "error")
    assert entry["reason"] == "value_too_long"
    assert counts(summary)["create"] > 200


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"endpoint_url": "http://api-e2.authrocket.com/v2"}, "endpoint_url", "must begin with https://"),
        ({"endpoint_url": "https://api-e2.authrocket.com"}, "endpoint_url", "must end with the API's version"),
        ({"endpoint_url": "https://key@api-e2.authrocket.com/v2"}, "endpoint_url", "must be the endpoint URL"),
        ({"realm": "https://app.example/realms//users"}, "realm", "must be the realm's id"),
        ({"page_size": 1001}, "page_size", "1000"),
        ({"default_site": "nowhere"}, "default_site", "there is no document sites/nowhere"),
        ({"ticket_on_admin_grant": True}, "ticket_on_admin_grant", "needs organisations: true"),
        ({"match_order": [{"field": "phone"}]}, "match_order", "phone has no mapping"),
        ({"match_order": [{"field": "locale"}]}, "match_order", "users are matched by email, username"),
        ({"field_mappings": [{"source": "a ||", "field": "name"}]}, "field_mappings.0.source", "no JMESPath"),
        ({"field_mappings": [{"source": "a", "field": "shoe"}]}, "field_mappings.0", "is no field of users"),
        (
            {"site_rules": [{"site": "leeds", "criteria": [{"field": "shoe", "operator": "is_empty"}]}]},
            "",
            "site_rules.0.criteria.0.field: shoe has no mapping",
        ),
        ({"shoe": 1}, "shoe", "there is no such field"),
    ],
)
def test_a_realms_document_is_checked_whole(desk: Desk, changes: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        desk.set_up(**changes)
    assert next((fault.path, words in fault.message) for fault in caught.value.faults) == (path, True)


@pytest.mark.parametrize(
    "pasted",
    [
        "rl_0v1zRHJVm7JY8vUqDRuyx",
        "https://app-e2.authrocket.com/realms/rl_0v1zRHJVm7JY8vUqDRuyx",
        "https://app-e2.authrocket.com/realms/rl_0v1zRHJVm7JY8vUqDRuyx/",
        "https://app-e2.authrocket.com/realms/rl_0v1zRHJVm7JY8vUqDRuyx/users",
        "https://app-e2.authrocket.com/accounts/7/realms/rl_0v1zRHJVm7JY8vUqDRuyx/users?state=active#top",
        "/realms/rl_0v1zRHJVm7JY8vUqDRuyx/users/",
        "https://app.example/x/rl_0v1zRHJVm7JY8vUqDRuyx/users",
        "https://app.example/x/rl_0v1zRHJVm7JY8vUqDRuyx",
    ],
)
def test_the_realm_may_be_pasted_as_the_portals_address(desk: Desk, pasted: str) -> None:  # AR-07
    from shared.users.documents import parse_realm

    assert parse_realm(pasted) == "rl_0v1zRHJVm7JY8vUqDRuyx"


# Many users, and users that change while they are read


def test_five_thousand_users_arrive_and_then_nothing_is_written(new_lab: Callable[..., AuthRocketLab]) -> None:
    desk = Desk(new_lab(5_000))
    desk.set_up(page_size=100)
    active = sum(user["state"] == "active" for user in desk.lab.realm().users.values())
    assert counts(desk.run()) == {"create": active, "skip": 5_000 - active}
    assert counts(desk.run()) == {"unchanged": active, "skip": 5_000 - active}


def test_users_that_change_while_pages_are_read_end_as_they_are_at_the_next_import(desk: Desk) -> None:
    desk.set_up(page_size=100, deactivate_vanished=True, deactivate_inactive=True)
    desk.run()
    users = sorted(desk.users())

    def upheaval() -> None:
        # The user that `after` names, one that was read, one that was not; one changes, and one is new.
        for gone in (sorted(desk.lab.realm().users)[99], users[10], users[-5]):
            desk.lab.remove_user(gone)
        desk.lab.change_user(users[-10], email="changed@acorn.example")
        desk.lab.change_user(users[5], email="late@acorn.example")
        desk.lab.add_user(email="new@acorn.example", name="New")

    desk.lab.on_page(2, upheaval)
    during = desk.run()
    assert during.state is RunState.SUCCEEDED
    assert "error" not in counts(during)
    desk.run()
    there = {user["id"] for user in desk.lab.realm().users.values() if user["state"] == "active"}
    assert {user_id for user_id, row in desk.users().items() if row.values["active"]} == there
    assert desk.users()[users[5]].text("f_email") == "late@acorn.example"
    assert set(counts(desk.run())) == {"unchanged", "skip"}
