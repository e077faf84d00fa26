"""The sweep, on a vault that a test makes up, and beside events."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from shared.errors import ConflictError, MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.storage.names import VAULTS_TABLE
from shared.storage.rows import Create
from shared.tickets.configuration import Configuration
from shared.tickets.documents import SweepSettings
from shared.tickets.domain.model import ObjectType
from shared.tickets.inbound.known_vaults import KnownVaults
from shared.tickets.inbound.listed_objects import ObjectProperties, threshold
from shared.tickets.inbound.sweep import ObjectsPage, VaultSweep
from shared.tickets.inbound.sweep_rows import sweep_row
from shared.tickets.inbound.sweeps import Sweeps
from shared.tickets.inbound.vault_discovery import ListedVaults, ListVaults
from shared.tickets.inbound.vault_rows import KnownVault
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.outbox.settling import settled
from tests.tickets.desk import VAULT, Desk, configuration
from tests.tickets.interleaving import Interleaving
from tests.tickets.test_convergence import deliver
from tests.tickets.test_decide import kv_event

NOW = datetime(2026, 8, 10, 3, 0, tzinfo=UTC)
EXPIRES = datetime(2026, 9, 1, tzinfo=UTC)
CREATED = datetime(2025, 9, 1, tzinfo=UTC)


class MadeUpVault:
    """Objects by type and name, each a list of versions, the current one last."""

    def __init__(self) -> None:
        self.content: dict[ObjectType, dict[str, list[ObjectProperties]]] = {
            object_type: {} for object_type in ObjectType
        }
        self.asked_for_versions: list[str] = []
        self.missing_from_lists: set[str] = set()
        self.error: Exception | None = None
        self.error_of: set[ObjectType] = set(ObjectType)
        self.refused: dict[str, Exception] = {}
        self.pages = 0
        self.page_size = 25

    def put(self, name: str, version: str, object_type: ObjectType = ObjectType.SECRET, **members: Any) -> None:
        created_at = members.pop("created_at", CREATED)
        listed = ObjectProperties(name, True, created_at, members.pop("updated_at", created_at), version)
        changed = replace(listed, **{"expires_at": EXPIRES, **members})
        self.content[object_type].setdefault(name, []).append(changed)

    def page(self, object_type: ObjectType, after: str) -> ObjectsPage:
        self.pages += 1
        if self.error is not None and object_type in self.error_of:
            raise self.error
        found = [
            replace(versions[-1], version="")
            for name, versions in self.content[object_type].items()
            if name not in self.missing_from_lists
        ]
        start = int(after or 0)
        end = start + self.page_size
        return ObjectsPage(found[start:end], str(end) if end < len(found) else "")

    def versions(self, object_type: ObjectType, name: str) -> Iterable[ObjectProperties]:
        self.asked_for_versions.append(name)
        if name in self.refused:
            raise self.refused[name]
        return self.content[object_type].get(name, [])


def no_list(store: str, _token: str, _names: Sequence[str]) -> ListedVaults:
    """What an identity is answered that may see no vault."""
    return ListedVaults(())


class Worker:
    """One worker's sweeps, with a queue of its own."""

    def __init__(
        self,
        desk: Desk,
        vault: MadeUpVault,
        now: Callable[[], datetime],
        calls_a_step: int = 500,
        list_vaults: ListVaults = no_list,
    ) -> None:
        self.later: list[tuple[str, float]] = []
        step = VaultSweep(desk.repository, desk.reconciler, calls_a_step)
        self.sweeps = Sweeps(
            desk.tables.table(VAULTS_TABLE),
            lambda: desk.configured,
            lambda _store, _vault: vault,
            step,
            now,
            lambda text, seconds: self.later.append((text, seconds)),
            list_vaults,
        )

    def sweep(self, vaults: Sequence[str] | None = None, by: str = "kim") -> str:
        """A sweep to its end; its id."""
        sweep, messages = self.sweeps.start(vaults, by)
        self.drain(messages)
        return sweep.id

    def drain(self, messages: Sequence[str]) -> None:
        waiting = list(messages)
        while waiting:
            waiting += self.sweeps.do(waiting.pop(0))


