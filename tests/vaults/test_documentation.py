"""docs/credentials.md names every field, every reason and the permissions, so that it cannot fall behind."""

import re
from pathlib import Path

import pytest

from shared.reasons import Reason
from shared.vaults.documents.credential_stores import DEFAULT_API_VERSION, CredentialStore
from shared.vaults.documents.credentials import Credential

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "credentials.md").read_text("utf-8")


def _reasons_of_the_product() -> list[str]:
    """The reasons that the code of this part can give."""
    folder = ROOT / "shared" / "vaults"
    names = {
        name for source in folder.glob("*.py") for name in re.findall(r"Reason\.([A-Z_]+)", source.read_text("utf-8"))
    }
    return sorted(Reason[name].value for name in names)


@pytest.mark.parametrize("field", sorted({*CredentialStore.model_fields, *Credential.model_fields}))
def test_every_field_is_explained(field: str) -> None:
    assert f"| `{field}` |" in PAGE


@pytest.mark.parametrize("reason", _reasons_of_the_product())
def test_every_reason_has_its_cure(reason: str) -> None:
    # KV-33
    assert f"| `{reason}` |" in PAGE


@pytest.mark.parametrize(
    "command",
    [
        'az keyvault secret set --vault-name acorn --name "ec2-key"',
        'az role assignment create --role "Key Vault Secrets User"',
        "az keyvault set-policy --name $VAULT --object-id $PRINCIPAL --secret-permissions get",
        "az functionapp identity assign",
        "az identity create",
        "az ad app create",
        "4633458b-17de-408a-b874-0445c86b69e6",
        "legacy model",
        DEFAULT_API_VERSION,
    ],
)
def test_the_steps_in_azure_are_shown(command: str) -> None:
    # KV-21, KV-28, KV-34, FD-02, AP-02, AP-03, AP-04, AP-06, AP-07, AP-09, AP-10, AP-11
    assert command in PAGE
