"""The list of all objects of all vaults: what a sweep read and what events told, its order, filters and pages."""

from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInputError, NotFoundError
from shared.storage.names import VAULTS_TABLE
from shared.storage.tables import Tables
from shared.tickets.desk.objects import KnownObject, ObjectLists, ObjectPage, query_of
from shared.tickets.domain.model import ObjectType
from shared.tickets.inbound.known_vaults import KnownVaults
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import NOW, Desk, configuration, resource_id
from tests.tickets.test_decide import kv_event
from tests.tickets.test_sweep import MadeUpVault, Worker

DAY = timedelta(days=1)
VAULTS = ("acorn-vault", "elm-vault")


class Audited:
    """Two vaults of two owners and sites, swept; and what an auditor is shown of them."""

    def __init__(self, tables: Tables | None = None, **members: Any) -> None:
        entries = [
            {"name": "acorn-vault", "store": "acorn", "site": "leeds", "owner": "Platform"},
            {"name": "elm-vault", "store": "elm", "site": "london-hq", "owner": "Payments"},
        ]
        self.desk = Desk(tables, configuration(**{"allowed_vaults": entries, **members}))
        self.vaults = {"acorn": MadeUpVault(), "elm": MadeUpVault()}
        self.desk.now = NOW
        self.sweeping = Worker(self.desk, self.vaults["acorn"], lambda: self.desk.now)
        self.sweeping.sweeps._open_vault = lambda store, _vault: self.vaults[store]

    def put(self, store: str, name: str, object_type: ObjectType = ObjectType.SECRET, **members: Any) -> None:
        self.vaults[store].put(name, members.pop("version", "aa"), object_type, **members)

    def sweep(self, at: datetime | None = None) -> None:
        self.desk.now = (at or self.desk.now) + timedelta(microseconds=1)
        self.sweeping.sweep()
        self.desk.settle()

    def page(self, **asked: Any) -> ObjectPage:
        return lists_of(self.desk).page(query_of(**asked))

    def all(self, **asked: Any) -> list[KnownObject]:
        found: list[KnownObject] = []
        after: str | None = None
        while True:
            page = self.page(after=after, **asked)
            assert len(page.items) <= asked.get("size", 50)
            found += page.items
            after = page.next
            if after is None:
                return found

    def names(self, **asked: Any) -> list[str]:
        return [one.shown.object_name for one in self.all(**asked)]


def lists_of(desk: Desk) -> ObjectLists:
    vaults = KnownVaults(desk.tables.table(VAULTS_TABLE))
    return ObjectLists(desk.index, desk.outbox, desk.repository, vaults, lambda: desk.configured, lambda: desk.now)


def filled() -> Audited:
    desk = Audited()
    desk.put("acorn", "mail", expires_at=NOW + 20 * DAY)
    desk.put("acorn", "Far-Off", expires_at=NOW + 400 * DAY)
    desk.put("acorn", "never", expires_at=None)
    desk.put("acorn", "off", expires_at=NOW + 300 * DAY, enabled=False)
    desk.put("elm", "lapsed", ObjectType.KEY, expires_at=NOW - 3 * DAY)
    desk.put("elm", "later", expires_at=NOW + 500 * DAY, not_before=NOW + DAY)
    desk.put("elm", "web", ObjectType.CERTIFICATE, expires_at=NOW + 100 * DAY)
    desk.put("elm", "web", expires_at=NOW + 100 * DAY, managed=True)
    desk.sweep()
    return desk