class Swept:
    """A desk whose vault is swept at a time that a test chooses."""

    def __init__(self, desk: Desk | None = None, calls_a_step: int = 500, **sweep: Any) -> None:
        self.vault = MadeUpVault()
        self.now = NOW
        self.desk = desk or Desk(configured=swept_configuration(**sweep))
        self.calls_a_step = calls_a_step
        self.sweeping = self.worker(self.desk)

    def worker(self, desk: Desk) -> Worker:
        return Worker(desk, self.vault, lambda: self.now, self.calls_a_step)

    def sweep(self, at: datetime | None = None) -> None:
        self.now = at or self.now
        # Two sweeps of one moment would not try a vault twice.
        self.now += timedelta(microseconds=1)
        progress = self.sweeping.sweeps.get(self.sweeping.sweep())
        assert (progress.state, progress.count.failed) == ("finished", 0)

    @property
    def known(self) -> KnownVault:
        found = self.sweeping.sweeps.vaults.find(VAULT)
        assert found is not None
        return found

    def days_ahead(self, days: float) -> datetime:
        return EXPIRES - timedelta(days=days)


def _sweep(worker: Worker) -> None:
    worker.sweep()


def tickets_of(tables: MemoryTables) -> dict[str, Any]:
    """The tickets, and the index once it has followed."""
    contents = settled(Desk(tables).outbox, tables)
    return {name: contents.get(name) for name in ("tickets", "index")}


def swept_configuration(**sweep: Any) -> Configuration:
    return configuration(allowed_vaults=[{"name": VAULT, "store": "acorn"}], sweep=sweep)


def test_an_object_that_is_older_than_the_subscription_gets_its_ticket() -> None:
    desk = Swept()
    desk.vault.put("mail", "aa")
    desk.vault.put("far", "bb", expires_at=NOW + timedelta(days=200))
    desk.sweep()
    ticket = desk.desk.ticket("mail")
    assert desk.desk.tickets() == [ticket]
    assert (ticket["status"], ticket["priority"], ticket["version"]) == ("open", "medium", "aa")
    assert ticket["opened_at"] == desk.days_ahead(30)
    assert desk.vault.asked_for_versions == ["mail"]


def test_a_second_sweep_of_the_same_vault_writes_nothing_but_its_own_report() -> None:
    desk = Swept()
    desk.vault.put("mail", "aa")
    desk.vault.put("old", "bb", expires_at=NOW - timedelta(days=3))
    desk.sweep()
    assert isinstance(desk.desk.tables, MemoryTables)
    before = desk.desk.rows("ticket:") + desk.desk.rows("note:") + desk.desk.rows("object:")
    desk.sweep(NOW + timedelta(hours=3))
    assert desk.desk.rows("ticket:") + desk.desk.rows("note:") + desk.desk.rows("object:") == before


def test_the_thresholds_remind_on_the_one_ticket_with_rising_priority() -> None:
    desk = Swept()
    desk.vault.put("mail", "aa")
    seen = []
    for days in (70, 59, 45, 29, 13, 6, 0.5, -1):
        desk.sweep(desk.days_ahead(days))
        rows = desk.desk.tickets()
        seen.append(rows[0]["priority"] if rows else None)
    assert seen == [None, "medium", "medium", "medium", "medium", "high", "high", "high"]
    notes = desk.desk.texts(desk.desk.ticket("mail")["ticket_id"])
    assert [note.split(", ")[-1] for note in notes] == [
        "60 days ahead.",
        "30 days ahead.",
        "14 days ahead.",
        "7 days ahead.",
        "1 day ahead.",
        "This version expired on 2026-09-01 00:00 UTC.",
    ]


def test_a_reminder_wakes_a_closed_ticket_and_the_same_one_again_does_not() -> None:
    desk = Swept()
    desk.vault.put("mail", "aa")
    desk.sweep(desk.days_ahead(29))

    people = desk.desk.editor(lambda: desk.now)
    people.change(str(desk.desk.ticket("mail")["ticket_id"]), {"status": "closed"}, by="kim", if_match="*")
    desk.sweep(desk.days_ahead(20))
    assert desk.desk.ticket("mail")["status"] == "closed"
    desk.sweep(desk.days_ahead(13))
    assert desk.desk.ticket("mail")["status"] == "open"


@pytest.mark.parametrize("sweep_first", [True, False])
def test_event_and_sweep_meet_in_one_ticket(sweep_first: bool) -> None:
    desk = Swept()
    desk.vault.put("Mail", "AA".lower())
    event = kv_event("NearExpiry", "aa", desk.days_ahead(29.9), name="mail", expires=EXPIRES)
    if sweep_first:
        desk.sweep(desk.days_ahead(29.5))
    desk.desk.post([event])
    desk.sweep(desk.days_ahead(29.5))
    ticket = desk.desk.ticket("Mail")
    assert desk.desk.tickets() == [ticket]
    assert [(note.text, note.author) for note in desk.desk.notes(ticket["ticket_id"])] == [
        ("Near expiry: this version expires on 2026-09-01 00:00 UTC, 30 days ahead.", "Key Vault event")
    ]


