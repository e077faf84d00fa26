"""Vaults that never sent an event: listed, told, swept, and gone only when they neither answer nor are listed."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.storage.rows import Create
from shared.tickets.configuration import Configuration
from shared.tickets.inbound.known_vaults import KnownTags, KnownVaults
from shared.tickets.inbound.sweep_rows import sweep_row
from shared.tickets.inbound.vault_discovery import VAULTS_A_PAGE, ListedVault, ListedVaults
from shared.tickets.inbound.vault_rows import LANES, known_vault
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.tickets.desk import AFTERWARDS, AZURE_SUBSCRIPTION, Desk, configuration, resource_id
from tests.tickets.test_senders import of
from tests.tickets.test_sweep import NOW, MadeUpVault, Worker, comparable

PATTERN = {"subscription": AZURE_SUBSCRIPTION, "store": "acorn", "site": "leeds"}
UNREACHABLE = TryLaterError(Reason.VAULT_UNREACHABLE, "The vault did not answer.")


def patterns(*given: dict[str, Any], **members: Any) -> Configuration:
    return configuration(**{"allowed_vaults": [], "vault_patterns": list(given or (PATTERN,)), **members})


def names(count: int) -> list[str]:
    return [f"vault-{number:04}" for number in range(count)]


class Azure:
    """What a store's identity sees, and what asking for it comes to."""

    def __init__(self, *vaults: str) -> None:
        self.tags = {name: dict[str, str]() for name in vaults}
        self.page_size = VAULTS_A_PAGE
        self.errors: list[DeskbridgeError] = []
        self.asked: list[tuple[str, str, Sequence[str]]] = []

    def __call__(self, store: str, token: str, wanted: Sequence[str]) -> ListedVaults:
        self.asked.append((store, token, wanted))
        if self.errors:
            raise self.errors.pop(0)
        found = [name for name in sorted(self.tags) if not wanted or name in wanted]
        start = int(token or 0)
        end = start + self.page_size
        page = [ListedVault(resource_id(name).lower(), self.tags[name]) for name in found[start:end]]
        return ListedVaults(page, str(end) if end < len(found) else "")


class Discovered:
    """A desk with a pattern, and the vaults that Azure lists for it."""

    def __init__(
        self, azure: Azure, configured: Configuration | None = None, tables: MemoryTables | None = None
    ) -> None:
        self.azure = azure
        self.now = NOW
        self.calls = 0
        self.left = 0
        self.tables = tables or MemoryTables()
        self.desk = Desk(WatchedTables(self.tables, self._count), configured or patterns(), now=AFTERWARDS)
        self.vault = MadeUpVault()
        self.known = KnownVaults(self.tables.table("vaults"))
        self.worker = self.another_worker(self.desk)

    def another_worker(self, desk: Desk) -> Worker:
        worker = Worker(desk, self.vault, lambda: self.now, list_vaults=self.azure)
        worker.sweeps._open_vault = self._open
        return worker

    def _open(self, _store: str, source: str) -> MadeUpVault:
        if source.rpartition("/")[2] not in self.azure.tags:
            raise MisconfiguredError(Reason.VAULT_UNREACHABLE, "The vault did not answer.")
        return self.vault

    def _count(self, _table: str, _verb: str, when: str) -> None:
        self.calls += when == "before"
        self.left -= 1
        if self.left == 0:
            raise KilledError

    def sweep(self, after: timedelta = timedelta(days=1)) -> list[tuple[str, str]]:
        """What the report of a further sweep tells."""
        self.now += after
        return self.report(self.worker.sweep())

    def report(self, sweep_id: str) -> list[tuple[str, str]]:
        return [(one.what, one.vault) for one in self.known.report(sweep_id, 1_000, None)[0]]

    @property
    def vaults(self) -> dict[str, tuple[str, bool]]:
        """Each known vault: its store, and whether it is swept."""
        return {vault.name: (vault.store, vault.is_swept) for vault in self.known.page(1_000, None)[0]}


def test_vaults_that_never_sent_an_event_are_found_page_by_page_swept_at_once_and_told_once() -> None:
    azure = Azure(*names(5))
    azure.page_size = 2
    found = Discovered(azure)
    found.vault.put("mail", "aa")
    assert found.sweep() == [("added", name) for name in names(5)]
    assert {(vault.store, vault.site, vault.tried_at) for vault in found.known.page(9, None)[0]} == {
        ("acorn", "leeds", found.now)
    }
    assert {row["scope"] for row in found.desk.tickets()} == set(names(5))
    assert found.sweep() == []
    azure.tags["birch-vault"] = {}
    assert found.sweep() == [("added", "birch-vault")]
    assert [token for _, token, _ in azure.asked] == ["", "2", "4"] * 3


