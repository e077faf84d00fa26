"""HTTP Basic for webhooks, compared in constant time with the accepted pairs. No pair means nothing accepted.

Where a pair is kept is no matter here: whoever checks says how a reference to one is read.
"""

import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Sequence
from typing import Protocol, TypeVar

from shared.errors import DeskbridgeError, NotAuthorisedError, TryLaterError
from shared.reasons import Reason

logger = logging.getLogger(__name__)


R_contra = TypeVar("R_contra", contravariant=True)


class Pair(Protocol):
    """A user name and a password."""

    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...


class PairReader(Protocol[R_contra]):
    """Reads what a reference names, at the moment of use; after `invalidate` it is fetched anew."""

    def read_pair(self, reference: R_contra) -> Pair: ...
    def invalidate(self, reference: R_contra) -> None: ...


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


def check_basic(given: bytes, accepted: Sequence[R_contra | None], reader: PairReader[R_contra]) -> None:
    """Raise NotAuthorisedError unless `given` is one of the accepted pairs, each of which is read at this moment.

    None is a pair that is not configured.

    Raises TryLaterError when none fits and one of them cannot be read: the caller may well know that one.
    """
    references = [reference for reference in accepted if reference is not None]
    if _is_accepted(given, references, reader):
        return
    # The password may just have been changed: each pair is fetched once more before anyone is refused.
    for reference in references:
        reader.invalidate(reference)
    if not _is_accepted(given, references, reader):
        raise credential_refused()


def credential_refused() -> NotAuthorisedError:
    return NotAuthorisedError(
        Reason.CREDENTIAL_REFUSED,
        "The credential of this delivery is not accepted.",
        remedy="Send the header Authorization with Basic and the Base64 of user:password: as a delivery header of the "
        "event subscription, or within AuthRocket's webhook URL.",
    )


def _is_accepted(given: bytes, references: Sequence[R_contra], reader: PairReader[R_contra]) -> bool:
    """Every pair is read and compared, so that the time does not tell which one fits. Raises TryLaterError."""
    fits = False
    unreadable: DeskbridgeError | None = None
    for reference in references:
        try:
            pair = reader.read_pair(reference)
        except DeskbridgeError as error:
            logger.warning("A password of the webhook cannot be read: %s", error)
            unreadable = error
            continue
        expected = f"{pair.username}:{pair.password}".encode()
        # Digests are of one length, so that the length of the password does not show either.
        fits |= hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())
    if not fits and unreadable is not None:
        raise TryLaterError(
            Reason.WEBHOOK_PASSWORD_UNREADABLE,
            f"The webhook's own password cannot be read. {unreadable.message}",
            remedy=unreadable.remedy,
        )
    return fits
