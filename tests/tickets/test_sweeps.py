"""Sweeps by the queue: fanned out in pieces, counted once, resumed, as dear for one vault of ten as of a thousand."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import ConflictError, InvalidInputError, MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.tickets.configuration import Configuration
from shared.tickets.domain.model import ObjectType
from shared.tickets.inbound.sweeps import Sweeps
from shared.tickets.inbound.vault_rows import SweptVault, lane_of
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import VAULT, Desk, configuration
from tests.tickets.test_sweep import NOW, MadeUpVault, Swept, Worker, swept_configuration


def names(count: int) -> list[str]:
    return [f"vault-{number:04}" for number in range(count)]


def of_vaults(vaults: list[str]) -> Configuration:
    return configuration(allowed_vaults=[{"name": vault, "store": "acorn", "site": "leeds"} for vault in vaults])


class Estate:
    """Many vaults with one object each, and a count of the storage calls."""

    def __init__(self, count: int) -> None:
        self.calls: Counter[str] = Counter()
        self.now = NOW
        self.vault = MadeUpVault()
        self.vault.put("mail", "aa", expires_at=NOW + timedelta(days=300))
        self.tables = MemoryTables()
        watched = WatchedTables(self.tables, self._count)
        self.desk = Desk(watched, of_vaults(names(count)))
        self.worker = Worker(self.desk, self.vault, lambda: self.now)
        self.sweeps: Sweeps = self.worker.sweeps

    def _count(self, _table: str, verb: str, when: str) -> None:
        if when == "before":
            self.calls[verb] += 1


def drain(sweeps: Sweeps, messages: list[str]) -> list[str]:
    """The messages of vaults, in the order in which they were sent; everything before them is done."""
    vaults: list[str] = []
    while messages:
        message = messages.pop(0)
        if "vault" in json.loads(message):
            vaults.append(message)
        else:
            messages += sweeps.do(message)
    return vaults


def test_a_vault_costs_as_many_calls_among_a_thousand_as_among_ten() -> None:
    costs: list[tuple[dict[str, int], int]] = []
    for count in (10, 1_000):
        estate = Estate(count)
        # The first sweep of a vault writes what the desk knows of it from then on.
        estate.worker.sweep(names(count)[:5])
        estate.now += timedelta(hours=1)
        _, first = estate.sweeps.start(None, "kim")
        messages = sorted(drain(estate.sweeps, first), key=lambda one: str(json.loads(one)["vault"]))
        assert [json.loads(one)["vault"] for one in messages] == names(count)
        estate.sweeps.do(messages[0])
        estate.calls.clear()
        estate.vault.pages = 0
        for message in messages[1:5]:
            assert estate.sweeps.do(message) == []
        costs.append((dict(estate.calls), estate.vault.pages))
    assert costs[0] == costs[1]
    calls, pages = costs[0]
    # Three lists; of storage the sweep, vault, progress, four queries of objects, the counter, and one transaction.
    assert (pages, sum(calls.values())) == (4 * 3, 4 * 9), calls


def test_what_people_and_readiness_ask_costs_the_same_with_a_thousand_vaults_as_with_ten() -> None:
    costs: list[dict[str, int]] = []
    for count in (10, 1_000):
        estate = Estate(count)
        _, first = estate.sweeps.start(None, "kim")
        drain(estate.sweeps, first)
        estate.calls.clear()
        estate.sweeps.page(50, None)
        estate.sweeps.vaults.page(5, None)
        estate.sweeps.vaults.overdue(NOW + timedelta(days=2), 5)
        estate.sweeps.vaults.some_refused(1)
        costs.append(dict(estate.calls))
    assert costs[0] == costs[1]


def test_no_step_fans_out_more_than_it_may_and_the_oldest_come_first() -> None:
    estate = Estate(1_700)
    estate.worker.sweep([name for name in names(1_700) if name.endswith("7")][:100])
    estate.now += timedelta(hours=1)
    _, messages = estate.sweeps.start(None, "kim")
    sent_for: list[str] = []
    waited = 0
    while messages:
        sent = estate.sweeps.do(messages.pop(0))
        assert len(sent) <= 201
        sent_for += [json.loads(one)["vault"] for one in sent if "vault" in json.loads(one)]
        messages += [one for one in sent if "vault" not in json.loads(one)]
        # What follows a full step waits, so that the queue is not sent more than it takes.
        assert [seconds for _, seconds in estate.worker.later] == [5.0] * len(estate.worker.later)
        waited += len(estate.worker.later)
        messages += [text for text, _ in estate.worker.later]
        estate.worker.later.clear()
    assert waited == sum(count >= 200 for count in Counter(map(lane_of, names(1_700))).values()) > 0
    assert sorted(sent_for) == names(1_700)
    tried = {vault.name for vault in estate.sweeps.vaults.page(1_000, None)[0] if vault.tried_at}
    for lane in range(8):
        of_lane = [name for name in sent_for if lane_of(name) == lane]
        assert of_lane == sorted(of_lane, key=lambda name: (name in tried, name))


def test_messages_that_come_twice_count_once_and_the_sweep_says_how_far_it_is() -> None:
    estate = Estate(3)
    sweep, first = estate.sweeps.start(None, "kim")
    messages = drain(estate.sweeps, first)
    for done, message in enumerate(messages, 1):
        for _ in range(3):
            assert estate.sweeps.do(message) == []
        found = estate.sweeps.get(sweep.id)
        assert (found.count.done, found.state) == (done, "finished" if done == 3 else "running")


def test_a_refusal_of_one_type_costs_that_type_and_is_in_the_report() -> None:
    desk = Swept()
    desk.vault.put("mail", "aa")
    desk.vault.put("web", "aa", ObjectType.CERTIFICATE)
    desk.vault.error = MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "No.")
    desk.vault.error_of = {ObjectType.SECRET}
    sweep_id = desk.sweeping.sweep()
    assert [row["object_name"] for row in desk.desk.tickets()] == ["web"]
    assert (desk.known.reason, desk.known.objects, desk.known.swept_at) == ("vault_permission_missing", 1, None)
    assert desk.sweeping.sweeps.vaults.some_refused(5)[0].vault == VAULT
    desk.vault.error = None
    desk.sweep()
    assert (desk.known.reason, desk.sweeping.sweeps.vaults.some_refused(5)) == ("", [])
    assert desk.sweeping.sweeps.get(sweep_id).count.failed == 1


def test_a_vault_that_asks_to_wait_is_waited_for_by_the_queue_and_given_up_after_six_times() -> None:
    desk = Swept()
    desk.vault.put("mail", "aa")
    desk.vault.put("web", "aa", ObjectType.CERTIFICATE)
    desk.vault.error = TryLaterError(Reason.VAULT_THROTTLED, "Too many.", retry_after=17)
    desk.vault.error_of = {ObjectType.SECRET}
    sweep_id = desk.sweeping.sweep()
    waits = 0
    while desk.sweeping.later:
        ((text, seconds),) = desk.sweeping.later
        assert seconds == 17
        assert desk.known.tried_at is None
        desk.sweeping.later.clear()
        waits += 1
        desk.sweeping.drain([text])
    assert waits == 6
    assert (desk.known.reason, desk.sweeping.sweeps.get(sweep_id).state) == ("vault_throttled", "finished")
    assert [row["object_name"] for row in desk.desk.tickets()] == ["web"]


def test_a_sweep_that_lost_its_messages_gets_them_again_and_then_it_ends() -> None:
    estate = Estate(5)
    sweep, _ = estate.sweeps.start(None, "kim")
    named, _ = estate.sweeps.start(["vault-0003"], "kim")
    assert estate.sweeps.resume() == []
    estate.now += timedelta(minutes=31)
    messages = estate.sweeps.resume()
    assert estate.sweeps.resume() == []
    estate.worker.drain(messages)
    assert [estate.sweeps.get(one.id).state for one in (sweep, named)] == ["finished", "finished"]
    # What one of them has read since the other began, that one need not read again.
    assert [estate.sweeps.get(one.id).count.done for one in (sweep, named)] == [4, 1]


def test_a_sweep_that_a_day_was_not_enough_for_is_unfinished_and_goes_after_a_month() -> None:
    estate = Estate(2)
    sweep, _ = estate.sweeps.start(None, "kim")
    estate.now += timedelta(hours=25)
    assert estate.sweeps.resume() == []
    assert estate.sweeps.get(sweep.id).state == "unfinished"
    estate.now += timedelta(days=30)
    estate.sweeps.resume()
    assert estate.sweeps.page(50, None) == ([], None)


def test_one_object_that_the_vault_refuses_is_named_in_the_report_and_the_vault_counts_as_read() -> None:
    desk = Swept()
    for name in ("mail", "odd"):
        desk.vault.put(name, "aa")
    desk.vault.refused["odd"] = MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "No.", remedy="Give the role.")
    for _ in range(2):
        desk.now += timedelta(hours=1)
        sweep_id = desk.sweeping.sweep()
        [told] = desk.sweeping.sweeps.vaults.report(sweep_id, 5, None)[0]
        assert (told.what, told.reason) == ("refused", "vault_permission_missing")
        assert told.message == "Left out: secret odd. No. Give the role."
        assert [row["object_name"] for row in desk.desk.tickets()] == ["mail"]
        assert (desk.known.objects, desk.known.swept_at) == (2, desk.now)
    desk.vault.refused.clear()
    desk.sweep()
    assert desk.known.reason == ""
    assert [row["object_name"] for row in desk.desk.tickets()] == ["mail", "odd"]


def test_a_known_object_that_the_vault_refuses_is_not_gone_and_many_are_counted() -> None:
    desk = Swept()
    for number in range(25):
        desk.vault.put(f"odd-{number:02}", "aa")
    desk.sweep()
    desk.vault.missing_from_lists = {f"odd-{number:02}" for number in range(25)}
    desk.vault.refused = {
        name: MisconfiguredError(Reason.VAULT_ADDRESS_WRONG, "Odd.") for name in desk.vault.missing_from_lists
    }
    desk.now += timedelta(hours=1)
    sweep_id = desk.sweeping.sweep()
    assert {row["status"] for row in desk.desk.tickets()} == {"open"}
    [told] = desk.sweeping.sweeps.vaults.report(sweep_id, 5, None)[0]
    assert told.message.startswith("Left out: secret odd-00, secret odd-01, ")
    assert told.message.endswith("secret odd-19, 5 more. Odd.")


class Outage:
    """Tables that do not answer while it lasts."""

    def __init__(self) -> None:
        self.lasts = False

    def __call__(self, _table: str, _verb: str, _when: str) -> None:
        if self.lasts:
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "Storage does not answer.")


@pytest.mark.parametrize("before", [True, False])
def test_a_start_that_failed_all_its_tries_is_made_up_for_the_same_day(before: bool) -> None:
    outage = Outage()
    tables = MemoryTables()
    desk = Swept(Desk(WatchedTables(tables, outage), swept_configuration()))
    desk.vault.put("mail", "aa")
    sweeps = desk.sweeping.sweeps
    if before:
        desk.sweeping.sweep(by="schedule")
    desk.now += timedelta(days=1)
    outage.lasts = True
    for _ in range(6):
        with pytest.raises(TryLaterError):
            sweeps.start(None, "schedule")
        with pytest.raises(TryLaterError):
            sweeps.resume()
        desk.now += timedelta(minutes=2)
    outage.lasts = False
    started = 0
    for _ in range(12 * 12):
        desk.now += timedelta(minutes=5)
        messages = sweeps.resume()
        started += bool(messages)
        desk.sweeping.drain(messages)
    assert started == 1
    assert desk.known.swept_at is not None
    assert desk.now - desk.known.swept_at < timedelta(hours=12)
    # From then on the timer does it: nothing comes twice.
    desk.now += timedelta(hours=11)
    desk.sweeping.sweep(by="schedule")
    for _ in range(24):
        desk.now += timedelta(hours=1)
        assert sweeps.resume() == []


def test_where_the_timer_was_turned_off_what_is_made_up_for_ends_soon() -> None:
    desk = Swept()
    desk.sweeping.sweep(by="schedule")
    started = 0
    for _ in range(24 * 30):
        desk.now += timedelta(hours=1)
        messages = desk.sweeping.sweeps.resume()
        started += bool(messages)
        desk.sweeping.drain(messages)
    assert started == 2


def test_without_a_vault_to_sweep_nothing_is_made_up_for() -> None:
    desk = Swept(Desk(configured=configuration()))
    assert desk.sweeping.sweeps.resume() == []
    desk.desk.configured = None
    assert desk.sweeping.sweeps.resume() == []


def test_a_vault_whose_message_failed_for_good_is_told_and_leaves_the_order() -> None:
    estate = Estate(1)
    sweep, first = estate.sweeps.start(None, "kim")
    (message,) = drain(estate.sweeps, first)
    estate.sweeps.give_up(message)
    estate.sweeps.give_up(message)
    found = estate.sweeps.get(sweep.id)
    assert (found.count.done, found.count.failed, found.state) == (1, 1, "finished")
    assert estate.sweeps.vaults.report(sweep.id, 5, None)[0][0].reason == "internal"


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "{}", '{"sweep": 1, "vault": "a"}', '{"sweep": "a"}', '{"sweep": "a/b", "vault": "c"}'),
        *('{"sweep": "a", "after": "", "store": ""}', '{"sweep": "a", "after": "", "store": "b/c"}'),
        '{"sweep": "a", "after": "", "store": "b", "seen": "1"}',
        '{"sweep": "a", "after": "", "store": "b", "token": 1}',
    ],
)
def test_a_message_that_is_none_of_a_sweep_is_refused(text: str) -> None:
    estate = Estate(1)
    for handle in (estate.sweeps.do, estate.sweeps.give_up):
        with pytest.raises(InvalidInputError):
            handle(text)


def test_a_vault_that_the_settings_name_no_more_is_swept_no_more() -> None:
    estate = Estate(2)
    estate.worker.sweep()
    estate.desk.configured = of_vaults(["vault-0000"])
    estate.now += timedelta(days=2)
    estate.worker.sweep()
    left = {vault.name: (vault.store, vault.reason) for vault in estate.sweeps.vaults.page(5, None)[0]}
    assert left == {"vault-0000": ("acorn", ""), "vault-0001": ("", "vault_not_swept")}
    estate.now += timedelta(days=2)
    assert estate.sweeps.vaults.overdue(estate.now, 5) == ["vault-0000"]
    with pytest.raises(ConflictError):
        estate.sweeps.start(["vault-0001"], "kim")


@pytest.mark.parametrize("size", [1, 7, 60, 200])
def test_lists_over_all_lanes_are_in_order_and_whole_whatever_the_size_of_a_page(size: int) -> None:
    estate = Estate(130)
    estate.vault.error = MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "No.")
    sweep = estate.worker.sweep(names(60))
    vaults = estate.sweeps.vaults
    told = _whole(lambda after: vaults.report(sweep, size, after))
    assert [one.vault for one in told] == names(60)
    assert [one.name for one in _whole(lambda after: vaults.page(size, after))] == names(60)
    refused: list[str] = []
    while found := vaults.some_refused(size, refused[-1] if refused else ""):
        refused += [one.vault for one in found]
    assert refused == names(60)
    with pytest.raises(InvalidInputError):
        vaults.page(size, "none")


def _whole(page: Callable[[str | None], tuple[list[Any], str | None]]) -> list[Any]:
    found, following = page(None)
    while following is not None:
        more, following = page(following)
        found += more
    return found


def test_only_vaults_that_no_sweep_came_to_are_overdue() -> None:
    estate = Estate(3)
    known = estate.sweeps.vaults
    _, first = estate.sweeps.start(None, "kim")
    messages: Any = drain(estate.sweeps, first)
    assert known.overdue(NOW - timedelta(hours=26), 5) == []
    estate.sweeps.do(messages[0])
    assert len(known.overdue(NOW + timedelta(hours=1), 5)) == 3
    estate.now += timedelta(hours=27)
    estate.worker.sweep(["vault-0001"])
    assert sorted(known.overdue(estate.now - timedelta(hours=26), 5)) == ["vault-0000", "vault-0002"]


def test_the_same_end_of_a_vault_twice_at_once_counts_once() -> None:
    estate = Estate(1)
    known = estate.sweeps.vaults
    sweep, first = estate.sweeps.start(None, "kim")
    drain(estate.sweeps, first)
    for _ in range(2):
        known.finish(sweep.id, SweptVault("vault-0000", NOW, 3))
    assert (known.count(sweep.id).done, known.count(sweep.id).failed) == (1, 0)
