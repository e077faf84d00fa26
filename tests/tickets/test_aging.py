"""Every ticket that opens by itself ends by itself: tickets do not pile up, and what is left alone for long ends."""

from datetime import datetime, timedelta

import pytest

from lab.emulators.event_grid.events import Schema, make_event
from shared.tickets.desk.ticket_age import TicketAging
from shared.tickets.domain import observations
from shared.tickets.domain.model import TicketKind
from tests.docs.blocks import ROOT
from tests.tickets.desk import Desk, configuration
from tests.tickets.test_decide import days, kv_event
from tests.tickets.test_sweep import NOW, Swept


def end_old(desk: Desk) -> int:
    desk.settle()
    return TicketAging(
        desk.repository, desk.index, desk.reconciler, lambda: desk.configured, lambda: desk.now
    ).end_old()


def test_in_30_days_of_a_secret_rotated_every_ten_minutes_at_most_two_of_its_tickets_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is remembered of an object is 200 versions: with fewer, each event costs less.
    monkeypatch.setattr(observations, "_MOST_VERSIONS", 24)
    desk = Swept()
    began = NOW
    for day in range(30):
        events = []
        for number in range(24 * 6):
            at = began + timedelta(days=day, minutes=10 * number)
            name, expires = f"{day:02d}{number:03d}", at + timedelta(days=2)
            desk.vault.put("mail", name, created_at=at, expires_at=expires)
            events.append(kv_event("NewVersionCreated", name, at + timedelta(seconds=1), expires=expires))
            if number % 6 == 5:
                events.append(kv_event("NearExpiry", name, at + timedelta(seconds=2), expires=expires))
        desk.desk.now = began + timedelta(days=day + 1)
        assert desk.desk.post(events).status == 200
        desk.sweep(desk.desk.now)
        found = [(row["kind"], row["version"]) for row in desk.desk.tickets() if row["status"] == "open"]
        assert found == [("expiry", f"{day:02d}143"), ("new_version", f"{day:02d}143")]


@pytest.mark.parametrize("kind", ["new_version", "access_policy"])
def test_what_is_left_alone_for_30_days_is_resolved_without_a_sweep(kind: str) -> None:
    desk = Desk()
    changed = make_event("VaultAccessPolicyChanged", vault="acorn-vault", occurred_at=days(0)).to_json(
        Schema.EVENT_GRID
    )
    desk.post([changed, kv_event("NewVersionCreated", "aa", days(0))])
    [ticket_id] = [row["ticket_id"] for row in desk.tickets() if row["kind"] == kind]

    def status() -> object:
        return next(row["status"] for row in desk.tickets() if row["ticket_id"] == ticket_id)

    desk.now = days(29)
    assert (end_old(desk), status()) == (0, "open")
    desk.now = days(31)
    assert (end_old(desk), status()) == (2, "resolved")
    assert desk.texts(ticket_id)[-1] == "Resolved: nothing more came of it for long."
    # A person may open it again: then it stays.
    desk.editor(lambda: desk.now).change(str(ticket_id), {"status": "in_progress"}, by="kim", if_match="*")
    assert (end_old(desk), status()) == (0, "in_progress")


@pytest.mark.parametrize("aging_days", [1, 7, 90])
def test_after_how_many_days_is_a_setting(aging_days: int) -> None:
    desk = Desk(configured=configuration(aging_days=aging_days))
    desk.post([kv_event("NewVersionCreated", "aa", days(0))])
    desk.now = days(aging_days - 0.5)
    assert end_old(desk) == 0
    desk.now = days(aging_days + 0.5)
    assert end_old(desk) == 1
    assert desk.ticket("mail", "new_version")["status"] == "resolved"


@pytest.mark.parametrize("change", [{"status": "on_hold"}, {"snoozed_until": days(90)}])
def test_what_somebody_works_on_or_has_snoozed_is_not_ended_by_its_age(
    change: dict[str, str | datetime | None],
) -> None:
    desk = Desk()
    desk.now = days(1)
    desk.post([kv_event("NewVersionCreated", "aa", days(0)), kv_event("NearExpiry", "aa", days(1))])
    ticket_id = str(desk.ticket("mail", "new_version")["ticket_id"])
    desk.editor(lambda: desk.now).change(ticket_id, change, by="kim", if_match="*")
    desk.now = days(40)
    assert end_old(desk) == 0
    assert desk.ticket("mail", "new_version")["status"] in {"open", "on_hold"}
    assert desk.ticket("mail")["status"] == "open"


def test_the_pages_say_of_each_kind_of_ticket_what_ends_it() -> None:
    table = (
        (ROOT / "docs" / "key-vault.md")
        .read_text(encoding="utf-8")
        .partition("**What ends a ticket:**")[2]
        .partition("\n\n**")[0]
    )
    # Those of the desk itself have a table of their own, whose column says the same.
    table += (ROOT / "docs" / "conditions.md").read_text(encoding="utf-8")
    for kind in TicketKind:
        assert f"| `{kind}` | " in table