def test_what_no_pattern_allows_or_an_entry_names_or_another_store_lists_is_left_alone() -> None:
    configured = configuration(
        allowed_vaults=[{"name": "named-vault", "store": "acorn", "site": "leeds"}],
        vault_patterns=[{"name": "other-*", "store": "birch"}, {"name": "*-vault", "store": "acorn"}, {"name": "x-*"}],
    )
    found = Discovered(Azure("named-vault", "other-vault", "cedar-vault", "strange", "x-ray"), configured)
    found.sweep()
    assert {store for store, _, _ in found.azure.asked} == {"acorn", "birch"}
    stores = {name: store for name, (store, _) in found.vaults.items()}
    assert stores == {"named-vault": "acorn", "other-vault": "birch", "cedar-vault": "acorn"}


def test_the_list_is_asked_for_once_a_day_and_at_once_for_other_patterns() -> None:
    found = Discovered(Azure(*names(2)))
    asked = []
    for hours, configured in (
        (24, None),
        (1, None),
        (1, patterns({**PATTERN, "name": "vault-*"})),
        (1, None),
        (24, None),
    ):
        found.desk.configured = configured or found.desk.configured
        found.sweep(timedelta(hours=hours))
        asked.append(len(found.azure.asked))
    assert asked == [1, 1, 2, 2, 3]


def test_a_vault_is_gone_only_when_it_neither_answers_nor_is_listed() -> None:
    found = Discovered(Azure(*names(3)))
    found.sweep()
    # The identity lost its right to see two vaults that are there; one of them has trouble besides.
    swept = dict(found.azure.tags)
    del found.azure.tags["vault-0001"], found.azure.tags["vault-0002"]
    found.worker.sweeps._open_vault = lambda store, source: (
        found._open(store, source) if source.endswith("/vault-0002") else found.vault
    )
    assert found.sweep() == [("refused", "vault-0002")]
    assert found.sweep() == [("refused", "vault-0002"), ("vanished", "vault-0002")]
    assert found.vaults == {**dict.fromkeys(names(2), ("acorn", True)), "vault-0002": ("acorn", False)}
    gone = found.known.find("vault-0002")
    assert gone is not None
    assert gone.vanished_at == found.now
    assert found.sweep() == []
    assert found.known.overdue(found.now, 9) == [] == found.known.some_refused(9)
    found.azure.tags = swept
    assert found.sweep() == [("added", "vault-0002")]
    assert found.vaults["vault-0002"] == ("acorn", True)


def test_a_vault_that_is_listed_and_does_not_answer_is_not_gone() -> None:
    found = Discovered(Azure(*names(2)))
    found.sweep()
    found.worker.sweeps._open_vault = lambda store, _name: found._open(store, "nowhere")
    for _ in range(4):
        assert found.sweep() == [("refused", name) for name in names(2)]
    assert [wanted for _, _, wanted in found.azure.asked if wanted] == [names(2)] * 3


def test_an_identity_that_may_see_nothing_is_told_and_makes_no_vault_vanish() -> None:
    found = Discovered(Azure(*names(2)))
    found.sweep()
    found.azure.tags.clear()
    for _ in range(4):
        assert found.sweep() == [("not_listed", "acorn"), *[("refused", name) for name in names(2)]]
    assert found.vaults == dict.fromkeys(names(2), ("acorn", True))


def test_a_late_event_of_a_vault_that_is_gone_changes_nothing_and_a_new_one_brings_it_back() -> None:
    found = Discovered(Azure(*names(2)))
    found.sweep()
    del found.azure.tags["vault-0001"]
    for _ in range(2):
        found.sweep()
    entry = patterns().entry("vault-0001", resource_id("vault-0001").lower())
    assert entry is not None
    swept = []
    for hours in (-5, 5):
        at = found.now + timedelta(hours=hours)
        kept = known_vault("vault-0001", entry, at)
        found.known.keep([replace(kept, last_event_at=at)])
        swept.append(found.vaults["vault-0001"][1])
    assert swept == [False, True]


