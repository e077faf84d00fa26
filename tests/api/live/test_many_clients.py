"""Many clients at once. `python -m lab.api_load` does it for a minute."""

import pytest

from lab.api_load import load, reads_of
from lab.desk import Desk

pytestmark = pytest.mark.timeout(300)


def test_many_clients_at_once_meet_no_server_error_and_lose_nothing(desk: Desk) -> None:
    found = load(desk, clients=50, seconds=6)
    assert not found.faults, found.faults[:10]
    assert found.notes
    assert found.assets
    assert found.edits
    assert found.answers[200] > 50


def test_every_reading_endpoint_is_among_what_they_read(desk: Desk) -> None:
    document = desk.call("GET", "/api/openapi.json")
    readable = {path for path, item in document["paths"].items() if "get" in item}
    # Nothing is quarantined in the first run, and no calendar is set up.
    assert len(reads_of(desk)) == len(readable) - 2
