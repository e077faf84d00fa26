"""Tenant documents as operators write them, for the tests of assets."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from shared.settings.store import SettingsStore
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.model import CredentialUser, SecretValue, UserPassword, json_fields

ACCOUNT = "111122223333"

# The guide's own settings: figures 4 to 9.
GUIDE: dict[str, Any] = {
    "title": "Acorn Construction",
    "syncing": True,
    "access": {"method": "access_key", "secret": {"in_place": {"store": "kv", "secret": "aws-acorn"}}},
    "accounts": [{"account": ACCOUNT}],
    "regions": ["eu-west-2"],
    "field_mappings": [
        {"source": "tags.Name", "field": "name"},
        {"source": "tags.AssetNumber", "field": "asset-number"},
        {"source": "Architecture", "field": "architecture", "create_field": True},
    ],
    "matching_field": "asset-number",
    "asset_type": {
        "mode": "rules",
        "rules": [
            {
                "asset_type": "server",
                "criteria": [{"field": "asset-number", "operator": "starts_with", "value": "SERV-"}],
            },
        ],
        "import_unmatched": False,
    },
    "default_site": "leeds",
    "site_rules": [
        {
            "site": "london-hq",
            "criteria": [{"field": "name", "operator": "contains", "value": "ACORN-LDN"}],
        }
    ],
}


def tenant(**changes: Any) -> dict[str, Any]:
    """The guide's tenant with some of its fields changed; None takes one away."""
    document: dict[str, Any] = json.loads(json.dumps(GUIDE)) | changes
    return {name: value for name, value in document.items() if value is not None}


def settle(settings: SettingsStore) -> None:
    """What tenants name: sites, a type, a store."""
    settings.put("customers", "acorn", {"title": "Acorn Construction"}, by="test")
    settings.put("customers", "st-johns", {"title": "St Johns High School"}, by="test")
    settings.put("sites", "london-hq", {"title": "London HQ", "customer": "acorn"}, by="test")
    settings.put("sites", "leeds", {"title": "Leeds", "customer": "st-johns"}, by="test")
    settings.put("asset-types", "server", {"title": "Server"}, by="test")
    settings.put("asset-types", "application-server", {"title": "Application server"}, by="test")
    vault = {"vault_url": "https://acorn.vault.azure.net", "method": "system_assigned"}
    settings.put("credential-stores", "kv", vault, by="test")


class FakeCredentials:
    """A vault in memory: secrets by name, and which of them the far side refused."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.secrets = dict(secrets)
        self.refused_names: list[str] = []
        self.on_refused: Callable[[], None] = lambda: None

    def read(self, reference: CredentialReference, user: CredentialUser) -> SecretValue:
        assert reference.in_place is not None
        text = self.secrets[reference.in_place.secret]
        return SecretValue(text, json_fields(text), "acorn", reference.in_place.secret, "1")

    def read_pair(self, reference: CredentialReference, user: CredentialUser) -> UserPassword:
        assert reference.in_place is not None
        fields = self.read(reference, user).fields
        return UserPassword(
            fields[reference.in_place.username_field or "username"],
            fields[reference.in_place.password_field or "password"],
        )

    def invalidate(self, reference: CredentialReference) -> None:
        assert reference.in_place is not None
        self.refused_names.append(reference.in_place.secret)
        self.on_refused()