def test_a_list_that_asks_to_wait_is_waited_for_and_given_up_after_six_times_while_the_sweep_goes_on() -> None:
    found = Discovered(Azure(*names(2)))
    found.azure.errors = [TryLaterError(Reason.VAULTS_NOT_LISTED, "Too many.", retry_after=17)]
    found.sweep()
    ((text, seconds),) = found.worker.later
    assert (seconds, found.vaults) == (17, {})
    found.worker.drain([text])
    assert sorted(found.vaults) == names(2)
    found.worker.later.clear()
    found.azure.errors = [TryLaterError(Reason.VAULTS_NOT_LISTED, "Too many.") for _ in range(7)]
    found.now += timedelta(days=1)
    sweep_id = found.worker.sweep()
    waited = []
    while found.worker.later:
        ((text, seconds),) = found.worker.later
        found.worker.later.clear()
        waited.append(seconds)
        found.worker.drain([text])
    assert waited == [10, 20, 30, 40, 50, 60]
    assert found.report(sweep_id) == [("not_listed", "acorn")]
    assert found.worker.sweeps.get(sweep_id).count.done == 2


def test_a_refusal_is_told_with_its_remedy_and_the_next_sweep_asks_again() -> None:
    found = Discovered(Azure(*names(1)))
    found.azure.errors = [MisconfiguredError(Reason.VAULTS_NOT_LISTED, "No.", remedy="Give the role Reader.")]
    found.now += timedelta(days=1)
    (report,) = found.known.report(found.worker.sweep(), 9, None)[0]
    assert (report.reason, report.message) == ("vaults_not_listed", "No. Give the role Reader.")
    assert found.sweep(timedelta(minutes=5)) == [("added", "vault-0000")]


def test_a_discovery_whose_message_failed_for_good_is_told_and_the_next_sweep_asks_again() -> None:
    found = Discovered(Azure(*names(1)))
    sweep, first = found.worker.sweeps.start(None, "kim")
    (message,) = [one for text in first for one in found.worker.sweeps.do(text) if "store" in json.loads(one)]
    for _ in range(2):
        found.worker.sweeps.give_up(message)
    (report,) = found.known.report(sweep.id, 9, None)[0]
    assert (report.what, report.vault, report.reason) == ("not_listed", "acorn", "internal")
    assert found.sweep(timedelta(minutes=5)) == [("added", "vault-0000")]


# Tags

TAGGED = {"tags": {"Env": "prod*"}, "store": "acorn"}


def test_a_pattern_with_tags_allows_what_was_listed_with_them_and_its_events_from_then_on() -> None:
    azure = Azure()
    azure.tags = {"oak-vault": {"env": "production", "cost": "1"}, "elm-vault": {"env": "test"}, "ash-vault": {}}
    found = Discovered(azure)
    tags = KnownTags(found.known, lambda: found.now)
    plain = patterns(TAGGED)
    found.desk.configured = Configuration(plain.document, plain.rules, tags.of)
    # An event says no tags: it waits in the quarantine until the vault was listed.
    assert found.desk.post([of("oak-vault")]).body == {"recorded": 0, "quarantined": 1}
    assert found.sweep() == [("added", "oak-vault")]
    assert found.desk.post([of("oak-vault", "disk"), of("elm-vault")]).body == {"recorded": 1, "quarantined": 1}
    kept = found.known.find("oak-vault")
    assert kept is not None
    assert json.loads(kept.tags) == {"env": "production"}
    # Another resource of that name has none of its tags.
    strange = resource_id("oak-vault").lower().replace("rg-acorn", "rg-strange")
    assert not found.desk.configured.allowed("oak-vault", strange)


def test_a_vault_whose_tags_fit_no_more_is_swept_no_more() -> None:
    azure = Azure()
    azure.tags = {"oak-vault": {"env": "production"}}
    found = Discovered(azure)
    tags = KnownTags(found.known, lambda: found.now)
    plain = patterns(TAGGED)
    found.desk.configured = Configuration(plain.document, plain.rules, tags.of)
    found.sweep()
    azure.tags["oak-vault"] = {"env": "test"}
    assert found.sweep() == [("refused", "oak-vault")]
    assert found.vaults == {"oak-vault": ("", False)}
    azure.tags["oak-vault"] = {"env": "production"}
    found.sweep()
    assert found.sweep() == []
    assert found.vaults == {"oak-vault": ("acorn", True)}


def test_tags_are_read_once_in_five_minutes_and_only_where_all_else_fits() -> None:
    found = Discovered(Azure())
    read = KnownTags(KnownVaults(found.desk.tables.table("vaults")), lambda: found.now)
    plain = patterns({**TAGGED, "name": "oak-*"})
    configured = Configuration(plain.document, plain.rules, read.of)
    calls = []
    for name in ("elm-vault", "oak-vault", "oak-vault"):
        configured.allowed(name, resource_id(name).lower())
        calls.append(found.calls)
    found.now += timedelta(minutes=5)
    configured.allowed("oak-vault", resource_id("oak-vault").lower())
    assert [*calls, found.calls] == [0, 1, 1, 2]