@pytest.mark.parametrize("member", ["created_at", "updated_at"])
def test_a_vault_whose_clock_runs_ahead_outweighs_nothing_that_happens_until_then(member: str) -> None:
    desk = Swept()
    wrong = NOW + timedelta(days=5 * 365)
    desk.vault.put("mail", "aa", created_at=wrong if member == "created_at" else CREATED, updated_at=wrong)
    desk.sweep()
    assert desk.desk.ticket("mail")["status"] == "open"
    assert wrong.isoformat()[:4] not in str(desk.desk.rows("object:"))
    # A day later somebody renews it.
    desk.desk.now = desk.now = NOW + timedelta(days=1)
    desk.desk.post([kv_event("NewVersionCreated", "bb", desk.now, expires=wrong)])
    assert desk.desk.ticket("mail")["status"] != "open"


def test_event_then_sweep_and_sweep_then_event_leave_the_same_tables() -> None:
    contents = []
    for order in ("es", "se", "ses", "ese"):
        desk = Swept()
        desk.vault.put("mail", "aa")
        desk.vault.put("mail", "bb", created_at=NOW - timedelta(days=9), expires_at=NOW + timedelta(days=300))
        events = [
            kv_event("NearExpiry", "aa", NOW - timedelta(days=10), expires=EXPIRES),
            kv_event("NewVersionCreated", "bb", NOW - timedelta(days=9), expires=NOW + timedelta(days=300)),
        ]
        for step in order:
            if step == "e":
                desk.desk.post(events)
            else:
                desk.sweep()
        desk.sweep()
        assert isinstance(desk.desk.tables, MemoryTables)
        contents.append(tickets_of(desk.desk.tables))
    assert contents[0] == contents[1] == contents[2] == contents[3]


def test_a_disabled_object_opens_no_ticket_unless_the_settings_say_so() -> None:
    quiet, loud = Swept(), Swept(include_disabled=True)
    for desk in (quiet, loud):
        desk.vault.put("mail", "aa", enabled=False)
        desk.sweep()
    assert quiet.desk.tickets() == []
    assert loud.desk.ticket("mail")["status"] == "open"


def test_the_ticket_of_a_disabled_object_is_resolved_and_reopens_when_it_is_enabled() -> None:
    desk = Swept()
    desk.desk.post([kv_event("NearExpiry", "aa", desk.days_ahead(30), expires=EXPIRES)])
    desk.vault.put("mail", "aa", enabled=False, updated_at=CREATED + timedelta(days=1))
    desk.sweep()
    ticket = desk.desk.ticket("mail")
    assert ticket["status"] == "resolved"
    assert "Resolved: this version is disabled." in desk.desk.texts(ticket["ticket_id"])
    assert ticket["finished_at"] == ticket["opened_at"]
    desk.vault.put("mail", "aa", updated_at=CREATED + timedelta(days=2))
    desk.vault.content[ObjectType.SECRET]["mail"].pop(0)
    desk.sweep()
    assert desk.desk.ticket("mail")["status"] == "open"


def test_a_successor_whose_event_was_never_delivered_resolves_the_ticket() -> None:
    desk = Swept()
    desk.desk.post([kv_event("NearExpiry", "aa", desk.days_ahead(30), expires=EXPIRES)])
    desk.vault.put("mail", "aa")
    desk.vault.put("mail", "bb", created_at=NOW - timedelta(days=1), expires_at=NOW + timedelta(days=300))
    desk.sweep()
    assert desk.desk.ticket("mail")["status"] == "resolved"
    assert [row["kind"] for row in desk.desk.tickets()] == ["expiry"]


def test_an_expiry_date_that_was_moved_away_resolves_the_ticket() -> None:
    desk = Swept()
    desk.desk.post([kv_event("NearExpiry", "aa", desk.days_ahead(30), expires=EXPIRES)])
    moved = EXPIRES + timedelta(days=365)
    desk.vault.put("mail", "aa", expires_at=moved, updated_at=desk.days_ahead(29))
    desk.sweep()
    ticket = desk.desk.ticket("mail")
    assert ticket["status"] == "resolved"
    assert desk.desk.texts(ticket["ticket_id"])[-1] == "Resolved: this version now expires on 2027-09-01 00:00 UTC."


