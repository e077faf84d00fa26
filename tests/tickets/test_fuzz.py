"""A short run of the fuzzer; `make check` does the long one."""

import logging

import pytest

from tests.tickets.fuzz import ALLOWED, run


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_requests_get_only_the_answers_that_are_meant_for_them(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    counts = run(1_000, seed)
    # All of them come up, or the fuzzer has lost its teeth.
    assert set(counts) == ALLOWED
    assert counts[200] > 100