def test_every_object_that_a_sweep_read_is_listed_with_what_an_auditor_asks_for() -> None:
    desk = filled()
    found = {(str(one.shown.object_type), one.shown.object_name): one for one in desk.all()}
    assert {key: (str(one.state), one.owner, one.sites, one.shown.managed) for key, one in found.items()} == {
        ("secret", "mail"): ("usable", "Platform", ("leeds",), False),
        ("secret", "Far-Off"): ("usable", "Platform", ("leeds",), False),
        ("secret", "never"): ("usable", "Platform", ("leeds",), False),
        ("secret", "off"): ("disabled", "Platform", ("leeds",), False),
        ("key", "lapsed"): ("expired", "Payments", ("london-hq",), False),
        ("secret", "later"): ("not_yet_valid", "Payments", ("london-hq",), False),
        ("certificate", "web"): ("usable", "Payments", ("london-hq",), False),
        ("secret", "web"): ("usable", "Payments", ("london-hq",), True),
    }
    assert {one.seen_at for one in found.values()} == {desk.desk.now}
    assert found["secret", "mail"].object_id == "acorn-vault:secret:mail"
    ticket_id = desk.desk.ticket("mail")["ticket_id"]
    assert found["secret", "mail"].shown.tickets == ((ticket_id, "leeds"),)
    assert found["secret", "never"].shown.tickets == ()
    assert desk.desk.now - desk.page().as_of < timedelta(minutes=1)


def test_they_come_soonest_first_or_by_name() -> None:
    desk = filled()
    assert desk.names() == ["lapsed", "mail", *["web"] * 2, "off", "Far-Off", "later", "never"]
    assert desk.names(order="name") == ["Far-Off", "lapsed", "later", "mail", "never", "off", "web", "web"]
    assert desk.names(scope="Acorn-Vault") == ["mail", "off", "Far-Off", "never"]
    assert desk.names(scope="elm-vault", order="name") == ["lapsed", "later", "web", "web"]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"states": ["disabled", "expired"]}, ["lapsed", "off"]),
        ({"states": ["gone"]}, []),
        ({"object_types": ["key", "certificate"]}, ["lapsed", "web"]),
        ({"expires_before": NOW + 50 * DAY}, ["lapsed", "mail"]),
        ({"expires_after": NOW + 350 * DAY}, ["Far-Off", "later"]),
        ({"expires_after": NOW, "expires_before": NOW + 150 * DAY, "order": "name"}, ["mail", "web", "web"]),
        ({"owner": " payments ", "order": "name"}, ["lapsed", "later", "web", "web"]),
        ({"sites": frozenset({"leeds"}), "order": "name"}, ["Far-Off", "mail", "never", "off"]),
        ({"sites": frozenset()}, []),
        ({"q": "ma"}, ["mail"]),
        ({"q": "FAR"}, ["Far-Off"]),
        ({"q": "off"}, ["Far-Off", "off"]),
        ({"q": "elm", "object_types": ["key"]}, ["lapsed"]),
        ({"q": "acorn mail"}, ["mail"]),
    ],
)
def test_filters_say_which(asked: dict[str, Any], names: list[str]) -> None:
    desk = filled()
    found = desk.names(**asked)
    assert (sorted(found) if "q" in asked else found) == names
    assert sorted(desk.names(**asked, size=1)) == sorted(names)


def test_what_is_found_has_an_order_of_its_own_and_a_place_is_good_for_its_list_alone() -> None:
    desk = filled()
    with pytest.raises(InvalidInputError):
        desk.page(q="mail", order="name")
    place = desk.page(size=1).next
    with pytest.raises(InvalidInputError):
        desk.page(order="name", after=place)


def test_what_is_not_in_the_vault_any_more_is_gone_and_comes_back() -> None:
    desk = filled()
    [never] = list(desk.vaults["acorn"].content[ObjectType.SECRET].pop("never"))
    desk.sweep(NOW + DAY)
    assert "never" not in desk.names()
    [gone] = desk.all(states=["gone"])
    assert (gone.shown.object_name, gone.shown.gone_at) == ("never", desk.desk.now)
    assert gone.seen_at is None
    assert desk.names(states=["gone", "disabled"]) == ["off", "never"]
    desk.vaults["acorn"].content[ObjectType.SECRET]["never"] = [never]
    desk.sweep(NOW + 2 * DAY)
    assert "never" in desk.names()
    known, record = lists_of(desk.desk).find("acorn-vault:secret:never")
    assert known.state == "usable"
    assert [back is not None for _, back in record.state.absences] == [True]


