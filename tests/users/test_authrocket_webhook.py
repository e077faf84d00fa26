"""AuthRocket's webhooks: who may deliver, what an event does, and that repetition, delay and order do not matter."""

import base64
import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lab.emulators.authrocket import ST_JOHNS_REALM, AuthRocketLab
from shared.errors import InvalidInputError, MisconfiguredError, NotAuthorisedError, NotFoundError, TryLaterError
from shared.imports.plan.model import Trigger
from shared.imports.runs.starter import RunStarter
from shared.reasons import Reason
from shared.records.history import is_history
from shared.storage.rows import Value
from shared.users.source import KIND
from shared.users.webhook import AuthRocketWebhook, WebhookOutcome, WebhookResult
from shared.vaults.model import UserPassword
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.outbox.settling import record_lists
from tests.users.desk import WEBHOOK, Desk, copied, killer

PAIR = UserPassword("authrocket", "pass:wörd")
HEADER = "Basic " + base64.b64encode("authrocket:pass:wörd".encode()).decode()


class Webhook:
    """A desk that takes events of its realm."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.secrets.pairs["webhook"] = PAIR
        table = desk.tables.table("users")
        self.following = AuthRocketWebhook(
            desk.settings, desk.secrets, desk.realms, desk.source, table, desk.runs, desk.now
        )

    def send(self, event: Any, header: str | None = HEADER, name: str = "customers") -> WebhookResult:
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return self.following.receive(name, header, body)

    def events(self) -> list[dict[str, Any]]:
        return list(self.desk.lab.realm().events.values())


@pytest.fixture
def desk(lab: AuthRocketLab) -> Desk:
    new = Desk(lab)
    new.set_up(webhook=WEBHOOK, deactivate_inactive=True, deactivate_vanished=True)
    return new


@pytest.fixture
def webhook(desk: Desk) -> Webhook:
    desk.run()
    return Webhook(desk)


PING = {"id": "ev_ping", "event_type": "ping"}


@pytest.mark.parametrize(
    "header", [None, "", "Bearer x", "Basic", "Basic !", "Basic " + base64.b64encode(b"authrocket:pass").decode()]
)
def test_a_stranger_is_refused_before_anything_is_read(webhook: Webhook, header: str | None) -> None:
    requests = len(webhook.desk.lab.journal)
    with pytest.raises(NotAuthorisedError):
        webhook.send(b"not even json", header)
    assert len(webhook.desk.lab.journal) == requests


def test_a_password_that_was_just_changed_in_the_vault_is_accepted_at_once(webhook: Webhook) -> None:
    webhook.desk.secrets.held["webhook"] = UserPassword("authrocket", "the old one")
    assert webhook.send(PING).outcome is WebhookOutcome.PONG
    assert webhook.desk.secrets.refusals == 1


def test_a_realm_without_webhook_or_that_there_is_not_refuses_like_a_wrong_password(webhook: Webhook) -> None:
    webhook.desk.set_up("quiet", realm=ST_JOHNS_REALM)
    for name in ("quiet", "nowhere"):
        with pytest.raises(NotAuthorisedError):
            webhook.send(PING, name=name)


def test_a_password_that_cannot_be_read_is_no_refusal(webhook: Webhook) -> None:
    webhook.desk.secrets.fails = MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "The vault says no.")
    with pytest.raises(TryLaterError) as caught:
        webhook.send(PING)
    assert caught.value.reason is Reason.WEBHOOK_PASSWORD_UNREADABLE


def test_the_current_and_the_previous_password_are_accepted(webhook: Webhook) -> None:
    webhook.desk.secrets.pairs["new"] = UserPassword("authrocket", "newer")
    webhook.desk.set_up(
        webhook={"current": {"in_place": {"store": "vault", "secret": "new"}}, "previous": WEBHOOK["current"]}
    )
    newer = "Basic " + base64.b64encode(b"authrocket:newer").decode()
    assert webhook.send(PING).outcome is webhook.send(PING, newer).outcome is WebhookOutcome.PONG


def test_a_ping_is_answered_without_a_call(webhook: Webhook) -> None:
    requests = len(webhook.desk.lab.journal)
    assert webhook.send(PING).outcome is WebhookOutcome.PONG
    assert len(webhook.desk.lab.journal) == requests


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"id": 1}', b'{"id": "../users"}', b'{"id": ""}', b"\xff", b"[" * 99_999]
)
def test_what_is_no_event_is_refused(webhook: Webhook, body: bytes) -> None:
    with pytest.raises(InvalidInputError):
        webhook.send(body)


def test_a_changed_user_is_at_the_desk_at_once(webhook: Webhook) -> None:
    jim = webhook.desk.lab.find_user("jim.shorts@acorn.example")["id"]
    webhook.desk.lab.change_user(jim, email="jim@acorn.example")
    webhook.desk.wait(minutes=5)
    (event,) = webhook.events()
    assert webhook.send(event).outcome is WebhookOutcome.WRITTEN
    assert webhook.desk.users()[jim].text("f_email") == "jim@acorn.example"
    newest = next(iter(webhook.desk.records.history(_key(webhook, jim))))
    assert event["id"] in newest.by
    # And the import has nothing left to do.
    assert "update" not in webhook.desk.run().counts


def _key(webhook: Webhook, user_id: str) -> Any:
    from shared.records.model import Key
    from shared.users.model import partition_of

    return Key(partition_of(webhook.desk.lab.realm_id), user_id)


def test_a_new_user_arrives_at_once_with_site_and_organisations(webhook: Webhook) -> None:
    webhook.desk.set_up(webhook=WEBHOOK, organisations=True)
    org = next(iter(webhook.desk.lab.realm().orgs.values()))
    new = webhook.desk.lab.add_user(email="new@acorn.example", first_name="New")["id"]
    webhook.desk.lab.grant(new, org["id"], ["desk:user"], expires_at=1_893_456_000.0)
    assert [webhook.send(event).outcome for event in webhook.events()] == [
        WebhookOutcome.WRITTEN,
        WebhookOutcome.UNCHANGED,
    ]
    row = webhook.desk.users()[new]
    assert (row.text("site"), row.text("f_organisations")) == ("london-hq", org["name"])
    assert json.loads(row.text("memberships"))[0]["expires_at"] == "2030-01-01T00:00:00Z"


def test_nothing_in_the_body_but_the_id_counts(webhook: Webhook) -> None:
    jim = webhook.desk.lab.find_user("jim.shorts@acorn.example")["id"]
    other = webhook.desk.lab.add_user(email="other@acorn.example")["id"]
    (event,) = webhook.events()
    lie = {**event, "event_type": "user.deleted", "user_id": jim, "realm_id": "rl_other", "user": {"email": "x"}}
    assert webhook.send(lie).outcome is WebhookOutcome.WRITTEN
    assert webhook.desk.users()[jim].values["active"] is True
    assert other in webhook.desk.users()


def test_a_deleted_and_an_inactive_user_are_deactivated_at_once(webhook: Webhook) -> None:
    jim = webhook.desk.lab.find_user("jim.shorts@acorn.example")["id"]
    gone = next(reversed(webhook.desk.users()))
    webhook.desk.lab.change_user(jim, state="inactive")
    webhook.desk.lab.remove_user(gone)
    assert [webhook.send(event).outcome for event in webhook.events()] == [
        WebhookOutcome.WRITTEN,
        WebhookOutcome.WRITTEN,
    ]
    assert [webhook.desk.users()[one].values["active"] for one in (jim, gone)] == [False, False]


def test_a_user_that_only_cannot_be_seen_stays(webhook: Webhook) -> None:  # a 404 may stand for a 403
    jim = webhook.desk.lab.find_user("jim.shorts@acorn.example")["id"]
    webhook.desk.lab.realms.event(webhook.desk.lab.realm_id, "user.updated", user_id=jim)
    webhook.desk.lab.script("status", status=404, path="/v2/users/")
    assert webhook.send(webhook.events()[0]).outcome is WebhookOutcome.LEFT_TO_IMPORT
    assert webhook.desk.users()[jim].values["active"] is True


def test_a_mass_deletion_stops_at_the_brake(webhook: Webhook) -> None:  # Q-12, event by event
    webhook.desk.set_up(webhook=WEBHOOK, deactivate_vanished=True, brake={"share": 0.02, "at_least": 4})
    for user_id in list(webhook.desk.users())[:20]:
        webhook.desk.lab.remove_user(user_id)
    outcomes = [webhook.send(event).outcome for event in webhook.events()]
    # Two in a hundred of some 230.
    assert outcomes.count(WebhookOutcome.WRITTEN) == 4
    assert set(outcomes[4:]) == {WebhookOutcome.LEFT_TO_IMPORT}
    assert sum(not row.values["active"] for row in webhook.desk.users().values()) == 4


def test_an_event_that_authrocket_does_not_know_is_not_believed_and_not_swallowed(webhook: Webhook) -> None:
    with pytest.raises(NotFoundError) as caught:
        webhook.send({"id": "ev_unknown", "event_type": "user.deleted", "user_id": "x"})
    assert caught.value.reason is Reason.AUTHROCKET_EVENT_UNKNOWN


@pytest.mark.parametrize("kind", ["org.updated", "realm.updated", "hook.created"])
def test_events_about_no_user_are_taken_and_left(webhook: Webhook, kind: str) -> None:
    event = webhook.desk.lab.realms.event(webhook.desk.lab.realm_id, kind, org_id="org_1")
    assert webhook.send(event).outcome is WebhookOutcome.IGNORED


@pytest.mark.parametrize("fault", [402, 403, 429, 500])
def test_a_fault_of_authrocket_brings_the_event_again(webhook: Webhook, fault: int) -> None:
    jim = webhook.desk.lab.find_user("jim.shorts@acorn.example")["id"]
    webhook.desk.lab.change_user(jim, last_name="Long")
    webhook.desk.lab.script("status", status=fault, times=4, retry_after="600")
    with pytest.raises((TryLaterError, MisconfiguredError)):
        webhook.send(webhook.events()[0])
    webhook.desk.lab.faults.clear()
    assert webhook.send(webhook.events()[0]).outcome is WebhookOutcome.WRITTEN


def test_an_event_waits_for_the_end_of_an_import(webhook: Webhook) -> None:
    jim = webhook.desk.lab.find_user("jim.shorts@acorn.example")["id"]
    webhook.desk.lab.change_user(jim, last_name="Long")
    started = RunStarter(webhook.desk.runner).start(KIND, "customers", trigger=Trigger.MANUAL, by="test")
    with pytest.raises(TryLaterError) as caught:
        webhook.send(webhook.events()[0])
    assert caught.value.reason is Reason.IMPORT_RUNNING
    webhook.desk.work(list(started.messages))
    assert webhook.send(webhook.events()[0]).outcome is WebhookOutcome.UNCHANGED


def test_an_import_that_begins_while_an_event_is_followed_brings_it_again(webhook: Webhook) -> None:
    jim = webhook.desk.lab.find_user("jim.shorts@acorn.example")["id"]
    webhook.desk.lab.change_user(jim, last_name="Long")

    def begin() -> None:
        RunStarter(webhook.desk.runner).start(KIND, "customers", trigger=Trigger.MANUAL, by="test")

    webhook.desk.lab.script("call", path="/v2/users/", action=begin)
    with pytest.raises(TryLaterError):
        webhook.send(webhook.events()[0])


def test_a_desk_user_that_may_be_anothers_is_left_to_the_import(webhook: Webhook) -> None:
    old = webhook.desk.lab.find_user("jim.shorts@acorn.example")
    webhook.desk.lab.remove_user(old["id"])
    webhook.desk.lab.add_user(**{**old, "id": "usr_0vJimAgain"})
    deleted, created = webhook.events()
    # Created comes first: the old user may still be there.
    assert webhook.send(created).outcome is WebhookOutcome.LEFT_TO_IMPORT
    assert "usr_0vJimAgain" not in webhook.desk.users()
    webhook.desk.run()
    assert webhook.desk.users()[old["id"]].text("claimed_by").endswith("usr_0vJimAgain")
    # Late, after all is settled: nothing of the old user is left to deactivate.
    assert webhook.send(deleted).outcome is WebhookOutcome.LEFT_TO_IMPORT
    assert webhook.desk.users()[old["id"]].values["active"] is True


def test_a_user_made_by_hand_is_found_by_an_event_too(webhook: Webhook) -> None:
    values: dict[str, Value] = {"f_email": "hand@acorn.example", "active": True}
    webhook.desk.store_by_hand("hand", values)
    webhook.desk.lab.add_user(email="hand@acorn.example", email_verification="verified", first_name="Hand")
    assert webhook.send(webhook.events()[0]).outcome is WebhookOutcome.WRITTEN
    row = webhook.desk.tables.table("users").find("manual", "hand")
    assert row is not None
    assert row.text("f_first_name") == "Hand"
    assert set(webhook.desk.run().counts) & {"create", "update", "error"} == set()


@pytest.mark.parametrize("merge", [False, True])
def test_an_event_about_an_address_that_a_desk_user_has_does_what_an_import_would(
    webhook: Webhook, merge: bool
) -> None:
    """Imports, case 02, at this door."""
    webhook.desk.set_up(webhook=WEBHOOK, merge_matches=merge)
    webhook.desk.store_by_hand("late", {"f_email": "late@acorn.example", "f_name": "Late", "active": True})
    jim = webhook.desk.lab.find_user("jim.shorts@acorn.example")["id"]
    before = webhook.desk.users()[jim].text("f_email")
    webhook.desk.lab.change_user(jim, email="late@acorn.example", email_verification="verified")
    result = webhook.send(webhook.events()[-1])
    late = webhook.desk.tables.table("users").find("manual", "late")
    assert late is not None
    if merge:
        assert result.outcome is WebhookOutcome.WRITTEN
        assert late.text("claimed_by").endswith(jim)
        assert jim not in webhook.desk.users()
        # The next import finds it as it is.
        assert set(webhook.desk.run().counts) & {"create", "update", "error"} == set()
    else:
        assert result.outcome is WebhookOutcome.LEFT_TO_IMPORT
        assert "which Late" in result.message
        assert "claimed_by" not in late.values
        assert webhook.desk.users()[jim].text("f_email") == before
        assert webhook.desk.run().counts["error"] == 1


@pytest.mark.parametrize(
    ("kept", "given"),
    [
        # Nobody has shown that it is theirs; another domain; a value that means nothing.
        ({"f_email": "ceo@acorn.example"}, {"email": "ceo@acorn.example", "email_verification": "requested"}),
        ({"f_email": "info@strasse.example"}, {"email": "info@stra\u00dfe.example", "email_verification": "verified"}),
        ({"f_reference": "none"}, {"email": "x@acorn.example", "reference": "none"}),
    ],
)
def test_an_event_takes_nobody_for_somebody_else(
    webhook: Webhook, kept: dict[str, Value], given: dict[str, Any]
) -> None:
    """Imports, cases 03, 05 and 07, at this door."""
    webhook.desk.store_by_hand("boss", {**kept, "f_name": "The CEO", "active": True})
    before = webhook.desk.tables.table("users").find("manual", "boss")
    new = webhook.desk.lab.add_user(first_name="Mal", **given)["id"]
    assert webhook.send(webhook.events()[-1]).outcome is WebhookOutcome.WRITTEN
    assert webhook.desk.tables.table("users").find("manual", "boss") == before
    assert webhook.desk.users()[new].text("f_first_name") == "Mal"


def test_a_person_wins_over_an_event(webhook: Webhook) -> None:
    from shared.users.desk import UserDesk, user_id_of

    jim = webhook.desk.lab.find_user("jim.shorts@acorn.example")["id"]
    lists = record_lists("users", webhook.desk.tables, webhook.desk.records)
    people = UserDesk(webhook.desk.records, lists, webhook.desk.settings, webhook.desk.now)
    people.edit(user_id_of(_key(webhook, jim)), {"name": "James"}, [], by="Ann", if_match="*")
    webhook.desk.lab.change_user(jim, name="Jimmy", last_name="Long")
    webhook.send(webhook.events()[0])
    row = webhook.desk.users()[jim]
    assert (row.text("f_name"), row.text("f_last_name")) == ("James", "Long")


def _upheaval(desk: Desk) -> None:
    """A day of events: users come, change, go and come back."""
    users = [one for one, row in desk.users().items() if row.values["active"]]
    org = next(iter(desk.lab.realm().orgs.values()))["id"]
    desk.lab.change_user(users[0], email="first@acorn.example")
    desk.lab.change_user(users[0], email="second@acorn.example")
    desk.lab.change_user(users[1], state="inactive")
    desk.lab.change_user(users[1], state="active", name="Back")
    desk.lab.remove_user(users[2])
    new = desk.lab.add_user(email="new@acorn.example")["id"]
    desk.lab.grant(new, org, ["ar:admin"])
    desk.lab.change_user(users[3], state="inactive")


def _people(desk: Desk) -> dict[str, dict[str, Any]]:
    """What the desk knows of its users, without what says how it came to know."""
    technical = {
        "last_run",
        "last_action",
        "source_read_at",
        "changed_at",
        "created_at",
        "deactivated_at",
        "gone_since",
    }
    return {
        one: {
            column: value for column, value in row.values.items() if column not in technical and not is_history(column)
        }
        for one, row in desk.users().items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_two_days_of_retries_in_any_order_end_like_one_import(new_lab: Callable[..., AuthRocketLab], seed: int) -> None:
    lab = new_lab(20)
    followed, imported = Desk(lab), Desk(lab)
    for desk in (followed, imported):
        desk.set_up(webhook=WEBHOOK, organisations=True, deactivate_inactive=True, deactivate_vanished=True)
        desk.run()
    _upheaval(followed)
    webhook = Webhook(followed)
    deliveries = webhook.events() * 3
    random.Random(seed).shuffle(deliveries)
    for event in deliveries:
        followed.wait(minutes=7)
        webhook.send(event)
    imported.run()
    assert _people(followed) == _people(imported)
    assert set(followed.run().counts) & {"create", "update", "deactivate", "error"} == set()


def test_deliveries_that_meet_make_one_user(webhook: Webhook) -> None:
    new = webhook.desk.lab.add_user(email="new@acorn.example", name="New")["id"]
    (event,) = webhook.events()
    with ThreadPoolExecutor(6) as workers:
        outcomes = [one.result().outcome for one in [workers.submit(webhook.send, event) for _ in range(6)]]
    assert outcomes.count(WebhookOutcome.WRITTEN) == 1
    assert set(outcomes) == {WebhookOutcome.WRITTEN, WebhookOutcome.UNCHANGED}
    assert [entry.action for entry in webhook.desk.records.history(_key(webhook, new))] == ["create"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_storage_call_and_delivered_again_an_event_ends_as_if_undisturbed(
    new_lab: Callable[..., AuthRocketLab], when: str
) -> None:
    lab = new_lab(12)

    before = MemoryTables()
    Desk(lab, before).set_up(webhook=WEBHOOK, organisations=True, ticket_on_admin_grant=True)
    Desk(lab, before).run()
    new = lab.add_user(email="boss@acorn.example", name="Boss")["id"]
    lab.grant(new, next(iter(lab.realm().orgs)), ["ar:owner"])
    event = list(lab.realm().events.values())[-1]
    undisturbed = Desk(lab, copied(before))
    Webhook(undisturbed).send(event)
    assert len(undisturbed.tickets.opened) == 1

    killed = 0
    while True:
        tables = copied(before)
        dying = Desk(lab, WatchedTables(tables, killer(killed, when)))
        again = Desk(lab, tables, tickets=dying.tickets)
        try:
            Webhook(dying).send(event)
        except KilledError:
            Webhook(again).send(event)
            assert _people(again) == _people(undisturbed)
            assert dying.tickets.opened == undisturbed.tickets.opened
        else:
            break
        killed += 1
    assert killed >= 4
