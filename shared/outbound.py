"""Connections to hosts that settings documents name: to public addresses only, each checked before it is connected to.

Hosts of vaults and of storage do not pass here: they may be private, and are checked by their names.
"""

import ipaddress
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from shared.errors import MisconfiguredError
from shared.reasons import Reason

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_HTTPS = 443
# How many addresses of one name are tried, one after the other.
_MOST_ADDRESSES = 4
# The only part of IPv6 that is handed out for the public network.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Ranges of the two that lead to another, embedded address: 6to4, Teredo.
_TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REFUSED = (
    # Relays of 6to4 are gone, and the block is nobody's.
    ipaddress.IPv4Network("192.88.99.0/24"),
    # For documentation; Python learnt of it late.
    ipaddress.IPv6Network("3fff::/20"),
    # The platform's own services answer there, on every machine in Azure.
    ipaddress.IPv4Network("168.63.129.16/32"),
)


@dataclass(frozen=True)
class Outbound:
    """Makes sessions for hosts that documents name.

    `private_hosts` may have any address, as `host` or `host:port`: the deployer's choice, never a document's.
    """

    private_hosts: frozenset[str] = frozenset()

    def session(self, known_hosts: Collection[str]) -> requests.Session:
        """A session that speaks https, and connects to nothing that these rules refuse.

        `known_hosts` are names, with all below them, that it asks for through a proxy.
        """
        session = _Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, _CheckedAdapter(self, frozenset(known_hosts)))
        return session

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses of `host` to connect to. Raises MisconfiguredError when one of them is not public.

        It has the same words for a name that nobody knows: what stands in the deployer's network is not told.
        """
        try:
            # Asked as the connection would ask: 0x7f.1, 2130706433 and their like are addresses too.
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise refused(host) from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses or not (self.allows_private(host, port) or all(map(is_public, addresses))):
            raise refused(host)
        return addresses[:_MOST_ADDRESSES]

    def allows_private(self, host: str, port: int) -> bool:
        """Whether the deployer lets this host have any address."""
        name = host.casefold().rstrip(".")
        name = f"[{name}]" if ":" in name else name
        return name in self.private_hosts or f"{name}:{port}" in self.private_hosts


def is_public(text: str) -> bool:
    """Whether an address is one of the public network, whatever it is wrapped in."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        if address not in _GLOBAL_UNICAST or any(address in tunnel for tunnel in _TUNNELS):
            return False
    if address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local:
        return False
    return address.is_global and not any(
        address in network for network in _REFUSED if network.version == address.version
    )


def refused(host: str) -> MisconfiguredError:
    """The one refusal, whatever stands at the host."""
    return MisconfiguredError(
        Reason.HOST_REFUSED,
        f"The desk does not connect to {host}: nobody knows the name, or it has no public address.",
        remedy="Check the host in the document. Whoever deploys the desk can allow a private host in the app setting "
        "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS.",
    )


class _CheckedConnection(HTTPSConnection):
    """Looks the name up itself and connects to what it checked; TLS still asks for the name."""

    outbound: Outbound

    def connect(self) -> None:
        name = self.host
        self.server_hostname = name
        failure: Exception | None = None
        try:
            for address in self.outbound.addresses(name, self.port or _HTTPS):
                self.host = address
                try:
                    super().connect()
                except (ConnectTimeoutError, NewConnectionError) as error:
                    failure = error
                    continue
                return
        finally:
            # What reads it later, such as the header Host, means the name.
            self.host = name
        assert failure is not None  # noqa: S101 - there is an address, or it was refused
        raise failure


class _CheckedAdapter(HTTPAdapter):
    def __init__(self, outbound: Outbound, known_hosts: frozenset[str]) -> None:
        self._outbound = outbound
        self._known_hosts = known_hosts
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        class Connection(_CheckedConnection):
            outbound = self._outbound

        class Pool(HTTPSConnectionPool):
            ConnectionCls: Any = Connection

        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"https": Pool}

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        parts = urlsplit(request.url or "")
        host, port = parts.hostname or "", parts.port or _HTTPS
        if parts.scheme != "https" or "@" in parts.netloc:
            raise refused(host)
        # A proxy is the deployer's and looks names up itself: only names are left to check.
        if select_proxy(request.url or "", proxies) and not self._outbound.allows_private(host, port):
            name = host.rstrip(".")
            if not any(name == known or name.endswith(f".{known}") for known in self._known_hosts):
                raise refused(host)
        return super().send(request, stream, timeout, verify, cert, proxies)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: a redirect is an answer, and whoever asked decides what it means."""
        del resp
        return None