def test_an_object_that_only_events_told_of_is_listed_by_what_they_say() -> None:
    desk = Audited()
    event = kv_event("NewVersionCreated", "aa", NOW - DAY, name="told", expires=NOW + 50 * DAY)
    desk.desk.post([{**event, "topic": resource_id("acorn-vault")}])
    desk.desk.settle()
    [told] = desk.all()
    assert (told.shown.version, told.shown.expires_at, told.shown.enabled) == ("aa", NOW + 50 * DAY, None)
    assert (told.state, told.owner, told.seen_at) == ("usable", "Platform", (NOW - DAY).replace(hour=0))
    assert [ticket_id for ticket_id, _ in told.shown.tickets] == [desk.desk.ticket("told", "new_version")["ticket_id"]]


def test_what_the_list_shows_decides_for_an_object_whose_versions_nobody_read() -> None:
    desk = filled()
    versions = desk.vaults["acorn"].content[ObjectType.SECRET]["Far-Off"]
    assert "Far-Off" not in desk.vaults["acorn"].asked_for_versions
    versions[:] = []
    desk.put("acorn", "Far-Off", version="bb", created_at=NOW, expires_at=NOW + 700 * DAY)
    desk.sweep(NOW + DAY)
    [found] = [one for one in desk.all() if one.shown.object_name == "Far-Off"]
    assert (found.shown.expires_at, found.shown.version) == (NOW + 700 * DAY, "")
    assert desk.names()[-2:] == ["Far-Off", "never"]


def test_a_second_sweep_that_finds_nothing_new_writes_no_object() -> None:
    desk = filled()
    assert isinstance(desk.desk.tables, MemoryTables)
    before = {name: dict(desk.desk.tables.contents()[name]) for name in ("tickets", "index")}
    desk.sweep(NOW + timedelta(hours=1))
    assert {name: dict(desk.desk.tables.contents()[name]) for name in ("tickets", "index")} == before
    assert {one.seen_at for one in desk.all()} == {desk.desk.now}


def test_before_the_index_has_followed_what_is_shown_is_as_it_is_now() -> None:
    desk = filled()
    event = kv_event("NearExpiry", "aa", NOW, name="Far-Off", expires=NOW + 25 * DAY)
    desk.desk.post([{**event, "topic": resource_id("acorn-vault")}])
    page = desk.page()
    [found] = [one for one in page.items if one.shown.object_name == "Far-Off"]
    assert found.shown.tickets
    assert page.as_of <= desk.desk.now


def test_one_object_by_its_id_whatever_its_case_and_nothing_else() -> None:
    desk = filled()
    for asked in ("acorn-vault:secret:far-off", " Acorn-Vault:Secret:Far-Off "):
        known, record = lists_of(desk.desk).find(asked)
        assert (known.shown.object_name, record.state.name) == ("Far-Off", "Far-Off")
    for asked in ("", "acorn-vault", "acorn-vault:secret:", "acorn-vault:secret:no", "acorn-vault:vault:acorn-vault"):
        with pytest.raises(NotFoundError):
            lists_of(desk.desk).find(asked)


def test_a_person_who_moves_a_ticket_moves_its_object_to_that_site() -> None:
    desk = filled()
    ticket_id = str(desk.desk.ticket("mail")["ticket_id"])
    desk.desk.editor(lambda: desk.desk.now).change(ticket_id, {"site": "london-hq"}, by="kim", if_match="*")
    desk.desk.settle()
    assert "mail" in desk.names(sites=frozenset({"london-hq"}))
    assert "mail" not in desk.names(sites=frozenset({"leeds"}))


