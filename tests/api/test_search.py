"""Search and lists of records: found as people type, from the index, in few calls, and never another customer's."""

from typing import Any, cast

import pytest

from shared import bootstrap
from shared.access.roles import Role
from shared.imports.part_rows import PartRows
from shared.index.terms import search_words
from shared.records.index_rows import index_rows, moved_by
from shared.records.lists import RecordQuery
from shared.records.match_rows import match_rows
from shared.records.table import RecordTable
from shared.storage.rows import Create, Row, Value
from shared.storage.tables import Tables
from tests.api.calling import call
from tests.api.conftest import tables
from tests.api.seeding import sites_and_types
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.outbox.settling import record_lists, settle

__all__ = ["tables"]


def put(tables: MemoryTables, kind: str, partition_key: str, row_key: str, **columns: Value) -> None:
    """A record as an import makes it, once the index has followed."""
    values: dict[str, Value] = {"source_id": row_key, "active": True, "created_at": bootstrap.now(), **columns}
    moved = moved_by(row_key, {}, values, is_new=True)
    assert moved is not None
    rows = PartRows(tables.table(kind), bootstrap.index(), bootstrap.gathered_outbox())
    rows.write(partition_key, [Create(Row(partition_key, row_key, values))], [moved])
    settle(bootstrap.gathered_outbox())


@pytest.fixture
def filled(tables: MemoryTables) -> MemoryTables:
    sites_and_types()
    for region in ("eu-west-1", "eu-west-2"):
        for number in range(6):
            put(
                tables,
                "assets",
                f"aws:111122223333:{region}",
                f"i-0{region[-1]}a{number:015}",
                f_name=f"Web Server {number}",
                f_ip_address=f"10.{region[-1]}.0.{number}",
                site="london-hq" if number % 2 else "leeds",
                type="server",
                document="acorn",
                f_owner="Platform",
            )
    return tables


def ids(address: str) -> list[str]:
    answer = call("GET", address)
    assert answer.status == 200, answer.body
    return [item["id"] for item in answer.json["items"]]


@pytest.mark.parametrize(
    ("q", "count"),
    [
        ("web", 12),
        ("WEB ser", 12),
        ("server 3", 2),
        ("10.1.0.4", 1),
        ("10.1", 6),
        ("i-01a00", 6),
        ("i-01a000000000000003", 1),
        ("ab/cd", 0),
        ("nothing", 0),
        ("web nothing", 0),
    ],
)
def test_records_are_found_as_people_type(filled: MemoryTables, q: str, count: int) -> None:
    found, after = list[str](), ""
    while True:
        page = call("GET", f"assets?q={q.replace(' ', '%20')}&limit=5{after}").json
        assert len(page["items"]) <= 5
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert (len(found), len(set(found))) == (count, count)


@pytest.mark.parametrize("q", ["a", ".", "i-0", "i-0a", "usr_", "%20"])
def test_what_is_too_short_to_find_anything_by_is_refused(filled: MemoryTables, q: str) -> None:
    answer = call("GET", f"assets?q={q}")
    assert (answer.status, answer.json["reason"]) == (400, "parameter_invalid")


def test_filters_go_with_a_search_and_without(filled: MemoryTables) -> None:
    assert len(ids("assets?site=leeds")) == 6
    assert len(ids("assets?site=leeds,london-hq")) == 12
    assert len(ids("assets?type=server,other")) == 12
    assert len(ids("assets?q=web&site=leeds&account=111122223333&region=eu-west-1")) == 3
    assert len(ids("assets?q=web&tenant=acorn&owner=Platform&active=true")) == 12
    assert ids("assets?q=web&tenant=oak") == ids("assets?q=web&active=false") == ids("assets?site=york") == []
    assert ids("assets?updated_after=2100-01-01T00:00:00Z") == []
    assert len(ids("assets?updated_after=2020-01-01T00:00:00Z&q=web")) == 12


def test_what_a_person_changes_is_found_at_once_and_no_more_by_what_it_was(filled: MemoryTables) -> None:
    asset = ids("assets?q=10.1.0.4")[0]
    changed = call(
        "PATCH", f"assets/{asset}", {"fields": {"name": "Mail relay", "site": "london-hq"}}, {"If-Match": "*"}
    )
    assert changed.status == 200
    assert ids("assets?q=relay") == [asset]
    assert asset not in ids("assets?q=web%20server&limit=200")
    assert asset in ids("assets?site=london-hq")
    assert asset not in ids("assets?site=leeds")


def test_the_index_is_what_the_records_give_and_nothing_else(filled: MemoryTables) -> None:
    for asset in ids("assets?q=web")[:3]:
        call("PATCH", f"assets/{asset}", {"fields": {"name": f"Renamed {asset[-1]}"}}, {"If-Match": "*"})
    expected: dict[Any, Any] = {}
    for row in filled.table("assets").rows.values():
        if not row.row_key.startswith("~"):
            expected.update({tuple(key): columns for key, columns in index_rows("assets", row).items()})
    index = filled.contents()["index"]
    shown = {key: row for key, row in index.items() if not key[0].startswith("counts:") and ":match:" not in key[0]}
    assert shown == expected
    # By what matching asks for each is found too; what it was before is taken away by housekeeping.
    for row in filled.table("assets").rows.values():
        if not row.row_key.startswith("~"):
            assert index.keys() >= {tuple(key) for key in match_rows("assets", row)}


def test_nothing_follows_from_a_change_that_shows_nowhere(filled: MemoryTables) -> None:
    assert moved_by("x", {"f_name": "a", "f_notes": "x"}, {"f_notes": "y"}, is_new=False) is None
    assert moved_by("x", {"f_name": "a"}, {"f_name": "a"}, is_new=False) is None
    moved = moved_by("x", {"f_name": "a"}, {"f_name": "b"}, is_new=False)
    assert moved is not None
    assert moved.before == (("f_name", "a"),)


def test_a_limited_caller_finds_nothing_of_another_customer(filled: MemoryTables) -> None:
    call("PUT", "settings/customers/oak", {"title": "Oak"})
    call("PUT", "settings/sites/york", {"title": "York", "customer": "oak"})
    put(filled, "assets", "aws:1:eu-west-1", "i-0ff", f_name="Web of oak", site="york")
    _, token = bootstrap.access_tokens().make("of-oak", by="test", role=Role.READER, customers=["oak"])
    answer = call("GET", "assets?q=web", headers={"X-Api-Key": token}, role=None)
    assert [item["name"] for item in answer.json["items"]] == ["Web of oak"]
    assert ids("assets?customer=oak") == ["aws:1:eu-west-1:i-0ff"]


def test_a_search_takes_six_calls_however_many_records_and_partitions_there_are(tables: MemoryTables) -> None:
    costs: list[int] = []
    for count in (10, 200):
        for number in range(len(costs) * 10, count):
            put(tables, "assets", f"aws:{number:012}:eu-west-1", f"i-0{number:016x}", f_name=f"web-{number}")
        calls: list[str] = []

        def watch(table: str, verb: str, when: str, calls: list[str] = calls) -> None:
            if when == "before":
                calls.append(f"{table} {verb}")

        watched = cast("Tables", WatchedTables(tables, watch))
        page = record_lists("assets", watched, RecordTable(watched.table("assets"))).page(
            RecordQuery(words=search_words("web"))
        )
        costs.append(len(calls))
        assert page.rows
    assert costs == [6, 6]
