"""Which deliveries are planned: batches, duplicates, order, delays."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.emulators.event_grid.delivery_plan import KIB, Copy, Disorder, PlannedDelivery, plan_deliveries

SIZES = st.lists(st.integers(1, 3 * KIB), max_size=40)
DISORDERS = st.builds(
    Disorder,
    seed=st.integers(0, 1000),
    duplicates=st.sampled_from([0.0, 0.2, 1.0]),
    shuffle=st.booleans(),
    max_delay_seconds=st.sampled_from([0.0, 60.0]),
)


def test_without_any_wish_each_event_travels_alone_and_in_order() -> None:
    assert plan_deliveries([10, 10]) == [PlannedDelivery((Copy(0),)), PlannedDelivery((Copy(1),))]


def test_a_batch_is_filled_up_to_its_number_of_events() -> None:
    planned = plan_deliveries([10] * 7, max_events=3)
    assert [len(delivery.copies) for delivery in planned] == [3, 3, 1]


def test_a_batch_ends_at_the_preferred_size_but_a_single_large_event_still_travels() -> None:
    planned = plan_deliveries([700, 200, 200, 5000, 10], max_events=100, preferred_kib=1)
    assert [[copy.event for copy in delivery.copies] for delivery in planned] == [[0, 1], [2], [3], [4]]


@given(SIZES, st.integers(1, 10), st.integers(1, 4), DISORDERS)
def test_whatever_the_disorder_every_event_travels_once_as_itself_and_never_twice_in_one_delivery(
    sizes: list[int], max_events: int, preferred_kib: int, disorder: Disorder
) -> None:
    planned = plan_deliveries(sizes, max_events=max_events, preferred_kib=preferred_kib, disorder=disorder)
    copies = [copy for delivery in planned for copy in delivery.copies]
    originals = Counter(copy.event for copy in copies if not copy.duplicate)
    duplicates = Counter(copy.event for copy in copies if copy.duplicate)
    assert originals == Counter(range(len(sizes)))
    assert all(count == 1 for count in duplicates.values())
    if disorder.duplicates in {0.0, 1.0}:
        assert sum(duplicates.values()) == disorder.duplicates * len(sizes)
    for delivery in planned:
        events = [copy.event for copy in delivery.copies]
        assert 1 <= len(events) <= max_events
        assert len(set(events)) == len(events)
        assert len(events) == 1 or sum(sizes[event] for event in events) <= preferred_kib * KIB
        assert 0 <= delivery.after_seconds <= disorder.max_delay_seconds


@given(SIZES, DISORDERS)
def test_the_same_seed_plans_the_same_deliveries(sizes: list[int], disorder: Disorder) -> None:
    assert plan_deliveries(sizes, max_events=4, disorder=disorder) == plan_deliveries(
        sizes, max_events=4, disorder=disorder
    )


@given(st.integers(1, 20), st.integers(0, 1000))
def test_without_shuffling_originals_keep_their_order_and_come_before_their_duplicates(events: int, seed: int) -> None:
    planned = plan_deliveries([10] * events, disorder=Disorder(seed=seed, duplicates=1))
    copies = [copy for delivery in planned for copy in delivery.copies]
    assert [copy.event for copy in copies if not copy.duplicate] == list(range(events))
    for number in range(events):
        assert copies.index(Copy(number)) < copies.index(Copy(number, duplicate=True))


def test_shuffling_changes_the_order() -> None:
    planned = plan_deliveries([10] * 50, disorder=Disorder(seed=1, shuffle=True))
    assert [delivery.copies[0].event for delivery in planned] != list(range(50))


@pytest.mark.parametrize("bad", [{"duplicates": 1.1}, {"duplicates": -0.1}, {"max_delay_seconds": -1.0}])
def test_an_impossible_disorder_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"share from 0 to 1|negative"):
        Disorder(**bad)  # type: ignore[arg-type]  # only the float fields are given
