"""Deliveries through a host are measured against a handler that is really there."""

import pytest

from bench import through_host
from bench.figures import Results
from bench.measuring import QUICK


@pytest.mark.timeout(180)
def test_deliveries_of_every_size_go_through_a_host_and_a_bare_handler() -> None:
    results = Results()
    through_host.measure(QUICK, results)
    figures = {figure.name: figure for figure in results.figures}
    assert len(figures) == 5
    for batch in ("1 event", "10 events", "100 events"):
        assert 0 < figures[f"requests a second, {batch} each"].value < 100
    for which in ("new to it", "delivered again"):
        assert 0 < figures[f"one delivery of 20 events, {which}"].value < 30
