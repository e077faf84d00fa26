"""The tenant that is measured: realistic mappings and rules over the stand-in's fleet."""

from typing import Any

from lab.emulators.ec2.accounts import ACCESS_KEY_ID, ACORN, LONDON, SECRET_ACCESS_KEY
from shared.settings.store import SettingsStore
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.model import CredentialUser, SecretValue, UserPassword

DOCUMENT = "acorn"
PART = f"{ACORN}:{LONDON}"
PARTITION = f"aws:{ACORN}:{LONDON}"

_PREFIXES = ("ACORN-LDN", "ACORN-DUB", "ACORN-NYC", "STJ", "build", "k8s-node")
# What an import of the bench takes of each instance.
FIELD_MAPPINGS = [
    {"source": "tags.Name", "field": "name"},
    {"source": "tags.AssetNumber", "field": "asset-number"},
    {"source": "InstanceType", "field": "model"},
    {"source": "State.Name", "field": "status"},
    {"source": "PrivateIpAddress", "field": "ip-address"},
    {"source": "PrivateDnsName", "field": "host-name"},
    {"source": "PlatformDetails", "field": "operating-system"},
    {"source": "tags.Owner", "field": "owner"},
]


def rules(count: int) -> list[list[dict[str, Any]]]:
    """Criteria of `count` rules as operators write them: most look at the beginning of a name, some at tags."""
    made: list[list[dict[str, Any]]] = []
    for number in range(count):
        prefix = _PREFIXES[number % 6]
        kinds: list[list[dict[str, Any]]] = [
            [{"field": "name", "operator": "starts_with", "value": f"{prefix}-0{number:04}"}],
            [{"field": "asset-number", "operator": "equals", "value": f"SERV-{number:06}"}],
            [
                {"field": "source.tags.Environment", "operator": "equals", "value": "production"},
                {"field": "name", "operator": "contains", "value": f"{prefix}-{number:03}"},
            ],
            [{"field": "name", "operator": "ends_with", "value": f"-x{number}"}],
            [
                {"field": "source.tags.Team", "operator": "is_one_of", "value": [f"team-{number}", f"crew-{number}"]},
                {"field": "source.Platform", "operator": "equals", "value": "windows"},
            ],
            [
                {"field": "name", "operator": "starts_with", "value": prefix},
                {"field": "source.tags.Owner", "operator": "equals", "value": f"team-{number}@elsewhere.example"},
            ],
            [{"field": "name", "operator": "contains", "value": f"-zone{number}-"}],
            [{"field": "name", "operator": "starts_with", "value": f"{prefix}-9{number:04}"}],
            [{"field": "name", "operator": "matches", "value": f"^{prefix}-[0-9]+-blue{number}$"}],
            [{"field": "model", "operator": "is_one_of", "value": [f"m{number}.large", f"c{number}.large"]}],
        ]
        made.append(kinds[(number // 6) % 10])
    return made


def settle(settings: SettingsStore, *, rule_count: int = 200) -> None:
    """A tenant with eight mappings, three rules of four for the type, the others for the site."""
    settings.put("customers", "st-johns", {"title": "St Johns High School"}, by="bench")
    settings.put("sites", "leeds", {"title": "Leeds", "customer": "st-johns"}, by="bench")
    settings.put("asset-types", "server", {"title": "Server"}, by="bench")
    vault = {"vault_url": "https://acorn.vault.azure.net", "method": "system_assigned"}
    settings.put("credential-stores", "kv", vault, by="bench")
    made = rules(rule_count)
    types = rule_count * 3 // 4
    content: dict[str, Any] = {
        "title": "Acorn Construction",
        "access": {
            "method": "access_key",
            "access_key_id": ACCESS_KEY_ID,
            "secret": {"in_place": {"store": "kv", "secret": "aws"}},
        },
        "accounts": [{"account": ACORN}],
        "regions": [LONDON],
        "field_mappings": FIELD_MAPPINGS,
        "asset_type": {
            "mode": "rules",
            "default": "server",
            "rules": [{"asset_type": "server", "criteria": criteria} for criteria in made[:types]],
        },
        "default_site": "leeds",
        "site_rules": [{"site": "leeds", "criteria": criteria} for criteria in made[types:]],
    }
    settings.put("aws-tenants", DOCUMENT, content, by="bench")


class LabCredentials:
    """The lab's own access key, as if read from a vault."""

    def read(self, reference: CredentialReference, user: CredentialUser) -> SecretValue:
        del reference, user
        return SecretValue(SECRET_ACCESS_KEY, {}, "acorn", "aws", "1")

    def read_pair(self, reference: CredentialReference, user: CredentialUser) -> UserPassword:
        del reference, user
        return UserPassword(ACCESS_KEY_ID, SECRET_ACCESS_KEY)

    def invalidate(self, reference: CredentialReference) -> None:
        del reference
