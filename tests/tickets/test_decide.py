"""The rules of the decision, one by one, by what becomes of events in the tables."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab.emulators.event_grid.events import Schema, make_event
from shared.errors import InvalidInputError
from shared.settings.validation import parse_document
from shared.tickets.documents import EVENT_FIELDS, KeyVaultEvents
from shared.tickets.domain.decide import decide
from shared.tickets.domain.model import Context, ObjectType, RuleRecord, RuleResult
from shared.tickets.domain.observations import ObjectState, merge_observations
from tests.tickets.desk import Desk, configuration, settings

BEGIN = datetime(2026, 6, 1, 12, tzinfo=UTC)
EXPIRES = datetime(2026, 9, 1, tzinfo=UTC)


def kv_event(
    change: str,
    version: str,
    at: datetime,
    *,
    name: str = "mail",
    kind: str = "Secret",
    expires: datetime | None = EXPIRES,
) -> dict[str, Any]:
    event = make_event(
        f"{kind}{change}",
        vault="acorn-vault",
        name=name,
        version=version,
        occurred_at=at,
        expires_at=expires,
        event_id=f"{kind}{change}/{name}/{version}/{at:%Y%m%dT%H%M%S}",
    )
    return event.to_json(Schema.EVENT_GRID)


def days(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


def test_near_expiry_event_opens_one_ticket_however_often_it_is_delivered() -> None:
    desk = Desk()
    event = kv_event("NearExpiry", "aa", days(60))
    for _ in range(3):
        desk.post([event, event])
    desk.post([{**event, "id": "another delivery of the same news"}])
    assert len(desk.tickets()) == 1
    assert len(desk.texts(desk.ticket("mail")["ticket_id"])) == 1


def test_expired_raises_the_same_ticket() -> None:
    desk = Desk()
    desk.post([kv_event("NearExpiry", "aa", days(60))])
    before = desk.ticket("mail")
    desk.post([kv_event("Expired", "aa", days(92))])
    after = desk.ticket("mail")
    assert before["ticket_id"] == after["ticket_id"]
    assert (before["priority"], after["priority"]) == ("medium", "high")
    assert after["summary"] == "Secret mail in acorn-vault expired on 2026-09-01"
    assert len(desk.texts(after["ticket_id"])) == 2


def test_a_new_version_resolves_the_expiry_tickets_of_all_older_versions_and_opens_its_own() -> None:  # Q-03, KV-01
    desk = Desk()
    for version, at in (("aa", days(0)), ("bb", days(1))):
        desk.post([kv_event("NewVersionCreated", version, at), kv_event("NearExpiry", version, days(60))])
    assert [row["status"] for row in desk.tickets() if row["kind"] == "expiry"] == ["resolved", "open"]
    desk.post([kv_event("NewVersionCreated", "cc", days(61))])
    expiry = [row for row in desk.tickets() if row["kind"] == "expiry"]
    assert [row["status"] for row in expiry] == ["resolved", "resolved"]
    assert desk.texts(expiry[1]["ticket_id"])[-1] == "Resolved: version cc replaced this one."
    assert len([row for row in desk.tickets() if row["kind"] == "new_version"]) == 3


def test_a_near_expiry_that_arrives_after_its_successor_yields_its_ticket_already_resolved() -> None:
    desk = Desk()
    desk.post([kv_event("NewVersionCreated", "bb", days(61))])
    desk.post([kv_event("NearExpiry", "aa", days(60))])
    ticket = desk.ticket("mail")
    assert ticket["status"] == "resolved"
    assert ticket["finished_at"] == days(61)
    assert desk.listed("open")[0]["kind"] == "new_version"


def test_a_version_whose_creation_was_never_seen_is_not_taken_for_older_than_it_was() -> None:
    """Near expiry is said of the version in use: a version created before that has not replaced it."""
    desk = Desk()
    desk.post([kv_event("NewVersionCreated", "bb", days(10))])
    desk.post([kv_event("NearExpiry", "aa", days(60))])
    assert desk.ticket("mail")["status"] == "open"
    desk.post([kv_event("NewVersionCreated", "aa", days(5))])
    assert desk.ticket("mail")["status"] == "resolved"


def test_only_a_creation_replaces_and_not_what_is_said_of_another_version() -> None:
    desk = Desk()
    desk.post([kv_event("NearExpiry", "aa", days(60)), kv_event("NearExpiry", "bb", days(61))])
    assert [row["status"] for row in desk.tickets()] == ["open", "open"]


def test_expiry_of_an_old_version_is_no_alarm() -> None:
    desk = Desk()
    desk.post([kv_event("NewVersionCreated", "aa", days(0)), kv_event("NewVersionCreated", "bb", days(1))])
    desk.post([kv_event("Expired", "aa", days(92))])
    ticket = desk.ticket("mail")
    assert (ticket["status"], ticket["priority"]) == ("resolved", "high")


def test_objects_of_one_name_and_different_types_do_not_meet() -> None:
    desk = Desk()
    for kind, version in (("Secret", "s1"), ("Key", "k1"), ("Certificate", "aa")):
        desk.post([kv_event("NearExpiry", version, days(60), kind=kind)])
    desk.post([kv_event("NewVersionCreated", "bb", days(61), kind="Certificate")])
    states = {str(row["object_type"]): row["status"] for row in desk.tickets() if row["kind"] == "expiry"}
    assert states == {"secret": "open", "key": "open", "certificate": "resolved"}


def test_names_differ_by_more_than_their_case() -> None:
    desk = Desk()
    desk.post([kv_event("NearExpiry", "aa", days(60), name="Mail"), kv_event("Expired", "aa", days(92), name="mail")])
    assert len(desk.tickets()) == 1


def test_access_policy_changes_of_a_day_are_one_security_ticket_and_reopen_it() -> None:
    desk = Desk()
    changes = [
        make_event("VaultAccessPolicyChanged", vault="acorn-vault", occurred_at=BEGIN + timedelta(hours=hours)).to_json(
            Schema.EVENT_GRID
        )
        for hours in (0, 1, 30)
    ]
    desk.post(changes)
    tickets = desk.tickets()
    assert [(row["ticket_type"], row["priority"], row["status"]) for row in tickets] == [
        ("Security", "medium", "open")
    ] * 2
    assert [len(desk.texts(row["ticket_id"])) for row in sorted(tickets, key=lambda row: str(row["opened_at"]))] == [
        2,
        1,
    ]


def test_an_expiry_date_that_was_moved_resolves_what_was_said_of_the_old_one() -> None:
    desk = Desk()
    desk.post([kv_event("NearExpiry", "aa", days(60))])
    later = EXPIRES + timedelta(days=90)
    desk.post([kv_event("NearExpiry", "aa", days(150), expires=later)])
    ticket = desk.ticket("mail")
    assert (ticket["status"], ticket["expires_at"]) == ("open", later)
    assert len(desk.texts(ticket["ticket_id"])) == 2


# Ticket rules


def ruled(*rules: dict[str, Any]) -> Desk:
    return Desk(configured=configuration(ticket_rules=list(rules)))


def criterion(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def test_the_first_rule_that_matches_wins_and_fills_the_ticket() -> None:
    desk = ruled(
        {"name": "tests", "criteria": [criterion("object_name", "matches", "^test-")], "open": False},
        {
            "name": "certificates",
            "criteria": [
                criterion("object_type", "equals", "certificate"),
                criterion("event_type", "equals", "CertificateNearExpiry"),
            ],
            "priority": "critical",
            "ticket_type": "Incident",
            "team": "Web",
            "assignee": "kim",
            "site": "london-hq",
            "summary": "Renew {object_name} ({days_to_expiry} days)",
            "details": "In {vault}: {version}, {expires_at}. {not_a_name",
        },
        {"name": "all", "team": "Platform"},
    )
    desk.post([kv_event("NearExpiry", "aa", days(61.5), name="web", kind="Certificate")])
    desk.post([kv_event("NearExpiry", "aa", days(61.5), name="test-web", kind="Certificate")])
    desk.post([kv_event("NearExpiry", "aa", days(61.5), name="mail")])
    web, mail = desk.ticket("web"), desk.ticket("mail")
    assert len(desk.tickets()) == 2
    assert [web[name] for name in ("priority", "ticket_type", "team", "assignee", "site", "rule")] == [
        "critical",
        "Incident",
        "Web",
        "kim",
        "london-hq",
        "certificates",
    ]
    assert web["summary"] == "Renew web (30 days)"
    assert web["details"] == "In acorn-vault: aa, 2026-09-01 00:00 UTC. {not_a_name"
    assert (mail["team"], mail["rule"], mail["priority"]) == ("Platform", "all", "medium")


def test_a_rule_can_turn_new_versions_off_and_expiry_tickets_are_resolved_all_the_same() -> None:  # KV-09
    desk = ruled({"name": "quiet", "criteria": [criterion("event", "equals", "new_version_created")], "open": False})
    desk.post([kv_event("NearExpiry", "aa", days(60)), kv_event("NewVersionCreated", "bb", days(61))])
    assert [(row["kind"], row["status"]) for row in desk.tickets()] == [("expiry", "resolved")]


def test_what_a_rule_turns_off_is_as_if_it_had_not_been_said() -> None:
    desk = ruled({"name": "only expired", "criteria": [criterion("event", "equals", "near_expiry")], "open": False})
    desk.post([kv_event("NearExpiry", "aa", days(60))])
    assert desk.tickets() == []
    desk.post([kv_event("Expired", "aa", days(92))])
    ticket = desk.ticket("mail")
    assert ticket["opened_at"] == days(92)
    assert len(desk.texts(ticket["ticket_id"])) == 1


def test_rules_decide_about_what_is_said_later_and_do_not_rewrite_tickets() -> None:
    desk = Desk()
    desk.post([kv_event("NearExpiry", "aa", days(60))])
    before = desk.ticket("mail")
    desk.configured = configuration(ticket_rules=[{"name": "all", "team": "Platform", "priority": "low"}])
    desk.post([kv_event("NearExpiry", "aa", days(60)), kv_event("NewVersionCreated", "aa", days(0))])
    assert desk.ticket("mail") == before
    desk.post([kv_event("Expired", "aa", days(92))])
    assert (desk.ticket("mail")["team"], desk.ticket("mail")["priority"]) == ("Platform", "medium")


def test_the_site_of_the_vault_is_the_tickets_unless_a_rule_names_another() -> None:
    members = settings()
    members["allowed_vaults"][0]["site"] = "leeds"
    document = KeyVaultEvents.model_validate(members)
    desk = Desk(configured=configuration(**{name: value for name, value in members.items() if name == "x"}))
    assert desk.configured is not None
    desk.configured = type(desk.configured)(document, desk.configured.rules)
    desk.post([kv_event("NearExpiry", "aa", days(60))])
    assert desk.ticket("mail")["site"] == "leeds"


def test_a_rule_sees_exactly_the_fields_that_its_document_allows() -> None:
    seen: list[RuleRecord] = []

    def evaluate(record: RuleRecord) -> RuleResult:
        seen.append(record)
        return RuleResult()

    desk = Desk()
    desk.post([kv_event("NearExpiry", "aa", days(60))])
    record = desk.repository.load("acorn-vault", (ObjectType.SECRET, "mail"), "mail")
    decide(record.state, {}, Context("acorn-vault", evaluate=evaluate))
    assert {tuple(record) for record in seen} == {EVENT_FIELDS}


@pytest.mark.parametrize(
    ("member", "value", "path"),
    [
        ("ticket_rules", [{"name": "a", "criteria": [criterion("nobject", "equals", "x")]}], "ticket_rules.0"),
        ("ticket_rules", [{"name": "a", "summary": "{secret_value}"}], "ticket_rules.0.summary"),
        (
            "ticket_rules",
            [{"name": "a", "criteria": [criterion("object_name", "matches", "(")]}],
            "ticket_rules.0.criteria.0.value",
        ),
        ("ticket_rules", [{"name": "a"}, {"name": "a"}], ""),
        ("allowed_vaults", [{"name": "a-vault", "resource_id": "/subscriptions/x"}], "allowed_vaults.0.resource_id"),
        ("allowed_vaults", [{"name": "a-vault"}, {"name": "A-Vault"}], ""),
        ("sweep", {"thresholds_days": [0]}, "sweep.thresholds_days.0"),
        ("credentials", {}, "credentials.current"),
        ("unknown", 1, "unknown"),
    ],
)
def test_a_document_with_a_fault_is_refused_with_its_path(member: str, value: Any, path: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_document(KeyVaultEvents, "default", settings(**{member: value}))
    assert path in [fault.path for fault in refusal.value.faults]


def test_there_is_one_document_and_it_is_named_default() -> None:
    with pytest.raises(InvalidInputError, match="must be default"):
        parse_document(KeyVaultEvents, "other", settings())


# What is remembered has an end


def test_an_object_with_hundreds_of_versions_stays_small_and_its_oldest_tickets_can_still_be_closed() -> None:
    desk = Desk()
    desk.now = days(252)
    history = [kv_event("NewVersionCreated", f"{number:04d}", days(number)) for number in range(250)]
    for start in range(0, len(history), 70):
        assert desk.post(history[start : start + 70]).status == 200
    record = desk.repository.load("acorn-vault", (ObjectType.SECRET, "mail"), "mail")
    assert (len(record.state.versions), len(record.stored)) == (200, 200)
    assert len(desk.tickets()) == 250
    desk.post([kv_event("Expired", "0001", days(251))])
    assert [row for row in desk.tickets() if row["kind"] == "expiry"] == []
    people = desk.editor(lambda: desk.now)
    oldest = next(row for row in desk.tickets() if row["version"] == "0000")
    changed = people.change(str(oldest["ticket_id"]), {"status": "closed"}, by="kim", if_match="*", note="Old.")
    assert (changed.ticket.status, [note.text for note in changed.notes][1:]) == (
        "closed",
        [
            "Resolved: version 0001 was created after this one.",
            "Changed status from resolved to closed.",
            "Old.",
        ],
    )
    assert (len(desk.listed("open")), len(desk.listed("done"))) == (1, 249)


def test_merging_observations_twice_changes_nothing() -> None:
    from shared.tickets.inbound.event_grid import parse_event

    events = [
        parse_event(kv_event("NearExpiry", "aa", days(60))),
        parse_event(kv_event("NewVersionCreated", "aa", days(0))),
    ]
    once = merge_observations(ObjectState(ObjectType.SECRET, "mail"), events)
    assert merge_observations(once, [*events, *reversed(events)]) == once
