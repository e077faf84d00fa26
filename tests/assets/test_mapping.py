"""From an instance to the asset that a tenant wants: the guide's examples, and what real instances bear."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.assets.documents.aws_tenants import AwsTenantDocument, compile_source
from shared.assets.mapping import AssetMapping
from shared.assets.model import STANDARD_SOURCES, document_name_of
from shared.imports.plan.model import DesiredRecord
from shared.reasons import Reason
from tests.assets.tenants import ACCOUNT, tenant

TYPES = {"Server": "server", "Application server": "application-server", "arm64": "arm64"}


def _instance(tags: dict[str, str] | None = None, **values: Any) -> dict[str, Any]:
    return {
        "InstanceId": "i-0abc",
        "State": {"Code": 16, "Name": "running"},
        "Architecture": "x86_64",
        "InstanceType": "t3.medium",
        "LaunchTime": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "SecurityGroups": [{"GroupId": "sg-1", "GroupName": "web"}, {"GroupId": "sg-2", "GroupName": "ssh"}],
        "account": ACCOUNT,
        "region": "eu-west-2",
        "tags": tags or {},
        **values,
    }


def _want(instance: dict[str, Any], created: frozenset[str] = frozenset(), **changes: Any) -> DesiredRecord:
    document = AwsTenantDocument.model_validate(tenant(**changes))
    return AssetMapping(document, TYPES, created).map_record(instance)


def test_the_guides_server_by_its_asset_number() -> None:  # AWS-36, AWS-37, AWS-38
    wanted = _want(_instance({"Name": "web", "AssetNumber": "SERV-0001"}))
    assert wanted.values["type"] == "server"
    assert wanted.values["f_asset_number"] == "SERV-0001"


def test_the_guides_instance_that_matches_no_rule_is_not_imported() -> None:  # AWS-41
    wanted = _want(_instance({"Name": "web", "AssetNumber": "WS-0001"}))
    assert wanted.skip
    assert wanted.explain()[0] == (
        'Type: Rule "1: server" did not match: asset-number is "WS-0001", the rule asks that it starts with "SERV-".'
    )


def test_without_a_match_the_default_type_is_taken_where_that_is_set() -> None:  # AWS-40
    asset_type = {**tenant()["asset_type"], "import_unmatched": True, "default": "application-server"}
    assert _want(_instance({}), asset_type=asset_type).values["type"] == "application-server"


def test_the_guides_sites_by_name() -> None:  # AWS-60, AWS-61, AWS-62
    london = _want(_instance({"Name": "ACORN-LDN-WEB-01", "AssetNumber": "SERV-1"}))
    elsewhere = _want(_instance({"Name": "STJ-MOODLE", "AssetNumber": "SERV-2"}))
    assert london.values["site"] == "london-hq"
    assert elsewhere.values["site"] == "leeds"
    assert london.explain()[-1] == (
        'Site: Rule "1: london-hq" matched: name contains "ACORN-LDN" (it is "ACORN-LDN-WEB-01").'
    )
    assert elsewhere.explain()[-1] == "Site: leeds, the default."


def test_all_criteria_of_a_rule_must_hold_and_the_first_rule_wins() -> None:  # AWS-39, Q-07
    criteria = [
        {"field": "name", "operator": "contains", "value": "ACORN-LDN"},
        {"field": "source.region", "operator": "equals", "value": "eu-west-2"},
    ]
    rules = [
        {"site": "london-hq", "criteria": criteria, "name": "in London"},
        {"site": "leeds", "criteria": criteria[:1], "name": "called London"},
    ]
    here = _instance({"Name": "ACORN-LDN-1", "AssetNumber": "SERV-1"})
    there = {**here, "region": "eu-west-1"}
    assert _want(here, site_rules=rules, default_site="london-hq").values["site"] == "london-hq"
    assert _want(there, site_rules=rules, default_site="london-hq").values["site"] == "leeds"


def test_one_type_for_all() -> None:  # AWS-30, AWS-31
    assert _want(_instance(), asset_type={"default": "server"}).values["type"] == "server"


@pytest.mark.parametrize("field", ["architecture", "source.Architecture"])
def test_the_type_by_a_field_is_the_type_of_that_very_name(field: str) -> None:  # AWS-32, AWS-33
    choice = {"mode": "field", "field": field, "default": "application-server"}
    known = _want(_instance(Architecture="arm64"), asset_type=choice)
    other_case = _want(_instance(Architecture="ARM64"), asset_type=choice)
    empty = _want(_instance(Architecture=None), asset_type=choice)
    assert (known.values["type"], known.prerequisites) == ("arm64", {})
    assert other_case.values["type"] != "arm64"
    assert other_case.prerequisites == {f"type:{other_case.values['type']}:ARM64": "type"}  # AWS-34
    assert empty.values["type"] == "application-server"  # AWS-35


def test_titles_of_new_types_never_meet_in_one_document() -> None:
    titles = ["x86_64", "x86 64", "X86_64", "x86-64", "arm64", "ARM64", "東京", "", " ", "a" * 300, "a" * 301]
    names = [document_name_of(title) for title in titles]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for name in names)
    assert document_name_of("arm64") == "arm64"
    # Somebody named another type so.
    assert document_name_of("arm64", {"arm64"}) not in {*names, "arm64"}


def test_only_what_is_mapped_comes_in() -> None:  # AWS-24
    wanted = _want(_instance({"Name": "web", "AssetNumber": "SERV-1", "Secret": "x"}))
    assert set(wanted.values) == {"f_name", "f_asset_number", "f_architecture", "type", "site"}


def test_a_custom_field_and_a_fixed_value_and_a_field_still_to_be_made() -> None:  # AWS-20, AWS-21, AWS-22, AWS-23
    mappings = [
        *tenant()["field_mappings"],
        {"source": "tags.CostCentre", "field": "cost-centre", "field_type": "custom_field", "create_field": True},
        {"fixed": "Acorn", "field": "owner"},
    ]
    wanted = _want(
        _instance({"AssetNumber": "SERV-1", "CostCentre": "0042"}),
        created=frozenset({"custom.cost-centre"}),
        field_mappings=mappings,
    )
    assert wanted.values["c_cost_centre"] == "0042"
    assert wanted.values["f_owner"] == "Acorn"
    assert wanted.prerequisites == {"field:custom.cost-centre": ""}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("tags.Name", "web"),
        ("tags.cost:centre", "0042"),
        ("tags.kubernetes.io/cluster/dub", "owned"),
        ("tags.Floor 2", "yes"),
        ("tags.Standort Zürich", "ja"),
        ("tags.missing", None),
        ("tags.Name || InstanceId", "web"),
        ("tags.missing || InstanceId", "i-0abc"),
        ("State.Name", "running"),
        ("Missing.Path", None),
        ("InstanceId.Path", None),
        ("SecurityGroups[].GroupName", "web, ssh"),
        ("SecurityGroups[?GroupName=='ssh'].GroupId | [0]", "sg-2"),
        ("State.Code", 16),
        ("LaunchTime", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("State", '{"Code": 16, "Name": "running"}'),
        ("tags.blank", None),
        ("EbsOptimized", None),
    ],
)
def test_an_expression_gives_a_value_that_a_column_holds(expression: str, value: object) -> None:
    tags = {
        "Name": "web", "cost:centre": "0042", "kubernetes.io/cluster/dub": "owned", "Floor 2": "yes",
        "Standort Zürich": "ja", "blank": "   ",
    }  # fmt: skip
    mappings = [{"source": expression, "field": "notes"}]
    wanted = _want(
        _instance(tags),
        field_mappings=mappings,
        matching_field=None,
        asset_type={"default": "server"},
        site_rules=[],
    )
    assert wanted.values["f_notes"] == value
    assert type(wanted.values["f_notes"]) is type(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * 32_769, Reason.VALUE_TOO_LONG),
        ("🚀" * 16_385, Reason.VALUE_TOO_LONG),  # two units of UTF-16 each
        ("half \ud83d", Reason.VALUE_UNREADABLE),
    ],
)
def test_a_value_that_cannot_be_stored_is_an_error_that_names_the_field(value: str, reason: Reason) -> None:
    wanted = _want(_instance({"Name": value, "AssetNumber": "SERV-1"}))
    assert wanted.error.startswith("name:")
    assert wanted.error_reason is reason


def test_a_value_of_the_largest_size_is_stored() -> None:
    wanted = _want(_instance({"Name": "🚀" * 16_384, "AssetNumber": "SERV-1"}))
    assert not wanted.error


def test_an_expression_that_an_instance_does_not_bear_is_an_error_of_that_instance() -> None:
    mappings = [{"source": "join(', ', tags.list)", "field": "notes"}]
    changes: dict[str, Any] = {"asset_type": {"default": "server"}, "site_rules": [], "matching_field": None}
    wanted = _want(_instance({"list": "one text"}), field_mappings=mappings, **changes)
    assert wanted.error.startswith("notes:")
    assert wanted.error_reason is Reason.VALUE_UNREADABLE


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_an_instance_on_its_way_out_is_gone(state: str) -> None:
    assert _want(_instance(State={"Name": state})).gone == state


@pytest.mark.parametrize("state", ["pending", "running", "stopping", "stopped"])
def test_every_other_instance_is_there(state: str) -> None:
    assert not _want(_instance({"AssetNumber": "SERV-1"}, State={"Name": state})).gone


def test_every_standard_source_can_be_read() -> None:
    for expression, about in STANDARD_SOURCES.items():
        compile_source(expression)(_instance())
        assert about.endswith(".")