# Costs, and workers that die


def test_a_page_costs_the_same_beside_ten_known_vaults_and_beside_a_thousand() -> None:
    costs = []
    for count in (10, 1_000):
        azure = Azure("birch-vault", "vault-0004x", "zebra-vault")
        found = Discovered(azure)
        found.known.keep([known_vault(name, _entry(name), NOW) for name in names(count)])
        sweep, _ = found.worker.sweeps.start([names(1)[0]], "kim")
        found.calls = 0
        (following,) = [
            one
            for one in found.worker.sweeps.do(json.dumps({"sweep": sweep.id, "after": "", "store": "acorn"}))
            if "vault" not in json.loads(one)
        ]
        found.worker.sweeps.do(following)
        costs.append(found.calls)
    # The sweep, three vaults, a transaction in two lanes and the day; then the sweep and the refused ones of each lane.
    assert costs == [17, 17]


def _entry(name: str) -> Any:
    return patterns().entry(name, resource_id(name).lower())


def test_a_list_of_a_thousand_vaults_that_are_known_costs_a_call_a_lane_and_no_write_a_page() -> None:
    found = Discovered(Azure(*names(1_000)))
    found.known.keep([known_vault(name, _entry(name), NOW) for name in names(1_000)])
    sweep, _ = found.worker.sweeps.start(names(1), "kim")
    waiting = [json.dumps({"sweep": sweep.id, "after": "", "store": "acorn"})]
    found.worker.drain(waiting)
    found.calls = 0
    found.worker.drain(waiting)
    # One page with the sweep and one range of vaults a lane, what was asked for (read and saved), and the sweep and the
    # refused ones.
    assert (len(found.azure.asked), found.calls) == (2, 1 + LANES + 2 + 1 + LANES)


@pytest.mark.parametrize("others", [0, 3_000])
def test_vaults_that_stand_far_apart_are_looked_up_without_reading_all_between_them(others: int) -> None:
    found = Discovered(Azure())
    found.known.keep([known_vault(name, _entry(name), NOW) for name in names(others)])
    sparse = [f"vault-{number:04}x" for number in range(0, 3_000, 25)]
    found.known.keep([known_vault(name, _entry(name), NOW) for name in sparse])
    found.calls = 0
    counted = KnownVaults(found.desk.tables.table("vaults"))
    assert sorted(counted.keep([known_vault(name, _entry(name), NOW) for name in sparse])) == sparse
    assert found.calls <= len(sparse) + 1


def test_a_discovery_killed_at_any_storage_call_ends_in_the_same_tables_when_its_message_comes_again() -> None:
    def prepared(tables: MemoryTables) -> Discovered:
        azure = Azure(*names(2))
        azure.page_size = 2
        found = Discovered(azure, tables=tables)
        found.known.keep(
            [known_vault(name, _entry(name), NOW - timedelta(days=1)) for name in ("gone-vault", "old-vault")]
        )
        azure.tags["old-vault"] = {}
        return found

    def play(found: Discovered, kill_at: int) -> bool:
        """Two sweeps of two days; whether the worker was killed."""
        killed = False
        for day in range(2):
            found.now = NOW + timedelta(days=day)
            found.azure.tags |= {name: {} for name in names(2 + 3 * day)}
            sweep = sweeps[day]
            found.tables.table("vaults").transact("sweeps", [Create(sweep_row(sweep))])
            waiting = [json.dumps({"sweep": sweep.id, "after": ""})]
            found.left = kill_at if day == 1 and not killed else 0
            while waiting:
                try:
                    waiting[1:] += found.worker.sweeps.do(waiting[0])
                except KilledError:
                    killed = True
                    continue
                waiting.pop(0)
        return killed

    maker = Discovered(Azure())
    sweeps = []
    for day in range(2):
        maker.now = NOW + timedelta(days=day)
        sweeps.append(maker.worker.sweeps.start(None, "kim")[0])
    clean = prepared(MemoryTables())
    assert not play(clean, 0)
    told = clean.report(sweeps[1].id)
    assert told == [*[("added", name) for name in names(5)[2:]], ("refused", "gone-vault"), ("vanished", "gone-vault")]
    for kill_at in range(1, 400):
        tables = MemoryTables()
        found = prepared(tables)
        if not play(found, kill_at):
            assert kill_at > 60
            return
        assert comparable(tables) == comparable(clean.tables), kill_at
    raise AssertionError("the sweep has no end")
