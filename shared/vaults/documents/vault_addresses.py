"""Addresses of vaults and secrets: the forms in which operators write them, and what follows from a vault's host."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

HSM_LABEL = "managedhsm"


@dataclass(frozen=True)
class Cloud:
    """One of Microsoft's clouds."""

    vault_domain: str
    authority: str
    resource_manager: str

    @property
    def hsm_domain(self) -> str:
        """Where its managed HSMs are."""
        return f"{HSM_LABEL}.{self.vault_domain.partition('.')[2]}"

    def resource(self, host: str) -> str:
        """What a token for that vault or managed HSM is asked for."""
        return f"https://{self.hsm_domain if is_within(host, self.hsm_domain) else self.vault_domain}"


CLOUDS: tuple[Cloud, ...] = (
    Cloud("vault.azure.net", "https://login.microsoftonline.com", "https://management.azure.com"),
    Cloud("vault.usgovcloudapi.net", "https://login.microsoftonline.us", "https://management.usgovcloudapi.net"),
    Cloud("vault.azure.cn", "https://login.partner.microsoftonline.cn", "https://management.chinacloudapi.cn"),
)


def host_of(address: str) -> str:
    """The host in lower case, without its port; empty when there is none."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def host_and_port(address: str) -> str:
    """What tells vaults apart: the host in lower case, and its port. This machine has one name, not several."""
    host = host_of(address)
    try:
        port = urlsplit(address).port or 443
    except ValueError:
        port = 443
    return f"{'localhost' if is_loopback(host) else host}:{port}"


def beside(vault_url: str, vault: str, *, is_hsm: bool = False) -> str:
    """The address of another vault, or of a managed HSM, of the same cloud."""
    _, dot, rest = vault_url.removeprefix("https://").partition(".")
    if cloud_of(host_of(vault_url)) is not None:
        rest = f"{HSM_LABEL if is_hsm else 'vault'}.{rest.partition('.')[2]}"
    return f"https://{vault}{dot}{rest}"


def cloud_of(host: str) -> Cloud | None:
    """The cloud whose vaults or managed HSMs have such host names."""
    found = (cloud for cloud in CLOUDS if is_within(host, cloud.vault_domain) or is_within(host, cloud.hsm_domain))
    return next(found, None)


def is_within(host: str, domain: str) -> bool:
    """Whether the host is one below that domain."""
    return host.endswith(f".{domain}")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine: nothing sent there reaches a network."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION = re.compile(r"[0-9A-Za-z]{1,64}")
_PATH_PARTS = (2, 3)


@dataclass(frozen=True)
class SecretAddress:
    """A secret of a vault. `version` empty: the current one. `vault_url` None: the store's own vault."""

    name: str
    version: str = ""
    vault_url: str | None = None

    def __str__(self) -> str:
        return f"{self.name}/{self.version}" if self.version else self.name


def parse_secret_address(text: str) -> SecretAddress:
    """Read any of the three forms; raises ValueError with a sentence that says what is wrong."""
    text = text.strip()
    if "://" in text:
        return _from_url(text)
    name, slash, version = text.partition("/")
    if slash and not version:
        raise ValueError("ends with a slash: write the version after it, or leave the slash out")
    return _checked(name, version, None)


def _from_url(text: str) -> SecretAddress:
    try:
        parts = urlsplit(text)
        host = parts.netloc
    except ValueError:
        raise ValueError("is not a readable address") from None
    if parts.scheme.lower() != "https" or not host or "@" in host:
        raise ValueError("must be a secret's address, such as https://acorn.vault.azure.net/secrets/ec2-key")
    if parts.query or parts.fragment:
        raise ValueError("must be a secret's address alone, without `?` and `#`")
    path = [part for part in parts.path.split("/") if part]
    if len(path) not in _PATH_PARTS or path[0].casefold() != "secrets":
        raise ValueError("must have the path /secrets/<name> or /secrets/<name>/<version>")
    return _checked(path[1], path[2] if len(path) == max(_PATH_PARTS) else "", f"https://{host.lower()}")


def _checked(name: str, version: str, vault_url: str | None) -> SecretAddress:
    if not _NAME.fullmatch(name):
        raise ValueError("a secret's name has 1 to 127 letters, digits and hyphens")
    if version and not _VERSION.fullmatch(version):
        raise ValueError("a secret's version has letters and digits only, such as 4387e9f3d6e14c459867679a90fd0f79")
    return SecretAddress(name, version, vault_url)
