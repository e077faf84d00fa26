"""Every list goes page by page, each page costs the same, and all pages together are the whole, once."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import bootstrap
from shared.errors import InvalidInputError
from shared.imports.runs.entries import ENTRIES_PER_ROW
from shared.imports.runs.model import Mode, Part, PartState, Run, RunState
from shared.imports.runs.repository import RunRepository
from shared.reasons import Reason
from shared.storage.cursors import decode_cursor, encode_cursor, page_of
from shared.storage.tables import Page, Table, Where
from tests.api.calling import call
from tests.api.seeding import sites_and_types
from tests.fakes.tables import MemoryTable, MemoryTables
from tests.storage_emulator import Storage
from tests.tokens import tokens_in_memory

BEGAN = datetime(2026, 5, 1, tzinfo=UTC)
RUN = "998204690743439166-aws-tenants-93e54c"


def test_every_list_of_the_document_takes_a_limit_and_a_place_to_go_on() -> None:
    bootstrap.reset()
    bootstrap.replace("access_tokens", tokens_in_memory())
    document = call("GET", "openapi.json").json
    lists: list[str] = []
    for path, item in document["paths"].items():
        answer = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
        name = answer.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if {"items", "next"} <= set(document["components"]["schemas"].get(name, {}).get("properties", {})):
            lists.append(path)
            assert {"limit", "after"} <= {one["name"] for one in item["get"]["parameters"]}, path
    assert len(lists) > 12


def pages(address: str, limit: int) -> list[list[Any]]:
    """All pages of a list."""
    join = "&" if "?" in address else "?"
    found: list[list[Any]] = []
    after = ""
    while True:
        page = call("GET", f"{address}{join}limit={limit}{after}").json
        found.append(page["items"])
        assert len(page["items"]) <= limit
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def entry(number: int) -> dict[str, Any]:
    return {
        "id": f"i-{number:06}",
        "label": f"web-{number}",
        "action": "create",
        "reason": "new",
        "message": "",
        "changes": [],
        "reasons": [],
        "fingerprint": "",
    }


class _Counted(MemoryTable):
    """A table that counts what is read from it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.readings = 0
        self.rows_read = 0

    def page(
        self, where: Where, *, select: Sequence[str] | None = None, size: int = 1000, after: str | None = None
    ) -> Page:
        page = super().page(where, select=select, size=size, after=after)
        self.readings += 1
        self.rows_read += len(page.rows)
        return page


def _run(table: Table, parts: dict[str, str]) -> RunRepository:
    """A closed run with these parts, each with the token of the attempt that counts."""
    runs = RunRepository(table)
    runs.add(Run(RUN, "aws-tenants", "acorn", Mode.PREVIEW, "manual", BEGAN, "test"))
    first = Part(RUN, "list of parts", PartState.RUNNING, BEGAN, fans_out=True)
    runs.parts.begin(first)
    found = runs.parts.find(RUN, first.name)
    assert found is not None
    runs.parts.fan_out(found, [Part(RUN, name, PartState.QUEUED, BEGAN) for name in parts])
    for part in list(runs.parts.all(RUN)):
        runs.parts.finish(replace(part, state=PartState.DONE, attempt_id=parts[part.name]))
    return runs


def _add_entries(runs: RunRepository, part: str, token: str, action: str, entries: list[dict[str, Any]]) -> None:
    attempt = Part(RUN, part, PartState.RUNNING, BEGAN, attempt_id=token)
    for batch, start in enumerate(range(0, len(entries), ENTRIES_PER_ROW)):
        runs.entries.add(attempt, action, batch, entries[start : start + ENTRIES_PER_ROW])


@pytest.fixture
def counted(tables: MemoryTables) -> _Counted:
    counted = tables.tables["runs"] = _Counted("runs")
    return counted


def test_a_run_of_thousands_of_parts_shows_the_first_and_where_the_others_are(counted: _Counted) -> None:
    names = [f"1111222233{number:02}:region-{region:02}" for number in range(100) for region in range(85)]
    runs = _run(counted, dict.fromkeys(names, "t"))
    closed = runs.save(replace(runs.get(RUN), state=RunState.SUCCEEDED, counts={"parts": len(names)}))
    counted.rows_read = 0
    shown = call("GET", f"runs/{RUN}").json
    assert shown["counts"] == closed.counts
    assert [part["name"] for part in shown["parts"]] == names[:200]
    assert counted.rows_read == 200
    rest = call("GET", f"runs/{RUN}/parts?limit=200&after={shown['parts_next']}").json
    assert [part["name"] for part in rest["items"]] == names[200:400]
    assert [part["name"] for page in pages(f"runs/{RUN}/parts", 200) for part in page] == names
    assert call("GET", "runs/none/parts").status == 404


def test_a_run_of_few_parts_shows_them_all(counted: _Counted) -> None:
    _run(counted, {"b": "t", "a": "t"})
    shown = call("GET", f"runs/{RUN}").json
    assert ([part["name"] for part in shown["parts"]], shown["parts_next"]) == (["a", "b"], None)
    assert [[part["name"] for part in page] for page in pages(f"runs/{RUN}/parts", 1)] == [["a"], ["b"]]


