"""The settings that a deployment applies, held against the product's own checks, for both kinds of identity."""

from collections.abc import Iterator
from pathlib import Path

from infra.check.project import Problem

_COMMON = {
    "DESKBRIDGE_VAULT_URL": "https://kv-desk.vault.azure.net/",
    "MONITORED_VAULT_URL": "https://acorn.vault.azure.net",
    "MONITORED_VAULT_NAME": "acorn",
    "MONITORED_STORE_NAME": "vault-acorn",
    "SUBSCRIPTIONS": "deskbridge-acorn",
    "ALLOWED_VAULTS": (
        '{name: acorn, store: vault-acorn, resource_id: "/subscriptions/00000000-0000-0000-0000-000000000000/'
        'resourceGroups/rg/providers/Microsoft.KeyVault/vaults/acorn"}'
    ),
}
_IDENTITIES = (
    "method: system_assigned",
    "method: user_assigned, client_id: 11111111-2222-3333-4444-555555555555",
)


def check(root: Path) -> Iterator[Problem]:
    """Every fault of every document, as the desk itself would tell it, and every reference to what is not there."""
    from shared.bootstrap.kinds import KINDS
    from shared.errors import DeskbridgeError
    from shared.settings.validation import parse_document, parse_yaml

    for identity in _IDENTITIES:
        present: set[tuple[str, str]] = set()
        wanted: list[tuple[str, str, str, str]] = []
        for path in sorted((root / "settings").rglob("*.yaml")):
            name = path.relative_to(root).as_posix()
            text = path.read_text("utf-8")
            for placeholder, value in {**_COMMON, "STORE_IDENTITY": identity}.items():
                text = text.replace(f"${{{placeholder}}}", value)
            if "${" in text:
                yield Problem(name, 0, f"holds a placeholder that no script fills: {text[text.index('${') :][:40]}")
                continue
            try:
                for written in parse_yaml(text, name):
                    document = parse_document(KINDS.get(written.kind), written.name, written.content)
                    for fault in document.check_kinds(KINDS):
                        yield Problem(name, 0, f"{fault.path} {fault.message}")
                    present.add((written.kind, written.name))
                    wanted += [(name, item.path, item.kind, item.name) for item in document.references()]
            except DeskbridgeError as error:
                yield Problem(name, 0, f"{error.message}")
        for name, where, kind, target in wanted:
            if (kind, target) not in present:
                yield Problem(name, 0, f"{where}: there is no document {kind}/{target}")
