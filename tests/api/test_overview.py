"""The dashboard, exports and the calendar, over rows that came in by the product's own doors."""

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import bootstrap
from shared.access.roles import Role
from shared.access.token_format import new_token
from shared.counts.cells import Cell
from shared.counts.partition_row import save_counts
from shared.counts.trees import shares_of
from shared.overview.expiries import calendar
from shared.tickets.domain.decide import Expiry
from shared.tickets.domain.model import ObjectType
from tests.api.calling import Answer, call
from tests.api.conftest import CREDENTIAL, STORE
from tests.api.seeding import asset, secrets_of_two_vaults, sites_and_types, user
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.outbox.settling import settle_counts
from tests.tokens import token_of


@pytest.fixture(autouse=True)
def desk(tables: MemoryTables) -> MemoryTables:
    return tables


def leeds_of_oak() -> None:
    assert call("PUT", "settings/sites/leeds", {"title": "Leeds", "customer": "oak"}).status == 201


def test_the_summary_counts_what_is_there(desk: MemoryTables) -> None:
    secrets_of_two_vaults(desk)
    sites_and_types()
    for number in range(3):
        asset(number, type="server", site="london-hq")
    retired = asset(3, type="server")
    call("PATCH", f"assets/{retired}", {"fields": {"active": False}}, {"If-Match": "*"})
    user(1, site="london-hq")
    settle_counts()
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


def test_the_summary_of_a_customer_is_that_of_its_sites(desk: MemoryTables) -> None:
    secrets_of_two_vaults(desk)
    sites_and_types()
    leeds_of_oak()
    for number, site in enumerate(("london-hq", "leeds", None)):
        asset(number, type="server", **({"site": site} if site else {}))
    (ticket,) = call("GET", "tickets?object_name=in-five-days").json["items"]
    call("PATCH", f"tickets/{ticket['id']}", {"site": "leeds", "priority": "critical"}, {"If-Match": "*"})
    settle_counts()
    whole, customer = call("GET", "summary").json, call("GET", "summary?customer=oak").json
    assert (whole["assets"]["by_status"]["active"], customer["assets"]["by_status"]["active"]) == (3, 1)
    assert customer["assets"]["by_site"] == [{"site": "leeds", "count": 1}]
    assert (whole["tickets"]["open"], customer["tickets"]["open"]) == (4, 1)
    assert customer["tickets"]["by_priority"] == {"critical": 1, "high": 0, "medium": 0, "low": 0}
    assert [band for band, count in customer["objects"].items() if count] == ["within_7_days"]
    assert (customer["runs"], customer["tickets"]["by_scope"]) == (None, None)
    # Whose a site is, the settings say at once.
    assert call("PUT", "settings/sites/leeds", {"title": "Leeds", "customer": "acorn"}, {"If-Match": "*"}).status == 200
    assert call("GET", "summary?customer=oak").json["assets"]["by_status"]["active"] == 0
    assert call("GET", "summary?customer=acorn").json["assets"]["by_status"]["active"] == 2


def test_whoever_is_limited_to_customers_sees_the_counts_of_theirs() -> None:
    sites_and_types()
    leeds_of_oak()
    for number, site in enumerate(("london-hq", "leeds", "leeds", None)):
        asset(number, type="server", **({"site": site} if site else {}))
    settle_counts()
    _, token = bootstrap.access_tokens().make("of-oak", by="test", role=Role.READER, customers=["oak"])
    limited = {"X-Api-Key": token}
    found = call("GET", "summary", headers=limited, role=None).json
    assert found["assets"]["by_site"] == [{"site": "leeds", "count": 2}]
    assert found["assets"]["by_status"] == {"active": 2, "inactive": 0}
    assert call("GET", "summary?customer=acorn", headers=limited, role=None).json["assets"]["by_site"] == []


def test_the_summary_says_up_to_when_it_counts(desk: MemoryTables) -> None:
    empty = call("GET", "summary").json
    assert empty["assets"]["by_status"] == {"active": 0, "inactive": 0}
    asset(1)
    # It is copied already, and not yet summed up.
    assert call("GET", "summary").json["as_of"] is None
    settle_counts()
    counted = call("GET", "summary").json
    assert counted["assets"]["by_status"]["active"] == 1
    # The marker of the change stands for three minutes: something of that minute may be missing as far as it is known.
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(counted["as_of"]) < timedelta(minutes=2)


@pytest.mark.parametrize("partitions", [10, 1_000])
def test_the_summary_takes_as_many_calls_however_many_partitions_there_are(desk: MemoryTables, partitions: int) -> None:
    sites_and_types()
    for number in range(partitions):
        cells: dict[Cell, int] = {("record", ("london-hq", "leeds")[number % 2], "server", "active"): 1}
        place = f"aws:{number:012}:eu-west-2"
        desk.table("assets").transact(place, [save_counts(place, None, cells)])
        bootstrap.counts_levels().copy("assets", place, shares_of(place, cells))
    bootstrap.counts_levels().refresh(seconds=60)
    calls: Counter[tuple[str, str]] = Counter()

    def count(table: str, verb: str, moment: str) -> None:
        calls[table, verb] += moment == "before"

    bootstrap.reset()
    bootstrap.replace("tables", WatchedTables(desk, count))
    found = bootstrap.overview().summary()
    assert found["assets"]["by_status"]["active"] == partitions
    assert calls["index", "page"] == 2
    assert sum(calls.values()) <= 12, calls
    calls.clear()
    of_site = bootstrap.overview().summary(["leeds"])
    assert of_site["assets"]["by_status"]["active"] == partitions // 2
    assert sum(calls.values()) <= 6, calls


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
