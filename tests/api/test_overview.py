"""The dashboard, exports and the calendar, over rows that came in by the product's own doors."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import bootstrap
from shared.access.token_format import new_token
from shared.imports.runs.model import Mode, Run, RunState
from shared.overview import record_counts
from shared.overview.expiries import calendar
from shared.storage.tables import Page, Where
from shared.tickets.domain.decide import Expiry
from shared.tickets.domain.model import ObjectType
from tests.api.calling import Answer, call
from tests.api.conftest import CREDENTIAL, STORE
from tests.api.seeding import asset, secrets_of_two_vaults, sites_and_types, user
from tests.fakes.tables import MemoryTable, MemoryTables
from tests.tokens import token_of


@pytest.fixture(autouse=True)
def desk(tables: MemoryTables) -> MemoryTables:
    return tables


def test_the_summary_counts_what_is_there(desk: MemoryTables) -> None:
    secrets_of_two_vaults(desk)
    sites_and_types()
    for number in range(3):
        asset(number, type="server", site="london-hq")
    retired = asset(3, type="server")
    call("PATCH", f"assets/{retired}", {"fields": {"active": False}}, {"If-Match": "*"})
    user(1, site="london-hq")
    found = call("GET", "summary").json
    assert found["tickets"]["open"] == sum(found["tickets"]["by_priority"].values()) == 4
    assert found["tickets"]["by_priority"]["high"] == 1
    assert [(one["scope"], one["open"]) for one in found["tickets"]["by_scope"]] == [
        ("acorn-vault", 3),
        ("oak-vault", 1),
    ]
    assert {band: count for band, count in found["objects"].items() if count} == {
        "expired": 1,
        "within_7_days": 1,
        "within_14_days": 1,
        "later": 1,
    }
    assert found["assets"]["by_status"] == {"active": 3, "inactive": 1}
    assert found["assets"]["by_type"] == [{"type": "server", "count": 3}]
    assert found["assets"]["by_site"] == [{"site": "london-hq", "count": 3}]
    assert found["users"]["by_site"] == [{"site": "london-hq", "count": 1}]


def test_the_summary_is_remembered_until_it_is_asked_for_anew() -> None:
    assert call("GET", "summary").json["assets"]["by_status"]["active"] == 0
    asset(1)
    remembered = call("GET", "summary").json
    assert remembered["assets"]["by_status"]["active"] == 0
    fresh = call("GET", "summary?fresh=true").json
    assert fresh["assets"]["by_status"]["active"] == 1
    assert fresh["as_of"] > remembered["as_of"]
    assert call("GET", "summary").json == fresh


class Counting:
    """A table of many records that counts how often it is read to its end."""

    def __init__(self, table: MemoryTable) -> None:
        self._table = table
        self.scans = 0

    def page(self, where: Where, **how: Any) -> Page:
        self.scans += how.get("after") is None
        return self._table.page(where, **how)


def test_many_records_are_counted_again_when_an_import_wrote_or_an_hour_is_over(
    desk: MemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_counts, "MANY", 3)
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    for number in range(3):
        asset(number)
    counting: Any = Counting(desk.table("assets"))
    counts = record_counts.RecordCounts("assets", counting, ("type",), desk.table("runs"), lambda: now)
    began = now
    assert counts.counts(None, fresh=False)["by_status"]["active"] == 3
    asset(3)

    def seen(imported_at: datetime | None = None, *, fresh: bool = False) -> tuple[int, int]:
        found = counts.counts(imported_at, fresh=fresh)
        return found["by_status"]["active"], counting.scans

    now = began + timedelta(minutes=59)
    assert seen() == (3, 1)
    assert seen(began - timedelta(seconds=1)) == (3, 1)
    # It ended while they were counted: what it wrote last may be missing.
    assert seen(began) == (4, 2)
    asset(4)
    assert seen() == (4, 2)
    now += timedelta(minutes=60)
    assert seen() == (5, 3)
    assert seen(fresh=True) == (5, 4)


def test_few_records_are_counted_again_after_five_minutes(desk: MemoryTables) -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    counting: Any = Counting(desk.table("assets"))
    counts = record_counts.RecordCounts("assets", counting, ("type",), desk.table("runs"), lambda: now)
    counts.counts(None, fresh=False)
    now += timedelta(minutes=4)
    counts.counts(None, fresh=False)
    assert counting.scans == 1
    now += timedelta(minutes=1)
    assert counts.counts(None, fresh=False)["as_of"] == "2026-05-01T12:05:00Z"
    assert counting.scans == 2


def test_an_import_that_wrote_makes_the_summary_count_again_and_one_that_did_not_does_not(
    desk: MemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_counts, "MANY", 1)
    asset(1)
    counted = call("GET", "summary").json
    later = datetime.now(UTC) + timedelta(minutes=6)
    monkeypatch.setattr(bootstrap, "now", lambda: later)
    bootstrap.reset()
    bootstrap.replace("tables", desk)

    def ended(mode: Mode, **counts: int) -> None:
        moment = later - timedelta(minutes=1)
        run_id = bootstrap.runs().new_id("aws-tenants", moment)
        run = Run(run_id, "aws-tenants", "acorn", mode, "manual", moment, "test")
        bootstrap.runs().add(replace(run, state=RunState.SUCCEEDED, finished_at=moment, counts=counts))

    ended(Mode.IMPORT, unchanged=5)
    ended(Mode.PREVIEW, create=5)
    found = call("GET", "summary").json
    assert found["as_of"] > counted["as_of"]
    assert found["assets"]["as_of"] == counted["assets"]["as_of"]
    ended(Mode.IMPORT, update=1)
    later += timedelta(minutes=6)
    assert call("GET", "summary").json["assets"]["as_of"] > counted["assets"]["as_of"]


def export(what: str, **query: Any) -> list[Answer]:
    """All pages, by following the link."""
    pages = [call("GET", f"exports/{what}?" + "&".join(f"{name}={value}" for name, value in query.items()))]
    while link := pages[-1].headers.get("Link"):
        address, relation = link.split(">; ")
        assert relation == "rel=next"
        pages.append(call("GET", address.removeprefix("</api/v1/")))
    return pages


@pytest.mark.parametrize("what", ["tickets", "assets", "users"])
def test_the_pages_of_an_export_are_one_file(desk: MemoryTables, what: str) -> None:
    secrets_of_two_vaults(desk)
    sites_and_types()
    for number in range(5):
        asset(number, type="server", model="t3.micro")
        user(number, email=f"person{number}@acorn.example")
    ids = {"tickets": 4, "assets": 5, "users": 5}[what]
    lines = b"".join(page.body for page in export(what, format="jsonl", limit=2)).decode().splitlines()
    assert len(lines) == ids
    pages = export(what, limit=2)
    assert len(pages) > 1
    text = b"".join(page.body for page in pages).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == ids
    name = {"tickets": "object_name", "assets": "name", "users": "name"}[what]
    parsed = [json.loads(line) for line in lines]
    assert [row[name] for row in rows] == [one[name] for one in parsed]
    if what == "assets":
        assert {row["model"] for row in rows} == {"t3.micro"}


def test_a_cell_that_begins_as_a_formula_is_text() -> None:
    asset(1, name='=HYPERLINK("http://evil.example";"click")', model="-2+3", owner="@SUM(A1)")
    (row,) = csv.DictReader(io.StringIO(call("GET", "exports/assets").body.decode("utf-8-sig")))
    assert row["name"] == '\'=HYPERLINK("http://evil.example";"click")'
    assert (row["model"], row["owner"]) == ("'-2+3", "'@SUM(A1)")


def test_what_is_taken_out_of_csv_stands_in_json_lines() -> None:
    name = "web\t01\u202e\x00;=cmd|' /C calc'!A0"
    asset(1, name=name)
    (row,) = csv.DictReader(io.StringIO(call("GET", "exports/assets").body.decode("utf-8-sig")))
    assert row["name"] == "web 01;'=cmd|' /C calc'!A0"
    assert json.loads(call("GET", "exports/assets?format=jsonl").body)["name"] == name


def test_an_export_that_there_is_not_and_a_token_of_another_list_are_refused() -> None:
    assert call("GET", "exports/secrets").json["reason"] == "not_found"
    for what in ("tickets", "assets"):
        assert call("GET", f"exports/{what}?after=WzFd").json["reason"] == "continuation_invalid"
    assert call("GET", "exports/assets?limit=100001").json["reason"] == "parameter_invalid"
    assert call("GET", "exports/assets?format=xlsx").json["reason"] == "parameter_invalid"


def entries(text: str) -> list[dict[str, str]]:
    """The entries of a calendar, unfolded."""
    lines = text.replace("\r\n ", "").split("\r\n")
    found: list[dict[str, str]] = []
    for line in lines:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found:
            found[-1].setdefault(name, value)
    return found


def calendar_token(name: str = "outlook", **view: str) -> str:
    made = call("POST", "tokens/calendar", {"name": name, **view})
    assert made.status == 201, made.json
    return str(made.json["token"])


def test_expiries_are_a_calendar_that_its_token_opens(desk: MemoryTables) -> None:
    secrets_of_two_vaults(desk)
    answer = call("GET", f"calendar/expiries.ics?token={calendar_token()}")
    assert answer.status == 200
    found = entries(answer.body.decode())
    assert [entry["SUMMARY"] for entry in found] == [
        "acorn-vault: secret gone-by expires",
        "oak-vault: secret in-five-days expires",
        "acorn-vault: secret in-ten-days expires",
        "acorn-vault: secret in-a-year expires",
    ]
    in_five_days = datetime.now(UTC) + timedelta(days=5)
    assert found[1]["DTSTART;VALUE=DATE"] == f"{in_five_days:%Y%m%d}"


def test_a_calendar_shows_the_site_customer_and_team_that_its_token_names(desk: MemoryTables) -> None:
    secrets_of_two_vaults(desk)
    for name, customer in (("london", "acorn"), ("leeds", "oak")):
        assert call("PUT", f"settings/sites/{name}", {"title": name, "customer": customer}).status == 201
    vaults = [{"name": "acorn-vault", "site": "london"}, {"name": "oak-vault"}]
    settings = {"credentials": {"current": {"credential": "webhook"}}, "allowed_vaults": vaults}
    call("PUT", "settings/credential-stores/acorn", STORE)
    call("PUT", "settings/credentials/webhook", {**CREDENTIAL, "scope": "key-vault-events"})
    assert call("PUT", "settings/key-vault-events/default", settings).status == 201
    (ticket,) = call("GET", "tickets?object_name=in-five-days").json["items"]
    moved = call("PATCH", f"tickets/{ticket['id']}", {"site": "leeds", "team": "Platform"}, {"If-Match": "*"})
    assert moved.status == 200, moved.json

    def shown(**view: str) -> set[str]:
        token = calendar_token("-".join(["of", *view.values()]).casefold(), **view)
        answer = call("GET", f"calendar/expiries.ics?token={token}")
        return {entry["SUMMARY"].split()[2] for entry in entries(answer.body.decode())}

    of_acorn = {"gone-by", "in-ten-days", "in-a-year"}
    assert shown(customer="acorn") == shown(site="london") == of_acorn
    assert shown(customer="oak") == shown(site="leeds") == shown(team="Platform") == {"in-five-days"}
    assert shown(site="leeds", team="Nobody") == shown(customer="acorn", site="leeds") == set()


def test_a_calendars_token_opens_the_calendar_alone_and_no_other_token_opens_it() -> None:
    token = calendar_token()
    refused = call("GET", "tickets", headers={"X-Api-Key": token})
    assert (refused.status, refused.json["reason"]) == (403, "access_token_kind")
    assert call("DELETE", "tokens/outlook").status == 204
    of_another_kind = token_of("administrator")
    for wrong in ("", "x", token[:-1], new_token(), of_another_kind, token):
        refused = call("GET", f"calendar/expiries.ics?token={wrong}")
        assert (refused.status, set(refused.json), refused.json["reason"]) == (
            401,
            {"type", "status", "reason"},
            "credential_refused",
        )


def test_a_calendar_of_a_customer_or_site_that_there_is_not_is_refused() -> None:
    refused = call("POST", "tokens/calendar", {"name": "x", "customer": "nobody", "site": "nowhere"})
    assert [fault["path"] for fault in refused.json["faults"]] == ["customers", "site"]


MOMENTS = st.floats(0, datetime(9999, 12, 31, tzinfo=UTC).timestamp()).map(lambda at: datetime.fromtimestamp(at, UTC))
NAMES = st.text(st.characters(codec="utf-8"), max_size=100)


@given(
    st.lists(
        st.builds(
            Expiry,
            NAMES,
            st.sampled_from([ObjectType.SECRET, ObjectType.CERTIFICATE]),
            NAMES,
            NAMES,
            MOMENTS,
        ),
        max_size=4,
    )
)
def test_a_calendar_is_well_formed_whatever_objects_are_called(found: list[Expiry]) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    text = calendar(found, now)
    lines = text.split("\r\n")
    assert lines[-1] == ""
    assert all(len(line.encode()) <= 75 and "\n" not in line and "\r" not in line for line in lines)
    shown = [one for one in found if one.expires_at is not None and one.expires_at > now - timedelta(days=30)]
    # A name may hold the words that begin an entry: only a line of them begins one.
    assert len(entries(text)) == lines.count("BEGIN:VEVENT") == len(shown)
