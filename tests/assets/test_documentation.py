"""docs/aws-ec2.md says all that there is, and its examples are what the product accepts."""

import json
import re
from pathlib import Path

from pydantic import BaseModel

from shared.assets.documents.asset_fields import STANDARD_FIELDS
from shared.assets.documents.aws_accounts import (
    AccountPatternDocument,
    OrganizationDocument,
)
from shared.assets.documents.aws_tenants import (
    AccountDocument,
    AssetTypeChoiceDocument,
    AwsTenantDocument,
    FieldMappingDocument,
)
from shared.assets.model import STANDARD_SOURCES
from shared.bootstrap.kinds import KINDS
from shared.reasons import Reason
from shared.rules.operators import OPERATOR_NAMES
from shared.settings.store import SettingsStore
from shared.settings.validation import parse_yaml
from tests.fakes.tables import MemoryTables
from tests.imports.worlds import Clock

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "aws-ec2.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_worked_tenants_are_accepted_as_they_stand() -> None:
    settings = SettingsStore(MemoryTables().table("settings"), KINDS, Clock())
    documents = list(parse_yaml("\n---\n".join(_blocks("yaml"))))
    changes = settings.apply(documents, by="test")
    assert [change.name for change in changes if change.kind == "aws-tenants"] == [
        "acorn",
        "acorn-group",
        "acorn-organization",
        "keyless",
    ]
    assert {change.action for change in settings.apply(documents, by="test")} == {"unchanged"}


def test_every_policy_is_json_and_names_what_the_product_calls() -> None:
    policies = [json.loads(block) for block in _blocks("json")]
    actions = {
        action
        for policy in policies
        for statement in policy["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    code = "".join(path.read_text() for path in (ROOT / "shared" / "assets" / "aws").glob("*.py"))
    called = set(re.findall(r'"((?:ec2|sts):\w+)"', code))
    called |= {f"organizations:{name}" for name in re.findall(r'session, "(\w+)"', code)}
    assert len(called) == 9
    assert called - {"sts:GetCallerIdentity"} == actions


def test_every_setting_of_a_tenant_is_described() -> None:
    models: tuple[type[BaseModel], ...] = (
        AwsTenantDocument,
        AccountDocument,
        OrganizationDocument,
        AccountPatternDocument,
        AssetTypeChoiceDocument,
        FieldMappingDocument,
    )
    missing = [
        f"{model.__name__}.{name}"
        for model in models
        for name in model.model_fields
        if not re.search(rf"`[^`]*\b{name}\b", TEXT)
    ]
    assert missing == []


def test_every_operator_source_field_and_reason_is_described() -> None:
    names = [*OPERATOR_NAMES, *STANDARD_SOURCES, *STANDARD_FIELDS]
    names += [reason for reason in Reason if reason.startswith("aws_")]
    assert [name for name in names if f"`{name}`" not in TEXT] == []
