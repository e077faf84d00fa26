"""Which imports and webhooks use a secret."""

from datetime import UTC, datetime
from typing import ClassVar

import pytest
from pydantic import Field

from shared.bootstrap import kinds as bootstrap_kinds
from shared.errors import Fault
from shared.settings.base import Document, SettingsDocument
from shared.settings.kinds import DocumentKinds
from shared.settings.store import SettingsStore
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import Credential, CredentialReference
from shared.vaults.usage import SecretUses, references_in
from tests.vaults.conftest import Desk


class Account(Document):
    secret: CredentialReference


class Tenant(SettingsDocument):
    kind: ClassVar[str] = "aws-tenants"
    credential_use: ClassVar[str] = "EC2 import of tenant {name}"

    accounts: tuple[Account, ...] = ()
    by_name: dict[str, CredentialReference] = Field(default_factory=dict)


class Realm(SettingsDocument):
    kind: ClassVar[str] = "authrocket-realms"
    credential_use: ClassVar[str] = "AuthRocket import of realm {name}"

    api_key: CredentialReference | None = None


# Two kinds that hold references, whatever the product's own documents look like.
KINDS = DocumentKinds(CredentialStore, Credential, Tenant, Realm)


@pytest.fixture
def uses(desk: Desk) -> SecretUses:
    desk.settings.kinds = KINDS
    main = {"vault_url": "https://Acorn.vault.azure.net", "method": "system_assigned"}
    desk.put("credential-stores", "main", **main)
    desk.put("credential-stores", "again", **main)
    desk.put("credential-stores", "other", vault_url="https://other.vault.azure.net", method="system_assigned")
    desk.put("credentials", "aws", scope="any", store="main", secret="EC2-key/4387e9f3d6e14c459867679a90fd0f79")
    in_place = {"in_place": {"store": "again", "secret": "ec2-key"}}
    desk.put("aws-tenants", "acorn", accounts=[{"secret": {"credential": "aws"}}, {"secret": in_place}])
    desk.put("aws-tenants", "bramble", by_name={"x": {"credential": "aws"}})
    desk.put("aws-tenants", "cedar", accounts=[{"secret": {"in_place": {"store": "other", "secret": "ec2-key"}}}])
    address = "https://acorn.vault.azure.net/secrets/ec2-key"
    desk.put("authrocket-realms", "customers", api_key={"in_place": {"store": "main", "secret": address}})
    return SecretUses(desk.settings)


def test_every_user_of_a_secret_is_named_once_whatever_form_names_it(uses: SecretUses) -> None:
    assert uses.uses_of("ACORN", "ec2-KEY") == [
        "EC2 import of tenant acorn",
        "EC2 import of tenant bramble",
        "AuthRocket import of realm customers",
    ]
    assert uses.uses_of("other", "ec2-key") == ["EC2 import of tenant cedar"]
    assert uses.uses_of("acorn", "unused") == []


def test_the_uses_of_a_credential_say_where_it_stands(uses: SecretUses) -> None:
    assert [(use.kind, use.name, use.path) for use in uses.uses_of_credential("aws")] == [
        ("aws-tenants", "acorn", "accounts.0.secret"),
        ("aws-tenants", "bramble", "by_name.x"),
    ]
    assert {use.name for use in uses.uses_of_store("again")} == {"acorn"}


def test_settings_that_cannot_be_read_do_not_hide_the_other_uses(
    uses: SecretUses, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tenant, "check_name", lambda *_: (Fault("name", "is refused by a later release"),))
    # The later release is another process: it has checked nothing yet.
    uses = SecretUses(SettingsStore(desk.table, KINDS, lambda: datetime.now(UTC)))
    assert uses.uses_of("acorn", "ec2-key") == ["AuthRocket import of realm customers"]


def test_every_kind_that_names_a_credential_says_what_it_is_used_for() -> None:
    for cls in bootstrap_kinds.KINDS:
        names_one = "CredentialReference" in cls.model_json_schema().get("$defs", {})
        assert names_one == bool(cls.credential_use), cls.kind


def test_references_are_found_at_any_depth() -> None:
    document = Tenant.model_validate(
        {"accounts": [{"secret": {"credential": "a"}}], "by_name": {"x": {"credential": "b"}}}
    )
    assert [(path, reference.credential) for path, reference in references_in(document)] == [
        ("accounts.0.secret", "a"),
        ("by_name.x", "b"),
    ]
