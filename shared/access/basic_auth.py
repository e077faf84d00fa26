"""HTTP Basic for webhooks, compared in constant time with the accepted pairs. No pair means nothing accepted.

Where a pair is kept is no matter here: whoever checks says how a reference to one is read.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Protocol, TypeVar

from shared.access.strangers import REFUSALS
from shared.errors import DeskbridgeError, NotAuthorisedError, TryLaterError
from shared.reasons import Reason

R_contra = TypeVar("R_contra", contravariant=True)
U_contra = TypeVar("U_contra", contravariant=True)


class Pair(Protocol):
    """A user name and a password."""

    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...


class PairReader(Protocol[R_contra, U_contra]):
    """Reads what a reference names for who uses it, at the moment of use; after `invalidate` it is fetched anew."""

    def read_pair(self, reference: R_contra, user: U_contra) -> Pair: ...
    def invalidate(self, reference: R_contra) -> None: ...


_BEARER = "bearer"


def bearer_token(header: str | None) -> str | None:
    """The token of an Authorization header that is Bearer; None for any other header, and for none."""
    scheme, _, token = (header or "").strip().partition(" ")
    return token.strip() if scheme.casefold() == _BEARER else None


def parse_basic_header(header: str | None) -> bytes | None:
    """The bytes `user:password` of an Authorization header; None when there is no header at all.

    Raises NotAuthorisedError for one that is not Basic, or not Base64.
    """
    if header is None or not header.strip():
        return None
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.casefold() != "basic":
        raise credential_refused()
    try:
        return base64.b64decode(encoded.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise credential_refused() from error


def check_basic(
    given: bytes, accepted: Sequence[R_contra | None], reader: PairReader[R_contra, U_contra], user: U_contra
) -> list[R_contra]:
    """The accepted pairs that `given` is one of, each of which is read at this moment; None is one not configured.

    Raises NotAuthorisedError when it is none; TryLaterError when it is none and one of them cannot be read: the caller
    may well know that one.
    """
    references = [reference for reference in accepted if reference is not None]
    fitting = _fitting(given, references, reader, user)
    if not fitting:
        # The password may just have been changed: each pair is fetched once more before anyone is refused.
        for reference in references:
            reader.invalidate(reference)
        fitting = _fitting(given, references, reader, user)
    if not fitting:
        raise credential_refused()
    return fitting


def credential_refused() -> NotAuthorisedError:
    return NotAuthorisedError(
        Reason.CREDENTIAL_REFUSED,
        "The credential of this delivery is not accepted.",
        remedy="Send the header Authorization with Basic and the Base64 of user:password: as a delivery header of the "
        "event subscription, or within AuthRocket's webhook URL.",
    )


def _fitting(
    given: bytes, references: Sequence[R_contra], reader: PairReader[R_contra, U_contra], user: U_contra
) -> list[R_contra]:
    """Every pair is read and compared, so that the time does not tell which one fits. Raises TryLaterError."""
    found: list[R_contra] = []
    unreadable: DeskbridgeError | None = None
    for reference in references:
        try:
            pair = reader.read_pair(reference, user)
        except DeskbridgeError as error:
            # Said also when another pair fits: the one that fails is perhaps the next to be used.
            REFUSALS.note("A password of the webhook cannot be read", error)
            unreadable = error
            continue
        expected = f"{pair.username}:{pair.password}".encode()
        # Digests are of one length, so that the length of the password does not show either.
        if hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest()):
            found.append(reference)
    if not found and unreadable is not None:
        raise TryLaterError(
            Reason.WEBHOOK_PASSWORD_UNREADABLE,
            f"The webhook's own password cannot be read. {unreadable.message}",
            remedy=unreadable.remedy,
        )
    return found
