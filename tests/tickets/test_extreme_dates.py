"""A date that is extreme, or that is none, throws nothing away: by events, in a vault's lists, on a secret."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.emulators.key_vault import VaultLab
from shared.moments import FAR_AWAY
from tests.tickets.desk import Desk
from tests.tickets.test_decide import days, kv_event
from tests.tickets.test_vault_listing import lab, swept_desk, swept_vault

__all__ = ["lab"]
NEVER = 253_402_300_799


def with_data(event: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {**event, "data": {**event["data"], **data}}


def test_a_version_that_never_expires_resolves_the_ticket_of_the_one_before() -> None:
    desk = Desk()
    desk.post([kv_event("NearExpiry", "aa", days(60))])
    desk.post([with_data(kv_event("NewVersionCreated", "bb", days(61)), EXP=NEVER)])
    assert desk.ticket("mail")["status"] == "resolved"
    created = desk.ticket("mail", "new_version")
    assert created["expires_at"] == FAR_AWAY
    assert desk.texts(created["ticket_id"])[0] == "Version bb was created; it expires in the far future."
    assert "It expires: in the far future." in str(created["details"])


def test_an_imported_authority_without_an_end_is_taken() -> None:
    desk = Desk()
    event = kv_event("NewVersionCreated", "aa", days(0), kind="Certificate", name="root-ca")
    assert desk.post([with_data(event, NBF=946_684_800, EXP=NEVER)]).body == {"recorded": 1, "quarantined": 0}
    assert desk.ticket("root-ca", "new_version")["status"] == "open"


@pytest.mark.parametrize("not_before", [0, -11_644_473_600, "n/a", "", True, [], {}, "1601-01-01T00:00:00Z", 10**30])
def test_a_start_that_no_decision_needs_throws_no_event_away(not_before: object) -> None:
    desk = Desk()
    event = with_data(kv_event("NearExpiry", "aa", days(60)), NBF=not_before)
    assert desk.post([event]).body == {"recorded": 1, "quarantined": 0}
    assert desk.ticket("mail")["status"] == "open"


@given(st.one_of(st.integers(-(10**30), 10**30), st.floats(), st.text(max_size=20), st.booleans(), st.none()))
@settings(max_examples=60)
def test_whatever_an_event_says_of_its_dates_it_is_taken_and_opens_its_ticket(said: object) -> None:
    desk = Desk()
    event = with_data(kv_event("NearExpiry", "aa", days(60)), NBF=said, EXP=said)
    assert desk.post([event]).body == {"recorded": 1, "quarantined": 0}
    assert desk.ticket("mail")["status"] == "open"


@pytest.mark.parametrize(
    "said", [NEVER, 10**20, "n/a", "9999-12-31T23:59:59Z", -11_644_473_600, 0, None, [], 1e300, str(NEVER)]
)
def test_extreme_dates_of_one_object_cost_a_sweep_nothing_else(lab: VaultLab, said: object) -> None:
    vault = lab.vault("acorn-vault")
    odd, odder = {"exp": said, "nbf": said}, {"nbf": said, "created": said, "updated": said}
    vault.add_secret("s-odd", "x", attributes=odd)
    vault.add_key("k-odd", attributes=odd)
    vault.add_certificate("c-odd", attributes=odd)
    vault.add_secret("s-odder", "x", expires_at="+20d", attributes=odder)
    vault.add_key("k-odder", expires_at="+20d", attributes=odder)
    vault.add_certificate("c-odder", expires_at="+20d", attributes=odder)
    vault.add_secret("mail", "x", expires_at="+20d")
    desk = swept_desk()
    assert swept_vault(lab, desk).refusals == ()
    found = {str(row["object_name"]) for row in desk.tickets() if row["status"] == "open"}
    expired = {"s-odd", "k-odd", "c-odd"} if said in (0, -11_644_473_600) else set()
    assert found == {"s-odder", "k-odder", "c-odder", "mail"} | expired
