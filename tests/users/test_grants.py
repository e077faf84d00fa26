"""Newly granted admin permissions open a ticket: each once, whatever happens in between; what was there opens none."""

from collections.abc import Callable
from typing import Any

import pytest

from lab.emulators.authrocket import AuthRocketLab
from shared.errors import TryLaterError
from shared.imports.plan.model import Trigger
from shared.imports.runs.model import RunState
from shared.imports.runs.starter import RunStarter
from shared.reasons import Reason
from shared.users.source import KIND
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.users.desk import Desk, copied, killer


@pytest.fixture
def desk(lab: AuthRocketLab) -> Desk:
    new = Desk(lab)
    new.set_up(organisations=True, ticket_on_admin_grant=True)
    return new


def somebody(desk: Desk) -> tuple[str, str]:
    """A user of no organisation, and an organisation."""
    members = {one["user_id"] for one in desk.lab.realm().memberships.values()}
    user = next(
        one["id"] for one in desk.lab.realm().users.values() if one["id"] not in members and one["state"] == "active"
    )
    return user, next(iter(desk.lab.realm().orgs))


def summaries(desk: Desk) -> list[str]:
    return sorted(ticket["summary"] for ticket in desk.tickets.opened.values())


def test_who_was_an_admin_before_the_first_import_opens_no_ticket(desk: Desk) -> None:
    desk.run()
    desk.run()
    assert desk.tickets.opened == {}


def test_a_new_grant_opens_a_ticket_that_says_who_what_and_where(desk: Desk) -> None:
    desk.run()
    user, org = somebody(desk)
    desk.lab.grant(user, org, ["desk:user", "ar:owner", "ar:admin"])
    desk.run()
    name, org_name = desk.lab.realm().users[user]["name"], desk.lab.realm().orgs[org]["name"]
    assert summaries(desk) == [f"{name} was granted {one} in {org_name}" for one in ("ar:admin", "ar:owner")]
    ticket = next(iter(desk.tickets.opened.values()))
    assert user in ticket["details"]
    assert ticket["site"] == "london-hq"
    # Once: the next imports have nothing new.
    desk.run()
    assert len(desk.tickets.opened) == 2


def test_other_permissions_and_taking_away_open_none(desk: Desk) -> None:
    desk.run()
    user, org = somebody(desk)
    desk.lab.grant(user, org, ["desk:user", "ar:other"])
    desk.run()
    owner = next(one for one in desk.lab.realm().memberships.values() if "ar:owner" in one["permissions"])
    desk.lab.grant(owner["user_id"], owner["org_id"], [])
    desk.run()
    assert desk.tickets.opened == {}


def test_a_grant_that_was_taken_away_and_given_again_is_new_again(desk: Desk) -> None:
    desk.run()
    user, org = somebody(desk)
    for permissions in (["ar:admin"], [], ["ar:admin"]):
        desk.lab.grant(user, org, permissions)
        desk.wait(days=1)
        desk.run()
    assert len(desk.tickets.opened) == 2


def test_a_new_user_who_is_an_admin_opens_a_ticket(desk: Desk) -> None:
    desk.run()
    user = desk.lab.add_user(email="boss@acorn.example", name="The Boss")["id"]
    desk.lab.grant(user, somebody(desk)[1], ["ar:owner"])
    desk.run()
    assert [one.startswith("The Boss was granted ar:owner") for one in summaries(desk)] == [True]


def test_reading_organisations_for_the_first_time_opens_none(desk: Desk) -> None:
    desk.set_up(organisations=False, ticket_on_admin_grant=False)
    desk.run()
    desk.set_up(organisations=True, ticket_on_admin_grant=True)
    desk.run()
    assert desk.tickets.opened == {}
    assert any("memberships" in row.values for row in desk.users().values())


def test_a_realm_that_does_not_ask_for_tickets_gets_none(desk: Desk) -> None:
    desk.set_up(organisations=True, ticket_on_admin_grant=False)
    desk.run()
    user, org = somebody(desk)
    desk.lab.grant(user, org, ["ar:admin"])
    desk.run()
    assert desk.tickets.opened == {}


def test_a_preview_opens_no_ticket(desk: Desk) -> None:
    desk.run()
    user, org = somebody(desk)
    desk.lab.grant(user, org, ["ar:admin"])
    preview = desk.run(preview=True)
    assert desk.tickets.opened == {}
    desk.run(apply=preview.run.id)
    assert len(desk.tickets.opened) == 1


def test_tickets_that_cannot_be_opened_are_opened_later(desk: Desk) -> None:
    desk.run()
    user, org = somebody(desk)
    desk.lab.grant(user, org, ["ar:admin"])

    def fails(**ticket: Any) -> None:
        raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "The table tickets did not answer.")

    desk.grants._open = fails
    with pytest.raises(TryLaterError):
        desk.run()
    desk.grants._open = desk.tickets
    (open_run,) = desk.runs.open_runs()
    desk.runner.do_part({"run_id": open_run.id, "part": desk.lab.realm_id}, redelivered=True)
    assert desk.runner.summary(open_run.id).state is RunState.SUCCEEDED
    assert len(desk.tickets.opened) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_storage_call_an_import_opens_each_ticket_once(
    new_lab: Callable[..., AuthRocketLab], when: str
) -> None:
    lab = new_lab(30)
    before = MemoryTables()
    desk = Desk(lab, before)
    desk.set_up(organisations=True, ticket_on_admin_grant=True)
    desk.run()
    user, org = somebody(desk)
    lab.grant(user, org, ["ar:owner"])
    killed = 0
    while True:
        tables = copied(before)
        dying = Desk(lab, WatchedTables(tables, killer(killed, when)))
        again = Desk(lab, tables, tickets=dying.tickets)
        started = RunStarter(again.runner).start(KIND, "customers", trigger=Trigger.MANUAL, by="test")
        [message] = again.runner.do_part(started.messages[0])
        try:
            dying.work([message])
        except KilledError:
            again.runner.do_part(message, redelivered=True)
            assert len(again.tickets.opened) == 1
            assert again.runner.summary(started.run.id).state is RunState.SUCCEEDED
        else:
            break
        killed += 1
    assert len(dying.tickets.opened) == 1
    assert killed >= 4