def test_an_object_that_has_gone_closes_its_tickets_and_one_that_comes_back_opens_them() -> None:
    desk = Swept()
    desk.desk.post(
        [
            kv_event("NewVersionCreated", "aa", CREATED),
            kv_event("NearExpiry", "aa", desk.days_ahead(30), expires=EXPIRES),
        ]
    )
    desk.sweep()
    assert [row["status"] for row in desk.desk.tickets()] == ["closed", "closed"]
    assert desk.desk.texts(desk.desk.ticket("mail")["ticket_id"])[-1] == "Closed: the secret is no longer in the vault."
    desk.vault.put("mail", "aa")
    desk.sweep(NOW + timedelta(hours=1))
    assert [row["status"] for row in desk.desk.tickets()] == ["open", "open"]


def test_an_object_that_a_list_missed_is_not_taken_for_gone() -> None:
    desk = Swept()
    desk.desk.post([kv_event("NearExpiry", "aa", desk.days_ahead(30), expires=EXPIRES)])
    desk.vault.put("mail", "aa")
    desk.vault.missing_from_lists.add("mail")
    desk.sweep()
    assert desk.desk.ticket("mail")["status"] == "open"


@pytest.mark.parametrize(
    "error", [TryLaterError(Reason.VAULT_FAILED, "Failed."), MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "No.")]
)
def test_a_vault_that_cannot_be_read_closes_nothing_and_is_reported(error: Exception) -> None:
    desk = Swept()
    desk.desk.post([kv_event("NearExpiry", "aa", desk.days_ahead(30), expires=EXPIRES)])
    desk.vault.error = error
    sweep_id = desk.sweeping.sweep()
    assert desk.desk.ticket("mail")["status"] == "open"
    assert (desk.known.reason, desk.known.swept_at) == (str(getattr(error, "reason", "")), None)
    assert desk.sweeping.sweeps.get(sweep_id).count.failed == 1
    reports, _ = desk.sweeping.sweeps.vaults.report(sweep_id, 50, None)
    assert [(one.vault, one.what, one.reason) for one in reports] == [(VAULT, "refused", desk.known.reason)]


@pytest.mark.parametrize(("conflicted", "ok"), [(4, True), (5, False)])
def test_a_sweep_beside_deliveries_that_keep_writing_is_patient_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, conflicted: int, ok: bool
) -> None:
    swept = Swept()
    swept.vault.put("mail-password", "v1")
    reconcile, times = swept.desk.reconciler.reconcile, iter(range(conflicted))

    def contended(*args: Any) -> None:
        if next(times, None) is not None:
            raise TryLaterError(Reason.CONTENDED, "Others are writing to the same object all the time.")
        reconcile(*args)

    monkeypatch.setattr(swept.desk.reconciler, "reconcile", contended)
    swept.now = swept.days_ahead(20)
    # Too often, and the queue gives the message again.
    with nullcontext() if ok else pytest.raises(TryLaterError):
        swept.sweeping.sweep()
    assert len(swept.desk.tickets()) == (1 if ok else 0)


def test_the_key_and_the_secret_of_a_certificate_open_no_tickets_of_their_own() -> None:
    desk = Swept()
    desk.vault.put("web", "aa", ObjectType.CERTIFICATE)
    desk.vault.put("web", "aa", ObjectType.KEY, managed=True)
    desk.vault.put("web", "aa", ObjectType.SECRET, managed=True)
    desk.sweep()
    assert [row["object_type"] for row in desk.desk.tickets()] == ["certificate"]


def test_objects_without_an_expiry_date_are_one_ticket_a_vault_when_it_is_wanted() -> None:
    quiet, loud = Swept(), Swept(report_without_expiry=True)
    for desk in (quiet, loud):
        desk.vault.put("mail", "aa", expires_at=None)
        desk.vault.put("disk", "bb", ObjectType.KEY, expires_at=None)
        desk.sweep()
    assert quiet.desk.tickets() == []
    ticket = loud.desk.tickets()[0]
    assert (ticket["kind"], ticket["status"], ticket["priority"]) == ("no_expiry_date", "open", "low")
    assert "key disk\nsecret mail" in str(ticket["details"])
    loud.vault.content = {object_type: {} for object_type in ObjectType}
    loud.sweep(NOW + timedelta(days=1))
    assert loud.desk.tickets()[0]["status"] == "resolved"


def test_a_vault_without_a_store_is_not_swept_and_said_so_when_it_is_asked_for() -> None:
    desk = Swept(Desk())
    desk.sweep()
    assert desk.known.tried_at is None
    with pytest.raises(ConflictError, match="no store to list it with"):
        desk.sweeping.sweep([VAULT])


