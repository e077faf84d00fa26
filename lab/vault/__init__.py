"""The lab's Key Vault, Entra and App Service identity endpoint. Real Azure clients run against them unchanged."""

from lab.vault.authority import CertificateAuthority
from lab.vault.control import VaultControl
from lab.vault.interface import LabInterface, VaultInterface
from lab.vault.journal import Entry
from lab.vault.lab import VaultLab, load_document
from lab.vault.state import LabError

__all__ = [
    "CertificateAuthority",
    "Entry",
    "LabError",
    "LabInterface",
    "VaultControl",
    "VaultInterface",
    "VaultLab",
    "load_document",
]
