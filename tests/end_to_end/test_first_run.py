"""The whole lab, as `make run` brings it up: real emulator, real SDKs, real triggers; what counts is in the tables."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from azure.data.tables import TableServiceClient

from lab.desk import WEBHOOK_PASSWORD, Choices, Desk, DeskError
from lab.faults.leaks import LeakSearch
from lab.first_run import Figures, run_import, run_once, wait_for_run

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    said: list[str] = []
    with Desk(Choices(folder=tmp_path_factory.mktemp("lab"), any_ports=True, lease_seconds=3), said.append) as desk:
        yield desk


@pytest.fixture(scope="module")
def first(desk: Desk) -> Figures:
    return run_once(desk, lambda _: None)


def rows(desk: Desk, table: str) -> list[dict[str, Any]]:
    with TableServiceClient.from_connection_string(desk.connection_string) as service:
        return [dict(row) for row in service.get_table_client(table).list_entities()]


def test_the_first_run_makes_tickets_assets_and_users(desk: Desk, first: Figures) -> None:  # KV-01 AWS-01 AR-01
    assert all(first.written[table] for table in ("tickets", "assets", "users", "settings"))
    tickets = desk.call("GET", "/api/v1/tickets?limit=200")["items"]
    assert {ticket["status"] for ticket in tickets} >= {"open"}
    assets = desk.call("GET", "/api/v1/assets?limit=200")["items"]
    assert "ACORN-LDN-WEB-01" in {asset["name"] for asset in assets}
    assert desk.fleet is not None
    users = desk.call("GET", "/api/v1/users?limit=200")
    assert len(users["items"]) == 200
    rest = desk.call("GET", f"/api/v1/users?limit=200&after={quote(users['next'])}")["items"]
    names = {user["name"] for user in users["items"] + rest}
    assert "Jim Shorts" in names  # AR-10


def test_a_second_run_changes_nothing(desk: Desk, first: Figures) -> None:
    second = run_once(desk, lambda _: None)
    assert second.changed_nothing, second.written
    assert second.rows == first.rows


def test_what_the_first_run_set_stands_in_the_audit_trail(desk: Desk, first: Figures) -> None:
    """Through the real queue: the message of each change, sent by the product, carried out by the host."""
    until = time.monotonic() + 60
    while desk.call("GET", "/api/v1/outbox")["items"] and time.monotonic() < until:
        time.sleep(0.3)
    assert desk.call("GET", "/api/v1/outbox")["items"] == []
    told = desk.call("GET", "/api/v1/audit?kind=settings&limit=200")["items"]
    things = {entry["thing"] for entry in told}
    assert {"key-vault-events/default", "aws-tenants/acorn"} < things
    assert {entry["kind"] for entry in desk.call("GET", "/api/v1/audit?limit=200")["items"]} == {"settings", "token"}


def test_a_host_killed_in_the_middle_of_an_import_leaves_what_an_undisturbed_one_leaves(
    desk: Desk, first: Figures
) -> None:
    assert desk.fleet is not None
    assets = desk.call("GET", "/api/v1/assets?limit=200")["items"]
    told = {asset["id"]: told_of(desk, asset["id"]) for asset in assets}
    for attempt in range(5):
        name = f"renamed {attempt}"
        for asset in assets:
            desk.fleet.tag(asset["source_id"], Name=name)
        started_at = datetime.now(UTC)
        desk.fire("import_ec2_assets")
        while not renamed(desk, name):
            time.sleep(0.005)
        desk.kill_host()
        half = renamed(desk, name)
        desk.start_host_again()
        run = wait_for_run(desk, "aws-tenants", started_at)
        assert run["status"] == "succeeded"
        assert renamed(desk, name) == len(assets)
        # One change of each asset, and one line of history for it: nothing lost, nothing doubled.
        for asset_id, before in told.items():
            told[asset_id] = told_of(desk, asset_id)
            assert told[asset_id][1:] == before
            assert told[asset_id][0]["changes"][0]["after"] == name
        assert run["counts"]["update"] == len(assets)
        if half < len(assets):
            break
    else:
        pytest.fail("the host was never killed in the middle")
    again = run_import(desk, "import_ec2_assets", "aws-tenants")
    assert again["counts"]["unchanged"] == len(assets)


def told_of(desk: Desk, asset_id: str) -> list[dict[str, Any]]:
    """The history of an asset, newest first."""
    items: list[dict[str, Any]] = desk.call("GET", f"/api/v1/assets/{quote(asset_id)}/history?limit=200")["items"]
    return items


def renamed(desk: Desk, name: str) -> int:
    with TableServiceClient.from_connection_string(desk.connection_string) as service:
        found = service.get_table_client("assets").query_entities(
            "f_name eq @name and active eq true", parameters={"name": name}, select=["RowKey"]
        )
        return len(list(found))


def test_no_secret_is_in_any_table_log_answer_or_run(desk: Desk, first: Figures) -> None:
    assert desk.fleet is not None
    assert desk.authrocket is not None
    assert desk.vaults is not None
    keys = desk.fleet.credentials()
    search = LeakSearch(
        {
            "webhook": WEBHOOK_PASSWORD,
            "aws": keys.secret_access_key,
            "authrocket": desk.authrocket.api_key,
            "identity": desk.vaults.environment()["IDENTITY_HEADER"],
        }
    )

    def call(method: str, path: str, body: bytes | None = None) -> Any:
        try:
            answer = desk.call(method, path, body)
        except DeskError as error:
            search.search(f"{method} {path}", str(error))
            return None
        search.search(f"{method} {path}", answer)
        return answer

    # Everything that can go wrong with a password, so that what is said about it is searched too.
    started_at = datetime.now(UTC)
    desk.fleet.refuse(keys.account, "eu-west-1", "UnauthorizedOperation")
    desk.authrocket.script("status", status=403, times=3)
    for document, body in (
        ("aws-tenants/acorn", b'{"mode": "preview"}'),
        ("authrocket-realms/customers", b'{"mode": "import"}'),
    ):
        call("POST", f"/api/v1/{document}/imports", body)
        call("POST", f"/api/v1/{document}/check", b"{}")
        wait_for_run(desk, document.split("/")[0], started_at)
    desk.vaults.vault("deskbridge-vault").fail_next(status=403, times=50, operation="secrets/get")
    for credential in ("key-vault-webhook", "aws-acorn", "authrocket-customers"):
        call("POST", f"/api/v1/credentials/{credential}/check", b"{}")
    call("POST", "/api/v1/credential-stores/deskbridge-vault/check", b'{"check": "store"}')
    desk.vaults.clear_faults()
    call("POST", "/api/events/key-vault", b"not an event")

    for run in call("GET", "/api/v1/runs")["items"]:
        for detail in ("", "/errors", "/plan"):
            call("GET", f"/api/v1/runs/{run['id']}{detail}")
    for path in ("tickets", "assets", "users", "settings/credentials", "settings/aws-tenants", "quarantine", "summary"):
        call("GET", f"/api/v1/{path}")
    for table in ("tickets", "assets", "users", "runs", "settings"):
        search.search(f"table {table}", rows(desk, table))
    search.search("log", "\n".join(desk.host.lines))
    assert search.found == []
    assert search.searched > 500_000
    failed = [run for run in call("GET", "/api/v1/runs")["items"] if run["status"] != "succeeded"]
    assert len(failed) >= 2