@pytest.mark.parametrize("limit", [1, 7, 50, 200])
def test_a_plan_comes_whole_and_in_order_whatever_the_limit(counted: _Counted, limit: int) -> None:
    runs = _run(counted, {"a": "t1", "b": "t2"})
    _add_entries(runs, "a", "t1", "create", [entry(number) for number in range(120)])
    _add_entries(runs, "b", "t2", "create", [entry(number) for number in range(200, 230)])
    _add_entries(runs, "a", "t1", "update", [entry(number) for number in range(300, 303)])
    _add_entries(runs, "a", "killed", "create", [entry(number) for number in range(500, 560)])
    wanted = [f"i-{number:06}" for number in [*range(120), *range(200, 230), *range(300, 303)]]
    assert [one["id"] for page in pages(f"runs/{RUN}/plan", limit) for one in page] == wanted
    of_a = [one["id"] for page in pages(f"runs/{RUN}/plan?part=a", limit) for one in page]
    assert of_a == [*wanted[:120], *wanted[150:]]
    created = [one["id"] for page in pages(f"runs/{RUN}/plan?part=b&action=update,create", limit) for one in page]
    assert created == wanted[120:150]


def test_each_page_of_a_plan_of_a_hundred_thousand_entries_costs_the_same(counted: _Counted) -> None:
    runs = _run(counted, {"a": "t1"})
    _add_entries(runs, "a", "t1", "create", [entry(number) for number in range(100_000)])
    costs: set[tuple[int, int]] = set()
    for row in (0, 1, 700, 1_300, 1_900):
        counted.readings = counted.rows_read = 0
        after = encode_cursor(f"entry:create:a:t1:{row:06}", 10)
        page = call("GET", f"runs/{RUN}/plan?limit=200&after={after}").json
        assert [one["id"] for one in page["items"]] == [f"i-{row * 50 + 10 + index:06}" for index in range(200)]
        costs.add((counted.readings, counted.rows_read))
    # The rows of 50 entries that the page is made of, and what is read ahead.
    assert costs == {(1, 6)}


def test_many_rows_of_killed_attempts_end_a_page_early_and_are_passed_over_at_last(counted: _Counted) -> None:
    runs = _run(counted, {"a": "t1"})
    _add_entries(runs, "a", "killed", "create", [entry(number) for number in range(30_000)])
    _add_entries(runs, "a", "t1", "create", [entry(1), entry(2)])
    counted.readings = 0
    assert call("GET", f"runs/{RUN}/plan").json["items"] == []
    assert counted.readings < 12
    assert [one["id"] for page in pages(f"runs/{RUN}/plan", 50) for one in page] == ["i-000001", "i-000002"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 200])
def test_errors_are_failed_parts_first_and_then_records_whatever_the_limit(counted: _Counted, limit: int) -> None:
    runs = _run(counted, {"a": "t1", "b": "t2", "c": "t3"})
    for name in ("a", "c"):
        part = runs.parts.find(RUN, name)
        assert part is not None
        runs.parts.save(Part(RUN, name, PartState.FAILED, BEGAN, part.etag, reason="aws_denied", message="No."))
    for action in ("held_back", "error", "create"):
        _add_entries(runs, "b", "t2", action, [{**entry(1), "action": action}, {**entry(2), "action": action}])
    found = [(one["part"], one["action"], one.get("id")) for page in pages(f"runs/{RUN}/errors", limit) for one in page]
    assert found == [
        ("a", "failed", None),
        ("c", "failed", None),
        *(("b", action, f"i-00000{number}") for action in ("error", "held_back") for number in (1, 2)),
    ]


@pytest.mark.parametrize("what", ["plan", "errors", "imports", "uses", "asset-sources", "tickets"])
@pytest.mark.parametrize(
    "after",
    [
        "~",
        encode_cursor("part:a", 0),
        encode_cursor("entry:create:a", -1),
        encode_cursor("entry:create:a", "0"),
        encode_cursor("other", None),
        encode_cursor(None),
        encode_cursor(),
        encode_cursor("\ud800"),
        encode_cursor("\ud800", 1),
        "W1tb" * 400,
    ],
)
def test_a_place_that_was_not_given_out_is_refused(counted: _Counted, what: str, after: str) -> None:
    _run(counted, {"a": "t1"})
    bootstrap.settings().put("credential-stores", "acorn", STORE, by="test")
    bootstrap.settings().put("credentials", "ec2", CREDENTIAL, by="test")
    address = {"plan": f"runs/{RUN}/plan", "errors": f"runs/{RUN}/errors", "uses": "credentials/ec2/uses"}
    refused = call("GET", f"{address.get(what, what)}?after={after}")
    assert refused.status == 400, refused.body
    assert refused.json["reason"] in {"continuation_invalid", "parameter_invalid"}


@pytest.mark.parametrize(
    "after", [encode_cursor("\ud800", None), encode_cursor("acorn-vault", 1), encode_cursor("a"), "W1tb" * 400]
)
def test_a_place_of_an_export_that_was_not_given_out_is_refused(tables: MemoryTables, after: str) -> None:
    assert call("GET", f"exports/tickets?after={after}").json["reason"] == "continuation_invalid"


