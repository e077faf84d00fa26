"""Answers of other services are read up to a size: a few KB on the wire can be gigabytes once they are unpacked."""

from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from shared.errors import TryLaterError
from shared.reasons import Reason

# A secret has 25 KB at most, a token a few, a page of a vault's list some 10.
LARGEST_SMALL_ANSWER = 1024 * 1024
# urllib3 unpacks no more than this at a time.
_PIECE_BYTES = 1024 * 1024


def bound_answers(session: requests.Session, largest: int) -> None:
    """Have the session read each answer whole, and refuse one that is larger than `largest` bytes once unpacked.

    Its requests then raise TryLaterError.
    """

    def read(response: requests.Response, **_: Any) -> None:
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_content(_PIECE_BYTES):
            size += len(piece)
            if size > largest:
                response.close()
                raise answer_too_large(urlsplit(response.url).hostname or "", largest)
            pieces.append(piece)
        # Where `requests` itself keeps what it read.
        response._content = b"".join(pieces)  # noqa: SLF001

    session.hooks["response"].append(read)


def bounded_transport(
    largest: int = LARGEST_SMALL_ANSWER, *, connect_seconds: float = 4, read_seconds: float = 15
) -> RequestsTransport:
    """The transport of an Azure SDK's client whose answers are bounded in size and time.

    The SDK passes its own `connection_timeout` and `read_timeout` on to no transport that it is given.
    """
    session = requests.Session()
    # The SDK alone tries again, and wants to see the error as it was.
    adapter = HTTPAdapter(max_retries=Retry(total=False, redirect=False, raise_on_status=False))
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    bound_answers(session, largest)
    return RequestsTransport(session=session, connection_timeout=connect_seconds, read_timeout=read_seconds)


def answer_too_large(host: str, largest: int) -> TryLaterError:
    """The refusal of an answer."""
    return TryLaterError(
        Reason.ANSWER_TOO_LARGE,
        f"The answer of {host} was given up: unpacked it has more than {largest // 2**20} MiB.",
        remedy="Find out what answers at that address: a proxy in between, or another service.",
    )
