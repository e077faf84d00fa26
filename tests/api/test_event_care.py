"""The quarantine over HTTP: seen, tried again, removed."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.api.calling import call
from tests.api.seeding import near_expiry
from tests.fakes.tables import MemoryTables
from tests.tickets.desk import Desk


@pytest.fixture(autouse=True)
def quarantined(tables: MemoryTables) -> str:
    event = near_expiry("stranger-vault", "x", datetime.now(UTC) + timedelta(days=5))
    assert dict(Desk(tables).post([event]).body or {}) == {"recorded": 0, "quarantined": 1}
    return str(call("GET", "quarantine").json["items"][0]["id"])


def test_a_quarantined_event_is_shown_with_its_reason_and_as_it_came(quarantined: str) -> None:
    found = call("GET", f"quarantine/{quarantined}").json
    assert (found["reason"], found["event"]["subject"]) == ("vault_not_allowed", "x")


def test_a_removed_event_is_gone_and_unknown_from_then_on(quarantined: str) -> None:
    assert call("DELETE", f"quarantine/{quarantined}").status == 204
    assert call("GET", "quarantine").json == {"items": [], "next": None}
    for method in ("GET", "DELETE"):
        assert call(method, f"quarantine/{quarantined}").json["reason"] == "not_found"