def test_more_objects_than_are_awaited_are_read_and_those_with_tickets_are_still_found_to_be_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.tickets.inbound.sweep._MOST_AWAITED", 3)
    monkeypatch.setattr("shared.tickets.inbound.sweep._HELD", 1)
    desk = Audited()
    for number in range(40):
        desk.put("acorn", f"n{number:02}", expires_at=NOW + 400 * DAY)
    desk.put("acorn", "z-mail", expires_at=NOW + 20 * DAY)
    for hours in (0, 1):
        desk.sweep(NOW + timedelta(hours=hours))
    assert len(desk.all()) == 41
    assert isinstance(desk.desk.tables, MemoryTables)
    before = dict(desk.desk.tables.contents()["tickets"])
    desk.sweep(NOW + timedelta(hours=2))
    assert desk.desk.tables.contents()["tickets"] == before
    del desk.vaults["acorn"].content[ObjectType.SECRET]["z-mail"]
    desk.sweep(NOW + timedelta(hours=3))
    assert desk.desk.ticket("z-mail")["status"] == "closed"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["acorn", "elm"]),
            st.sampled_from([None, NOW - DAY, NOW + DAY, NOW + 300 * DAY]),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.integers(1, 5),
    st.sampled_from(["expiry", "name"]),
)
@settings(max_examples=40, deadline=None)
def test_pages_one_after_the_other_are_all_objects_once(
    objects: list[tuple[str, datetime | None, bool]], size: int, order: str
) -> None:
    desk = Audited()
    for number, (store, expires_at, enabled) in enumerate(objects):
        desk.put(store, f"n{number % 7}", ObjectType.SECRET if number < 7 else ObjectType.KEY)
        found = desk.vaults[store].content[ObjectType.SECRET if number < 7 else ObjectType.KEY][f"n{number % 7}"]
        found[:] = [found[0].__class__(**{**vars(found[0]), "expires_at": expires_at, "enabled": enabled})]
    desk.sweep()
    listed = desk.all(size=size, order=order)
    assert len({one.object_id for one in listed}) == len(listed) == len(objects)
    if order == "name":
        assert desk.names(order=order) == sorted(desk.names(order=order))
    else:
        dates = [one.shown.expires_at or datetime.max.replace(tzinfo=NOW.tzinfo) for one in listed]
        assert dates == sorted(dates)


def test_a_page_costs_the_same_with_a_thousand_vaults_as_with_ten() -> None:
    costs: list[list[int]] = []
    for count in (10, 1_000):
        names = [f"vault-{number:04}" for number in range(count)]
        entries = [{"name": name, "store": "acorn", "owner": "Platform"} for name in names]
        tables = MemoryTables()
        desk = Desk(tables, configuration(allowed_vaults=entries))
        vault = MadeUpVault()
        vault.put("mail", "aa", expires_at=NOW + 300 * DAY)
        vault.put("disk", "aa", expires_at=NOW + 200 * DAY)
        Worker(desk, vault, lambda: NOW).sweep()
        desk.settle()
        desk.now = NOW + timedelta(minutes=4)
        desk.settle()
        calls: list[str] = []

        def count_calls(table: str, verb: str, when: str, calls: list[str] = calls) -> None:
            if when == "before":
                calls.append(f"{table} {verb}")

        watched = Desk(cast("Tables", WatchedTables(tables, count_calls)), desk.configured, now=desk.now)
        asked: list[dict[str, Any]] = [
            {},
            {"order": "name"},
            {"scope": "vault-0007"},
            {"owner": "platform"},
            {"q": "mail"},
            {"states": ["gone"]},
        ]
        found = []
        for one in asked:
            calls.clear()
            page = lists_of(watched).page(query_of(size=15, **one))
            assert bool(page.items) == ("states" not in one)
            found.append(len(calls))
        calls.clear()
        lists_of(watched).find("vault-0007:secret:mail")
        costs.append([*found, len(calls)])
    assert costs[0] == costs[1]
    assert max(costs[1]) <= 24
