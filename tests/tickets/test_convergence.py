"""Whatever the order, repetition, batches, interleaving or death of workers: the same tables as one clean delivery."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import TryLaterError
from shared.reasons import Reason
from shared.tickets.configuration import Configuration
from shared.tickets.domain import decide as decisions
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.outbox.settling import Contents, settled
from tests.tickets.desk import Desk, configuration, resource_id
from tests.tickets.interleaving import Interleaving

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
VAULTS = ("acorn-vault", "oak-vault")
RULES: list[list[dict[str, Any]]] = [
    [],
    [
        {
            "name": "quiet",
            "criteria": [{"field": "event", "operator": "equals", "value": "near_expiry"}],
            "open": False,
        },
        {
            "name": "pressing",
            "criteria": [
                {"field": "object_type", "operator": "equals", "value": "secret"},
                {"field": "days_to_expiry", "operator": "less_than", "value": 10},
            ],
            "priority": "critical",
            "team": "Platform",
            "summary": "{object_name}: {days_to_expiry} days",
        },
    ],
    [
        {
            "name": "no new versions of keys",
            "criteria": [{"field": "event_type", "operator": "equals", "value": "KeyNewVersionCreated"}],
            "open": False,
        },
        {
            "name": "only what is near",
            "criteria": [{"field": "days_to_expiry", "operator": "greater_than", "value": 31}],
            "open": False,
        },
    ],
]

Event = dict[str, Any]
Batch = list[Event]


def _event(vault: str, kind: str, name: str, version: str, hours: int, expires_in: int | None, event_id: int) -> Event:
    at = BEGIN + timedelta(hours=hours)
    expires_at = None if expires_in is None else int((BEGIN + timedelta(days=expires_in)).timestamp())
    return {
        "id": f"event-{event_id}",
        "topic": resource_id(vault),
        "subject": name,
        "eventType": f"Microsoft.KeyVault.{kind}",
        "data": {"ObjectName": name, "Version": version, "EXP": expires_at},
        "eventTime": at.isoformat(),
    }


# Few values, so that versions, times and ids often meet, and the awkward cases come up.
events = st.builds(
    _event,
    vault=st.sampled_from(VAULTS),
    kind=st.sampled_from(
        [
            "SecretNewVersionCreated",
            "SecretNearExpiry",
            "SecretExpired",
            "KeyNewVersionCreated",
            "KeyNearExpiry",
            "VaultAccessPolicyChanged",
        ]
    ),
    name=st.sampled_from(["mail", "Mail", "disk"]),
    version=st.sampled_from(["aa", "bb", "cc"]),
    hours=st.sampled_from([0, 1, 24, 30 * 24, 60 * 24]),
    expires_in=st.sampled_from([None, 31, 61]),
    event_id=st.integers(0, 30),
)
histories = st.lists(events, min_size=1, max_size=12)
# One object only, so that workers meet in its row.
crowded = st.lists(
    st.builds(
        _event,
        vault=st.just("acorn-vault"),
        kind=st.sampled_from(["SecretNewVersionCreated", "SecretNearExpiry", "SecretExpired"]),
        name=st.just("mail"),
        version=st.sampled_from(["aa", "bb", "cc", "dd"]),
        hours=st.sampled_from([0, 1, 24]),
        expires_in=st.sampled_from([31, 61]),
        event_id=st.integers(0, 30),
    ),
    min_size=2,
    max_size=8,
)
rules = st.sampled_from(RULES)


@st.composite
def deliveries(draw: st.DrawFn, history: Sequence[Event]) -> list[Batch]:
    """The same events in any order, some of them again, cut into batches anywhere."""
    again = draw(st.lists(st.sampled_from(history), max_size=4))
    shuffled = draw(st.permutations([*history, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(shuffled) - 1)), max_size=8)))
    edges = [0, *cuts, len(shuffled)]
    return [list(shuffled[start:end]) for start, end in pairwise(edges) if end > start]


def configured(ticket_rules: list[dict[str, Any]]) -> Configuration:
    return configuration(*VAULTS, ticket_rules=ticket_rules)


def clean(history: Sequence[Event], settings_of_desk: Configuration) -> MemoryTables:
    """One worker, one event a delivery, in the order in which they happened."""
    tables = MemoryTables()
    desk = Desk(tables, settings_of_desk)
    for event in sorted(history, key=lambda event: str(event["eventTime"])):
        assert desk.post([event]).status == 200
    return tables


def contents(tables: MemoryTables) -> Contents:
    """All that is stored once the index has followed."""
    return settled(Desk(tables).outbox, tables)


def deliver(desk: Desk, batch: Batch) -> None:
    """As Event Grid does: again and again until it is taken."""
    for _ in range(50):
        if desk.post(batch).status == 200:
            return
    raise AssertionError("never taken")


@given(st.data(), histories, rules)
@settings(max_examples=150)
def test_any_order_repetition_and_batches_leave_the_same_tables(
    data: st.DataObject, history: list[Event], ticket_rules: list[dict[str, Any]]
) -> None:
    expected = clean(history, configured(ticket_rules))
    tables = MemoryTables()
    desk = Desk(tables, configured(ticket_rules))
    for batch in data.draw(deliveries(history)):
        deliver(desk, batch)
    assert contents(tables) == contents(expected)


@given(st.data(), histories)
@settings(max_examples=60)
def test_an_object_with_more_receipts_than_its_row_holds_ends_the_same_in_any_order(
    data: st.DataObject, history: list[Event]
) -> None:
    with patch.object(decisions, "_MOST_RECEIPTS", 2):
        expected = clean(history, configured([]))
        tables = MemoryTables()
        desk = Desk(tables, configured([]))
        for batch in data.draw(deliveries(history)):
            deliver(desk, batch)
        assert contents(tables) == contents(expected)


@given(st.data(), st.one_of(crowded, histories), rules, st.lists(st.integers(0, 1), min_size=20, max_size=60))
@settings(max_examples=120)
def test_two_workers_interleaved_at_every_storage_call_leave_the_same_tables(
    data: st.DataObject, history: list[Event], ticket_rules: list[dict[str, Any]], schedule: list[int]
) -> None:
    expected = clean(history, configured(ticket_rules))
    tables = MemoryTables()
    interleaving = Interleaving(schedule)

    def pause(_table: str, _verb: str, when: str) -> None:
        if when == "before":
            interleaving.pause()

    def worker(batches: list[Batch]) -> Callable[[], None]:
        desk = Desk(WatchedTables(tables, pause), configured(ticket_rules))

        def work() -> None:
            for batch in batches:
                deliver(desk, batch)

        return work

    # Each batch goes to one of the two: what one worker overwrote, the other must not mend by chance.
    batches = data.draw(deliveries(history))
    interleaving.run(worker(batches[::2]), worker(batches[1::2]))
    assert contents(tables) == contents(expected)


@given(st.data(), histories, rules)
@settings(max_examples=100)
def test_a_worker_killed_around_any_storage_call_leaves_the_same_tables_once_it_is_delivered_again(
    data: st.DataObject, history: list[Event], ticket_rules: list[dict[str, Any]]
) -> None:
    expected = clean(history, configured(ticket_rules))
    tables = MemoryTables()
    countdown = 0

    def kill(_table: str, _verb: str, _when: str) -> None:
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            raise KilledError

    for batch in data.draw(deliveries(history)):
        countdown = data.draw(st.integers(1, 30))
        for _ in range(2):
            try:
                deliver(Desk(WatchedTables(tables, kill), configured(ticket_rules)), batch)
            except KilledError:
                continue
            break
    assert contents(tables) == contents(expected)


@given(st.data(), histories, rules)
@settings(max_examples=60)
def test_storage_that_fails_before_or_after_any_call_is_made_good_by_the_next_delivery(
    data: st.DataObject, history: list[Event], ticket_rules: list[dict[str, Any]]
) -> None:
    expected = clean(history, configured(ticket_rules))
    tables = MemoryTables()
    failing = iter(data.draw(st.lists(st.sampled_from([False, False, True]), max_size=60)))

    def fail(_table: str, _verb: str, _when: str) -> None:
        if next(failing, False):
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "The storage does not answer.")

    desk = Desk(WatchedTables(tables, fail), configured(ticket_rules))
    for batch in data.draw(deliveries(history)):
        deliver(desk, batch)
    assert contents(tables) == contents(expected)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_large_batch_killed_at_each_storage_call_in_turn_ends_the_same(when: str) -> None:
    """One object with more versions than one transaction can hold, so that its tickets follow in several."""
    history = [
        _event("acorn-vault", kind, "mail", f"{version:02d}", version + after, 61, 10 * version + after)
        for version in range(30)
        for after, kind in enumerate(["SecretNewVersionCreated", "SecretNearExpiry", "SecretExpired"])
    ]
    expected = clean(history, configured([]))
    calls = 0

    def count(_table: str, _verb: str, at: str) -> None:
        nonlocal calls
        calls += at == when

    Desk(WatchedTables(MemoryTables(), count), configured([])).post(history)
    assert calls > 10
    for number in range(1, calls + 1):
        tables, left = MemoryTables(), number

        def kill(_table: str, _verb: str, at: str) -> None:
            nonlocal left
            left -= at == when
            if left == 0 and at == when:
                raise KilledError

        with pytest.raises(KilledError):
            Desk(WatchedTables(tables, kill), configured([])).post(history)
        deliver(Desk(tables, configured([])), history)
        assert contents(tables) == contents(expected), number


@pytest.mark.parametrize("schedule", [[0, 1] * 20, [1, 0] * 20, [0, 0, 1, 1] * 10])
def test_a_race_for_one_tickets_row_lengthens_no_other_tickets_id(schedule: list[int]) -> None:
    """Found on Azurite: the loser of the race took the winner's row for another condition with the same id."""
    first = _event("acorn-vault", "SecretNewVersionCreated", "mail", "aa", 0, 61, 1)
    second = _event("acorn-vault", "SecretNewVersionCreated", "mail", "bb", 1, 61, 2)
    expected = clean([first, second], configured([]))
    tables, interleaving = MemoryTables(), Interleaving(schedule)

    def pause(_table: str, _verb: str, when: str) -> None:
        if when == "before":
            interleaving.pause()

    desks = [Desk(WatchedTables(tables, pause), configured([])) for _ in range(2)]
    interleaving.run(lambda: deliver(desks[0], [first]), lambda: deliver(desks[1], [first, second]))
    assert contents(tables) == contents(expected)
