"""docs/key-vault.md names every setting, every reason and every criterion of the feature, and its YAML is valid."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from shared.bootstrap.kinds import KINDS
from shared.reasons import Reason
from shared.settings.validation import parse_document
from shared.tickets.documents import (
    RULE_FIELDS,
    AllowedVault,
    EntraDelivery,
    KeyVaultEvents,
    SweepSettings,
    TicketRule,
    VaultPattern,
)
from shared.tickets.domain.templates import PLACEHOLDERS
from tests.tickets.desk import AUTHORIZATION, settings

PAGE = (Path(__file__).parents[2] / "docs" / "key-vault.md").read_text("utf-8")
REASONS = [
    Reason.CREDENTIAL_REFUSED,
    Reason.ORIGIN_NOT_ALLOWED,
    Reason.WEBHOOK_PASSWORD_UNREADABLE,
    Reason.BODY_NOT_READABLE,
    Reason.BODY_TOO_LARGE,
    Reason.METHOD_NOT_ALLOWED,
    Reason.EVENT_NOT_READABLE,
    Reason.EVENT_TYPE_UNKNOWN,
    Reason.EVENT_TOO_LARGE,
    Reason.EVENT_NOT_WHOLE,
    Reason.MAX_DELIVERIES_EXCEEDED,
    Reason.VAULT_NOT_ALLOWED,
    Reason.SENDER_NOT_ALLOWED,
    Reason.BEARER_REFUSED,
    Reason.NOT_READY,
    Reason.VAULT_NOT_SWEPT,
    Reason.TICKET_FINISHED,
    Reason.CONTENDED,
    Reason.DEAD_LETTERS_DENIED,
    Reason.DEAD_LETTERS_UNAVAILABLE,
]


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_its_cure_on_the_page(reason: Reason) -> None:
    assert re.search(rf"^\|.*`{reason}`", PAGE, re.MULTILINE)


def test_every_setting_criterion_and_placeholder_is_on_the_page() -> None:
    names = [
        *KeyVaultEvents.model_fields,
        *AllowedVault.model_fields,
        *VaultPattern.model_fields,
        *EntraDelivery.model_fields,
        *SweepSettings.model_fields,
    ]
    names += [*TicketRule.model_fields, *RULE_FIELDS, *PLACEHOLDERS]
    assert [name for name in names if not re.search(rf"\b{name}\b", PAGE)] == []


def test_the_pages_settings_are_accepted() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    documents = [entry for entry in yaml.safe_load_all(blocks[0]) if entry]
    for entry in documents:
        if entry["kind"] == "key-vault-events":
            entry["document"]["allowed_vaults"][0]["resource_id"] = (
                "/subscriptions/s/resourceGroups/rg-acorn/providers/Microsoft.KeyVault/vaults/acorn-vault"
            )
        parse_document(KINDS.get(entry["kind"]), entry["name"], entry["document"])
    for block in blocks[1:]:
        parse_document(KeyVaultEvents, "default", settings(**yaml.safe_load(block)))


def test_the_pages_command_makes_the_header_of_the_guide() -> None:  # KV-12
    command = re.search(r"^printf 'Basic .*$", PAGE, re.MULTILINE)
    assert command is not None
    script = command.group().replace("event-grid:$PASSWORD", "username:password")
    made = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert made.stdout == f"{AUTHORIZATION}\n"


def test_the_page_tells_all_that_is_entered_in_azure() -> None:  # KV-06, KV-07, KV-08, KV-10, KV-11
    assert "/api/events/key-vault" in PAGE
    assert "--name deskbridge" in PAGE
    for object_type in ("Secret", "Key", "Certificate"):
        for change in ("NewVersionCreated", "NearExpiry", "Expired"):
            assert f"Microsoft.KeyVault.{object_type}{change}" in PAGE
    assert "header name `Authorization`, type *Static*" in PAGE
    assert "*Is secret?*" in PAGE
