"""The rules of retrying, as Microsoft's page on delivery and retry gives them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.emulators.event_grid.retries import (
    DELIVERED,
    MAX_ATTEMPTS_EXCEEDED,
    NEVER_RETRIED,
    Delivered,
    GiveUp,
    NoAnswer,
    Retry,
    RetryPolicy,
    expired,
    in_words,
    next_step,
    outcome,
)

MINUTE, HOUR = 60.0, 3600.0
ANSWERS = st.one_of(st.integers(100, 599), st.sampled_from(list(NoAnswer)))


def attempts_that_all_end_in(status: int | NoAnswer, policy: RetryPolicy) -> list[float]:
    """The ages in seconds at which attempts are made."""
    ages: list[float] = []
    age = 0.0
    for number in itertools.count(1):
        if expired(age, policy):
            return ages
        ages.append(age)
        step = next_step(status, number, policy)
        if not isinstance(step, Retry):
            return ages
        age += step.after_seconds
    raise AssertionError("unreachable")


def test_a_failing_endpoint_is_tried_again_on_the_documented_schedule() -> None:
    ages = attempts_that_all_end_in(500, RetryPolicy())
    waits = [later - earlier for earlier, later in itertools.pairwise(ages)]
    assert waits == [10, 30, MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR]


def test_six_attempts_fit_into_a_time_to_live_of_thirty_minutes_as_the_documentation_counts() -> None:
    assert len(attempts_that_all_end_in(500, RetryPolicy(max_attempts=10, ttl_minutes=30))) == 6


@pytest.mark.parametrize("status", sorted(DELIVERED))
def test_200_to_204_is_delivered(status: int) -> None:
    assert next_step(status, 1, RetryPolicy()) == Delivered()


@pytest.mark.parametrize("status", [199, 205, 206, 301, 302, 404, 408, 429, 500, 502, 503, 504])
def test_every_other_status_is_tried_again(status: int) -> None:
    assert isinstance(next_step(status, 1, RetryPolicy()), Retry)


@pytest.mark.parametrize("status", sorted(NEVER_RETRIED))
def test_400_401_403_and_413_are_never_tried_again(status: int) -> None:
    assert isinstance(next_step(status, 1, RetryPolicy()), GiveUp)


@pytest.mark.parametrize(("status", "least"), [(404, 5 * MINUTE), (408, 2 * MINUTE), (503, 30.0), (500, 10.0)])
def test_some_statuses_have_a_longer_least_wait(status: int, least: float) -> None:
    assert next_step(status, 1, RetryPolicy()) == Retry(least)


def test_the_schedule_wins_over_the_least_wait_once_it_is_longer() -> None:
    assert next_step(503, 4, RetryPolicy()) == Retry(5 * MINUTE)


def test_the_last_allowed_attempt_is_not_followed_by_another() -> None:
    assert isinstance(next_step(503, 2, RetryPolicy(max_attempts=3)), Retry)
    assert next_step(503, 3, RetryPolicy(max_attempts=3)) == GiveUp(MAX_ATTEMPTS_EXCEEDED)


@pytest.mark.parametrize("bad", [{"max_attempts": 0}, {"max_attempts": 31}, {"ttl_minutes": 0}, {"ttl_minutes": 1441}])
def test_a_retry_policy_outside_azures_limits_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be 1 to"):
        RetryPolicy(**bad)


def test_outcomes_have_the_words_of_the_documentation() -> None:
    named = {status: outcome(status) for status in (200, 400, 401, 403, 404, 408, 413, 429, 503)}
    assert named == {
        200: "Delivered",
        400: "BadRequest",
        401: "Unauthorized",
        403: "Forbidden",
        404: "NotFound",
        408: "TimedOut",
        413: "PayloadTooLarge",
        429: "Busy",
        503: "Busy",
    }
    assert outcome(NoAnswer.TIMED_OUT) == "TimedOut"


@given(ANSWERS, st.integers(1, 30), st.integers(1, 1440))
def test_no_answer_leads_to_more_attempts_or_a_longer_life_than_the_policy_allows(
    answer: int | NoAnswer, max_attempts: int, ttl_minutes: int
) -> None:
    ages = attempts_that_all_end_in(answer, RetryPolicy(max_attempts, ttl_minutes))
    assert 1 <= len(ages) <= max_attempts
    assert all(age < ttl_minutes * MINUTE for age in ages)


@pytest.mark.parametrize(("seconds", "words"), [(0.5, "0.5 s"), (30, "30 s"), (600, "10 min"), (43200, "12 h")])
def test_waits_are_told_in_the_unit_a_person_uses(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
