"""What kept a request of an Azure client from an answer, told from the exceptions that hang below the client's own."""

import socket
import ssl
from collections.abc import Iterator
from enum import Enum


class NetworkFault(Enum):
    """Why there was no answer."""

    NAME = "name"  # the host's name is not known
    CERTIFICATE = "certificate"  # the other side's certificate is not trusted
    REACH = "reach"  # nobody there, no way there, or no answer in time


def network_fault(error: BaseException) -> NetworkFault:
    """Tell the three apart; everything that is neither of the first two is `REACH`."""
    found = list(below(error))
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in found):
        return NetworkFault.CERTIFICATE
    if any(isinstance(one, socket.gaierror) for one in found):
        return NetworkFault.NAME
    # urllib3 keeps some of these as text only.
    text = " ".join(str(one) for one in found)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return NetworkFault.CERTIFICATE
    if "NameResolutionError" in text or "Failed to resolve" in text:
        return NetworkFault.NAME
    return NetworkFault.REACH


def below(error: BaseException) -> Iterator[BaseException]:
    """The error and every error that it wraps, however its library keeps it."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        kept = [one.__cause__, one.__context__, *(getattr(one, name, None) for name in ("inner_exception", "reason"))]
        waiting += [each for each in (*kept, *one.args) if isinstance(each, BaseException)]
