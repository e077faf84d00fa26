"""The whole way, trigger by trigger: timer, queue, EC2 (moto's, behind checked keys), assets, runs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.emulators.ec2.accounts import ACORN, NOT_OPTED_IN, ST_JOHNS
from lab.emulators.ec2.machines import Machine
from shared import bootstrap
from shared.errors import ConflictError, DeskbridgeError, MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.storage.rows import Create, Row
from tests.assets.conftest import Desk
from tests.assets.moto_ec2 import MotoFleet
from tests.assets.tenants import tenant
from tests.outbox.settling import settle

LONDON, IRELAND = "eu-west-2", "eu-west-1"


@pytest.fixture
def fleet(running_fleet: MotoFleet, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[MotoFleet]:
    for name, value in running_fleet.environment().items():
        monkeypatch.setenv(name, value)
    keys = running_fleet.credentials()
    pair = {"username": keys.access_key_id, "password": keys.secret_access_key}
    desk.credentials.secrets["aws-acorn"] = json.dumps(pair)
    yield running_fleet
    for account in (ACORN, ST_JOHNS):
        for region in (LONDON, IRELAND):
            running_fleet.refuse(account, region, None)


def _settle(fleet: MotoFleet, **changes: Any) -> None:
    keys = fleet.credentials()
    accounts = [
        {"account": ACORN},
        {"account": ST_JOHNS, "role": keys.role_arn, "external_id": keys.external_id},
    ]
    document = tenant(
        **{
            "accounts": accounts,
            "regions": [LONDON, IRELAND],
            "asset_type": {"mode": "field", "field": "architecture", "default": "application-server"},
            "deactivate_deleted": True,
            **changes,
        }
    )
    bootstrap.settings().put("aws-tenants", "acorn", document, by="test", if_match=_version())


def _version() -> str | None:
    from shared.assets.documents.aws_tenants import AwsTenantDocument

    return "*" if bootstrap.settings().find(AwsTenantDocument, "acorn", fresh=True) else None


def _run(desk: Desk) -> dict[str, Any]:
    desk.clock.advance(days=1)
    desk.timer("import_ec2_assets")
    desk.deliver()
    return _last(desk)


def _last(desk: Desk) -> dict[str, Any]:
    newest, *_ = bootstrap.runs().page("aws-tenants", "acorn", 1, None)[0]
    return bootstrap.run_reports().run(newest.id)


def test_the_daily_import_brings_every_living_instance_of_both_accounts(desk: Desk, fleet: MotoFleet) -> None:
    # AWS-01, AWS-03, AWS-10, AWS-71
    _settle(fleet)
    run = _run(desk)
    assert run["status"] == "succeeded"
    assert {part["name"]: part["counts"]["create"] for part in run["parts"]} == {
        f"{ACORN}:{LONDON}": 11,
        f"{ACORN}:{IRELAND}": 12,
        f"{ST_JOHNS}:{LONDON}": 5,
        f"{ST_JOHNS}:{IRELAND}": 2,
    }
    web = desk.assets()[fleet.instance_id(ACORN, "web-1")]
    assert (web["f_name"], web["f_asset_number"], web["site"]) == ("ACORN-LDN-WEB-01", "SERV-0001", "london-hq")
    assert fleet.instance_id(ACORN, "terminated") not in desk.assets()
    assert fleet.instance_id(ACORN, "shutting-down") not in desk.assets()
    assert fleet.instance_id(ST_JOHNS, "exam-stopped") in desk.assets()
    assert desk.assets()[fleet.instance_id(ACORN, "no-tags")].get("f_name") is None


def test_types_and_fields_are_made_by_the_import_that_needs_them_once(desk: Desk, fleet: MotoFleet) -> None:
    # AWS-23, AWS-34
    _settle(fleet)
    _run(desk)
    stored = {(key[0], key[1][2:]) for key in desk.tables.contents()["settings"] if key[1].startswith("d:")}
    types = {name for kind, name in stored if kind == "asset-types"}
    assert {"arm64", "server", "application-server"} < types
    assert len(types) == 4
    assert ("asset-fields", "architecture") in stored
    before = desk.tables.contents()["settings"]
    _run(desk)
    assert desk.tables.contents()["settings"] == before


def test_an_import_leaves_no_audit_entry_of_records_and_none_of_its_start_by_the_schedule(
    desk: Desk, fleet: MotoFleet
) -> None:
    _settle(fleet)
    assert _run(desk)["status"] == "succeeded"
    entries = bootstrap.outbox().page(None, 1_000, None)[0]
    # Documents that it made are changes of settings.
    assert {entry.message.table for entry in entries} == {"settings"}
    assert not [key for key in desk.tables.contents()["assets"] if "outbox" in key[1]]
    for entry in entries:
        bootstrap.outbox().carry_out(entry.message)
    assert {row["kind"] for row in desk.tables.contents()["audit"].values()} == {"settings"}


def test_a_preview_makes_neither_types_nor_fields(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    before = desk.tables.contents()["settings"]
    from shared.imports.plan.model import Trigger

    started = bootstrap.run_starter().start("aws-tenants", "acorn", trigger=Trigger.MANUAL, by="test", preview=True)
    desk.queue += [json.dumps(message) for message in started.messages]
    desk.deliver()
    assert desk.tables.contents()["settings"] == before
    assert desk.assets() == {}
    entries, _ = bootstrap.run_reports().plan(started.run.id, ["create"], f"{ACORN}:{LONDON}", 200, None)
    assert entries
    assert any('it is made in the group "Network Equipment"' in reason for reason in entries[0]["explanation"])


def test_a_refused_region_fails_its_part_and_the_others_stand(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    _run(desk)
    fleet.refuse(ACORN, IRELAND, "UnauthorizedOperation")
    gone = fleet.add(Machine(ACORN, LONDON, "short-lived", {"Name": "x"}))
    run = _run(desk)
    assert run["status"] == "partly_failed"
    failed = [part for part in run["parts"] if part["state"] == "failed"]
    assert [(part["name"], part["reason"]) for part in failed] == [(f"{ACORN}:{IRELAND}", "aws_permission_missing")]
    assert gone in desk.assets()
    assert sum(row["active"] for row in desk.assets().values()) == 31
    errors, _ = bootstrap.run_reports().errors(run["id"], 200, None)
    assert "ec2:DescribeInstances" in errors[0]["message"]
    assert "Action" in errors[0]["remedy"]
    fleet.forget(gone)


def test_a_terminated_instance_is_deactivated_and_a_restarted_one_is_back(desk: Desk, fleet: MotoFleet) -> None:
    # AWS-50, AWS-51, Q-09, Q-11
    _settle(fleet)
    instance_id = fleet.add(Machine(ACORN, LONDON, "lives-and-dies", {"Name": "x"}))
    _run(desk)
    fleet.terminate(instance_id)
    assert _run(desk)["counts"]["deactivate"] == 1
    assert desk.assets()[instance_id]["active"] is False
    fleet.set_state(instance_id, "running")
    _run(desk)
    assert desk.assets()[instance_id]["active"] is True
    fleet.forget(instance_id)
    _run(desk)
    assert desk.assets()[instance_id]["active"] is False


def test_all_regions_are_found_by_a_part_of_its_own(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet, regions="all", accounts=None, matching_field=None)
    run = _run(desk)
    assert run["status"] == "succeeded"
    names = {part["name"] for part in run["parts"]}
    assert {f"{ACORN}:{LONDON}", f"{ACORN}:{IRELAND}", f"{ACORN}:us-east-1"} < names
    assert not any(region in name for region in NOT_OPTED_IN for name in names)
    assert run["counts"]["parts_done"] == 3
    assert len(desk.assets()) == 11 + 12 + 6


def test_without_the_password_nothing_is_imported_and_nothing_deactivated(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    _run(desk)
    before = desk.tables.contents()["assets"]

    def refuse(*_: object) -> Any:
        raise MisconfiguredError(
            Reason.VAULT_PERMISSION_MISSING,
            "The store kv may not read aws-acorn.",
            remedy="az role assignment create …",
        )

    desk.credentials.read = refuse  # type: ignore[method-assign,assignment] # this vault refuses
    run = _run(desk)
    assert run["status"] == "failed"
    assert {part["message"] for part in run["parts"]} == {"The store kv may not read aws-acorn."}
    assert {part["remedy"] for part in run["parts"]} == {"az role assignment create …"}
    assert desk.tables.contents()["assets"] == before


def test_a_part_that_the_queue_gives_up_on_is_failed_in_its_run(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    desk.timer("import_ec2_assets")
    desk.deliver_one()
    [message] = [one for one in desk.queue if json.loads(one)["part"] == f"{ACORN}:{LONDON}"]
    others = [one for one in desk.queue if one != message]
    fleet.refuse(ACORN, LONDON, "InternalError")
    bootstrap.ec2()._clients._config.retries["total_max_attempts"] = 1  # type: ignore[attr-defined] # botocore's stubs lack it
    for attempt in range(1, 3):
        desk.queue = [message]
        with pytest.raises(TryLaterError):
            desk.deliver(dequeue_count=attempt)
    desk.poison(message)
    desk.poison('"not one of ours"')
    desk.queue = others
    desk.deliver()
    run = _last(desk)
    assert run["status"] == "partly_failed"
    [failed] = [part for part in run["parts"] if part["state"] == "failed"]
    assert failed["reason"] == "aws_failed"
    assert "AWS failed inside" in failed["message"]


def test_a_lost_message_is_sent_again_by_housekeeping(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    desk.timer("import_ec2_assets")
    desk.queue.clear()
    desk.clock.advance(minutes=16)
    desk.timer("keep_house")
    assert [json.loads(one)["part"] for one in desk.queue] == ["list of parts"]
    desk.deliver_one()
    desk.queue.clear()
    desk.clock.advance(minutes=16)
    desk.timer("keep_house")
    assert len(desk.queue) == 4
    desk.deliver()
    assert _last(desk)["status"] == "succeeded"


def test_two_tenants_on_one_region_are_told_so_before_either_undoes_the_other(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    bootstrap.settings().put("aws-tenants", "twin", tenant(regions="all"), by="test")
    run = _run(desk)
    shared = [part["name"] for part in run["parts"] if part["reason"] == "aws_region_shared"]
    assert shared == [f"{ACORN}:{IRELAND}", f"{ACORN}:{LONDON}"]


def test_an_asset_is_explained_from_the_instance_to_the_rule(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    _run(desk)
    instance_id = fleet.instance_id(ACORN, "web-1")
    asset_id = f"aws:{ACORN}:{LONDON}:{instance_id}"
    desk.clock.advance(hours=1)
    _, etag = bootstrap.asset_desk().get(asset_id)
    bootstrap.asset_desk().edit(asset_id, {"name": "Jim's"}, [], by="jim", if_match=etag)
    explained = bootstrap.asset_desk().explain(asset_id)
    assert explained["tenant"] == "acorn"
    assert explained["source"]["InstanceId"] == instance_id
    values = {value["field"]: value for value in explained["values"]}
    assert values["name"] == {
        "field": "name",
        "expression": "tags.Name",
        "value": "ACORN-LDN-WEB-01",
        "stored": "Jim's",
        "locked_fields": True,
    }
    assert any('Rule "1: london-hq" matched' in reason for reason in explained["explanation"])
    assert [entry["action"] for entry in explained["history"]] == ["edit", "create"]
    assert explained["history"][0]["by"] == "jim"


def test_no_secret_stands_in_any_table(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    _run(desk)
    stored = repr(desk.tables.contents())
    assert fleet.credentials().secret_access_key not in stored
    assert fleet.credentials().access_key_id not in stored


def test_an_edit_with_faults_names_each_and_changes_nothing(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    _run(desk)
    asset_id = f"aws:{ACORN}:{LONDON}:{fleet.instance_id(ACORN, 'web-1')}"
    before = desk.tables.contents()["assets"]
    with pytest.raises(DeskbridgeError) as refused:
        bootstrap.asset_desk().edit(
            asset_id,
            {"nothing": "x", "type": "toaster", "site": "nowhere", "active": "yes", "name": ["x"], "notes": "\ud800"},
            ["owner"],
            by="jim",
            if_match="*",
        )
    assert [fault.path for fault in refused.value.faults] == [
        "fields.nothing", "fields.type", "fields.site", "fields.active", "fields.name", "fields.notes", "release.0",
    ]  # fmt: skip
    assert desk.tables.contents()["assets"] == before


def test_types_fields_and_sites_that_assets_bear_cannot_be_removed(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    _run(desk)
    # The index says who bears them, and follows within a minute.
    settle(bootstrap.gathered_outbox())
    # The tenant names none of them any more; the assets do.
    changes: dict[str, Any] = {"site_rules": [], "asset_type": {"default": "application-server"}}
    mappings = [{"source": "tags.AssetNumber", "field": "asset-number"}]
    _settle(fleet, field_mappings=mappings, **changes)
    settings = bootstrap.settings()
    for kind, name in (("asset-types", "arm64"), ("asset-fields", "architecture"), ("sites", "london-hq")):
        with pytest.raises(ConflictError) as refused:
            settings.delete(kind, name, by="test", if_match="*")
        assert refused.value.reason is Reason.IN_USE
        assert "is used by assets" in refused.value.message
    settings.put("asset-types", "unused", {"title": "Unused"}, by="test")
    settings.delete("asset-types", "unused", by="test", if_match="*")


def test_a_type_is_made_only_where_it_is_written(desk: Desk, fleet: MotoFleet) -> None:  # AWS-53
    _settle(fleet, asset_type={"default": "server"}, update_asset_type=False, update_asset_site=False)
    _run(desk)
    _settle(
        fleet,
        asset_type={"mode": "field", "field": "source.InstanceType", "default": "server"},
        site_rules=[],
        update_asset_type=False,
        update_asset_site=False,
    )
    run = _run(desk)
    assert run["counts"]["unchanged"] == 30
    types = {key[1] for key in desk.tables.contents()["settings"] if key[0] == "asset-types" and key[1][:2] == "d:"}
    assert types == {"d:server", "d:application-server"}
    web = desk.assets()[fleet.instance_id(ACORN, "web-1")]
    assert (web["type"], web["site"]) == ("server", "london-hq")  # AWS-53, AWS-54


def test_a_type_whose_name_another_title_has_gets_one_of_its_own(desk: Desk, fleet: MotoFleet) -> None:
    bootstrap.settings().put("asset-types", "arm64", {"title": "Something else"}, by="test")
    _settle(fleet)
    _run(desk)
    arm = desk.assets()[fleet.instance_id(ACORN, "web-arm")]
    assert arm["type"] != "arm64"
    stored = desk.tables.contents()["settings"]["asset-types", f"d:{arm['type']}"]
    assert json.loads(str(stored["document"])) == {"title": "arm64"}


def test_a_field_that_is_a_custom_one_is_not_taken_for_an_asset_field(desk: Desk, fleet: MotoFleet) -> None:
    bootstrap.settings().put("asset-fields", "architecture", {"title": "Architecture", "custom": True}, by="test")
    _settle(fleet)
    desk.timer("import_ec2_assets")
    run = _last(desk)
    assert run["status"] == "failed"
    assert run["message"] == "The tenant acorn maps architecture as an asset field, and it is a custom field."
    assert desk.assets() == {}


def test_a_tenant_that_an_upgrade_made_unreadable_fails_alone_and_is_seen(desk: Desk, fleet: MotoFleet) -> None:
    _settle(fleet)
    row = Row("aws-tenants", "d:aged", {"document": "{}", "changed_at": desk.clock(), "changed_by": "t", "version": 1})
    desk.tables.table("settings").transact("aws-tenants", [Create(row)])
    assert _run(desk)["status"] == "succeeded"
    runs = bootstrap.run_reports().page("aws-tenants", "aged", 10, None)[0]
    assert [(run["status"], run["reason"]) for run in runs] == [("failed", "document_invalid")]
    assert {status.name for status in bootstrap.import_statuses().all()} == {"acorn", "aged"}
