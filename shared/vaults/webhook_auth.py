"""A webhook's own credential: HTTP Basic, compared in constant time. Nothing configured means nothing accepted."""

import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from shared.errors import DeskbridgeError, NotAuthorisedError, TryLaterError
from shared.reasons import Reason
from shared.vaults.model import Credentials, UserPassword

if TYPE_CHECKING:
    from shared.vaults.documents.credentials import CredentialReference

logger = logging.getLogger(__name__)

Pair = Callable[[], UserPassword]


def given_credential(header: str | None) -> bytes | None:
    """The bytes `user:password` of an Authorization header; None when there is no header at all.

    Raises NotAuthorisedError for one that is not Basic, or not Base64.
    """
    if header is None or not header.strip():
        return None
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.casefold() != "basic":
        raise refused()
    try:
        return base64.b64decode(encoded.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise refused() from error


def authorise(given: bytes, pairs: Sequence[Pair]) -> None:
    """Raise NotAuthorisedError unless `given` is one of the pairs, each of which is read at this moment.

    Raises TryLaterError when none fits and one of them cannot be read: the caller may well know that one.
    """
    accepted = False
    unreadable: DeskbridgeError | None = None
    for pair in pairs:
        try:
            expected = pair()
        except DeskbridgeError as error:
            logger.warning("A password of the webhook cannot be read: %s", error)
            unreadable = error
            continue
        accepted |= _same(given, f"{expected.username}:{expected.password}".encode())
    if accepted:
        return
    if unreadable is not None:
        raise TryLaterError(
            Reason.WEBHOOK_PASSWORD_UNREADABLE,
            f"The webhook's own password cannot be read. {unreadable.message}",
            remedy=unreadable.remedy,
        )
    raise refused()


def authorise_by(credentials: Credentials, given: bytes, references: "Sequence[CredentialReference]") -> None:
    """As `authorise`, with the credentials' own pairs. Raises NotAuthorisedError, TryLaterError."""
    pairs = [partial(credentials.read_pair, reference) for reference in references]
    try:
        authorise(given, pairs)
    except NotAuthorisedError:
        # The password may just have been changed: what is held of it is read once more before anyone is refused.
        for reference in references:
            credentials.invalidate(reference)
        authorise(given, pairs)


def refused() -> NotAuthorisedError:
    return NotAuthorisedError(
        Reason.CREDENTIAL_REFUSED,
        "The credential of this delivery is not accepted.",
        remedy="Send the header Authorization with Basic and the Base64 of user:password: as a delivery header of the "
        "event subscription, or within AuthRocket's webhook URL.",
    )


def _same(given: bytes, expected: bytes) -> bool:
    # Digests are of one length, so that the length of the password does not show either.
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())
