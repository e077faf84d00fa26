"""The lab's Key Vault, Entra and App Service identity endpoint. Real Azure clients run against them unchanged."""

from lab.emulators.key_vault.authority import CertificateAuthority
from lab.emulators.key_vault.control import VaultControl
from lab.emulators.key_vault.interface import LabInterface, VaultInterface
from lab.emulators.key_vault.journal import Entry
from lab.emulators.key_vault.lab import VaultLab, load_document
from lab.emulators.key_vault.state import LabError

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
