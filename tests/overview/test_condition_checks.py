"""What housekeeping proves again: sweeps, secrets and the outbox, at the same cost however many vaults there are."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.conditions import ConditionKind, ConditionReport
from shared.errors import MisconfiguredError, TryLaterError
from shared.imports.plan.model import Trigger
from shared.overview.condition_checks import ConditionChecks
from shared.overview.condition_looks import Look, asking, import_look, settings_look, sweep_look
from shared.reasons import Reason
from shared.settings.stored import UnreadableDocument
from shared.tickets.inbound.desk_conditions import DeskConditions
from shared.tickets.inbound.quarantine import Quarantine
from shared.vaults.credentials import VaultCredentials
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.expiries import about_secret, report_of_secret, secret_of
from shared.vaults.model import SecretValue
from tests.imports.worlds import WORLDS, World
from tests.tickets.test_sweep import NOW
from tests.tickets.test_sweeps import Estate, drain


class Told:
    """Takes reports, and keeps them."""

    def __init__(self) -> None:
        self.reports: list[ConditionReport] = []

    def report(self, report: ConditionReport) -> None:
        self.reports.append(report)

    def holding(self) -> list[tuple[str, str]]:
        return [(one.about, one.reason) for one in self.reports if one.holds]


def _estate(count: int) -> tuple[Estate, DeskConditions]:
    """An estate whose sweeps report to its own desk."""
    estate = Estate(count)
    desk = estate.desk
    conditions = DeskConditions(
        desk.repository, lambda: desk.configured, lambda _about, site: (site, ""), lambda _seconds: None
    )
    estate.sweeps._conditions = conditions
    return estate, conditions


def _open(estate: Estate) -> list[tuple[Any, ...]]:
    rows = [row for row in estate.desk.tickets() if row["kind"] == "sweep_failing" and "finished_at" not in row]
    return sorted((row["object_name"], row["site"]) for row in rows)


def _checks(estate: Estate, conditions: Any, now: datetime) -> ConditionChecks:
    def no_secrets() -> VaultCredentials:
        raise AssertionError

    estate.desk.now = now
    looks = [sweep_look(estate.sweeps, lambda: now)]
    return ConditionChecks(
        conditions, looks, estate.desk.lists, asking(lambda: estate.sweeps, no_secrets, lambda: now), lambda: now
    )


def _sweep(estate: Estate) -> None:
    _, first = estate.sweeps.start(None, "schedule")
    for message in drain(estate.sweeps, first):
        assert estate.sweeps.do(message) == []


def test_a_vault_that_refuses_is_one_ticket_at_its_site_until_a_sweep_reads_it() -> None:
    estate, _ = _estate(2)
    estate.vault.error = MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "No.")
    _sweep(estate)
    assert _open(estate) == [("vaults/vault-0000", "leeds"), ("vaults/vault-0001", "leeds")]
    [first, _] = [row["opened_at"] for row in estate.desk.tickets()]
    estate.now += timedelta(days=1)
    _sweep(estate)
    assert [row["opened_at"] for row in estate.desk.tickets()] == [first, first]
    estate.vault.error = None
    estate.now += timedelta(days=1)
    _sweep(estate)
    assert _open(estate) == []


def test_a_worker_that_died_before_it_told_tells_when_its_message_comes_again() -> None:
    estate, conditions = _estate(1)
    estate.vault.error = MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "No.")
    estate.sweeps._conditions = Told()
    _, first = estate.sweeps.start(None, "schedule")
    [message] = drain(estate.sweeps, first)
    estate.sweeps.do(message)
    assert _open(estate) == []
    estate.sweeps._conditions = conditions
    estate.sweeps.do(message)
    assert _open(estate) == [("vaults/vault-0000", "leeds")]


def test_vaults_that_no_sweep_comes_to_are_told_and_few_of_many() -> None:
    estate, conditions = _estate(300)
    _sweep(estate)
    later = NOW + timedelta(hours=27)
    _checks(estate, conditions, later).prove()
    assert len(_open(estate)) == 20
    estate.desk.settle()
    estate.now = later
    _sweep(estate)
    estate.desk.settle()
    _checks(estate, conditions, later + timedelta(minutes=15)).prove()
    assert _open(estate) == []


def test_a_turn_costs_the_same_with_a_thousand_vaults_as_with_ten() -> None:
    costs: list[Counter[str]] = []
    for count in (10, 1_000):
        estate, _ = _estate(count)
        _sweep(estate)
        estate.calls.clear()
        _checks(estate, Told(), NOW + timedelta(hours=1)).prove()
        costs.append(Counter(estate.calls))
    assert costs[0] == costs[1]
    assert sum(costs[0].values()) < 30


def test_a_look_that_fails_ends_nothing_and_stops_no_other() -> None:
    estate, conditions = _estate(1)
    report = ConditionReport(ConditionKind.QUEUE_STUCK, "queues/sweeps", NOW, NOW, reason="queue_stuck")
    conditions.report(report)
    estate.desk.settle()

    def fails() -> list[ConditionReport]:
        raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "No answer.")

    told, kinds = Told(), frozenset({ConditionKind.QUEUE_STUCK})
    other = Look("another", lambda: [report], frozenset())
    ConditionChecks(
        told, [Look("queues", fails, kinds), other], estate.desk.lists, lambda *_: report, lambda: NOW
    ).prove()
    assert told.holding() == [("queues/sweeps", "queue_stuck")] * len(told.reports)
    ConditionChecks(told, [Look("queues", list, kinds)], estate.desk.lists, lambda *_: report, lambda: NOW).prove()
    assert [one.holds for one in told.reports][-1] is False


def test_what_comes_just_after_an_end_opens_the_ticket_again() -> None:
    estate, conditions = _estate(1)
    begin = NOW.replace(minute=1)
    desk, now = estate.desk, [begin]
    quarantine = Quarantine(desk.tables.table("quarantine"), lambda: now[0], conditions=conditions)
    item = quarantine.keep({"odd": 1}, Reason.EVENT_NOT_READABLE, "It is odd.")
    desk.settle()
    quarantine.remove(quarantine.get(item))
    now[0] = begin + timedelta(minutes=15)

    def kept() -> list[ConditionReport]:
        found = quarantine.newest()
        # Looks take their time.
        now[0] += timedelta(minutes=6)
        return [] if found is None else [found]

    look = Look("the quarantine", kept, frozenset({ConditionKind.QUARANTINE}))
    checks = ConditionChecks(conditions, [look], desk.lists, lambda *_: pytest.fail("asked"), lambda: now[0])
    checks.prove()
    [ended] = [row for row in desk.tickets() if row["kind"] == "quarantine"]
    assert ended["status"] == "resolved"
    # After the look, and before its end was told: in the same five minutes as the look.
    now[0] = begin + timedelta(minutes=16, seconds=30)
    quarantine.keep({"odd": 2}, Reason.EVENT_NOT_READABLE, "It is odd.")
    [again] = [row for row in desk.tickets() if row["kind"] == "quarantine"]
    assert (again["ticket_id"], again["status"]) == (ended["ticket_id"], "open")


@pytest.mark.parametrize("trigger", ["scheduled", "manual"])
def test_a_failed_import_of_a_document_without_schedule_keeps_its_ticket(trigger: str) -> None:
    world, (estate, conditions) = World(WORLDS["ec2"]()), _estate(1)
    world.case.changes = {"syncing": False}  # type: ignore[attr-defined] # of this case
    world.settle()
    world.far.fails_after, world.far.failure = 0, MisconfiguredError(Reason.AWS_FAILED, "No.", remedy="Yes.")
    world.run(trigger=Trigger(trigger))
    look = import_look(world.statuses)
    [report] = look.find()
    assert (report.kind, report.reason, report.holds) == ("import_failing", "import_failed", True)
    conditions.report(report)
    estate.desk.settle()

    def turn() -> str:
        now = world.clock()
        ConditionChecks(conditions, [look], estate.desk.lists, lambda *_: pytest.fail("asked"), lambda: now).prove()
        estate.desk.settle()
        [row] = [row for row in estate.desk.tickets() if row["kind"] == "import_failing"]
        return str(row["status"])

    # None is expected of it, so it is never overdue, however late it gets.
    world.clock.advance(days=3)
    assert turn() == "open"
    world.far.fails_after = None
    world.run(trigger=Trigger(trigger))
    world.clock.advance(days=3)
    assert list(look.find()) == []
    assert turn() == "resolved"


def test_what_comes_back_the_same_day_is_told_within_the_hour() -> None:
    estate, conditions = _estate(1)
    desk, now, found = estate.desk, [NOW.replace(hour=9, minute=50)], [True]
    unreadable = UnreadableDocument("customers", "elm", {}, (), "1", 1, NOW - timedelta(days=3), "kim")

    class Settings:
        def list_all(self) -> list[Any]:
            return [("1", unreadable)] if found[0] else []

    look = settings_look(Settings(), lambda: now[0])  # type: ignore[arg-type] # what the look asks
    checks = ConditionChecks(conditions, [look], desk.lists, lambda *_: pytest.fail("asked"), lambda: now[0])
    statuses = []
    for minutes, found[0] in ((0, True), (30, False), (45, True)):
        now[0] += timedelta(minutes=minutes)
        checks.prove()
        desk.settle()
        statuses.append([row["status"] for row in desk.tickets()])
    assert statuses == [["open"], ["resolved"], ["open"]]


def _secret(expires_at: datetime | None) -> SecretValue:
    return SecretValue("x", {}, "acorn-vault", "mail", "1", expires_at)


@pytest.mark.parametrize(
    ("days", "reason"), [(31, ""), (29, "secret_expires"), (0, "secret_expired"), (-40, "secret_expired"), (None, "")]
)
def test_a_secret_of_the_desks_own_is_told_a_month_before_it_expires(days: int | None, reason: str) -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    expires_at = None if days is None else now + timedelta(days=days)
    report = report_of_secret("kv", SecretAddress("mail"), _secret(expires_at), now)
    assert (report.holds, report.reason) == (bool(reason), reason)
    assert secret_of(about_secret("kv", SecretAddress("mail", "0a"))) == ("kv", SecretAddress("mail", "0a"))
    assert report_of_secret("kv", SecretAddress("mail"), None, now).holds is False


def test_reading_a_secret_reports_its_expiry_and_its_new_version_ends_it() -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    value, told = [_secret(now + timedelta(days=3))], Told()

    class Vault:
        def fetch(self, *_: Any) -> SecretValue:
            return value[0]

    store = CredentialStore(vault_url="https://acorn-vault.vault.azure.net", method="system_assigned")

    class Settings:
        def find(self, *_: Any, **__: Any) -> Any:
            class Stored:
                document = store

            return Stored

    credentials = VaultCredentials(Settings(), Vault(), lambda: now, lambda: 0.0, told)  # type: ignore[arg-type]
    about = about_secret("kv", SecretAddress("mail"))
    credentials._tell(credentials.prove(about))
    assert told.holding() == [(about, "secret_expires")]
    value[0] = _secret(None)
    assert credentials.prove(about).holds is False
    credentials._tell(credentials.prove(about))
    assert [one.holds for one in told.reports] == [True, False]
    credentials._tell(credentials.prove(about))
    assert len(told.reports) == 2
