"""The hosts that a secret or a token may be sent to: those of a known service, and those that the deployer lists.

A document names a host, and whoever writes documents must not thereby choose where a secret goes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import MisconfiguredError
from shared.reasons import Reason


class Service(StrEnum):
    """What a host is asked for."""

    VAULT = "vault"
    SIGN_IN = "sign-in"
    RESOURCE_MANAGER = "resource manager"
    AUTHROCKET = "AuthRocket"


@dataclass(frozen=True)
class HostUse:
    """A host that a document names: where, for what, and the path of the credential that is sent there, if one is."""

    path: str
    service: Service
    host: str
    credential: str = ""


# A `*` stands for one label of the name.
KNOWN_HOSTS: Mapping[Service, tuple[str, ...]] = {
    Service.VAULT: (
        *("*.vault.azure.net", "*.vault.usgovcloudapi.net", "*.vault.azure.cn"),
        *("*.managedhsm.azure.net", "*.managedhsm.usgovcloudapi.net", "*.managedhsm.azure.cn"),
    ),
    Service.SIGN_IN: (
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "login.chinacloudapi.cn",
        "login.windows.net",
    ),
    Service.RESOURCE_MANAGER: (
        "management.azure.com",
        "management.usgovcloudapi.net",
        "management.chinacloudapi.cn",
    ),
    Service.AUTHROCKET: ("*.authrocket.com",),
}
# The app settings that add to them.
HOST_SETTINGS: Mapping[Service, str] = {
    Service.VAULT: "DESKBRIDGE_VAULT_HOSTS",
    Service.SIGN_IN: "DESKBRIDGE_SIGN_IN_HOSTS",
    Service.RESOURCE_MANAGER: "DESKBRIDGE_RESOURCE_MANAGER_HOSTS",
    Service.AUTHROCKET: "DESKBRIDGE_AUTHROCKET_HOSTS",
}
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*|[0-9a-f:]+:[0-9a-f:.]*")
_PATTERN = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*|[0-9a-f:]+:[0-9a-f:.]*")


def parse_host_patterns(text: str) -> tuple[str, ...]:
    """The hosts of an app setting, apart by spaces or commas. Raises ValueError."""
    found = tuple(text.lower().replace(",", " ").split())
    for one in found:
        if _PATTERN.fullmatch(one) is None:
            raise ValueError("must name hosts, such as api.example.com or *.example.com, apart by spaces")
    return found


def matches_host(host: str, patterns: Sequence[str]) -> bool:
    """Whether the host, in lower case, is one of the patterns. Only plain ASCII names are."""
    if _HOST.fullmatch(host) is None:
        return False
    return host in patterns or f"*.{host.partition('.')[2]}" in patterns


class AllowedHosts:
    """The known hosts of each service, and `further` ones."""

    def __init__(self, further: Mapping[Service, Sequence[str]] | None = None) -> None:
        self._patterns = {
            service: (*known, *(further or {}).get(service, ())) for service, known in KNOWN_HOSTS.items()
        }

    def names(self, service: Service) -> tuple[str, ...]:
        """The names that are allowed, each with all that may stand below it: for a proxy, which looks names up."""
        return tuple(one.removeprefix("*.") for one in self._patterns[service])

    def allows(self, service: Service, host: str) -> bool:
        return matches_host(host, self._patterns[service])

    def objection(self, use: HostUse) -> str | None:
        """Why nothing may be sent there, for whoever writes the document; None when it may."""
        if self.allows(use.service, use.host):
            return None
        return (
            f"is no {use.service} host that this desk knows ({', '.join(self._patterns[use.service])}): correct it. "
            f"Whoever deploys the app can allow another host in the app setting {HOST_SETTINGS[use.service]}"
        )

    def check(self, document: str, uses: Sequence[HostUse]) -> None:
        """Raise MisconfiguredError, before anything is sent, when the document names a host that is not allowed."""
        for use in uses:
            objection = self.objection(use)
            if objection is not None:
                raise MisconfiguredError(
                    Reason.HOST_NOT_ALLOWED,
                    f"Nothing was sent: {use.path} of {document} {objection}.",
                    remedy=f"Correct {use.path}, or let the deployer add the host to {HOST_SETTINGS[use.service]}.",
                )
