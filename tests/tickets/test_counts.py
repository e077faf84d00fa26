"""What tickets and objects are counted as, after events, sweeps and people."""

from datetime import timedelta
from typing import Any, cast

import pytest

from lab.faults.counts_checks import counts_faults
from shared.counts.cells import Counts
from shared.counts.partition_row import COUNTS_ROW, counts_in
from shared.tickets.domain.model import ObjectType
from tests.fakes.tables import MemoryTables
from tests.tickets.desk import NOW, configuration
from tests.tickets.test_objects import DAY, Audited, filled

# A site is told by `sites` documents; here only its name counts.
MOVED = {"name": "acorn-vault", "store": "acorn", "site": "london-hq", "owner": "Platform"}


def counts_of(desk: Audited, vault: str = "acorn-vault") -> Counts:
    desk.desk.settle()
    assert desk.desk.counts.refresh(seconds=1)
    assert counts_faults(cast("MemoryTables", desk.desk.tables)) == []
    return counts_in(desk.desk.tables.table("tickets").find(vault, COUNTS_ROW))


def day(**ahead: float) -> str:
    return f"{NOW + timedelta(**ahead):%Y-%m-%d}"


def objects(counts: Counts) -> dict[tuple[str, ...], int]:
    return {cell[1:]: count for cell, count in counts.items() if cell[0] == "object"}


def test_objects_are_counted_at_the_site_of_their_vault_until_their_tickets_have_one() -> None:
    desk = filled()
    assert objects(counts_of(desk)) == {
        ("leeds", day(days=20)): 1,
        ("leeds", day(days=400)): 1,
        ("leeds", ""): 1,
        ("leeds", day(days=300)): 1,
    }
    ticket = next(one for one in desk.desk.tickets() if one["object_name"] == "mail")
    editor = desk.desk.editor(lambda: desk.desk.now)
    editor.change(str(ticket["ticket_id"]), {"site": "london-hq"}, by="ada", if_match="*")
    assert objects(counts_of(desk))["london-hq", day(days=20)] == 1


def test_a_vault_that_moves_to_another_site_takes_its_objects_along_with_the_next_sweep() -> None:
    desk = filled()
    desk.desk.configured = configuration(allowed_vaults=[MOVED])
    desk.sweep(NOW + DAY)
    # What a rule decided about tickets stays as it was: that object has a ticket, and so a site.
    assert {site for site, when in objects(counts_of(desk)) if when != day(days=20)} == {"london-hq"}


def test_what_is_gone_and_what_stands_in_its_certificate_counts_nothing() -> None:
    desk = filled()
    assert objects(counts_of(desk, "elm-vault"))["london-hq", day(days=100)] == 1
    for objects_of_type in desk.vaults["acorn"].content.values():
        objects_of_type.clear()
    desk.sweep(NOW + DAY)
    assert objects(counts_of(desk)) == {}


@pytest.mark.parametrize("change", [{"status": "closed"}, {"priority": "low"}])
def test_tickets_are_counted_while_they_are_open_by_their_priority(change: dict[str, Any]) -> None:
    desk = Audited()
    desk.put("acorn", "mail", ObjectType.SECRET, expires_at=NOW + 5 * DAY)
    desk.sweep()
    before = counts_of(desk)
    (ticket,) = desk.desk.tickets()
    assert before["ticket", "leeds", str(ticket["priority"])] == 1
    editor = desk.desk.editor(lambda: desk.desk.now)
    editor.change(str(ticket["ticket_id"]), change, by="ada", if_match="*")
    after = {cell[2]: count for cell, count in counts_of(desk).items() if cell[0] == "ticket"}
    assert after == ({} if "status" in change else {"low": 1})