def test_imports_uses_and_sources_come_page_by_page(tables: MemoryTables) -> None:
    sites_and_types()
    store = bootstrap.settings()
    store.put("credential-stores", "acorn", STORE, by="test")
    store.put("credentials", "ec2", CREDENTIAL, by="test")
    for number in range(5):
        store.put("aws-tenants", f"tenant-{number}", {**TENANT, "title": f"Tenant {number}"}, by="test")
    names = [f"tenant-{number}" for number in range(5)]
    assert [[one["name"] for one in page] for page in pages("imports", 2)] == [names[:2], names[2:4], names[4:]]
    found = pages("credentials/ec2/uses", 2)
    assert [[one["name"] for one in page] for page in found] == [names[:2], names[2:4], names[4:]]
    sources = pages("asset-sources", 10)
    assert sum(map(len, sources)) > 10
    assert len({one["source"] for page in sources for one in page}) == sum(map(len, sources))


STORE = {"vault_url": "https://acorn-vault.vault.azure.net", "method": "system_assigned"}
CREDENTIAL = {"store": "acorn", "secret": "ec2-access-key", "scope": "aws-tenants"}
TENANT: dict[str, Any] = {
    "syncing": True,
    "access": {"method": "access_key", "access_key_id": "AKIAEXAMPLE", "secret": {"credential": "ec2"}},
    "regions": ["eu-west-2"],
    "field_mappings": [{"source": "InstanceId", "field": "name"}],
    "asset_type": {"default": "server"},
    "default_site": "london-hq",
}


@given(st.sets(st.text(min_size=1), max_size=20), st.integers(1, 6))
def test_pages_of_what_is_in_memory_are_the_whole_once_and_in_order(keys: set[str], size: int) -> None:
    keys = {key for key in keys if key.isprintable()}
    found: list[str] = []
    after: str | None = None
    while True:
        page, after = page_of(keys, str, size, after)
        assert len(page) <= size
        found += page
        if after is None:
            break
    assert found == sorted(keys)


def test_what_goes_while_somebody_pages_shifts_nothing() -> None:
    page, after = page_of(["a", "b", "c", "d"], str, 2, None)
    assert page == ["a", "b"]
    assert page_of(["c", "d"], str, 2, after)[0] == ["c", "d"]


@given(st.binary(max_size=60))
def test_any_other_text_is_refused_and_never_an_error(raw: bytes) -> None:
    with pytest.raises(InvalidInputError):
        decode_cursor(base64.urlsafe_b64encode(raw).decode(), str, int)


@pytest.fixture
def real(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AzureWebJobsStorage", storage.connection_string)
    bootstrap.reset()
    bootstrap.settings().put("customers", "acorn", {"title": "Acorn"}, by="tests")
    yield
    bootstrap.reset()


@pytest.mark.usefixtures("real")
def test_pages_go_on_when_what_comes_next_is_removed_meanwhile() -> None:
    for name in "abcdef":
        call("PUT", f"settings/sites/{name}", {"title": name, "customer": "acorn"})
        bootstrap.quarantine().keep({"id": name, "subject": name}, Reason.VAULT_NOT_ALLOWED, "No.")
    first = call("GET", "settings/sites?limit=2").json
    for name in "bcd":
        assert call("DELETE", f"settings/sites/{name}", headers={"If-Match": "*"}).status == 204
    rest = call("GET", f"settings/sites?limit=2&after={first['next']}").json
    assert [item["name"] for item in [*first["items"], *rest["items"]]] == ["a", "b", "e", "f"]
    assert rest["next"] is None
    kept = [item["id"] for item in call("GET", "quarantine").json["items"]]
    page = call("GET", "quarantine?limit=2").json
    for item in kept[1:4]:
        assert call("DELETE", f"quarantine/{item}").status == 204
    following = call("GET", f"quarantine?limit=2&after={page['next']}").json
    assert [item["id"] for item in following["items"]] == kept[4:]


@pytest.mark.usefixtures("real")
def test_a_plan_goes_on_where_it_was_and_is_unknown_once_the_run_is_removed() -> None:
    runs = bootstrap.runs()
    _run(bootstrap.tables().table("runs"), {"a": "t1"})
    _add_entries(runs, "a", "t1", "create", [entry(number) for number in range(120)])
    first = call("GET", f"runs/{RUN}/plan?limit=100").json
    assert [one["id"] for one in first["items"]] == [f"i-{number:06}" for number in range(100)]
    rest = call("GET", f"runs/{RUN}/plan?limit=100&after={first['next']}").json
    assert ([one["id"] for one in rest["items"]], rest["next"]) == ([f"i-{n:06}" for n in range(100, 120)], None)
    runs.remove(runs.get(RUN))
    for what in ("plan", "errors"):
        assert call("GET", f"runs/{RUN}/{what}?after={first['next']}").json["reason"] in {
            "not_found",
            "continuation_invalid",
        }
