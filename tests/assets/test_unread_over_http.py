"""What nobody reads any more, and who imports a row now, as the API tells it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shared import bootstrap
from shared.assets.documents.aws_tenants import AccountDocument, AwsTenantDocument
from tests.api.calling import call
from tests.assets.conftest import Desk
from tests.assets.tenants import ACCOUNT, tenant
from tests.outbox.settling import settle_counts

HERE, THERE = "me-central-1", "il-central-1"


class _Regions:
    """EC2 by region: instances as a page has them."""

    def __init__(self) -> None:
        self.instances: dict[str, list[dict[str, Any]]] = {}

    def read_instances(
        self, document: AwsTenantDocument, account: AccountDocument | None, region: str, **_how: Any
    ) -> Iterator[list[Mapping[str, Any]]]:
        found = self.instances.get(region, [])
        yield [{"account": ACCOUNT, "region": region, "State": {"Name": "running"}, **one} for one in found]


class _EmptyQueues:
    def state(self, _queue: str) -> None:
        return None

    def send(self, *_message: object, **_how: object) -> None:
        """Nobody waits for it here."""


@pytest.fixture
def regions(desk: Desk) -> _Regions:
    fake = _Regions()
    bootstrap.replace("ec2", fake)
    bootstrap.replace("queues", _EmptyQueues())
    return fake


def put(name: str, **changes: Any) -> None:
    mappings = [{"source": "tags.Name", "field": "name"}, {"source": "tags.Cost", "field": "owner"}]
    document = tenant(
        **{"matching_field": None, **changes}, field_mappings=mappings, asset_type={"default": "server"}, site_rules=[]
    )
    answer = call("PUT", f"settings/aws-tenants/{name}", document, {"If-Match": "*"})
    assert answer.status in {200, 201}, answer.body


def run(name: str, mode: str = "import", **how: Any) -> Any:
    started = call("POST", f"aws-tenants/{name}/imports", {"mode": mode, **how})
    assert started.status == 202, started.body
    todo = list(started.sent)
    while todo:
        todo += [json.dumps(one) for one in bootstrap.imports().do_part(json.loads(todo.pop(0)))]
    return call("GET", f"runs/{started.json['id']}").json


def imports() -> dict[str, Any]:
    return {one["name"]: one for one in call("GET", "imports").json["items"]}


def readiness(name: str) -> Any:
    items = call("GET", "health/ready").json["items"]
    return next((one for one in items if one["name"] == f"import aws-tenants/{name}"), None)


def machine(number: int, **tags: str) -> dict[str, Any]:
    named = {"Name": f"m{number}", **tags}
    listed = [{"Key": key, "Value": value} for key, value in named.items()]
    return {"InstanceId": f"i-{number:017}", "tags": named, "Tags": listed}


def test_a_region_that_is_taken_off_is_named_wherever_an_operator_looks(desk: Desk, regions: _Regions) -> None:
    # Imports, case 12
    regions.instances = {HERE: [machine(1)], THERE: [machine(2)]}
    put("acorn", regions=[HERE, THERE], deactivate_deleted=True)
    run("acorn")
    assert imports()["acorn"]["unread"] == []
    put("acorn", regions=[HERE], deactivate_deleted=True)
    previewed = run("acorn", "preview", as_scheduled=True)
    [part] = [one for one in previewed["parts"] if one["reason"]]
    assert (part["name"], part["reason"]) == (f"no longer read: {ACCOUNT}:{THERE}", "part_unread")
    assert (previewed["status"], previewed["counts"]["parts_warned"]) == ("succeeded", 1)
    [told] = call("GET", f"runs/{previewed['id']}/errors").json["items"]
    assert (told["action"], told["part"], told["reason"]) == ("warning", part["name"], "part_unread")
    [unread] = imports()["acorn"]["unread"]
    assert (unread["part"], unread["reason"]) == (f"{ACCOUNT}:{THERE}", "part_unread")
    ready = readiness("acorn")
    assert (ready["state"], ready["reason"]) == ("degraded", "part_unread")
    assert THERE in ready["message"]
    assert "deactivate_unread" in ready["remedy"]
    # Nothing is done to it until a setting says so.
    assert call("GET", f"assets/aws:{ACCOUNT}:{THERE}:i-{2:017}").json["active"] is True


def test_a_renamed_tenant_explains_its_assets_at_once(desk: Desk, regions: _Regions) -> None:
    # Imports, case 11
    regions.instances = {HERE: [machine(1)]}
    put("old-name", regions=[HERE])
    run("old-name")
    asset = f"assets/aws:{ACCOUNT}:{HERE}:i-{1:017}"
    assert call("DELETE", "settings/aws-tenants/old-name", headers={"If-Match": "*"}).status in {200, 204}
    assert call("GET", asset).json["imported_by"] is None
    assert "is gone" in imports()["old-name"]["warning"]
    put("new-name", regions=[HERE])
    # Before its first import already, by what the settings say.
    explained = call("GET", f"{asset}/explain").json
    assert (explained["tenant"], explained["imported_by"]) == ("new-name", "new-name")
    assert {one["field"]: one["value"] for one in explained["values"]}["name"] == "m1"
    assert explained["explanation"]
    imported = run("new-name")
    assert (imported["counts"]["unchanged"], imported["counts"].get("update", 0)) == (1, 0)
    assert [one["id"] for one in call("GET", "assets?tenant=new-name").json["items"]] == [asset.removeprefix("assets/")]
    assert set(imports()) == {"new-name"}


def test_a_removed_tenants_assets_are_deactivated_by_an_import_under_its_name(desk: Desk, regions: _Regions) -> None:
    regions.instances = {HERE: [machine(1), machine(2)]}
    put("left", regions=[HERE])
    run("left")
    call("DELETE", "settings/aws-tenants/left", headers={"If-Match": "*"})
    [unread] = imports()["left"]["unread"]
    assert unread["part"] == f"{ACCOUNT}:{HERE}"
    assert readiness("left")["state"] == "degraded"
    assert run("left")["counts"]["deactivate"] == 2
    assert "left" not in imports()
    # Then it is as if it had never been.
    assert call("POST", "aws-tenants/left/imports", {"mode": "import"}).status == 404
    assert call("POST", "aws-tenants/never/imports", {"mode": "import"}).status == 404


def test_a_number_is_found_as_it_is_shown(desk: Desk, regions: _Regions) -> None:
    # Imports, case 13
    regions.instances = {HERE: [machine(1, Cost="12"), machine(2, Cost="13"), machine(3, Cost="1e400")]}
    put("acorn", regions=[HERE], matching_field=None)
    document = call("GET", "settings/aws-tenants/acorn").json["document"]
    document["field_mappings"][1] = {"source": "to_number(tags.Cost)", "field": "cost", "create_field": True}
    assert call("PUT", "settings/aws-tenants/acorn", document, {"If-Match": "*"}).status == 200
    assert run("acorn")["counts"]["error"] == 1
    for asked in ("12", "12.0", " 12"):
        found = call("GET", f"assets?field=cost&value={asked}").json["items"]
        assert [(one["name"], one["fields"]["cost"]) for one in found] == [("m1", 12)], asked
    json.loads(call("GET", "assets").body, parse_constant=pytest.fail)


def test_after_a_merge_lists_searches_and_counts_know_one_asset(desk: Desk, regions: _Regions) -> None:
    mappings = [{"source": "tags.Name", "field": "name"}, {"source": "tags.Number", "field": "asset-number"}]
    put("acorn", regions=[HERE], matching_field=None)
    document = call("GET", "settings/aws-tenants/acorn").json["document"]
    document |= {"field_mappings": mappings, "matching_field": "asset-number", "merge_matches": True}
    assert call("PUT", "settings/aws-tenants/acorn", document, {"If-Match": "*"}).status == 200
    made = {"id": "SERV-9", "fields": {"name": "Payroll", "asset-number": "S-9", "site": "leeds", "type": "server"}}
    assert call("POST", "assets", made).status == 201
    regions.instances = {HERE: [machine(1, Number="S-1"), machine(2, Number="S-2")]}
    run("acorn")
    settle_counts()
    assert call("GET", "summary").json["assets"]["by_status"]["active"] == 3
    regions.instances = {HERE: [machine(1, Number="S-9"), machine(2, Number="S-2")]}
    assert run("acorn")["counts"]["update"] == 1
    settle_counts()
    assert call("GET", "summary").json["assets"]["by_status"]["active"] == 2
    assert {one["name"] for one in call("GET", "assets").json["items"]} == {"Payroll", "m2"}
    assert [one["id"] for one in call("GET", "assets?q=payroll").json["items"]] == ["manual:SERV-9"]
    assert call("GET", "assets?q=m1").json["items"] == []
    assert [one["id"] for one in call("GET", "assets?field=asset-number&value=s-9").json["items"]] == ["manual:SERV-9"]
    assert call("GET", "assets?field=asset-number&value=S-1").json["items"] == []
    # The instance's own address leads to the asset that it is now.
    assert call("GET", f"assets/aws:{ACCOUNT}:{HERE}:i-{1:017}").json["id"] == "manual:SERV-9"
