"""What somebody limited to one customer lays out takes nothing that an import brings for another."""

import pytest

from lab.emulators.authrocket import AuthRocketLab
from shared.imports.plan.matcher import why_not_take
from shared.imports.plan.model import Candidate, DesiredRecord, MatchOn, Policy
from shared.records.documents.sites import SiteDocument
from shared.records.model import Key
from shared.storage.rows import Row, Save, Value
from tests.users.desk import Desk

JIM = "jim.shorts@acorn.example"


@pytest.fixture
def desk(lab: AuthRocketLab) -> Desk:
    made = Desk(lab)
    made.set_up()
    made.settings.put("customers", "oak", {"title": "Oak"}, by="test")
    made.settings.put("sites", "oak-yard", {"title": "Oak Yard", "customer": "oak"}, by="test")
    return made


def _lay_out(desk: Desk, key: str, site: str) -> None:
    """A user by hand, whose site and name stay as a person set them."""
    values: dict[str, Value] = {
        "f_email": JIM,
        "f_name": "Bait",
        "site": site,
        "locks": "f_name site",
        "source_id": key,
        "active": True,
    }
    desk.store_by_hand(key, values)


def _manual(desk: Desk, key: str) -> Row:
    row = desk.tables.table("users").find("manual", key)
    assert row is not None
    return row


def test_a_row_at_another_customers_site_gets_nothing_of_the_imported_user(desk: Desk) -> None:
    _lay_out(desk, "bait", "oak-yard")
    before = _manual(desk, "bait")
    desk.run()
    assert _manual(desk, "bait") == before
    jim = desk.users()[desk.lab.find_user(JIM)["id"]]
    assert (jim.values["f_name"], jim.values["site"]) == ("Jim Shorts", "london-hq")


def test_two_of_them_do_not_stop_the_user_from_arriving(desk: Desk) -> None:
    _lay_out(desk, "bait", "oak-yard")
    _lay_out(desk, "more-bait", "oak-yard")
    assert desk.entries(desk.run(), "error") == []
    assert desk.lab.find_user(JIM)["id"] in desk.users()


def test_a_row_at_another_site_of_the_same_customer_is_taken_over(desk: Desk) -> None:
    _lay_out(desk, "jim", "leeds")
    desk.run()
    row = _manual(desk, "jim")
    assert (row.values["f_first_name"], row.values["site"]) == ("Jim", "leeds")
    assert str(row.values["claimed_by"]).endswith(desk.lab.find_user(JIM)["id"])


def test_a_user_at_a_site_that_is_nobodys_takes_no_row_of_a_customer(desk: Desk) -> None:
    _lay_out(desk, "bait", "oak-yard")
    before = _manual(desk, "bait")
    unreadable = Row("sites", "d:london-hq", {"document": "{}", "version": 2})
    desk.tables.table("settings").transact("sites", [Save(unreadable)])
    desk.settings.list(SiteDocument, fresh=True)
    desk.run()
    assert _manual(desk, "bait") == before


def test_a_user_without_a_site_takes_no_row_of_a_customer() -> None:
    policy = Policy(customers=lambda: {"oak-yard": "oak"})
    for site, may in (("oak-yard", False), ("", True), ("no-such-site", True)):
        candidate = Candidate.of(Key("manual", "jim"), {"site": site})
        assert (why_not_take(policy, MatchOn("f_email"), DesiredRecord("jim"), candidate) == "") is may


@pytest.mark.parametrize("site", ["", "no-such-site"])
def test_a_row_at_nobodys_site_is_taken_over_as_no_limited_caller_made_it_or_reads_it(desk: Desk, site: str) -> None:
    _lay_out(desk, "jim", site)
    desk.run()
    assert _manual(desk, "jim").values["f_first_name"] == "Jim"