@pytest.mark.parametrize(
    ("lifetime_days", "left_days", "expected"),
    [
        (365, 61, None),
        (365, 60, 60),
        (365, 59.9, 60),
        (365, 14, 14),
        (365, 13.9, 14),
        (365, 0, 0),
        (365, -100, 0),
        # 90 days: 33 % are 30 days, 10 % are 9.
        (90, 31, None),
        (90, 29, 30),
        (90, 8, 9),
        # 6 days: 33 % are 2 days.
        (6, 3, None),
        (6, 1.9, 2),
        (6, 0.5, 1),
    ],
)
def test_thresholds_are_days_and_for_short_lives_shares_of_the_life(
    lifetime_days: float, left_days: float, expected: int | None
) -> None:
    expires_at = NOW + timedelta(days=left_days)
    created_at = expires_at - timedelta(days=lifetime_days)
    listed = ObjectProperties("web", True, created_at, created_at, "aa", expires_at=expires_at)
    assert threshold(ObjectType.CERTIFICATE, listed, SweepSettings(), NOW) == expected


def test_a_secret_is_reminded_of_by_days_however_short_its_life() -> None:
    listed = ObjectProperties("mail", True, NOW, NOW, "aa", expires_at=NOW + timedelta(days=20))
    assert threshold(ObjectType.SECRET, listed, SweepSettings(), NOW) == 30
    assert threshold(ObjectType.CERTIFICATE, listed, SweepSettings(), NOW) is None


def test_two_sweeps_at_once_beside_an_event_leave_what_one_leaves() -> None:
    tables, single = MemoryTables(), Swept()

    def fill(vault: MadeUpVault) -> None:
        for name in ("mail", "disk", "web"):
            vault.put(name, "aa")

    fill(single.vault)
    event = kv_event("Expired", "aa", EXPIRES + timedelta(minutes=3), expires=EXPIRES)
    single.desk.post([event])
    single.sweep()
    for schedule in ([0, 1] * 20, [0, 0, 1, 1, 2] * 20, [2, 1, 0, 0] * 20):
        tables = MemoryTables()
        interleaving = Interleaving(schedule)

        def pause(_table: str, _verb: str, when: str, moves: Interleaving = interleaving) -> None:
            if when == "before":
                moves.pause()

        desks = [Desk(WatchedTables(tables, pause), swept_configuration()) for _ in range(3)]
        both = Swept(desks[0])
        fill(both.vault)
        workers = both.worker(desks[0]), both.worker(desks[1])
        interleaving.run(partial(_sweep, workers[0]), partial(_sweep, workers[1]), partial(deliver, desks[2], [event]))
        assert isinstance(single.desk.tables, MemoryTables)
        assert tickets_of(tables) == tickets_of(single.desk.tables)
        known = KnownVaults(tables.table(VAULTS_TABLE))
        assert [row.name for row in known.page(50, None)[0]] == [VAULT]
        assert known.some_due(NOW, 50) == []


def test_a_sweep_killed_at_any_storage_call_ends_in_the_same_tables_when_its_message_comes_again() -> None:
    def fill(desk: Swept) -> None:
        desk.desk.post([kv_event("NearExpiry", "aa", desk.days_ahead(30), expires=EXPIRES, name="gone")])
        desk.vault.page_size = 1
        desk.vault.put("mail", "aa")
        desk.vault.put("disk", "aa")
        desk.vault.put("web", "aa", ObjectType.CERTIFICATE)

    clean = Swept(calls_a_step=2)
    fill(clean)
    sweep, first = clean.sweeping.sweeps.start(None, "kim")
    clean.sweeping.drain(first)
    assert isinstance(clean.desk.tables, MemoryTables)
    for number in range(1, 300):
        tables, left = MemoryTables(), number

        def kill(_table: str, _verb: str, _when: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise KilledError

        whole = Swept(Desk(tables, swept_configuration()), calls_a_step=2)
        fill(whole)
        for name, rows in (("vaults", "sweeps"),):
            tables.table(name).transact(rows, [Create(sweep_row(sweep))])
        doomed, waiting = whole.worker(Desk(WatchedTables(tables, kill), swept_configuration())), list(first)
        killed = False
        while waiting:
            try:
                waiting[1:] += doomed.sweeps.do(waiting[0])
            except KilledError:
                killed, doomed = True, whole.sweeping
                continue
            waiting.pop(0)
        if not killed:
            assert number > 60
            return
        assert comparable(tables) == comparable(clean.desk.tables), number
    raise AssertionError("the sweep has no end")


def comparable(tables: MemoryTables) -> dict[str, Any]:
    """What people see. How much a sweep found to do is not the same when it did it twice."""
    found: dict[str, Any] = {name: dict(rows) for name, rows in settled(Desk(tables).outbox, tables).items()}
    for row in found["vaults"].values():
        row.pop("gone", None)
    return found
