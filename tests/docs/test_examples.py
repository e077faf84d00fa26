"""Examples on the pages are what the product accepts. tests/api/live runs those that speak to a desk."""

import json
import re
import shlex
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from shared.bootstrap.kinds import KINDS
from shared.settings.validation import parse_document
from shared.tickets.documents import AllowedVault, TicketRule, VaultPattern
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import CredentialReference
from tests.docs.blocks import ABOUT_AZURE, NEEDS_AZURE, PAGES, ROOT, Block, blocks, runs_here

LANGUAGES = frozenset({"sh", "console", "yaml", "json", "bicep", "python", "mermaid", ""})


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_of_a_page_has_a_language_that_a_test_knows(path: Any) -> None:
    fences = re.findall(r"^```(.*)$", path.read_text("utf-8"), re.MULTILINE)
    assert len(fences) % 2 == 0
    assert set(fences[::2]) <= LANGUAGES
    assert not any(fences[1::2])


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: f"{block.page} {block.text[:20]!r}")
def test_every_yaml_block_is_a_document_or_a_part_of_one(block: Block) -> None:
    for entry in yaml.safe_load_all(block.text):
        if "kind" in entry:
            parse_document(KINDS.get(entry["kind"]), entry["name"], _whole(entry["document"]))
        elif "document" in entry:
            parse_document(CredentialStore, "example", entry["document"])
        elif "ticket_rules" in entry:
            TypeAdapter(list[TicketRule]).validate_json(json.dumps(entry["ticket_rules"]))
        elif "allowed_vaults" in entry:
            TypeAdapter(list[AllowedVault]).validate_json(json.dumps(entry["allowed_vaults"]))
        elif "vault_patterns" in entry:
            TypeAdapter(list[VaultPattern]).validate_json(json.dumps(entry["vault_patterns"]))
        else:
            assert set(entry) == {"secret"}
            CredentialReference.model_validate(entry["secret"])


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: f"{block.page} {block.text[:20]!r}")
def test_every_json_block_is_json(block: Block) -> None:
    assert json.loads(block.text)


def test_what_calls_azure_says_that_it_needs_azure_and_nothing_else_does() -> None:
    for block in blocks("sh"):
        calls_azure = re.search(r"\b(az|azd|func) [a-z]|azurewebsites|openssl rand", block.text) is not None
        if block.page in ABOUT_AZURE:
            continue
        assert block.text.startswith(NEEDS_AZURE) == calls_azure, f"{block.page}: {block.text[:60]}"


def test_a_page_about_azure_says_so() -> None:
    for name in ABOUT_AZURE:
        assert "The commands on this page need Azure" in (ROOT / "docs" / name).read_text("utf-8")


def test_every_command_of_the_repository_on_a_page_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for path in PAGES:
        text = path.read_text("utf-8")
        asked = set(re.findall(r"(?:^|`|^ +|[A-Z_]+=\S+ )make ([a-z-]+)", text, re.MULTILINE))
        assert asked <= targets, f"{path.name}: {asked - targets}"
        for module in set(re.findall(r"python3? -m ((?:lab|infra|bench)[\w.]*)", text)):
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), f"{path.name}: {module}"
        for script in set(re.findall(r"(?:^|`|python3 )((?:infra|lab)/[\w/-]+\.(?:sh|ps1|py))", text, re.MULTILINE)):
            assert (ROOT / script).is_file(), f"{path.name}: {script}"


def test_no_command_on_a_page_carries_a_secret_in_its_arguments() -> None:
    for block in blocks("sh"):
        for command in re.findall(r"^az keyvault secret set (?:.*\\\n)*.*", block.text, re.MULTILINE):
            words = shlex.split(command.replace("\\\n", " "), comments=True)
            value = words[words.index("--value") + 1] if "--value" in words else "x"
            assert value == "x", f"{block.page}: {command}"


def test_there_are_examples_for_a_desk_on_each_page_of_a_feature() -> None:
    for name in ("api.md", "key-vault.md", "aws-ec2.md", "authrocket.md", "credentials.md"):
        assert any("$DESK" in block.text for block in blocks("sh", name) if runs_here(block)), name


def _whole(document: Any) -> Any:
    """With a value where the page has an ellipsis for the reader's own."""
    return json.loads(json.dumps(document, default=str).replace("\\u2026", "00000000-1111-4222-8333-00000000c0de"))


def test_every_kind_of_document_is_listed_in_the_order_of_applying() -> None:
    section = (ROOT / "docs" / "api.md").read_text("utf-8").split("\n## Settings\n")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == KINDS.names


@pytest.mark.parametrize("kind", tuple(KINDS), ids=lambda kind: kind.kind)
def test_every_field_of_a_document_stands_in_the_pages(kind: Any) -> None:
    codes = " ".join(re.findall(r"`([^`\n]+)`", "".join(path.read_text("utf-8") for path in PAGES)))
    assert [name for name in kind.model_fields if not re.search(rf"\b{name}\b", codes)] == []
